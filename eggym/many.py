"""Statistics over many runs, tasks and claims: what a table says beyond one mean.

Scores are on one scale, [0, 1] from the least to the largest reward of a task, and larger is better. The aggregates are
those of Agarwal et al. 2021 (arXiv 2108.13264); their intervals are not: a percentile bootstrap of nominal 95 % over 3
seeds covers 74 to 86 % (`benchmarks/coverage.py`).

What is decided:
- the interquartile mean drops whole values, as `scipy.stats.trim_mean` does: of n values floor(n / 4) at each end, so
  below 4 values it is the mean. No value is weighted by a fraction, and figures compare with published ones;
- the interquartile mean has no interval: over few seeds the number of values that are dropped jumps with every one;
- of a probability of improvement the interval is Newcombe's (2006, method 5), which has none of zero width at 0 and 1.

Axes in names: _T tasks, _S seeds.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

from eggym.errors import BadValue
from eggym.stats import FEWEST, Interval, Value, known_values, mean_t

_TRIM = 4  # a quarter at each end
_HALVINGS = 60  # of an interval in which an edge is looked for: beyond the last bit


def interquartile_mean(scores: Sequence[Value]) -> float | None:
    """Return the mean of the middle half of all scores, runs and tasks together; None without any.

    >>> interquartile_mean([0.0, 0.5, 0.6, 0.7, 0.8, 9.0])
    0.65
    """
    known = sorted(known_values(scores))
    cut = len(known) // _TRIM
    middle = known[cut : len(known) - cut]
    return math.fsum(middle) / len(middle) if middle else None


def optimality_gap(scores_S_T: Sequence[Sequence[Value]], goal: float = 1.0) -> Interval:
    """Return the mean amount by which scores fall short of ``goal``, with its t interval over seeds.

    A seed counts with its mean over tasks, if all its tasks are known: seeds are independent, tasks were chosen. What
    is above the goal counts as 0.
    """
    whole = [known_values(row) for row in scores_S_T]
    short = [
        math.fsum(max(0.0, goal - value) for value in row) / len(row)
        for row, asked in zip(whole, scores_S_T, strict=True)
        if row and len(row) == len(asked)
    ]
    return mean_t(short)


def probability_of_improvement(
    x_T_S: Sequence[Sequence[Value]], y_T_S: Sequence[Sequence[Value]], level: float = 0.95
) -> Interval:
    """Return the mean over tasks of P(X > Y) + P(X = Y) / 2 of one run each, with an interval; ``n`` counts tasks.

    Per task it is the Mann-Whitney U over the number of pairs of runs. The interval holds every p for which the mean is
    no further from p than the normal quantile times its standard error at p (Newcombe 2006, Statistics in Medicine 25,
    559, method 5, the variances of independent tasks added). Runs of one seed that go together, or unlike tasks, make
    it wider than need be, never narrower. None below 3 runs on a side.

    Raises:
        BadValue: the sides have different numbers of tasks.
    """
    if len(x_T_S) != len(y_T_S):
        raise BadValue(f"both sides need the same tasks, got {len(x_T_S)} and {len(y_T_S)}")
    sides = [(known_values(x), known_values(y)) for x, y in zip(x_T_S, y_T_S, strict=True)]
    sides = [(x, y) for x, y in sides if x and y]
    if not sides:
        return Interval(None, None, None, 0)
    mean = math.fsum(_above(x, y) for x, y in sides) / len(sides)
    sizes = tuple((len(x), len(y)) for x, y in sides)
    if min(map(min, sizes)) < FEWEST:
        return Interval(mean, None, None, len(sides))
    reach = normal_quantile(level)
    return Interval(mean, _edge(mean, 0.0, reach, sizes), _edge(mean, 1.0, reach, sizes), len(sides))


def performance_profile(scores: Sequence[Value], taus: Sequence[float]) -> list[Interval]:
    """Return, for every tau, the share of runs on tasks that score above it, with Wilson's interval."""
    known = known_values(scores)
    return [wilson(sum(value > tau for value in known), len(known)) for tau in taus]


def wilson(count: int, n: int, level: float = 0.95) -> Interval:
    """Return a rate, ``count`` of ``n``, with its score interval (Wilson 1927); nothing but ``n`` where n is 0."""
    if not 0 <= count <= n:
        raise BadValue(f"a rate needs a count from 0 to n, got {count} of {n}")
    if n == 0:
        return Interval(None, None, None, 0)
    square, rate = normal_quantile(level) ** 2, count / n
    middle = (rate + square / (2 * n)) / (1 + square / n)
    half = math.sqrt(square * (rate * (1 - rate) / n + square / (4 * n * n))) / (1 + square / n)
    return Interval(rate, max(0.0, middle - half), min(1.0, middle + half), n)


def holm(p_values: Mapping[str, Value]) -> dict[str, float]:
    """Return p values adjusted for being claimed together (Holm 1979): each may be held against the level itself.

    The smallest of m is multiplied by m, the next by m - 1, and so on, and none is below the one before. What is None
    was no test, and does not count.

    >>> holm({"a": 0.01, "b": 0.04, "c": None, "d": 0.03})
    {'a': 0.03, 'd': 0.06, 'b': 0.06}
    """
    tested = sorted((value, name) for name, value in p_values.items() if value is not None)
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, (value, name) in enumerate(tested):
        largest = min(1.0, max(largest, (len(tested) - place) * value))
        adjusted[name] = largest
    return adjusted


def normal_quantile(level: float) -> float:
    """Return how many standard deviations hold a share ``level`` of a normal distribution around its mean."""
    if not 0 < level < 1:
        raise BadValue(f"level must lie between 0 and 1, got {level!r}")
    from scipy.special import ndtri  # scipy.stats takes ten times as long to import

    return float(ndtri((1 + level) / 2))


def _above(x: Sequence[float], y: Sequence[float]) -> float:
    wins = sum((a > b) + 0.5 * (a == b) for a in x for b in y)
    return wins / (len(x) * len(y))


@cache  # few seeds allow few means, and a board has thousands of pairs
def _edge(mean: float, end: float, reach: float, sizes: tuple[tuple[int, int], ...]) -> float:
    """Return the p furthest towards ``end`` that the mean does not contradict."""
    inside, outside = mean, end
    for _ in range(_HALVINGS):
        p = (inside + outside) / 2
        within = abs(mean - p) <= reach * math.sqrt(math.fsum(_variance(p, *n) for n in sizes)) / len(sizes)
        inside, outside = (p, outside) if within else (inside, p)
    return inside


def _variance(p: float, m: int, n: int) -> float:
    """Return the variance of U / (m n) at p by Hanley and McNeil 1982, with Newcombe's mean size for both."""
    others = (m + n) / 2 - 1
    return p * (1 - p) * (1 + others * ((1 - p) / (2 - p) + p / (1 + p))) / (m * n)
