"""Drift: how far a policy has moved from where it started, on prompts that training never sees.

A few replies are sampled once, from the start weights at temperature 1. Each step reads them again with the present
weights, in one pass, and compares what both think of every reply token: KL(start || present) per token.

- Where reply tokens x vocabulary is small, the start's distributions are kept and the sum over the vocabulary is exact.
- Elsewhere only the sampled tokens count: the mean of (r - 1) - log r with r = p_present / p_start, which is never
  negative and has the KL as its expectation under the start (J. Schulman, "Approximating KL Divergence", 2020).

Left out: how far the weights moved, and drift on prompts of other tasks. Axes in names: _R segments, _T positions,
_M reply tokens laid end to end, _V vocabulary.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from eggym.budget import Meter
from eggym.config import Plan
from eggym.episode import Segment
from eggym.errors import BadValue, TaskFault
from eggym.evaluate import first_items
from eggym.policy import Policy
from eggym.task import Item
from eggym.views import PolicyViews

KL_BASE = "kl_base"  # its name among the metrics of a step
EXACT = 1 << 22  # reply tokens x vocabulary up to which whole distributions are kept: 32 MiB in float64
_PASS = 1 << 24  # logits of one pass: 64 MiB in float32


class Reference:
    """Replies of a policy, and what it thought of each of their tokens when this was made."""

    def __init__(self, policy: Policy, segments: Sequence[Segment]) -> None:
        """Read the segments (each with at least one action) with the present weights."""
        self._policy, self._segments = policy, list(segments)
        n_tokens = sum(sum(segment.actions) for segment in self._segments)
        self.exact = n_tokens * int(policy.model.get_output_embeddings().weight.shape[0]) <= EXACT
        self._start = self._logprobs(_seat_nobody)

    def divergence(self, seat: Callable[[int], None] | None = None) -> float:
        """Return the mean KL(then || now) per reply token, in nats, at least 0; exactly 0 for equal weights.

        ``seat`` is called with the number of rows before each pass: with members laid over the model, it says whose
        turn it is.
        """
        now = self._logprobs(seat or _seat_nobody)
        if self.exact:
            each_M = (self._start.exp() * (self._start - now)).sum(-1)
        else:
            log_ratio_M = now - self._start
            each_M = log_ratio_M.expm1() - log_ratio_M
        return max(0.0, math.fsum(each_M.tolist()) / len(each_M))  # the sum over a vocabulary may round below 0

    def _logprobs(self, seat: Callable[[int], None]) -> Tensor:
        """Return log-probabilities at temperature 1, float64: (M, V) if exact, else of the sampled tokens, (M,)."""
        parts = []
        for rows in passes(self._policy, self._segments):
            seat(len(rows))
            logits_M_V, tokens_M = reply_logits(self._policy, rows)
            logprobs_M_V = logits_M_V.double().log_softmax(-1)
            parts.append(logprobs_M_V if self.exact else logprobs_M_V.gather(1, tokens_M[:, None])[:, 0])
        return torch.cat(parts)


def start_drift(plan: Plan, meter: Meter) -> "Drift | None":
    """Return the drift of a run whose policy holds its start weights; None where there is none to follow.

    That is: it was switched off (``eval.drift=0``), or the held-out split has no prompts that can be asked and judged.
    A run does not fail for want of a monitor.
    """
    if plan.evaluation.drift == 0:
        return None
    try:
        items = _items(plan)
        return Drift(plan, items, meter) if items else None
    except TaskFault:  # training and evaluation will say so, if it concerns them
        return None


class Drift:
    """Follows one run."""

    def __init__(self, plan: Plan, items: Sequence[Item], meter: Meter) -> None:
        """Sample one reply to each item, once; ``meter`` counts evaluation."""
        batch = plan.rollout(meter, "drift").run(PolicyViews(len(items), 1, 1.0), items, step=0)
        self.reference = Reference(plan.policy, [segment for one in batch.episodes for segment in one.segments])

    def measure(self) -> float:
        """Return the KL from the start to the present weights, per reply token, in nats."""
        return self.reference.divergence()


@torch.no_grad()
def reply_logits(
    policy: Policy, segments: Sequence[Segment], model: Callable[..., Any] | None = None
) -> tuple[Tensor, Tensor]:
    """Return the logits, float32 (M, V), from which each action token of the segments came, and the tokens, (M,).

    One pass, left-padded, so that the actions stand at the end and logits are computed there only. ``model`` is called
    in place of the policy's own: the same architecture with other weights.
    """
    n_positions = max(len(segment.ids) for segment in segments)
    n_kept = max(len(segment.ids) - segment.actions.index(True) for segment in segments)
    ids_R_T = torch.full((len(segments), n_positions), policy.pad_id, dtype=torch.int64)
    mask_R_T = torch.zeros_like(ids_R_T)
    action_R_T = torch.zeros_like(ids_R_T, dtype=torch.bool)
    for row, segment in enumerate(segments):
        start = n_positions - len(segment.ids)
        ids_R_T[row, start:] = torch.tensor(segment.ids)
        mask_R_T[row, start:] = 1
        action_R_T[row, start:] = torch.tensor(segment.actions)
    mask_R_T = mask_R_T.to(policy.device)
    logits = (model or policy.model)(
        input_ids=ids_R_T.to(policy.device),
        attention_mask=mask_R_T,
        position_ids=(mask_R_T.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=n_kept + 1,
    ).logits[:, :-1]
    chosen_R_T = action_R_T[:, -n_kept:]
    return logits[chosen_R_T.to(policy.device)].float(), ids_R_T[:, -n_kept:][chosen_R_T].to(policy.device)


def passes(policy: Policy, segments: Sequence[Segment]) -> Iterator[Sequence[Segment]]:
    """Give the segments in runs whose logits fit the memory of one pass."""
    longest = max(len(segment.ids) for segment in segments)
    rows = max(1, _PASS // (longest * int(policy.model.get_output_embeddings().weight.shape[0])))
    for start in range(0, len(segments), rows):
        yield segments[start : start + rows]


def _items(plan: Plan) -> list[Item]:
    """Return the first different held-out items whose prompts the model can read."""
    split = "validation" if plan.config.split != "validation" else "test"
    return [item for item in first_items(plan.task, split, plan.evaluation.drift) if _readable(plan, item)]


def _readable(plan: Plan, item: Item) -> bool:
    try:
        plan.policy.prompt_ids(plan.prompting, item.prompt)
    except BadValue:
        return False
    return True


def _seat_nobody(n_rows: int) -> None:
    """Leave the policy itself in place."""
