"""One batch of episodes through the objective: its value, its gradient, and what was seen on the way.

Micro-batches by token budget cannot change the result: every denominator counts all episodes of the batch. Episodes
that cannot move anything (advantage 0 and no other term) are left out of the passes, but not out of the denominators.
Gradient flows through action tokens only. Ranks have all episodes, and each its own passes (`eggym.agents.gradients`).
_T: action tokens of an episode, end to end over its segments; _M: of a pass.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eggym.episode import Segment
from eggym.policy import Policy
from eggym.ranks import Ranks
from eggym.seeding import stream

from .gradients import gradients, idle_pass, own_batches
from .objective import BY_SEQUENCE, kl_penalty, token_objective, token_weights
from .options import RlOptions
from .scoring import Scores, score

Floats = NDArray[np.float64]
_SUMS = ("n_tokens", "held", "entropy", "kl_old", "kl_start")  # of a tally


@dataclass(frozen=True, slots=True)
class Sample:
    """One episode, ready for the loss; arrays have one number per action token."""

    segments: Sequence[Segment]
    advantages_T: Floats
    reference_T: Floats | None = None  # log-probabilities of the start weights; needed with a kl_loss
    values_T: Floats | None = None  # what the critic said when the tokens were sampled
    returns_T: Floats | None = None  # what it should have said

    @property
    def n_tokens(self) -> int:
        """How many tokens the policy sampled."""
        return len(self.advantages_T)


@dataclass(slots=True)
class Tally:
    """Sums over the tokens of the passes; means come out as metrics."""

    n_tokens: int = 0
    held: float = 0.0
    entropy: float = 0.0
    kl_old: float = 0.0
    kl_start: float = 0.0
    max_dlogp: float = 0.0

    def see(self, scores: Scores, old_M: Tensor, held_M: Tensor, reference_M: Tensor | None) -> None:
        """Count one pass."""
        new_M = scores.logprobs_M.detach()
        change_M = new_M - old_M
        self.n_tokens += len(change_M)
        self.held += float(held_M.sum())
        self.entropy += float(scores.entropy_M.detach().sum())
        self.kl_old += float((change_M.expm1() - change_M).sum())  # k3 of KL(old || new) on old's tokens
        if reference_M is not None:
            away_M = reference_M - new_M
            self.kl_start += float((away_M.expm1() - away_M).sum())
        self.max_dlogp = max(self.max_dlogp, float(change_M.abs().max()))

    def add(self, other: "Tally") -> None:
        """Take over what another has seen, but for the largest change."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def means(self) -> dict[str, float]:
        """Return means over tokens; empty if there were none."""
        if not self.n_tokens:
            return {}
        named = {"clip_fraction": self.held, "entropy": self.entropy, "kl_old": self.kl_old}
        return {name: total / self.n_tokens for name, total in named.items()}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Value and gradient of the objective; a parameter that no pass reached has no gradient."""

    objective: float
    gradients: dict[str, Tensor]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Columns:
    """The numbers of the tokens of one pass."""

    old_M: Tensor
    advantages_M: Tensor
    weights_M: Tensor
    sequence_M: Tensor
    reference_M: Tensor | None
    values_M: Tensor | None
    returns_M: Tensor | None


Extra = Callable[[Scores, Columns], Tensor]  # another term of the objective, such as a critic's


@dataclass(frozen=True, slots=True)
class _Row:
    """A segment and where it stands in its batch."""

    segment: Segment
    sample: int
    tokens: slice  # of the sample's action tokens


def batch_objective(
    policy: Policy,
    parameters: Mapping[str, nn.Parameter],
    samples: Sequence[Sample],
    options: RlOptions,
    extra: Extra | None = None,
) -> Outcome:
    """Return value and gradient of the objective of a whole batch.

    Args:
        policy: scored as it is now; the old log-probabilities are those kept in the segments.
        parameters: with respect to which the gradient is taken, such as ``space.select(policy.model)``; they need
            none before and after.
        samples: all episodes of the batch that count, those with advantage 0 included.
        options: what is maximised.
        extra: another term, already reduced, of the scores (hidden states included) and columns of a pass.
    """
    weights_E = token_weights(np.array([one.n_tokens for one in samples]), options.reduction, options.length)
    units = _units(samples, options, everything=extra is not None)
    tally, objective = Tally(), 0.0
    segments = [[row.segment for row in unit] for unit in units]
    with gradients(policy, parameters) as found:
        for indices in own_batches(segments, options.tokens_per_pass, policy):
            if not indices:
                idle_pass(policy, segments[0][0], hidden=extra is not None)
                continue
            rows = [row for index in indices for row in units[index]]
            objective += _pass(policy, rows, samples, weights_E, options, extra, tally)
    return Outcome(_joined(policy.ranks, objective, tally), found, tally)


def _joined(ranks: Ranks, objective: float, tally: Tally) -> float:
    """Let a tally be that of all ranks; return their objective."""
    if ranks.size == 1:
        return objective
    own = np.array([objective, *(getattr(tally, name) for name in _SUMS), tally.max_dlogp])
    rows_R = np.array([np.frombuffer(words) for words in ranks.gather(own.tobytes())])
    for name, total in zip(_SUMS, rows_R[:, 1:-1].sum(0).tolist(), strict=True):
        setattr(tally, name, type(getattr(tally, name))(total))
    tally.max_dlogp = float(rows_R[:, -1].max())
    return float(rows_R[:, 0].sum())


def _units(samples: Sequence[Sample], options: RlOptions, everything: bool) -> list[list[_Row]]:
    """Return what must stay in one pass: segments, or episodes where the ratio is one of whole sequences."""
    everything = everything or options.kl_loss > 0 or options.entropy_bonus > 0
    units: list[list[_Row]] = []
    for index, sample in enumerate(samples):
        if not everything and not sample.advantages_T.any():
            continue
        rows, start = [], 0
        for segment in sample.segments:
            stop = start + sum(segment.actions)
            if stop > start:
                rows.append(_Row(segment, index, slice(start, stop)))
            start = stop
        if options.objective in BY_SEQUENCE and rows:
            units.append(rows)
        else:
            units += [[row] for row in rows]
    return units


def _pass(
    policy: Policy,
    rows: Sequence[_Row],
    samples: Sequence[Sample],
    weights_E: Floats,
    options: RlOptions,
    extra: Extra | None,
    tally: Tally,
) -> float:
    """Add the gradient of one micro-batch; return its share of the objective."""
    segments = [row.segment for row in rows]
    scores = score(policy, segments, options.temperature, options.entropy_bonus > 0, hidden=extra is not None)
    columns = _columns(rows, samples, weights_E, scores.logprobs_M)
    value_M, held_M = token_objective(
        scores.logprobs_M, columns.old_M, columns.advantages_M,
        options.objective, options.clip_low, options.clip_high, columns.sequence_M,
    )  # fmt: skip
    if options.kl_loss > 0 and columns.reference_M is not None:
        penalty_M = kl_penalty(scores.logprobs_M, columns.old_M, columns.reference_M, options.kl_estimator)
        value_M = value_M - options.kl_loss * penalty_M
    if options.entropy_bonus > 0:
        value_M = value_M + options.entropy_bonus * scores.entropy_M
    objective = (value_M * columns.weights_M).sum()
    if extra is not None:
        objective = objective + extra(scores, columns)
    (-objective).backward()  # type: ignore[no-untyped-call]
    tally.see(scores, columns.old_M, held_M, columns.reference_M)
    return float(objective.detach())


def _columns(rows: Sequence[_Row], samples: Sequence[Sample], weights_E: Floats, like_M: Tensor) -> Columns:
    def tensor(parts: Sequence[Floats]) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(like_M)

    def optional(name: str) -> Tensor | None:
        found = [getattr(samples[row.sample], name) for row in rows]
        return None if any(one is None for one in found) else tensor(
            [one[row.tokens] for one, row in zip(found, rows, strict=True)]
        )  # fmt: skip

    counts = [row.tokens.stop - row.tokens.start for row in rows]
    places = {sample: place for place, sample in enumerate(dict.fromkeys(row.sample for row in rows))}
    sequences = np.repeat([places[row.sample] for row in rows], counts)
    return Columns(
        tensor([old_logprobs(row.segment) for row in rows]),
        tensor([samples[row.sample].advantages_T[row.tokens] for row in rows]),
        tensor([np.full(count, weights_E[row.sample]) for row, count in zip(rows, counts, strict=True)]),
        torch.from_numpy(sequences).to(like_M.device),
        optional("reference_T"),
        optional("values_T"),
        optional("returns_T"),
    )


def old_logprobs(segment: Segment) -> Floats:
    """Return the sampling log-probabilities of a segment's action tokens."""
    return np.array([p for p, action in zip(segment.logprobs, segment.actions, strict=True) if action], np.float64)


def minibatches(n_episodes: int, epochs: int, n_parts: int, seed: int, step: int) -> list[list[int]]:
    """Return the episodes of each optimizer step, in order: every epoch deals all of them out anew."""
    parts = []
    for epoch in range(epochs):
        order = list(range(n_episodes))
        if n_parts > 1:
            stream(seed, "minibatch", step, epoch).shuffle(order)
        cuts = [n_episodes * part // n_parts for part in range(n_parts + 1)]
        parts += [order[cuts[part] : cuts[part + 1]] for part in range(n_parts)]
    return [part for part in parts if part]


def mean(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
