"""Who stands where on a board: ranks that ties share, scores beside their floors, and every pair.

A row is one learner over all tasks of the board. Scores are on one scale, 0: the floor of the task (the best guesser
that ignores the prompt), 1: the largest reward; a seed counts with its mean over tasks. Two rows differ if the paired t
interval over seeds excludes zero and so does p after Holm's adjustment over all pairs of the table. A row's rank is 1 +
the number of rows that are ahead of it in this sense, so rows that cannot be told apart share ranks; the last rank that
it may have is the number of rows less those it is ahead of. Ranks are for ES and RL: controls and baselines, which may
see what these may not (the oracle, several answers to a test item), stand beside them.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from eggym.arena import Arena, Side, arrange
from eggym.axes import Axis, axes_of
from eggym.many import holm, probability_of_improvement
from eggym.outcome import task_numbers
from eggym.record import Measured, Record
from eggym.stats import Comparison, Value, mean_t, paired

from .board import Board
from .levels import Level, Standing, row_level
from .names import note_of, registered
from .rules import own_settings
from .stored import Entry

LEVEL = 0.95
CONTENDERS = ("es", "rl")  # who is ranked


@dataclass(frozen=True)
class Table:
    """The records of a board that are ranked together, arranged."""

    board: Board
    division: str  # empty, or the user's own model
    entries: dict[str, Entry]  # by the id of the record
    standings: dict[str, Standing]
    arenas: list[Arena]
    measured: dict[str, Measured]

    @classmethod
    def of(cls, board: Board, division: str, found: Sequence[tuple[Entry, Standing]]) -> "Table":
        """Arrange records, tasks in the board's order.

        Raises:
            BadValue: they cannot be compared.
        """
        entries = {entry.record.id: entry for entry, _ in found}
        standings = {entry.record.id: standing for entry, standing in found}
        place = {label: number for number, label in enumerate(board.labels)}
        records = sorted((entry.record for entry in entries.values()), key=lambda one: place[one.task.label])
        measured = {name: one for name, entry in entries.items() if (one := entry.measured) is not None}
        return cls(board, division, entries, standings, arrange(records), measured)

    @cached_property
    def labels(self) -> list[str]:
        """The learners of the table."""
        return list(dict.fromkeys(side.label for arena in self.arenas for side in arena.sides))

    @cached_property
    def axes(self) -> list[Axis]:
        """The axes of the budget that every run knows."""
        return axes_of(self.arenas, self.measured)

    def side(self, arena: Arena, label: str) -> Side | None:
        """Return one learner on one task."""
        return self._sides[arena.task].get(label)

    def records(self, label: str) -> list[Record]:
        """Return all runs of one learner, by task, then by seed."""
        sides = [self.side(arena, label) for arena in self.arenas]
        return [record for side in sides if side for record in side.records]

    @cached_property
    def _sides(self) -> dict[str, dict[str, Side]]:
        return {arena.task: {side.label: side for side in arena.sides} for arena in self.arenas}


def standings(table: Table) -> dict[str, Any]:
    """Return the numbers of a table: tasks, rows from the first rank down, and pairs of ranked rows."""
    axes = table.axes
    tasks = [task_numbers(arena, axes, table.measured, table.board.target) for arena in table.arenas]
    scores = {label: _by_seed(table, label) for label in table.labels}
    rows = [_row(table, label, tasks, scores[label]) for label in table.labels]
    ranked = [row["learner"] for row in rows if row["kind"] in CONTENDERS]
    pairs = _pairs({label: scores[label] for label in ranked})
    ranks = _ranks(ranked, pairs)
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


def headline(rows: Sequence[Mapping[str, Any]], pairs: Sequence["Pair"]) -> str:
    """Say in one or two sentences what came out."""
    ranked = [row for row in rows if row["rank"] is not None]
    if not ranked:
        return "Nobody of ES or RL stands here yet."
    best = max(ranked, key=lambda row: -1.0 if row["score"]["mean"] is None else row["score"]["mean"])
    first = [row["learner"] for row in ranked if row["rank"][0] == 1]
    kinds = {row["learner"]: row["kind"] for row in ranked}
    against = [pair for pair in pairs if {kinds[pair.a], kinds[pair.b]} == {"es", "rl"}]
    ahead = {kind: sum(kinds[pair.ahead] == kind for pair in against if pair.ahead) for kind in ("es", "rl")}
    if len(first) == 1:
        said = f"{first[0]} is ahead of everyone else."
    elif len(ranked) == len(first):
        said = f"None of the {len(ranked)} learners can be told from all others; {best['learner']} has the best mean."
    else:
        said = f"{', '.join(first[:-1])} and {first[-1]} share the first rank."
    if not against:
        return said
    open_ = len(against) - ahead["es"] - ahead["rl"]
    return (
        f"{said} Of {len(against)} pair{'s' * (len(against) != 1)} of ES and RL, ES is ahead in {ahead['es']}, "
        f"RL in {ahead['rl']}, and {open_} {'is' if open_ == 1 else 'are'} not resolved."
    )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two learners of a table over all its tasks."""

    a: str
    b: str
    found: Comparison  # a - b
    p_adjusted: float | None
    ahead: str | None  # the label of the one that is ahead; None: not resolved


def _pairs(scores: Mapping[str, Mapping[int, Value]]) -> list[Pair]:
    found = {(a, b): paired(scores[a], scores[b]) for a, b in itertools.combinations(scores, 2)}
    keys = {f"{place:08d}": key for place, key in enumerate(found)}
    adjusted = holm({name: found[key].p for name, key in keys.items()})
    pairs = []
    for name, (a, b) in keys.items():
        one, p = found[a, b], adjusted.get(name)
        passed = p is not None and p < 1 - LEVEL and one.resolved is not None
        ahead = {"a": a, "b": b}[one.resolved or "a"] if passed else None
        pairs.append(Pair(a, b, one, p, ahead))
    return pairs


def _ranks(ranked: Sequence[str], pairs: Sequence[Pair]) -> dict[str, list[int]]:
    """Return the first and the last rank that each row may have."""
    ahead = dict.fromkeys(ranked, 0)
    behind = dict.fromkeys(ranked, 0)
    for pair in pairs:
        if pair.ahead is not None:
            ahead[pair.ahead] += 1
            behind[pair.b if pair.ahead == pair.a else pair.a] += 1
    return {label: [1 + behind[label], len(ranked) - ahead[label]] for label in ranked}


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
    ranks = _ranks(ranked, _pairs(finals))
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
