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
from .update import Block

SAMPLED = 1 << 14  # weights of each parameter whose distance from the start is measured


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


class Tally:
    """Gathers one generation's sums, block by block."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._even = self._odd = self._both = 0.0
        self._intended = self._applied = 0.0
        self._count = 0

    def direction(self, block: Block, unit: float) -> None:
        """Take note of what the halves of the population want."""
        even, odd, scale = block.even.flatten(), block.odd.flatten(), 1 / (unit * unit)
        self._even += float(torch.dot(even, even)) * scale
        self._odd += float(torch.dot(odd, odd)) * scale
        self._both += float(torch.dot(even, odd)) * scale

    def move(self, intended: Tensor, applied: Tensor) -> None:
        """Take note of what was to be added to weights, and what was."""
        wanted = intended.flatten().double()
        self._intended += float(torch.dot(wanted, wanted))
        self._applied += float(torch.dot(wanted, applied.flatten().double()))
        self._count += wanted.numel()

    def metrics(self) -> dict[str, float]:
        """Return update_rms, what share of the change was applied, and the agreement of halves.

        * update_rms: root mean square of the intended change of a weight.
        * applied: <applied, intended> / <intended, intended>; 1 when nothing was intended.
        * agreement: cosine of the updates by even and by odd pairs, 0 if either is 0. Under pure noise it is 0 give or
          take 1 / sqrt(d) for d weights; with a cosine c of each half with the true gradient it is about c^2. Low
          for many generations: the population is too small.
        """
        halves = math.sqrt(self._even * self._odd)
        return {
            "update_rms": math.sqrt(self._intended / max(self._count, 1)),
            "applied": self._applied / self._intended if self._intended > 0 else 1.0,
            "agreement": self._both / halves if halves > 0 else 0.0,
        }


class Distance:
    """How far the weights are from their start, by a sample of each parameter that is kept."""

    def __init__(self, weights: Weights) -> None:
        """Keep at most `SAMPLED` evenly spaced start values of each parameter; smaller ones are kept whole."""
        self._weights = weights
        self._start = {name: self._now(name).clone() for name in weights.parameters}

    def metrics(self) -> dict[str, float]:
        """Return the root mean square distance of a weight, and the distance over the length of the start."""
        moved, start, count = 0.0, 0.0, 0
        for name, then in self._start.items():
            n = self._weights.parameters[name].numel()
            difference = (self._now(name) - then).double()
            moved += float(torch.dot(difference, difference)) * n / len(then)
            start += float(torch.dot(then.double(), then.double())) * n / len(then)
            count += n
        relative = math.sqrt(moved / start) if start > 0 else 0.0
        return {"distance": math.sqrt(moved / count), "relative_distance": relative}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the start values that are kept."""
        return dict(self._start)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Measure from saved start values."""
        for name, then in state.items():
            self._start[name].copy_(then)

    def _now(self, name: str) -> Tensor:
        n = self._weights.parameters[name].numel()
        return self._weights.sample(name, max(1, -(-n // SAMPLED)))


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
