"""The direction that a population votes for: sum_p w_p E_p, exact by construction.

Noise is integers in units of 1/32 with |z| <= 127, weights are int16. A product w a b of a matrix's factors is an
integer below 2^29, and sums of up to 2^24 of them stay below 2^53; a product w z of full-rank noise is below 2^22. In
float64 every partial sum is exact, so order, chunks, workers and hardware cannot change a bit; partial sums of
several workers, added up, are the whole. One matrix product for each block of rows and chunk of pairs makes them: a
block's sums stay in the cache of a core while the optimiser works on them.

A sum comes as two, over even and over odd pairs. They cost no more than one and say how far the halves of the
population agree.

Axes in names: _P pairs, _K rank, _T terms (pairs x rank), _O outputs, _I inputs, _n entries.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eggym.counter import GRID, grid_normals
from eggym.errors import BadValue

from .noise import Factors, Vectors
from .shaping import sum_of_squares

MAX_TERMS = 1 << 24  # pairs x rank that are summed exactly
CHUNK = 1 << 10  # terms that are float64 at a time
_CPU_BLOCK = 1 << 16  # entries of a sum that are made at a time: 512 KiB
_GPU_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Block:
    """Exact sums for some rows of one parameter as it is stored: whole numbers in float64."""

    rows: slice
    even: Tensor  # over pairs 0, 2, 4, ...
    odd: Tensor


@dataclass(frozen=True, slots=True)
class Direction:
    """sum_p w_p E_p of one parameter, in blocks; ``unit`` times an entry of variance 1 is 1 in the sums."""

    name: str
    unit: float
    blocks: Iterable[Block]


def direction(
    name: str, factors: Factors | Vectors, weights_P: NDArray[np.int16], variance: float, transposed: bool = False
) -> Direction:
    """Return what a population votes for in one parameter; ``variance`` is that of an entry of the noise."""
    if isinstance(factors, Vectors):
        return Direction(name, full_rank_unit(variance), vector_blocks(factors, weights_P))
    unit = low_rank_unit(factors.a_P_K_O.shape[1], variance)
    return Direction(name, unit, low_rank_blocks(factors, weights_P, transposed))


def low_rank_blocks(
    factors: Factors, weights_P: NDArray[np.int16], transposed: bool = False, rows: int | None = None
) -> Iterator[Block]:
    """Yield sum_p w_p A_p B_p^T in units of 1/1024, ``rows`` rows at a time; ``transposed``: as (inputs, outputs)."""
    left, right = (factors.b_P_K_I, factors.a_P_K_O) if transposed else (factors.a_P_K_O, factors.b_P_K_I)
    n_pairs, rank, n_rows = left.shape
    if n_pairs * rank > MAX_TERMS:
        raise BadValue(f"{n_pairs} pairs of rank {rank} are more than the {MAX_TERMS} terms that are summed exactly")
    most = _CPU_BLOCK if left.device.type == "cpu" else _GPU_BLOCK
    height = rows or max(1, most // right.shape[2])
    weights = torch.from_numpy(weights_P.astype(np.float64)).to(left.device)
    even, odd = (_Half(left[p::2], right[p::2], weights[p::2]) for p in (0, 1))
    for start in range(0, n_rows, height):
        part = slice(start, min(start + height, n_rows))
        yield Block(part, even.sum(part), odd.sum(part))


def low_rank_sum(factors: Factors, weights_P: NDArray[np.int16], chunk: int = CHUNK) -> Tensor:
    """Return sum_p w_p A_p B_p^T whole, of any share of the pairs: (O, I), float64, in units of 1/1024."""
    weights = torch.from_numpy(weights_P.astype(np.float64)).to(factors.a_P_K_O.device)
    return _Half(factors.a_P_K_O, factors.b_P_K_I, weights, chunk).sum(slice(None))


def vector_blocks(vectors: Vectors, weights_P: NDArray[np.int16]) -> Iterator[Block]:
    """Yield sum_p w_p z_p in units of 1/32, in one block."""
    weights = torch.from_numpy(weights_P.astype(np.float64)).to(vectors.z_P_n.device)
    even, odd = (torch.mv(vectors.z_P_n[p::2].double().t(), weights[p::2]) for p in (0, 1))
    yield Block(slice(None), even, odd)


def full_rank_blocks(keys_P: Tensor, weights_P: NDArray[np.int16], shape: torch.Size) -> Iterator[Block]:
    """Yield sum_p w_p Z_p of redrawn full-rank noise in units of 1/32, some rows at a time."""
    even, odd = (full_rank_sum(keys_P[p::2], weights_P[p::2], shape.numel()).view(shape) for p in (0, 1))
    most = _CPU_BLOCK if keys_P.device.type == "cpu" else _GPU_BLOCK
    height = max(1, most * shape[0] // shape.numel())
    for start in range(0, shape[0], height):
        part = slice(start, min(start + height, shape[0]))
        yield Block(part, even[part], odd[part])


def full_rank_sum(keys_P: Tensor, weights_P: NDArray[np.int16], n: int) -> Tensor:
    """Return sum_p w_p Z_p of redrawn full-rank noise: exact integers in float64, (n,), in units of 1/32."""
    total_n = torch.zeros(n, dtype=torch.float64, device=keys_P.device)
    told = torch.from_numpy(np.flatnonzero(weights_P)).to(keys_P.device)  # noise that says nothing is not redrawn
    weights = torch.from_numpy(weights_P.astype(np.float64)).to(keys_P.device)
    together = max(1, (1 << 20) // n)
    for start in range(0, len(told), together):
        pairs = told[start : start + together]
        noise_P_n = grid_normals(keys_P[pairs], n)
        for first in range(0, n, _CPU_BLOCK):
            here = slice(first, first + _CPU_BLOCK)
            total_n[here].addmv_(noise_P_n[:, here].double().t(), weights[pairs])
    return total_n


def low_rank_unit(rank: int, variance: float) -> float:
    """Return the size of `low_rank_blocks` for a direction of variance 1, ``variance`` being that of a factor."""
    return GRID**2 * variance * math.sqrt(rank)


def full_rank_unit(variance: float) -> float:
    """Return the size of `full_rank_blocks` and `vector_blocks` for a direction of variance 1."""
    return GRID * math.sqrt(variance)


def norm(weights_P: NDArray[np.int16]) -> float:
    """Return sqrt(sum_p w_p^2); infinite when there is nothing to learn, so that a step is exactly 0."""
    squares = sum_of_squares(weights_P)
    return math.sqrt(squares) if squares else math.inf


def scaled(total: Tensor, factor: float) -> Tensor:
    """Return sums times a factor in float32: one product in float64, rounded once more to float32."""
    return (total * factor).float()


class _Half:
    """Makes rows of sum_t w_t l_t r_t^T over some terms."""

    def __init__(self, left_P_K_O: Tensor, right_P_K_I: Tensor, weights_P: Tensor, chunk: int = CHUNK) -> None:
        n_terms = left_P_K_O.shape[0] * left_P_K_O.shape[1]
        self._left_T_O = left_P_K_O.flatten(0, 1)
        self._right_T_I = right_P_K_I.flatten(0, 1)
        self._weights_T = weights_P.repeat_interleave(left_P_K_O.shape[1])
        self._parts = [slice(start, start + chunk) for start in range(0, n_terms, chunk)]
        self._only_T_I = self._right_T_I.double() if len(self._parts) == 1 else None

    def sum(self, rows: slice) -> Tensor:
        """Return the sums of these rows: float64, every partial sum a whole number."""
        left_T_O = self._left_T_O[:, rows]
        total_O_I = left_T_O.new_zeros(left_T_O.shape[1], self._right_T_I.shape[1], dtype=torch.float64)
        for part in self._parts:
            scaled_T_O = left_T_O[part].double().mul_(self._weights_T[part, None])
            right_T_I = self._right_T_I[part].double() if self._only_T_I is None else self._only_T_I
            total_O_I.addmm_(scaled_T_O.t(), right_T_I)
        return total_O_I
