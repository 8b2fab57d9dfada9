"""Other architectures through the engine: learned positions, sliding windows, parallel blocks, fused projections."""

import pytest
import torch
import transformers

from eggym.budget import FlopModel, Meter
from eggym.counter import as_key
from eggym.engine import Engine
from eggym.errors import BadValue
from eggym.policy import Policy
from eggym.sampling import Draw
from eggym.seeding import key
from eggym.session import Sampling, Turn

SIZES = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
FAMILIES = {
    "Qwen2": {},
    "Qwen3": {},
    "Mistral": {"sliding_window": 6},
    "Gemma2": {"sliding_window": 6, "query_pre_attn_scalar": 8},
    "Gemma3": {"sliding_window": 6, "query_pre_attn_scalar": 8},
    "Phi3": {"sliding_window": None},
    "Olmo2": {},
    "GPTNeoX": {"num_key_value_heads": None, "head_dim": None},
    "GPT2": None,
}


class Nobody:
    def seat(self, member_of_row_R, group=1):
        return ()

    def take(self, seat):
        pass


def build(family):
    torch.manual_seed(3)
    if family == "GPT2":
        config = transformers.GPT2Config(
            vocab_size=100, n_embd=32, n_layer=2, n_head=4, n_positions=128, eos_token_id=2
        )
        return transformers.GPT2LMHeadModel(config)
    settings = {name: value for name, value in {**SIZES, **FAMILIES[family]}.items() if value is not None}
    model = getattr(transformers, f"{family}ForCausalLM")(_config(family)(**settings))
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.mul_(5)
    return model


def _config(family):
    return getattr(transformers, f"{family}{'Text' if family == 'Gemma3' else ''}Config")


@pytest.mark.parametrize("family", FAMILIES)
def test_two_turns_through_the_engine_equal_a_full_forward_pass(family, policy):
    model = build(family).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    subject = Policy(model, policy.tokenizer, family)
    prompts = [policy.tokenizer.encode(text) for text in ("474+439?", "a longer prompt for this one", "x")]
    new = [policy.tokenizer.encode(text, add_special_tokens=False) for text in ("high", "low!", "n")]
    sampling = Sampling(Draw(1.0, False), 12)
    with Engine(subject, Meter(FlopModel.of(model))).open(Nobody(), [0] * 16, sampling, 40) as session:
        first, second = [], []
        for found, texts in ((first, prompts), (second, new)):
            fresh = found is first
            session.begin([Turn(row, ids, as_key(key("row", row)), fresh) for row, ids in enumerate(texts)])
            while session.busy:
                session.decode()
            found.extend(session.reply(row) for row in range(3))
    for row in range(3):
        start = prompts[row] + first[row].ids + new[row]
        logprobs = model(torch.tensor([start + second[row].ids])).logits[0].float().log_softmax(-1)
        want = [logprobs[len(start) - 1 + i, token].item() for i, token in enumerate(second[row].ids)]
        assert second[row].logprobs == pytest.approx(want, rel=0, abs=1e-5)
        assert len(second[row].ids) > 1


def test_another_kind_of_attention_is_refused_by_name(policy):
    model = build("Qwen2")
    model.config.layer_types = ["full_attention", "chunked_attention"]
    subject = Policy(model, policy.tokenizer, "odd")
    with (
        pytest.raises(BadValue, match="has layers of kind 'chunked_attention'"),
        Engine(subject, Meter(FlopModel.of(model))).open(Nobody(), [0] * 16, Sampling(Draw(0.0, False), 1), 8),
    ):
        pass


@pytest.mark.parametrize("family", ["GPT2", "Mistral"])
def test_training_scores_padded_segments_as_it_would_alone(family, policy):
    from eggym.agents.scoring import action_logprobs
    from eggym.episode import Segment

    subject = Policy(build(family).eval().requires_grad_(False), policy.tokenizer, family)
    segments = [Segment([1, *range(4, 4 + n), 2], [False] * 3 + [True] * (n - 1), [0.0] * (n + 2)) for n in (4, 9, 15)]
    together = action_logprobs(subject, segments, 1.0).split([sum(one.actions) for one in segments])
    for one, found in zip(segments, together, strict=True):
        logprobs = subject.model(torch.tensor([one.ids])).logits[0].float().log_softmax(-1)
        want = [logprobs[place - 1, one.ids[place]].item() for place in range(3, len(one.ids))]
        assert found.tolist() == pytest.approx(want, rel=0, abs=1e-5)
