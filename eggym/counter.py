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
import sys
from collections.abc import Callable
from importlib import resources

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2**64 / golden ratio, as a signed 64-bit number
_MUL1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_MUL2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
GRID = 32  # grid normals are multiples of 1/32
GRID_MAX = 127  # |z| <= 127/32 < 4
_CPU_BLOCK = 1 << 14  # 64-bit numbers drawn at a time, so that they stay in the cache of a core
_GPU_BLOCK = 1 << 24


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
    normals come from one 64-bit number, 16 bits each, lowest first, through a shipped quantile table.
    """
    return _drawn(keys_K, n, 4, _normals)


def grid_signs(keys_K: Tensor, n: int) -> Tensor:
    """Return ``n`` fair signs per key: int8, 32 or -32 (1 and -1 in units of 1/32), shape (K, n).

    Sixty-four signs come from one 64-bit number, its lowest bit first; a set bit is +.
    """
    return _drawn(keys_K, n, 64, _signs)


def grid_variance() -> float:
    """Return the variance of a grid normal in units of 1 (not of 1/32): close to 1, exact as a double."""
    counts = _counts()
    return 2 * sum(count * step * step for step, count in enumerate(counts)) / 65536 / GRID**2


@functools.cache
def _counts() -> list[int]:
    text = resources.files("eggym").joinpath("data", "grid_normal.json").read_text(encoding="utf-8")
    counts: list[int] = json.loads(text)["counts"]
    return counts


def _drawn(keys_K: Tensor, n: int, per_word: int, read: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``n`` int8 values per key, ``per_word`` of them read from each 64-bit number.

    Goes block by block: some 16 operations per number in a row cost a sixth when the numbers stay in the cache of a
    core. Blocks cannot change a bit, because a number depends on its key and counter alone.
    """
    n_words, device = -(-n // per_word), keys_K.device
    columns = min(n_words, _CPU_BLOCK if device.type == "cpu" else _GPU_BLOCK)
    rows = max(1, (_CPU_BLOCK if device.type == "cpu" else _GPU_BLOCK) // max(1, n_words))
    values_K_n = torch.empty(len(keys_K), n_words * per_word, dtype=torch.int8, device=device)
    for first in range(0, n_words, max(1, columns)):
        counters_C = torch.arange(first, min(n_words, first + columns), dtype=torch.int64, device=device)
        mixed_C = _mix(counters_C * _GOLDEN)
        for row in range(0, len(keys_K), rows):
            words = _mix(keys_K[row : row + rows, None] ^ mixed_C)
            values_K_n[row : row + rows, per_word * first :][:, : per_word * len(mixed_C)] = read(words)
    return values_K_n[:, :n]


def _normals(words_K_C: Tensor) -> Tensor:
    index = _lowest_first(words_K_C, torch.int16).to(torch.int32) + 32768
    return _quantiles(words_K_C.device).index_select(0, index.flatten()).view(index.shape)


def _signs(words_K_C: Tensor) -> Tensor:
    octets = _lowest_first(words_K_C, torch.uint8)
    places = torch.arange(8, dtype=torch.uint8, device=octets.device)
    one_bits = ((octets[..., None] >> places) & 1).flatten(1).to(torch.int8)
    return one_bits * (2 * GRID) - GRID


def _lowest_first(words_K_C: Tensor, dtype: torch.dtype) -> Tensor:
    """Cut 64-bit numbers into shorter ones, the lowest part first on every machine."""
    parts = words_K_C.view(dtype)
    if sys.byteorder == "little":
        return parts
    return parts.view(*words_K_C.shape, -1).flip(-1).flatten(-2)


@functools.cache
def _quantiles(device: torch.device) -> Tensor:
    """The 65,536 equally likely values; place v + 32768 belongs to the 16 bits that read v as a signed number."""
    half = _counts()
    counts = [*reversed(half[1:]), *half]
    ascending = torch.repeat_interleave(torch.arange(-GRID_MAX, GRID_MAX + 1), torch.tensor(counts)).to(torch.int8)
    return ascending.roll(32768).to(device)


def _mix(x: Tensor) -> Tensor:
    x = _shift_right(x, 30).bitwise_xor_(x).mul_(_MUL1)
    x = _shift_right(x, 27).bitwise_xor_(x).mul_(_MUL2)
    return _shift_right(x, 31).bitwise_xor_(x)


def _shift_right(x: Tensor, by: int) -> Tensor:
    # torch shifts in copies of the sign bit: mask them off
    return (x >> by).bitwise_and_((1 << (64 - by)) - 1)


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
