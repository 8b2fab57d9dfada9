"""From the gradient that a population estimates to the change of the weights.

The gradient of a generation is the direction g = strength * sum_p w_p E_p / sqrt(sum_p w_p^2): entries of rms 1 when
fitness says nothing (strength: see `conventions`; 1 by default), 0 when no pair differs. Larger fitness is better, so
steps are added. ``rate`` is the scheduled ``update_rms``, or what a convention makes of ``lr``.

* sgd: dW = rate * g.
* sgd with momentum b: m <- b m + g, dW = rate * sqrt(1 - b^2) * m. While the directions of generations are
  independent, dW keeps the rms ``rate``, as without momentum; a direction that persists grows by sqrt((1+b)/(1-b)).
* adam (Kingma and Ba 2015, algorithm 1): m <- b1 m + (1-b1) g, v <- b2 v + (1-b2) g^2,
  dW = rate * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps). Elements move by about ``rate`` at first, by
  rate * sqrt((1-b1)/(1+b1)) while fitness says nothing.

States are float32. Each operation on them is one IEEE operation, rounded by itself and never fused with the next, so
that all machines get equal bits. A generation without information is a gradient of 0: momentum goes on, and fades.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from .schedule import power

OptimiserName = Literal["sgd", "adam"]
OPTIMISERS: tuple[OptimiserName, ...] = ("sgd", "adam")


class Optimiser(Protocol):
    """Turns gradients into changes, block by block; `begin` comes once a generation."""

    def begin(self, rate: float) -> float:
        """Start a generation; return what the gradient must be multiplied by before `change` gets it."""

    def change(self, name: str, gradient: Tensor, rows: slice) -> Tensor:
        """Return the change of these rows of a parameter, float32; may reuse ``gradient``."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later changes depend on."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""


class Sgd:
    """Plain steps: no state. The rate is part of the one product that the gradient is made by."""

    def begin(self, rate: float) -> float:
        """Return the rate: the gradient then is the change."""
        return rate

    def change(self, name: str, gradient: Tensor, rows: slice) -> Tensor:
        """Return the gradient, which the rate is part of."""
        return gradient

    def state_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


class Momentum:
    """Steps along a fading sum of gradients."""

    def __init__(self, shapes: Mapping[str, torch.Size], momentum: float, device: torch.device) -> None:
        """Start at rest."""
        self._momentum, self._rate = momentum, 0.0
        self._moving = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}

    def begin(self, rate: float) -> float:
        """Note the rate; gradients come in units of 1."""
        self._rate = rate * math.sqrt(1.0 - self._momentum * self._momentum)
        return 1.0

    def change(self, name: str, gradient: Tensor, rows: slice) -> Tensor:
        """Return rate * sqrt(1 - b^2) * m."""
        moving = self._moving[name][rows].mul_(self._momentum).add_(gradient)
        return moving * self._rate

    def state_dict(self) -> dict[str, Any]:
        """Return the fading sums."""
        return {"moving": dict(self._moving)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from saved sums."""
        for name, saved in state["moving"].items():
            self._moving[name].copy_(saved)


class Adam:
    """Steps of about one size for every weight."""

    def __init__(
        self, shapes: Mapping[str, torch.Size], beta1: float, beta2: float, eps: float, device: torch.device
    ) -> None:
        """Start with moments of 0."""
        self._beta1, self._beta2, self._eps = beta1, beta2, eps
        self._rate, self._count = 0.0, 0
        self._unbias1 = self._unbias2 = 1.0
        self._first = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}
        self._second = {name: torch.zeros(shape, device=device) for name, shape in shapes.items()}

    def begin(self, rate: float) -> float:
        """Count the generation; gradients come in units of 1."""
        self._rate = rate
        self._count += 1
        # multiplied by, not divided by: on a GPU torch divides by a number through its reciprocal anyway
        self._unbias1 = 1.0 / (1.0 - power(self._beta1, self._count))
        self._unbias2 = 1.0 / (1.0 - power(self._beta2, self._count))
        return 1.0

    def change(self, name: str, gradient: Tensor, rows: slice) -> Tensor:
        """Return rate * m_hat / (sqrt(v_hat) + eps)."""
        first = self._first[name][rows].mul_(self._beta1).add_(gradient * (1.0 - self._beta1))
        squares = (gradient * gradient).mul_(1.0 - self._beta2)
        second = self._second[name][rows].mul_(self._beta2).add_(squares)
        # the root in float64: in float32 torch may take one that is a bit off, and which bit depends on the CPU
        size = (second * self._unbias2).double().sqrt_().float().add_(self._eps)
        return (first * self._unbias1).div_(size).mul_(self._rate)

    def state_dict(self) -> dict[str, Any]:
        """Return both moments and the count."""
        return {"first": dict(self._first), "second": dict(self._second), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from saved moments."""
        self._count = state["count"]
        for kept, saved in ((self._first, state["first"]), (self._second, state["second"])):
            for name, moment in saved.items():
                kept[name].copy_(moment)
