"""The forward passes of perturbed modules, as functions that read what they add from an attribute of the module.

They stand in for ``forward`` of one module while a population is laid over the model; ``module.eggym_product``,
``eggym_shift`` and ``eggym_gain`` hold the operands of the rows at hand. Nothing is a closure, and the operands are
tensors, so that `torch.compile` takes other ones without a new compilation. Every term is written twice:

* eager code works on groups of rows that share factors, widened once to the model's type (multiples of 1/32 below 4 are
  exact in all of them), in as few passes over memory as there can be: y = x W^T is changed in place;
* compiled code works row by row, looks the row's int8 factors up by its group, and counts in float32 until y is rounded
  once. Fused with its neighbours that costs little more than to read the factors, which are a quarter or half as long;
  views by group would give the compiler divisions of symbolic sizes at every index, and one graph for each grouping.

Axes in names: _P groups of rows of one pair, _G rows of a group, _R rows, _S positions of a group, _T positions of
a row, _K rank, _O outputs, _I inputs, _V vocabulary, _n entries of a vector.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from eggym.counter import GRID


@dataclass(eq=False)
class Product:
    """The low-rank term of the rows at hand: s c A B^T for each group."""

    a_P_K_O: Tensor  # int8, in units of 1/32
    b_P_K_I: Tensor
    scale_P_G_1: Tensor  # float32: s sigma / (v sqrt r), for factors in units of 1
    row_scale_R: Tensor  # the same, flat, for factors in units of 1/32
    group_R: Tensor  # the group of each row
    _wide: tuple[Tensor, Tensor, Tensor] | None = field(default=None, repr=False)

    def wide(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Return A and B in units of 1 and the scale, in the model's type; made at the first use."""
        if self._wide is None:
            a, b = (factor.to(dtype).mul_(1 / GRID) for factor in (self.a_P_K_O, self.b_P_K_I))
            self._wide = a, b, self.scale_P_G_1.to(dtype)
        return self._wide


