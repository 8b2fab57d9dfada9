"""Best prompt: no weight changes; the budget looks for a fixed prompt that earns more than the run's own.

Brackets of successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943, algorithm 1, with doubled items in place
of a known budget), one after the other until the budget is spent:

1. The oracle answers training items: ``sets`` sets of examples for prompts of 1, 2, 4 ... up to ``most_shots``.
2. All candidates, the run's own prompting and the best so far among them, answer the same ``items`` training items.
   The better half, rounded up, by mean reward over the bracket, goes on to twice as many items, until one is left.

Evaluations ask as the best so far does. In the first bracket that is the leader of each comparison; from then on it
takes part in every comparison of a bracket to its end, and only who is ahead of it there takes its place: a few items
of a bracket that the budget cut short overturn nothing. Ties go to the earlier candidate, the run's own first. Without
examples (``most_shots=0``) the candidates never change, and their rewards add up over the
brackets. Candidates that the model cannot read are left out and counted. The search sees the truth of training items,
through the oracle, and no held-out item's reward; what it found is kept in ``prompt.json``.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eggym.asking import OracleViews, PromptedViews
from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.learner import LearnerSpec, check_temperature
from eggym.policy import Policy, Prompting
from eggym.views import ParameterSpace

from .prompt_candidates import SEPARATOR, candidates, examples_of, packed, read_systems, shot_counts, unpacked

MOST_SETS = 64
MOST_ITEMS = 1 << 16  # of the first comparison: every later one doubles them


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of `BestPrompt`."""

    items: int = 16  # of the first comparison of a bracket
    replies: int = 1  # to each item, by each candidate
    temperature: float = 0.0
    most_shots: int = 4  # 1, 2, 4 ... examples are tried, up to this; 0: none
    sets: int = 2  # different examples for each number of them
    systems: str = ""  # system prompts to try: texts separated by |||, or @FILE that holds them

    def __post_init__(self) -> None:
        """Refuse values outside their range; what a file holds takes the place of its name."""
        for name, most in (("items", MOST_ITEMS), ("replies", MOST_ITEMS), ("sets", MOST_SETS)):
            if not 1 <= getattr(self, name) <= most:
                raise BadValue(f"{name} must lie from 1 to {most}, got {getattr(self, name)}")
        check_temperature(self.temperature, greedy=True)
        if not 0 <= self.most_shots <= 32:
            raise BadValue(f"most_shots must lie from 0 (no examples) to 32, got {self.most_shots}")
        object.__setattr__(self, "systems", SEPARATOR.join(read_systems(self.systems)))


