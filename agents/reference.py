"""The start policy, for a KL in the loss: a copy of what the run may change, called in place of the present values.

A learner is built before its checkpoint is loaded, so that the weights it finds are the run's start weights, after a
restart too. The copy is as large as the trained weights, in their own type; its forward passes are metered as the
learner's. The model is never changed.
"""

from collections.abc import Sequence

import numpy as np
import torch

from eggym.episode import Segment
from eggym.policy import Policy
from eggym.views import ParameterSpace

from .batch import Floats
from .options import RlOptions
from .scoring import micro_batches, score


class StartPolicy:
    """The policy as it was when this was made."""

    def __init__(self, policy: Policy, space: ParameterSpace) -> None:
        """Copy the weights that may change."""
        self._policy = policy
        self._start = {name: weight.detach().clone() for name, weight in space.select(policy.model).items()}

    @torch.no_grad()
    def logprobs(self, episodes: Sequence[Sequence[Segment]], options: RlOptions) -> list[Floats]:
        """Return, for each episode, log-probabilities of its action tokens at the temperature of sampling."""
        rows = [(number, place) for number, one in enumerate(episodes) for place in range(len(one))]
        rows = [(number, place) for number, place in rows if any(episodes[number][place].actions)]
        found: list[list[Floats]] = [[np.zeros(0) for _ in one] for one in episodes]
        for batch in micro_batches([[episodes[n][place]] for n, place in rows], options.tokens_per_pass):
            segments = [episodes[n][place] for n, place in (rows[index] for index in batch)]
            logprobs_M = score(self._policy, segments, options.temperature, weights=self._start).logprobs_M
            parts = torch.split(logprobs_M, [sum(one.actions) for one in segments])
            for (number, place), part in zip((rows[index] for index in batch), parts, strict=True):
                found[number][place] = part.double().cpu().numpy()
        return [np.concatenate([*one, np.zeros(0)]) for one in found]


def start_logprobs(
    start: StartPolicy | None, episodes: Sequence[Sequence[Segment]], options: RlOptions
) -> Sequence[Floats | None]:
    """Return what the start policy says of each episode; None for each where nobody asks."""
    return [None] * len(episodes) if start is None else start.logprobs(episodes, options)
