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

import torch
from torch import Tensor, nn

from eggym.counter import GRID, grid_normals, grid_variance
from eggym.episode import EpisodeBatch
from eggym.errors import BadValue
from eggym.learner import LearnerSpec
from eggym.policy import Policy
from eggym.views import Attached, Coupling, ParameterSpace, Seating
from eggym.weights import Weights

from .eggroll import check_population
from .noise import pair_keys
from .shaping import Shaping, shape
from .update import change, full_rank_step, full_rank_sum


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of `OpenAIES`."""

    population: int = 64  # members, in antithetic pairs
    items: int = 16  # prompts per generation, shared by all members
    replies: int = 1  # per member and prompt
    sigma: float = 1e-3  # standard deviation of each weight's perturbation
    update_rms: float = 5e-5  # rms change of a weight per generation, if fitness says nothing
    temperature: float = 0.0  # of the members; 0 is greedy
    shaping: Shaping = "pooled"

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check_population(self.population)
        if self.items < 1 or self.replies < 1:
            raise BadValue(f"items and replies must be at least 1, got {self.items} and {self.replies}")
        if not self.sigma > 0 or not self.update_rms > 0 or self.temperature < 0:
            raise BadValue("sigma and update_rms must be above 0, temperature at least 0")
        if self.shaping not in ("pooled", "ranks"):
            raise BadValue(f"shaping is pooled or ranks, got {self.shaping!r}")


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
    """The learner; its state is the weights alone."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run."""
        self._policy, self._seed, self._options = policy, seed, options
        self._weights = Weights(policy.model, space)
        shared = _tied(policy.model, self._weights.parameters)
        if shared:
            raise BadValue(
                f"openai-es cannot perturb {shared!r}, which two modules share; choose space.targets without it"
            )

    def ask(self, step: int) -> FullRankViews:
        """Return the population of a generation."""
        options = self._options
        return FullRankViews(
            options.population, options.items, options.replies, options.temperature, options.sigma, self._keys(step)
        )

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Move the weights; metrics as for EGGROLL."""
        shaped = shape(batch.rewards_N_P_G(), self._options.shaping)
        factor = full_rank_step(self._options.update_rms, shaped.weights_D)
        squares, n = 0.0, 0
        for name, keys_P in self._keys(batch.step).items():
            master = self._weights.masters[name]
            moved = change(full_rank_sum(keys_P, shaped.weights_D, master.numel()), factor).view(master.shape)
            self._weights.add(name, moved)
            squares += float(moved.double().square().sum())
            n += moved.numel()
        return {"informative": shaped.informative, "spread": shaped.spread, "update_rms": (squares / n) ** 0.5}

    def state_dict(self) -> dict[str, Any]:
        """Return the float32 masters of weights in a shorter type."""
        return {"masters": self._weights.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._weights.load_state_dict(state["masters"])

    def _keys(self, generation: int) -> dict[str, Tensor]:
        pairs, device = self._options.population // 2, self._policy.device
        return {name: pair_keys(name, self._seed, generation, pairs, device) for name in self._weights.parameters}


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
)