@dataclass(eq=False)
class Noise:
    """The full-rank term of a vector for the rows at hand: s c z for each group."""

    z_P_n: Tensor  # int8, in units of 1/32
    row_scale_R: Tensor  # float32: s sigma / (32 sqrt v)
    group_R: Tensor
    unit: tuple[nn.Module | None]  # of a gain: what returns g(x); in a tuple, or the model would own it

    def of_rows(self, y: Tensor) -> Tensor:
        """Return s c z of each row as float32, in a shape that spreads over ``y``."""
        noise_R_n = self.z_P_n[self.group_R].float() * self.row_scale_R[:, None]
        n_rows, n = noise_R_n.shape
        if y.ndim == 2:  # rows and positions in one
            return noise_R_n[:, None].expand(-1, y.shape[0] // n_rows, -1).reshape(y.shape)
        return noise_R_n.view(n_rows, *[1] * (y.ndim - 2), n)


# In the signatures below `module` is an nn.Module with the attributes above, which its type cannot tell.


def linear(module: Any, x: Tensor) -> Tensor:
    """y = W x + s c A (B^T x)."""
    return add_product(module.eggym_product, x, type(module).forward(module, x))


def linear_shifted(module: Any, x: Tensor) -> Tensor:
    """The same, with noise on the bias too."""
    return add_shift(module.eggym_shift, linear(module, x))


def shifted(module: Any, x: Tensor) -> Tensor:
    """y + s c z."""
    return add_shift(module.eggym_shift, type(module).forward(module, x))


def gained(module: Any, x: Tensor) -> Tensor:
    """y + s c z g(x), g(x) what the weight multiplies."""
    return add_gain(module.eggym_gain, x, type(module).forward(module, x))


def gained_shifted(module: Any, x: Tensor) -> Tensor:
    """Noise on the weight and on the bias of a norm."""
    return add_shift(module.eggym_shift, gained(module, x))


def lookup(module: Any, index: Tensor) -> Tensor:
    """Rows W[index] + s c A[index] B^T. One row of positions, as of learned ones, stands for all rows of the batch."""
    held: Product = module.eggym_product
    y = type(module).forward(module, index)
    n_rows = held.group_R.shape[0]
    if index.shape[0] != n_rows:
        index, y = index.expand(n_rows, -1), y.expand(n_rows, -1, -1)
    if torch.compiler.is_compiling():
        middle_R_T_K = held.a_P_K_O.transpose(1, 2)[held.group_R[:, None], index].float()
        return _fused(y, middle_R_T_K, held.b_P_K_I[held.group_R], held.row_scale_R)
    n_groups, rank, _ = held.a_P_K_O.shape
    index_P_K_S = index.reshape(n_groups, 1, -1).expand(-1, rank, -1)
    # what is looked up is widened, rather than a table as long as the vocabulary
    middle_P_K_S, b_P_K_I = (one.to(y.dtype) / GRID for one in (held.a_P_K_O.gather(2, index_P_K_S), held.b_P_K_I))
    return _added(y, middle_P_K_S.transpose(1, 2), b_P_K_I, held.scale_P_G_1.to(y.dtype))


FORWARDS: Mapping[frozenset[str], Callable[..., Tensor]] = {
    frozenset({"linear"}): linear,
    frozenset({"linear", "shift"}): linear_shifted,
    frozenset({"shift"}): shifted,
    frozenset({"gain"}): gained,
    frozenset({"gain", "shift"}): gained_shifted,
    frozenset({"lookup"}): lookup,
}


def add_product(held: Product, x: Tensor, y: Tensor) -> Tensor:
    """Return y + s c (x B) A^T; ``x`` and ``y`` hold the rows in order, whatever lies between rows and features."""
    if torch.compiler.is_compiling():
        # as it is where it has three axes, or the compiler would see a division of sizes
        x_R_T_I = x if x.ndim == 3 else x.reshape(held.group_R.shape[0], -1, x.shape[-1])
        b_R_K_I = held.b_P_K_I[held.group_R].float()
        middle_R_T_K = (x_R_T_I.float()[:, :, None] * b_R_K_I[:, None]).sum(-1)
        return _fused(y, middle_R_T_K, held.a_P_K_O[held.group_R], held.row_scale_R)
    a_P_K_O, b_P_K_I, scale_P_G_1 = held.wide(y.dtype)
    x_P_S_I = x.reshape(b_P_K_I.shape[0], -1, x.shape[-1])
    if _by_column(y, b_P_K_I.shape[1]):
        middle_P_S_K = torch.stack([(x_P_S_I * one[:, None]).sum(-1) for one in b_P_K_I.unbind(1)], -1)
    else:
        middle_P_S_K = torch.bmm(x_P_S_I, b_P_K_I.transpose(1, 2))
    return _added(y, middle_P_S_K, a_P_K_O, scale_P_G_1)


def add_shift(held: Noise, y: Tensor) -> Tensor:
    """Return y + s c z."""
    return (y.float() + held.of_rows(y)).to(y.dtype)


def add_gain(held: Noise, x: Tensor, y: Tensor) -> Tensor:
    """Return y + s c z g(x)."""
    (unit,) = held.unit
    if unit is None:
        raise ValueError("a gain needs the module that returns what it multiplies")
    multiplied: Tensor = unit(x)
    return (y.float() + multiplied.float() * held.of_rows(y)).to(y.dtype)


def _added(y: Tensor, middle_P_S_K: Tensor, a_P_K_O: Tensor, scale_P_G_1: Tensor) -> Tensor:
    """Return y + (middle * scale) A^T, in place where y lies in one piece."""
    y = y.contiguous()
    n_groups, group, _ = scale_P_G_1.shape
    # the scale of a row is that of all its positions and ranks, which lie together
    scaled = (middle_P_S_K.reshape(n_groups, group, -1) * scale_P_G_1).view(middle_P_S_K.shape)
    y_P_S_O = y.reshape(n_groups, -1, y.shape[-1])
    if _by_column(y, a_P_K_O.shape[1]):
        for scaled_P_S, a_P_O in zip(scaled.unbind(-1), a_P_K_O.unbind(1), strict=True):
            y_P_S_O.addcmul_(scaled_P_S[..., None], a_P_O[:, None])
    else:
        y_P_S_O.baddbmm_(scaled, a_P_K_O)
    return y


def _by_column(y: Tensor, rank: int) -> bool:
    """Whether low-rank terms are computed one rank after the other, entry by entry.

    A product of few rows, as those of a small group are, may be summed in another order than one of many: a member's
    last bits would depend on how many rows sit together. In float32 that is promised not to be. At rank 1 it is also
    faster: batched products of one column are slow on CPUs.
    """
    return rank == 1 or y.dtype == torch.float32


def _fused(y: Tensor, middle_R_T_K: Tensor, a_R_K_O: Tensor, row_scale_R: Tensor) -> Tensor:
    """The same row by row, out of place: the compiler makes one pass of it and of what follows."""
    scaled_R_T_K_1 = (middle_R_T_K * row_scale_R[:, None, None])[..., None]
    term_R_T_O = (scaled_R_T_K_1 * a_R_K_O.float()[:, None]).sum(-2)
    return (y.float() + (term_R_T_O if y.ndim == 3 else term_R_T_O.view(y.shape))).to(y.dtype)
