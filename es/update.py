"""The direction that a population votes for: sum_p w_p E_p, exact by construction.

Noise is integers in units of 1/32 with |z| <= 127, weights are int16. A product w a b of a matrix's factors is an
integer below 2^29, and sums of up to 2^24 of them stay below 2^53; a product w z of full-rank noise is below 2^22. In
float64 every partial sum is exact, so order, chunks, workers and hardware cannot change a bit; partial sums of
several workers, added up, are the whole. Where sum |w| 127^2 stays below 2^24, as with rewards of 0 and 1 and a few
hundred pairs, float32 is exact too and takes half the time: the same whole numbers. Pairs of weight 0 are left out.
One matrix product for each block of rows and chunk of pairs makes the sums: a block stays in the cache of a core while
the optimiser works on it.

Products in int8 would need three digits for w a, and three sums to join: measured, that is no faster than float64 below
about 500 terms.

How far the halves of the population agree (even and odd pairs) follows from inner products of their sums. Where it is
cheaper, sums are made apart for the halves and multiplied; else from Gram matrices, for <A_p B_p^T, A_q B_q^T> is
(A_p . A_q)(B_p . B_q), without a sum. That is a diagnostic, and rounded.

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
_LARGEST = 127  # of a factor, in units of 1/32
CHUNK = 1 << 10  # terms that are float64 at a time
_CPU_BLOCK = 1 << 16  # entries of a sum that are made at a time: 512 KiB
_GPU_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class Block:
    """Exact sums for some rows of one parameter as it is stored: whole numbers in float64 or float32."""

    rows: slice
    parts: tuple[Tensor, ...]  # the whole sum, or that of even and that of odd pairs


@dataclass(frozen=True, slots=True)
class Halves:
    """Inner products of the sums over even and over odd pairs of one parameter."""

    even: float
    odd: float
    both: float


@dataclass(frozen=True, slots=True)
class Direction:
    """sum_p w_p E_p of one parameter, in blocks; ``unit`` times an entry of variance 1 is 1 in the sums."""

    name: str
    unit: float
    blocks: Iterable[Block]
    halves: Halves | None = None  # None: follow from the parts of the blocks


@dataclass(frozen=True, slots=True)
class Tally:
    """The pairs of a generation that count, those whose weight is not 0, for all its matrices; terms are pairs x rank.

    ``short`` says that float32 holds every partial sum, and that products are computed in it.
    """

    weights_P: NDArray[np.int16]
    pairs_D: Tensor  # int64
    weights_T: Tensor  # float64
    halves: tuple[Tensor, Tensor]  # numbers of the terms of even and of odd pairs
    short: bool

    @classmethod
    def of(cls, weights_P: NDArray[np.int16], rank: int, device: torch.device) -> "Tally":
        """Leave out what does not count.

        Raises:
            BadValue: more terms than can be summed exactly.
        """
        if len(weights_P) * rank > MAX_TERMS:
            raise BadValue(
                f"{len(weights_P)} pairs of rank {rank} are more than the {MAX_TERMS} terms that are summed exactly"
            )
        told = np.flatnonzero(weights_P)
        odd = np.repeat(told % 2, rank)
        most = int(np.abs(weights_P.astype(np.int64)).sum()) * rank * _LARGEST**2
        return cls(
            weights_P,
            torch.from_numpy(told).to(device),
            _float64(np.repeat(weights_P[told], rank), device),
            (torch.from_numpy(np.flatnonzero(odd == 0)).to(device), torch.from_numpy(np.flatnonzero(odd)).to(device)),
            most < 1 << 24 and _float32_products_are_whole(),
        )

    def terms(self, factor_P_K_n: Tensor) -> Tensor:
        """Return the terms of one side: int8, (T, n)."""
        return factor_P_K_n.index_select(0, self.pairs_D).flatten(0, 1)


def direction(
    name: str, noise: Factors | Vectors, tally: Tally, variance: float, transposed: bool = False
) -> Direction:
    """Return what a population votes for in one parameter; ``variance`` is that of an entry of the noise."""
    if isinstance(noise, Vectors):
        return Direction(name, full_rank_unit(variance), vector_blocks(noise, tally.weights_P))
    n_out, n_in = noise.a_P_K_O.shape[2], noise.b_P_K_I.shape[2]
    unit = low_rank_unit(noise.a_P_K_O.shape[1], variance)
    if len(tally.weights_T) * (n_out + n_in) > n_out * n_in:
        return Direction(name, unit, low_rank_blocks(noise, tally, transposed, apart=True))
    return Direction(name, unit, low_rank_blocks(noise, tally, transposed), gram_halves(noise, tally))


def low_rank_blocks(
    factors: Factors, tally: Tally, transposed: bool = False, apart: bool = False, height: int | None = None
) -> Iterator[Block]:
    """Yield sum_p w_p A_p B_p^T in units of 1/1024, ``height`` rows at a time.

    ``transposed``: as (inputs, outputs). ``apart``: even and odd pairs.
    """
    sides = (factors.b_P_K_I, factors.a_P_K_O) if transposed else (factors.a_P_K_O, factors.b_P_K_I)
    left_T_O, right_T_I = (tally.terms(one) for one in sides)
    most = _CPU_BLOCK if left_T_O.device.type == "cpu" else _GPU_BLOCK
    height = height or max(1, most // right_T_I.shape[1])
    kind, n_rows = torch.float32 if tally.short else torch.float64, left_T_O.shape[1]
    if apart:
        sums = [
            _Sum(left_T_O.index_select(0, t), right_T_I.index_select(0, t), tally.weights_T.index_select(0, t), kind)
            for t in tally.halves
        ]
    else:
        sums = [_Sum(left_T_O, right_T_I, tally.weights_T, kind)]
    for start in range(0, n_rows, height):
        part = slice(start, min(start + height, n_rows))
        yield Block(part, tuple(one.of(part) for one in sums))


def gram_halves(factors: Factors, tally: Tally) -> Halves:
    """Return the inner products of `low_rank_blocks` over even and odd pairs without making a sum."""
    gram_T_T = _gram(tally.terms(factors.a_P_K_O)).mul_(_gram(tally.terms(factors.b_P_K_I)))
    even_T = tally.weights_T.index_fill(0, tally.halves[1], 0.0)
    odd_T = tally.weights_T - even_T
    seen_even_T, seen_odd_T = gram_T_T @ even_T, gram_T_T @ odd_T
    even, odd = torch.dot(even_T, seen_even_T), torch.dot(odd_T, seen_odd_T)
    return Halves(float(even), float(odd), float(torch.dot(even_T, seen_odd_T)))


def low_rank_sum(factors: Factors, weights_P: NDArray[np.int16], chunk: int = CHUNK) -> Tensor:
    """Return sum_p w_p A_p B_p^T whole, of any share of the pairs: (O, I), float64, in units of 1/1024."""
    tally = Tally.of(weights_P, factors.a_P_K_O.shape[1], factors.a_P_K_O.device)
    left_T_O, right_T_I = tally.terms(factors.a_P_K_O), tally.terms(factors.b_P_K_I)
    return _Sum(left_T_O, right_T_I, tally.weights_T, torch.float64, chunk).of(slice(None))


def vector_blocks(vectors: Vectors, weights_P: NDArray[np.int16]) -> Iterator[Block]:
    """Yield sum_p w_p z_p in units of 1/32, in one block."""
    weights = _float64(weights_P, vectors.z_P_n.device)
    yield Block(slice(None), tuple(torch.mv(vectors.z_P_n[p::2].double().t(), weights[p::2]) for p in (0, 1)))


def full_rank_blocks(keys_P: Tensor, weights_P: NDArray[np.int16], shape: torch.Size) -> Iterator[Block]:
    """Yield sum_p w_p Z_p of redrawn full-rank noise in units of 1/32, some rows at a time."""
    even, odd = (full_rank_sum(keys_P[p::2], weights_P[p::2], shape.numel()).view(shape) for p in (0, 1))
    most = _CPU_BLOCK if keys_P.device.type == "cpu" else _GPU_BLOCK
    height = max(1, most * shape[0] // shape.numel())
    for start in range(0, shape[0], height):
        part = slice(start, min(start + height, shape[0]))
        yield Block(part, (even[part], odd[part]))


def full_rank_sum(keys_P: Tensor, weights_P: NDArray[np.int16], n: int) -> Tensor:
    """Return sum_p w_p Z_p of redrawn full-rank noise: exact integers in float64, (n,), in units of 1/32."""
    total_n = torch.zeros(n, dtype=torch.float64, device=keys_P.device)
    told = torch.from_numpy(np.flatnonzero(weights_P)).to(keys_P.device)  # noise that says nothing is not redrawn
    weights = _float64(weights_P, keys_P.device)
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
    """Turn sums into their product with a factor: the sum rounded to float32, and one product of float32."""
    return total.float().mul_(factor)


def _float32_products_are_whole() -> bool:
    """Whether nobody has let torch compute float32 products in a shorter type."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # torch does not answer where single backends were set: then perhaps not
        return False


