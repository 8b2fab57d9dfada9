"""The update of evolution strategies, exact by construction.

dW = update_rms * sum_p w_p E_p / sqrt(sum_p w_p^2), exactly 0 when all w_p are 0. Under uninformative fitness one
step then moves each weight by an rms of ``update_rms``, whatever the population, rank and sigma are.

Factors are integers in units of 1/32 with |z| <= 127, weights are int16: each product is an integer below 2^29, and
sums of up to 2^24 of them stay below 2^53. In float64 every partial sum is exact, so order, chunks, workers and
hardware cannot change a bit. The rest is one multiplication and one addition per weight, each rounded by itself.

Axes in names: _P pairs, _K rank, _O outputs, _I inputs.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eggym.counter import GRID, grid_normals, grid_variance
from eggym.errors import BadValue

from .noise import Factors, Vectors

MAX_TERMS = 1 << 24  # pairs x rank that are summed exactly


def low_rank_sum(factors: Factors, weights_P: NDArray[np.int16], chunk: int = 1 << 12) -> Tensor:
    """Return sum_p w_p A_p B_p^T as exact integers in float64: (O, I), in units of 1/1024."""
    n_pairs, rank = factors.a_P_K_O.shape[:2]
    if n_pairs * rank > MAX_TERMS:
        raise BadValue(f"{n_pairs} pairs of rank {rank} are more than the {MAX_TERMS} terms that are summed exactly")
    weights = torch.from_numpy(weights_P.astype(np.float64)).to(factors.a_P_K_O.device)
    total_O_I = torch.zeros(
        factors.a_P_K_O.shape[2], factors.b_P_K_I.shape[2], dtype=torch.float64, device=weights.device
    )
    for start in range(0, n_pairs, chunk):
        part = slice(start, start + chunk)
        scaled_T_O = (factors.a_P_K_O[part].double() * weights[part, None, None]).flatten(0, 1)
        total_O_I.addmm_(scaled_T_O.t(), factors.b_P_K_I[part].double().flatten(0, 1))
    return total_O_I


def vector_sum(vectors: Vectors, weights_P: NDArray[np.int16]) -> Tensor:
    """Return sum_p w_p z_p as exact integers in float64: (n,), in units of 1/32."""
    weights = torch.from_numpy(weights_P.astype(np.float64)).to(vectors.z_P_n.device)
    return weights @ vectors.z_P_n.double()


def full_rank_sum(keys_P: Tensor, weights_P: NDArray[np.int16], n: int) -> Tensor:
    """Return sum_p w_p Z_p of redrawn full-rank directions: exact integers in float64, (n,), in units of 1/32."""
    total_n = torch.zeros(n, dtype=torch.float64, device=keys_P.device)
    for pair, weight in enumerate(weights_P.tolist()):
        if weight:
            total_n += grid_normals(keys_P[pair : pair + 1], n)[0].double() * weight
    return total_n


def low_rank_step(update_rms: float, weights_P: NDArray[np.int16], rank: int) -> float:
    """Return the factor that turns `low_rank_sum` into the change of the weights."""
    return update_rms / (GRID**2 * grid_variance() * math.sqrt(rank) * _norm(weights_P))


def full_rank_step(update_rms: float, weights_P: NDArray[np.int16]) -> float:
    """Return the factor that turns `full_rank_sum` into the change of the weights."""
    return update_rms / (GRID * math.sqrt(grid_variance()) * _norm(weights_P))


def change(total: Tensor, factor: float) -> Tensor:
    """Return the change of a weight in float32: one product in float64, rounded once more to float32."""
    return (total * factor).float()


def _norm(weights_P: NDArray[np.int16]) -> float:
    squares = sum(int(weight) ** 2 for weight in weights_P)
    return math.sqrt(squares) if squares else math.inf  # nothing to learn: the step is exactly 0
