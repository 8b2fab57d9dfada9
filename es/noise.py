"""The directions of a generation: factors on an 8-bit grid, a pure function of names.

Direction p of a weight matrix W (out x in) is E_p = A_p B_p^T / (v sqrt r), with A (out x r) and B (in x r) of
independent entries of variance v (EGGROLL, arXiv 2511.16652, section 4); that of a vector is z_p / sqrt v. Either way
the entries of E_p are uncorrelated with variance 1. Two laws of the entries, both exact in int8 (ours):

* normal: standard normals rounded to multiples of 1/32; entries of E_p have kurtosis 3 + 6/r;
* rademacher: fair signs, v = 1; every E_p has the same norm, and its entries kurtosis 3 - 2/r.

Keys are (run seed, parameter name, generation, pair): nothing depends on order, device, chunks, or on which other
parameters are evolved. Tied weights are one parameter and have one direction.

Axes in names: _P pairs, _K rank, _O outputs, _I inputs, _n entries of a vector.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eggym.counter import as_key, bits, grid_normals, grid_signs, grid_variance
from eggym.errors import unknown
from eggym.seeding import key

from .targets import Target

Law = Literal["normal", "rademacher"]
LAWS: tuple[Law, ...] = ("normal", "rademacher")


@dataclass(frozen=True, slots=True)
class Factors:
    """All directions of one weight matrix, int8 in units of 1/32."""

    a_P_K_O: Tensor
    b_P_K_I: Tensor


@dataclass(frozen=True, slots=True)
class Vectors:
    """All directions of one parameter of a single dimension, int8 in units of 1/32."""

    z_P_n: Tensor


def draw(
    target: Target, seed: int, generation: int, n_pairs: int, rank: int, device: torch.device, law: Law = "normal"
) -> Factors | Vectors:
    """Return the directions of every pair for one parameter: factors of a matrix, full noise for a vector."""
    if target.kind == "matrix":
        return draw_factors(target, seed, generation, n_pairs, rank, device, law)
    return draw_vectors(target, seed, generation, n_pairs, device, law)


def draw_factors(
    target: Target, seed: int, generation: int, n_pairs: int, rank: int, device: torch.device, law: Law = "normal"
) -> Factors:
    """Return the factors of every pair for one weight matrix; B comes first in a pair's stream."""
    keys_P = pair_keys(target.name, seed, generation, n_pairs, device)
    n_in, n_out = rank * target.n_in, rank * target.n_out
    values_P_n = values(keys_P, n_in + n_out, law)
    b_P, a_P = values_P_n[:, :n_in], values_P_n[:, n_in:]
    return Factors(
        a_P.reshape(n_pairs, rank, target.n_out).contiguous(), b_P.reshape(n_pairs, rank, target.n_in).contiguous()
    )


def draw_vectors(
    target: Target, seed: int, generation: int, n_pairs: int, device: torch.device, law: Law = "normal"
) -> Vectors:
    """Return the full noise of every pair for one parameter of a single dimension."""
    keys_P = pair_keys(target.name, seed, generation, n_pairs, device)
    return Vectors(values(keys_P, target.n_out, law).contiguous())


def values(keys_P: Tensor, n: int, law: Law) -> Tensor:
    """Return ``n`` independent entries per key: int8 in units of 1/32, shape (P, n).

    Raises:
        UnknownName: no such law.
    """
    if law == "normal":
        return grid_normals(keys_P, n)
    if law == "rademacher":
        return grid_signs(keys_P, n)
    raise unknown("noise law", law, LAWS)


def variance(law: Law) -> float:
    """Return the exact variance of an entry, in units of 1 (not of 1/32)."""
    return grid_variance() if law == "normal" else 1.0


def pair_keys(name: str, seed: int, generation: int, n_pairs: int, device: torch.device) -> Tensor:
    """Return the noise keys of one parameter: int64, (P,), all different.

    One hash for each parameter and generation; the counter mixer, a bijection, goes on from there to the pairs.
    """
    start = as_key(key(seed, "noise", name, generation))
    pairs_P = torch.arange(n_pairs, dtype=torch.int64, device=device)
    return bits(torch.tensor([start], dtype=torch.int64, device=device), pairs_P)[0]
