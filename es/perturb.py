"""A population laid over a model: y = x W^T + s (sigma / sqrt r) (x B) A^T, with a member for each row of the batch.

W is never touched; hooks on the linear maps add the low-rank term, and leaving the context removes them. The sign
and the scale multiply the r-wide middle product, so that both twins of a pair use the same factors.

Axes in names: _R rows, _T positions, _K rank, _O outputs, _I inputs.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from eggym.counter import GRID, grid_variance
from eggym.views import Attached, Coupling, Seating

from .noise import Factors, Linear


@dataclass(frozen=True)
class PopulationViews:
    """``n_members`` perturbed members in antithetic pairs: member 2p is pair p with sign +, member 2p + 1 its twin."""

    n_members: int
    n_items: int
    n_replies: int
    temperature: float
    sigma: float  # standard deviation of each weight's perturbation
    rank: int
    linears: tuple[Linear, ...]
    factors: Mapping[str, Factors]  # by parameter name
    coupling: Coupling = "shared"
    seating: Seating = "any"
    n_together: int = 2

    @contextmanager
    def attach(self, model: nn.Module) -> Iterator[Attached]:
        """Hook the linear maps until the context ends."""
        laid = _Population(self)
        hooks = [linear.module.register_forward_hook(laid.hook(linear)) for linear in self.linears]
        try:
            yield laid
        finally:
            for hook in hooks:
                hook.remove()

    def bytes_per_row(self, model: nn.Module) -> int:
        """Return the size of one row's factors in the model's type."""
        itemsize = next(model.parameters()).element_size()
        return itemsize * self.rank * sum(linear.n_in + linear.n_out for linear in self.linears)

    def flops_per_position(self, model: nn.Module) -> int:
        """Return the cost of the low-rank terms: two products of rank r for each linear map."""
        return 2 * self.rank * sum(linear.n_in + linear.n_out for linear in self.linears)

    @property
    def scale(self) -> float:
        """The factor of s (x B) A^T when A and B are in units of 1: sigma / (v sqrt r)."""
        return self.sigma / (grid_variance() * math.sqrt(self.rank))


@dataclass
class _Seats:
    """The factors of the rows of the present batch, for one weight."""

    a_R_K_O: Tensor
    b_R_K_I: Tensor


@dataclass
class _Population:
    views: PopulationViews
    seats: dict[str, _Seats] = field(default_factory=dict)
    scale_R_1_1: Tensor = field(default_factory=lambda: torch.empty(0))

    def seat(self, member_of_row_R: Tensor, group: int = 1) -> Any:
        """Gather each row's factors, once for the many passes that follow."""
        seats = {}
        pair_R = member_of_row_R // 2
        sign_R = 1 - 2 * (member_of_row_R % 2)
        for linear in self.views.linears:
            factors = self.views.factors[linear.name]
            seats[linear.name] = _Seats(
                factors.a_P_K_O[pair_R].to(linear.dtype) / GRID, factors.b_P_K_I[pair_R].to(linear.dtype) / GRID
            )
            scale_R_1_1 = (sign_R * self.views.scale).to(linear.dtype)[:, None, None]

        return seats, scale_R_1_1

    def take(self, seat: Any) -> None:
        self.seats, self.scale_R_1_1 = seat

    def hook(self, linear: Linear) -> Any:
        """Return the forward hook of one linear map."""
        rank_one = self.views.rank == 1

        def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            seats = self.seats[linear.name]
            x_R_T_I = args[0].reshape(len(seats.b_R_K_I), -1, linear.n_in)
            y_R_T_O = output.view(len(seats.b_R_K_I), -1, linear.n_out)
            if rank_one:
                middle_R_T_1 = (x_R_T_I * seats.b_R_K_I).sum(-1, keepdim=True)
                y_R_T_O.addcmul_(middle_R_T_1 * self.scale_R_1_1, seats.a_R_K_O)
            else:
                middle_R_T_K = torch.bmm(x_R_T_I, seats.b_R_K_I.transpose(1, 2))
                y_R_T_O.baddbmm_(middle_R_T_K * self.scale_R_1_1, seats.a_R_K_O)
            return output

        return add
