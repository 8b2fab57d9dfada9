"""How far a run has moved the weights that it may change, by layer.

The change of a layer is the Frobenius norm of all that changed in it, over the norm of the same weights at the start.
Of a low-rank delta it is the change of the effective weight, up down, that counts, over the norm of the frozen weight
beside it. Sums of squares are taken row by row in float64 and added exactly, so that no order or thread changes a bit.

Axes in names: _O rows of a weight, _I the rest of it.
"""

import math
import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from eggym.adapters import adapter_parameters, float_weight

ALL = "all"  # the name of all layers together
_AT_ONCE = 1 << 22  # weights that are widened together: 32 MiB in float64
_LAYER = re.compile(r"(.*?\.\d+)(?=\.|$)")


class StartWeights:
    """A copy, in host memory, of what a run may change."""

    def __init__(self, model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
        """Copy the parameters, by name, as `eggym.views.ParameterSpace.select` returns them."""
        self._model, self._parameters = model, dict(parameters)
        self._start = {name: weight.detach().to("cpu", copy=True) for name, weight in parameters.items()}

    @torch.no_grad()
    def change(self) -> dict[str, float]:
        """Return norm of change / norm of start by layer, and over all of them as "all"; at least 0.

        A layer whose weights were all zero at the start has no such number and is left out.
        """
        moved: dict[str, list[float]] = {}
        start: dict[str, list[float]] = {}
        for path, change_O_I, start_O_I in self._parts():
            for layer in (layer_of(path), ALL):
                moved.setdefault(layer, []).extend(_squares(change_O_I))
                start.setdefault(layer, []).extend(_squares(start_O_I))
        squares = {layer: (math.fsum(moved[layer]), math.fsum(start[layer])) for layer in moved}
        return {layer: math.sqrt(change / norm) for layer, (change, norm) in squares.items() if norm > 0}

    def _parts(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield rows of each weight: path of its module, change and start, float64 on the host."""
        factors = adapter_parameters(self._model)
        for name, start in self._start.items():
            path, _, leaf = name.removesuffix(".weight").rpartition(".")
            if name not in factors:
                now = self._parameters[name].detach()
                for rows in _rows(start):
                    before_O_I = _wide(start, rows)
                    yield f"{path}.{leaf}".lstrip("."), _wide(now, rows) - before_O_I, before_O_I
            elif leaf == "up":
                yield from self._delta(path)

    def _delta(self, path: str) -> Iterator[tuple[str, Tensor, Tensor]]:
        up, down = f"{path}.up.weight", f"{path}.down.weight"
        frozen = float_weight(self._model.get_submodule(path))
        for rows in _rows(frozen):
            now_O_I = _wide(self._parameters[up], rows) @ self._parameters[down].detach().cpu().double()
            before_O_I = _wide(self._start[up], rows) @ self._start[down].double()
            yield path, now_O_I - before_O_I, _wide(frozen, rows)


def layer_of(path: str) -> str:
    """Return the layer of a module by the model's own names: up to the first number, or the module itself.

    >>> layer_of("model.layers.0.mlp.up_proj"), layer_of("model.embed_tokens")
    ('model.layers.0', 'model.embed_tokens')
    """
    found = _LAYER.match(path)
    return found[1] if found else path


def _rows(weight: Tensor) -> Iterator[slice]:
    n_rows = len(weight) if weight.ndim > 1 else 1
    step = max(1, _AT_ONCE // max(1, weight.numel() // n_rows))
    return (slice(start, start + step) for start in range(0, n_rows, step))


def _wide(weight: Tensor, rows: slice) -> Tensor:
    """Return some rows of a weight, a vector being one row: float64, two dimensions, on the host."""
    table = weight.detach() if weight.ndim > 1 else weight.detach()[None]
    return table[rows].cpu().double().flatten(1)


def _squares(values_O_I: Tensor) -> list[float]:
    squares: list[float] = values_O_I.square().sum(-1).tolist()
    return squares
