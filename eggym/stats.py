"""Statistics that state what they can.

Two uncertainties, kept apart: *training* (other seeds would have ended elsewhere: t intervals over seeds) and
*evaluation* (other items would have scored otherwise: standard errors clustered by item, Miller, arXiv 2411.00640).
No bootstrap: over 3 seeds a percentile bootstrap of nominal 95 % covers 74 %.

What is decided for the awkward cases:
- a missing value (None or NaN) is left out, and ``n`` says how many remain; an infinite one is refused;
- fewer than 3 values have a mean and no interval;
- values without spread have an interval of width zero; a paired difference that is the same in every seed is resolved,
  unless it is zero to within 1e-9 (rounding is no evidence);
- curves are read as steps and never extrapolated.

Many tasks, rates and several claims at once are `eggym.many`'s.

Axes in names: _S seeds, _I items, _K replies to an item, _X places of a grid.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eggym.errors import BadValue

Value = float | None
FEWEST = 3  # values for an interval
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its t interval; ``low`` and ``high`` are None below 3 values, ``mean`` is None without any."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired difference a - b over common seeds."""

    difference: float | None
    low: float | None
    high: float | None
    per_seed: dict[int, float]
    n: int
    p: float | None  # two-sided, of the paired t test; None below 3 seeds
    resolved: Literal["a", "b"] | None  # the larger one, if the interval excludes zero

    @property
    def detectable(self) -> float | None:
        """The smallest difference that would have been resolved with this spread and these seeds."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def mean_t(values: Iterable[Value], level: float = 0.95) -> Interval:
    """Return the mean of independent values, one per seed, with its t interval."""
    known = known_values(values)
    if not known:
        return Interval(None, None, None, 0)
    mean = _mean(known)
    if len(known) < FEWEST:
        return Interval(mean, None, None, len(known))
    half = _t_quantile(len(known) - 1, level) * _standard_error(known)
    return Interval(mean, mean - half, mean + half, len(known))


def clustered_mean(rewards_I: Iterable[Value | Sequence[Value]]) -> tuple[float | None, float | None]:
    """Return mean and standard error over items; replies to one item are one cluster.

    Each element is an item: its replies' rewards, or their mean. Every item weighs the same however many of its replies
    could be judged, so both numbers follow from the means per item. The sums are exact: the same bits everywhere.

    >>> clustered_mean([[1.0, 0.0], [1.0, 1.0], None])
    (0.75, 0.25)
    """
    rewards: list[Any] = list(rewards_I)
    if set(map(type, rewards)) != {float} or not all(map(math.isfinite, rewards)):
        rewards = item_means(rewards)  # else they are that already, as in most evaluations
    known: list[float] = [mean for mean in rewards if mean is not None]
    if not known:
        return None, None
    return _mean(known), _standard_error(known) if len(known) > 1 else None


def item_means(rewards_I: Iterable[Value | Sequence[Value]]) -> list[Value]:
    """Return the mean reward of each item over the replies that could be judged; None where there is none."""
    return [_item_mean(item) for item in rewards_I]


def paired(a_by_seed: Mapping[int, Value], b_by_seed: Mapping[int, Value], level: float = 0.95) -> Comparison:
    """Compare two learners on the seeds they share; a seed that lacks either value is left out."""
    both = [(seed, a_by_seed[seed], b_by_seed[seed]) for seed in sorted(a_by_seed) if seed in b_by_seed]
    differences = {seed: _difference(a, b) for seed, a, b in both}
    per_seed = {seed: value for seed, value in differences.items() if value is not None}
    found = mean_t(per_seed.values(), level)
    return Comparison(found.mean, found.low, found.high, per_seed, found.n, t_test(per_seed.values()), _side(found))


def t_test(values: Iterable[Value]) -> float | None:
    """Return the two-sided p of the t test that the mean is zero; None below 3 values.

    It agrees with `mean_t`: below 0.05 exactly where the 95 % interval excludes zero. Without spread it is 0, or 1
    where the mean is zero to within rounding.
    """
    known = known_values(values)
    if len(known) < FEWEST:
        return None
    mean, error = _mean(known), _standard_error(known)
    if abs(mean) <= _ROUNDING or error == 0:
        return float(abs(mean) <= _ROUNDING)
    from scipy.special import stdtr

    return float(2 * stdtr(len(known) - 1, -abs(mean) / error))


def paired_items(a_S_I: Sequence[Sequence[Value]], b_S_I: Sequence[Sequence[Value]], level: float = 0.95) -> Interval:
    """Return the mean difference a - b with its error from the choice of items.

    Every row is a seed; all rows score the same items in the same order. An item's difference is its mean over seeds in
    which both sides could be judged; ``n`` counts items.

    Raises:
        BadValue: the rows are not of one length, or the sides have different numbers of seeds.
    """
    return mean_t(item_differences(a_S_I, b_S_I), level)


def item_differences(a_S_I: Sequence[Sequence[Value]], b_S_I: Sequence[Sequence[Value]]) -> list[Value]:
    """Return the difference a - b of each item, a mean over seeds; see `paired_items`."""
    if len(a_S_I) != len(b_S_I) or len({len(row) for row in [*a_S_I, *b_S_I]}) > 1:
        raise BadValue(
            f"paired items need equal seeds and items on both sides, got {_shape(a_S_I)} and {_shape(b_S_I)}"
        )
    pairs_S_I = [list(map(_difference, a_I, b_I)) for a_I, b_I in zip(a_S_I, b_S_I, strict=True)]
    return item_means(list(zip(*pairs_S_I, strict=True)))


def seeds_needed(per_seed: Iterable[Value], level: float = 0.95, most: int = 1000) -> int | None:
    """Return how many seeds would resolve the present mean difference if its spread stayed as it is.

    None: it cannot be said (fewer than 2 seeds, no difference) or it would take more than ``most``.
    """
    known = known_values(per_seed)
    if len(known) < 2 or abs(_mean(known)) <= _ROUNDING:
        return None
    spread = _standard_error(known) * math.sqrt(len(known))
    for n in range(FEWEST, most + 1):
        if _t_quantile(n - 1, level) * spread / math.sqrt(n) < abs(_mean(known)):
            return n
    return None


def on_grid(x: ArrayLike, y: ArrayLike, grid_X: ArrayLike) -> NDArray[np.float64]:
    """Read a curve as steps: the last value at or before each place; NaN before its first and after its last point."""
    x_, y_, grid = (np.asarray(values, dtype=np.float64) for values in (x, y, grid_X))
    if len(x_) == 0:
        return np.full(len(grid), np.nan)
    _check_curve(x_, y_)
    index = np.searchsorted(x_, grid, side="right") - 1
    inside = (index >= 0) & (grid <= x_[-1])
    return np.where(inside, y_[np.maximum(index, 0)], np.nan)


def area_under(x: ArrayLike, y: ArrayLike, budget: float) -> float | None:
    """Return the mean height of a curve from its first point to ``budget``, read as steps: learning early counts.

    A curve that ends before the budget is averaged as far as it goes; a stretch that starts with a missing value is
    skipped.
    None: nothing lies before the budget.
    """
    x_, y_ = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    _check_curve(x_, y_)
    widths = np.diff(np.minimum(x_, budget))
    known = np.isfinite(y_[:-1]) & (widths > 0)
    if not known.any():
        return None
    return math.fsum(widths[known] * y_[:-1][known]) / math.fsum(widths[known])


def time_to_target(x: ArrayLike, y: ArrayLike, target: float) -> float | None:
    """Return the first place of a curve whose value is at or above ``target``; None: it was never seen there.

    Places are those of the evaluations, nothing is read between them. A noisy curve crosses early by luck, so this
    flatters whoever is evaluated more often: give both sides the same evaluations.
    """
    x_, y_ = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    _check_curve(x_, y_)
    reached = np.flatnonzero(y_ >= target)  # NaN is not
    return float(x_[reached[0]]) if len(reached) else None


def _side(found: Interval) -> Literal["a", "b"] | None:
    if found.low is None or found.high is None:
        return None
    if found.low > _ROUNDING:
        return "a"
    return "b" if found.high < -_ROUNDING else None


def _item_mean(item: Value | Sequence[Value]) -> Value:
    known = known_values(item if isinstance(item, Sequence | np.ndarray) else [item])
    return _mean(known) if known else None


def _difference(a: Value, b: Value) -> Value:
    known = known_values((a, b))
    return known[0] - known[1] if len(known) == 2 else None


def known_values(values: Iterable[Value]) -> list[float]:
    """Return the values that are there; an infinite one is refused."""
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    if any(map(math.isinf, known)):
        raise BadValue(f"statistics need finite numbers, got {known}")
    return known


def _mean(known: Sequence[float]) -> float:
    return math.fsum(known) / len(known)


def _standard_error(known: Sequence[float]) -> float:
    mean = _mean(known)
    variance = math.fsum([off * off for off in [value - mean for value in known]]) / (len(known) - 1)
    return math.sqrt(variance / len(known))


@cache
def _t_quantile(degrees: int, level: float) -> float:
    if not 0 < level < 1:
        raise BadValue(f"level must lie between 0 and 1, got {level!r}")
    from scipy.special import stdtrit  # the quantile alone: scipy.stats takes ten times as long to import

    return float(stdtrit(degrees, (1 + level) / 2))


def _check_curve(x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    if x.shape != y.shape or (np.diff(x) < 0).any():
        raise BadValue(f"a curve needs as many values as places, and places in order; got {len(y)} for {x.tolist()}")


def _shape(rows: Sequence[Sequence[Value]]) -> str:
    lengths = sorted({len(row) for row in rows})
    return f"{len(rows)} x {'/'.join(map(str, lengths)) or 0}"