def _float64(weights_P: NDArray[np.int16], device: torch.device) -> Tensor:
    return torch.from_numpy(weights_P.astype(np.float64)).to(device)


def _gram(values_T_n: Tensor) -> Tensor:
    """Return all inner products of int8 rows, exact: 127^2 * 1024 is below 2^24, what float32 counts up to."""
    total_T_T = values_T_n.new_zeros(len(values_T_n), len(values_T_n), dtype=torch.float64)
    for start in range(0, values_T_n.shape[1], 1024):
        whole = values_T_n[:, start : start + 1024].float()
        total_T_T += whole @ whole.t()
    return total_T_T


class _Sum:
    """Makes rows of sum_t w_t l_t r_t^T, computed in a type that holds all partial sums."""

    def __init__(
        self, left_T_O: Tensor, right_T_I: Tensor, weights_T: Tensor, kind: torch.dtype, chunk: int = CHUNK
    ) -> None:
        self._left_T_O, self._right_T_I, self._kind = left_T_O, right_T_I, kind
        self._weights_T_1 = weights_T.to(kind)[:, None]
        self._parts = [slice(start, start + chunk) for start in range(0, max(1, len(left_T_O)), chunk)]
        self._only_T_I = right_T_I.to(kind) if len(self._parts) == 1 else None

    def of(self, rows: slice) -> Tensor:
        """Return the sums of these rows, every partial sum a whole number; zeros where there is no term."""
        left_T_O = self._left_T_O[:, rows]
        total_O_I: Tensor | None = None
        for part in self._parts:
            scaled_O_T = (left_T_O[part] * self._weights_T_1[part]).t()
            right_T_I = self._right_T_I[part].to(self._kind) if self._only_T_I is None else self._only_T_I
            total_O_I = scaled_O_T @ right_T_I if total_O_I is None else total_O_I.addmm_(scaled_O_T, right_T_I)
        assert total_O_I is not None  # noqa: S101 - there is a part, if an empty one
        return total_O_I
