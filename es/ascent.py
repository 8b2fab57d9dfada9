"""The step that all evolution strategies here share: from exact sums to moved weights, and what to say about it.

W <- W + dW(g) - anchor * (W - W_0), with g the direction of the population, dW of the optimiser (see `optimiser`) and
W_0 the start weights (anchored decay, arXiv 2605.30148): also when fitness says nothing. One block of rows at a time.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eggym.episode import EpisodeBatch
from eggym.views import Coupling, ParameterSpace
from eggym.weights import Weights

from .conventions import strength
from .diagnostics import Agreement, Footprints, fitness_metrics, rounded
from .optimiser import Adam, Momentum, Optimiser, Sgd
from .options import EsOptions
from .shaping import Shaped, shape
from .update import Block, Direction, norm, scaled


class Ascent:
    """Holds the weights, the optimiser and the start of one run."""

    def __init__(self, model: nn.Module, space: ParameterSpace, seed: int, options: EsOptions) -> None:
        """Start at the model's present weights."""
        self.weights = Weights(model, space, options.rounding, seed)
        self._options = options
        self._optimiser = _optimiser(options, self.weights.parameters)
        self._start: dict[str, Tensor] = {}  # whole, and in the model's type; only for anchored decay
        if options.anchor:
            self._start = {name: weight.data.clone() for name, weight in self.weights.parameters.items()}
        self._footprints = Footprints(self.weights)
        self._covered = space.share(model)

    def shape(self, batch: EpisodeBatch) -> Shaped:
        """Return what the rewards of a generation say."""
        return shape(batch.rewards_N_P_G(), self._options.shaping)

    def climb(
        self, batch: EpisodeBatch, shaped: Shaped, directions: Iterable[Direction], coupling: Coupling
    ) -> dict[str, float]:
        """Move the weights by one generation; return its metrics, all finite, rounded to six digits.

        informative, flat_items, missing, spread, floor, sampling_floor (where it can be known): see `diagnostics`;
        rate: the nominal step; sigma; update_rms, applied, agreement, distance, relative_distance; covered: share of
        the model's weights that may change.
        """
        options, agreement = self._options, Agreement()
        rate = options.rate_at(batch.step)
        gain = self._optimiser.begin(rate) * strength(options.convention, shaped)
        self._footprints.before()
        for direction in directions:
            if direction.halves is not None:
                agreement.take(direction.halves, direction.unit)
            factor = gain / (direction.unit * norm(shaped.weights_D))
            for block in direction.blocks:
                if direction.halves is None:
                    agreement.take_block(block, direction.unit)
                self._move(direction.name, block, factor, batch.step)
        heard = fitness_metrics(shaped, batch.rewards_N_P_G(), coupling, options.temperature)
        settings = {"rate": rate, "sigma": options.sigma_at(batch.step), "covered": self._covered}
        return rounded(heard | {"agreement": agreement.cosine()} | self._footprints.after() | settings)

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the model's weights."""
        return {
            "masters": self.weights.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "start": dict(self._start),
            "footprints": self._footprints.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.weights.load_state_dict(state["masters"])
        self._optimiser.load_state_dict(state["optimiser"])
        for name, start in state["start"].items():
            self._start[name].copy_(start)
        self._footprints.load_state_dict(state["footprints"])

    def _move(self, name: str, block: Block, factor: float, step: int) -> None:
        total = block.parts[0] if len(block.parts) == 1 else block.parts[0].add_(block.parts[1])
        change = self._optimiser.change(name, scaled(total, factor), block.rows)
        if self._start:
            change = self._pulled(name, change, block.rows)
        self._footprints.intend(name, change, block.rows)
        self.weights.add(name, change, block.rows, step)

    def _pulled(self, name: str, change: Tensor, rows: slice) -> Tensor:
        back = (self.weights.values(name, rows) - self._start[name][rows].float()).mul_(self._options.anchor)
        return change - back


def _optimiser(options: EsOptions, parameters: Mapping[str, nn.Parameter]) -> Optimiser:
    shapes: dict[str, torch.Size] = {name: weight.shape for name, weight in parameters.items()}
    device = next(iter(parameters.values())).device
    if options.optimiser == "adam":
        return Adam(shapes, options.beta1, options.beta2, options.eps, device)
    return Momentum(shapes, options.momentum, device) if options.momentum else Sgd()
