"""The points at which two terms are compared: near, far, and drawn from the terms themselves.

Fixed points alone are no proof, as a term can be made that is right at each of them. Those drawn from a hash of both
texts move with every letter of an answer, and are the same wherever and whenever it is judged.
"""

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

MOST_UNKNOWNS = 12
N_DRAWN = 3

# In [-3, 3], without round numbers; each unknown gets a value of its own, and the truth is likely real at two of four.
_NEAR = tuple(
    tuple(map(Fraction, line.split()))
    for line in (
        "1.7329 0.6173 2.2391 1.1953 0.8317 2.6173 1.4519 0.2917 1.9373 2.0179 0.7451 2.8913",
        "-0.7193 1.3171 -1.9319 0.4177 -2.3917 1.5313 2.1713 -1.1197 0.9371 -0.3319 2.7191 -1.6729",
        "0.3137 -1.4719 0.9133 -0.2719 1.8311 -0.6737 -2.1139 1.2713 -0.5179 2.3717 -1.7393 0.1379",
        "2.4137 2.8171 0.1931 1.6317 0.5119 0.7717 2.9137 1.0393 0.6719 1.3913 2.5171 0.8779",
    )
)
_FAR = ((0, Fraction("6.13")), (3, Fraction("-4.37")), (2, Fraction("317.9")), (3, Fraction("-43.1")))  # row, factor


def points(texts: str) -> Iterator[Sequence[Fraction]]:
    """Yield the points for a pair of terms: a value for each of up to 12 unknowns."""
    yield from _NEAR
    yield from _drawn(texts)
    for row, factor in _FAR:
        yield [factor * value for value in _NEAR[row]]


def _drawn(texts: str) -> Iterator[list[Fraction]]:
    """Draw from [-8, 8], in steps of 1/8191."""
    bits = hashlib.shake_256(texts.encode("utf-8", "surrogatepass")).digest(4 * MOST_UNKNOWNS * N_DRAWN)
    numbers = [int.from_bytes(bits[place : place + 4]) for place in range(0, len(bits), 4)]
    values = [Fraction(number % (16 * 8191) - 8 * 8191, 8191) for number in numbers]
    for start in range(0, len(values), MOST_UNKNOWNS):
        yield values[start : start + MOST_UNKNOWNS]
