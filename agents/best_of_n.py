"""Best of n: no training; the budget buys replies to the evaluation's own items, and the best by reward counts.

Each step draws one more reply at temperature 1 to every held-out item, so that after a fraction f of the budget n(f) is
the number of whole steps that it paid, whatever the axis. The replies are those that an evaluation would draw: number 0
is what the frozen policy says at temperature 1. Two scores, each of n replies:

- sampled: the best of the n samples (n = 0: what the evaluation sampled, as for every learner at its start);
- greedy: the best of the greedy reply and the first n - 1 samples (n = 0 or 1: the greedy reply).

An upper bound and no policy: it chooses by the reward, at test time, which nobody has who wants an answer. Ties go to
the earlier reply; one that could not be judged is never chosen before one that could.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from eggym.asking import HeldOutViews
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.learner import LearnerSpec
from eggym.policy import Policy
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace


@dataclass(frozen=True, slots=True)
class Options:
    """No settings: n follows from the budget; temperature and items are those of the evaluation."""


class BestOfN:
    """Holds, for every held-out item, the best reply of all samples and of all but the last."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Nothing is prepared, and the weights are never changed."""
        self._n = 0
        self._best: list[Episode] = []
        self._before: list[Episode] = []  # without the last sample

    def ask(self, step: int) -> HeldOutViews:
        """Return one more reply to every held-out item."""
        return HeldOutViews(0, 1, 1.0, first_sample=self._n)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Keep the better replies; metrics: n, and the mean reward of the best so far."""
        self._before = self._best
        self._best = _better(self._best, batch.episodes) if self._best else list(batch.episodes)
        self._n += 1
        known = [one.reward for one in self._best if one.reward is not None]
        return {"n": float(self._n), "best": sum(known) / len(known) if known else 0.0}

    def choose(self, greedy: EpisodeBatch, sampled: EpisodeBatch) -> tuple[EpisodeBatch, EpisodeBatch]:
        """Return the best of the greedy replies and n - 1 samples, and the best of n samples."""
        first = _better(greedy.episodes, self._before) if self._before else greedy.episodes
        second = [replace(one, sample=0) for one in self._best]
        return (
            replace(greedy, episodes=[replace(one, sample=0) for one in first]),
            replace(sampled, episodes=second, n_replies=1) if second else sampled,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the kept replies."""
        return {"n": self._n, "best": list(map(_packed, self._best)), "before": list(map(_packed, self._before))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._n = state["n"]
        self._best, self._before = ([_unpacked(one) for one in state[name]] for name in ("best", "before"))


def _better(kept: list[Episode], others: list[Episode]) -> list[Episode]:
    """Return the better of two replies to each item, the kept one where they are equal."""
    return [other if _worth(other) > _worth(one) else one for one, other in zip(kept, others, strict=True)]


def _worth(episode: Episode) -> float:
    return float("-inf") if episode.reward is None else episode.reward


def _packed(episode: Episode) -> dict[str, Any]:
    """Return an episode as plain values, for a checkpoint; what a score and a transcript need."""
    item, verdict = episode.item, episode.verdict
    return {
        "item": [item.prompt, item.index, item.split],
        "place": [episode.slot, episode.sample],
        "segments": [[segment.ids, segment.actions, segment.logprobs] for segment in episode.segments],
        "turns": [[turn.observation, turn.reply, turn.reward, turn.n_tokens] for turn in episode.turns],
        "verdict": [verdict.reward, verdict.state.value, verdict.found, verdict.why, dict(verdict.parts)],
        "ending": episode.ending.value,
    }


def _unpacked(state: Mapping[str, Any]) -> Episode:
    prompt, index, split = state["item"]
    slot, sample = state["place"]
    reward, verdict_state, found, why, parts = state["verdict"]
    return Episode(
        Item(prompt, index=index, split=split),
        0,
        slot,
        sample,
        [Segment(*segment) for segment in state["segments"]],
        [Turn(*turn) for turn in state["turns"]],
        Verdict(reward, VerdictState(verdict_state), found, why, parts),
        Ending(state["ending"]),
    )


SPEC = LearnerSpec(
    "best-of-n",
    "baseline",
    Options,
    BestOfN,
    note="an upper bound: it chooses among its replies to the held-out items by their reward, at test time",
)
