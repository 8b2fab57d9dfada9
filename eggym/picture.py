"""Pictures as SVG: one panel per task, reward against what was spent.

ES is blue, RL orange, controls grey; the frozen base is a dashed line. The primary metric is the strong line with a
band (t interval over seeds; below 3 seeds the seeds themselves, thin), the other metric a light one. Where the reward
is a proxy, the true reward is a dotted line. Colours come from classes, so that a page can follow light and
dark. Nothing here is interactive, and nothing is fetched.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from eggym.arena import Arena
from eggym.axes import AXES, Axis
from eggym.curves import Line, lines
from eggym.gap import true_mean
from eggym.record import Measured
from eggym.stats import FEWEST, mean_t
from eggym.wording import amount, short

WIDTH, HEIGHT = 380, 292
_LEFT, _TOP, _BOTTOM = 30, 62, 30  # margins around the plot; the right one depends on the labels
_LABEL_GAP = 15.0  # between the baselines of two labels
_EDGE, _GUTTER = 28, 30  # of a sheet: around it, and between panels
_NOTHING = 1e-9  # the width of an axis on which nothing was spent
_LONGEST_LABEL = 14  # characters

# Blue and orange stay apart for every common colour blindness, and in grey print by marker and label.
STYLE = """
.es0{color:#0b64b0}.es1{color:#4f9bd9}.es2{color:#073f70}
.rl0{color:#c4500c}.rl1{color:#e58a4e}.rl2{color:#833305}
.ctl{color:#7b828c}.ink{color:#20242a}.mute{color:#666d76}.rule{color:#dfe3e8}.halo{stroke:#fff}.paper{color:#fff}
@media (prefers-color-scheme:dark){
.es0{color:#5fb0f5}.es1{color:#2f7fc4}.es2{color:#a9d4fb}
.rl0{color:#f2935a}.rl1{color:#c4662c}.rl2{color:#f9c3a0}
.ctl{color:#8e96a1}.ink{color:#e8eaed}.mute{color:#9aa2ad}.rule{color:#2c323a}.halo{stroke:#14171b}.paper{color:#14171b}}
""".strip()
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Scale:
    """From data to the panel's own units."""

    x_high: float
    y_low: float
    y_high: float
    right: float  # where the plot ends and the labels begin

    def x(self, value: float) -> float:
        """Return the place of an amount spent."""
        return _LEFT + value / self.x_high * (self.right - _LEFT)

    def y(self, value: float) -> float:
        """Return the place of a reward; larger is higher up."""
        return HEIGHT - _BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - _TOP - _BOTTOM)


def panel(
    arena: Arena,
    axis: Axis,
    measured: Mapping[str, Measured],
    verdict: tuple[str, str] = ("", "mute"),
    beside: Sequence[Arena] = (),
) -> str:
    """Return the drawing of one task as the inside of an ``<svg>`` of WIDTH by HEIGHT.

    Args:
        arena: the task and its runs.
        axis: what the curves run over.
        measured: by id of the record; needed for CPU-seconds only.
        verdict: a few words below the task's name, and the class that colours them.
        beside: the tasks next to it, with which it shares the scale of rewards where their ranges are equal.
    """
    strong = lines(arena, arena.primary, axis, measured)
    light = lines(arena, "sampled" if arena.primary == "greedy" else "greedy", axis, measured)
    scale = _scale(arena, strong, beside)
    true = lines(arena, arena.primary, axis, measured, truth=True)
    parts = [_head(arena, *verdict), _axes(scale, axis)]
    parts += [_path(line.x, line.mean, scale, line.css, 1.2, 0.5) for line in light if not line.flat]
    parts += [band(line, scale) for line in strong if not line.flat]
    parts += [stroke(line, scale) for line in sorted(strong, key=lambda line: line.side.kind != "control")]
    parts += labels(strong, scale)
    parts += [_path(line.x, line.mean, scale, line.css, 2.2, dots="0.1 4.5") for line in true if not line.flat]
    return "".join(parts)


def panel_svgs(
    arenas: Sequence[Arena], axis: Axis, measured: Mapping[str, Measured], verdicts: Sequence[tuple[str, str]]
) -> list[str]:
    """Return every task's panel as an ``<svg>`` for a page that brings `STYLE`."""
    return [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(describe(arena, axis), quote=True)}">'
        f"{panel(arena, axis, measured, verdict, arenas)}</svg>"
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
        f'role="img" aria-label="{escape(label, quote=True)}"><style>text{{{_FONT}}}{STYLE}</style>'
        f'<rect class="paper" fill="currentColor" width="{width}" height="{height}" rx="6"/>'
        f"{''.join(heads + placed)}</svg>\n"
    )


def describe(arena: Arena, axis: Axis) -> str:
    """Say in words what a panel shows, for those who cannot see it."""
    ends = [(side.label, mean_t(side.finals(arena.primary).values()).mean) for side in arena.sides]
    said = ", ".join(f"{name} {'unknown' if mean is None else f'{mean:.2f}'}" for name, mean in ends)
    return f"{arena.task}: mean {arena.primary} reward against {AXES[axis]}. At the end: {said}."


def _scale(arena: Arena, strong: Sequence[Line], beside: Sequence[Arena]) -> Scale:
    low, high = arena.sides[0].records[0].task.reward_range
    moving = [line for line in strong if not line.flat] or list(strong)
    # a little air above the best point, in tenths of the range
    tenths = np.ceil((_top(low, high, [arena, *beside]) - low) / (high - low) * 10 + 0.7)
    letters = max(len(_name(line.side.label)) for line in strong)
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


def rewards_axis(scale: Scale) -> str:
    """Return the lines across a panel, with the rewards that they stand for."""
    parts = []
    for tick in _ticks(scale.y_low, scale.y_high, 3):
        y = scale.y(tick)
        parts.append(f'<path class="rule" stroke="currentColor" d="M{_LEFT} {y:.1f}H{scale.right:.1f}"/>')
        parts.append(words_at(_LEFT - 6, y + 4, f"{tick:g}", "mute", 11, anchor="end"))
    return "".join(parts)


def _axes(scale: Scale, axis: Axis) -> str:
    parts = [rewards_axis(scale)]
    ticks = _ticks(0, scale.x_high, 2)[1:] if scale.x_high > _NOTHING else []
    for tick in ticks:
        parts.append(tick_at(scale, tick, f"{amount(tick)} {AXES[axis]}" if tick == ticks[-1] else amount(tick)))
    parts.append(words_at(_LEFT, HEIGHT - _BOTTOM + 18, "0", "mute", 11, anchor="middle"))
    return "".join(parts)


def tick_at(scale: Scale, value: float, words: str) -> str:
    """Return a mark on the lower edge of a panel, with its words below."""
    bottom = HEIGHT - _BOTTOM
    mark = f'<path class="mute" stroke="currentColor" d="M{scale.x(value):.1f} {bottom}v4"/>'
    return words_at(scale.x(value), bottom + 18, words, "mute", 11, anchor="middle") + mark


def stroke(line: Line, scale: Scale) -> str:
    """Return a line with the mark at its end; the control that never changes is dashed, all across."""
    if line.flat:
        y = scale.y(float(line.mean[-1])) if np.isfinite(line.mean[-1]) else None
        dash = 'stroke="currentColor" stroke-width="1.4" stroke-dasharray="5 4"'
        return "" if y is None else f'<path class="{line.css}" {dash} d="M{_LEFT} {y:.1f}H{scale.right:.1f}"/>'
    wide = 1.5 if line.side.kind == "control" else 2.6
    thin = [_path(x, y, scale, line.css, 0.9, 0.55) for x, y in line.seeds] if len(line.seeds) < FEWEST else []
    return "".join(thin) + _path(line.x, line.mean, scale, line.css, wide) + _marker(line, scale)


def _path(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    scale: Scale,
    css: str,
    wide: float,
    fade: float = 1.0,
    dots: str = "",
) -> str:
    known = np.isfinite(y)
    places = [f"{scale.x(a):.1f} {scale.y(b):.1f}" for a, b in zip(x[known], y[known], strict=True)]
    style = f'fill="none" stroke="currentColor" stroke-width="{wide}" stroke-linejoin="round"'
    faded = "" if fade == 1 else f' opacity="{fade}"'
    faded += f' stroke-linecap="round" stroke-dasharray="{dots}"' if dots else ""
    return f'<path class="{css}" {style}{faded} d="M{"L".join(places)}"/>' if len(places) > 1 else ""


def band(line: Line, scale: Scale) -> str:
    """Return the interval around a line."""
    known = np.isfinite(line.low) & np.isfinite(line.high)
    if known.sum() < 2:
        return ""
    inside = [np.clip(edge[known], scale.y_low, scale.y_high) for edge in (line.high, line.low)]
    there = [f"{scale.x(a):.1f} {scale.y(b):.1f}" for a, b in zip(line.x[known], inside[0], strict=True)]
    back = [f"{scale.x(a):.1f} {scale.y(b):.1f}" for a, b in zip(line.x[known], inside[1], strict=True)]
    fade = 0.08 if line.side.kind == "control" else 0.15
    return f'<path class="{line.css}" fill="currentColor" opacity="{fade}" d="M{"L".join(there + back[::-1])}Z"/>'


def _marker(line: Line, scale: Scale) -> str:
    """Mark the end: a dot for ES, a diamond for RL, a small dot for a control."""
    if not np.isfinite(line.mean[-1]):
        return ""
    x, y = scale.x(float(line.x[-1])), scale.y(float(line.mean[-1]))
    if line.side.kind == "rl":
        shape = f'd="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6-6z"'
        return f'<path class="{line.css} halo" fill="currentColor" stroke-width="1.5" {shape}/>'
    radius = 4.8 if line.side.kind == "es" else 3
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    return f'<circle class="{line.css} halo" fill="currentColor" stroke-width="1.5" {place}/>'


def labels(strong: Sequence[Line], scale: Scale) -> list[str]:
    """Name every line at its end, moved apart where they would touch."""
    ended = sorted((line for line in strong if np.isfinite(line.mean[-1])), key=lambda line: -line.mean[-1])
    wanted = [scale.y(float(line.mean[-1])) for line in ended]
    parts = []
    for line, y, place in zip(ended, wanted, _apart(wanted, _TOP + 4, HEIGHT - _BOTTOM - 2), strict=True):
        x_end = scale.right if line.flat else scale.x(float(line.x[-1]))
        x = scale.right + 12
        if abs(place - y) > 6 or x - x_end > 16:
            leader = f'd="M{x_end + 6:.1f} {y:.1f}H{max(x_end + 6, scale.right):.1f}L{x - 2:.1f} {place:.1f}"'
            parts.append(
                f'<path class="{line.css}" stroke="currentColor" stroke-dasharray="1.5 2.5" fill="none" {leader}/>'
            )
        value = f'<tspan font-weight="700">{line.mean[-1]:.2f}</tspan> {escape(_name(line.side.label))}'
        at = f'x="{x:.1f}" y="{place + 4:.1f}"'
        parts.append(f'<text class="{line.css}" fill="currentColor" font-size="12" {at}>{value}</text>')
    return parts


def _name(label: str) -> str:
    name = label.replace("random-reward:", "random:")
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"


def _apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Return places in the same order, at least a label's height apart, as near as can be to where they are wanted."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + _LABEL_GAP if places else low))
    limit = high
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - _LABEL_GAP
    return places


def _ticks(low: float, high: float, fewest: int) -> list[float]:
    """Return round numbers from low to high, as few as there can be beside ``low``: steps of 1, 2, 2.5 or 5 x 10^n."""
    power = 10.0 ** np.floor(np.log10(high - low))
    steps = [power * nice for nice in (5, 2.5, 2, 1, 0.5, 0.25, 0.2, 0.1)]
    step = next(step for step in steps if (high - low) / step >= fewest - 1e-9)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(round(index * step, 12)) + 0.0 for index in np.arange(first, last + 1)]


def words_at(x: float, y: float, words: str, css: str, size: float, anchor: str = "start", weight: int = 400) -> str:
    """Return a text, escaped."""
    more = ("" if anchor == "start" else f' text-anchor="{anchor}"') + (
        "" if weight == 400 else f' font-weight="{weight}"'
    )
    place = f'x="{x:.5g}" y="{y:.5g}"'
    return f'<text class="{css}" fill="currentColor" font-size="{size:g}" {place}{more}>{escape(words)}</text>'
