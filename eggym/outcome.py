"""What came of a set of runs: who is ahead on which task, by how much, and at what cost.

The question goes to every pair of an ES and an RL learner, on the metric that the records declare as primary. Baselines
and controls have rows of their own, and are no side of a pair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eggym.arena import FROZEN, Arena, Side, arrange
from eggym.axes import TARGET, Axis, areas, axes_of, common_end, target_of, times_to
from eggym.beyond_summary import beyond, phases, tunings
from eggym.gap import MODES, truths
from eggym.overall import overall
from eggym.record import Measured, Record
from eggym.score import Mode
from eggym.stats import Interval, area_under, mean_t, paired
from eggym.tuned import tuned
from eggym.versus import LEVEL, VERDICTS, compare_all, comparison
from eggym.wording import amount, short


def summary(records: Sequence[Record], measured: Mapping[str, Measured], target: float = TARGET) -> dict[str, Any]:
    """Return the numbers behind the report: per task every learner, and every pair of ES and RL, with a verdict.

    Args:
        records: finished runs.
        measured: what was measured, by the id of the record; may be incomplete.
        target: what counts as learnt, for the time to it: a share of the way from the frozen base to the largest
            reward. Declare it before the runs.
    """
    arenas = arrange(records)
    axes = axes_of(arenas, measured)
    pairs = compare_all(arenas)
    tasks = [
        {**task_numbers(arena, axes, measured, target), "comparisons": list(found)}
        for arena, found in zip(arenas, pairs, strict=True)
    ]
    verdicts = [{"task": task["task"], **pair} for task in tasks for pair in task["comparisons"]]
    first = records[0]
    return {
        "headline": headline(arenas, verdicts),
        "primary": first.primary,
        "level": LEVEL,
        "target": target,
        "budget": first.budget.model_dump(),
        "model": first.model.model_dump(),
        "seeds": sorted({record.seed for record in records}),
        "tasks": tasks,
        "overall": overall(arenas),
        "tuning": tunings(side for arena in arenas for side in arena.sides),
        "tuned": tuned(records),
        "verdicts": [{key: one[key] for key in ("task", "es", "rl", "verdict", "sentence")} for one in verdicts],
    }


def headline(arenas: Sequence[Arena], verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Say in one sentence what came out."""
    if not verdicts:
        names = ", ".join(dict.fromkeys(side.label for arena in arenas for side in arena.sides))
        return f"{names} on {_tasks([arena.task for arena in arenas])}: no pair of ES and RL to compare."
    budget = _budget(arenas)
    by_verdict = {name: [one for one in verdicts if one["verdict"] == name] for name in VERDICTS.values()}
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


def task_numbers(
    arena: Arena, axes: Sequence[Axis], measured: Mapping[str, Measured], share: float = TARGET
) -> dict[str, Any]:
    """Return what came of every learner of one task: a row of numbers for each, compared with nobody.

    Args:
        arena: the task and its runs.
        axes: on which areas and times to the target are told.
        measured: what was measured, by the id of the record; may be incomplete.
        share: what counts as learnt; see `summary`.
    """
    info = arena.sides[0].records[0].task
    target = target_of(arena, share)
    ends = {axis: common_end(arena, axis, measured) for axis in axes}
    return {
        "task": arena.task,
        "floor": info.floor,
        "reward_range": list(info.reward_range),
        "target": target,
        "learners": [
            {
                **_learner(side, arena, measured),
                "areas": areas(side, arena.primary, ends, measured),
                "time_to_target": times_to(target, side, arena.primary, axes, measured),
            }
            for side in arena.sides
        ],
    }


def _learner(side: Side, arena: Arena, measured: Mapping[str, Measured]) -> dict[str, Any]:
    found = [measured[record.id] for record in side.records if record.id in measured]
    spent = [record.spent for record in side.records]
    axes = ("episodes", "tokens", "flops", "backward_flops", "computed_flops", "reward_calls")
    base = arena.frozen
    return {
        "learner": side.label,
        "kind": side.kind,
        "note": side.records[0].learner.note,
        "seeds": [record.seed for record in side.records],
        "start": {mode: asdict(mean_t(side.starts(mode).values())) for mode in MODES},
        "end": {mode: asdict(mean_t(side.finals(mode).values())) for mode in MODES},
        # without a frozen run, the start of each run stands for it
        "gain": {
            mode: comparison(paired(side.finals(mode), (base.finals if base else side.starts)(mode))) for mode in MODES
        },
        "gain_over": FROZEN if base else "own start",
        **truths(side.records),
        "beyond": beyond(side, arena.primary),
        "area": asdict(_area(side, arena.primary)),
        "n_steps": mean_t(record.n_steps for record in side.records).mean,
        "chosen_step": mean_t(record.chosen for record in side.records).mean,
        "spent": {axis: mean_t(getattr(one, axis) for one in spent).mean for axis in axes},
        **phases(side.records, measured),
        "peak_rss_bytes": max((one.peak_rss_bytes for one in found), default=None),
    }


def _area(side: Side, mode: Mode) -> Interval:
    """Return the mean height of the learning curve over the budget's own axis, from 0 to the limit."""
    curves = [record.curve(mode) for record in side.records]
    return mean_t(area_under(curve["fraction"], curve["mean"], 1.0) for curve in curves)


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
