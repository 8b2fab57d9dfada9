"""The weights that a run may change, kept so that no update is lost to rounding.

Half of the last bit of a bfloat16 weight of 0.02 is 6e-5; published ES steps are of that size, and rounding to nearest
loses them. Weights in a shorter type than float32 are therefore kept in one of three ways:

* master: a float32 master takes the updates, the model gets its rounded values. 6 bytes a weight, the default;
* compensated: the weight and an int16 residual in units of 2^-16 of the weight's last bit: together the master again
  (but for ties, by one unit), in 4 bytes. The pair of Kahan's summation, with a residual in fixed point;
* stochastic: the weight alone, 2 bytes; w + dw is rounded up or down with probabilities that make the result unbiased.
  The random bits are a function of (run seed, parameter name, step, place).

A float32 model is its own master. Every change is one IEEE addition in float32 per weight, then the rounding.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from eggym.counter import as_key, bits
from eggym.errors import unknown
from eggym.seeding import key
from eggym.views import ParameterSpace

Rounding = Literal["master", "compensated", "stochastic"]
ROUNDINGS: tuple[Rounding, ...] = ("master", "compensated", "stochastic")

_ALL = slice(None)
_HALF_BITS = 16  # of a residual, and of the random numbers that decide a rounding
_LEAST_EXPONENT = {torch.bfloat16: -126, torch.float16: -14}  # of normal numbers
_MANTISSA = {torch.bfloat16: 7, torch.float16: 10}  # bits after the leading one


class Weights:
    """The chosen parameters of a model and what is kept beside them, by name, in the model's order."""

    def __init__(self, model: nn.Module, space: ParameterSpace, rounding: Rounding = "master", seed: int = 0) -> None:
        """Choose the parameters; they stay at their present values. ``seed`` is of the stochastic rounding.

        Raises:
            UnknownName: no such rounding.
        """
        if rounding not in ROUNDINGS:
            raise unknown("rounding", rounding, ROUNDINGS)
        self.parameters = space.select(model)
        self._rounding, self._seed = rounding, seed
        self.masters: dict[str, Tensor] = {
            name: weight.data if self._own(name) else weight.data.float()
            for name, weight in self.parameters.items()
            if self._own(name) or rounding == "master"
        }
        self._residuals: dict[str, Tensor] = {
            name: torch.zeros_like(weight.data, dtype=torch.int16)
            for name, weight in self.parameters.items()
            if not self._own(name) and rounding == "compensated"
        }

    def values(self, name: str, rows: slice = _ALL) -> Tensor:
        """Return what one parameter holds, as float32; perhaps a view: do not write into it."""
        if name in self.masters:
            return self.masters[name][rows]
        weight = self.parameters[name].data[rows]
        return _joined(weight, self._residuals[name][rows]) if name in self._residuals else weight.float()

    def sample(self, name: str, stride: int) -> Tensor:
        """Return every ``stride``-th value of one parameter, in storage order: float32, one dimension."""
        if name in self.masters:
            return self.masters[name].flatten()[::stride]
        weight = self.parameters[name].data.flatten()[::stride]
        if name in self._residuals:
            return _joined(weight, self._residuals[name].flatten()[::stride])
        return weight.float()

    def add(self, name: str, change: Tensor, rows: slice = _ALL, step: int = 0) -> Tensor:
        """Add a float32 change to rows of one parameter and show it to the model; return what was really added.

        ``step`` names the random bits of stochastic rounding: a place may be changed once a step.
        """
        before = self.values(name, rows)
        if name in self.masters:
            before = before.clone()
            self.masters[name][rows].add_(change)
            self._publish(name, rows)
            return self.masters[name][rows] - before
        wanted = before + change
        weight = self.parameters[name].data[rows]
        if name in self._residuals:
            weight.copy_(wanted)
            rest = (wanted.double() - weight.double()) / _ulp(weight).mul_(2.0**-_HALF_BITS)
            self._residuals[name][rows].copy_(rest.round_().clamp_(-(1 << 15), (1 << 15) - 1))
        else:
            weight.copy_(stochastically(wanted, weight.dtype, self._uniforms(name, rows, step)))
        return self.values(name, rows) - before

    def publish(self) -> None:
        """Show all masters to the model."""
        for name in self.masters:
            self._publish(name, _ALL)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is kept beside the model's own weights: masters or residuals."""
        masters = {name: master for name, master in self.masters.items() if not self._own(name)}
        return masters | self._residuals

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, kept in state.items():
            (self._residuals if name in self._residuals else self.masters)[name].copy_(kept)

    def _own(self, name: str) -> bool:
        return self.parameters[name].dtype == torch.float32

    def _publish(self, name: str, rows: slice) -> None:
        if not self._own(name):
            self.parameters[name].data[rows].copy_(self.masters[name][rows])

    def _uniforms(self, name: str, rows: slice, step: int) -> Tensor:
        """Return a multiple of 2^-16 in [0, 1) for each place of these rows, as float64."""
        weight = self.parameters[name].data
        width = weight[:1].numel()
        start, stop, _ = rows.indices(len(weight))
        first, last = start * width, stop * width
        words_C = torch.arange(first // 4, -(-last // 4), dtype=torch.int64, device=weight.device)
        name_key = torch.tensor([as_key(key(self._seed, "rounding", name, step))], device=weight.device)
        shifts = torch.tensor([0, 16, 32, 48], dtype=torch.int64, device=weight.device)
        numbers = ((bits(name_key, words_C)[0, :, None] >> shifts) & 0xFFFF).flatten()[first % 4 :][: last - first]
        return numbers.double().mul_(2.0**-_HALF_BITS).view(weight[rows].shape)


def stochastically(wanted: Tensor, dtype: torch.dtype, uniforms: Tensor) -> Tensor:
    """Round float32 values to one of their two neighbours in a shorter type; unbiased over the uniforms in [0, 1).

    Up with a probability of the distance from the lower neighbour, in units of the distance of both.
    """
    ulp = _ulp(wanted, dtype)
    return (wanted.double() / ulp).add_(uniforms).floor_().mul_(ulp).to(dtype)


def _joined(weight: Tensor, residual: Tensor) -> Tensor:
    return (residual.double() * _ulp(weight).mul_(2.0**-_HALF_BITS)).add_(weight).float()


def _ulp(value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return the last bit of each value in its type, or in ``dtype``: float64, exact powers of two."""
    kind = dtype or value.dtype
    exponent = ((value.float().view(torch.int32) >> 23) & 0xFF).to(torch.int64) - 127
    exponent.clamp_(min=_LEAST_EXPONENT[kind]).add_(1023 - _MANTISSA[kind])
    return (exponent << 52).view(torch.float64)
