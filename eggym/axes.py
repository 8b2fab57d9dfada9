"""What a learning curve runs over, and what is read from it on each axis: mean height and the time to a target.

FLOPs, episodes and tokens repeat from run to run; CPU-seconds and wall seconds were measured, and are there only where
every run has them.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eggym.arena import FROZEN, Arena, Side
from eggym.errors import BadValue
from eggym.record import Measured, Record
from eggym.score import Mode
from eggym.stats import area_under, mean_t, time_to_target

Axis = Literal["flops", "episodes", "tokens", "cpu-s", "s"]
AXES: dict[Axis, str] = {
    "flops": "FLOPs",
    "episodes": "episodes",
    "tokens": "tokens",
    "cpu-s": "CPU-seconds",
    "s": "wall seconds",
}
TARGET = 0.5  # share of the way from the frozen base to the largest reward


def places(record: Record, axis: Axis, measured: Mapping[str, Measured]) -> NDArray[np.float64] | None:
    """Return what was spent in training up to each point of a run; None where it was not measured."""
    if axis not in ("cpu-s", "s"):
        found: NDArray[np.float64] = record.curve("greedy")[axis]
        return found
    if record.id not in measured:
        return None
    one = measured[record.id]
    times = one.cpu_s_at_points if axis == "cpu-s" else one.wall_s_at_points
    return np.array(times) if len(times) == len(record.points) else None


def has_axis(arenas: Sequence[Arena], axis: Axis, measured: Mapping[str, Measured]) -> bool:
    """Is this axis known for every learner that moves?"""
    return all(places(record, axis, measured) is not None for arena in arenas for record in _moving(arena))


def axes_of(arenas: Sequence[Arena], measured: Mapping[str, Measured]) -> list[Axis]:
    """Return the axes that are known for every learner that moves."""
    return [axis for axis in AXES if has_axis(arenas, axis, measured)]


def common_end(arena: Arena, axis: Axis, measured: Mapping[str, Measured]) -> float:
    """Return the place that every run of ES and RL reached on a task; of all that moved, where there are none."""
    contenders = [record for side in arena.sides if side.kind in ("es", "rl") for record in side.records]
    ends = [places(record, axis, measured) for record in contenders or _moving(arena)]
    return min((float(x[-1]) for x in ends if x is not None), default=0.0)


def areas(side: Side, mode: Mode, ends: Mapping[Axis, float], measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Return the mean height of the learning curve on each axis, up to the place that all of ES and RL reached.

    A mean with its t interval over seeds, and ``to``, that place. Learning early counts; nothing is extrapolated. A
    curve that was not evaluated again before that place has no height there: of its steps only the start would count.
    """
    found: dict[str, Any] = {}
    for axis, end in ends.items():
        heights = [
            area_under(x, record.curve(mode)["mean"], end) if (x[1:] < end).any() else None
            for record in side.records
            if (x := places(record, axis, measured)) is not None
        ]
        found[axis] = {"to": end, **asdict(mean_t([] if None in heights else heights))}  # of all seeds, or of none
    return found


def target_of(arena: Arena, share: float = TARGET) -> float | None:
    """Return the reward that counts as learnt: a share of the way from the frozen base to the largest reward.

    Without a frozen run, the mean start stands for it. None: no start could be judged.

    Raises:
        BadValue: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise BadValue(f"target must be a share of the way to the largest reward, above 0 and at most 1, got {share!r}")
    base = arena.frozen
    finals = [base.finals(arena.primary)] if base else [side.starts(arena.primary) for side in arena.sides]
    start = mean_t(value for one in finals for value in one.values()).mean
    high = arena.sides[0].records[0].task.reward_range[1]
    return None if start is None else start + share * (high - start)


def times_to(
    target: float | None, side: Side, mode: Mode, axes: Sequence[Axis], measured: Mapping[str, Measured]
) -> dict[str, Any] | None:
    """Return, on each axis, the first evaluation of every seed at or above a target; None: it was never seen there.

    ``reached`` of ``n`` seeds arrived. ``median`` takes the others for infinite, and is None where it would be that.
    """
    if target is None:
        return None
    found: dict[str, Any] = {}
    for axis in axes:
        curves = [(record.seed, places(record, axis, measured), record.curve(mode)["mean"]) for record in side.records]
        per_seed = {str(seed): time_to_target(x, y, target) for seed, x, y in curves if x is not None}
        arrived = [place for place in per_seed.values() if place is not None]
        found[axis] = {
            "per_seed": per_seed,
            "reached": len(arrived),
            "n": len(per_seed),
            "median": _median(list(per_seed.values())),
        }
    return found


def _median(found: Sequence[float | None]) -> float | None:
    middle = statistics.median(float("inf") if place is None else place for place in found) if found else float("inf")
    return None if middle == float("inf") else middle


def _moving(arena: Arena) -> list[Record]:
    return [record for side in arena.sides for record in side.records if record.learner.name != FROZEN]
