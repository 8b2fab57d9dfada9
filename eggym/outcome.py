"""What came of a set of runs: who is ahead on which task, by how much, and at what cost.

Runs are arranged by task, then by learner, then by seed. The question goes to every pair of an ES and an RL learner,
on the metric that the records declare as primary; "not resolved" is an answer.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eggym.errors import BadValue
from eggym.files import sha256_json
from eggym.gap import MODES, true_mean, truths
from eggym.record import Measured, Record
from eggym.score import Mode
from eggym.stats import Comparison, Interval, area_under, mean_t, paired, paired_items, seeds_needed
from eggym.tuned import tunings
from eggym.wording import amount, short

FROZEN = "frozen"  # the control that never changes
_VERDICTS = {"a": "ES ahead", "b": "RL ahead", None: "not resolved"}
_OWN = ("learner", "variant", "options", "profile", "seed", "tuning")  # what the runs of a comparison may differ in
_KINDS = ("es", "rl", "baseline", "control")


@dataclass(frozen=True, slots=True)
class Side:
    """One learner on one task, over seeds."""

    label: str  # the learner's name, and its variant's; with its distinguishing options if it takes part twice
    kind: str
    records: tuple[Record, ...]  # in the order of their seeds

    def finals(self, mode: Mode) -> dict[int, float | None]:
        """Return the mean reward at the end of the budget, by seed."""
        return {record.seed: record.final(mode).mean for record in self.records}

    def starts(self, mode: Mode) -> dict[int, float | None]:
        """Return the mean reward before any update, by seed."""
        return {record.seed: record.start(mode).mean for record in self.records}


@dataclass(frozen=True, slots=True)
class Arena:
    """One task and everyone who learned it."""

    task: str
    sides: tuple[Side, ...]  # ES, then RL, then controls

    @property
    def primary(self) -> Mode:
        """The metric that decides."""
        return self.sides[0].records[0].primary

    @property
    def frozen(self) -> Side | None:
        """The control that never changes, if it was run."""
        return next((side for side in self.sides if side.records[0].learner.name == FROZEN), None)

    def pairs(self) -> list[tuple[Side, Side]]:
        """Return every pair of an ES and an RL learner."""
        return list(itertools.product(self._of("es"), self._of("rl")))

    def _of(self, kind: str) -> list[Side]:
        return [side for side in self.sides if side.kind == kind]


def arrange(records: Sequence[Record]) -> list[Arena]:
    """Arrange runs by task and learner, both in the order of their first appearance (learners: ES, RL, controls).

    Raises:
        BadValue: there is no run; two runs of one learner on one task share a seed; the primary metrics differ; the
            runs of a task differ in more than learner and seed, in their budget or model for example.
    """
    if not records:
        raise BadValue("there is no finished run to compare; give a folder that holds record.json files")
    if len({record.primary for record in records}) > 1:
        raise BadValue("the runs have different primary metrics, greedy and sampled; compare runs of one kind")
    unique = list({record.id: record for record in records}.values())
    tasks = _group(unique, lambda record: (record.task.label, record.task.digest))
    several = {key[0] for key in tasks if sum(other[0] == key[0] for other in tasks) > 1}
    arenas = [
        Arena(f"{name} {digest[:6]}" if name in several else name, _sides(runs))
        for (name, digest), runs in tasks.items()
    ]
    for runs in tasks.values():
        _refuse_unequal(runs)
    return arenas


def _refuse_unequal(runs: Sequence[Record]) -> None:
    first, *others = runs
    for other in others:
        keys = (first.config.keys() | other.config.keys()) - set(_OWN)
        for key in sorted(keys):
            if first.config.get(key) != other.config.get(key):
                raise BadValue(
                    f"runs {first.id} ({first.learner.name}) and {other.id} ({other.learner.name}) on {first.task.id} "
                    f"cannot be compared: {key} is {first.config.get(key)!r} and {other.config.get(key)!r}"
                )


def summary(records: Sequence[Record], measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Return the numbers behind the report: per task every learner, and every pair of ES and RL, with a verdict.

    Args:
        records: finished runs.
        measured: what was measured, by the id of the record; may be incomplete.
    """
    arenas = arrange(records)
    tasks = [_task(arena, measured) for arena in arenas]
    verdicts = [{"task": task["task"], **pair} for task in tasks for pair in task["comparisons"]]
    first = records[0]
    return {
        "headline": headline(arenas, verdicts),
        "primary": first.primary,
        "level": 0.95,
        "budget": first.budget.model_dump(),
        "model": first.model.model_dump(),
        "seeds": sorted({record.seed for record in records}),
        "tasks": tasks,
        "tuning": tunings(records),
        "verdicts": [{key: one[key] for key in ("task", "es", "rl", "verdict", "sentence")} for one in verdicts],
    }


