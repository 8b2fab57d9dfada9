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
from .scoring import micro_batches, score


class StartPolicy:
    """The policy as it was when this was made."""

    def __init__(self, policy: Policy, space: ParameterSpace) -> None:
        """Copy the weights that may change."""
        self._policy = policy
        self._start = {name: weight.detach().clone() for name, weight in space.select(policy.model).items()}

    @torch.no_grad()
    def logprobs(self, segments: Sequence[Segment], temperature: float, tokens_per_pass: int) -> list[Floats]:
        """Return, for each segment, log-probabilities of its action tokens."""
        acting = [index for index, segment in enumerate(segments) if any(segment.actions)]
        found = [np.zeros(0) for _ in segments]
        for batch in micro_batches([[segments[index]] for index in acting], tokens_per_pass):
            rows = [acting[place] for place in batch]
            logprobs_M = score(
                self._policy, [segments[row] for row in rows], temperature, weights=self._start
            ).logprobs_M
            counts = [sum(segments[row].actions) for row in rows]
            for row, part in zip(rows, torch.split(logprobs_M, counts), strict=True):
                found[row] = part.double().cpu().numpy()
        return found
