"""Score a small model on held-out items in plain transformers, without the engine.

For the bake and its tests alone: it reads transcripts again every turn, knows no members and no budget, and is right
for models of a few hundred thousand parameters. Axes in names: _R rows, _T tokens.
"""

from typing import Any

import torch
from torch import Tensor

from eggym.errors import TaskFault
from eggym.seeding import key, stream
from eggym.task import Task, Verdict

ROWS = 256  # decoded together


def measure(model: Any, tokenizer: Any, task: Task, n: int, temperature: float, split: str = "test") -> float:
    """Return the mean reward on items 0 to n - 1 of a split; the same for ever for the same weights and kind of CPU.

    Args:
        model, tokenizer: a transformers causal model and its tokenizer, padding on the left, with a chat template.
        temperature: 0 is greedy.

    Raises:
        TaskFault: a reply could not be judged.
    """
    total = 0.0
    for first in range(0, n, ROWS):
        rows = range(first, min(first + ROWS, n))
        total += sum(_play(model, tokenizer, task, [task.item(split, row) for row in rows], temperature))
    return total / n


def _play(model: Any, tokenizer: Any, task: Task, items: list[Any], temperature: float) -> list[float]:
    generator = torch.Generator().manual_seed(key("score", task.id, items[0].index) >> 1)
    states = [task.begin(item, stream("score", task.id, item.index)) for item in items]
    talks = [[{"role": "user", "content": item.prompt}] for item in items]
    live = list(range(len(items)))
    for _ in range(task.max_turns):
        texts = [_render(tokenizer, talks[row]) for row in live]
        replies = complete(model, tokenizer, texts, task.max_new_tokens, temperature, generator)
        going = []
        for row, reply in zip(live, replies, strict=True):
            observation, done = task.step(states[row], reply)
            said = [*talks[row], {"role": "assistant", "content": reply}]
            talks[row] = [*([] if task.fresh_context else said), {"role": "user", "content": observation}]
            going += [] if done else [row]
        live = going
        if not live:
            break
    return [_reward(task.id, task.judge(state)) for state in states]


def _reward(task_id: str, verdict: Verdict) -> float:
    if verdict.reward is None:
        raise TaskFault(f"task {task_id!r} could not judge a reply: {verdict.why}")
    return verdict.reward


def _render(tokenizer: Any, talk: list[dict[str, str]]) -> str:
    text: str = tokenizer.apply_chat_template(talk, add_generation_prompt=True, tokenize=False)
    return text


@torch.no_grad()
def complete(
    model: Any, tokenizer: Any, texts: list[str], max_new_tokens: int, temperature: float, generator: torch.Generator
) -> list[str]:
    """Return one continuation of each rendered text, up to its end token."""
    inputs = tokenizer(texts, padding=True, add_special_tokens=False, return_tensors="pt")
    ids_R_T, mask_R_T, cache = inputs["input_ids"], inputs["attention_mask"], None
    end = model.generation_config.eos_token_id
    ended_R = torch.zeros(len(texts), dtype=torch.bool)
    said: list[Tensor] = []
    for _ in range(max_new_tokens):
        positions_R_T = (mask_R_T.cumsum(1) - 1).clamp(min=0)[:, -ids_R_T.shape[1] :]
        out = model(
            input_ids=ids_R_T,
            attention_mask=mask_R_T,
            position_ids=positions_R_T,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        next_R = _choose(out.logits[:, -1], temperature, generator)
        next_R[ended_R] = end
        ended_R |= next_R == end
        said.append(next_R)
        if ended_R.all():
            break
        ids_R_T = next_R[:, None]
        mask_R_T = torch.cat([mask_R_T, torch.ones_like(ids_R_T)], dim=1)
    texts_R: list[str] = tokenizer.batch_decode(torch.stack(said, 1), skip_special_tokens=True)
    return texts_R


def _choose(logits_R_V: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits_R_V.argmax(-1)
    return torch.multinomial((logits_R_V / temperature).softmax(-1), 1, generator=generator)[:, 0]
