"""Learning curves over seeds: mean reward with its interval against what was spent, on any axis of the budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eggym.arena import FROZEN, Arena, Side
from eggym.axes import Axis, places
from eggym.gap import true_mean
from eggym.record import Measured, Record
from eggym.score import Mode
from eggym.stats import mean_t

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]  # places and values
_GRID_POINTS = 40
SHADES, DASHES = 4, 3  # of each kind, and patterns of lines, in `eggym.drawing.STYLE`


@dataclass(frozen=True, slots=True)
class Line:
    """One learner's curve over seeds; ``low`` and ``high`` are NaN where there is no interval."""

    side: Side
    css: str
    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    seeds: tuple[Curve, ...]

    @property
    def flat(self) -> bool:
        """Is it the control that never changes, or a baseline that trains nothing?"""
        return self.side.records[0].learner.name == FROZEN or (self.side.kind == "baseline" and len(self.x) == 1)


def lines(arena: Arena, mode: Mode, axis: Axis, measured: Mapping[str, Measured], truth: bool = False) -> list[Line]:
    """Return the curves of everyone on one task; a learner without numbers on this axis is left out.

    ``truth``: of the true reward instead, where the reward is a proxy; NaN where it is none.
    """
    css = shades(arena.sides)
    found = [_line(side, css[side.label], mode, axis, measured, truth) for side in arena.sides]
    return [line for line in found if line is not None]


def shades(sides: Sequence[Side]) -> dict[str, str]:
    """Return the classes that colour every learner: by its kind, four shades in turn; controls have one.

    From the fifth of a kind on, lines have a pattern too (``dash1`` and so on), so that no two look alike.
    """
    count = {"es": 0, "rl": 0, "baseline": 0, "control": 0}
    found: dict[str, str] = {}
    for side in sides:
        again, shade = divmod(count[side.kind], SHADES)
        dash = f" dash{1 + (again - 1) % DASHES}" if again else ""
        found[side.label] = "ctl" if side.kind == "control" else f"{side.kind}{shade}{dash}"
        count[side.kind] += 1
    return found


def _ys(record: Record, mode: Mode, truth: bool) -> NDArray[np.float64]:
    if not truth:
        return record.curve(mode)["mean"]
    found = [true_mean(point.greedy if mode == "greedy" else point.sampled) for point in record.points]
    return np.array(found, dtype=np.float64)


def _line(side: Side, css: str, mode: Mode, axis: Axis, measured: Mapping[str, Measured], truth: bool) -> Line | None:
    seeds = [(places(record, axis, measured), _ys(record, mode, truth)) for record in side.records]
    known = [(x, y) for x, y in seeds if x is not None]
    if side.records[0].learner.name == FROZEN:
        known = [(np.zeros(1), y[-1:]) for _, y in seeds]
    if not known:
        return None
    if len({len(x) for x, _ in known}) == 1:  # evaluated at the same shares of the budget: average point by point
        x, ys = np.mean([x for x, _ in known], axis=0), np.array([y for _, y in known])
    else:
        x, ys = _on_common_grid(known)
    found = [mean_t(column) for column in ys.T.tolist()]
    mean, low, high = (np.array([getattr(one, name) for one in found], dtype=float) for name in ("mean", "low", "high"))
    return Line(side, css, x, mean, low, high, tuple(known))


def _on_common_grid(known: Sequence[Curve]) -> Curve:
    """Join the points by straight lines where all are known; one more point, the mean end, keeps what longer ones
    reach.

    For the eye alone: areas are computed from steps.
    """
    x = np.linspace(max(x[0] for x, _ in known), min(x[-1] for x, _ in known), _GRID_POINTS)
    ys = np.array([[*np.interp(x, own, y), y[-1]] for own, y in known])
    return np.append(x, np.mean([own[-1] for own, _ in known])), ys
