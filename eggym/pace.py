"""How fast a run goes, read from outside: its steps are written with no time, but the shard of each has one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eggym.folder import shard_name

_BUDGET = re.compile(r"(?P<limit>[0-9.]+(?:e[+-]?[0-9]+)?)(?P<axis>[a-z-]+)")
_MEASURED = ("s", "cpu-s")  # axes that a step's line does not tell


@dataclass(frozen=True, slots=True)
class Pace:
    """Over the last steps of this session, the evaluations among them included."""

    steps: int  # how many it was measured over
    steps_per_s: float
    episodes_per_s: float
    left_s: float | None  # until the budget is spent, at this pace; None: it cannot be said


def limit_of(budget: str) -> tuple[str, float] | None:
    """Return axis and limit of a budget as ``config.json`` has it, in the unit of the axis; None: it is none.

    >>> limit_of("4000episodes"), limit_of("2e11flops"), limit_of("90s")
    (('episodes', 4000.0), ('flops', 200000000000.0), ('s', 90.0))
    """
    match = _BUDGET.fullmatch(budget)
    try:
        return (match["axis"], float(match["limit"])) if match and float(match["limit"]) > 0 else None
    except ValueError:
        return None


def spent_on(axis: str, spent: Mapping[str, Any]) -> float | None:
    """Return what was spent on an axis; None: a step does not tell."""
    if axis == "tokens":
        return float(sum(spent.get(name, 0) for name in ("prompt_tokens", "action_tokens", "env_tokens")))
    return float(spent[axis]) if axis in spent else None


def pace(folder: Path, lines: Sequence[Mapping[str, Any]], since: float, budget: str) -> Pace | None:
    """Return the pace over some steps, as far as they were made since a time; None: too few were.

    Args:
        folder: of the run.
        lines: of its last steps.
        since: when the process began that carries it out.
        budget: as its configuration has it.
    """
    timed = [(at, line) for line in lines if (at := _written(folder, line["step"])) is not None and at >= since]
    if len(timed) < 2 or timed[-1][0] <= timed[0][0]:
        return None
    (began, first), (ended, last) = timed[0], timed[-1]
    seconds = ended - began
    episodes = last["spent"]["episodes"] - first["spent"]["episodes"]
    left = _left(budget, first["spent"], last["spent"], seconds)
    return Pace(len(timed), (len(timed) - 1) / seconds, episodes / seconds, left)


def _left(budget: str, first: Mapping[str, Any], last: Mapping[str, Any], seconds: float) -> float | None:
    found = limit_of(budget)
    if found is None or found[0] in _MEASURED:
        return None
    axis, limit = found
    before, after = spent_on(axis, first), spent_on(axis, last)
    if before is None or after is None or after <= before:
        return None
    return max(0.0, limit - after) * seconds / (after - before)


def _written(folder: Path, step: int) -> float | None:
    try:
        return (folder / shard_name(step)).stat().st_mtime
    except OSError:
        return None