def headline(arenas: Sequence[Arena], verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Say in one sentence what came out."""
    if not verdicts:
        names = ", ".join(dict.fromkeys(side.label for arena in arenas for side in arena.sides))
        return f"{names} on {_tasks([arena.task for arena in arenas])}: no pair of ES and RL to compare."
    budget = _budget(arenas)
    by_verdict = {name: [one for one in verdicts if one["verdict"] == name] for name in _VERDICTS.values()}
    ahead, behind, open_ = (by_verdict[name] for name in ("ES ahead", "RL ahead", "not resolved"))
    if len({(one["es"], one["rl"]) for one in verdicts}) > 1:
        counts = f"ES is ahead in {len(ahead)} of {len(verdicts)} comparisons and RL in {len(behind)}"
        return f"{budget}, {counts}; {len(open_)} {'is' if len(open_) == 1 else 'are'} not resolved."
    es, rl = verdicts[0]["es"], verdicts[0]["rl"]
    for side, other, won in ((es, rl, ahead), (rl, es, behind)):
        if len(won) == len(verdicts):
            return f"{budget}, {side} beats {other} on {_all([one['task'] for one in won])}."
    if len(open_) == len(verdicts):
        return f"{budget}, the difference between {es} and {rl} is not resolved on {_all([o['task'] for o in open_])}."
    parts = [
        f"{side} is ahead on {_tasks([o['task'] for o in won])}" for side, won in ((es, ahead), (rl, behind)) if won
    ]
    if open_:
        parts.append(f"{_tasks([one['task'] for one in open_])} {'is' if len(open_) == 1 else 'are'} not resolved")
    return f"{budget}, {'; '.join(parts)}."


def _sides(records: Sequence[Record]) -> tuple[Side, ...]:
    groups = _group(records, lambda record: (record.learner.label, sha256_json(record.learner.options)))
    sides = [
        Side(_label(runs[0], [other[0] for other in groups.values()]), runs[0].learner.kind, _by_seed(runs))
        for runs in groups.values()
    ]
    return tuple(sorted(sides, key=lambda side: (_KINDS.index(side.kind), side.label != FROZEN)))


def _label(record: Record, all_learners: Sequence[Record]) -> str:
    name, options = record.learner.label, record.learner.options
    others = [other.learner.options for other in all_learners if other.learner.label == name]
    differing = [key for key in options if any(other.get(key) != options[key] for other in others)]
    return " ".join([name, *(f"{key}={options[key]}" for key in differing)])


def _by_seed(runs: Sequence[Record]) -> tuple[Record, ...]:
    for seed, same in _group(runs, lambda record: record.seed).items():
        if len(same) > 1:
            what = f"{same[0].learner.label} on {same[0].task.id} with seed {seed}"
            raise BadValue(f"there are two different runs of {what} ({same[0].id}, {same[1].id}); give one of them")
    return tuple(sorted(runs, key=lambda record: record.seed))


def _group(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _task(arena: Arena, measured: Mapping[str, Measured]) -> dict[str, Any]:
    info = arena.sides[0].records[0].task
    return {
        "task": arena.task,
        "floor": info.floor,
        "reward_range": list(info.reward_range),
        "learners": [_learner(side, arena, measured) for side in arena.sides],
        "comparisons": [_compare(es, rl, arena.primary) for es, rl in arena.pairs()],
    }


def _learner(side: Side, arena: Arena, measured: Mapping[str, Measured]) -> dict[str, Any]:
    found = [measured[record.id] for record in side.records if record.id in measured]
    spent = [record.spent for record in side.records]
    axes = ("episodes", "tokens", "flops", "computed_flops")
    base = arena.frozen
    return {
        "learner": side.label,
        "kind": side.kind,
        "seeds": [record.seed for record in side.records],
        "start": {mode: asdict(mean_t(side.starts(mode).values())) for mode in MODES},
        "end": {mode: asdict(mean_t(side.finals(mode).values())) for mode in MODES},
        # without a frozen run, the start of each run stands for it
        "gain": {
            mode: _comparison(paired(side.finals(mode), (base.finals if base else side.starts)(mode))) for mode in MODES
        },
        "gain_over": FROZEN if base else "own start",
        **truths(side.records),
        "area": asdict(_area(side, arena.primary)),
        "n_steps": mean_t(record.n_steps for record in side.records).mean,
        "spent": {axis: mean_t(getattr(one, axis) for one in spent).mean for axis in axes},
        "cpu_s": mean_t(one.cpu_s for one in found).mean,
        "peak_rss_bytes": max((one.peak_rss_bytes for one in found), default=None),
    }


def _gain(side: Side, base: Side | None, mode: Mode) -> dict[str, Any]:
    return _comparison(paired(side.finals(mode), base.finals(mode) if base else side.starts(mode)))


def _area(side: Side, mode: Mode) -> Interval:
    """Return the mean height of the learning curve over the budget's own axis, from 0 to the limit."""
    curves = [record.curve(mode) for record in side.records]
    return mean_t(area_under(curve["fraction"], curve["mean"], 1.0) for curve in curves)


def _compare(es: Side, rl: Side, mode: Mode) -> dict[str, Any]:
    found = paired(es.finals(mode), rl.finals(mode))
    verdict = _VERDICTS[found.resolved]
    more = seeds_needed(found.per_seed.values()) if found.resolved is None else None
    return {
        "es": es.label,
        "rl": rl.label,
        "es_end": mean_t(es.finals(mode).values()).mean,
        "rl_end": mean_t(rl.finals(mode).values()).mean,
        **_comparison(found),
        "per_seed": {str(seed): value for seed, value in found.per_seed.items()},
        "detectable": found.detectable,
        "seeds_needed": more,
        "items": _items(es, rl, mode),
        **_true_difference(es, rl, mode),
        "verdict": verdict,
        "sentence": f"{verdict}: {_sentence(es, rl, found, more)}",
    }


def _true_difference(es: Side, rl: Side, mode: Mode) -> dict[str, Any]:
    """Return the difference in true reward, paired by seed, where the reward is a proxy; else nothing."""
    es_true, rl_true = ({r.seed: true_mean(r.final(mode)) for r in side.records} for side in (es, rl))
    found = paired(es_true, rl_true)
    return {} if found.difference is None else {"true": _comparison(found)}


def _items(es: Side, rl: Side, mode: Mode) -> dict[str, Any] | None:
    """Return the difference with its error from the choice of items; None where the seeds had others."""
    seeds = [record.seed for record in es.records if record.seed in rl.finals(mode)]
    es_S_I, rl_S_I = ([r.final(mode).rewards for r in side.records if r.seed in seeds] for side in (es, rl))
    return asdict(paired_items(es_S_I, rl_S_I)) if len({len(row) for row in es_S_I + rl_S_I}) == 1 else None


def _comparison(found: Comparison) -> dict[str, Any]:
    return {"difference": found.difference, "low": found.low, "high": found.high, "n": found.n}


def _sentence(es: Side, rl: Side, found: Comparison, more: int | None) -> str:
    if found.difference is None:
        return f"{es.label} and {rl.label} share no seed"
    text = f"{es.label} - {rl.label} = {found.difference:+.3f}"
    if found.low is None or found.high is None:
        return f"{text} over {found.n} seed{'s' * (found.n != 1)}; an interval needs at least 3"
    text += f", 95 % interval {found.low:+.3f} to {found.high:+.3f} over {found.n} seeds"
    return f"{text}; about {more} seeds would resolve it" if more is not None else text


def _budget(arenas: Sequence[Arena]) -> str:
    budgets = {(r.budget.axis, r.budget.limit) for arena in arenas for side in arena.sides for r in side.records}
    if len(budgets) > 1:
        return "At the budgets of the runs"
    axis, limit = budgets.pop()
    return f"At {amount(limit)} {'FLOPs' if axis == 'flops' else axis}"


def _tasks(names: Sequence[str]) -> str:
    words = [short(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _all(names: Sequence[str]) -> str:
    if len(names) <= 2:
        return _tasks(names)
    words = {3: "three", 4: "four", 5: "five", 6: "six"}
    return f"all {words.get(len(names), len(names))} tasks ({_tasks(names)})"
