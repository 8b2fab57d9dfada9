"""Pictures as SVG: one panel per task, reward against what was spent.

The primary metric is the strong line with a band (t interval over seeds; below 3 seeds the seeds themselves, thin), the
other metric a light one. Where the reward is a proxy, the true reward is a dotted line. Colours and marks are those of
`eggym.drawing`.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from eggym.arena import Arena
from eggym.axes import AXES, Axis
from eggym.curves import Line, lines
from eggym.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    STYLE,
    WIDTH,
    Scale,
    attribute,
    band,
    labels,
    leaders,
    name_of,
    path,
    rewards_axis,
    round_numbers,
    stroke,
    tick_at,
    words_at,
)
from eggym.gap import true_mean
from eggym.record import Measured
from eggym.stats import FEWEST, mean_t
from eggym.wording import amount, short

_EDGE, _GUTTER = 28, 30  # of a sheet: around it, and between panels
_NOTHING = 1e-9  # the width of an axis on which nothing was spent
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


def panel(
    arena: Arena,
    axis: Axis,
    measured: Mapping[str, Measured],
    verdict: tuple[str, str] = ("", "mute"),
    beside: Sequence[Arena] = (),
    light: bool = True,
    seeds: bool = False,
) -> str:
    """Return the drawing of one task as the inside of an ``<svg>`` of WIDTH by HEIGHT.

    Args:
        arena: the task and its runs.
        axis: what the curves run over.
        measured: by id of the record; needed for CPU-seconds only.
        verdict: a few words below the task's name, and the class that colours them.
        beside: the tasks next to it, with which it shares the scale of rewards where their ranges are equal.
        light: draw the metric that does not decide and the bands of controls, too.
        seeds: draw every seed, thin, also where there is a band.
    """
    strong = lines(arena, arena.primary, axis, measured)
    scale = _scale(arena, strong, beside)
    return _head(arena, *verdict) + _still(strong, scale) + _moving(arena, axis, measured, beside, light, seeds)


def layered_svgs(
    arenas: Sequence[Arena],
    axes: Sequence[Axis],
    measured: Mapping[str, Measured],
    verdicts: Sequence[tuple[str, str]],
    light: bool = True,
    seeds: bool = False,
) -> list[str]:
    """Return every task's panel for several axes at once, for a page that shows one axis at a time.

    What changes with the axis is a group of the classes ``on`` and the axis; the page's style shows one of them.
    """
    drawn = []
    for arena, verdict in zip(arenas, verdicts, strict=True):
        strong = lines(arena, arena.primary, axes[0], measured)
        still = _head(arena, *verdict) + _still(strong, _scale(arena, strong, arenas))
        moving = [f'<g class="on {axis}">{_moving(arena, axis, measured, arenas, light, seeds)}</g>' for axis in axes]
        drawn.append(_svg(describe(arena), still + "".join(moving)))
    return drawn


def panel_svgs(
    arenas: Sequence[Arena],
    axis: Axis,
    measured: Mapping[str, Measured],
    verdicts: Sequence[tuple[str, str]],
) -> list[str]:
    """Return every task's panel as an ``<svg>`` for a page that brings `STYLE`."""
    return [
        _svg(describe(arena, axis), panel(arena, axis, measured, verdict, arenas))
        for arena, verdict in zip(arenas, verdicts, strict=True)
    ]


def sheet_svg(panels: Sequence[str], title: str, subtitle: str, label: str, columns: int = 3) -> str:
    """Return panels side by side as one standalone SVG file with a title.

    It brings its own paper, white or dark by the reader's setting, and so stands on any background.
    """
    columns = min(columns, len(panels))
    width = 2 * _EDGE + columns * WIDTH + (columns - 1) * _GUTTER
    rows = textwrap.wrap(title, int((width - 2 * _EDGE) / 9.8))
    heads = [words_at(_EDGE, 42 + 25 * index, row, "ink", 20, weight=650) for index, row in enumerate(rows)]
    below = 42 + 25 * len(rows)
    heads.append(words_at(_EDGE, below, subtitle, "mute", 13))
    placed = [
        f'<g transform="translate({_EDGE + index % columns * (WIDTH + _GUTTER)} '
        f'{below + 26 + index // columns * (HEIGHT + _GUTTER)})">{inside}</g>'
        for index, inside in enumerate(panels)
    ]
    height = below + 26 + -(-len(panels) // columns) * (HEIGHT + _GUTTER) - _GUTTER + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{attribute(label)}"><style>text{{{_FONT}}}{STYLE}</style>'
        f'<rect class="paper" fill="currentColor" width="{width}" height="{height}" rx="6"/>'
        f"{''.join(heads + placed)}</svg>\n"
    )


