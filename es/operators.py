"""The forward passes of perturbed modules, as functions that read their operands from attributes of the module.

They stand in for ``forward`` of one module while a population is laid over the model. The attributes are tensors, so
that `torch.compile` takes them as inputs: other factors need no new compilation, and no closure is made in a
generation. Every term is written twice. Eager code works on groups of rows that share factors, in as few passes over
memory as there can be. Compiled code works row by row and looks the row's factors up, which costs nothing once it is
fused with its neighbours, and keeps one graph for all groupings: views by group give the compiler divisions of symbolic
sizes at every index, which made a step a tenth slower instead of faster.

    eggym_a (P, K, O), eggym_b (P, K, I)   factors of the groups' pairs, in units of 1
    eggym_shift (P, 1, n), eggym_gain (P, 1, n)
    eggym_unit                             a module that returns what a gain multiplies, in a tuple
    eggym_scale, eggym_vector_scale (P, G, 1)   s sigma / (v sqrt r) and s sigma / sqrt v for each row
    eggym_row_scale, eggym_row_vector_scale (R,)   the same, flat
    eggym_group (R,)                       the group of each row

Axes in names: _P groups of rows of one pair, _G rows of a group, _R rows, _S positions of a group, _T positions of
a row, _K rank, _O outputs, _I inputs, _V vocabulary, _n entries of a vector.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

# In these signatures `module` is an nn.Module with the attributes above, which its type cannot tell.


def linear(module: Any, x: Tensor) -> Tensor:
    """y = W x + s c A (B^T x)."""
    return add_product(module, x, type(module).forward(module, x))


def linear_shifted(module: Any, x: Tensor) -> Tensor:
    """The same, with noise on the bias too."""
    return add_shift(module, linear(module, x))


def shifted(module: Any, x: Tensor) -> Tensor:
    """y + s c z."""
    return add_shift(module, type(module).forward(module, x))


def gained(module: Any, x: Tensor) -> Tensor:
    """y + s c z g(x), g(x) what the weight multiplies."""
    return add_gain(module, x, type(module).forward(module, x))


def gained_shifted(module: Any, x: Tensor) -> Tensor:
    """Noise on the weight and on the bias of a norm."""
    return add_shift(module, gained(module, x))


def lookup(module: Any, index: Tensor) -> Tensor:
    """Rows W[index] + s c A[index] B^T. One row of positions, as of learned ones, stands for all rows of the batch."""
    y = type(module).forward(module, index)
    n_rows = module.eggym_group.shape[0]
    if index.shape[0] != n_rows:
        index, y = index.expand(n_rows, -1), y.expand(n_rows, -1, -1)
    if torch.compiler.is_compiling():
        middle_R_T_K = module.eggym_a.transpose(1, 2)[module.eggym_group[:, None], index]
        return _fused(y, middle_R_T_K, module.eggym_b[module.eggym_group], module.eggym_row_scale)
    n_pairs, rank, _ = module.eggym_a.shape
    index_P_K_S = index.reshape(n_pairs, 1, -1).expand(-1, rank, -1)
    middle_P_S_K = module.eggym_a.gather(2, index_P_K_S).transpose(1, 2)
    return _added(y, middle_P_S_K, module.eggym_b, module.eggym_scale)


FORWARDS: Mapping[frozenset[str], Callable[..., Tensor]] = {
    frozenset({"linear"}): linear,
    frozenset({"linear", "shift"}): linear_shifted,
    frozenset({"shift"}): shifted,
    frozenset({"gain"}): gained,
    frozenset({"gain", "shift"}): gained_shifted,
    frozenset({"lookup"}): lookup,
}


def add_product(module: Any, x: Tensor, y: Tensor) -> Tensor:
    """Return y + s c (x B) A^T; ``x`` and ``y`` hold the rows in order, whatever lies between rows and features."""
    if torch.compiler.is_compiling():
        x_R_T_I = _by_row(x, module.eggym_group)
        middle_R_T_K = (x_R_T_I[:, :, None] * module.eggym_b[module.eggym_group][:, None]).sum(-1)
        return _fused(y, middle_R_T_K, module.eggym_a[module.eggym_group], module.eggym_row_scale)
    b_P_K_I = module.eggym_b
    x_P_S_I = x.reshape(b_P_K_I.shape[0], -1, x.shape[-1])
    if b_P_K_I.shape[1] == 1:  # a product and a sum: batched products of one column are slow on CPUs
        middle_P_S_K = (x_P_S_I * b_P_K_I).sum(-1, keepdim=True)
    else:
        middle_P_S_K = torch.bmm(x_P_S_I, b_P_K_I.transpose(1, 2))
    return _added(y, middle_P_S_K, module.eggym_a, module.eggym_scale)


def add_shift(module: Any, y: Tensor) -> Tensor:
    """Return y + s c z."""
    return y + _rows(module, module.eggym_shift, y)


def add_gain(module: Any, x: Tensor, y: Tensor) -> Tensor:
    """Return y + s c z g(x)."""
    multiplied: Tensor = module.eggym_unit[0](x)
    return y + multiplied * _rows(module, module.eggym_gain, y)


def _added(y: Tensor, middle_P_S_K: Tensor, a_P_K_O: Tensor, scale_P_G_1: Tensor) -> Tensor:
    """Return y + (middle * scale) A^T, in place where y lies in one piece."""
    n_pairs, group, _ = scale_P_G_1.shape
    # the scale of a row is that of all its positions and ranks, which lie together
    scaled = (middle_P_S_K.reshape(n_pairs, group, -1) * scale_P_G_1).view(middle_P_S_K.shape)
    y_P_S_O = y.reshape(n_pairs, -1, y.shape[-1])
    if not y.is_contiguous():
        return (y_P_S_O + torch.bmm(scaled, a_P_K_O)).view(y.shape)
    if a_P_K_O.shape[1] == 1:
        y_P_S_O.addcmul_(scaled, a_P_K_O)
    else:
        y_P_S_O.baddbmm_(scaled, a_P_K_O)
    return y


def _fused(y: Tensor, middle_R_T_K: Tensor, a_R_K_O: Tensor, scale_R: Tensor) -> Tensor:
    """The same row by row, out of place: the compiler makes one pass of it and of what follows."""
    scaled_R_T_K_1 = (middle_R_T_K * scale_R[:, None, None])[..., None]
    term_R_T_O = (scaled_R_T_K_1 * a_R_K_O[:, None]).sum(-2)
    return y + (term_R_T_O if y.ndim == 3 else term_R_T_O.view(y.shape))


def _by_row(x: Tensor, group_R: Tensor) -> Tensor:
    """Return x as (R, T, I); as it is where it has that shape, or the compiler would see a division of sizes."""
    return x if x.ndim == 3 else x.reshape(group_R.shape[0], -1, x.shape[-1])


def _rows(module: Any, z_P_1_n: Tensor, y: Tensor) -> Tensor:
    """Return the noise of a vector for each row, in a shape that spreads over y."""
    if torch.compiler.is_compiling():
        noise_R_n: Tensor = z_P_1_n[module.eggym_group, 0] * module.eggym_row_vector_scale[:, None]
    else:
        noise_R_n = (z_P_1_n * module.eggym_vector_scale).flatten(0, 1)
    n_rows, n = noise_R_n.shape
    if y.ndim == 2:  # rows and positions in one
        return noise_R_n[:, None].expand(-1, y.shape[0] // n_rows, -1).reshape(y.shape)
    return noise_R_n.view(n_rows, *[1] * (y.ndim - 2), n)
