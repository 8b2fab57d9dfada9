"""Group-relative policy optimisation, on the engine that evolution strategies use.

Sources: GRPO, arXiv 2402.03300, eq. 3 without the KL term; Dr. GRPO, arXiv 2503.20783, section 3.2.
One on-policy update per batch: the clip is there but inert. Gradient flows through action tokens only; episodes whose
advantage is 0 contribute nothing and are left out of the passes, but not out of the denominators.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from eggym.episode import EpisodeBatch, Segment
from eggym.errors import BadValue
from eggym.learner import LearnerSpec
from eggym.policy import Policy
from eggym.views import ParameterSpace, PolicyViews
from eggym.weights import Weights

from .objective import Centring, advantages, clipped_objective, token_weights
from .scoring import action_logprobs, micro_batches


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of `Grpo`."""

    items: int = 32  # prompts per step
    replies: int = 8  # per prompt: the group
    lr: float = 1e-6
    temperature: float = 1.0  # of sampling, and of the log-probabilities that are trained
    centring: Centring = "mean"
    reduction: Literal["sequence_mean", "constant"] = "constant"
    length: int = 1024  # tokens that the constant reduction divides by
    clip_low: float = 0.2
    clip_high: float = 0.28
    max_grad_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.0
    tokens_per_pass: int = 16384  # rows x positions of one forward and backward pass

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.items < 1 or self.replies < 2:
            raise BadValue(f"items must be at least 1 and replies at least 2, got {self.items} and {self.replies}")
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1 or self.weight_decay < 0:
            raise BadValue("beta1 and beta2 must lie from 0 to below 1, weight_decay from 0")
        for name in ("lr", "temperature", "length", "max_grad_norm", "tokens_per_pass"):
            if not getattr(self, name) > 0:
                raise BadValue(f"{name} must be above 0, got {getattr(self, name)}")
        if self.centring not in ("mean", "zscore") or self.reduction not in ("sequence_mean", "constant"):
            raise BadValue(
                f"centring is mean or zscore, reduction sequence_mean or constant; "
                f"got {self.centring!r} and {self.reduction!r}"
            )


@dataclass(frozen=True, slots=True)
class _Sample:
    segment: Segment
    advantage: float
    weight: float  # of each of its tokens


class Grpo:
    """The learner; AdamW on float32 masters."""

    def __init__(self, policy: Policy, space: ParameterSpace, seed: int, options: Options) -> None:
        """Prepare for one run; ``seed`` is not used, for sampling is keyed by the engine."""
        self._policy, self._options = policy, options
        self._weights = Weights(policy.model, space)
        self._optimizer = torch.optim.AdamW(
            [torch.nn.Parameter(master) for master in self._weights.masters.values()],
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            weight_decay=options.weight_decay,
            foreach=False,
        )

    def ask(self, step: int) -> PolicyViews:
        """Return the policy itself."""
        return PolicyViews(self._options.items, self._options.replies, self._options.temperature)

    def tell(self, batch: EpisodeBatch) -> Mapping[str, float]:
        """Take one optimizer step; metrics: informative groups, objective, gradient norm, largest logprob change."""
        samples, informative = self._samples(batch)
        if not samples:
            return {"informative": 0.0, "objective": 0.0, "grad_norm": 0.0, "max_dlogp": 0.0}
        objective, drift = self._backward(samples)
        norm = self._step()
        return {"informative": informative, "objective": objective, "grad_norm": norm, "max_dlogp": drift}

    def state_dict(self) -> dict[str, Any]:
        """Return masters and optimizer state."""
        return {"masters": self._weights.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._weights.load_state_dict(state["masters"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _samples(self, batch: EpisodeBatch) -> tuple[list[_Sample], float]:
        options = self._options
        advantage_E = advantages(batch.rewards_N_P_G()[0], options.centring).flatten()
        lengths_E = np.array([episode.n_action_tokens for episode in batch.episodes])
        weights_E = token_weights(lengths_E, options.reduction, options.length)
        samples = [
            _Sample(segment, float(advantage), float(weight))
            for episode, advantage, weight in zip(batch.episodes, advantage_E, weights_E, strict=True)
            if advantage != 0
            for segment in episode.segments
        ]
        groups = advantage_E.reshape(batch.n_items, batch.n_replies)
        return samples, float(groups.any(1).mean())

    def _backward(self, samples: list[_Sample]) -> tuple[float, float]:
        parameters = self._weights.parameters.values()
        for parameter in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None
        objective, drift = 0.0, 0.0
        try:
            segments = [sample.segment for sample in samples]
            for indices in micro_batches(segments, self._options.tokens_per_pass):
                value, moved = self._pass([samples[index] for index in indices])
                objective += value
                drift = max(drift, moved)
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)
        return objective, drift

    def _pass(self, samples: list[_Sample]) -> tuple[float, float]:
        """Add the gradient of one micro-batch."""
        segments = [sample.segment for sample in samples]
        logprobs_M = action_logprobs(self._policy, segments, self._options.temperature)
        counts = torch.tensor([sum(segment.actions) for segment in segments])
        spread = partial(torch.repeat_interleave, repeats=counts)
        advantages_M = spread(torch.tensor([sample.advantage for sample in samples])).to(logprobs_M)
        weights_M = spread(torch.tensor([sample.weight for sample in samples])).to(logprobs_M)
        old_M = torch.tensor(
            [p for s in segments for p, action in zip(s.logprobs, s.actions, strict=True) if action]
        ).to(logprobs_M)
        clip = (self._options.clip_low, self._options.clip_high)
        objective = (clipped_objective(logprobs_M, old_M, advantages_M, *clip) * weights_M).sum()
        (-objective).backward()  # type: ignore[no-untyped-call]
        return float(objective.detach()), float((logprobs_M.detach() - old_M).abs().max())

    def _step(self) -> float:
        """Clip the gradient, step the masters, show them to the model; return the norm before clipping."""
        masters = self._optimizer.param_groups[0]["params"]
        for master, parameter in zip(masters, self._weights.parameters.values(), strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        norm = torch.nn.utils.clip_grad_norm_(masters, self._options.max_grad_norm)
        self._optimizer.step()
        for master in masters:
            master.grad = None
        self._weights.publish()
        return float(norm)


_TINY = {"lr": 5e-4, "length": 32}
_GRPO = {"centring": "zscore", "reduction": "sequence_mean", "clip_high": 0.2}
DR_GRPO = LearnerSpec("dr_grpo", "rl", Options, Grpo, {"tiny": _TINY, "pretrained": {}})
GRPO = LearnerSpec("grpo", "rl", Options, Grpo, {"tiny": _TINY | _GRPO, "pretrained": _GRPO})
