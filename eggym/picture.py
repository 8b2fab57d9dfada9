"""Pictures as SVG: one panel per task, reward against what was spent.

ES is blue, RL orange, controls grey; the frozen base is a dashed line. The primary metric is the strong line with a band
(t interval over seeds; below 3 seeds the seeds themselves, thin), the other metric a light one. Colours come from classes,
so that a page can follow light and dark. Nothing here is interactive, and nothing is fetched.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from eggym.curves import AXES, Axis, Line, lines
from eggym.outcome import Arena, short
from eggym.record import Measured
from eggym.stats import FEWEST, mean_t

WIDTH, HEIGHT = 380, 292
_LEFT, _RIGHT, _TOP, _BOTTOM = 30, 116, 62, 30  # margins around the plot
_LABEL_GAP = 15.0  # between the baselines of two labels
_LONGEST_LABEL = 13  # characters

# Blue and orange stay apart for every common colour blindness, and in grey print by marker and label.
STYLE = """
.es0{color:#0b64b0}.es1{color:#4f9bd9}.es2{color:#073f70}
.rl0{color:#c4500c}.rl1{color:#e58a4e}.rl2{color:#833305}
.ctl{color:#7b828c}.ink{color:#20242a}.mute{color:#666d76}.rule{color:#dfe3e8}.halo{stroke:#fff}
@media (prefers-color-scheme:dark){
.es0{color:#5fb0f5}.es1{color:#2f7fc4}.es2{color:#a9d4fb}
.rl0{color:#f2935a}.rl1{color:#c4662c}.rl2{color:#f9c3a0}
.ctl{color:#8e96a1}.ink{color:#e8eaed}.mute{color:#9aa2ad}.rule{color:#2c323a}.halo{stroke:#14171b}}
""".strip()
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Scale:
    """From data to the panel's own units."""

    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Return the place of an amount spent."""
        return _LEFT + value / self.x_high * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the place of a reward; larger is higher up."""
        return HEIGHT - _BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - _TOP - _BOTTOM)


def panel(arena: Arena, axis: Axis, measured: Mapping[str, Measured], verdict: str = "", css: str = "mute") -> str:
    """Return the drawing of one task as the inside of an ``<svg>`` of WIDTH by HEIGHT.

    Args:
        arena: the task and its runs.
        axis: what the curves run over.
        measured: by id of the record; needed for CPU-seconds only.
        verdict: a few words below the task's name.
        css: the class that colours the verdict.
    """
    strong = lines(arena, arena.primary, axis, measured)
    light = lines(arena, "sampled" if arena.primary == "greedy" else "greedy", axis, measured)
    scale = _scale(arena, strong, light)
    parts = [_head(arena, verdict, css), _axes(scale, axis)]
    parts += [_path(line.x, line.mean, scale, line.css, 1.2, 0.5) for line in light if not line.flat]
    parts += [_band(line, scale) for line in strong if not line.flat]
    parts += [_stroke(line, scale) for line in sorted(strong, key=lambda line: line.side.kind != "control")]
    parts += _labels(strong, scale)
    return "".join(parts)


def panel_svg(arena: Arena, axis: Axis, measured: Mapping[str, Measured], verdict: str, css: str) -> str:
    """Return one panel as an ``<svg>`` for a page that brings `STYLE`."""
    label = escape(describe(arena, axis), quote=True)
    inside = panel(arena, axis, measured, verdict, css)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{inside}</svg>'


def sheet_svg(panels: Sequence[str], title: str, subtitle: str, label: str, columns: int = 3) -> str:
    """Return panels side by side as one standalone SVG file with a title, readable on white and on dark."""
    columns = min(columns, max(len(panels), 1))
    rows = -(-len(panels) // columns)
    head, step_x, step_y = 74, WIDTH + 24, HEIGHT + 20
    width, height = 16 + columns * step_x, head + rows * step_y
    placed = "".join(
        f'<g transform="translate({16 + index % columns * step_x} {head + index // columns * step_y})">{inside}</g>'
        for index, inside in enumerate(panels)
    )
    heading = _wrapped(title, 16, 28, int(width / 9.6))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(label, quote=True)}"><style>text{{{_FONT}}}{STYLE}</style>{heading}'
        f"{_text(16, 52 if heading.count('<text') == 1 else 66, subtitle, 'mute', 13)}{placed}</svg>\n"
    )


def describe(arena: Arena, axis: Axis) -> str:
    """Say in words what a panel shows, for those who cannot see it."""
    ends = [(side.label, mean_t(side.finals(arena.primary).values()).mean) for side in arena.sides]
    said = ", ".join(f"{name} {'unknown' if mean is None else f'{mean:.2f}'}" for name, mean in ends)
    return f"{arena.task}: mean {arena.primary} reward against {AXES[axis]}. At the end: {said}."


def amount(value: float) -> str:
    """Return a large number in few characters.

    >>> [amount(v) for v in (0, 950, 12000, 2.5e6, 3e12)]
    ['0', '950', '12k', '2.5M', '3·10¹²']
    """
    if value >= 1e9:
        power = int(f"{value:.1e}".split("e")[1])
        return f"{value / 10**power:.2g}·10{''.join('⁰¹²³⁴⁵⁶⁷⁸⁹'[int(digit)] for digit in str(power))}"
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def _scale(arena: Arena, strong: Sequence[Line], light: Sequence[Line]) -> Scale:
    low, high = arena.sides[0].records[0].task.reward_range
    moving = [line for line in strong if not line.flat] or list(strong)
    top = np.nanmax([0.0, *(np.nanmax([*line.mean, low]) for line in [*strong, *light])])
    # a little air above the best line, in tenths of the range
    y_high = min(high, low + np.ceil((float(top) - low) / (high - low) * 10 + 1.2) / 10 * (high - low))
    return Scale(max([float(line.x[-1]) for line in moving] + [1e-9]), low, float(y_high))


def _head(arena: Arena, verdict: str, css: str) -> str:
    return _text(0, 18, short(arena.task), "ink", 17, weight=650) + _text(0, 37, verdict, css, 13, weight=600)


def _axes(scale: Scale, axis: Axis) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for tick in _ticks(scale.y_low, scale.y_high, 4):
        y = scale.y(tick)
        parts.append(f'<path class="rule" stroke="currentColor" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", "mute", 11, anchor="end"))
    ticks = [tick for tick in _ticks(0, scale.x_high, 2) if tick > 0]
    for tick in ticks:
        words = f"{amount(tick)} {AXES[axis]}" if tick == ticks[-1] else amount(tick)
        parts.append(_text(scale.x(tick), bottom + 18, words, "mute", 11, anchor="middle"))
        parts.append(f'<path class="mute" stroke="currentColor" d="M{scale.x(tick):.1f} {bottom}v4"/>')
    parts.append(_text(_LEFT, bottom + 18, "0", "mute", 11, anchor="middle"))
    return "".join(parts)


def _stroke(line: Line, scale: Scale) -> str:
    if line.flat:
        y = scale.y(float(line.mean[-1])) if np.isfinite(line.mean[-1]) else None
        dash = 'stroke="currentColor" stroke-width="1.4" stroke-dasharray="5 4"'
        return "" if y is None else f'<path class="{line.css}" {dash} d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
    wide = 1.5 if line.side.kind == "control" else 2.6
    thin = [_path(x, y, scale, line.css, 0.9, 0.55) for x, y in line.seeds] if len(line.seeds) < FEWEST else []
    return "".join(thin) + _path(line.x, line.mean, scale, line.css, wide) + _marker(line, scale)


def _path(
    x: NDArray[np.float64], y: NDArray[np.float64], scale: Scale, css: str, wide: float, fade: float = 1.0
) -> str:
    known = np.isfinite(y)
    places = [f"{scale.x(a):.1f} {scale.y(b):.1f}" for a, b in zip(x[known], y[known], strict=True)]
    style = f'fill="none" stroke="currentColor" stroke-width="{wide}" stroke-linejoin="round"'
    faded = "" if fade == 1 else f' opacity="{fade}"'
    return f'<path class="{css}" {style}{faded} d="M{"L".join(places)}"/>' if len(places) > 1 else ""


def _band(line: Line, scale: Scale) -> str:
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
    return f'<circle class="{line.css} halo" fill="currentColor" stroke-width="1.5" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _labels(strong: Sequence[Line], scale: Scale) -> list[str]:
    """Name every line at its end, moved apart where they would touch."""
    ended = sorted((line for line in strong if np.isfinite(line.mean[-1])), key=lambda line: -line.mean[-1])
    wanted = [scale.y(float(line.mean[-1])) for line in ended]
    parts = []
    for line, y, place in zip(ended, wanted, _apart(wanted, _TOP + 4, HEIGHT - _BOTTOM - 2), strict=True):
        x_end = WIDTH - _RIGHT if line.flat else scale.x(float(line.x[-1]))
        x = WIDTH - _RIGHT + 12
        name = line.side.label.replace("random-reward:", "random:")
        name = name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
        if abs(place - y) > 3 or x - x_end > 16:
            leader = f'd="M{x_end + 5:.1f} {y:.1f}L{x - 2} {place:.1f}"'
            parts.append(f'<path class="{line.css}" stroke="currentColor" opacity=".5" fill="none" {leader}/>')
        value = f'<tspan font-weight="700">{line.mean[-1]:.2f}</tspan> {escape(name)}'
        parts.append(
            f'<text class="{line.css}" fill="currentColor" font-size="12" x="{x}" y="{place + 4:.1f}">{value}</text>'
        )
    return parts


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


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Return round numbers between two ends: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * 0.999)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(round(index * step, 12)) for index in np.arange(first, last + 1)]


def _text(x: float, y: float, words: str, css: str, size: float, anchor: str = "start", weight: int = 400) -> str:
    more = ("" if anchor == "start" else f' text-anchor="{anchor}"') + (
        "" if weight == 400 else f' font-weight="{weight}"'
    )
    place = f'x="{x:.5g}" y="{y:.5g}"'
    return f'<text class="{css}" fill="currentColor" font-size="{size:g}" {place}{more}>{escape(words)}</text>'


def _wrapped(words: str, x: float, y: float, width: int) -> str:
    rows = textwrap.wrap(words, width)[:2]
    return "".join(
        _text(x, y + 20 * index - 8 * (len(rows) - 1), row, "ink", 19, weight=650) for index, row in enumerate(rows)
    )
