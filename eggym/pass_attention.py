"""Attention of a Llama-shaped layer over whole texts, with a gradient of its own.

Each is one node of autograd that keeps what its gradient reads; see `pass_parts`. A gradient is the exact derivative,
in the type that comes in. Where several texts begin with one prompt, the prompt is read once: its keys and values stand
before those of every text, and the gradients of all of them come together in it.

Axes in names: _R rows, _U prompts, _T positions, _H heads, _E of one head, _N rows x heads of keys, _G positions of
all heads that share keys, _S positions that are looked at.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

Three = tuple[Tensor, Tensor, Tensor]  # queries, keys and values, or their gradients


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tokens of some rows stand, and what each of them may look at."""

    n_rows: int
    n_new: int  # positions of a row
    mask: Tensor  # added to the scores: (R, 1, T, S), or 1 in place of R
    cos: Tensor  # (R, T, 1, E)
    sin: Tensor  # (R, T, 1, E / 2): the half that both halves of a head share

    @property
    def n(self) -> int:
        """How many tokens these are."""
        return self.n_rows * self.n_new

    def heads(self, flat: Tensor) -> Tensor:
        """Return (..., heads x E) as (R, T, heads, E)."""
        return flat.view(self.n_rows, self.n_new, -1, self.cos.shape[-1])


class Attention(Function):
    """Queries, keys and values, (R, T, heads x E), to what the heads found, (R, T, H x E).

    Queries and keys are turned by their positions. Heads that share keys are one product.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, places: Places, scaling: float) -> Tensor:
        """Return what was found."""
        own = _turned_heads((query, key, value), places)
        found, weights_N_G_S = _found(own, places, scaling)
        ctx.save_for_backward(*own, weights_N_G_S)
        ctx.places, ctx.scaling = places, scaling
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        *own, weights_N_G_S = ctx.saved_tensors
        inner = _through_found(gradients[0], (own[0], own[1], own[2]), weights_N_G_S, ctx.places, ctx.scaling)
        return *_turned_back_heads(inner, ctx.places), None, None


class SharedAttention(Function):
    """The same for prompts and for texts that go on from them, one after the other: (1, U x P + R x T, heads x E).

    ``owner_R`` is the prompt of each text, whose mask has the prompt's P positions before its own.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor,
        prompts: Places, texts: Places, owner_R: Tensor, scaling: float,
    ) -> Tensor:  # fmt: skip
        """Return what was found, laid out as it came in."""
        given = [torch.split(one, [prompts.n, texts.n], 1) for one in (query, key, value)]
        asked = _turned_heads((given[0][0], given[1][0], given[2][0]), prompts)
        going = _turned_heads((given[0][1], given[1][1], given[2][1]), texts)
        of_prompts, weights = _found(asked, prompts, scaling)
        of_texts, own_weights = _found(_seen(asked, going, owner_R), texts, scaling)
        ctx.save_for_backward(*asked, weights, *going, own_weights, owner_R)
        ctx.places, ctx.scaling = (prompts, texts), scaling
        return _after(of_prompts, of_texts)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        asked, weights, going, own_weights, owner_R = _saved(ctx)
        (prompts, texts), scaling = ctx.places, ctx.scaling
        of_prompts, of_texts = torch.split(gradients[0], [prompts.n, texts.n], 1)
        of_asked = _through_found(of_prompts, asked, weights, prompts, scaling)
        of_seen = _through_found(of_texts, _seen(asked, going, owner_R), own_weights, texts, scaling)
        of_going = (
            of_seen[0],
            _gathered(of_asked[1], of_seen[1], owner_R),
            _gathered(of_asked[2], of_seen[2], owner_R),
        )
        both = zip(_turned_back_heads(of_asked, prompts), _turned_back_heads(of_going, texts), strict=True)
        return *(_after(one, other) for one, other in both), None, None, None, None


# -- what both are made of --------------------------------------------------------------------------------------------
def _saved(ctx: Any) -> tuple[Three, Tensor, Three, Tensor, Tensor]:
    query, key, value, weights, own_query, own_key, own_value, own_weights, owner_R = ctx.saved_tensors
    return (query, key, value), weights, (own_query, own_key, own_value), own_weights, owner_R


def _turned_heads(given: Three, places: Places) -> Three:
    """Return turned queries (N, G, E), turned keys and values (N, T, E)."""
    query, key, value = given
    size = places.cos.shape[-1]
    key_N_T_E = _turned(places.heads(key), places).view(-1, places.n_new, size)
    query_N_G_E = _turned(places.heads(query), places).view(len(key_N_T_E), -1, size)
    return query_N_G_E, key_N_T_E, places.heads(value).transpose(1, 2).reshape(key_N_T_E.shape)


def _turned_back_heads(gradients: Three, places: Places) -> Three:
    """Return the gradients of what was given to `_turned_heads`, (R, T, heads x E)."""
    query_N_G_E, key, value = gradients
    return _turned_back(query_N_G_E, places), _turned_back(key, places), _beside(value, places)


