"""Where a model reads its weights: two passes over a few tokens, watched from below.

An operator that adds to the output of a module is exact only if the weight is read in calls of that module and nowhere
else, and if the rows of its input are the rows of the batch. Both are seen, not assumed: every tensor operation of a
small forward pass is checked for the weights it reads, and in a second pass, in which the second row has other tokens,
the inputs of the first row must not have changed. The model itself is not touched.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .targets import Site, Target

_TOKENS = 4  # in each of the two rows


def misread(model: nn.Module, targets: Sequence[Target], parameters: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """Return, by name, why a weight does not act where its sites say; nothing when all do."""
    watched = {id(parameters[target.name]): target.name for target in targets}
    n_tokens = int(model.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    ids = (1 + torch.arange(3 * _TOKENS)) % n_tokens
    device = next(model.parameters()).device
    first, second = _Pass(watched), _Pass({})
    with torch.no_grad():
        for one, rows in ((first, ids[: 2 * _TOKENS]), (second, torch.cat([ids[:_TOKENS], ids[2 * _TOKENS :]]))):
            with one.over(targets), one:
                model(input_ids=rows.view(2, _TOKENS).to(device), use_cache=False)
    found = {}
    for target in targets:
        why = _outside(first, target) or next(filter(None, (_site(first, second, s) for s in target.sites)), None)
        if why:
            found[target.name] = why
    return found


class _Pass(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What one forward pass read: weights outside of their modules, and the inputs of each site."""

    def __init__(self, watched: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watched = watched
        self._open: list[str] = []  # names of the weights whose modules are running
        self.outside: dict[str, str] = {}
        self.calls: dict[int, list[Any]] = {}  # by id of the module: first positional arguments

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors([*args, *(kwargs or {}).values()]):
            name = self._watched.get(id(tensor))
            if name is not None and name not in self._open:
                self.outside[name] = str(func)
        return func(*args, **(kwargs or {}))

    @contextmanager
    def over(self, targets: Sequence[Target]) -> Iterator[None]:
        """Watch the modules of all sites."""
        modules: dict[int, _Watched] = {}
        for target in targets:
            for site in target.sites:
                modules.setdefault(id(site.module), _Watched(site.module)).names.append(target.name)
        hooks = []
        for one in modules.values():
            hooks.append(one.module.register_forward_pre_hook(self._enter(one.names), with_kwargs=True))
            hooks.append(one.module.register_forward_hook(self._leave(one.names), always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, names: list[str]) -> Any:
        def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._open.extend(names)
            given = args[0].clone() if args and isinstance(args[0], Tensor) else None
            self.calls.setdefault(id(module), []).append(given)

        return enter

    def _leave(self, names: list[str]) -> Any:
        def leave(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            del self._open[len(self._open) - len(names) :]

        return leave


@dataclass
class _Watched:
    module: nn.Module
    names: list[str] = field(default_factory=list)


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _outside(seen: _Pass, target: Target) -> str | None:
    if target.name not in seen.outside:
        return None
    return f"it is read without a call of its {type(target.sites[0].module).__name__} ({seen.outside[target.name]})"


def _site(first: _Pass, second: _Pass, site: Site) -> str | None:
    kind = type(site.module).__name__
    before, after = (one.calls.get(id(site.module), []) for one in (first, second))
    if not before or not after:
        return f"its {kind} takes no part in a forward pass"
    if any(given is None for given in [*before, *after]):
        return f"its {kind} is called without a positional input"
    if len(before) != len(after) or any(a.shape != b.shape for a, b in zip(before, after, strict=True)):
        return f"its {kind} is given some of the tokens, by their content"
    if not all(_rows_apart(a, b, site) for a, b in zip(before, after, strict=True)):
        return f"the inputs of its {kind} are not the rows of the batch, one after the other"
    return None


def _rows_apart(before: Tensor, after: Tensor, site: Site) -> bool:
    """Whether an input is made of two rows, and its first does not depend on the tokens of the second."""
    if site.role == "lookup":
        if before.shape == (1, _TOKENS):  # positions, for all rows at once
            return torch.equal(before, after)
        if before.ndim != 2 or before.shape[0] != 2:
            return False
    rows = before.numel() // before.shape[-1]
    if rows not in (2 * _TOKENS, 2) and (rows % (2 * _TOKENS) or site.role in ("linear", "lookup")):
        return False
    mine, same = before.reshape(2, -1)[0], after.reshape(2, -1)[0]
    return bool((mine - same).abs().max() <= 1e-2 * mine.abs().max())
