"""What `eggym.weights.Weights` is to an optimizer, for a model in shards: masters are shards too, 1 / ranks of each."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from eggym.shards import Shards, whole_state
from eggym.views import ParameterSpace


class ShardedWeights:
    """The chosen parameters of a model in shards, and their float32 masters, by name."""

    def __init__(self, model: nn.Module, space: ParameterSpace, shards: Shards) -> None:
        """Choose the parameters of a model that is whole; they stay at their present values."""
        self._shards = shards
        self.parameters = space.select(model)
        own = {name: shards.sharded[name].detach() for name in self.parameters}
        self.masters: dict[str, Tensor] = {
            name: one if one.dtype == torch.float32 else one.float() for name, one in own.items()
        }

    @torch.no_grad()
    def publish(self) -> None:
        """Show all masters to the model, which then is whole."""
        for name, master in self.masters.items():
            if not self._own(name):
                self._shards.sharded[name].copy_(master)
        self._shards.gather()

    def state_dict(self) -> dict[str, Any]:
        """Return the whole masters, where they are not the model's own weights."""
        return {name: whole_state(master) for name, master in self.masters.items() if not self._own(name)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned; the weights of the whole model are taken as they are."""
        self._shards.scatter({name: weight.data for name, weight in self.parameters.items()})
        with torch.no_grad():
            for name, kept in state.items():
                self.masters[name].copy_(self._shards.cut(kept, name))

    def cut(self, optimizer: Mapping[str, Any]) -> dict[str, Any]:
        """Return an optimizer's whole state with this rank's shards in it."""
        names = list(self.parameters)
        state = {
            place: {
                key: self._shards.cut(one, names[place]) if isinstance(one, Tensor) and one.ndim else one
                for key, one in of_one.items()
            }
            for place, of_one in optimizer["state"].items()
        }
        return {**optimizer, "state": state}

    def _own(self, name: str) -> bool:
        return self.parameters[name].dtype == torch.float32
