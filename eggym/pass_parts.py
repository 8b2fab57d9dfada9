"""What stands between the linear maps of a Llama-shaped layer, each with a gradient of its own: norm, attention, gate.

Autograd would make a node of every multiplication, keep what each of them read, and write the gradient of each to new
memory; a layer then waits for memory more than for arithmetic. Here a part is one node that keeps what its gradient
reads. A gradient is the exact derivative, in the type that comes in.

Axes in names: _R rows, _T positions, _D hidden, _H heads, _E of one head, _N rows x heads of keys, _G positions
of all heads that share keys.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

_BLOCK = 1 << 17  # numbers that are worked on at once: a few such blocks stay in a core's own cache
_LEAST_ROWS = 256  # with fewer, products get slow


class Norm(Function):
    """Root-mean-square norm: (hidden, weight, epsilon) to (hidden, weight * hidden / rms).

    The hidden state comes out again, so that the gradient of the way round the norm is added here and not in a pass of
    its own.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight_D: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        """Return both."""
        length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        inverse = length.square_().div_(hidden.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(hidden, weight_D, inverse)
        return hidden.view_as(hidden), (hidden * inverse).mul_(weight_D)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor | None, None]:
        """Return the gradients of hidden state and weight."""
        around, given = gradients
        hidden, weight_D, inverse = ctx.saved_tensors
        product = given * hidden
        # d/dx of w x / rms is (w g - x mean(w g x) / rms^2) / rms
        share = (product @ weight_D)[..., None].mul_(inverse.pow(3)).div_(-hidden.shape[-1])
        of_weight = inverse.flatten() @ product.view(-1, hidden.shape[-1]) if ctx.needs_input_grad[1] else None
        scaled = torch.mul(given, weight_D, out=product)
        return torch.addcmul(around, scaled, inverse).addcmul_(hidden, share), of_weight, None