class BestPrompt:
    """The learner."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run; ``seed`` is not used, for items and random numbers are named by the loop."""
        self._options = options
        self._systems = read_systems(options.systems)
        self._own = self._best = Prompting()
        self._fits: Callable[[Prompting], bool] = lambda prompting: True
        self._candidates: list[Prompting] = []  # of the bracket; none: it waits for examples
        self._alive: list[int] = []
        self._sums: list[list[float]] = []  # by candidate: sum of rewards, and how many
        self._rung = 0
        self._proven = False  # a bracket came to its end
        self._over = False

    @property
    def prompting(self) -> Prompting:
        """The best so far; at first the run's own."""
        return self._best

    def begin(self, prompting: Prompting, fits: Callable[[Prompting], bool]) -> None:
        """Take how the run prompts, and what says whether the model can read the task otherwise."""
        self._own = self._best = prompting
        self._fits = fits
        if not self._options.most_shots:
            self._open([])

    def preview(self) -> PromptedViews | None:
        """Return the first comparison, as if every candidate could be read."""
        n_shown = len(shot_counts(self._options.most_shots)) * self._options.sets
        n_candidates = (1 + len(self._systems)) * (1 + n_shown)
        return None if self._over else self._views([self._own] * n_candidates, self._options.items)

    def ask(self, step: int) -> OracleViews | PromptedViews | None:
        """Return a request for examples, or the next comparison; None when there is nothing to choose from."""
        options = self._options
        if self._over:
            return None
        if not self._candidates:
            n_examples = options.sets * shot_counts(options.most_shots)[-1]
            return OracleViews(n_examples, 1, instead="try no examples with --set best-prompt.most_shots=0")
        return self._views([self._candidates[place] for place in self._alive], options.items << self._rung)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Open a bracket with these examples, or halve it by these rewards.

        Metrics. Of examples: dropped (not correct), candidates, left_out. Of a comparison: candidates that took part,
        leader (its mean reward over the bracket), shots (examples of the leader), changed (1: it is not the run's own).
        """
        if not self._candidates:
            examples = examples_of(batch.episodes)
            size = len(examples) // self._options.sets
            left_out = self._open([examples[start : start + size] for start in range(0, len(examples), size)])
            dropped = sum(one is None for one in examples)
            return {"dropped": float(dropped), "candidates": float(len(self._alive)), "left_out": float(left_out)}
        return self._compare(batch)

    def state_dict(self) -> dict[str, Any]:
        """Return the bracket and the best so far."""
        return {
            "best": packed(self._best),
            "candidates": [packed(one) for one in self._candidates],
            "alive": list(self._alive),
            "sums": [list(one) for one in self._sums],
            "rung": self._rung,
            "proven": self._proven,
            "over": self._over,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._best = unpacked(self._own, state["best"])
        self._candidates = [unpacked(self._own, one) for one in state["candidates"]]
        self._alive, self._sums = list(state["alive"]), [list(one) for one in state["sums"]]
        self._rung, self._proven, self._over = state["rung"], state["proven"], state["over"]

    def _views(self, promptings: list[Prompting], n_items: int) -> PromptedViews:
        options = self._options
        return PromptedViews(
            n_items, options.replies, options.temperature, len(promptings), "shared", promptings_N=tuple(promptings)
        )

    def _open(self, sets: list[Any]) -> int:
        """Begin a bracket; return how many candidates were left out."""
        options = self._options
        self._candidates, left_out = candidates(
            self._own, self._best, self._systems, sets, options.most_shots, self._fits
        )
        self._sums = [[0.0, 0.0] for _ in self._candidates]
        self._alive, self._rung = list(range(len(self._candidates))), 0
        self._over = len(self._candidates) < 2
        return left_out

    def _compare(self, batch: EpisodeBatch) -> Mapping[str, float]:
        for place, rewards_P_G in zip(self._alive, batch.rewards_N_P_G().astype(np.float64), strict=True):
            known = rewards_P_G[np.isfinite(rewards_P_G)]
            self._sums[place][0] += math.fsum(known.tolist())
            self._sums[place][1] += len(known)
        ranked = sorted(self._alive, key=lambda place: (-self._mean(place), place))
        leader, n_compared = ranked[0], len(ranked)
        kept = ranked[: -(-n_compared // 2)]
        if len(kept) == 1 or not self._proven:
            self._best = self._candidates[leader]
        elif self._champion not in kept:
            kept[-1] = self._champion
        self._alive, self._rung = sorted(kept), self._rung + 1
        found = {
            "candidates": float(n_compared),
            "leader": self._mean(leader) if self._sums[leader][1] else 0.0,
            "shots": float(len(self._best.few_shot)),
            "changed": float(self._best != self._own),
        }
        if len(self._alive) == 1:
            self._close()
        return found

    def _close(self) -> None:
        """End a bracket: the next one has new examples, or the same candidates once more."""
        self._proven = True
        if self._options.most_shots:
            self._candidates, self._alive, self._sums = [], [], []
        else:
            self._alive = list(range(len(self._candidates)))
        self._rung = 0

    @property
    def _champion(self) -> int:
        """The place of the best so far among the candidates, which it is always one of."""
        return self._candidates.index(self._best)

    def _mean(self, place: int) -> float:
        total, count = self._sums[place]
        return total / count if count else -math.inf


SPEC = LearnerSpec(
    "best-prompt",
    "baseline",
    Options,
    BestPrompt,
    search={profile: {"items": (8, 16, 32, 64), "temperature": (0.0, 1.0)} for profile in ("tiny", "pretrained")},
    note="changes the prompt and no weight; its examples are the task's own best replies",
)
