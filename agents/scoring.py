"""Teacher-forced scores of sampled tokens: the forward pass that policy gradients go through.

Segments are left-padded into micro-batches, so that the actions stand at the end and logits are computed there only.
Nothing is cut off the distribution: the engine samples from the whole vocabulary (it has no top-k and no top-p), and
so the ratio of new to old is that of the real policies. Axes in names: _R segments, _T positions, _M action tokens,
laid end to end, _V vocabulary, _D hidden.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eggym.episode import Segment
from eggym.policy import Policy
from eggym.shares import spread
from eggym.start_model import StartModel
from eggym.teacher_pass import teacher_pass

_ROWS = 4096  # tokens whose whole distributions are held at once for their entropy


@dataclass(frozen=True, slots=True)
class Scores:
    """What a pass says of the action tokens of some segments, in their order; float32."""

    logprobs_M: Tensor  # log pi(a), with gradient
    entropy_M: Tensor  # of the distribution each token was drawn from, in nats
    hidden_M_D: Tensor | None  # what the output head read to predict each token
    last_R_D: Tensor | None  # the same behind the last token of each segment


def micro_batches(units: Sequence[Sequence[Segment]], max_tokens: int) -> Iterator[list[int]]:
    """Yield indices of units, long ones first, such that rows x longest stays within ``max_tokens`` where it can.

    A unit is what must stay in one pass: one segment, or all segments of an episode.
    """
    longest = [max(len(segment.ids) for segment in unit) for unit in units]
    batch: list[int] = []
    n_rows = 0
    for index in sorted(range(len(units)), key=lambda index: (-longest[index], index)):
        if batch and longest[batch[0]] * (n_rows + len(units[index])) > max_tokens:
            yield batch
            batch, n_rows = [], 0
        batch.append(index)
        n_rows += len(units[index])
    if batch:
        yield batch


def action_logprobs(policy: Policy, segments: Sequence[Segment], temperature: float) -> Tensor:
    """Return log pi(a) of every action token of the segments, in their order: float32, (M,), with gradient."""
    return score(policy, segments, temperature).logprobs_M


def score(
    policy: Policy,
    segments: Sequence[Segment],
    temperature: float,
    entropy_gradient: bool = False,
    hidden: bool = False,
    model: Callable[..., Any] | None = None,
) -> Scores:
    """Pass segments, each with at least one action, through the policy.

    Args:
        policy: is not changed.
        segments: the rows of the pass.
        temperature: that of sampling, or the ratio of new to old would not start at 1.
        entropy_gradient: the entropy has a gradient too, which holds M x V numbers more.
        hidden: return what the output head reads.
        model: is called in place of the policy's own: the same architecture with other weights.
    """
    n_positions = max(len(segment.ids) for segment in segments)
    prompt_R = [segment.actions.index(True) for segment in segments]
    n_kept = max(len(segment.ids) - n for segment, n in zip(segments, prompt_R, strict=True))
    ids_R_T = torch.full((len(segments), n_positions), policy.pad_id, dtype=torch.int64)
    mask_R_T = torch.zeros(len(segments), n_positions, dtype=torch.int64)
    action_R_T = torch.zeros(len(segments), n_positions, dtype=torch.bool)
    for row, segment in enumerate(segments):
        start = n_positions - len(segment.ids)
        ids_R_T[row, start:] = torch.tensor(segment.ids)
        mask_R_T[row, start:] = 1
        action_R_T[row, start:] = torch.tensor(segment.actions)
    ids_R_T, mask_R_T = ids_R_T.to(policy.device), mask_R_T.to(policy.device)
    # the last token of a row predicts nothing, and is read only where its hidden state is wanted
    n_read = n_positions if hidden else n_positions - 1
    with teacher_pass(policy.model, prompt_R), _head_inputs(policy.model, hidden) as seen:
        inputs = {
            "input_ids": ids_R_T[:, :n_read],
            "attention_mask": mask_R_T[:, :n_read],
            "position_ids": (mask_R_T[:, :n_read].cumsum(1) - 1).clamp(min=0),
            "use_cache": False,
            "logits_to_keep": n_kept + hidden,
        }
        logits = (model or policy.model)(**inputs).logits[:, :n_kept]
    chosen_R_T = action_R_T[:, -n_kept:].to(policy.device)
    scaled_M_V = logits[chosen_R_T].float() / temperature
    logprobs_M_V = scaled_M_V.log_softmax(-1)
    logprobs_M = logprobs_M_V.gather(1, ids_R_T[:, -n_kept:][chosen_R_T][:, None])[:, 0]
    entropy_M = _entropy(logprobs_M_V if entropy_gradient else logprobs_M_V.detach())
    if not hidden:
        return Scores(logprobs_M, entropy_M, None, None)
    hidden_R_T_D = seen[0][:, -(n_kept + 1) :]
    return Scores(logprobs_M, entropy_M, hidden_R_T_D[:, :-1][chosen_R_T].float(), hidden_R_T_D[:, -1].float())


def start_logprobs(
    policy: Policy, start: StartModel | None, episodes: Sequence[Sequence[Segment]], temperature: float, max_tokens: int
) -> Sequence[NDArray[np.float64] | None]:
    """Return what the start thinks of the action tokens of each episode, end to end; None for each where nobody asks.

    ``temperature`` is that of sampling, and ``max_tokens`` as in `micro_batches`. The passes are metered as the
    learner's.
    """
    if start is None:
        return [None] * len(episodes)
    return spread(
        policy.ranks,
        len(episodes),
        lambda chosen: _start_logprobs(policy, start, [episodes[place] for place in chosen], temperature, max_tokens),
    )


@torch.no_grad()
def _start_logprobs(
    policy: Policy, start: StartModel, episodes: Sequence[Sequence[Segment]], temperature: float, max_tokens: int
) -> list[NDArray[np.float64]]:
    rows = [(number, place) for number, one in enumerate(episodes) for place in range(len(one))]
    rows = [(number, place) for number, place in rows if any(episodes[number][place].actions)]
    found: list[list[NDArray[np.float64]]] = [[np.zeros(0) for _ in one] for one in episodes]
    for batch in micro_batches([[episodes[number][place]] for number, place in rows], max_tokens):
        chosen = [rows[index] for index in batch]
        segments = [episodes[number][place] for number, place in chosen]
        logprobs_M = score(policy, segments, temperature, model=start).logprobs_M
        parts = torch.split(logprobs_M, [sum(one.actions) for one in segments])
        for (number, place), part in zip(chosen, parts, strict=True):
            found[number][place] = part.double().cpu().numpy()
    return [np.concatenate([*one, np.zeros(0)]) for one in found]


def _entropy(logprobs_M_V: Tensor) -> Tensor:
    return torch.cat([torch.special.entr(part.exp()).sum(-1) for part in torch.split(logprobs_M_V, _ROWS)])


@contextmanager
def _head_inputs(model: Any, wanted: bool) -> Iterator[list[Tensor]]:
    """Collect what the output head reads, (R, T, D) each time."""
    seen: list[Tensor] = []
    if not wanted:
        yield seen
        return
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        hook.remove()
