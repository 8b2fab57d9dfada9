"""Low-rank deltas beside the linear maps of a model: what is trained when the weights themselves stay frozen.

y = W x + up (down x), with up (out x k) and down (k x in) in float32, whatever the type of W: they are their own
masters (LoRA: Hu et al. 2021, arXiv 2106.09685, section 4.1). ``up`` starts at zero, so the model starts unchanged;
``down`` starts random, a pure function of the weight's name, so that every run starts equally.

Deviations: alpha = k, so that the factor alpha / k is 1, and the entries of ``down`` have variance 1 / k rather than
that of Kaiming's rule. A step of ``up`` then moves the entries of W by as much as the same step of W itself would, and
sigma, update_rms and learning rates keep their meaning from full weights, whatever the rank.

Both factors are plain linear maps below the map they belong to (``....q_proj.up``, ``....q_proj.down``): whatever
perturbs or trains linear maps does so with them.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from eggym.counter import GRID, as_key, grid_normals, grid_variance
from eggym.errors import BadValue
from eggym.quantised import Int8Linear, is_linear, named_weights, owner_of, replace
from eggym.seeding import key

MOST_RANK = 1024


def install(model: nn.Module, names: Iterable[str], rank: int) -> None:
    """Lay a delta of this rank beside each weight (by the weights' names); one that is there already stays.

    Raises:
        BadValue: a name that is no weight of a linear map, or a delta of another rank is there.
    """
    for name in names:
        module = owner_of(model, name)
        if not is_linear(module, name):
            raise BadValue(
                f"a low-rank delta cannot stand beside {name!r} ({type(module).__name__}); choose space.targets that "
                "match weights of linear maps only"
            )
        present = rank_of(module)
        if present not in (0, rank):
            raise BadValue(f"{name!r} has a delta of rank {present} already, not {rank}; load the model anew")
        if not present:
            _lay(module, name, rank)


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the factors of all deltas, by name, in the model's order."""
    return {
        f"{path}.{factor}.weight".lstrip("."): getattr(module, factor).weight
        for path, module in model.named_modules()
        if rank_of(module)
        for factor in ("up", "down")
    }


def rank_of(module: nn.Module) -> int:
    """Return the rank of a module's delta, 0 where there is none."""
    factor = getattr(module, "down", None) if hasattr(module, "weight") else None
    return factor.out_features if isinstance(factor, nn.Linear) else 0


def add_delta(module: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The forward hook of a map with a delta; the sum is rounded to the type of ``output`` once."""
    return output.add_(module.up(module.down(args[0].float())))


def merge(model: nn.Module) -> None:
    """Turn every map that is 8-bit or has a delta into a plain one with the float32 weight W + up down, in place."""
    for name in list(_to_merge(model)):
        module: Any = owner_of(model, name)
        weight_O_I = float_weight(module)
        if rank_of(module):
            delta_O_I = module.up.weight.double() @ module.down.weight.double()
            weight_O_I = (weight_O_I.double() + delta_O_I).float()
        replace(model, name, _plain(weight_O_I, module))


def float_weight(module: Any) -> Tensor:
    """Return the weight of a linear map without its delta: float32, (O, I)."""
    if isinstance(module, Int8Linear):
        return module.dequantised()
    weight: Tensor = module.weight.detach().float()
    return weight if isinstance(module, nn.Linear) else weight.t()


def _to_merge(model: nn.Module) -> Iterator[str]:
    for name, _ in named_weights(model):
        module = owner_of(model, name)
        if name.endswith("weight") and (isinstance(module, Int8Linear) or rank_of(module)):
            yield name


def _lay(module: Any, name: str, rank: int) -> None:
    n_out, n_in = _shape(module)
    device = module.weight.device
    down = grid_normals(torch.tensor([as_key(key("adapter", name))], device=device), rank * n_in)[0]
    unit = GRID * math.sqrt(grid_variance() * rank)
    module.up = _factor(torch.zeros(n_out, rank, device=device))
    module.down = _factor((down.view(rank, n_in).double() / unit).float())
    module.register_forward_hook(add_delta)


def _shape(module: Any) -> tuple[int, int]:
    """Return (outputs, inputs) of a linear map."""
    n_out, n_in = module.weight.shape
    straight = isinstance(module, nn.Linear | Int8Linear)
    return (int(n_out), int(n_in)) if straight else (int(n_in), int(n_out))


def _factor(weight: Tensor) -> nn.Linear:
    # on "meta" nothing is drawn from torch's global generator
    found = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    found.weight = nn.Parameter(weight, requires_grad=False)
    return found


def _plain(weight_O_I: Tensor, module: Any) -> nn.Module:
    """Return a map like ``module`` was before it was quantised, with this weight and the module's bias."""
    from transformers.pytorch_utils import Conv1D

    n_out, n_in = weight_O_I.shape
    transposed = module.transposed if isinstance(module, Int8Linear) else not isinstance(module, nn.Linear)
    with torch.device("meta"):  # nothing is drawn
        plain: Any = Conv1D(n_out, n_in) if transposed else nn.Linear(n_in, n_out)
    weight = (weight_O_I.t() if transposed else weight_O_I).contiguous()
    plain.weight = nn.Parameter(weight, requires_grad=False)
    plain.bias = module.bias
    found: nn.Module = plain
    return found
