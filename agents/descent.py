"""The optimizer of all who follow a gradient: AdamW on float32 masters, with the gradient clipped before."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from eggym.policy import Policy
from eggym.shards import whole_state
from eggym.views import ParameterSpace
from eggym.weights import Weights

from .sharded import ShardedWeights


class StepOptions(Protocol):
    """What a step depends on."""

    @property
    def lr(self) -> float:
        """The learning rate."""

    @property
    def beta1(self) -> float:
        """Of the mean of gradients."""

    @property
    def beta2(self) -> float:
        """Of the mean of their squares."""

    @property
    def weight_decay(self) -> float:
        """Decoupled, times the learning rate."""

    @property
    def max_grad_norm(self) -> float:
        """The norm that a gradient is cut to."""


class Descent:
    """Owns what the run may change, and moves it along a gradient (that of a loss: it goes down)."""

    def __init__(self, policy: Policy, space: ParameterSpace, options: StepOptions) -> None:
        """Keep the weights as they are; full weights and the factors of deltas alike."""
        self._weights: Weights | ShardedWeights
        if policy.shards is None:
            self._weights = Weights(policy.model, space)
        else:
            self._weights = ShardedWeights(policy.model, space, policy.shards)
        self._max_norm = options.max_grad_norm
        self._optimizer = torch.optim.AdamW(
            [torch.nn.Parameter(master) for master in self._weights.masters.values()],
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            weight_decay=options.weight_decay,
            foreach=False,
        )

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """The model's own parameters that may change, by name."""
        return self._weights.parameters

    @property
    def masters(self) -> dict[str, Tensor]:
        """Their float32 values, by name."""
        return self._weights.masters

    def step(self, gradients: Mapping[str, Tensor]) -> float:
        """Clip the gradient, step the masters, show them to the model; return the norm before clipping."""
        masters = self._optimizer.param_groups[0]["params"]
        for master, name in zip(masters, self._weights.parameters, strict=True):
            master.grad = gradients[name].float() if name in gradients else None
        norm = whole_state(torch.nn.utils.clip_grad_norm_(masters, self._max_norm))
        self._optimizer.step()
        for master in masters:
            master.grad = None
        self._weights.publish()
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """Return masters and optimizer state."""
        return {"masters": self._weights.state_dict(), "optimizer": whole_state(self._optimizer.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._weights.load_state_dict(state["masters"])
        whole = state["optimizer"]
        self._optimizer.load_state_dict(
            self._weights.cut(whole) if isinstance(self._weights, ShardedWeights) else whole
        )
