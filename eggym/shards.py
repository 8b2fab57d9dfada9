"""A model whose trained weights lie in shards, one for each rank (FSDP2, `torch.distributed.fsdp.fully_shard`).

Outside an update the model is whole on every rank: decoding would gather each layer for every token. Within an update
it is sharded: a layer is gathered when a pass comes to it, and the sums of its gradients are scattered behind it. So
gradients, masters and optimizer hold 1 / size each, and the whole weights stand beside them while nothing is trained.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eggym.errors import BadValue
from eggym.ranks import naming_loss


class Shards:
    """Makes a model one in shards, and switches it between whole and sharded. Every rank must call the same."""

    def __init__(self, model: Any) -> None:
        """Shard the blocks and what is around them; afterwards the model is whole.

        Raises:
            BadValue: the architecture has no known blocks.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        with naming_loss():
            mesh = init_device_mesh(model.device.type, (torch.distributed.get_world_size(),))
            summed = MixedPrecisionPolicy(reduce_dtype=torch.float32)
            for block in _blocks(model):
                fully_shard(block, mesh=mesh, mp_policy=summed)
            fully_shard(model, mesh=mesh, mp_policy=summed)
        self._units = [module for module in model.modules() if hasattr(module, "set_gradient_divide_factor")]
        for unit in self._units:
            unit.set_gradient_divide_factor(1.0)  # a sum, as the weights of tokens count the whole batch
            unit.set_force_sum_reduction_for_comms(True)
        self.sharded: dict[str, Any] = dict(model.named_parameters())  # DTensors, by name
        with naming_loss(), torch.no_grad():  # the first pass settles which module is the root
            model(input_ids=torch.zeros(1, 1, dtype=torch.int64, device=model.device), use_cache=False)
        self._switch(whole=True)

    @contextmanager
    def training(self, names: Mapping[str, Any]) -> Iterator[dict[str, Tensor]]:
        """Let passes leave gradients of these parameters; behind the context, the dict holds their shards, summed.

        Every rank must make as many passes.
        """
        found: dict[str, Tensor] = {}
        for name in names:
            self.sharded[name].requires_grad_(True)
            self.sharded[name].grad = None
        self._switch(whole=False)
        try:
            with naming_loss():
                yield found
            found |= {name: grad for name in names if (grad := self.sharded[name].grad) is not None}
        finally:
            for name in names:
                self.sharded[name].requires_grad_(False)
                self.sharded[name].grad = None
        self._switch(whole=True)

    def gather(self) -> None:
        """Let the whole weights follow the shards."""
        self._switch(whole=False)
        self._switch(whole=True)

    @torch.no_grad()
    def scatter(self, whole: Mapping[str, Tensor]) -> None:
        """Let the shards of these parameters follow their whole weights."""
        for name, weight in whole.items():
            self.sharded[name].to_local().copy_(self.cut(weight, name).to_local())

    def cut(self, whole: Tensor, name: str) -> Any:
        """Return this rank's shard of something that is shaped like a parameter, as a DTensor; nothing is sent."""
        from torch.distributed.tensor import distribute_tensor

        like = self.sharded[name]
        return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)

    def _switch(self, whole: bool) -> None:
        with naming_loss():
            for unit in self._units:
                unit.reshard()
                unit.set_reshard_after_forward(not whole, recurse=False)
                if whole:
                    unit.unshard()


def whole_state(value: Any) -> Any:
    """Return nested dicts and lists with every shard in them replaced by the whole; every rank must call it."""
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        with naming_loss():
            return value.full_tensor()
    if isinstance(value, dict):
        return {name: whole_state(one) for name, one in value.items()}
    return [whole_state(one) for one in value] if isinstance(value, list) else value


def _blocks(model: nn.Module) -> list[nn.Module]:
    from transformers.modeling_layers import GradientCheckpointingLayer

    found = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not found:
        raise BadValue(
            f"model of type {type(model).__name__} has no blocks that can be sharded; use engine.parallel=ddp"
        )
    return found