def describe(arena: Arena, axis: Axis | None = None) -> str:
    """Say in words what a panel shows, for those who cannot see it."""
    ends = [(side.label, mean_t(side.finals(arena.primary).values()).mean) for side in arena.sides]
    said = ", ".join(f"{name} {'unknown' if mean is None else f'{mean:.2f}'}" for name, mean in ends)
    over = AXES[axis] if axis else "what was spent"
    return f"{arena.task}: mean {arena.primary} reward against {over}. At the end: {said}."


def _svg(label: str, inside: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{attribute(label)}">{inside}</svg>'


def _still(strong: Sequence[Line], scale: Scale) -> str:
    """Draw what is the same on every axis of the budget."""
    return rewards_axis(scale) + "".join(labels(strong, scale))


def _moving(
    arena: Arena, axis: Axis, measured: Mapping[str, Measured], beside: Sequence[Arena], light: bool, seeds: bool
) -> str:
    """Draw what runs over one axis."""
    strong = lines(arena, arena.primary, axis, measured)
    other = lines(arena, "sampled" if arena.primary == "greedy" else "greedy", axis, measured) if light else []
    scale = _scale(arena, strong, beside)
    true = lines(arena, arena.primary, axis, measured, truth=True) if _is_proxy(arena) else []
    parts = [_ticks(scale, axis)]
    parts += [path(line.x, line.mean, scale, line.css, 1.2, 0.5) for line in other if not line.flat]
    parts += [band(line, scale) for line in strong if not line.flat and (light or line.side.kind != "control")]
    thin = [line for line in strong if seeds and not line.flat and len(line.seeds) >= FEWEST]
    parts += [path(x, y, scale, line.css, 0.9, 0.55) for line in thin for x, y in line.seeds]
    parts += [stroke(line, scale) for line in sorted(strong, key=lambda line: line.side.kind != "control")]
    parts.append(leaders(strong, scale))
    parts += [path(line.x, line.mean, scale, line.css, 2.2, dots="0.1 4.5") for line in true if not line.flat]
    return "".join(parts)


def _is_proxy(arena: Arena) -> bool:
    return any(true_mean(record.points[-1].greedy) is not None for side in arena.sides for record in side.records)


def _scale(arena: Arena, strong: Sequence[Line], beside: Sequence[Arena]) -> Scale:
    low, high = arena.sides[0].records[0].task.reward_range
    moving = [line for line in strong if not line.flat] or list(strong)
    # a little air above the best point, in tenths of the range
    tenths = np.ceil((_top(low, high, [arena, *beside]) - low) / (high - low) * 10 + 0.7)
    letters = max(len(name_of(line.side.label)) for line in strong)
    x_high = max([_NOTHING, *(float(x[-1]) for line in moving for x, _ in line.seeds)])
    return Scale(x_high, low, min(high, low + float(tenths) / 10 * (high - low)), WIDTH - 46 - 6.2 * letters)


def _top(low: float, high: float, arenas: Sequence[Arena]) -> float:
    """Return the best mean of any seed, true ones too, on tasks of this range: their panels share one scale."""
    records = [record for arena in arenas for side in arena.sides for record in side.records]
    means = [
        value
        for record in records
        if record.task.reward_range == (low, high)
        for point in record.points
        for score in (point.greedy, point.sampled)
        for value in (score.mean, true_mean(score))
        if value is not None
    ]
    return max(means, default=high)


def _head(arena: Arena, verdict: str, css: str) -> str:
    return words_at(0, 18, short(arena.task), "ink", 17, weight=650) + words_at(0, 37, verdict, css, 13, weight=600)


def _ticks(scale: Scale, axis: Axis) -> str:
    parts = []
    ticks = round_numbers(0, scale.x_high, 2)[1:] if scale.x_high > _NOTHING else []
    for tick in ticks:
        parts.append(tick_at(scale, tick, f"{amount(tick)} {AXES[axis]}" if tick == ticks[-1] else amount(tick)))
    parts.append(words_at(LEFT, HEIGHT - BOTTOM + 18, "0", "mute", 11, anchor="middle"))
    return "".join(parts)
