"""ES against RL: every pair of learners on every task, with a verdict and a sentence that says how sure it is.

A pair is decided on its seeds: the paired t interval of 95 % excludes zero, and, where a duel asks about several pairs,
so does the p value after Holm's adjustment over all of them (tasks and pairs of learners together). Which pairs count
was known before the runs; how many of them look good was not, and does not matter. "Not resolved" is an answer.

Where every seed shows the very same difference (one item of forty, say, on a task that both have solved), seeds have no
spread to go by, and their p would be 0: then the p of the test over items takes its place, in the adjustment too.
Without items that both sides answered there is no test, and no verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eggym.arena import Arena, Side
from eggym.gap import true_mean
from eggym.many import holm
from eggym.score import Mode
from eggym.stats import Comparison, item_differences, mean_t, paired, paired_items, seeds_needed, t_test

VERDICTS = {"a": "ES ahead", "b": "RL ahead", None: "not resolved"}
LEVEL = 0.95
_ROUNDING = 1e-9


def compare_all(arenas: Sequence[Arena]) -> list[list[dict[str, Any]]]:
    """Return, for each task, every pair of an ES and an RL learner with its verdict."""
    found = {
        f"{place:06d} {number:06d}": (es, rl, arena.primary)
        for place, arena in enumerate(arenas)
        for number, (es, rl) in enumerate(arena.pairs())
    }
    differences = {name: paired(es.finals(mode), rl.finals(mode)) for name, (es, rl, mode) in found.items()}
    p_values = {name: _p_of(*found[name], one) for name, one in differences.items()}
    adjusted = holm(p_values)
    passed = {name for name, p in adjusted.items() if p < 1 - LEVEL and differences[name].resolved}
    judge = _Judge(p_values, adjusted, passed)
    told = iter([judge.pair(name, *sides, differences[name]) for name, sides in found.items()])
    return [[next(told) for _ in arena.pairs()] for arena in arenas]


class _Judge:
    """What is known of all pairs of a duel."""

    def __init__(self, p_values: Mapping[str, float | None], adjusted: Mapping[str, float], passed: set[str]) -> None:
        self._p_values, self._adjusted, self._passed = p_values, adjusted, passed

    def pair(self, name: str, es: Side, rl: Side, mode: Mode, found: Comparison) -> dict[str, Any]:
        """Return the numbers of one pair."""
        side = found.resolved if name in self._passed else None
        foretold = not (side or _same(found) or found.low is None)  # what two seeds differ by foretells nothing
        more = seeds_needed(found.per_seed.values(), self._next_level()) if foretold else None
        sentence = _sentence(es, rl, found, self._evidence(name, found), more)
        es_end, rl_end = ([one.finals(mode)[seed] for seed in found.per_seed] for one in (es, rl))
        return {
            "es": es.label,
            "rl": rl.label,
            "es_end": mean_t(es_end).mean,
            "rl_end": mean_t(rl_end).mean,
            **comparison(found),
            "p": self._p_values[name],
            "p_over": "items" if _same(found) else "seeds",
            "p_adjusted": self._adjusted.get(name),
            "compared": len(self._adjusted),
            "per_seed": {str(seed): value for seed, value in found.per_seed.items()},
            "detectable": found.detectable,
            "seeds_needed": more,
            "items": _items(es, rl, mode),
            **_true_difference(es, rl, mode),
            "verdict": VERDICTS[side],
            "sentence": f"{VERDICTS[side]}: {sentence}",
        }

    def _next_level(self) -> float:
        """The level that the next pair has to meet: Holm's, after those that passed."""
        left = max(1, len(self._adjusted) - len(self._passed))
        return 1 - (1 - LEVEL) / left

    def _evidence(self, name: str, found: Comparison) -> str:
        p = self._p_values[name]
        if p is None:
            return "; the same in every seed, and no items to judge it by" * _same(found)
        several = len(self._adjusted) > 1
        adjusted = f", adjusted for {len(self._adjusted)} comparisons (Holm) {_p(self._adjusted[name])}" * several
        if _same(found):
            return f"; the same in every seed, so judged over items: {_p(p)}{adjusted}"
        return f"; {_p(p)}{adjusted}" * several


def comparison(found: Comparison) -> dict[str, Any]:
    """Return a paired difference as numbers."""
    return {"difference": found.difference, "low": found.low, "high": found.high, "n": found.n}


def _same(found: Comparison) -> bool:
    """Whether all seeds, three at least, show one difference that is not zero."""
    if found.low is None or found.high is None or found.high - found.low > _ROUNDING:
        return False
    return found.resolved is not None


def _p_of(es: Side, rl: Side, mode: Mode, found: Comparison) -> float | None:
    """Return the p of the seeds; where they have no spread, that of the items; None where there is no test."""
    if not _same(found):
        return found.p
    rows = _item_rows(es, rl, mode)
    return None if rows is None else t_test(item_differences(*rows))


def _true_difference(es: Side, rl: Side, mode: Mode) -> dict[str, Any]:
    """Return the difference in true reward, paired by seed, where the reward is a proxy; else nothing."""
    es_true, rl_true = ({r.seed: true_mean(r.final(mode)) for r in side.records} for side in (es, rl))
    found = paired(es_true, rl_true)
    return {} if found.difference is None else {"true": comparison(found)}


def _items(es: Side, rl: Side, mode: Mode) -> dict[str, Any] | None:
    """Return the difference with its error from the choice of items; None where the seeds had others."""
    rows = _item_rows(es, rl, mode)
    return None if rows is None else asdict(paired_items(*rows))


def _item_rows(es: Side, rl: Side, mode: Mode) -> tuple[list[list[float | None]], list[list[float | None]]] | None:
    """Return the rewards of both sides, seeds x items; None where the seeds had others."""
    seeds = [record.seed for record in es.records if record.seed in rl.finals(mode)]
    es_S_I, rl_S_I = ([r.final(mode).rewards for r in side.records if r.seed in seeds] for side in (es, rl))
    return (es_S_I, rl_S_I) if len({len(row) for row in es_S_I + rl_S_I}) == 1 else None


def _sentence(es: Side, rl: Side, found: Comparison, evidence: str, more: int | None) -> str:
    if found.difference is None:
        return f"{es.label} and {rl.label} share no seed"
    text = f"{es.label} - {rl.label} = {found.difference:+z.3f}"
    if found.low is None or found.high is None:
        return f"{text} over {found.n} seed{'s' * (found.n != 1)}; an interval needs at least 3"
    text += f", 95 % interval {found.low:+z.3f} to {found.high:+z.3f} over {found.n} seeds{evidence}"
    return f"{text}; about {more} seeds would resolve it" if more is not None else text


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
