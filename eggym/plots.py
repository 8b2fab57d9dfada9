"""Small plots of a report beside its learning curves: performance profiles and pass@k."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eggym.arena import Arena
from eggym.curves import shades
from eggym.drawing import (
    BOTTOM,
    HEIGHT,
    TOP,
    WIDTH,
    Scale,
    apart,
    attribute,
    name_of,
    path,
    rewards_axis,
    tick_at,
    words_at,
)
from eggym.wording import short

_START = "1.5 4"  # pattern of what was before training
_LETTER = 6.2  # width of a letter of a label


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot; places are in [0, 1] from left to right."""

    label: str
    css: str
    x: Sequence[float]
    y: Sequence[float]
    dots: str = ""


def profile_svg(overall: Mapping[str, Any], arenas: Sequence[Arena]) -> str | None:
    """Return the performance profiles: per learner the share of runs on all tasks that score above tau.

    None below two tasks: there the curve of one task says more.
    """
    if len(arenas) < 2 or not overall["learners"]:
        return None
    css = shades(arenas[0].sides)
    series = [
        Series(one["learner"], css[one["learner"]], overall["taus"], shares)
        for one in overall["learners"]
        if None not in (shares := [place["share"] for place in one["profile"]])
    ]
    ticks = [(place, f"{place:g}") for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
    label = f"Performance profiles over {len(arenas)} tasks"
    return _plot(label, "share of runs above a reward, 0: least, 1: largest", series, ticks)


def pass_at_svgs(tasks: Sequence[Mapping[str, Any]], arenas: Sequence[Arena]) -> list[str]:
    """Return a plot of pass@k for every task where it was asked for: before (dotted) and after (solid)."""
    return [
        _plot(short(arena.task), "pass@k against k; dotted: before training", *_lines(told, arena))
        for task, arena in zip(tasks, arenas, strict=True)
        if (told := [one for one in task["learners"] if len(one["beyond"]["pass_at"]) > 1])
    ]


def _lines(told: Sequence[Mapping[str, Any]], arena: Arena) -> tuple[list[Series], list[tuple[float, str]]]:
    css = shades(arena.sides)
    ks = sorted({int(k) for one in told for k in one["beyond"]["pass_at"]})
    reach = np.log2(max(ks)) or 1.0
    place = {k: float(np.log2(k) / reach) for k in ks}
    series = []
    for one in told:
        for when, dots in (("start", _START), ("end", "")):
            means = {int(k): found[when]["mean"] for k, found in one["beyond"]["pass_at"].items() if found is not None}
            known = {place[k]: mean for k, mean in sorted(means.items()) if mean is not None}
            label = one["learner"] if when == "end" else ""
            series.append(Series(label, css[one["learner"]], list(known), list(known.values()), dots))
    return series, [(place[k], f"{k}") for k in ks]


def _plot(title: str, subtitle: str, series: Sequence[Series], ticks: Sequence[tuple[float, str]]) -> str:
    letters = max((len(name_of(one.label)) for one in series), default=0)
    scale = Scale(1.0, 0.0, 1.0, WIDTH - 22 - _LETTER * letters)
    parts = [words_at(0, 18, title, "ink", 17, weight=650), words_at(0, 37, subtitle, "mute", 13), rewards_axis(scale)]
    parts += [tick_at(scale, place, words) for place, words in ticks]
    for one in series:
        parts.append(path(np.array(one.x), np.array(one.y), scale, one.css, 2.2, dots=one.dots))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{attribute(_told(title, series))}">'
        f"{''.join([*parts, *_names(series, scale)])}</svg>"
    )


def _names(series: Sequence[Series], scale: Scale) -> list[str]:
    """Name the lines in the order in which they stand most of the way, moved apart where they would touch."""
    named = sorted((one for one in series if one.label and one.y), key=lambda one: (-one.y[-1], -sum(one.y)))
    places = apart([scale.y(one.y[-1]) for one in named], TOP + 4, HEIGHT - BOTTOM - 2)
    return [
        words_at(scale.right + 10, place + 4, name_of(one.label), one.css, 12)
        for one, place in zip(named, places, strict=True)
    ]


def _told(title: str, series: Sequence[Series]) -> str:
    ends = [f"{one.label} from {one.y[0]:.2f} to {one.y[-1]:.2f}" for one in series if one.label and one.y]
    return f"{title}: {', '.join(ends)}."
