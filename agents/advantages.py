"""Advantages: how much better a reply, or what is left of an episode after a turn, did than its group.

A = (G - centre) / spread, with a centre and a spread that are statistics of *episodes*, never of turns or tokens, so
that a long episode weighs no more than a short one. Axes in names: _P items, _G replies, _K turns.

| mode | centre | spread | source |
|---|---|---|---|
| mean | mean of the group | 1 | Dr. GRPO, arXiv 2503.20783, section 3.2 |
| zscore | mean of the group | std of the group + 1e-4 | GRPO, arXiv 2402.03300, section 4.1.2 |
| leave_one_out | mean of the others of the group | 1 | RLOO, arXiv 2402.14740, eq. 7 |
| batch | mean of the group | std of all returns of the batch + 1e-4 | ScaleRL, arXiv 2510.13786, section 3.2 |
| whiten | mean of the batch | std of the batch + 1e-4 | REINFORCE++, arXiv 2501.03262, eq. 8 |
| mean_whiten | mean of the group | std over the batch of R - mean + 1e-4 | REINFORCE++-baseline, the same |

Every std has ddof 1. Deviation: REINFORCE++ whitens over tokens; here over episodes, for the reason above.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Advantage = Literal["mean", "zscore", "leave_one_out", "batch", "whiten", "mean_whiten"]
ADVANTAGES: tuple[Advantage, ...] = ("mean", "zscore", "leave_one_out", "batch", "whiten", "mean_whiten")
STD_EPS = 1e-4  # added to every standard deviation


def advantages(returns_P_G: NDArray[np.float32], mode: Advantage) -> NDArray[np.float64]:
    """Return each reply's advantage, (P, G).

    Returns that agree (over the group, or over the batch under "whiten") give exactly 0. A missing return (NaN) gets 0
    and leaves all statistics.
    """
    returns = returns_P_G.astype(np.float64)
    found = _statistics(returns, mode)
    known = np.isfinite(returns)
    result = np.zeros_like(returns)
    result[known] = found.apply(returns, known)
    return result


def turn_advantages(
    rewards_P_G_K: Sequence[Sequence[Sequence[float]]], mode: Advantage, gamma: float
) -> list[list[NDArray[np.float64]]]:
    """Return the advantage of every turn of every episode: what it led to, over the other episodes of its group.

    A_k = (n - 1) / n (G_k - b) / spread, with the unbiased return-to-go G_k (see `returns_to_go`) and b the mean of
    G_0 over the *other* n - 1 episodes: the same for all turns, so it depends neither on the episode's own actions nor
    on the turn at which it stopped, and the policy gradient stays unbiased even where the policy decides when to stop.
    (Centring each turn's own reward over the group would charge for every further turn.) The factor (n - 1) / n makes
    it `advantages` where only the last turn is rewarded; under "leave_one_out" it is 1. An episode with a NaN among its
    rewards gets 0 and leaves all statistics.
    """
    to_go = [[returns_to_go(rewards, gamma) for rewards in group] for group in rewards_P_G_K]
    first_P_G = np.array([[one[0] for one in group] for group in to_go], dtype=np.float64)
    found = _statistics(first_P_G, mode)
    known = np.isfinite(first_P_G)
    return [
        [
            found.of(p, g, first_P_G[p, g], one) if known[p, g] else np.zeros(len(one))
            for g, one in enumerate(group)
        ]
        for p, group in enumerate(to_go)
    ]  # fmt: skip


def returns_to_go(rewards_K: Sequence[float], gamma: float) -> NDArray[np.float64]:
    """Return G_k = sum over j >= k of gamma^(j - k) r_j, (K,)."""
    result = np.zeros(len(rewards_K))
    following = 0.0
    for k in reversed(range(len(rewards_K))):
        following = rewards_K[k] + gamma * following
        result[k] = following
    return result


@dataclass(frozen=True, slots=True)
class _Statistics:
    """Per episode: centre (itself included), spread, and how many returns the centre is the mean of."""

    centre_P_G: NDArray[np.float64]
    spread_P_G: NDArray[np.float64]
    n_P_G: NDArray[np.float64]
    leave_one_out: bool

    def apply(self, returns_P_G: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the advantages of the known episodes, end to end."""
        result = (returns_P_G[known] - self.centre_P_G[known]) / self.spread_P_G[known]
        return result * self._factor(self.n_P_G[known]) if self.leave_one_out else result

    def of(self, p: int, g: int, first: float, to_go_K: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the advantages of the turns of one episode whose whole return is ``first``."""
        n = self.n_P_G[p, g]
        # (n - 1) / n (G - mean of the others), written with the mean of all: for G = G_0 the same bits as `apply`
        result: NDArray[np.float64] = to_go_K - self.centre_P_G[p, g] + (first - to_go_K) / n
        result = result / self.spread_P_G[p, g]
        return result * self._factor(np.array(n)) if self.leave_one_out else result

    @staticmethod
    def _factor(n: NDArray[np.float64]) -> NDArray[np.float64]:
        return n / np.maximum(n - 1, 1)


def _statistics(returns_P_G: NDArray[np.float64], mode: Advantage) -> _Statistics:
    known = np.isfinite(returns_P_G)
    centre, spread, n = np.zeros_like(returns_P_G), np.ones_like(returns_P_G), np.ones_like(returns_P_G)
    blocks = [slice(None)] if mode == "whiten" else range(len(returns_P_G))
    for block in blocks:
        values = returns_P_G[block][known[block]]
        centre[block], n[block] = _mean(values), max(len(values), 1)
        if mode in ("zscore", "whiten"):
            spread[block] = _spread(values)
        elif len(values) < 2:
            spread[block] = np.inf  # nobody to compare with
    if mode == "batch":
        spread *= _spread(returns_P_G[known])
    elif mode == "mean_whiten":
        spread *= _spread((returns_P_G - centre)[known])
    return _Statistics(centre, spread, n, mode == "leave_one_out")


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean; exactly the value itself where all agree, or rounding would make a signal of nothing."""
    if not len(values):
        return 0.0
    return float(values[0] if values.min() == values.max() else values.mean())


def _spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation + 1e-4; infinity where there is none, so that what is divided becomes 0."""
    if len(values) < 2 or values.min() == values.max():
        return float("inf")
    return float(values.std(ddof=1)) + STD_EPS
