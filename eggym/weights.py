"""The weights that a run may change, with a master copy in float32, so that no update is lost to rounding.

Half of the last bit of a bfloat16 weight of 0.02 is 6e-5; published ES steps are of that size. Updates are therefore
added to float32 masters, and the model gets their rounded values. A float32 model is its own master.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eggym.views import ParameterSpace


class Weights:
    """The chosen parameters of a model and their masters, by name, in the model's order."""

    def __init__(self, model: nn.Module, space: ParameterSpace) -> None:
        """Choose the parameters; masters start at their present values."""
        self.parameters = space.select(model)
        self.masters: dict[str, Tensor] = {
            name: weight.data if weight.dtype == torch.float32 else weight.data.float()
            for name, weight in self.parameters.items()
        }

    def add(self, name: str, change: Tensor) -> None:
        """Add a float32 change to one master, as one IEEE addition per weight, and show it to the model."""
        self.masters[name].add_(change)
        self._publish(name)

    def publish(self) -> None:
        """Show all masters to the model."""
        for name in self.masters:
            self._publish(name)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the masters that are not the model's own weights."""
        return {name: master for name, master in self.masters.items() if not self._own(name)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore masters that `state_dict` returned."""
        for name, master in state.items():
            self.masters[name].copy_(master)

    def _own(self, name: str) -> bool:
        return self.parameters[name].dtype == torch.float32

    def _publish(self, name: str) -> None:
        if not self._own(name):
            self.parameters[name].data.copy_(self.masters[name])
