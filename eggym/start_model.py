"""The model as it was when a run started: for a KL to the start, in the loss or in the reward.

A learner and a plan are built before a checkpoint is loaded, so that the weights they find are the run's start
weights, after a restart too. The copy is as large as what may change, in its own type and on its own device.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call


class StartModel:
    """Called like the model, with a kept copy of the weights that may change; the model's own stay where they are."""

    def __init__(self, model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
        """Copy the present values, by name, as `eggym.views.ParameterSpace.select` returns them."""
        self._model = model
        self._values: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in parameters.items()}

    def __call__(self, **inputs: Any) -> Any:
        """Return what the model gave at the start; hooks see the pass as any other."""
        return functional_call(self._model, self._values, args=(), kwargs=inputs)
