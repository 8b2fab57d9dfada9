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

from eggym.errors import BadValue

Shaping = Literal["pooled", "ranks"]
WEIGHT_MAX = 32767  # pair weights are rounded to int16


@dataclass(frozen=True, slots=True)
class Shaped:
    """What the rewards of one generation say."""

    weights_D: NDArray[
        np.int16
    ]  # (f+ - f-) / 2 of each pair, in units of the largest / 32767; all zero: nothing to learn
    informative: float  # share of items whose members did not all get the same reward
    spread: float  # standard deviation of (f+ - f-) / 2 over pairs, in units of reward (pooled) or of ranks


def shape(rewards_N_P_G: NDArray[np.float32], shaping: Shaping = "pooled") -> Shaped:
    """Return the pair weights of a population; members 2p and 2p + 1 are twins.

    "pooled": reward minus the item's mean over members, over the pooled standard deviation within items, averaged over
    items. "ranks": each member's mean over items, as centred ranks in [-1/2, 1/2], ties sharing their mean rank
    (Salimans et al. 2017, section 2.1). A missing reward (NaN) counts as the item's mean: it says nothing.
    """
    if len(rewards_N_P_G) % 2:
        raise BadValue(f"a population of antithetic pairs is even, got {len(rewards_N_P_G)} members")
    centred_N_P = _centre(_over_replies(rewards_N_P_G.astype(np.float64)))
    informative = float(np.mean([bool(column.any()) for column in centred_N_P.T]))
    fitness_N = pooled(centred_N_P) if shaping == "pooled" else centred_ranks([_mean(row) for row in centred_N_P])
    pairs_D = (fitness_N[0::2] - fitness_N[1::2]) / 2
    return Shaped(quantise(pairs_D), informative, float(np.std(pairs_D)))


def pooled(centred_N_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each member's mean over items, over the pooled standard deviation (ddof 0); zeros where all agree."""
    variance = math.fsum(float(value) ** 2 for value in centred_N_P.flat) / centred_N_P.size
    means_N = np.array([_mean(row) for row in centred_N_P])
    return means_N / math.sqrt(variance) if variance > 0 else np.zeros_like(means_N)


def centred_ranks(scores_N: Iterable[float]) -> NDArray[np.float64]:
    """Map scores to ranks in [-1/2, 1/2]; equal scores share their mean rank, or their order would become a signal."""
    scores = np.asarray(list(scores_N))
    below_N = (scores[None, :] < scores[:, None]).sum(1)
    above_N = (scores[None, :] > scores[:, None]).sum(1)
    ranks_N: NDArray[np.float64] = (below_N - above_N) / (2 * (len(scores) - 1))
    return ranks_N


def quantise(weights_D: NDArray[np.float64]) -> NDArray[np.int16]:
    """Round weights to int16, the largest to +-32767: the update then is a sum of integers, exact in any order."""
    largest = float(np.abs(weights_D).max(initial=0.0))
    if largest == 0:
        return np.zeros(len(weights_D), dtype=np.int16)
    return np.rint(weights_D / largest * WEIGHT_MAX).astype(np.int16)


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
