"""How names and numbers are written for people, in the terminal and on the page, and names as paths."""

import re
from collections.abc import Mapping
from typing import Any


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
