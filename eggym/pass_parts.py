"""Norm and gate of a Llama-shaped layer, each with a gradient of its own; attention is in `pass_attention`.

Autograd would make a node of every multiplication, keep what each of them read, and write the gradient of each to new
memory; a layer then waits for memory more than for arithmetic. Here a part is one node that keeps what its gradient
reads. A gradient is the exact derivative, in the type that comes in.

Axes in names: _R rows, _D hidden, _F of the gate.
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
