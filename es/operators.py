"""The forward passes of perturbed modules, as functions that read their operands from attributes of the module.

They stand in for ``forward`` of one module while a population is laid over the model. The attributes are tensors, so
that `torch.compile` takes them as inputs: other factors need no new compilation, and no closure is made in a
generation. Within a compiled step terms are added out of place, for the compiler to fuse; else in place, in one pass.

    eggym_a (P, K, O), eggym_b (P, K, I)   factors of the groups' pairs, in units of 1
    eggym_scale (P, G, 1)                  s sigma / (v sqrt r) for each row
    eggym_shift (P, 1, n), eggym_gain (P, 1, n), eggym_vector_scale (P, G, 1)
    eggym_unit                             a module that returns what a gain multiplies, in a tuple

Axes in names: _P groups of rows of one pair, _G rows of a group, _R rows, _S positions of a group, _K rank,
_O outputs, _I inputs, _V vocabulary, _n entries of a vector.
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
    scale_P_G_1, a_P_K_V = module.eggym_scale, module.eggym_a
    n_pairs, group, _ = scale_P_G_1.shape
    if index.shape[0] != n_pairs * group:
        index, y = index.expand(n_pairs * group, -1), y.expand(n_pairs * group, -1, -1)
    index_P_K_S = index.reshape(n_pairs, 1, -1).expand(-1, a_P_K_V.shape[1], -1)
    middle_P_S_K = a_P_K_V.gather(2, index_P_K_S).transpose(1, 2)
    return _add(y, middle_P_S_K, module.eggym_b, scale_P_G_1)


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
    a_P_K_O, b_P_K_I, scale_P_G_1 = module.eggym_a, module.eggym_b, module.eggym_scale
    x_P_S_I = x.reshape(scale_P_G_1.shape[0], -1, x.shape[-1])
    if b_P_K_I.shape[1] == 1:  # a product and a sum: batched products of one column are slow on CPUs
        middle_P_S_K = (x_P_S_I * b_P_K_I).sum(-1, keepdim=True)
    else:
        middle_P_S_K = torch.bmm(x_P_S_I, b_P_K_I.transpose(1, 2))
    return _add(y, middle_P_S_K, a_P_K_O, scale_P_G_1)


def add_shift(module: Any, y: Tensor) -> Tensor:
    """Return y + s c z."""
    noise_R_1_n: Tensor = (module.eggym_shift * module.eggym_vector_scale).flatten(0, 1)[:, None]
    return (y.reshape(noise_R_1_n.shape[0], -1, y.shape[-1]) + noise_R_1_n).view(y.shape)


def add_gain(module: Any, x: Tensor, y: Tensor) -> Tensor:
    """Return y + s c z g(x)."""
    noise_R_1_n = (module.eggym_gain * module.eggym_vector_scale).flatten(0, 1)[:, None]
    multiplied: Tensor = module.eggym_unit[0](x).reshape(noise_R_1_n.shape[0], -1, y.shape[-1])
    noise: Tensor = (multiplied * noise_R_1_n).view(y.shape)
    return y + noise


def _add(y: Tensor, middle_P_S_K: Tensor, a_P_K_O: Tensor, scale_P_G_1: Tensor) -> Tensor:
    """Return y + (middle * scale) A^T."""
    n_pairs, group, _ = scale_P_G_1.shape
    # the scale of a row is that of all its positions and ranks, which lie together
    scaled = (middle_P_S_K.reshape(n_pairs, group, -1) * scale_P_G_1).view(middle_P_S_K.shape)
    y_P_S_O = y.reshape(n_pairs, -1, y.shape[-1])
    rank_one = a_P_K_O.shape[1] == 1
    if torch.compiler.is_compiling() or not y.is_contiguous():
        return (y_P_S_O + (scaled * a_P_K_O if rank_one else torch.bmm(scaled, a_P_K_O))).view(y.shape)
    if rank_one:
        y_P_S_O.addcmul_(scaled, a_P_K_O)
    else:
        y_P_S_O.baddbmm_(scaled, a_P_K_O)
    return y
