"""Llama and Qwen2 layers over whole texts, with a gradient: what `plain_pass` is to decoding, for scoring and training.

The linear maps and the embedding are called as modules, so that deltas, 8-bit weights and hooks on them stay in force,
but for the three of an MLP where they are weights and nothing else. What lies between them comes from `pass_parts` and
`pass_attention`, which keep less and write fewer temporaries than autograd's own nodes; a prompt that several texts
begin with is computed once (`prefixes`). The sums are the library's in another order of rounding: equal to about 1e-6,
not to the bit.

Only where `plain_pass` would run too, in float32 and without dropout; otherwise the model runs itself. Layers that
recompute their activations (gradient checkpointing) do so here as well, by the function that the library gave them.
Axes in names: _R rows, _T positions, _S positions that are looked at, _D hidden, _E of one head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from eggym.pass_attention import Attention, Places, SharedAttention
from eggym.pass_parts import GatedMlp, Norm, Swiglu
from eggym.plain_pass import is_watched, runs_plainly
from eggym.prefixes import Piece, Prefixes, find_prefixes

_FULL, _SLIDING = "full_attention", "sliding_attention"  # the library's names for kinds of layers
Attend = Callable[[Tensor, Tensor, Tensor, float], Tensor]  # of queries, keys, values and a scaling


@contextmanager
def teacher_pass(model: Any, prompt_R: Sequence[int] | None = None) -> Iterator[None]:
    """Let passes over left-padded texts run directly until the context ends, if the layers are known.

    With ``prompt_R``, how many tokens of each text are its prompt, a prompt of several texts is computed once; what
    comes out then may be the end of the texts alone: their longest rest, and the position before it.
    """
    if not runs_directly(model):
        yield
        return
    body = model.base_model
    body.forward = lambda **inputs: _body(body, prompt_R, **inputs)
    try:
        yield
    finally:
        del body.forward


def runs_directly(model: Any) -> bool:
    """Say whether `teacher_pass` knows every layer of this model, and nobody wants to be told of one."""
    if not runs_plainly(model) or model.dtype != torch.float32:
        return False
    return not any(layer.self_attn.training for layer in model.base_model.layers)  # where dropout would be


def _body(
    body: Any,
    prompt_R: Sequence[int] | None,
    input_ids: Tensor,
    attention_mask: Tensor,
    position_ids: Tensor,
    **rest: Any,
) -> Any:
    """Return what the body of the model returns; ``attention_mask`` is 1 for a token and 0 for a pad, (R, T)."""
    from transformers.modeling_outputs import BaseModelOutputWithPast

    shared = find_prefixes(input_ids, attention_mask, position_ids, prompt_R) if prompt_R else None
    if shared is None:
        texts = Piece(input_ids, position_ids, attention_mask.bool())
        hidden = _layers(body, input_ids, position_ids, partial(_over_texts, texts, body.config))
        return BaseModelOutputWithPast(last_hidden_state=hidden)
    hidden = _layers(body, shared.ids_N, shared.positions_N, partial(_over_prefixes, shared, body.config))
    found = BaseModelOutputWithPast(last_hidden_state=shared.ends(hidden))
    found.computed = shared.computed  # `eggym.budget.Meter` asks
    return found


def _layers(body: Any, ids: Tensor, positions: Tensor, lay: Callable[[Tensor, Tensor], dict[str, Attend]]) -> Tensor:
    """Return the normed output of the last layer; ``lay`` makes attention, by kind of layer, of cosines and sines."""
    hidden_R_T_D = body.embed_tokens(ids)
    cos_R_T_E, sin_R_T_E = body.rotary_emb(hidden_R_T_D, positions)
    attends = lay(cos_R_T_E[:, :, None], sin_R_T_E[:, :, None, : sin_R_T_E.shape[-1] // 2])
    kinds = getattr(body.config, "layer_types", None) or [_FULL] * len(body.layers)
    for layer, kind in zip(body.layers, kinds, strict=True):
        if layer.training and getattr(layer, "gradient_checkpointing", False):
            hidden_R_T_D = layer._gradient_checkpointing_func(_layer, layer, hidden_R_T_D, attends[kind])
        else:
            hidden_R_T_D = _layer(layer, hidden_R_T_D, attends[kind])
    return _normed(body.norm, hidden_R_T_D)[1]


def _layer(layer: Any, hidden_R_T_D: Tensor, attend: Attend) -> Tensor:
    module = layer.self_attn
    hidden_R_T_D, normed_R_T_D = _normed(layer.input_layernorm, hidden_R_T_D)
    heads = (module.q_proj(normed_R_T_D), module.k_proj(normed_R_T_D), module.v_proj(normed_R_T_D))
    hidden_R_T_D = hidden_R_T_D + module.o_proj(attend(*heads, float(module.scaling)))
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


# -- who looks at what ------------------------------------------------------------------------------------------------
def _over_texts(texts: Piece, config: Any, cos: Tensor, sin: Tensor) -> dict[str, Attend]:
    """Return attention within each text, by kind of layer."""
    alike = texts.row(slice(1)) if bool(texts.valid.all()) else texts  # without pads, one mask is that of all rows

    def attend(window: int | None) -> Attend:
        places = Places(*texts.shape, _mask(alike, [alike], window), cos, sin)
        return lambda query, key, value, scaling: _applied(Attention, query, key, value, places, scaling)

    return {kind: attend(window) for kind, window in _windows(config).items()}


def _over_prefixes(shared: Prefixes, config: Any, cos: Tensor, sin: Tensor) -> dict[str, Attend]:
    """Return attention within prompts, and of what follows a prompt to it and within itself, by kind of layer."""
    owner_R, cut = shared.owner_R, shared.prompts.ids.numel()
    asked, going = shared.prompts, shared.rests
    turns = [
        (cos[:, part].view(*piece.shape, 1, -1), sin[:, part].view(*piece.shape, 1, -1))
        for piece, part in ((asked, slice(cut)), (going, slice(cut, None)))
    ]

    def attend(window: int | None) -> Attend:
        prompts = Places(*asked.shape, _mask(asked, [asked], window), *turns[0])
        rests = Places(*going.shape, _mask(going, [asked.row(owner_R), going], window), *turns[1])
        return lambda query, key, value, scaling: _applied(
            SharedAttention, query, key, value, prompts, rests, owner_R, scaling
        )

    return {kind: attend(window) for kind, window in _windows(config).items()}


def _applied(function: Any, *given: Any) -> Tensor:
    found: Tensor = function.apply(*given)
    return found


def _windows(config: Any) -> dict[str, int | None]:
    """Return how far each kind of layer looks back, in positions; None: to the start."""
    window = getattr(config, "sliding_window", None)
    slides = window is not None and _SLIDING in (getattr(config, "layer_types", None) or ())
    return {_FULL: None, _SLIDING: window} if slides else {_FULL: None}


def _mask(asking: Piece, seen: Sequence[Piece], window: int | None) -> Tensor:
    """Return what is added to the scores of tokens over those of ``seen``, one after the other: (R, 1, T, S)."""
    at_R_S, valid_R_S = torch.cat([one.positions for one in seen], 1), torch.cat([one.valid for one in seen], 1)
    behind_R_T_S = asking.positions[:, :, None] - at_R_S[:, None]
    allowed_R_T_S = (behind_R_T_S >= 0) & valid_R_S[:, None]
    if window is not None:
        allowed_R_T_S &= behind_R_T_S < window
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(allowed_R_T_S.shape, device=at_R_S.device).masked_fill_(~allowed_R_T_S, lowest)[:, None]
