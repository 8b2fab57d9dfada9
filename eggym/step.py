"""One pass of the model over new positions: eager, or compiled into one graph for all lengths.

`torch.compile` fuses what lies between the matrix products, a population's low-rank terms included, which is most of
what they cost. Compiled and eager results differ in the last bits, so which one is used is a setting of the run and is
recorded; it is never chosen by load or length. All sizes of a batch are dynamic: one graph serves every number of rows
and slots, or the bits of a reply would depend on what was decoded before it.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from eggym.cache import SlotCache

_GRAPHS = 64  # compiled variants kept in one process: by model, and by what is laid over it


def run_step(
    model: Any, ids_R_T: Tensor, positions_R_T: Tensor, mask: Any, cache: SlotCache, laid: str, compiled: bool
) -> Tensor:
    """Return the logits at the last of the new positions, (R, V).

    ``laid`` names what is laid over the model. It changes nothing here, but a compiled graph is kept for each.
    """
    if not compiled:
        return _step(model, ids_R_T, positions_R_T, mask, cache.layers, laid)
    masks = mask.values() if isinstance(mask, dict) else [mask]
    sized = [(ids_R_T, (0,)), (positions_R_T, (0,)), *((one, (0, 3)) for one in masks), *cache.sized()]
    for tensor, places in sized:
        for place in places:
            torch._dynamo.maybe_mark_dynamic(tensor, place)
    return _compiled()(model, ids_R_T, positions_R_T, mask, cache.layers, laid)


def _step(model: Any, ids_R_T: Tensor, positions_R_T: Tensor, mask: Any, cache: Any, laid: str) -> Tensor:
    output = model(
        input_ids=ids_R_T,
        attention_mask=mask,
        position_ids=positions_R_T,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits[:, -1]
    return logits


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    # a population's operands are attributes of modules; as static shapes every number of groups would be a new graph
    torch._dynamo.config.force_nn_module_property_static_shapes = False
    torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
    step: Callable[..., Tensor] = torch.compile(_step, fullgraph=True)
    return step
