"""From the rewards of a population to one weight for each pair of twins.

Larger is better. Sums are exactly rounded (`math.fsum`), so that the order of members and items cannot change a bit.
Axes in names: _N members, _P items, _G replies, _D pairs (directions).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eggym.errors import BadValue, unknown

Shaping = Literal["pooled", "ranks", "sign"]
SHAPINGS: tuple[Shaping, ...] = ("pooled", "ranks", "sign")
WEIGHT_MAX = 32767  # of a pair
_PARTS = 16  # the smallest weight may be so many units
_SAME = 2.0**-40  # relative error of a multiple that was computed
_TIE = 2.0**-40  # scores that differ by less than this share of the largest centred reward are one, computed twice


@dataclass(frozen=True, slots=True)
class Shaped:
    """What the rewards of one generation say."""

    weights_D: NDArray[np.int16]  # proportional to f+ - f- of each pair, see `quantise`; all zero: nothing to learn
    centred_N_P: NDArray[np.float64]  # mean reward over replies minus the item's mean over members; 0 where missing
    informative: float  # share of items whose members did not all get the same reward
    flat_items: int  # how many items did
    missing: float  # share of replies that could not be judged
    spread: float  # root mean square over pairs of (f+ - f-) / 2, with a member's mean reward over items for f
    strength: float  # 2 sqrt(sum w^2 / N) with f of variance 1 over members (under "sign": w of -1, 0 or 1)


def shape(rewards_N_P_G: NDArray[np.float32], shaping: Shaping = "pooled") -> Shaped:
    """Return the pair weights of a population; members 2p and 2p + 1 are twins.

    * "pooled": reward minus the item's mean over members, over the pooled standard deviation within items, averaged
      over items: a z-score in which easy and hard items count alike (arXiv 2511.16652, section 4; there the deviation
      is taken over all rewards, items of different difficulty included, and everyone's signal shrinks).
    * "ranks": each member's mean over items, as centred ranks in [-1/2, 1/2], ties sharing their mean rank (Salimans
      et al. 2017, section 2.1).
    * "sign": -1, 0 or 1 for each pair, by which twin has the larger mean over items (as the int8 runs of
      arXiv 2511.16652, appendix J).

    A missing reward (NaN) counts as the item's mean: it says nothing.
    """
    if len(rewards_N_P_G) % 2:
        raise BadValue(f"a population of antithetic pairs is even, got {len(rewards_N_P_G)} members")
    centred_N_P = _centre(_over_replies(rewards_N_P_G.astype(np.float64)))
    flat = sum(not column.any() for column in centred_N_P.T)
    fitness_N = _fitness(centred_N_P, shaping)
    means_N = np.array([_mean(row) for row in centred_N_P])
    halves_D = (means_N[0::2] - means_N[1::2]) / 2
    told_D = np.abs(halves_D) > _TIE * np.abs(centred_N_P).max()  # else rounding alone would make a step if all tie
    halves_D = np.where(told_D, halves_D, 0.0)
    pairs_D = np.where(told_D, (fitness_N[0::2] - fitness_N[1::2]) / 2, 0.0)
    weights_D = quantise(pairs_D)
    return Shaped(
        weights_D,
        centred_N_P,
        informative=1 - flat / centred_N_P.shape[1],
        flat_items=flat,
        missing=float((~np.isfinite(rewards_N_P_G)).mean()),
        spread=math.sqrt(math.fsum((halves_D**2).tolist()) / len(halves_D)),
        strength=_strength(fitness_N, pairs_D, weights_D, shaping),
    )


def pooled(centred_N_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each member's mean over items, over the pooled standard deviation (ddof 0); zeros where all agree."""
    variance = math.fsum(float(value) ** 2 for value in centred_N_P.flat) / centred_N_P.size
    means_N = np.array([_mean(row) for row in centred_N_P])
    return means_N / math.sqrt(variance) if variance > 0 else np.zeros_like(means_N)


