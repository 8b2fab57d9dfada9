"""The algebra of group-relative policy gradients: advantages, token objective, reduction; three separate functions.

Notation: G replies to an item, return R, action tokens, ratio = pi(a) / pi_old(a), advantage A.
Axes in names: _P items, _G replies, _M action tokens of a batch, laid end to end.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Centring = Literal["mean", "zscore"]
STD_EPS = 1e-4  # in the denominator of the z-score


def advantages(returns_P_G: NDArray[np.float32], centring: Centring) -> NDArray[np.float64]:
    """Return each reply's advantage over its group.

    "mean": R - mean (Dr. GRPO, arXiv 2503.20783); "zscore": that over (std + 1e-4), std with ddof 1 (GRPO, arXiv
    2402.03300). A group that agrees gets exactly 0. A missing return (NaN) gets 0 and leaves its group's baseline.
    """
    returns = returns_P_G.astype(np.float64)
    result = np.zeros_like(returns)
    for group, out in zip(returns, result, strict=True):
        known = np.isfinite(group)
        if not known.any() or group[known].min() == group[known].max():
            continue
        out[known] = group[known] - group[known].mean()
        if centring == "zscore":
            out[known] /= group[known].std(ddof=1) + STD_EPS
    return result


def clipped_objective(logprobs_M: Tensor, old_M: Tensor, advantages_M: Tensor, low: float, high: float) -> Tensor:
    """Return min(ratio A, clip(ratio, 1 - low, 1 + high) A) for every token, to be maximised: (M,) (PPO, eq. 7)."""
    ratio_M = (logprobs_M - old_M).exp()
    return torch.minimum(ratio_M * advantages_M, ratio_M.clamp(1 - low, 1 + high) * advantages_M)


def token_weights(
    lengths: NDArray[np.int64], reduction: Literal["sequence_mean", "constant"], length: int
) -> NDArray[np.float64]:
    """Return what each token of an episode weighs in the sum over the batch.

    "sequence_mean": mean over the tokens of an episode, then over episodes (GRPO). "constant": sum over tokens, over
    the constant ``length``, mean over episodes (Dr. GRPO): long replies are not favoured. ``lengths`` are the action
    tokens of *all* episodes of the batch, those without a gradient included, so that micro-batches cannot change the
    result.
    """
    n = len(lengths)
    if reduction == "constant":
        return np.full(n, 1.0 / (n * length))
    return 1.0 / (n * np.maximum(lengths, 1))
