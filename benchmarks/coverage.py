"""How often intervals of nominal 95 % hold the truth, by simulation.

Claim:  93 to 97 % for every interval that a report prints: t over seeds, paired by seed, over items, the optimality
        gap, the probability of improvement, and rates. Where runs of one seed go together, or tasks are unlike, the
        probability of improvement holds the truth more often than it says: rows marked "at least".
Work:   rewards drawn from known distributions, the functions of `eggym.stats` and `eggym.many` on each draw. Beside
        each what is avoided: a percentile bootstrap over the seeds, errors that take replies for independent, Wald's.
Run:    python benchmarks/coverage.py --out benchmarks/results/coverage.json       (minutes)

No time is measured: the same seed gives the same figures.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from eggym.files import write_json
from eggym.many import optimality_gap, probability_of_improvement, wilson
from eggym.seeding import key
from eggym.stats import Interval, item_means, mean_t, paired, paired_items

DRAWS, NAIVE_DRAWS, RESAMPLES = 4000, 1000, 400
LEVEL = 0.95
LOWEST, HIGHEST = 0.93, 0.97  # what is claimed
SEEDS = (3, 5, 10)
EFFECTS = (0.0, 0.5, 1.0, 1.5, 2.0)  # in standard deviations over seeds, in turn

Array = NDArray[np.float64]
Row = dict[str, Any]


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    found = list(rows(DRAWS))
    for row in found:
        print(f"{row['interval']:28} {row['case']:34} {row['coverage']:.3f}  {row['avoided']} {row['naive']:.3f}")
    if out:
        settings = {
            "draws": DRAWS,
            "naive_draws": NAIVE_DRAWS,
            "resamples": RESAMPLES,
            "level": LEVEL,
            "claim": [LOWEST, HIGHEST],
        }
        write_json(out, {"benchmark": "coverage", "format": 1, "settings": settings, "rows": found})


def rows(draws: int) -> Iterator[Row]:
    """Return the coverage of every interval in every case."""
    for n in SEEDS:
        yield over_seeds(n, draws)
        yield over_pairs(n, draws)
        yield gap(n, draws)
    for n_items, n_replies in ((40, 1), (200, 1), (200, 8)):
        yield one_policy(n_items, n_replies, draws)
        yield over_items(n_items, n_replies, draws)
    for n in SEEDS:
        for n_tasks in (1, 3, 6):
            yield improvement(n, n_tasks, draws)
    yield improvement(5, 3, draws, together=0.5)
    yield improvement(5, 3, draws, unlike=1.5)
    for n in (6, 18, 60):
        yield rate(n, draws)


def over_seeds(n: int, draws: int) -> Row:
    """Rewards of one learner over seeds."""
    rng = generator("seeds", n)
    scores_R_S = rng.normal(0.6, 0.05, (draws, n))
    mine = share(mean_t(row) for row in scores_R_S.tolist())(0.6)
    return row_of("t over seeds", f"{n} seeds", mine, "bootstrap", bootstrap(scores_R_S, 0.6, rng))


def over_pairs(n: int, draws: int) -> Row:
    """Differences of two learners whose runs of one seed share half their variance."""
    rng = generator("pairs", n)
    shared = rng.normal(0, 0.05, (draws, n))
    a, b = 0.6 + shared + rng.normal(0, 0.05, (draws, n)), 0.5 + shared + rng.normal(0, 0.05, (draws, n))
    found = (paired(dict(enumerate(x)), dict(enumerate(y))) for x, y in zip(a.tolist(), b.tolist(), strict=True))
    mine = share(Interval(one.difference, one.low, one.high, one.n) for one in found)(0.1)
    return row_of("paired by seed", f"{n} seeds", mine, "bootstrap", bootstrap(a - b, 0.1, rng))


def gap(n: int, draws: int, n_tasks: int = 3) -> Row:
    """Shortfalls of one learner on three unlike tasks."""
    rng = generator("gap", n)
    scores_R_S_T = rng.normal((0.3, 0.6, 0.8), (0.08, 0.05, 0.03), (draws, n, n_tasks))
    truth = 1 - (0.3 + 0.6 + 0.8) / 3
    mine = share(optimality_gap(rows_S_T) for rows_S_T in scores_R_S_T.tolist())(truth)
    naive = bootstrap(1 - scores_R_S_T.mean(2), truth, rng)
    return row_of("optimality gap", f"{n} seeds, {n_tasks} tasks", mine, "bootstrap", naive)


def one_policy(n_items: int, n_replies: int, draws: int) -> Row:
    """One policy on items whose difficulty is beta-distributed: the replies to one item are one cluster."""
    rng = generator("policy", n_items, n_replies)
    chance = rng.beta(0.5, 0.5, (draws, n_items, 1))
    replies = (rng.random((draws, n_items, n_replies)) < chance).astype(float)
    found = (mean_t(item_means(rewards_I)) for rewards_I in replies.tolist())
    error = replies.reshape(draws, -1).std(1, ddof=1) / math.sqrt(n_items * n_replies)
    naive = float(np.mean(np.abs(replies.mean((1, 2)) - 0.5) <= 1.96 * error))
    return row_of("clustered by item", items_of(n_items, n_replies), share(found)(0.5), "independent replies", naive)


def over_items(n_items: int, n_replies: int, draws: int) -> Row:
    """Two policies on the same items, whose difficulty is beta-distributed; the second is better by 0.1 on each."""
    rng = generator("items", n_items, n_replies)
    naive, found = [], []
    for _ in range(draws):
        chance = rng.beta(0.5, 0.5, (n_items, 1))
        a = (rng.random((n_items, n_replies)) < 0.1 + 0.9 * chance).astype(float)
        b = (rng.random((n_items, n_replies)) < 0.9 * chance).astype(float)
        found.append(paired_items([a.mean(1).tolist()], [b.mean(1).tolist()]))
        error = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / a.size)
        naive.append(abs(float(a.mean() - b.mean()) - 0.1) <= 1.96 * error)
    return row_of(
        "paired by item", items_of(n_items, n_replies), share(found)(0.1), "independent replies", float(np.mean(naive))
    )


def items_of(n_items: int, n_replies: int) -> str:
    """Return the words for a number of items with several replies each."""
    return f"{n_items} items, {n_replies} repl{'y' if n_replies == 1 else 'ies'} each"


def improvement(n: int, n_tasks: int, draws: int, together: float = 0.0, unlike: float = 0.0) -> Row:
    """Two learners whose rewards are normal, at several effects in turn.

    Args:
        n: seeds of each.
        n_tasks: tasks, all with ``n`` seeds.
        draws: simulated duels.
        together: correlation of the two runs of one seed.
        unlike: half the width over which effects are spread over tasks.
    """
    rng = generator("improvement", n, n_tasks, together, unlike)
    held, naive = 0.0, 0.0
    for effect in EFFECTS:
        shift_T = effect + unlike * np.linspace(-1, 1, n_tasks)
        shape = (draws // len(EFFECTS), n_tasks, n)
        both = math.sqrt(together) * rng.normal(size=shape)
        own = math.sqrt(1 - together)
        x, y = both + own * rng.normal(size=shape) + shift_T[:, None], both + own * rng.normal(size=shape)
        truth = float(ndtr(shift_T / math.sqrt(2)).mean())
        found = (probability_of_improvement(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True))
        held += share(found)(truth) / len(EFFECTS)
        naive += stratified(x, y, truth, rng) / len(EFFECTS)
    case = f"{n} seeds, {n_tasks} task{'s' * (n_tasks > 1)}"
    case += ", seeds go together" if together else ", unlike tasks" if unlike else ""
    row = row_of("probability of improvement", case, held, "stratified bootstrap", naive)
    return {**row, "at_least": bool(together or unlike)}


def rate(n: int, draws: int) -> Row:
    """A count of n, at rates spread over [0, 1]."""
    rng = generator("rate", n)
    rates = rng.random(draws)
    counts = rng.binomial(n, rates)
    found = [wilson(int(count), n) for count in counts]
    held = np.mean([holds(one, p) for one, p in zip(found, rates, strict=True)])
    seen = counts / n
    wald = np.abs(seen - rates) <= 1.96 * np.sqrt(seen * (1 - seen) / n)
    return row_of("rate (Wilson)", f"of {n}", float(held), "Wald", float(wald.mean()))


def share(found: Any) -> Callable[[float], float]:
    """Return how to count the intervals that hold a truth."""
    intervals = list(found)
    return lambda truth: float(np.mean([holds(one, truth) for one in intervals]))


def holds(one: Interval, truth: float) -> bool:
    """Return whether the truth lies inside, to within rounding."""
    return one.low is not None and one.high is not None and one.low - 1e-9 <= truth <= one.high + 1e-9


def bootstrap(values_R_S: Array, truth: float, rng: np.random.Generator) -> float:
    """Return the coverage of the percentile bootstrap of the mean over seeds."""
    few = values_R_S[:NAIVE_DRAWS]
    chosen = rng.integers(few.shape[1], size=(len(few), RESAMPLES, few.shape[1]))
    return inside(np.take_along_axis(few[:, None, :], chosen, 2).mean(2), truth)


def stratified(x_R_T_S: Array, y_R_T_S: Array, truth: float, rng: np.random.Generator) -> float:
    """Return the coverage of the bootstrap of the probability of improvement, seeds drawn within each task."""
    means = []
    for x, y in zip(x_R_T_S[: NAIVE_DRAWS // len(EFFECTS)], y_R_T_S, strict=False):
        n_tasks, n = x.shape
        wins = (x[:, :, None] > y[:, None, :]).astype(float)  # _T, seed of x, seed of y
        often_x, often_y = (
            rng.multinomial(n, np.full(n, 1 / n), (RESAMPLES, n_tasks)).astype(float) / n for _ in range(2)
        )
        means.append(np.einsum("btx,txy,bty->b", often_x, wins, often_y, optimize=True) / n_tasks)
    return inside(np.array(means), truth)


def inside(means_R_B: Array, truth: float) -> float:
    """Return how often the middle 95 % of the resampled means hold the truth."""
    low, high = np.quantile(means_R_B, (0.025, 0.975), axis=1)
    return float(np.mean((low - 1e-9 <= truth) & (truth <= high + 1e-9)))


def generator(*names: str | float) -> np.random.Generator:
    """Return the random numbers of one case."""
    return np.random.default_rng(key(0, "coverage", *map(str, names)))


def row_of(interval: str, case: str, coverage: float, avoided: str, naive: float) -> Row:
    """Return one line of the table."""
    return {"interval": interval, "case": case, "coverage": coverage, "avoided": avoided, "naive": naive}


if __name__ == "__main__":
    main()
