"""A population laid over a model: y = x W^T + s (sigma / (v sqrt r)) (x B) A^T, a member for each row of the batch.

W is never touched. While the population is attached, the modules in which the targets act have a perturbed forward
pass (see `operators`); leaving the context removes it. ``forward`` of the instance is replaced, rather than hooked,
because compiled code notices that and does not notice hooks that come and go.

Factors are kept once for each run of rows of one pair. The sign and the scale multiply the r-wide middle product, so
that both twins use the same factors.

Axes in names: _R rows, _P groups of rows of one pair, _G rows of a group, _K rank, _O outputs, _I inputs.
"""

import math
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from eggym.counter import GRID
from eggym.views import Attached, Coupling, Seating

from .noise import Factors, Law, Vectors, variance
from .operators import FORWARDS, Noise, Product
from .targets import Site, Target


@dataclass(frozen=True)
class PopulationViews:
    """``n_members`` perturbed members in antithetic pairs: member 2p is pair p with sign +, member 2p + 1 its twin."""

    n_members: int
    n_items: int
    n_replies: int
    temperature: float
    sigma: float  # standard deviation of each weight's perturbation
    rank: int
    targets: tuple[Target, ...]
    factors: Mapping[str, Factors | Vectors]  # by parameter name
    coupling: Coupling = "shared"
    law: Law = "normal"
    seating: Seating = "any"
    n_together: int = 2  # twins share their factors

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[Attached]:
        """Perturb the forward passes of the targets' modules until the context ends.

        Raises:
            ValueError: a population is attached already.
        """
        laid = _Population(self)
        laid.lay()
        try:
            yield laid
        finally:
            laid.remove()

    def bytes_per_row(self, model: nn.Module) -> int:
        """Return half the size of a pair's factors, as int8 and in the model's type: twins share them.

        A seat with groups of one row holds twice as much; compiled code needs the int8 alone.
        """
        return sum(_values(target, self.rank) * (target.dtype.itemsize + 1) for target in self.targets) // 2

    def flops_per_position(self, model: nn.Module) -> int:
        """Return the cost of the added terms: two products of rank r for a linear map, one for a lookup."""
        return sum(_flops(target, site, self.rank) for target in self.targets for site in target.sites)

    @property
    def scale(self) -> float:
        """The factor of s A B^T when A and B are in units of 1: sigma / (v sqrt r)."""
        return self.sigma / (variance(self.law) * math.sqrt(self.rank))

    @property
    def vector_scale(self) -> float:
        """The factor of s z when z is in units of 1: sigma / sqrt v."""
        return self.sigma / math.sqrt(variance(self.law))


@dataclass(frozen=True, slots=True)
class _Seat:
    """What each module holds for the rows of one batch: attributes by module."""

    held: list[tuple[nn.Module, dict[str, Product | Noise]]]

    def mark_dynamic(self) -> None:
        """Tell a compiler that the numbers of groups and rows vary, so that one graph serves them all."""
        for _, attributes in self.held:
            for operands in attributes.values():
                for value in vars(operands).values():
                    if isinstance(value, Tensor):
                        torch._dynamo.maybe_mark_dynamic(value, 0)


