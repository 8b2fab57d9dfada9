"""Classical evolution strategies with full-rank perturbations, one member at a time on a scratch copy.

Source: Salimans et al. 2017 (arXiv 1703.03864), algorithm 1 with antithetic pairs; noise, fitness and update are
those of EGGROLL, so that a comparison differs in the perturbation alone. Directions are grid normals, redrawn from
their key and never stored. The base weights are not touched: while a member is seated the model holds scratch weights.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eggym.counter import GRID, grid_normals, grid_variance
from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.learner import LearnerSpec
from eggym.policy import Policy
from eggym.views import Attached, Coupling, ParameterSpace, Seating

from .ascent import Ascent
from .noise import pair_keys
from .options import SEARCH, EsOptions, check_options
from .update import Direction, full_rank_blocks, full_rank_unit


@dataclass(frozen=True, slots=True)
class Options(EsOptions):
    """Settings of `OpenAIES`: those of every evolution strategy here."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check_options(self)


@dataclass(frozen=True)
class FullRankViews:
    """Members that differ in every weight; rows of one batch must belong to one member."""

    n_members: int
    n_items: int
    n_replies: int
    temperature: float
    sigma: float
    keys: Mapping[str, Tensor]  # noise keys of the pairs, by parameter name
    coupling: Coupling = "shared"
    seating: Seating = "one_member"
    n_together: int = 1

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[Attached]:
        """Put scratch weights into the model until the context ends; the real ones come back untouched."""
        laid = _Scratch(self, model)
        try:
            yield laid
        finally:
            laid.restore()

    def bytes_per_row(self, model: nn.Module) -> int:
        """Nothing is held by row."""
        return 0

    def flops_per_position(self, model: nn.Module) -> int:
        """A member costs what the model costs."""
        return 0


@dataclass
class _Scratch:
    views: FullRankViews
    model: nn.Module
    _real: dict[str, nn.Parameter] = field(default_factory=dict)
    _seated: int = -1

    def __post_init__(self) -> None:
        for name in self.views.keys:
            module, leaf = self._owner(name)
            self._real[name] = getattr(module, leaf)
            setattr(module, leaf, nn.Parameter(torch.empty_like(self._real[name]), requires_grad=False))

    def seat(self, member_of_row_R: Tensor, group: int = 1) -> int:
        """Return the one member of all rows."""
        member = int(member_of_row_R[0])
        if bool((member_of_row_R != member).any()):
            raise ValueError("full-rank members cannot share a batch")
        return member

    def take(self, seat: int) -> None:
        """Fill the scratch weights with the member."""
        member = seat
        if member == self._seated:
            return
        sign = 1 - 2 * (member % 2)
        scale = sign * self.views.sigma / (GRID * math.sqrt(grid_variance()))
        for name, real in self._real.items():
            noise = grid_normals(self.views.keys[name][member // 2][None], real.numel())[0].view(real.shape)
            module, leaf = self._owner(name)
            getattr(module, leaf).data.copy_(real.data.float() + noise.float() * scale)
        self._seated = member

    def restore(self) -> None:
        """Put the real parameters back."""
        for name, real in self._real.items():
            module, leaf = self._owner(name)
            setattr(module, leaf, real)

    def _owner(self, name: str) -> tuple[nn.Module, str]:
        path, _, leaf = name.rpartition(".")
        return self.model.get_submodule(path), leaf


class OpenAIES:
    """The learner; noise is a function of names and is no part of its state."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run."""
        self._policy, self._seed, self._options = policy, seed, options
        self._ascent = Ascent(policy.model, space, seed, options)
        shared = _tied(policy.model, self._ascent.weights.parameters)
        if shared:
            raise BadValue(
                f"openai-es cannot perturb {shared!r}, which two modules share; choose space.targets without it"
            )

    def ask(self, step: int) -> FullRankViews:
        """Return the population of a generation."""
        options = self._options
        return FullRankViews(
            options.population,
            options.items,
            options.replies,
            options.temperature,
            options.sigma_at(step),
            self._keys(step),
        )

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Move the weights; for the metrics see `Ascent.climb`."""
        shaped = self._ascent.shape(batch)
        return self._ascent.climb(batch, shaped, self._directions(batch.step, shaped.weights_D), "shared")

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the model's weights."""
        return self._ascent.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._ascent.load_state_dict(state)

    def _directions(self, generation: int, weights_D: NDArray[np.int16]) -> Iterator[Direction]:
        unit = full_rank_unit(grid_variance())
        for name, keys_P in self._keys(generation).items():
            shape = self._ascent.weights.parameters[name].shape
            yield Direction(name, unit, full_rank_blocks(keys_P, weights_D, shape))

    def _keys(self, generation: int) -> dict[str, Tensor]:
        pairs, device = self._options.population // 2, self._policy.device
        return {
            name: pair_keys(name, self._seed, generation, pairs, device) for name in self._ascent.weights.parameters
        }


def _tied(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> str | None:
    owners: dict[int, int] = {}
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            owners[id(weight)] = owners.get(id(weight), 0) + 1
    return next((name for name, weight in parameters.items() if owners[id(weight)] > 1), None)


SPEC = LearnerSpec(
    "openai-es",
    "es",
    Options,
    OpenAIES,
    {"tiny": {"sigma": 0.04, "update_rms": 0.01}, "pretrained": {}},
    SEARCH,
)