def _found(heads: Three, places: Places, scaling: float) -> tuple[Tensor, Tensor]:
    """Return what the heads found, (R, T, H x E), and with what weights, (N, G, S)."""
    query_N_G_E, key_N_S_E, value_N_S_E = heads
    scores_N_G_S = torch.bmm(query_N_G_E, key_N_S_E.transpose(1, 2)).mul_(scaling)
    scores_N_G_S.view(places.n_rows, -1, places.n_new, scores_N_G_S.shape[2]).add_(places.mask)
    weights_N_G_S = scores_N_G_S.softmax(-1)
    return _beside(torch.bmm(weights_N_G_S, value_N_S_E), places), weights_N_G_S


def _through_found(given: Tensor, heads: Three, weights_N_G_S: Tensor, places: Places, scaling: float) -> Three:
    """Return the gradients of queries, keys and values from that of what was found."""
    query_N_G_E, key_N_S_E, value_N_S_E = heads
    of_found = places.heads(given).transpose(1, 2).reshape(query_N_G_E.shape)
    of_value = torch.bmm(weights_N_G_S.transpose(1, 2), of_found)
    of_weights = torch.bmm(of_found, value_N_S_E.transpose(1, 2))
    of_scores = torch._softmax_backward_data(of_weights, weights_N_G_S, -1, of_weights.dtype).mul_(scaling)
    return torch.bmm(of_scores, key_N_S_E), torch.bmm(of_scores.transpose(1, 2), query_N_G_E), of_value


def _after(of_prompts: Tensor, of_texts: Tensor) -> Tensor:
    """Return what belongs to prompts, (U, P, D), and then what belongs to texts, (R, T, D): (1, U x P + R x T, D)."""
    return torch.cat((of_prompts.flatten(0, 1), of_texts.flatten(0, 1)))[None]


def _seen(asked: Three, going: Three, owner_R: Tensor) -> Three:
    """Return the queries of texts, with the keys and values that they see: their prompt's and their own."""
    return going[0], _before(asked[1], going[1], owner_R), _before(asked[2], going[2], owner_R)


def _before(of_prompts: Tensor, of_texts: Tensor, owner_R: Tensor) -> Tensor:
    """Return heads of texts, (N, T, E), with those of their prompts before them."""
    n_heads = len(of_texts) // len(owner_R)
    first = of_prompts.view(-1, n_heads, *of_prompts.shape[1:]).index_select(0, owner_R)
    return torch.cat((first.view(len(of_texts), *of_prompts.shape[1:]), of_texts), 1)


def _gathered(into: Tensor, gradient: Tensor, owner_R: Tensor) -> Tensor:
    """Add the prompts' part of the gradient of `_before` to ``into``; return the texts' part."""
    n_heads = len(gradient) // len(owner_R)
    n_before = into.shape[1]
    first = gradient[:, :n_before].reshape(len(owner_R), n_heads, *into.shape[1:])
    into.view(-1, n_heads, *into.shape[1:]).index_add_(0, owner_R, first)
    return gradient[:, n_before:]


def _turned(heads_R_T_H_E: Tensor, places: Places) -> Tensor:
    """Return heads turned by their positions, (R, H, T, E), in one block."""
    n_rows, n_new, n_heads, size = heads_R_T_H_E.shape
    found = heads_R_T_H_E.new_empty(n_rows, n_heads, n_new, size)
    _turn(heads_R_T_H_E, places, 1.0, found.transpose(1, 2))
    return found


def _turned_back(gradient: Tensor, places: Places) -> Tensor:
    """Return the gradient of heads before they were turned, (R, T, H x E)."""
    given_R_T_H_E = gradient.reshape(places.n_rows, -1, places.n_new, gradient.shape[-1]).transpose(1, 2)
    found = gradient.new_empty(given_R_T_H_E.shape)
    _turn(given_R_T_H_E, places, -1.0, found)
    return found.view(places.n_rows, places.n_new, -1)


def _turn(given: Tensor, places: Places, sign: float, out: Tensor) -> None:
    """Write (a cos - b sin, b cos + a sin) for the halves (a, b) of every head; with ``sign`` -1, turn them back."""
    half = places.sin.shape[-1]
    torch.mul(given, places.cos, out=out)
    out[..., :half].addcmul_(given[..., half:], places.sin, value=-sign)
    out[..., half:].addcmul_(given[..., :half], places.sin, value=sign)


def _beside(heads: Tensor, places: Places) -> Tensor:
    """Return what heads one after the other hold, (N, T, E) or (N, G, E), side by side: (R, T, heads x E)."""
    return (
        heads.reshape(places.n_rows, -1, places.n_new, heads.shape[-1])
        .transpose(1, 2)
        .reshape(places.n_rows, places.n_new, -1)
    )
