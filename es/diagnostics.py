"""What a generation says about itself: is there a signal, do halves of the population agree, how far did it go?

All of it is cheap, finite and a function of the same numbers as the update. Values are rounded to six digits: their
sums depend on the number of threads in the last bits, and the record of a run must not.
Axes in names: _N members, _P items, _G replies, _D pairs.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eggym.views import Coupling
from eggym.weights import Weights

from .shaping import Shaped
from .update import Block, Halves

SAMPLED = 1 << 12  # weights of each parameter that are watched


def dealt_floor(centred_N_P: NDArray[np.float64]) -> float:
    """Return the spread of pairs if each item's rewards were dealt to the members at random.

    Then half the difference of twins has the variance sum_i s_i^2 / (2 P^2), with s_i^2 the variance of item i over
    members (ddof 1). A spread above this floor means that the same members do well on many items; a spread at the
    floor, that what makes a member good at one item says nothing about the others.
    """
    n_members, n_items = (int(size) for size in centred_N_P.shape)
    squares = math.fsum(float(value) ** 2 for value in centred_N_P.flat) / (n_members - 1)
    return math.sqrt(squares / 2) / n_items


def sampling_floor(rewards_N_P_G: NDArray[np.float32], coupling: Coupling, temperature: float) -> float | None:
    """Return the spread that the sampling of replies alone would cause if members did not differ; None: not known.

    Members that share their random numbers, or are greedy, would then give the same replies: 0. Independent ones:
    sqrt(sum of s_mi^2 / (2 N P^2 G)), with s_mi^2 the variance over the replies of member m to item i (ddof 1),
    which takes two replies. With one, sampling and member cannot be told apart.
    """
    if coupling == "shared" or temperature == 0:
        return 0.0
    known = np.isfinite(rewards_N_P_G)
    counts_N_P = known.sum(2)
    if counts_N_P.max(initial=0) < 2:
        return None
    rewards = np.where(known, rewards_N_P_G, 0.0).astype(np.float64)
    means_N_P = rewards.sum(2) / np.maximum(counts_N_P, 1)
    squares_N_P = (np.where(known, rewards - means_N_P[:, :, None], 0.0) ** 2).sum(2)
    several = counts_N_P > 1
    variances = squares_N_P[several] / (counts_N_P[several] - 1) / counts_N_P[several]
    return math.sqrt(math.fsum(variances.tolist()) / len(variances) / (2 * rewards.shape[1]))


class Agreement:
    """How far the halves of a population agree: gathers one generation's inner products."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._even = self._odd = self._both = 0.0

    def take(self, halves: Halves, unit: float) -> None:
        """Take note of a parameter, or of a block of it."""
        self._even += halves.even / (unit * unit)
        self._odd += halves.odd / (unit * unit)
        self._both += halves.both / (unit * unit)

    def take_block(self, block: Block, unit: float) -> None:
        """Take note of a block whose halves were summed apart."""
        even, odd = (part.flatten().double() for part in block.parts)
        found = (torch.dot(even, even), torch.dot(odd, odd), torch.dot(even, odd))
        self.take(Halves(*map(float, found)), unit)

    def cosine(self) -> float:
        """Return the cosine of the directions of even and odd pairs; 0 if either is 0.

        Under pure noise it is 0 give or take 1 / sqrt(d) for d weights; if the cosine of each half with the true
        gradient is c, about c^2. Not above noise for many generations: the population is too small, or at its goal.
        """
        product = math.sqrt(self._even * self._odd)
        return self._both / product if product > 0 else 0.0


class Footprints:
    """What becomes of the weights, by a sample of each parameter: at most `SAMPLED` evenly spaced values of it.

    Start values of the sample are kept. Figures over all weights are exact where every parameter is sampled whole,
    else estimates, to about 1 % in a run of many matrices.
    """

    def __init__(self, weights: Weights) -> None:
        """Keep the start values."""
        self._weights = weights
        sizes = {name: weight.numel() for name, weight in weights.parameters.items()}
        self._stride = {name: -(-size // SAMPLED) for name, size in sizes.items()}
        self._start = {name: weights.sample(name, stride).clone() for name, stride in self._stride.items()}
        self._share = {name: size / sum(sizes.values()) / len(self._start[name]) for name, size in sizes.items()}

    def before(self) -> None:
        """Note where the weights are before a generation's change."""
        self._before = {name: self._weights.sample(name, stride).clone() for name, stride in self._stride.items()}
        self._intended = {name: torch.zeros_like(start) for name, start in self._start.items()}

    def intend(self, name: str, change: Tensor, rows: slice) -> None:
        """Note what is to be added to rows of a parameter."""
        stride = self._stride[name]
        first = (rows.start or 0) * (change.numel() // len(change))
        seen = change.flatten()[-first % stride :: stride]
        place = -(-first // stride)
        self._intended[name][place : place + len(seen)] = seen

    def after(self) -> dict[str, float]:
        """Return what the generation did.

        * update_rms: root mean square of the intended change of a weight, decay and momentum included;
        * applied: <applied, intended> / <intended, intended>; 1 when nothing was intended;
        * distance: root mean square distance of a weight from its start; relative_distance: over that of the start.
        """
        intended = applied = moved = start = 0.0
        for name, share in self._share.items():
            wanted = self._intended[name].double()
            now, then = self._weights.sample(name, self._stride[name]).double(), self._start[name].double()
            applied += share * float(torch.dot(wanted, now - self._before[name]))
            intended += share * float(torch.dot(wanted, wanted))
            moved += share * float(torch.dot(now - then, now - then))
            start += share * float(torch.dot(then, then))
        return {
            "update_rms": math.sqrt(intended),
            "applied": applied / intended if intended > 0 else 1.0,
            "distance": math.sqrt(moved),
            "relative_distance": math.sqrt(moved / start) if start > 0 else 0.0,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Return the start values."""
        return dict(self._start)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Measure from saved start values."""
        for name, then in state.items():
            self._start[name].copy_(then)


def fitness_metrics(
    shaped: Shaped, rewards_N_P_G: NDArray[np.float32], coupling: Coupling, temperature: float
) -> dict[str, float]:
    """Return what the rewards say; ``sampling_floor`` only where it can be known."""
    found = {
        "informative": shaped.informative,
        "flat_items": float(shaped.flat_items),
        "missing": shaped.missing,
        "spread": shaped.spread,
        "floor": dealt_floor(shaped.centred_N_P),
    }
    least = sampling_floor(rewards_N_P_G, coupling, temperature)
    return found if least is None else found | {"sampling_floor": least}


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics with six significant digits."""
    return {name: float(f"{value:.6g}") for name, value in metrics.items()}
