"""Who stands where on a board: ranks that ties share, scores beside their floors, and every pair.

A row is one learner over all tasks of the board. Scores are on one scale, 0: the floor of the task (the best guesser
that ignores the prompt), 1: the largest reward; a seed counts with its mean over tasks. Ranks are those of `ranking`,
and for ES and RL: controls and baselines, which may see what these may not (the oracle, several answers to a test
item), stand beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eggym.arena import Arena
from eggym.many import probability_of_improvement
from eggym.outcome import task_numbers
from eggym.record import Record
from eggym.stats import Value, mean_t

from .headline import headline
from .levels import Level, row_level
from .names import note_of, registered
from .ranking import Pair, pairs_of, ranks_of
from .rules import own_settings
from .table import Table

CONTENDERS = ("es", "rl")  # who is ranked


def standings(table: Table) -> dict[str, Any]:
    """Return the numbers of a table: tasks, rows from the first rank down, and pairs of ranked rows."""
    axes = table.axes
    tasks = [task_numbers(arena, axes, table.measured, table.board.target) for arena in table.arenas]
    scores = {label: _by_seed(table, label) for label in table.labels}
    rows = [_row(table, label, tasks, scores[label]) for label in table.labels]
    ranked = [row["learner"] for row in rows if row["kind"] in CONTENDERS]
    pairs = pairs_of({label: scores[label] for label in ranked})
    ranks = ranks_of(ranked, pairs)
    for row in rows:
        row["rank"] = ranks.get(row["learner"])
    for task, arena in zip(tasks, table.arenas, strict=True):
        _rank_on_task(task, arena, rows)
    rows.sort(key=_order)
    places = {row["learner"]: number for number, row in enumerate(rows)}
    return {
        "division": table.division,
        "primary": table.arenas[0].primary,
        "axes": axes,
        "tasks": [{name: task[name] for name in ("task", "floor", "reward_range", "target")} for task in tasks],
        "rows": rows,
        "pairs": [_told(table, pair) for pair in sorted(pairs, key=lambda pair: (places[pair.a], places[pair.b]))],
        "headline": headline(rows, pairs),
    }


def _row(table: Table, label: str, tasks: Sequence[Mapping[str, Any]], scores: Mapping[int, Value]) -> dict[str, Any]:
    records = table.records(label)
    first, entries = records[0], [table.entries[record.id] for record in records]
    told = {task["task"]: one for task in tasks for one in task["learners"] if one["learner"] == label}
    spans = [(task["floor"], task["reward_range"][1]) for task in tasks if task["task"] in told]
    mode = first.primary
    return {
        "learner": label,
        "kind": first.learner.kind,
        "note": note_of(first),
        "registered": registered(first),
        "own_settings": own_settings(table.board, first),
        "changed_code": any(record.provenance.git_dirty for record in records),
        "by": sorted({entry.manifest.by for entry in entries if entry.manifest.by}),
        "level": _level(table, records),
        "seeds": sorted(scores),
        "score": asdict(mean_t(scores.values())),
        "per_seed": {str(seed): value for seed, value in scores.items()},
        "tasks": {
            name: {
                "mean": one["end"][mode]["mean"],
                "low": one["end"][mode]["low"],
                "high": one["end"][mode]["high"],
                "se_items": _se_items(table, label, name),
                "score": normalised(one["end"][mode]["mean"], *span),
                "numbers": one,
            }
            for (name, one), span in zip(told.items(), spans, strict=True)
        },
        "records": [entry.name for entry in entries],
    }


def _level(table: Table, records: Sequence[Record]) -> Level | None:
    return row_level((record.task.label, table.standings[record.id]) for record in records)


def normalised(mean: float | None, floor: float, high: float) -> float | None:
    """Return a reward on the scale from the floor of its task, 0, to the largest reward, 1."""
    return None if mean is None or high <= floor else (mean - floor) / (high - floor)


def _by_seed(table: Table, label: str) -> dict[int, Value]:
    """Return the mean normalised score over tasks of each seed; None where a task is missing."""
    sides = [table.side(arena, label) for arena in table.arenas]
    found: dict[int, list[Value]] = {}
    for side in sides:
        for record in side.records if side else ():
            value = record.final(record.primary).mean
            score = normalised(value, record.task.floor, record.task.reward_range[1])
            found.setdefault(record.seed, []).append(score)
    return {seed: _mean(values, len(table.arenas)) for seed, values in sorted(found.items())}


def _mean(values: Sequence[Value], n_tasks: int) -> Value:
    known = [value for value in values if value is not None]
    return sum(known) / n_tasks if len(known) == n_tasks else None


def _se_items(table: Table, label: str, task: str) -> float | None:
    """Return the standard error from the choice of items, of a mean over seeds of the same items: a mean of theirs."""
    arena = next(arena for arena in table.arenas if arena.task == task)
    side = table.side(arena, label)
    errors = [record.final(arena.primary).se for record in side.records] if side else []
    known = [one for one in errors if one is not None]
    return sum(known) / len(known) if known else None


def _rank_on_task(task: Mapping[str, Any], arena: Arena, rows: Sequence[dict[str, Any]]) -> None:
    ranked = [side.label for side in arena.sides if side.kind in CONTENDERS]
    finals = {side.label: side.finals(arena.primary) for side in arena.sides if side.kind in CONTENDERS}
    ranks = ranks_of(ranked, pairs_of(finals))
    for row in rows:
        if task["task"] in row["tasks"]:
            row["tasks"][task["task"]]["rank"] = ranks.get(row["learner"])


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    score = row["score"]["mean"]
    return (row["rank"] is None, -1.0 if score is None else -score, row["learner"])


def _told(table: Table, pair: Pair) -> dict[str, Any]:
    a_T_S, b_T_S = ([_values(table, arena, label) for arena in table.arenas] for label in (pair.a, pair.b))
    found = pair.found
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "p": found.p,
        "p_adjusted": pair.p_adjusted,
        "ahead": pair.ahead,
        "probability_of_improvement": asdict(probability_of_improvement(a_T_S, b_T_S)),
    }


def _values(table: Table, arena: Arena, label: str) -> list[Value]:
    side = table.side(arena, label)
    return list(side.finals(arena.primary).values()) if side else []
