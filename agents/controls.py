"""Controls: what a learner must beat before its gain means anything.

`frozen` never changes the policy. `random-reward:<learner>` is the learner itself, fed with rewards that were
shuffled among the episodes of a step: whatever it gains, it did not gain from the reward (cf. arXiv 2506.10947).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eggym.episode import Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.learner import Holder, Learner, LearnerSpec
from eggym.policy import Policy
from eggym.seeding import stream
from eggym.task import Verdict
from eggym.views import ParameterSpace, Views


@dataclass(frozen=True, slots=True)
class NoOptions:
    """No settings."""


class Frozen:
    """Asks for nothing."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: NoOptions) -> None:
        """Nothing to prepare."""

    def ask(self, step: int) -> Views | None:
        """Return None: there is nothing to try."""
        return None

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Learn nothing."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore nothing."""


class RandomReward:
    """Another learner, whose rewards are shuffled among all episodes of the step."""

    def __init__(self, inner: Learner, seed: int) -> None:
        """Wrap a learner."""
        self._inner, self._seed = inner, seed

    @property
    def n_held(self) -> int:
        """Those of the inner learner."""
        return self._inner.n_held if isinstance(self._inner, Holder) else 0

    def ask(self, step: int) -> Views | None:
        """Return what the inner learner asks for."""
        return self._inner.ask(step)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Shuffle what is told, verdicts with their penalties, then tell."""
        told = [(episode.verdict, episode.penalty) for episode in batch.episodes]
        stream(self._seed, "random-reward", batch.step).shuffle(told)
        episodes = [_with(episode, *one) for episode, one in zip(batch.episodes, told, strict=True)]
        return self._inner.tell(dataclasses.replace(batch, episodes=episodes))

    def state_dict(self) -> dict[str, Any]:
        """Return the inner learner's state."""
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the inner learner."""
        self._inner.load_state_dict(state)


def _with(episode: Episode, verdict: Verdict, penalty: float) -> Episode:
    """Return an episode with another's verdict and penalty; its turns earn nothing until the last.

    They would tell its own.
    """
    given = float("nan") if verdict.reward is None else verdict.reward - penalty
    last = len(episode.turns) - 1
    turns = [
        dataclasses.replace(turn, reward=given if place == last else 0.0) for place, turn in enumerate(episode.turns)
    ]
    return dataclasses.replace(episode, verdict=verdict, penalty=penalty, turns=turns)


FROZEN = LearnerSpec("frozen", "control", NoOptions, Frozen, shares_passes=True)


def RANDOM_REWARD(inner: LearnerSpec) -> LearnerSpec:  # named in the table beside the constants
    """Return the control of a learner.

    Raises:
        BadValue: a baseline, which does not learn from the rewards of what it tried, or a control itself.
    """
    if inner.kind == "control":
        raise BadValue(f"{inner.name} is a control itself; give random-reward a learner such as eggroll")
    if inner.kind == "baseline":
        raise BadValue(f"{inner.name} is a baseline and has no control; give random-reward a learner such as eggroll")

    def build(policy: Policy, space: ParameterSpace, seed: int, options: Any) -> Learner:
        return RandomReward(inner.build(policy, space, seed, options), seed)

    return dataclasses.replace(inner, name=f"random-reward:{inner.name}", kind="control", build=build)