class Swiglu(Function):
    """silu(gate) * up; what is between is computed again for the gradient."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        """Return the product."""
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor]:
        """Return the gradients of both."""
        gate, up = ctx.saved_tensors
        return _through_silu(gate, gradients[0] * up), functional.silu(gate).mul_(gradients[0])


class GatedMlp(Function):
    """down(silu(gate x) * up x) of three plain weights, (F, D), (F, D) and (D, F); ``hidden`` is (..., D).

    Some rows at a time: what is F wide is written and read while it is near, and but for gate x and up x it is gone
    before the next rows come. The product is computed again for the gradient.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, gate_F_D: Tensor, up_F_D: Tensor, down_D_F: Tensor) -> Tensor:
        """Return what the three maps make of the hidden state."""
        rows = hidden.view(-1, hidden.shape[-1])
        gate, up = (rows.new_empty(len(rows), len(gate_F_D)) for _ in range(2))
        found = torch.empty_like(rows)
        for x, of_gate, of_up, out in _blocks(len(gate_F_D), rows, gate, up, found):
            torch.mm(x, gate_F_D.t(), out=of_gate)
            torch.mm(x, up_F_D.t(), out=of_up)
            torch.mm(functional.silu(of_gate).mul_(of_up), down_D_F.t(), out=out)
        ctx.save_for_backward(hidden, gate_F_D, up_F_D, down_D_F, gate, up)
        return found.view_as(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of hidden state and weights."""
        hidden, gate_F_D, up_F_D, down_D_F, gate_R_F, up_R_F = ctx.saved_tensors
        rows, given_R_D = (one.reshape(-1, hidden.shape[-1]) for one in (hidden, gradients[0]))
        found, wanted = torch.empty_like(rows), ctx.needs_input_grad[1:]
        # gate's and up's lie the other way round, as down's does: their products are 8 % faster so
        weights = [torch.zeros_like(down_D_F) if needed else None for needed in wanted]
        for x, gate, up, given, out in _blocks(len(gate_F_D), rows, gate_R_F, up_R_F, given_R_D, found):
            active, inner = functional.silu(gate), given @ down_D_F
            _add_product(weights[2], given, active * up)
            of_up, of_gate = active.mul_(inner), _through_silu(gate, inner.mul_(up))
            torch.mm(of_gate, gate_F_D, out=out)
            torch.addmm(out, of_up, up_F_D, out=out)  # not `addmm_`, which torch's counter of FLOPs does not know
            _add_product(weights[0], x, of_gate)
            _add_product(weights[1], x, of_up)
        turned = [one if one is None else one.t() for one in weights[:2]]
        return found.view_as(hidden), *turned, weights[2]


def _blocks(width: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the same rows of each tensor, so many that ``width`` numbers for each of them stay near."""
    n_rows = max(_LEAST_ROWS, _BLOCK // width)
    return zip(*(torch.split(one, n_rows) for one in tensors), strict=True)


def _add_product(total: Tensor | None, left: Tensor, right: Tensor) -> None:
    """Add to the gradient of a weight, if it is wanted."""
    if total is not None:
        torch.addmm(total, left.t(), right, out=total)


def _through_silu(gate: Tensor, given: Tensor) -> Tensor:
    """Turn the gradient of silu(gate) into that of gate, in its place."""
    torch.ops.aten.silu_backward.grad_input(given, gate, grad_input=given)
    return given


class Attention(Function):
    """Queries, keys and values, (R, T, heads x E), to what the heads found, (R, T, H x E).

    Queries and keys are turned by their positions: ``cos`` (R, T, 1, E) and ``sin`` (R, T, 1, E / 2), the half that
    both halves of a head share. Heads that share keys are one product. ``mask`` is added to the scores: (R, 1, T, T),
    or 1 in place of R.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, cos: Tensor, sin: Tensor, scaling: float
    ) -> Tensor:
        """Return what was found."""
        n_rows, n_new, _, size = cos.shape
        query, key, value = (one.view(n_rows, n_new, -1, size) for one in (query, key, value))
        key_N_T_E = _turned(key, cos, sin).view(-1, n_new, size)
        query_N_G_E = _turned(query, cos, sin).view(len(key_N_T_E), -1, size)
        value_N_T_E = value.transpose(1, 2).reshape(key_N_T_E.shape)
        scores_N_G_T = torch.bmm(query_N_G_E, key_N_T_E.transpose(1, 2)).mul_(scaling)
        scores_N_G_T.view(n_rows, -1, n_new, n_new).add_(mask)
        weights_N_G_T = scores_N_G_T.softmax(-1)
        ctx.save_for_backward(query_N_G_E, key_N_T_E, value_N_T_E, weights_N_G_T, cos, sin)
        ctx.scaling = scaling
        return _beside(torch.bmm(weights_N_G_T, value_N_T_E), cos)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        query_N_G_E, key_N_T_E, value_N_T_E, weights_N_G_T, cos, sin = ctx.saved_tensors
        n_rows, n_new, _, size = cos.shape
        of_found = gradients[0].view(n_rows, n_new, -1, size).transpose(1, 2).reshape(query_N_G_E.shape)
        of_value = torch.bmm(weights_N_G_T.transpose(1, 2), of_found)
        of_weights = torch.bmm(of_found, value_N_T_E.transpose(1, 2))
        of_scores = torch._softmax_backward_data(of_weights, weights_N_G_T, -1, of_weights.dtype).mul_(ctx.scaling)
        of_query = _turned_back(torch.bmm(of_scores, key_N_T_E), cos, sin)
        of_key = _turned_back(torch.bmm(of_scores.transpose(1, 2), query_N_G_E), cos, sin)
        return of_query, of_key, _beside(of_value, cos), None, None, None, None


def _turned(heads_R_T_H_E: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return heads turned by their positions, (R, H, T, E), in one block."""
    n_rows, n_new, n_heads, size = heads_R_T_H_E.shape
    found = heads_R_T_H_E.new_empty(n_rows, n_heads, n_new, size)
    _turn(heads_R_T_H_E, cos, sin, 1.0, found.transpose(1, 2))
    return found


def _turned_back(gradient: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return the gradient of heads before they were turned, (R, T, H x E)."""
    n_rows, n_new, _, size = cos.shape
    given_R_T_H_E = gradient.view(n_rows, -1, n_new, size).transpose(1, 2)
    found = gradient.new_empty(given_R_T_H_E.shape)
    _turn(given_R_T_H_E, cos, sin, -1.0, found)
    return found.view(n_rows, n_new, -1)


def _turn(given: Tensor, cos: Tensor, sin: Tensor, sign: float, out: Tensor) -> None:
    """Write (a cos - b sin, b cos + a sin) for the halves (a, b) of every head; with ``sign`` -1, turn them back."""
    half = sin.shape[-1]
    torch.mul(given, cos, out=out)
    out[..., :half].addcmul_(given[..., half:], sin, value=-sign)
    out[..., half:].addcmul_(given[..., :half], sin, value=sign)


def _beside(heads: Tensor, cos: Tensor) -> Tensor:
    """Return what heads one after the other hold, side by side, (R, T, heads x E)."""
    n_rows, n_new, _, size = cos.shape
    return heads.view(n_rows, -1, n_new, size).transpose(1, 2).reshape(n_rows, n_new, -1)
