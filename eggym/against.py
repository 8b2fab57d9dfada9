"""One task at several values of one option: the reward that was reached, against that option.

A horizon, a level, a number of steps: where a duel holds a task more than once and its runs differ in one number alone,
a panel shows what became of every learner as that number grows. Places are equally far apart, whatever the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eggym.arena import Arena, Side
from eggym.curves import Line, shades
from eggym.drawing import HEIGHT, WIDTH, Scale, attribute, band, labels, rewards_axis, stroke, tick_at, words_at
from eggym.score import Mode
from eggym.stats import mean_t
from eggym.task import label_of
from eggym.wording import short

_FIRST = 0.15  # place of the first value; the others are 1 apart


@dataclass(frozen=True, slots=True)
class Ladder:
    """One task at several values of an option, in ascending order."""

    task: str  # its label without that option
    option: str
    values: tuple[float, ...]
    arenas: tuple[Arena, ...]


class _Reached(Line):
    """What a learner reached at each value; the frozen base is a line like the others here."""

    @property
    def flat(self) -> bool:
        return False


def ladders(arenas: Sequence[Arena]) -> list[Ladder]:
    """Return every task that was run at two or more values of one number and is otherwise the same."""
    found: dict[tuple[str, str], dict[float, Arena]] = {}
    for arena in arenas:
        info = arena.sides[0].records[0].task
        for name, value in info.difficulty.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                rest = {key: other for key, other in info.difficulty.items() if key != name}
                found.setdefault((label_of(info.id, rest), name), {})[value] = arena
    return [
        Ladder(task, name, tuple(sorted(rungs)), tuple(rungs[value] for value in sorted(rungs)))
        for (task, name), rungs in found.items()
        if len(rungs) > 1
    ]


def ladder_panel(ladder: Ladder) -> str:
    """Return the drawing of a ladder as the inside of an ``<svg>`` of WIDTH by HEIGHT."""
    reached = _lines(ladder)
    low, high = ladder.arenas[0].sides[0].records[0].task.reward_range
    best = max([value for line in reached for value in line.mean if np.isfinite(value)], default=high)
    tenths = np.ceil((best - low) / (high - low) * 10 + 0.7)
    letters = max(len(line.side.label) for line in reached)
    top = min(high, low + float(tenths) / 10 * (high - low))
    scale = Scale(_FIRST + len(ladder.values) - 1, low, top, WIDTH - 46 - 6.2 * min(letters, 14))
    primary = ladder.arenas[0].primary
    parts = [
        words_at(0, 18, short(ladder.task), "ink", 17, weight=650),
        words_at(0, 37, f"{primary} reward at the end, against {ladder.option}", "mute", 13),
        rewards_axis(scale),
    ]
    last = len(ladder.values) - 1
    for place, value in enumerate(ladder.values):
        parts.append(tick_at(scale, _FIRST + place, f"{value:g}" + (f" {ladder.option}" if place == last else "")))
    parts += [band(line, scale) for line in reached]
    parts += [stroke(line, scale) for line in sorted(reached, key=lambda line: line.side.kind != "control")]
    return "".join(parts + labels(reached, scale))


def ladder_svgs(arenas: Sequence[Arena]) -> list[str]:
    """Return the panel of every ladder as an ``<svg>`` for a page that brings the styles of `eggym.drawing`."""
    return [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{attribute(describe_ladder(one))}">'
        f"{ladder_panel(one)}</svg>"
        for one in ladders(arenas)
    ]


def describe_ladder(ladder: Ladder) -> str:
    """Say in words what a panel shows, for those who cannot see it."""
    said = [
        f"{line.side.label} " + ", ".join("unknown" if np.isnan(value) else f"{value:.2f}" for value in line.mean)
        for line in _lines(ladder)
    ]
    values = ", ".join(f"{value:g}" for value in ladder.values)
    primary = ladder.arenas[0].primary
    return f"{ladder.task}: mean {primary} reward at the end at {ladder.option} {values}: {'; '.join(said)}."


def ladder_rows(arenas: Sequence[Arena]) -> list[dict[str, Any]]:
    """Return the numbers of every ladder, for JSON: per learner and value the mean and its interval over seeds."""
    return [
        {
            "task": ladder.task,
            "option": ladder.option,
            "values": list(ladder.values),
            "learners": {
                line.side.label: [_known(line, place) for place in range(len(ladder.values))] for line in _lines(ladder)
            },
        }
        for ladder in ladders(arenas)
    ]


def _known(line: Line, place: int) -> dict[str, float | None]:
    numbers = {"mean": line.mean[place], "low": line.low[place], "high": line.high[place]}
    return {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}


def _lines(ladder: Ladder) -> list[Line]:
    """Return one line for every learner that was run at all values."""
    everywhere: Mapping[str, list[Side]] = {
        side.label: [other for arena in ladder.arenas for other in arena.sides if other.label == side.label]
        for side in ladder.arenas[0].sides
    }
    css = shades(ladder.arenas[0].sides)
    return [
        _line(sides, css[label], ladder.arenas[0].primary)
        for label, sides in everywhere.items()
        if len(sides) == len(ladder.arenas)
    ]


def _line(sides: Sequence[Side], css: str, mode: Mode) -> Line:
    places = _FIRST + np.arange(len(sides), dtype=float)
    over = [mean_t(side.finals(mode).values()) for side in sides]
    mean, low, high = (np.array([getattr(one, name) for one in over], dtype=float) for name in ("mean", "low", "high"))
    finals = [side.finals(mode) for side in sides]
    shared = set.intersection(*(set(one) for one in finals))
    seeds = [(places, np.array([one[seed] for one in finals], dtype=float)) for seed in sorted(shared)]
    return _Reached(sides[0], css, places, mean, low, high, tuple(seeds))
