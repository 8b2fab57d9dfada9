"""Stateless counter-based random numbers in integer and separate IEEE operations: the same bits on every device.

Each number is a pure function of (key, counter); there is no generator, no order of calls, no state to save. Keys come
from `eggym.seeding.key`, which hashes names, so that no two places share a stream.

The mixer is the finaliser of SplitMix64 (Steele, Lea and Flood 2014; constants of Stafford's variant 13), applied to
the counter, xored with the key and applied again: a bijection of 64 bits for each key.

Axes in names: _K keys, _C counters.
"""

import functools
import json
import math
from importlib import resources

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2**64 / golden ratio, as a signed 64-bit number
_MUL1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_MUL2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
GRID = 32  # grid normals are multiples of 1/32
GRID_MAX = 127  # |z| <= 127/32 < 4


def bits(keys_K: Tensor, counters_C: Tensor) -> Tensor:
    """Return 64 random bits for every key and counter: int64, shape (K, C).

    ``keys_K`` and ``counters_C`` are int64 tensors on one device.
    """
    return _mix(keys_K[:, None] ^ _mix(counters_C * _GOLDEN)[None, :])


def as_key(key: int) -> int:
    """Return a 64-bit key as the signed number that an int64 tensor can hold."""
    return key - (1 << 64) if key >= 1 << 63 else key


def uniforms(keys_K: Tensor, counters_C: Tensor) -> Tensor:
    """Return float64 uniforms strictly between 0 and 1, shape (K, C): odd multiples of 2**-53."""
    return _unit(bits(keys_K, counters_C))


def uniforms_each(keys_R: Tensor, counters_R_C: Tensor) -> Tensor:
    """Return uniforms at counters of each key's own: float64, shape (R, C)."""
    return _unit(_mix(keys_R[:, None] ^ _mix(counters_R_C * _GOLDEN)))


def gumbels_each(keys_R: Tensor, counters_R_C: Tensor) -> Tensor:
    """Return standard Gumbel variates, -log(-log u), at counters of each key's own: float32, shape (R, C)."""
    return (-_log(-_log(uniforms_each(keys_R, counters_R_C)))).float()


def grid_normals(keys_K: Tensor, n: int) -> Tensor:
    """Return ``n`` normals per key on the 8-bit grid: int8 in units of 1/32, shape (K, n).

    The distribution is a standard normal rounded to multiples of 1/32; its exact variance is `grid_variance`. Four
    normals come from one 64-bit number, 16 bits each, through a shipped quantile table.
    """
    words = bits(keys_K, torch.arange(-(-n // 4), dtype=torch.int64, device=keys_K.device))
    shifts = torch.tensor([0, 16, 32, 48], dtype=torch.int64, device=keys_K.device)
    index = (words[..., None] >> shifts) & 0xFFFF
    return _quantiles().to(keys_K.device)[index].flatten(1)[:, :n]


def grid_variance() -> float:
    """Return the variance of a grid normal in units of 1 (not of 1/32): close to 1, exact as a double."""
    counts = _counts()
    return 2 * sum(count * step * step for step, count in enumerate(counts)) / 65536 / GRID**2


@functools.cache
def _counts() -> list[int]:
    text = resources.files("eggym").joinpath("data", "grid_normal.json").read_text(encoding="utf-8")
    counts: list[int] = json.loads(text)["counts"]
    return counts


@functools.cache
def _quantiles() -> Tensor:
    """The 65,536 equally likely values, in ascending order."""
    half = _counts()
    counts = [*reversed(half[1:]), *half]
    return torch.repeat_interleave(torch.arange(-GRID_MAX, GRID_MAX + 1), torch.tensor(counts)).to(torch.int8)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift_right(x, 30)) * _MUL1
    x = (x ^ _shift_right(x, 27)) * _MUL2
    return x ^ _shift_right(x, 31)


def _shift_right(x: Tensor, by: int) -> Tensor:
    return (x >> by) & ((1 << (64 - by)) - 1)  # torch shifts in copies of the sign bit: mask them off


def _unit(word: Tensor) -> Tensor:
    # (2 k + 1) / 2**53 with k of 52 bits: exact in a double, never 0 and never 1
    return (_shift_right(word, 12) * 2 + 1).double() * 2.0**-53


def _log(x: Tensor) -> Tensor:
    """Natural logarithm of positive normal doubles by separate additions and multiplications.

    libm differs between devices in the last bit. log m = 2 artanh f with f = (m - 1) / (m + 1), |f| <= 0.172.
    """
    word = x.view(torch.int64)
    mantissa = ((word & ((1 << 52) - 1)) | (1023 << 52)).view(torch.float64)
    exponent = ((word >> 52) - 1023).double()
    high = mantissa > math.sqrt(2)
    mantissa = torch.where(high, mantissa * 0.5, mantissa)
    exponent = torch.where(high, exponent + 1, exponent)
    ratio = (mantissa - 1) / (mantissa + 1)
    square = ratio * ratio
    series = torch.full_like(square, 1 / 21)
    for odd in range(19, 0, -2):
        series = series * square
        series = series + 1 / odd
    return exponent * math.log(2) + ratio * 2 * series
