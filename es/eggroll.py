"""EGGROLL: evolution strategies with low-rank perturbations, batched over the population.

Source: arXiv 2511.16652, sections 3 and 4, from the paper's formulas.
Deviations: factors on an 8-bit grid; pair weights rounded to int16, which makes the update exact; the knob of the
step is ``update_rms``, the rms change of a weight under uninformative fitness (the authors' lr * sigma with
uncorrelated twins). Left out for now: optimisers with a memory, schedules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.learner import LearnerSpec
from eggym.policy import Policy
from eggym.views import ParameterSpace
from eggym.weights import Weights

from .noise import Factors, Vectors, draw
from .perturb import PopulationViews
from .shaping import Shaping, shape
from .targets import find_targets
from .update import change, full_rank_step, low_rank_step, low_rank_sum, vector_sum

MOST_MEMBERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of `Eggroll`."""

    population: int = 64  # members, in antithetic pairs
    items: int = 16  # prompts per generation, shared by all members
    replies: int = 1  # per member and prompt
    rank: int = 1
    sigma: float = 1e-3  # standard deviation of each weight's perturbation
    update_rms: float = 5e-5  # rms change of a weight per generation, if fitness says nothing
    temperature: float = 0.0  # of the members; 0 is greedy, as published
    coupling: Literal["shared", "independent"] = "shared"
    shaping: Shaping = "pooled"

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check_population(self.population)
        for name, most in (("items", MOST_MEMBERS), ("replies", MOST_MEMBERS), ("rank", 64)):
            if not 1 <= getattr(self, name) <= most:
                raise BadValue(f"{name} must lie from 1 to {most}, got {getattr(self, name)}")
        if not self.sigma > 0 or not self.update_rms > 0:
            raise BadValue(f"sigma and update_rms must be above 0, got {self.sigma:g} and {self.update_rms:g}")
        if self.temperature < 0:
            raise BadValue(f"temperature must be at least 0, got {self.temperature:g}")
        if self.coupling not in ("shared", "independent") or self.shaping not in ("pooled", "ranks"):
            raise BadValue(
                f"coupling is shared or independent and shaping pooled or ranks, "
                f"got {self.coupling!r} and {self.shaping!r}"
            )


class Eggroll:
    """The learner; its state is the weights alone, for noise is a function of names."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run."""
        self._policy, self._seed, self._options = policy, seed, options
        self._weights = Weights(policy.model, space)
        self._targets = find_targets(policy.model, self._weights.parameters)
        self._factors: dict[str, Factors | Vectors] = {}
        self._generation = -1

    def ask(self, step: int) -> PopulationViews:
        """Return the population of a generation."""
        options = self._options
        self._draw(step)
        return PopulationViews(
            options.population,
            options.items,
            options.replies,
            options.temperature,
            options.sigma,
            options.rank,
            self._targets,
            self._factors,
            options.coupling,
        )

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Move the weights; metrics: share of informative items, spread of pair differences, rms of the change."""
        self._draw(batch.step)
        shaped = shape(batch.rewards_N_P_G(), self._options.shaping)
        factor = low_rank_step(self._options.update_rms, shaped.weights_D, self._options.rank)
        vector_factor = full_rank_step(self._options.update_rms, shaped.weights_D)
        squares, n = 0.0, 0
        for target in self._targets:
            factors = self._factors[target.name]
            if isinstance(factors, Factors):
                moved = change(low_rank_sum(factors, shaped.weights_D), factor)
            else:
                moved = change(vector_sum(factors, shaped.weights_D), vector_factor)
            self._weights.add(target.name, moved.t() if target.transposed else moved)
            squares += float(moved.double().square().sum())
            n += moved.numel()
        return {"informative": shaped.informative, "spread": shaped.spread, "update_rms": (squares / n) ** 0.5}

    def state_dict(self) -> dict[str, Any]:
        """Return the float32 masters of weights in a shorter type."""
        return {"masters": self._weights.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._weights.load_state_dict(state["masters"])

    def _draw(self, generation: int) -> None:
        if generation == self._generation:
            return
        pairs, rank, device = self._options.population // 2, self._options.rank, self._policy.device
        self._factors = {
            target.name: draw(target, self._seed, generation, pairs, rank, device) for target in self._targets
        }
        self._generation = generation


def check_population(population: int) -> None:
    """Refuse a population that cannot be paired."""
    if not 2 <= population <= MOST_MEMBERS or population % 2:
        raise BadValue(f"population must be even for antithetic pairs, from 2 to {MOST_MEMBERS}, got {population}")


SPEC = LearnerSpec(
    "eggroll",
    "es",
    Options,
    Eggroll,
    {"tiny": {"sigma": 0.04, "update_rms": 0.01}, "pretrained": {}},
)
