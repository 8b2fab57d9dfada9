"""How names and numbers are written for people, in the terminal and on the page, and names as paths."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 24  # steps of a sparkline


def short(task: str) -> str:
    """Return a task's label without the parts that do not distinguish.

    >>> short("eggym/tiny-orders-v0"), short("eggym/exam-v0@mode=needle,turns=16")
    ('tiny-orders', 'exam@mode=needle,turns=16')
    """
    name, mark, options = task.removeprefix("eggym/").partition("@")
    return f"{name.removesuffix('-v0')}{mark}{options}"


def amount(value: float) -> str:
    """Return a large number in few characters, as budgets are written.

    >>> [amount(v) for v in (0, 950, 12000, 2.5e6, 3e12)]
    ['0', '950', '12k', '2.5M', '3e12']
    """
    if value >= 1e9:
        digits, _, power = f"{value:.1e}".partition("e+")
        return f"{digits.removesuffix('.0')}e{int(power)}"
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def size(value: float | None) -> str:
    """Return bytes as MiB or GiB."""
    if value is None:
        return "-"
    return f"{value / (1 << 20):.0f} MiB" if value < 1 << 30 else f"{value / (1 << 30):.1f} GiB"


def bar(share: float, width: int = 12) -> str:
    """Return a share as a bar; what is outside 0 to 1 is cut.

    >>> bar(0.25, 8)
    '━━╌╌╌╌╌╌'
    """
    full = round(min(1.0, max(0.0, share)) * width)
    return "━" * full + "╌" * (width - full)


def sparkline(rewards: Sequence[float]) -> str:
    """Return the last rewards as blocks, with the last of them as a number; the scale holds 0 and 1."""
    if not rewards:
        return ""
    low, high = min(0.0, min(rewards)), max(1.0, max(rewards))
    shown = "".join(_BLOCKS[round((reward - low) / (high - low) * (len(_BLOCKS) - 1))] for reward in rewards[-_WIDTH:])
    return f"{shown} {rewards[-1]:.2f}"


def duration(seconds: float) -> str:
    """Return a time in its two largest units.

    >>> [duration(s) for s in (5, 65, 7260, 180000)]
    ['5 s', '1 min 05 s', '2 h 01 min', '2 d 02 h']
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def brief(seconds: float | None) -> str:
    """Return a time in its largest unit, rounded down, for a table.

    >>> [brief(s) for s in (5.9, 119, 7260, 200000, None)]
    ['5 s', '1 min', '2 h', '2 d', '-']
    """
    if seconds is None:
        return "-"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(max(0.0, seconds))} s"


def parted(name: str, width: int) -> str:
    """Break a name into lines of at most ``width`` characters, after its marks where it has some.

    >>> parted("tiny-orders-eggroll-0", 12)
    'tiny-orders-\\neggroll-0'
    """
    lines = [""]
    for part in re.findall(r"[^-/:@,=]*[-/:@,=]|[^-/:@,=]+", name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def printable(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey: control characters and lone surrogates become escapes.

    >>> printable("\x1b[2J\ta")
    '\\x1b[2J\ta'
    """
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def slug(name: str) -> str:
    """Return a name as part of a path: the namespace ``eggym/`` is left out, odd characters become hyphens."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name.removeprefix("eggym/")).strip("-.") or "x"


def notes_of(summary: Mapping[str, Any]) -> list[str]:
    """Return what must be said of learners whose scores are shown, each once, and of tasks that nobody has learnt."""
    told = [(one["learner"], one.get("note")) for task in summary["tasks"] for one in task["learners"]]
    low = [task for task in summary["tasks"] if _below_floor(task, summary["primary"])]
    return [
        *(f"{learner}: {note}." for learner, note in dict.fromkeys(told) if note),
        *(
            f"{short(task['task'])}: nobody came to its floor, {task['floor']:g}, which one blind reply to everything "
            "earns: a larger budget or an easier task would tell more."
            for task in low
        ),
    ]


def _below_floor(task: Mapping[str, Any], mode: str) -> bool:
    ends = [one["end"][mode]["mean"] for one in task["learners"] if one["kind"] in ("es", "rl")]
    return bool(ends) and all(end is not None and end < task["floor"] for end in ends)
