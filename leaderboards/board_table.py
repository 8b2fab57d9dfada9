"""The cells of a board's table: what stands in them and what they are sorted by."""

from collections.abc import Mapping, Sequence
from typing import Any

from eggym.axes import AXES, Axis

from .shown import Shown
from .standing import normalised

KINDS = {"es": "ES", "rl": "RL", "baseline": "baseline", "control": "control"}
_BAR, _AIR = 140, 5  # width of a bar, and what is free at its ends


def columns(shown: Shown, axis: Axis) -> list[dict[str, Any]]:
    """Return the columns that can be sorted: name, what stands above it, and the direction of the first click."""
    tasks = [
        {"key": f"task{place}", "task": task["task"], "name": "", "down": True}
        for place, task in enumerate(shown.found["tasks"], 1)
    ]
    return [
        {"key": "rank", "name": "Rank", "down": False},
        {"key": "learner", "name": "Learner", "down": False},
        {"key": "score", "name": "Score", "down": True},
        *tasks,
        {"key": "area", "name": "Area", "down": True},
        {"key": "spent", "name": AXES[axis], "down": False},
        {"key": "cpu", "name": "CPU s", "down": False},
        {"key": "seeds", "name": "Seeds", "down": True},
        {"key": "level", "name": "Level", "down": True},
    ]


def rows(shown: Shown, axis: Axis) -> list[dict[str, Any]]:
    """Return the table's rows as a page shows them, in their order."""
    ends = [value for row in shown.rows for value in _known(row["score"])]
    span = (min(ends), max(ends)) if ends else (0.0, 1.0)
    return [_row(shown, row, axis, span) for row in shown.rows]


def ranks(found: Sequence[int] | None) -> str:
    """Return a rank, or the first and the last of those that a row may have; a dash for a control."""
    if found is None:
        return "\N{EN DASH}"
    first, last = found
    return str(first) if first == last else f"{first}\N{EN DASH}{last}"


def marks(row: Mapping[str, Any]) -> list[str]:
    """Return what has to be said of a row beside its numbers."""
    own = row["own_settings"]
    return [
        *([f"by {', '.join(row['by'])}"] if row["by"] else []),
        *([f"own settings: {', '.join(own)}"] if own else []),
        *(["changed code"] if row["changed_code"] else []),
        *([] if row["registered"] else ["not registered: its code is not known here"]),
    ]


def area(shown: Shown, row: Mapping[str, Any], axis: Axis) -> float | None:
    """Return the mean height of the learning curves, 0: floor, 1: largest reward; a mean over all tasks."""
    found = []
    for task in shown.found["tasks"]:
        numbers = row["tasks"].get(task["task"], {}).get("numbers")
        mean = numbers["areas"].get(axis, {}).get("mean") if numbers else None
        found.append(normalised(mean, task["floor"], task["reward_range"][1]))
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if len(known) == len(found) else None


def mean_of(row: Mapping[str, Any], *names: str) -> float | None:
    """Return a number of a row's runs, a mean over tasks; None where one is not known."""
    found = []
    for task in row["tasks"].values():
        value: Any = task["numbers"]
        for name in names:
            value = value.get(name)
        found.append(value)
    return sum(found) / len(found) if found and None not in found else None


def _row(shown: Shown, row: Mapping[str, Any], axis: Axis, span: tuple[float, float]) -> dict[str, Any]:
    tasks = [row["tasks"].get(task["task"]) for task in shown.found["tasks"]]
    return {
        "learner": row["learner"],
        "kind": row["kind"],
        "kind_name": KINDS[row["kind"]],
        "page": shown.pages[row["learner"]],
        "rank": row["rank"],
        "ranks": ranks(row["rank"]),
        "rank_key": row["rank"] and row["rank"][0] + row["rank"][1] / 1000,
        "score": row["score"],
        "bar": bar(row["score"], span, f"{row['kind']}0" if row["kind"] != "control" else "ctl"),
        "tasks": [None if task is None else _task(task, axis) for task in tasks],
        "area": area(shown, row, axis),
        "spent": mean_of(row, "spent", axis),
        "cpu": mean_of(row, "cpu_s"),
        "seeds": len(row["seeds"]),
        "level": row["level"],
        "marks": marks({**row, "by": []} if shown.everyone else row),
        "note": row["note"],
    }


def _task(task: Mapping[str, Any], axis: Axis) -> dict[str, Any]:
    arrived = (task["numbers"]["time_to_target"] or {}).get(axis)
    return {
        "mean": task["mean"],
        "low": task["low"],
        "high": task["high"],
        "ranks": ranks(task.get("rank")),
        "ranked": task.get("rank") is not None,
        "target": arrived["median"] if arrived else None,
        "arrived": f"{arrived['reached']} of {arrived['n']}" if arrived else "",
    }


def bar(found: Mapping[str, Any], span: tuple[float, float], css: str) -> str:
    """Draw a mean with its interval on a scale that all rows of the column share, with a mark at the floor, 0."""
    low, high = span
    if found["mean"] is None:
        return ""

    def x(value: float) -> float:
        return _AIR + (value - low) / ((high - low) or 1.0) * (_BAR - 2 * _AIR)

    parts = [f'<path class="rule" d="M0 7h{_BAR}"/>']
    if low <= 0 <= high:
        parts.append(f'<path class="mute" d="M{x(0):.1f} 1v12"/>')
    if found["low"] is not None:
        parts.append(f'<path class="ci" d="M{x(found["low"]):.1f} 7H{x(found["high"]):.1f}"/>')
    parts.append(f'<circle cx="{x(found["mean"]):.1f}" cy="7" r="3"/>')
    return f'<svg class="bar {css}" viewBox="0 0 {_BAR} 14" aria-hidden="true">{"".join(parts)}</svg>'


def _known(score: Mapping[str, Any]) -> list[float]:
    return [score[name] for name in ("mean", "low", "high") if score[name] is not None]
