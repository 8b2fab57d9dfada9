"""Which sigma to take: from what each does to a policy, by rule, in one sentence.

The rule: the largest sigma whose members keep 90 % of the base's reward; where rewards cannot tell, because the base
has next to none or because nothing keeps it, the largest whose members stay within a KL per reply token.
Axes in names: _N members, _P items, _G replies per item, _D pairs of twins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEEP = 0.9  # share of the base's reward that the members must keep on average
# Nats per reply token; decides where rewards cannot. On the five tasks of the embedded model, members that keep 90 % of
# the reward lie between 0.003 and 0.092, those that lose a third or more at 0.35 and above.
MOST_KL = 0.1
LEAST_REWARD = 0.02  # of the reward's range: a base below says nothing about what it could lose


@dataclass(frozen=True, slots=True)
class Row:
    """What one sigma does."""

    sigma: float
    reward: float  # mean over members
    kept: float | None  # its share of the base's reward, above the least possible one; None: the base has none
    kl: float  # mean KL(base || member) per reply token, in nats
    spread: float  # standard deviation over pairs of the difference of twins' mean rewards
    varied: float  # share of items to which not all members got the same reward


def propose(rows: Sequence[Row], base: float, told: bool) -> tuple[float, str]:
    """Return the sigma to take, and why in one sentence.

    Args:
        rows: the grid, ascending in sigma.
        base: the base's mean reward.
        told: whether that is enough of a reward to see a loss of it.
    """
    keeping = [row for row in rows if row.kept is not None and row.kept >= KEEP]
    if told and keeping:
        best = keeping[-1]
        end = "; the grid ends there, so a larger one may do as well" if best is rows[-1] else ""
        flat = "" if best.varied > 0 else "; but no item's reward differs between members, so nothing could be learned"
        return best.sigma, (
            f"sigma {best.sigma:.3g} is the largest at which members keep {KEEP:.0%} of the base's reward "
            f"({best.reward:.3f} of {base:.3f}){end}{flat}"
        )
    close = [row for row in rows if row.kl <= MOST_KL]
    best = close[-1] if close else rows[0]
    reason = (
        f"no sigma of the grid keeps {KEEP:.0%} of the base's reward {base:.3f}"
        if told
        else f"the base's reward {base:.3f} is too small to lose anything"
    )
    rule = (
        f"the largest within {MOST_KL:g} nats of KL per token ({best.kl:.3g})"
        if close
        else f"the smallest, and still {best.kl:.3g} nats of KL per token away: probe smaller ones with --sigma"
    )
    flat = "" if best.varied > 0 else "; no item's reward differs between members there, so nothing could be learned"
    return best.sigma, f"{reason}, so sigma {best.sigma:.3g} is taken as {rule}{flat}"


def spread(rewards_N_P_G: NDArray[np.float32]) -> float:
    """Return the standard deviation over pairs of f+ - f-, f the mean reward of a member; twins are 2p and 2p + 1."""
    means_N = known(rewards_N_P_G).mean(axis=(1, 2))
    pairs_D = means_N[: len(means_N) // 2 * 2].reshape(-1, 2)
    return float((pairs_D[:, 0] - pairs_D[:, 1]).std(ddof=1))


def varied(rewards_N_P_G: NDArray[np.float32]) -> float:
    """Return the share of items whose members did not all get the same reward."""
    means_N_P = known(rewards_N_P_G).mean(axis=2)
    return float((means_N_P.max(axis=0) > means_N_P.min(axis=0)).filled(False).mean())


def known(rewards_N_P_G: NDArray[np.float32]) -> Any:
    """Return the rewards in float64 with those masked that could not be judged: they say nothing, and are no zeros."""
    return np.ma.masked_invalid(rewards_N_P_G.astype(np.float64))