def centred_ranks(scores_N: Iterable[float]) -> NDArray[np.float64]:
    """Map scores to ranks in [-1/2, 1/2]; equal scores share their mean rank, or their order would become a signal."""
    scores = np.asarray(list(scores_N))
    ordered = np.sort(scores)
    below_N = np.searchsorted(ordered, scores, "left")
    above_N = len(scores) - np.searchsorted(ordered, scores, "right")
    ranks_N: NDArray[np.float64] = (below_N - above_N) / (2 * (len(scores) - 1))
    return ranks_N


def pair_signs(scores_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sign of the difference of twins for the first of each pair and its opposite for the second."""
    signs_D = np.sign(scores_N[0::2] - scores_N[1::2])
    return np.stack([signs_D, -signs_D], axis=1).reshape(-1)


def quantise(weights_D: NDArray[np.float64]) -> NDArray[np.int16]:
    """Turn weights into whole numbers in the same proportions: the update then is exact in any order.

    Where all are multiples of one unit, as with rewards of 0 and 1, they become these multiples: nothing is rounded,
    and small numbers make cheap sums. Else they are rounded to int16, the largest to +-32767.
    """
    told_D = np.abs(weights_D[weights_D != 0])
    if not len(told_D):
        return np.zeros(len(weights_D), dtype=np.int16)
    for parts in range(1, _PARTS + 1):
        whole_D = weights_D / told_D.min() * parts
        rounded_D = np.rint(whole_D)
        if np.abs(rounded_D).max() <= WEIGHT_MAX and np.allclose(whole_D, rounded_D, rtol=_SAME, atol=0):
            break
    else:
        rounded_D = np.rint(weights_D / told_D.max() * WEIGHT_MAX)
    found_D: NDArray[np.int16] = rounded_D.astype(np.int16)
    return found_D


def sum_of_squares(weights_D: NDArray[np.int16]) -> int:
    """Return the exact sum of squared weights, in units of 1 (at most 2^20 pairs)."""
    wide_D = weights_D.astype(np.int64)
    return int((wide_D * wide_D).sum())


def _fitness(centred_N_P: NDArray[np.float64], shaping: Shaping) -> NDArray[np.float64]:
    if shaping == "pooled":
        return pooled(centred_N_P)
    if shaping not in SHAPINGS:
        raise unknown("shaping", shaping, SHAPINGS)
    scores_N = _settled(np.array([_mean(row) for row in centred_N_P]), float(np.abs(centred_N_P).max()))
    return centred_ranks(scores_N) if shaping == "ranks" else pair_signs(scores_N)


def _settled(scores_N: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """Make scores equal that differ in their last bits only: members with the same rewards on other items tie."""
    grid = math.ldexp(_TIE, math.frexp(largest)[1])
    settled_N: NDArray[np.float64] = np.rint(scores_N / grid) * grid
    return settled_N


def _strength(
    fitness_N: NDArray[np.float64], pairs_D: NDArray[np.float64], weights_D: NDArray[np.int16], shaping: Shaping
) -> float:
    """Return 2 sqrt(sum w^2 / N) of the rounded weights, the fitness scaled to variance 1; 0 if nothing differs."""
    squares = sum_of_squares(weights_D)
    if squares == 0:
        return 0.0
    mean = _mean(fitness_N)
    variance = math.fsum((float(value) - mean) ** 2 for value in fitness_N) / len(fitness_N)
    unit = 1.0 if shaping == "sign" else math.sqrt(variance)
    largest = float(np.abs(pairs_D).max()) / unit
    return 2 * largest / int(np.abs(weights_D).max()) * math.sqrt(squares / len(fitness_N))


def _over_replies(rewards_N_P_G: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(rewards_N_P_G)
    counts = known.sum(2)
    totals = np.where(known, rewards_N_P_G, 0.0).sum(2)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def _centre(rewards_N_P: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = []
    for column in rewards_N_P.T:
        known = np.isfinite(column)
        centred = np.zeros_like(column)
        if known.any() and column[known].min() < column[known].max():
            centred[known] = column[known] - _mean(column[known])
        columns.append(centred)
    return np.stack(columns, axis=1)


def _mean(values: NDArray[np.float64]) -> float:
    return math.fsum(values.tolist()) / len(values)
