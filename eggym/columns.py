"""Terminal tables that lose no column: too wide for the screen, they continue below; in a file they are as wide as
they need."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eggym.wording import printable, short

_LOOK: dict[str, Any] = {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False, "header_style": "dim"}
_GAP = 1  # cells between columns
_NAMES = 15  # characters of a column of learners
_STYLES = {"es": "cyan", "rl": "yellow", "baseline": "green", "control": "bright_black"}


def by_learner(*numbers: str) -> Table:
    """Return an empty table with a row for each learner, below rows that name the tasks."""
    return names_and(*numbers, width=_NAMES)


def task_cell(task: str) -> Text:
    """Return the name of a task as it stands above its learners."""
    return Text(broken(short(task)), "bold")


def learner_cell(one: Mapping[str, Any]) -> Text:
    """Return the name of a learner of a summary, in the colour of its kind."""
    return Text(broken(" " + one["learner"]), _STYLES.get(one["kind"], ""))


def broken(name: str) -> str:
    """Break a name that is too long for its column where it has parts, not within a word."""
    name = printable(name)
    return name if len(name) <= _NAMES else re.sub("([:@,])", r"\1\n  ", name)


def number(value: float | None) -> str:
    """Return a number in two places, or a dash."""
    return "-" if value is None else f"{value:z.2f}"


def interval(found: Mapping[str, Any], middle: str) -> str:
    """Return a change with half of its interval: ``+0.12 ±0.05``; ``middle`` names the change."""
    if found[middle] is None:
        return "-"
    half = "" if found["low"] is None else f" ±{(found['high'] - found['low']) / 2:.2f}"
    return f"{found[middle]:+z.2f}{half}"


def names_and(*numbers: str, names: Sequence[str] = ("",), width: int = 1) -> Table:
    """Return an empty table of columns of names, which may fold, and of numbers, which may not.

    Args:
        numbers: their headings.
        names: the headings of the columns that stand before them.
        width: the least of these, in cells.
    """
    table = Table(**_LOOK)
    for name in names:
        table.add_column(name, overflow="fold", min_width=width)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_whole(console: Console, table: Table) -> None:
    """Print a table with all its columns.

    Where they do not fit on a terminal, the rest follows as further tables with the same names before them; what is no
    terminal gets long lines.
    """
    needed = console.measure(table, options=console.options.update(max_width=1 << 16)).maximum
    if needed <= console.width:
        console.print(table)
    elif console.is_terminal:
        for part in _parts(console, table):
            console.print(part)
    else:
        width, console.width = console.width, needed
        console.print(table)
        console.width = width


def _parts(console: Console, table: Table) -> Iterator[Table]:
    """Yield the columns as tables that fit, each begun by the columns of names."""
    widths = [max(console.measure(cell).maximum for cell in (one.header, *one.cells)) + _GAP for one in table.columns]
    lead = [place for place, one in enumerate(table.columns) if not one.no_wrap]
    chosen: list[int] = []
    room = left = console.width - sum(widths[place] for place in lead)
    for place in range(len(lead), len(widths)):
        if chosen and widths[place] > left:
            yield _of(table, [*lead, *chosen])
            chosen, left = [], room
        chosen.append(place)
        left -= widths[place]
    yield _of(table, [*lead, *chosen])


def _of(table: Table, places: Sequence[int]) -> Table:
    part = Table(**_LOOK)
    for place in places:
        one = table.columns[place]
        part.add_column(
            one.header, justify=one.justify, no_wrap=one.no_wrap, overflow=one.overflow, min_width=one.min_width
        )
    for cells in zip(*(table.columns[place].cells for place in places), strict=True):
        part.add_row(*cells)
    return part
