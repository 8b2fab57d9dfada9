"""Which parameters a population perturbs, and where in the model each of them acts.

A parameter is understood when its perturbation can be applied exactly to the output of the modules that own it:

* matrix, low-rank: weights of ``nn.Linear`` and GPT-2's ``Conv1D`` (stored transposed), of ``nn.Embedding`` (also
  scaled by a constant, as Gemma's), and a table tied to the head: one direction for both sides;
* vector, full rank: biases of linear maps, weights and biases of norms: whatever shifts a module's output, or
  multiplies it, entry by entry. That is tried on a copy of the module, not guessed from its name.

Everything else is refused by name: 3-D weights of experts, routers that are no ``nn.Linear``, weights tied in other
ways, modules whose forward pass somebody replaced, weights that are read without calling their module (see `reads`).
Left out: a population of the experts of a mixture.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from eggym.errors import BadValue

Role = Literal["linear", "lookup", "shift", "gain"]


class NotUnderstood(Exception):
    """Why a parameter cannot be perturbed; `find_targets` turns it into a refusal by name."""


@dataclass(frozen=True, slots=True)
class Site:
    """One module in which a parameter acts."""

    module: nn.Module
    role: Role
    factor: float = 1.0  # what a lookup's rows are multiplied by
    unit: nn.Module | None = None  # of a gain: a module that returns what the weight multiplies


@dataclass(frozen=True, slots=True)
class Target:
    """One parameter that a population perturbs."""

    name: str
    kind: Literal["matrix", "vector"]
    n_out: int  # rows of the matrix, vocabulary of a table, entries of a vector
    n_in: int  # columns of the matrix, width of a table, 1 for a vector
    transposed: bool  # GPT-2's Conv1D keeps its weight as (in, out)
    dtype: torch.dtype
    sites: tuple[Site, ...]  # a tied weight has several


def find_targets(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> tuple[Target, ...]:
    """Return what a population perturbs, in the order of ``parameters``, each understood or refused by name.

    A language model is then run on a few tokens, to see that each weight is read where it is perturbed and nowhere
    else; a module that is no language model (no ``get_input_embeddings``) is taken at its word.

    Raises:
        BadValue: a parameter that is not understood; the message names it and a pattern that leaves it out. Going
            on without it would compare a partly perturbed model with a wholly trained one.
    """
    from .reads import misread

    owners = _owners(model)
    found, problems = [], {}
    for name, weight in parameters.items():
        try:
            found.append(_target(name, weight, owners[id(weight)]))
        except NotUnderstood as problem:
            problems[name] = str(problem)
    if hasattr(model, "get_input_embeddings"):
        problems.update(misread(model, found, parameters))
    if problems:
        raise _refusal(parameters, problems)
    return tuple(found)


Owner = tuple[nn.Module, str]  # the module and its name for the weight


def _owners(model: nn.Module) -> dict[int, list[Owner]]:
    owners: dict[int, list[Owner]] = {}
    for module in model.modules():
        for leaf, weight in module.named_parameters(recurse=False):
            owners.setdefault(id(weight), []).append((module, leaf))
    return owners


def _target(name: str, weight: nn.Parameter, owners: list[Owner]) -> Target:
    for module, _ in owners:
        if "forward" in vars(module):
            raise NotUnderstood(f"the forward pass of its {type(module).__name__} was replaced")
    if weight.ndim == 1:
        return _vector(name, weight, owners)
    if weight.ndim != 2:
        raise NotUnderstood(f"a weight of {weight.ndim} dimensions in {type(owners[0][0]).__name__}")
    sites = tuple(_matrix_site(module, leaf) for module, leaf in owners)
    transposed = _is_conv1d(owners[0][0])
    if any(_is_conv1d(module) != transposed for module, _ in owners):
        raise NotUnderstood("tied to a weight that is stored transposed")
    n_out, n_in = reversed(weight.shape) if transposed else weight.shape
    return Target(name, "matrix", int(n_out), int(n_in), transposed, weight.dtype, sites)


def _matrix_site(module: nn.Module, leaf: str) -> Site:
    if leaf == "weight" and _is_plain_linear(module):
        return Site(module, "linear")
    if isinstance(module, nn.Embedding) and leaf == "weight":
        return Site(module, "lookup", factor=_lookup_factor(module))
    raise NotUnderstood(f"not the weight of a linear map or an embedding, but of {type(module).__name__}")


def _is_plain_linear(module: nn.Module) -> bool:
    """Whether a module computes x W^T + b and nothing else: a subclass with a forward pass of its own may not."""
    return type(module).forward in (nn.Linear.forward, _conv1d().forward)


def _conv1d() -> Any:
    from transformers.pytorch_utils import Conv1D

    return Conv1D


def _is_conv1d(module: nn.Module) -> bool:
    return isinstance(module, _conv1d())


@torch.no_grad()
def _lookup_factor(module: nn.Embedding) -> float:
    """Return c of a table that answers c * row; tried on tables of known rows, which need no memory."""
    if module.max_norm is not None:
        raise NotUnderstood("an embedding with max_norm, whose rows change as they are read")
    if type(module).forward is nn.Embedding.forward:
        return 1.0
    weight = module.weight
    n_rows, width = weight.shape
    index = torch.arange(min(n_rows, 16), device=weight.device)[None]
    ones = weight.new_ones(())
    by_row = (torch.arange(n_rows, device=weight.device) % 64).to(weight.dtype)[:, None].expand(n_rows, width)
    by_column = (torch.arange(width, device=weight.device) % 64).to(weight.dtype)[None].expand(n_rows, width)
    answers = [_answer(module, {"weight": table}, index) for table in (ones.expand(n_rows, width), by_row, by_column)]
    factor = answers[0].flatten()[0]
    wanted = [factor * table[index] for table in (ones.expand(n_rows, width), by_row, by_column)]
    if not all(_close(answer, want) for answer, want in zip(answers, wanted, strict=True)):
        raise NotUnderstood(f"a {type(module).__name__} that does more than to look rows up and scale them")
    return float(factor)


def _vector(name: str, weight: nn.Parameter, owners: list[Owner]) -> Target:
    if len(owners) > 1:
        raise NotUnderstood("a vector that several modules share")
    module, leaf = owners[0]
    return Target(name, "vector", weight.numel(), 1, False, weight.dtype, (_vector_site(module, leaf, weight),))


@torch.no_grad()
def _vector_site(module: nn.Module, leaf: str, weight: nn.Parameter) -> Site:
    """Try on a few inputs whether the output is shifted or multiplied, entry by entry, by the weight.

    With y(w) the output as a function of the weight: a shift has y(w) = y(0) + w, a gain y(w) = y(0) + w g(x). What
    the weight multiplies is then the output of a copy of the module that holds other constants, its bias 0: weight 1
    where y(0) = 0 (LayerNorm, RMSNorm), weight 0 where y(0) = g(x) (Gemma's norms, which multiply by 1 + w).
    """
    if leaf == "bias" and _is_plain_linear(module):
        return Site(module, "shift")  # without a copy of a matrix that may be large
    bare = _bare_copy(module)
    n = weight.numel()
    n_in = int(getattr(module, "in_features", 0) or getattr(module, "nx", 0) or n)
    steps = torch.linspace(-2, 3, 3 * n_in, device=weight.device)
    x = (steps * (7 * torch.arange(3 * n_in, device=weight.device)).cos()).view(3, n_in)
    some = torch.linspace(-1.5, 2, n, device=weight.device)
    at_zero, at_one, at_some = (_answer(bare, {leaf: w}, x) for w in (0 * some, 0 * some + 1, some))
    gain = at_one - at_zero
    if at_zero.shape != (3, n) or not _close(at_some, at_zero + some * gain):
        raise NotUnderstood(f"{type(module).__name__} is not affine in it, entry by entry")
    if _close(gain, torch.ones_like(gain)):
        return Site(module, "shift")
    for unit, answer in ((1.0, at_one), (0.0, at_zero)):
        if _close(answer, gain):
            return Site(module, "gain", unit=_unit(module, leaf, unit))
    raise NotUnderstood(f"{type(module).__name__} mixes it with something that is neither 0 nor what it multiplies")


def _bare_copy(module: nn.Module) -> nn.Module:
    """A float32 copy in which every other vector is left as it is, but biases are 0."""
    try:
        bare = copy.deepcopy(module)
    except Exception as problem:  # a module is a program of somebody else's: it may raise anything
        raise NotUnderstood(f"{type(module).__name__} cannot be copied: {problem}") from problem
    if getattr(bare, "bias", None) is not None:
        bare.bias.data.zero_()  # type: ignore[operator]
    for weight in bare.parameters():
        weight.data = weight.data.float()
    return bare


def _unit(module: nn.Module, leaf: str, value: float) -> nn.Module:
    unit = copy.deepcopy(module).requires_grad_(False)
    getattr(unit, leaf).data.fill_(value)
    if getattr(unit, "bias", None) is not None:
        unit.bias.data.zero_()  # type: ignore[operator]
    return unit


def _answer(module: nn.Module, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    try:
        answer = torch.func.functional_call(module, weights, (x,))
    except Exception as problem:  # as above
        first = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise NotUnderstood(f"{type(module).__name__} cannot be tried alone ({first[:80]})") from problem
    if not isinstance(answer, Tensor):
        raise NotUnderstood(f"{type(module).__name__} returns more than one tensor")
    return answer


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= 1e-2 * b.abs().max().clamp(min=1e-6))


def _refusal(parameters: Mapping[str, nn.Parameter], problems: Mapping[str, str]) -> BadValue:
    name = next(name for name in parameters if name in problems)
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    bad = {_ending(one) for one in problems}
    good = sorted(one for one in {_ending(one) for one in parameters} - bad if "." in one)
    way_out = f"; leave out what is not understood: space.targets={_pattern(good)}" if good else ""
    shape = tuple(parameters[name].shape)
    return BadValue(f"a population cannot perturb {name!r} of shape {shape}{others}: {problems[name]}{way_out}")


def _ending(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def _pattern(endings: list[str]) -> str:
    """A regular expression for names with these endings; no backslash, which shells and JSON would want doubled."""
    by_leaf: dict[str, list[str]] = {}
    for ending in endings:
        module, _, leaf = ending.rpartition(".")
        by_leaf.setdefault(leaf, []).append(module)
    alternatives = [f"({'|'.join(modules)})[.]{leaf}" for leaf, modules in by_leaf.items()]
    return f"(.*[.])?({'|'.join(alternatives)})"