class _Population:
    def __init__(self, views: PopulationViews) -> None:
        self._views = views
        self._sites: dict[nn.Module, list[tuple[Target, Site]]] = {}
        for target in views.targets:
            for site in target.sites:
                self._sites.setdefault(site.module, []).append((target, site))

    def lay(self) -> None:
        """Give every module its perturbed forward pass."""
        for module in self._sites:
            if "forward" in vars(module):
                raise ValueError(f"a {type(module).__name__} is perturbed already: one population at a time")
        for module, acting in self._sites.items():
            forward = FORWARDS[frozenset(site.role for _, site in acting)]
            module.forward = types.MethodType(forward, module)

    def remove(self) -> None:
        """Leave every module as it was."""
        for module in self._sites:
            for name in [name for name in vars(module) if name == "forward" or name.startswith("eggym_")]:
                delattr(module, name)

    def seat(self, member_of_row_R: Tensor, group: int = 1) -> _Seat:
        """Gather the factors of each run of ``group`` rows, once for the many passes that follow.

        Raises:
            ValueError: the rows are no runs of ``group`` rows of one pair.
        """
        if len(member_of_row_R) % group:
            raise ValueError(f"{len(member_of_row_R)} rows are no runs of {group}")
        members_P_G = member_of_row_R.view(-1, group)
        pairs_P_G = members_P_G // 2
        if group > 1 and bool((pairs_P_G != pairs_P_G[:, :1]).any()):
            raise ValueError(f"a run of {group} rows holds members of different pairs")
        rows = _Rows(
            pairs_P_G[:, 0],
            (1 - 2 * (members_P_G % 2))[:, :, None].float(),
            torch.arange(len(pairs_P_G), device=pairs_P_G.device).repeat_interleave(group),
        )
        drawn = {target.name: self._gathered(target, rows.pair_P) for target in self._views.targets}
        held = [
            (
                module,
                {_ATTRIBUTES[site.role]: self._operands(site, drawn[target.name], rows) for target, site in acting},
            )
            for module, acting in self._sites.items()
        ]
        seat = _Seat(held)
        if "torch._dynamo" in sys.modules:
            seat.mark_dynamic()
        return seat

    def take(self, seat: _Seat) -> None:
        """Let the coming forward passes use a seat; costs an assignment for each module."""
        for module, attributes in seat.held:
            vars(module).update(attributes)

    def _gathered(self, target: Target, pair_P: Tensor) -> Factors | Vectors:
        factors = self._views.factors[target.name]
        if isinstance(factors, Vectors):
            return Vectors(factors.z_P_n.index_select(0, pair_P))
        return Factors(factors.a_P_K_O.index_select(0, pair_P), factors.b_P_K_I.index_select(0, pair_P))

    def _operands(self, site: Site, drawn: Factors | Vectors, rows: "_Rows") -> Product | Noise:
        if isinstance(drawn, Vectors):
            _, scale_R = rows.scales(self._views.vector_scale, GRID)
            return Noise(drawn.z_P_n, scale_R, rows.group_R, (site.unit,))
        scale_P_G_1, scale_R = rows.scales(self._views.scale * site.factor, GRID**2)
        return Product(drawn.a_P_K_O, drawn.b_P_K_I, scale_P_G_1, scale_R, rows.group_R)


@dataclass(frozen=True, slots=True)
class _Rows:
    pair_P: Tensor
    sign_P_G_1: Tensor
    group_R: Tensor
    _scales: dict[tuple[float, int], tuple[Tensor, Tensor]] = field(default_factory=dict)

    def scales(self, scale: float, unit: int) -> tuple[Tensor, Tensor]:
        """Return s times ``scale`` by group, and by row for factors in units of 1 / ``unit``: the same for many sites.

        That the same tensor serves them all spares compiled code from checking each.
        """
        if (scale, unit) not in self._scales:
            scale_P_G_1 = self.sign_P_G_1 * scale
            self._scales[scale, unit] = scale_P_G_1, scale_P_G_1.flatten() / unit
        return self._scales[scale, unit]


_ATTRIBUTES = {
    "linear": "eggym_product",
    "lookup": "eggym_product",
    "shift": "eggym_shift",
    "gain": "eggym_gain",
}


def _values(target: Target, rank: int) -> int:
    return rank * (target.n_in + target.n_out) if target.kind == "matrix" else target.n_out


def _flops(target: Target, site: Site, rank: int) -> int:
    if site.role == "linear":
        return 2 * rank * (target.n_in + target.n_out)
    return 2 * rank * target.n_in if site.role == "lookup" else 2 * target.n_out
