"""The objective of a policy gradient, to be maximised: a value per token, and what each token weighs in the sum.

Notation: ratio r = pi(a) / pi_old(a) of a token, advantage A, clip(r) = r kept within [1 - low, 1 + high].

| objective | value of a token | source |
|---|---|---|
| clip | min(r A, clip(r) A) | PPO, arXiv 1707.06347, eq. 7; GRPO; DAPO, arXiv 2503.14476 (high above low) |
| cispo | stopgrad(min(r, high)) A log pi; ``high`` is absolute here, as in TRL | CISPO, arXiv 2506.13585, eq. 4 |
| gspo | min(s A, clip(s) A), s = exp(mean over the sequence of log r) | GSPO, arXiv 2507.18071, eq. 5 to 7 |
| rloo | the same / T, s = exp(sum over the sequence of log r) | RLOO, arXiv 2402.14740: the reply is one action |

T is the number of tokens of the sequence: the values of a sequence add up to its own under "rloo", and have its own as
their mean under "gspo". Axes in names: _M action tokens of a pass, laid end to end; _E episodes.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Objective = Literal["clip", "cispo", "gspo", "rloo"]
OBJECTIVES: tuple[Objective, ...] = ("clip", "cispo", "gspo", "rloo")
BY_SEQUENCE: tuple[Objective, ...] = ("gspo", "rloo")  # these need all tokens of an episode in one pass
Reduction = Literal["sequence_mean", "token_mean", "constant", "sequence_sum"]
REDUCTIONS: tuple[Reduction, ...] = ("sequence_mean", "token_mean", "constant", "sequence_sum")
Estimator = Literal["k2", "k3", "k3_ratio"]
ESTIMATORS: tuple[Estimator, ...] = ("k2", "k3", "k3_ratio")


def token_objective(
    logprobs_M: Tensor,
    old_M: Tensor,
    advantages_M: Tensor,
    mode: Objective,
    low: float,
    high: float,
    sequence_M: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the value of every token, (M,), and whether the clip holds it back, bool, (M,).

    Args:
        logprobs_M: log pi(a), with gradient.
        old_M: log pi_old(a), of the distribution that was sampled from.
        advantages_M: one number per token.
        mode: a row of the table above.
        low: of the clip; "cispo" has none.
        high: of the clip.
        sequence_M: which sequence a token belongs to, from 0, int64; needed by "gspo" and "rloo" alone.
    """
    if mode == "cispo":
        ratio_M = (logprobs_M.detach() - old_M).exp()
        return ratio_M.clamp(max=high) * advantages_M * logprobs_M, ratio_M > high
    log_ratio_M = logprobs_M - old_M
    lengths_M = None
    if mode != "clip":
        log_ratio_M, lengths_M = _of_sequences(log_ratio_M, sequence_M, mean=mode == "gspo")
    ratio_M = log_ratio_M.exp()
    value_M = torch.minimum(ratio_M * advantages_M, ratio_M.clamp(1 - low, 1 + high) * advantages_M)
    held_M = torch.where(advantages_M > 0, ratio_M > 1 + high, (ratio_M < 1 - low) & (advantages_M < 0)).detach()
    return (value_M / lengths_M if mode == "rloo" and lengths_M is not None else value_M), held_M


def token_weights(lengths_E: NDArray[np.int64], reduction: Reduction, length: int) -> NDArray[np.float64]:
    """Return what each token of an episode weighs in the sum over the batch, (E,).

    "sequence_mean": mean over the tokens of an episode, then over episodes (GRPO, GSPO). "token_mean": mean over all
    tokens (DAPO, eq. 8). "constant": sum over tokens, over the constant ``length``, mean over episodes (Dr. GRPO): long
    replies are not favoured. "sequence_sum": sum over tokens, mean over episodes (RLOO). ``lengths_E`` are the action
    tokens of *all* episodes of the batch, those without a gradient included, so that micro-batches cannot change the
    result.
    """
    n = len(lengths_E)
    if reduction == "constant":
        return np.full(n, 1.0 / (n * length))
    if reduction == "sequence_sum":
        return np.full(n, 1.0 / n)
    if reduction == "token_mean":
        return np.full(n, 1.0 / max(int(lengths_E.sum()), 1))
    return 1.0 / (n * np.maximum(lengths_E, 1))


def kl_terms(logprobs_M: Tensor, reference_M: Tensor, estimator: Literal["k1", "k2", "k3"]) -> Tensor:
    """Estimate KL(pi || reference) from tokens that pi sampled, (M,); with d = log pi - log reference:

    k1 = d is unbiased and may be negative, k2 = d^2 / 2 is biased, k3 = exp(-d) - 1 + d is unbiased and never negative
    (J. Schulman, "Approximating KL Divergence", 2020).
    """
    d_M = logprobs_M - reference_M
    if estimator == "k1":
        return d_M
    return d_M.square() / 2 if estimator == "k2" else (-d_M).expm1() + d_M


def kl_penalty(logprobs_M: Tensor, old_M: Tensor, reference_M: Tensor, estimator: Estimator) -> Tensor:
    """Return what is taken off the objective for leaving the reference, before its factor, (M,).

    On the policy's own tokens its expected gradient is that of KL(reference || pi) for "k3" (GRPO, eq. 4), and of
    KL(pi || reference) for "k2" and for "k3_ratio", which is k3 times the ratio (TRL's default).
    """
    if estimator == "k2":
        return kl_terms(logprobs_M, reference_M, "k2")
    term_M = kl_terms(logprobs_M, reference_M, "k3")
    return term_M if estimator == "k3" else term_M * (logprobs_M - old_M).exp()


def _of_sequences(values_M: Tensor, sequence_M: Tensor | None, mean: bool) -> tuple[Tensor, Tensor]:
    """Return for every token the sum or mean of its sequence, and the sequence's length."""
    if sequence_M is None:
        raise ValueError("a ratio of whole sequences needs to know which token belongs to which")
    n = int(sequence_M.max()) + 1 if len(sequence_M) else 0
    lengths = torch.zeros(n, device=values_M.device).index_add(0, sequence_M, torch.ones_like(values_M.detach()))
    sums = torch.zeros(n, device=values_M.device).index_add(0, sequence_M, values_M)
    return (sums / lengths if mean else sums)[sequence_M], lengths[sequence_M]
