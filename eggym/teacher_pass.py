"""Llama and Qwen2 layers over whole texts, with a gradient: what `plain_pass` is to decoding, for scoring and training.

The linear maps and the embedding are called as modules, so that deltas, 8-bit weights and hooks on them stay in force,
but for the three of an MLP where they are weights and nothing else. What lies between them comes from `pass_parts`,
which keeps less and writes fewer temporaries than autograd's own nodes. The sums are the library's in another order of
rounding: equal to about 1e-6, not to the bit.

Only where `plain_pass` would run too, in float32 and without dropout; otherwise the model runs itself. Layers that
recompute their activations (gradient checkpointing) do so here as well, by the function that the library gave them.
Axes in names: _R rows, _T positions, _D hidden, _H heads, _E of one head.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eggym.pass_parts import Attention, GatedMlp, Norm, Swiglu
from eggym.plain_pass import is_watched, runs_plainly


@contextmanager
def teacher_pass(model: Any) -> Iterator[None]:
    """Let passes over whole texts, padded or not, run directly until the context ends, if the layers are known."""
    if not runs_directly(model):
        yield
        return
    body = model.base_model
    body.forward = lambda **inputs: _body(body, **inputs)
    try:
        yield
    finally:
        del body.forward


def runs_directly(model: Any) -> bool:
    """Say whether `teacher_pass` knows every layer of this model, and nobody wants to be told of one."""
    if not runs_plainly(model) or model.dtype != torch.float32:
        return False
    return not any(layer.self_attn.training for layer in model.base_model.layers)  # where dropout would be


def _body(body: Any, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, **rest: Any) -> Any:
    """Return what the body of the model returns; ``attention_mask`` is 1 for a token and 0 for a pad, (R, T)."""
    from transformers.modeling_outputs import BaseModelOutputWithPast

    hidden_R_T_D = body.embed_tokens(input_ids)
    cos_R_T_E, sin_R_T_E = body.rotary_emb(hidden_R_T_D, position_ids)
    masks = _masks(body.config, attention_mask)
    kinds = getattr(body.config, "layer_types", None) or ["full_attention"] * len(body.layers)
    for layer, kind in zip(body.layers, kinds, strict=True):
        seen = (masks[kind], cos_R_T_E[:, :, None], sin_R_T_E[:, :, None, : sin_R_T_E.shape[-1] // 2])
        if layer.training and getattr(layer, "gradient_checkpointing", False):
            hidden_R_T_D = layer._gradient_checkpointing_func(_layer, layer, hidden_R_T_D, *seen)
        else:
            hidden_R_T_D = _layer(layer, hidden_R_T_D, *seen)
    return BaseModelOutputWithPast(last_hidden_state=_normed(body.norm, hidden_R_T_D)[1])


def _layer(layer: Any, hidden_R_T_D: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    module = layer.self_attn
    hidden_R_T_D, normed_R_T_D = _normed(layer.input_layernorm, hidden_R_T_D)
    heads = (module.q_proj(normed_R_T_D), module.k_proj(normed_R_T_D), module.v_proj(normed_R_T_D))
    found_R_T_D = Attention.apply(*heads, mask, cos, sin, float(module.scaling))  # type: ignore[no-untyped-call]
    hidden_R_T_D = hidden_R_T_D + module.o_proj(found_R_T_D)
    hidden_R_T_D, normed_R_T_D = _normed(layer.post_attention_layernorm, hidden_R_T_D)
    return hidden_R_T_D + _mlp(layer.mlp, normed_R_T_D, layer.training)


def _mlp(mlp: Any, normed_R_T_D: Tensor, recomputed: bool) -> Tensor:
    result: Tensor
    maps = (mlp.gate_proj, mlp.up_proj, mlp.down_proj)
    if not recomputed and all(_is_bare(one) for one in maps):  # a recomputed layer stops before its last product
        result = GatedMlp.apply(normed_R_T_D, *(one.weight for one in maps))  # type: ignore[no-untyped-call]
        return result
    gated = Swiglu.apply(mlp.gate_proj(normed_R_T_D), mlp.up_proj(normed_R_T_D))  # type: ignore[no-untyped-call]
    result = mlp.down_proj(gated)
    return result


def _is_bare(module: Any) -> bool:
    """Say whether a linear map is a weight and nothing else: no delta, no 8 bits, no bias, nobody who watches."""
    return type(module) is nn.Linear and module.bias is None and not is_watched(module)


def _normed(norm: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return what was given, whose gradient joins that of the norm there, and the norm."""
    kept, normed = Norm.apply(hidden, norm.weight, norm.variance_epsilon)  # type: ignore[no-untyped-call]
    return kept, normed


def _masks(config: Any, mask_R_T: Tensor) -> dict[str, Tensor]:
    """Return what is added to the scores of each kind of layer, (R, 1, T, T), or (1, 1, T, T) where no row has pads."""
    place_T = torch.arange(mask_R_T.shape[1], device=mask_R_T.device)
    behind_T_T = place_T[:, None] - place_T
    allowed = (behind_T_T >= 0)[None]
    if not bool(mask_R_T.all()):
        allowed = allowed & mask_R_T[:, None].bool()
    window = getattr(config, "sliding_window", None)
    masks = {"full_attention": _additive(allowed)}
    if window is not None and "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        masks["sliding_attention"] = _additive(allowed & (behind_T_T < window))
    return masks


def _additive(allowed_R_T_T: Tensor) -> Tensor:
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(allowed_R_T_T.shape, device=allowed_R_T_T.device).masked_fill_(~allowed_R_T_T, lowest)[:, None]
