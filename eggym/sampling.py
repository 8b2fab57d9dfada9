"""From logits to tokens, with random numbers that are keyed by place and never by order.

Two exact ways to draw from softmax(logits / T):

- shared coupling: one Gumbel vector for each (item, sample, turn, position), added to the logits of every member that
  stands there. Members that differ little then draw equal tokens almost as often as any coupling allows (its
  disagreement is close to the total-variation bound), which is what lowers the variance of differences between twins;
- independent coupling: inverse CDF with one uniform for each row, one random number instead of a vocabulary of them.

Temperature 0 is greedy and uses no random number. Axes in names: _R rows, _S distinct places, _V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from eggym.counter import gumbels, uniform_each


@dataclass(frozen=True, slots=True)
class Draw:
    """How the rows of one turn draw their tokens.

    ``keys_S`` holds a key for each distinct place, ``place_of_row_R`` the place of every row (both int64). Rows that
    share a place share their random numbers. With ``shared`` false every row needs a place of its own.
    """

    temperature: float
    shared: bool
    keys_S: Tensor
    place_of_row_R: Tensor

    def take(self, rows: Tensor) -> "Draw":
        """Return the same draw for a subset of the rows."""
        return Draw(self.temperature, self.shared, self.keys_S, self.place_of_row_R[rows])

    def tokens(self, logits_R_V: Tensor, position: int) -> Tensor:
        """Draw the token at ``position`` of the turn for every row: int64, shape (R,)."""
        if self.temperature == 0:
            return logits_R_V.argmax(-1)
        scaled_R_V = logits_R_V.float() / self.temperature
        if self.shared:
            return gumbel_choice(scaled_R_V, self._gumbels(scaled_R_V.shape[1], position)[self.place_of_row_R])
        return inverse_cdf(scaled_R_V, uniform_each(self.keys_S, position)[self.place_of_row_R])

    def logprobs(self, logits_R_V: Tensor, tokens_R: Tensor) -> Tensor:
        """Return the log-probability of the drawn tokens as they were sampled: float32, (R,); 0 if greedy."""
        if self.temperature == 0:
            return torch.zeros_like(tokens_R, dtype=torch.float32)
        scaled_R_V = logits_R_V.float() / self.temperature
        return scaled_R_V.gather(1, tokens_R[:, None])[:, 0] - scaled_R_V.logsumexp(-1)

    def _gumbels(self, n_vocabulary: int, position: int) -> Tensor:
        start = position * n_vocabulary
        counters = torch.arange(start, start + n_vocabulary, dtype=torch.int64, device=self.keys_S.device)
        return gumbels(self.keys_S, counters)


def gumbel_choice(logits_R_V: Tensor, gumbels_R_V: Tensor) -> Tensor:
    """Return argmax(logits + Gumbel): an exact draw from the softmax (Gumbel 1954), int64, (R,)."""
    return (logits_R_V + gumbels_R_V).argmax(-1)


def inverse_cdf(logits_R_V: Tensor, uniforms_R: Tensor) -> Tensor:
    """Return the token at which the cumulative softmax passes the row's uniform, int64, (R,).

    The uniform is scaled by the last cumulative value, which rounding leaves a little beside 1, so that no index lies
    outside the vocabulary and no token of probability 0 is drawn.
    """
    cumulative_R_V = logits_R_V.float().softmax(-1).double().cumsum(-1)
    level_R_1 = uniforms_R.double()[:, None] * cumulative_R_V[:, -1:]
    index_R = torch.searchsorted(cumulative_R_V, level_R_1, right=True)[:, 0]
    return index_R.clamp_(max=logits_R_V.shape[1] - 1)
