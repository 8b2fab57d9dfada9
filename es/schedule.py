"""Settings that change over a run, as pure functions of the generation.

Only additions, multiplications and divisions of doubles are used, each rounded by itself: the libraries' own cos and
pow differ between machines in the last bit, and a run must be rebuilt bit for bit on any of them.
"""

from typing import Literal

Schedule = Literal["constant", "linear", "cosine", "factor"]
SCHEDULES: tuple[Schedule, ...] = ("constant", "linear", "cosine", "factor")

_PI = 3.141592653589793


def share(schedule: Schedule, step: int, steps: int, end: float, factor: float = 1.0) -> float:
    """Return what is left of a setting at generation ``step``, as a share of its start.

    constant: 1. linear and cosine: from 1 to ``end`` over ``steps`` generations, then ``end``. factor: ``factor`` to
    the power of ``step``, never below ``end``.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "factor":
        return max(power(factor, step), end)
    done = min(step / steps, 1.0)
    falling = 1.0 - done if schedule == "linear" else 0.5 + 0.5 * cosine(_PI * done)
    return end + (1.0 - end) * falling


def power(base: float, exponent: int) -> float:
    """Return a power with a whole exponent of at least 0, by squaring."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def cosine(angle: float) -> float:
    """Return the cosine of an angle from 0 to pi, to 1e-15: Taylor's series of the half angle, then 2 c^2 - 1."""
    square = angle / 2 * (angle / 2)
    total = 0.0
    for n in range(24, 0, -2):
        total = (1.0 - total) * square / (n * (n - 1))
    half = 1.0 - total
    return 2 * half * half - 1
