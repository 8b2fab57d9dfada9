"""EGGROLL: evolution strategies with low-rank perturbations, batched over the population.

Source: arXiv 2511.16652, sections 3 and 4, from the paper's formulas.
Deviations: factors on an 8-bit grid; pair weights rounded to int16, which makes the update exact; the knob of the
step is ``update_rms``, the rms change of a weight under uninformative fitness (the authors' lr * sigma with
uncorrelated twins); their own settings are taken under ``convention: eggroll``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eggym.episode import EpisodeBatch
from eggym.errors import BadValue, unknown
from eggym.learner import LearnerSpec
from eggym.policy import Policy
from eggym.views import ParameterSpace

from .ascent import Ascent
from .noise import LAWS, Factors, Law, Vectors, draw, variance
from .options import SEARCH, EsOptions, check_options
from .perturb import PopulationViews
from .targets import find_targets
from .update import Direction, Tally, direction


@dataclass(frozen=True, slots=True)
class Options(EsOptions):
    """Settings of `Eggroll`."""

    rank: int = 1
    coupling: Literal["shared", "independent"] = "shared"
    law: Law = "normal"  # of the factors' entries: normals on the grid, or signs

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check_options(self)
        if not 1 <= self.rank <= 64:
            raise BadValue(f"rank must lie from 1 to 64, got {self.rank}")
        if self.coupling not in ("shared", "independent"):
            raise BadValue(f"coupling is shared or independent, got {self.coupling!r}")
        if self.law not in LAWS:
            raise unknown("law", self.law, LAWS)


class Eggroll:
    """The learner; noise is a function of names and is no part of its state."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run."""
        self._policy, self._seed, self._options = policy, seed, options
        self._ascent = Ascent(policy.model, space, seed, options)
        self._targets = find_targets(policy.model, self._ascent.weights.parameters)
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
            options.sigma_at(step),
            options.rank,
            self._targets,
            self._factors,
            options.coupling,
            options.law,
        )

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Move the weights; for the metrics see `Ascent.climb`."""
        self._draw(batch.step)
        shaped = self._ascent.shape(batch)
        return self._ascent.climb(batch, shaped, self._directions(shaped.weights_D), self._options.coupling)

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the model's weights: noise is a function of names."""
        return self._ascent.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._ascent.load_state_dict(state)

    def _directions(self, weights_D: NDArray[np.int16]) -> Iterator[Direction]:
        spread = variance(self._options.law)
        tally = Tally.of(weights_D, self._options.rank, self._policy.device)
        for target in self._targets:
            yield direction(target.name, self._factors[target.name], tally, spread, target.transposed)

    def _draw(self, generation: int) -> None:
        if generation == self._generation:
            return
        options, device = self._options, self._policy.device
        self._factors = {
            target.name: draw(
                target, self._seed, generation, options.population // 2, options.rank, device, options.law
            )
            for target in self._targets
        }
        self._generation = generation


SPEC = LearnerSpec(
    "eggroll",
    "es",
    Options,
    Eggroll,
    {"tiny": {"sigma": 0.04, "update_rms": 0.01}, "pretrained": {}},
    SEARCH,
)
