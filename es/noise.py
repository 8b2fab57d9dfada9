"""The directions of a generation: low-rank factors on an 8-bit grid, a pure function of names.

Direction p of a weight W (out x in) is E_p = A_p B_p^T / (v sqrt r), with A (out x r) and B (in x r) of independent
grid normals, multiples of 1/32 with |z| < 4 and variance v, so that the entries of E_p have variance 1 (EGGROLL, arXiv
2511.16652, section 4; grid and v are ours). Keys are (run seed, parameter name, generation, pair): nothing depends
on order, device, chunks, or on which other parameters are evolved.

Axes in names: _P pairs, _K rank, _O outputs, _I inputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eggym.counter import as_key, grid_normals
from eggym.errors import BadValue
from eggym.seeding import key


@dataclass(frozen=True, slots=True)
class Factors:
    """All directions of one weight, int8 in units of 1/32."""

    a_P_K_O: Tensor
    b_P_K_I: Tensor


@dataclass(frozen=True, slots=True)
class Vectors:
    """All directions of one parameter of a single dimension, int8 in units of 1/32."""

    z_P_n: Tensor


@dataclass(frozen=True, slots=True)
class Linear:
    """One weight matrix that a population perturbs."""

    name: str
    module: nn.Module
    n_out: int
    n_in: int
    transposed: bool  # GPT-2's Conv1D keeps its weight as (in, out)
    dtype: torch.dtype


def draw_factors(linear: Linear, seed: int, generation: int, n_pairs: int, rank: int, device: torch.device) -> Factors:
    """Return the factors of every pair for one weight."""
    keys_P = pair_keys(linear.name, seed, generation, n_pairs, device)
    values_P_n = grid_normals(keys_P, rank * (linear.n_in + linear.n_out))
    n_in = rank * linear.n_in
    b_P, a_P = values_P_n[:, :n_in], values_P_n[:, n_in:]
    return Factors(
        a_P.reshape(n_pairs, rank, linear.n_out).contiguous(), b_P.reshape(n_pairs, rank, linear.n_in).contiguous()
    )


def pair_keys(name: str, seed: int, generation: int, n_pairs: int, device: torch.device) -> Tensor:
    """Return the noise keys of one parameter: int64, (P,)."""
    keys = [as_key(key(seed, "noise", name, generation, pair)) for pair in range(n_pairs)]
    return torch.tensor(keys, dtype=torch.int64, device=device)


def linear_maps(model: nn.Module, parameters: dict[str, nn.Parameter]) -> list[Linear]:
    """Return the linear maps that own these parameters, in order.

    Raises:
        BadValue: a parameter that is no weight matrix of a linear map of its own, by its name. Leaving it out silently
            would compare a partly perturbed model with a wholly trained one.
    """
    from transformers.pytorch_utils import Conv1D

    owners: dict[int, int] = {}
    for module in model.modules():
        for weight in module.parameters(recurse=False):
            owners[id(weight)] = owners.get(id(weight), 0) + 1
    found = []
    for name, weight in parameters.items():
        module = model.get_submodule(name.rpartition(".")[0])
        fits = isinstance(module, nn.Linear | Conv1D) and name.endswith(".weight") and owners[id(weight)] == 1
        if not fits:
            raise BadValue(
                f"eggroll cannot perturb {name!r} of shape {tuple(weight.shape)} ({type(module).__name__}); "
                "choose space.targets that match weight matrices of linear maps only"
            )
        transposed = isinstance(module, Conv1D)
        n_out, n_in = reversed(weight.shape) if transposed else weight.shape
        found.append(Linear(name, module, int(n_out), int(n_in), transposed, weight.dtype))
    return found
