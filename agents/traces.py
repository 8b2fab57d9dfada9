"""What an update needs of an episode, and what truncation does to it.

An ending that a limit forced (tokens of a reply, turns, context) is not one that the task reached. Three treatments:

* keep: the reward stands as it was judged;
* drop: the episode leaves the loss and its denominators, but stays in its group's statistics (DAPO, "overlong
  filtering");
* penalise: a declared amount is taken off the reward.

Beside them, a soft penalty for length (DAPO, arXiv 2503.14476, eq. 13): 0 up to ``length - overlong`` action tokens of
the episode, falling linearly to -1 at ``length`` and staying there.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eggym.episode import Episode, EpisodeBatch, Segment
from eggym.errors import BadValue

Truncated = Literal["keep", "drop", "penalise"]
TRUNCATED: tuple[Truncated, ...] = ("keep", "drop", "penalise")


@dataclass(frozen=True, slots=True)
class Trace:
    """An episode without its texts."""

    segments: tuple[Segment, ...]
    reward: float  # of the whole episode; NaN: could not be judged
    turn_rewards: tuple[float, ...]  # they add up to it
    turn_tokens: tuple[int, ...]  # action tokens of each turn
    truncated: bool

    @property
    def n_tokens(self) -> int:
        """How many tokens the policy sampled."""
        return sum(self.turn_tokens)

    @property
    def known(self) -> bool:
        """Whether it could be judged."""
        return bool(np.isfinite(self.reward))

    def less(self, amount: float) -> "Trace":
        """Return it with something taken off the reward of its last turn."""
        if not amount:
            return self
        *before, last = self.turn_rewards
        return replace(self, reward=self.reward - amount, turn_rewards=(*before, last - amount))


Group = tuple[Trace, ...]  # the replies to one item


def trace(episode: Episode) -> Trace:
    """Return what an update needs of an episode; one without recorded turns is taken as one turn."""
    reward = float("nan") if episode.told is None else float(np.float32(episode.told))
    n_tokens = episode.n_action_tokens
    rewards: tuple[float, ...] = (reward,)
    tokens: tuple[int, ...] = (n_tokens,)
    if episode.turns:
        rewards = tuple(turn.reward for turn in episode.turns)
        tokens = tuple(turn.n_tokens for turn in episode.turns)
    if sum(tokens) != n_tokens:
        raise BadValue(f"the turns of an episode have {sum(tokens)} action tokens, its segments {n_tokens}")
    return Trace(tuple(episode.segments), reward, rewards, tokens, episode.truncated)


def groups(batch: EpisodeBatch, treatment: Truncated, penalty: float, length: int, overlong: int) -> list[Group]:
    """Return the episodes of a step by item, with their rewards as the learner sees them."""
    traces = [trace(episode) for episode in batch.episodes]
    shaped = [
        one.less(overlong_penalty(one.n_tokens, length, overlong)).less(
            penalty if treatment == "penalise" and one.truncated else 0.0
        )
        for one in traces
    ]
    size = batch.n_replies
    return [tuple(shaped[start : start + size]) for start in range(0, len(shaped), size)]


def overlong_penalty(n_tokens: int, length: int, overlong: int) -> float:
    """Return what an episode of ``n_tokens`` loses, from 0 to 1; ``overlong`` 0 is never."""
    if not overlong:
        return 0.0
    return min(max((n_tokens - (length - overlong)) / overlong, 0.0), 1.0)


def returns_P_G(found: Sequence[Group]) -> NDArray[np.float32]:
    """Return the rewards as item x sample; NaN where a reply could not be judged."""
    return np.array([[one.reward for one in group] for group in found], dtype=np.float32)


def informative(group: Group, earned: Callable[[Trace], Hashable]) -> bool:
    """Whether the replies that could be judged differ in what they earned."""
    return len({earned(one) for one in group if one.known}) > 1


def pack(found: Sequence[Group]) -> dict[str, Any]:
    """Return groups as a few tensors and lists, for a checkpoint."""
    traces = [one for group in found for one in group]
    segments = [segment for one in traces for segment in one.segments]
    return {
        "sizes": [len(group) for group in found],
        "segments": [len(one.segments) for one in traces],
        "turns": [len(one.turn_tokens) for one in traces],
        "lengths": [len(segment.ids) for segment in segments],
        "ids": torch.tensor([token for segment in segments for token in segment.ids], dtype=torch.int64),
        "actions": torch.tensor([action for segment in segments for action in segment.actions], dtype=torch.bool),
        "logprobs": torch.tensor([p for segment in segments for p in segment.logprobs], dtype=torch.float64),
        "rewards": torch.tensor([one.reward for one in traces], dtype=torch.float64),
        "turn_rewards": torch.tensor([r for one in traces for r in one.turn_rewards], dtype=torch.float64),
        "turn_tokens": [n for one in traces for n in one.turn_tokens],
        "truncated": [one.truncated for one in traces],
    }


def unpack(state: Mapping[str, Any]) -> list[Group]:
    """Return what `pack` was given, to the bit."""
    columns = [_cut(state[name].tolist(), state["lengths"]) for name in ("ids", "actions", "logprobs")]
    segments = [Segment(ids, actions, logprobs) for ids, actions, logprobs in zip(*columns, strict=True)]
    traces = [
        Trace(tuple(own), reward, tuple(rewards), tuple(tokens), bool(truncated))
        for own, reward, rewards, tokens, truncated in zip(
            _cut(segments, state["segments"]),
            state["rewards"].tolist(),
            _cut(state["turn_rewards"].tolist(), state["turns"]),
            _cut(state["turn_tokens"], state["turns"]),
            state["truncated"],
            strict=True,
        )
    ]
    return [tuple(group) for group in _cut(traces, state["sizes"])]


def _cut(flat: Sequence[Any], lengths: Sequence[int]) -> list[list[Any]]:
    stops = np.cumsum([0, *lengths]).tolist()
    return [list(flat[start:stop]) for start, stop in pairwise(stops)]
