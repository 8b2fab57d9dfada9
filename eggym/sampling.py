"""From logits to tokens, with random numbers that are keyed by place and never by order.

Two exact ways to draw from softmax(logits / T):

- shared coupling: one Gumbel vector for each (item, sample, turn, position), added to the logits of every member that
  stands there. Members that differ little then draw equal tokens almost as often as any coupling allows (its
  disagreement is close to the total-variation bound), which is what lowers the variance of differences between twins;
- independent coupling: inverse CDF with one uniform for each row, one random number instead of a vocabulary of them.

Temperature 0 is greedy and uses no random number. Axes in names: _R rows, _D distinct places, _V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from eggym.counter import gumbels_each, uniforms_each


@dataclass(frozen=True, slots=True)
class Draw:
    """How rows draw their tokens. A row's random numbers follow from its key and its position in the turn.

    Rows with equal keys share their random numbers; with ``shared`` false every row needs a key of its own.
    """

    temperature: float
    shared: bool

    def tokens(
        self, logits_R_V: Tensor, keys_R: Tensor, positions_R: Tensor, uniforms_R: Tensor | None = None
    ) -> Tensor:
        """Draw the token at each row's position of its turn (keys and positions int64): int64, shape (R,).

        ``uniforms_R``: what `ahead` returned for these keys and positions, if it was asked.
        """
        if self.temperature == 0:
            return logits_R_V.argmax(-1)
        scaled_R_V = self._scaled(logits_R_V)
        if self.shared:
            return gumbel_choice(scaled_R_V, _gumbels(keys_R, positions_R, scaled_R_V.shape[1]))
        if uniforms_R is None:
            uniforms_R = self.ahead(keys_R, positions_R, 1)[:, 0]
        return inverse_cdf(scaled_R_V, uniforms_R)

    @property
    def by_uniform(self) -> bool:
        """Whether a token takes one uniform, of those that `ahead` returns."""
        return self.temperature > 0 and not self.shared

    def ahead(self, keys_R: Tensor, positions_R: Tensor, n: int) -> Tensor:
        """Return the uniforms of ``n`` positions of each row, from its own on: float64, (R, n)."""
        return uniforms_each(keys_R, positions_R[:, None] + torch.arange(n, device=keys_R.device))

    def logprobs(self, logits_R_V: Tensor, tokens_R: Tensor) -> Tensor:
        """Return the log-probability of the drawn tokens as they were sampled: float32, (R,); 0 if greedy."""
        if self.temperature == 0:
            return torch.zeros_like(tokens_R, dtype=torch.float32)
        scaled_R_V = self._scaled(logits_R_V)
        return scaled_R_V.gather(1, tokens_R[:, None])[:, 0] - scaled_R_V.logsumexp(-1)

    def _scaled(self, logits_R_V: Tensor) -> Tensor:
        scaled_R_V = logits_R_V.float()
        return scaled_R_V if self.temperature == 1 else scaled_R_V / self.temperature


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


def _gumbels(keys_R: Tensor, positions_R: Tensor, n_vocabulary: int) -> Tensor:
    """One vector for each distinct (key, position), however many rows stand there."""
    names, name_R = torch.unique(keys_R, return_inverse=True)
    places_D, place_R = torch.unique(name_R * (1 << 32) + positions_R, return_inverse=True)
    keys_D, position_D = names[places_D >> 32], places_D & 0xFFFFFFFF
    counters_D_V = position_D[:, None] * n_vocabulary + torch.arange(n_vocabulary, device=keys_R.device)
    return gumbels_each(keys_D, counters_D_V)[place_R]
