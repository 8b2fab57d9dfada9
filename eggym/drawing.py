"""What pictures are drawn with: a scale, lines with bands and marks, labels that do not touch, round numbers.

ES is blue, RL orange, baselines green and dashed, controls grey; the frozen base is a grey dashed line all across.
Colours come from classes, so that a page can follow light and dark. Nothing is interactive, and nothing is fetched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from eggym.curves import Line
from eggym.stats import FEWEST
from eggym.wording import printable

WIDTH, HEIGHT = 380, 292
LEFT, TOP, BOTTOM = 30, 62, 30  # margins around the plot; the right one depends on the labels
_LABEL_GAP = 15.0  # between the baselines of two labels
_LONGEST_LABEL = 14  # characters
_DASHES = "6 5"
_DIGIT = 6.4  # width of a digit of a tick
_STRAIGHT = 0.3  # units by which a point may lie beside a straight line

# Blue and orange stay apart for every common colour blindness, and in grey print by marker and label. Within a kind,
# neighbours differ in lightness.
STYLE = """
.es0{color:#0b64b0}.es1{color:#4f9bd9}.es2{color:#073f70}.es3{color:#1497a8}
.rl0{color:#c4500c}.rl1{color:#e58a4e}.rl2{color:#833305}.rl3{color:#b08900}
.baseline0{color:#2a7d46}.baseline1{color:#5a8f1d}.baseline2{color:#12594f}.baseline3{color:#9a9a1a}
.dash1[fill=none]:not([stroke-dasharray]){stroke-dasharray:9 4}
.dash2[fill=none]:not([stroke-dasharray]){stroke-dasharray:12 3 2 3}
.dash3[fill=none]:not([stroke-dasharray]){stroke-dasharray:4 3}
.ctl{color:#7b828c}.ink{color:#20242a}.mute{color:#666d76}.rule{color:#dfe3e8}.halo{stroke:#fff}.paper{color:#fff}
@media (prefers-color-scheme:dark){
.es0{color:#5fb0f5}.es1{color:#2f7fc4}.es2{color:#a9d4fb}.es3{color:#3fc4d2}
.rl0{color:#f2935a}.rl1{color:#c4662c}.rl2{color:#f9c3a0}.rl3{color:#e3bd3c}
.baseline0{color:#5fc98a}.baseline1{color:#a3cf5a}.baseline2{color:#3fb3a3}.baseline3{color:#d3d35c}
.ctl{color:#8e96a1}.ink{color:#e8eaed}.mute{color:#9aa2ad}.rule{color:#2c323a}.halo{stroke:#14171b}.paper{color:#14171b}}
""".strip()


@dataclass(frozen=True, slots=True)
class Scale:
    """From data to the panel's own units."""

    x_high: float
    y_low: float
    y_high: float
    right: float  # where the plot ends and the labels begin

    def x(self, value: float) -> float:
        """Return the place of an amount spent."""
        return LEFT + value / self.x_high * (self.right - LEFT)

    def y(self, value: float) -> float:
        """Return the place of a reward; larger is higher up."""
        return HEIGHT - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)


def rewards_axis(scale: Scale) -> str:
    """Return the lines across a panel, with the rewards that they stand for."""
    parts = []
    for tick in round_numbers(scale.y_low, scale.y_high, 3):
        y = scale.y(tick)
        parts.append(f'<path class="rule" stroke="currentColor" d="M{LEFT} {y:.1f}H{scale.right:.1f}"/>')
        parts.append(words_at(LEFT - 6, y + 4, f"{tick:g}", "mute", 11, anchor="end"))
    return "".join(parts)


def tick_at(scale: Scale, value: float, words: str) -> str:
    """Return a mark on the lower edge of a panel, with its words below: the first under it, a unit behind that."""
    bottom = HEIGHT - BOTTOM
    words, _, unit = words.partition(" ")
    if unit:
        after = scale.x(value) + len(words) * _DIGIT / 2 + 3
        return tick_at(scale, value, words) + words_at(after, bottom + 18, unit, "mute", 11)
    mark = f'<path class="mute" stroke="currentColor" d="M{scale.x(value):.1f} {bottom}v4"/>'
    return words_at(scale.x(value), bottom + 18, words, "mute", 11, anchor="middle") + mark


def stroke(line: Line, scale: Scale) -> str:
    """Return a line with the mark at its end; the control that never changes is dashed, all across."""
    if line.flat:
        y = scale.y(float(line.mean[-1])) if np.isfinite(line.mean[-1]) else None
        dash = 'stroke="currentColor" stroke-width="1.4" stroke-dasharray="5 4"'
        return "" if y is None else f'<path class="{line.css}" {dash} d="M{LEFT} {y:.1f}H{scale.right:.1f}"/>'
    wide = {"control": 1.5, "baseline": 2.0}.get(line.side.kind, 2.6)
    dots = _DASHES if line.side.kind == "baseline" else ""
    thin = [path(x, y, scale, line.css, 0.9, 0.55) for x, y in line.seeds] if len(line.seeds) < FEWEST else []
    return "".join(thin) + path(line.x, line.mean, scale, line.css, wide, dots=dots) + _marker(line, scale)


def path(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    scale: Scale,
    css: str,
    wide: float,
    fade: float = 1.0,
    dots: str = "",
) -> str:
    """Return a line through the points that are known; ``dots`` is its pattern."""
    known = np.isfinite(y)
    places = _bends(_placed_points(x[known], y[known], scale))
    style = f'fill="none" stroke="currentColor" stroke-width="{wide}" stroke-linejoin="round"'
    faded = "" if fade == 1 else f' opacity="{fade}"'
    faded += f' stroke-linecap="round" stroke-dasharray="{dots}"' if dots else ""
    return f'<path class="{css}" {style}{faded} d="{_through(places)}"/>' if len(places) > 1 else ""


def band(line: Line, scale: Scale) -> str:
    """Return the interval around a line."""
    known = np.isfinite(line.low) & np.isfinite(line.high)
    if known.sum() < 2:
        return ""
    edges = [np.clip(edge[known], scale.y_low, scale.y_high) for edge in (line.high, line.low)]
    there, back = (_bends(_placed_points(line.x[known], edge, scale)) for edge in edges)
    fade = 0.15 if line.side.kind in ("es", "rl") else 0.08
    return f'<path class="{line.css}" fill="currentColor" opacity="{fade}" d="{_through(there + back[::-1])}Z"/>'


def _placed_points(x: NDArray[np.float64], y: NDArray[np.float64], scale: Scale) -> list[tuple[float, float]]:
    return [(scale.x(a), scale.y(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def _bends(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out the points between which a line is straight to the eye (Ramer, Douglas and Peucker)."""
    if len(places) < 3:
        return places
    (x0, y0), (x1, y1) = places[0], places[-1]
    long = math.hypot(x1 - x0, y1 - y0) or 1.0
    off = [abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / long for x, y in places]
    worst = max(range(len(off)), key=off.__getitem__)
    if off[worst] < _STRAIGHT:
        return [places[0], places[-1]]
    return [*_bends(places[: worst + 1])[:-1], *_bends(places[worst:])]


def _through(places: Sequence[tuple[float, float]]) -> str:
    """Return points as the data of a path, in tenths of a unit."""
    return "M" + "L".join(f"{round(x, 1):g} {round(y, 1):g}" for x, y in places)


def _marker(line: Line, scale: Scale) -> str:
    """Mark the end: a dot for ES, a diamond for RL, a square for a baseline, a small dot for a control."""
    if not np.isfinite(line.mean[-1]):
        return ""
    x, y = scale.x(float(line.x[-1])), scale.y(float(line.mean[-1]))
    if line.side.kind == "rl":
        shape = f'd="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6-6z"'
        return f'<path class="{line.css} halo" fill="currentColor" stroke-width="1.5" {shape}/>'
    if line.side.kind == "baseline":
        shape = f'd="M{x - 3.8:.1f} {y - 3.8:.1f}h7.6v7.6h-7.6z"'
        return f'<path class="{line.css} halo" fill="currentColor" stroke-width="1.5" {shape}/>'
    radius = 4.8 if line.side.kind == "es" else 3
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    return f'<circle class="{line.css} halo" fill="currentColor" stroke-width="1.5" {place}/>'


def labels(strong: Sequence[Line], scale: Scale) -> list[str]:
    """Name every line at its end, moved apart where they would touch."""
    parts = []
    for line, _, place in _placed(strong, scale):
        value = f'<tspan font-weight="700">{line.mean[-1]:z.2f}</tspan> {shown(name_of(line.side.label))}'
        at = f'x="{scale.right + 12:.1f}" y="{place + 4:.1f}"'
        parts.append(f'<text class="{line.css}" fill="currentColor" font-size="12" {at}>{value}</text>')
    return parts


def leaders(strong: Sequence[Line], scale: Scale) -> str:
    """Join the ends of lines with their names, where those had to be moved or stand far off."""
    parts = []
    for line, y, place in _placed(strong, scale):
        x_end = scale.right if line.flat else scale.x(float(line.x[-1]))
        x = scale.right + 12
        if abs(place - y) > 6 or x - x_end > 16:
            leader = f"M{x_end + 6:.1f} {y:.1f}H{max(x_end + 6, scale.right):.1f}L{x - 2:.1f} {place:.1f}"
            parts.append(f'<path class="{line.css}" d="{leader}"/>')
    group = '<g fill="none" stroke="currentColor" stroke-dasharray="1.5 2.5">'
    return f"{group}{''.join(parts)}</g>" if parts else ""


def _placed(strong: Sequence[Line], scale: Scale) -> list[tuple[Line, float, float]]:
    """Return the lines from the highest end down, with the places of their ends and of their names."""
    ended = sorted((line for line in strong if np.isfinite(line.mean[-1])), key=lambda line: -line.mean[-1])
    wanted = [scale.y(float(line.mean[-1])) for line in ended]
    return list(zip(ended, wanted, apart(wanted, TOP + 4, HEIGHT - BOTTOM - 2), strict=True))


def name_of(label: str) -> str:
    """Return a learner's label, short enough for the end of a line."""
    name = label.replace("random-reward:", "random:")
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"


def apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Return places in the same order, at least a label's height apart, as near as can be to where they are wanted."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + _LABEL_GAP if places else low))
    limit = high
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], limit)
        limit = places[index] - _LABEL_GAP
    return places


def round_numbers(low: float, high: float, fewest: int) -> list[float]:
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
    return f'<text class="{css}" fill="currentColor" font-size="{size:g}" {place}{more}>{shown(words)}</text>'


def shown(text: str) -> str:
    """Return a text for the inside of a picture: escaped, and control characters as escapes."""
    return escape(printable(text), quote=False)


def attribute(text: str) -> str:
    """Return a text for an attribute in double quotes: escaped, and control characters as escapes."""
    return escape(printable(text), quote=True)
