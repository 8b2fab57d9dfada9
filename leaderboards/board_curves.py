"""Which learning curves a board's page draws, and the numbers behind them.

A picture with thirty lines tells nothing. Up to ten rows are all drawn; of more, eight: the first ranked ones, the best
baseline, the frozen base, and the best of the other controls, which is hardest to beat.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eggym.arena import Arena
from eggym.axes import AXES, Axis
from eggym.overall import overall
from eggym.picture import layered_svgs
from eggym.plots import profile_svg
from eggym.stats import mean_t, on_grid

from .board import FROZEN
from .shown import Shown

MOST, OF_MORE = 10, 8  # curves of a picture, and of one that leaves some out
_SECONDS = "s"  # wall time depends on what else a machine does: no axis of a board
_SHARES = (0.0, 0.25, 0.5, 0.75)  # of the budget; the end that counts comes behind them


def drawn(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the labels of the learners that are drawn, in the order of the rows."""
    if len(rows) <= MOST:
        return [row["learner"] for row in rows]
    beside = [row for row in rows if row["rank"] is None and row["learner"] != FROZEN]
    best = [next((row["learner"] for row in beside if row["kind"] == kind), FROZEN) for kind in ("baseline", "control")]
    wanted = {*best, FROZEN}
    ranked = [row["learner"] for row in rows if row["rank"] is not None][: OF_MORE - len(wanted)]
    return [row["learner"] for row in rows if row["learner"] in wanted.union(ranked)]


def only(arenas: Sequence[Arena], labels: Sequence[str]) -> list[Arena]:
    """Return the tasks with these learners alone."""
    return [Arena(arena.task, tuple(side for side in arena.sides if side.label in labels)) for arena in arenas]


def curves(shown: Shown, first: Axis) -> dict[str, Any]:
    """Return what a page shows of the learning curves of a table.

    Args:
        shown: the table.
        first: the axis that is open at first, that of the budget.
    """
    labels = drawn(shown.rows)
    arenas = [arena for arena in only(shown.table.arenas, labels) if arena.sides]
    axes = [axis for axis in shown.table.axes if axis != _SECONDS]
    verdicts = [_best(shown, arena) for arena in arenas]
    profile = profile_svg(overall(arenas), arenas) if arenas else None
    return {
        "axes": [(axis, AXES[axis]) for axis in axes],
        "panels": layered_svgs(arenas, axes, shown.table.measured, verdicts, light=False),
        "first": first if first in axes else axes[0],
        "profile": profile,
        "drawn": len(labels),
        "left_out": len(shown.rows) - len(labels),
        "kinds": sorted({side.kind for arena in arenas for side in arena.sides}),
        "numbers": [{"task": arena.task, "rows": _numbers(arena)} for arena in arenas],
        "shares": [f"{share:.0%}".replace("%", " %") for share in _SHARES],
    }


def _best(shown: Shown, arena: Arena) -> tuple[str, str]:
    """Return who shares the first rank on one task, and the class that colours it."""
    first = [row for row in shown.rows if (row["tasks"].get(arena.task, {}).get("rank") or [0])[0] == 1]
    if not first:
        return "", "mute"
    if len(first) == 1:
        kind = first[0]["kind"]
        return f"{first[0]['learner']} is ahead", f"{kind}0" if kind != "control" else "ctl"
    return f"{len(first)} share the first rank", "mute"


def _numbers(arena: Arena) -> list[tuple[str, list[float | None]]]:
    found = []
    for side in arena.sides:
        curves = [record.curve(arena.primary) for record in side.records]
        read = np.array([on_grid(curve["fraction"], curve["mean"], _SHARES) for curve in curves])
        means = [mean_t(column).mean for column in read.T.tolist()]
        found.append((side.label, [*means, mean_t(side.finals(arena.primary).values()).mean]))
    return found
