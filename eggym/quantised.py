"""Linear maps whose weights are frozen in 8 bits, and what the weights of a model are when some of them are.

A weight W (out x in) is kept as whole numbers q from -127 to 127 with one scale for each output channel, the largest
magnitude of its row over 127: W is about q * scale, no entry is off by more than half a scale. Only weights are
quantised: y = (x q^T) scale + b, with x, the products and the scale in the model's floating-point type (symmetric
per-channel absmax quantisation: Dettmers et al. 2022, arXiv 2208.07339, section 2, weights alone).

On a CPU torch's own weight-only product (`torch._weight_int8pack_mm`) was 40 times slower in float32 than widening
the weight for each product, which costs 4 to 10 % at 256 rows; the widened copy of one matrix lives for one product.

Axes in names: _R rows, _O outputs, _I inputs.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eggym.errors import BadValue

LARGEST = 127  # of the whole numbers; -128 is not used, so that the grid is symmetric
_AT_ONCE = 1 << 17  # weights


class Int8Linear(nn.Module):
    """A linear map with a frozen weight of 8 bits. The weight is no parameter: nothing trains or casts it."""

    weight: Tensor  # int8, (O, I)
    scale: Tensor  # float32, (O,)

    def __init__(self, weight_O_I: Tensor, bias: nn.Parameter | None, transposed: bool = False) -> None:
        """Quantise a weight. ``transposed``: it came from a map that keeps (in, out), and goes back to one."""
        super().__init__()
        self.out_features, self.in_features = (int(n) for n in weight_O_I.shape)
        self.transposed = transposed
        whole_O_I, scale_O = to_int8(weight_O_I)
        self.register_buffer("weight", whole_O_I)
        self.register_buffer("scale", scale_O)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Return y of shape (..., O), in the type of ``x`` (..., I)."""
        needs_gradient = torch.is_grad_enabled() and x.requires_grad
        y = _with_gradient(x, self.weight) if needs_gradient else functional.linear(x, self.weight.to(x.dtype))
        y.mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)

    def dequantised(self) -> Tensor:
        """Return the weight as float32, (O, I)."""
        return self.weight.float() * self.scale[:, None]


class _Product(torch.autograd.Function):
    """x q^T that keeps q alone for its gradient: autograd would hold a widened copy of every weight of the model."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return functional.linear(x, weight.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return gradients[0] @ weight.to(gradients[0].dtype), None


def _with_gradient(x: Tensor, weight: Tensor) -> Tensor:
    y: Tensor = _Product.apply(x, weight)  # type: ignore[no-untyped-call]
    return y


def to_int8(weight_O_I: Tensor) -> tuple[Tensor, Tensor]:
    """Return whole numbers (int8, (O, I)) and scales (float32, (O,)); a row of zeros has scale 1.

    A few rows at a time: wide copies of whole matrices between the narrow ones would leave the heap full of holes.
    """
    n_out, n_in = weight_O_I.shape
    whole_O_I = torch.empty(n_out, n_in, dtype=torch.int8, device=weight_O_I.device)
    scale_O = torch.empty(n_out, device=weight_O_I.device)
    step = max(1, _AT_ONCE // n_in)
    for start in range(0, n_out, step):
        rows = slice(start, start + step)
        wide = weight_O_I[rows].detach().float()
        largest = wide.abs().amax(1)
        scale_O[rows] = torch.where(largest > 0, largest / LARGEST, 1.0)
        # the clamp is for rows of subnormal numbers, where the division by 127 loses digits
        whole_O_I[rows] = (wide / scale_O[rows, None]).round_().clamp_(-LARGEST, LARGEST).to(torch.int8)
    return whole_O_I, scale_O


def quantise(model: nn.Module, dtype: torch.dtype) -> None:
    """Replace the linear maps of a model's blocks by 8-bit ones, in place and one after the other.

    Embeddings, the output head, norms and biases stay; where ``dtype`` is float32 they are widened to it. They move
    to memory of their own, for until the last of its tensors is gone the library keeps the whole file mapped.

    Raises:
        BadValue: a weight of the blocks that no linear map owns alone, by its name.
    """
    owners = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    names = list(block_weights(model))  # names alone: a weight is freed as soon as it is replaced
    for name in names:
        module: Any = owner_of(model, name)
        if isinstance(module, Int8Linear):
            continue
        if not is_linear(module, name) or owners[id(module.weight)] > 1:
            shape = tuple(model.get_parameter(name).shape)
            raise BadValue(
                f"int8 cannot hold {name!r} of shape {shape} ({type(module).__name__}): only weights of linear maps of "
                "their own; use --dtype bfloat16"
            )
        transposed = not isinstance(module, nn.Linear)
        weight_O_I = module.weight.t() if transposed else module.weight
        replace(model, name, Int8Linear(weight_O_I, module.bias, transposed))
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype if dtype == torch.float32 else parameter.dtype, copy=True)


def named_weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield a model's weights, parameters and 8-bit ones, in the model's order, tied ones once; scales are none."""
    seen: set[int] = set()
    for path, module in model.named_modules():
        found: list[tuple[str, Tensor]] = list(module.named_parameters(recurse=False))
        if isinstance(module, Int8Linear):
            found.insert(0, ("weight", module.weight))
        for leaf, weight in found:
            if id(weight) not in seen:
                seen.add(id(weight))
                yield f"{path}.{leaf}".lstrip("."), weight


def named_scales(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the scales of the 8-bit weights, in the model's order."""
    for path, module in model.named_modules():
        if isinstance(module, Int8Linear):
            yield f"{path}.scale".lstrip("."), module.scale


def block_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return every weight of two or more dimensions but embeddings and the output head, by name."""
    output = getattr(model, "get_output_embeddings", lambda: None)()
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    skip = {id(weight) for weight in tables} | ({id(output.weight)} if output is not None else set())
    return {name: weight for name, weight in named_weights(model) if weight.ndim >= 2 and id(weight) not in skip}


def weights_bytes(model: nn.Module) -> int:
    """Return the bytes that a model's weights and scales take."""
    found = [*named_weights(model), *named_scales(model)]
    return sum(tensor.numel() * tensor.element_size() for _, tensor in found)


def is_linear(module: nn.Module, name: str) -> bool:
    """Whether a parameter of this name is the weight of a linear map: Linear, GPT-2's Conv1D, or 8-bit."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D | Int8Linear) and name.endswith("weight")


def owner_of(model: nn.Module, name: str) -> nn.Module:
    """Return the module that holds the weight of this name."""
    return model.get_submodule(name.rpartition(".")[0])


def replace(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put another module in the place of the one that owns the weight of this name."""
    path, _, leaf = name.rpartition(".")[0].rpartition(".")
    setattr(model.get_submodule(path), leaf, module)
