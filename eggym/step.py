"""One pass of the model over new positions: eager, or compiled into one graph for all lengths.

`torch.compile` fuses what lies between the matrix products, a population's low-rank terms included, which is most of
what they cost. Compiled and eager results differ in the last bits, so which one is used is a setting of the run and is
recorded; it is never chosen by load or length. All sizes of a batch are dynamic: one graph reads all prompts and one
decodes every number of rows and slots, or the bits of a reply would depend on what was decoded before it.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from eggym.cache import SlotCache
from eggym.errors import BadValue

_GRAPHS = 64  # compiled variants kept in one process: by model, and by what is laid over it


def run_step(
    model: Any, ids_R_T: Tensor, positions_R_T: Tensor, mask: Any, cache: SlotCache, laid: str, compiled: bool
) -> Tensor:
    """Return the logits at the last of the new positions, (R, V).

    ``laid`` names what is laid over the model: it changes nothing here, but compiled graphs are kept apart by it.
    """
    if not compiled:
        return _step(model, ids_R_T, positions_R_T, mask, cache.layers)
    masks = mask.values() if isinstance(mask, dict) else [mask]
    sized = [(ids_R_T, (0, 1)), (positions_R_T, (0, 1)), *((one, (0, 2, 3)) for one in masks), *cache.sized()]
    for tensor, places in sized:
        for place in places:
            if tensor.shape[place] > 1:  # one position is a graph of its own: that of decoding
                torch._dynamo.maybe_mark_dynamic(tensor, place)
    return _compiled(laid, ids_R_T.shape[1] == 1)(model, ids_R_T, positions_R_T, mask, cache.layers)


def refuse_without_compiler(device: torch.device) -> None:
    """Refuse to compile where torch finds nothing to compile with.

    Raises:
        BadValue: no C++ compiler, for a CPU.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        if device.type == "cpu":
            get_cpp_compiler()
    except InvalidCxxCompiler as problem:
        raise BadValue(
            "engine.compile needs a C++ compiler, and torch finds none; install g++ or clang++ (or name one in CXX), "
            "or leave it off with --set engine.compile=false"
        ) from problem


def _step(model: Any, ids_R_T: Tensor, positions_R_T: Tensor, mask: Any, cache: Any) -> Tensor:
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
def _compiled(laid: str, decodes: bool) -> Callable[..., Tensor]:
    """Return the compiled step for one purpose. Each looks for its graph among its own only: that takes time."""
    # a population's operands are attributes of modules; as static shapes every number of groups would be a new graph
    torch._dynamo.config.force_nn_module_property_static_shapes = False
    torch._dynamo.config.recompile_limit = max(_GRAPHS, torch._dynamo.config.recompile_limit)
    # the types of torch leave this argument out
    step: Callable[..., Tensor] = torch.compile(_step, fullgraph=True, isolate_recompiles=True)  # type: ignore[call-overload]
    return step
