"""The layers of a Llama-shaped model, run without what a library must do for every model there is: to the bit the same.

A step of decoding is many small operations, and most of its time was spent between them. Here the embedding and every
linear map over which a population or a delta lies are still called as modules, so that these stay in force; bare linear
maps, norms, rotation, the activation and the cache are called directly. Nothing is summed in another order: what
differs from the library's pass is that signs move from one factor to the other, that queries and keys turn in one go,
and who is called.

Only on a CPU, and only where nobody hooked or replaced a module that is passed over; otherwise the model runs itself.
Axes in names: _R rows, _T new positions, _D hidden, _H heads, _E of one head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from eggym.cache import attend

_LAYERS = ("LlamaDecoderLayer", "Qwen2DecoderLayer")  # the library's classes whose pass is the one below


@contextmanager
def plain_pass(model: Any) -> Iterator[None]:
    """Let the layers of a model run directly until the context ends, if they are of a kind that is known."""
    body = model.base_model
    if not runs_plainly(model):
        yield
        return
    maps = [_maps(layer) for layer in body.layers]
    body.forward = lambda **inputs: _body(body, maps, **inputs)
    try:
        yield
    finally:
        del body.forward


def runs_plainly(model: Any) -> bool:
    """Say whether `plain_pass` knows every layer of this model, and nobody wants to be told of one."""
    body, config = getattr(model, "base_model", None), getattr(model, "config", None)
    if body is None or config is None:  # no model of the library at all
        return False
    if model.device.type != "cpu" or "forward" in vars(body) or not hasattr(body, "layers"):
        return False
    known = all(type(layer).__name__ in _LAYERS and _is_of_library(layer) for layer in body.layers)
    if not known or getattr(config, "hidden_act", None) != "silu" or len(body.layers) != config.num_hidden_layers:
        return False
    passed_over = [body.norm, *(one for layer in body.layers for one in _passed_over(layer))]
    return not any(is_watched(module) for module in passed_over)


def _is_of_library(layer: nn.Module) -> bool:
    return type(layer).__module__.startswith("transformers.models.")


def _passed_over(layer: Any) -> list[nn.Module]:
    return [layer, layer.self_attn, layer.mlp, layer.mlp.act_fn, layer.input_layernorm, layer.post_attention_layernorm]


def is_watched(module: nn.Module) -> bool:
    """Say whether anybody wants to be told when a module is called, or has replaced what it does."""
    before, after = (
        module._forward_pre_hooks or module._backward_pre_hooks,
        module._forward_hooks or module._backward_hooks,
    )
    return bool(before or after or "forward" in vars(module))


class _Maps(NamedTuple):
    """The linear maps of a layer, ready to be called."""

    query: Callable[[Tensor], Tensor]
    key: Callable[[Tensor], Tensor]
    value: Callable[[Tensor], Tensor]
    result: Callable[[Tensor], Tensor]
    gate: Callable[[Tensor], Tensor]
    up: Callable[[Tensor], Tensor]
    down: Callable[[Tensor], Tensor]


def _maps(layer: Any) -> _Maps:
    attention, mlp = layer.self_attn, layer.mlp
    own = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    return _Maps(*map(_called, (*own, mlp.gate_proj, mlp.up_proj, mlp.down_proj)))


def _called(module: Any) -> Callable[[Tensor], Tensor]:
    """Return a linear map as a function: of weight and bias where it is nothing else, as a module is slow to call."""
    if type(module) is not nn.Linear or is_watched(module):
        called: Callable[[Tensor], Tensor] = module
        return called
    weight, bias = module.weight, module.bias
    return lambda x: functional.linear(x, weight, bias)


def _body(
    body: Any,
    maps: Sequence[_Maps],
    input_ids: Tensor,
    attention_mask: Any,
    position_ids: Tensor,
    past_key_values: Any,
    **rest: Any,
) -> Any:
    """Return what the body of the model returns; masks are those of the cache, by kind or one for all layers."""
    from transformers.modeling_outputs import BaseModelOutputWithPast

    hidden_R_T_D = body.embed_tokens(input_ids)
    turn = _turn(*body.rotary_emb(hidden_R_T_D, position_ids))
    kinds = body.config.layer_types if isinstance(attention_mask, dict) else None
    for at, (layer, own, cache) in enumerate(zip(body.layers, maps, past_key_values.layers, strict=True)):
        mask = attention_mask if kinds is None else attention_mask[kinds[at]]
        hidden_R_T_D = hidden_R_T_D + _attention(layer, own, hidden_R_T_D, turn, mask, cache)
        normed_R_T_D = _normed(layer.post_attention_layernorm, hidden_R_T_D)
        gate = functional.silu(own.gate(normed_R_T_D), inplace=True)
        hidden_R_T_D += own.down(gate.mul_(own.up(normed_R_T_D)))
    return BaseModelOutputWithPast(last_hidden_state=_normed(body.norm, hidden_R_T_D), past_key_values=past_key_values)


def _attention(
    layer: Any, own: _Maps, hidden_R_T_D: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor, cache: Any
) -> Tensor:
    module = layer.self_attn
    normed_R_T_D = _normed(layer.input_layernorm, hidden_R_T_D)
    shape = (*hidden_R_T_D.shape[:2], -1, module.head_dim)
    query, key = own.query(normed_R_T_D).view(shape), own.key(normed_R_T_D).view(shape)
    n_heads, half = query.shape[2], module.head_dim // 2
    value = own.value(normed_R_T_D).view(shape).transpose(1, 2)
    both_R_T_H_E = torch.cat((query, key), 2)
    swapped = torch.cat((both_R_T_H_E[..., half:], both_R_T_H_E[..., :half]), -1)
    turned = both_R_T_H_E.mul_(turn[0]).add_(swapped.mul_(turn[1])).transpose(1, 2)
    keys, values = cache.update(turned[:, n_heads:], value)
    found = attend(turned[:, :n_heads], keys, values, mask, float(module.scaling), 0.0)
    return own.result(found.view(*shape[:2], -1))


def _turn(cos_R_T_E: Tensor, sin_R_T_E: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of a vector and of its swapped halves: (-b, a) * sin is (b, a) * (-sin, sin), exactly."""
    half = sin_R_T_E.shape[-1] // 2
    signed = torch.cat((-sin_R_T_E[..., :half], sin_R_T_E[..., half:]), -1)
    return cos_R_T_E[:, :, None], signed[:, :, None]


def _normed(norm: Any, hidden: Tensor) -> Tensor:
    """Return the root-mean-square norm; in short types torch would round once less than the library."""
    if hidden.dtype != torch.float32:
        result: Tensor = norm(hidden)
        return result
    inverse = (hidden * hidden).mean(-1, keepdim=True).add_(norm.variance_epsilon).rsqrt_()
    return (hidden * inverse).mul_(norm.weight)
