"""What the pages of a board are about: its tables with their numbers, and where each row has its page.

A table's standing is worked out once and used by the page of the board, by the pages of its rows and by the exports.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eggym.axes import Axis
from eggym.budget import Budget
from eggym.errors import EggymError
from eggym.wording import slug

from .collecting import Collected, collect
from .place import Place
from .standing import standings
from .table import Table

_TAKEN = {"index"}  # names of pages that are no rows


@dataclass(frozen=True)
class Shown:
    """One table of a board."""

    number: int  # from 1: a board has one, or one for each model of its users
    table: Table
    found: dict[str, Any]  # of `standing.standings`
    pages: dict[str, str]  # label of a learner: name of its page, without .html

    @property
    def key(self) -> str:
        """What the ids of this table begin with, so that each is on its page once."""
        return "" if self.number == 1 else f"t{self.number}-"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows in their order, controls last."""
        rows: list[dict[str, Any]] = self.found["rows"]
        return rows

    @property
    def everyone(self) -> list[str]:
        """Who submitted all of it, where the rows do not differ in that: what need not be said of each."""
        told = self.rows[0]["by"] if self.rows else []
        return told if all(row["by"] == told for row in self.rows) else []

    def row(self, label: str) -> dict[str, Any]:
        """Return the row of one learner."""
        return next(row for row in self.rows if row["learner"] == label)


@dataclass(frozen=True)
class ShownBoard:
    """One board with everything that its pages tell."""

    collected: Collected
    tables: list[Shown]
    fault: str | None  # why there are no tables although there are records

    @property
    def name(self) -> str:
        """The board's name."""
        return self.collected.board.name

    @property
    def axis(self) -> Axis:
        """The axis of the board's budget: one of those that repeat."""
        axis: Any = Budget.parse(self.collected.board.budget).axis
        return axis  # type: ignore[no-any-return]

    @property
    def verdict(self) -> str:
        """What came out, in a few sentences; of several tables, how many there are."""
        if self.fault:
            return "Its records cannot be compared."
        if not self.tables:
            closed = not self.collected.board.open
            return "Its split is not revealed yet." if closed else "Nothing stands on it yet."
        if len(self.tables) == 1:
            said: str = self.tables[0].found["headline"]
            return said
        return f"{len(self.tables)} tables, one for each model that was brought."


def show(place: Place, board: str) -> ShownBoard:
    """Read a board and work out what its pages tell.

    Raises:
        EggymError: the board or the ledger cannot be read. What is wrong with records is told on the page.
    """
    collected = collect(place, board)
    try:
        tables = collected.tables()
    except EggymError as problem:
        return ShownBoard(collected, [], str(problem))
    pages = page_names([(table.division, label) for table in tables for label in table.labels])
    return ShownBoard(
        collected,
        [
            Shown(number, table, standings(table), {label: pages[table.division, label] for label in table.labels})
            for number, table in enumerate(tables, 1)
        ],
        None,
    )


def page_names(rows: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return a name for the page of every row, given by its table and its learner's label.

    It is the learner's name as far as a path can hold it; where two would have one name, also on a file system that
    knows no capitals, each has a digest behind it.

    >>> page_names([("", "eggroll@a"), ("", "index")])
    {('', 'eggroll@a'): 'eggroll-a', ('', 'index'): 'index-1d5b14'}
    """
    stems = {row: slug(row[1]) for row in rows}
    folded = [stem.lower() for stem in stems.values()]
    return {
        row: stem if folded.count(stem.lower()) == 1 and stem.lower() not in _TAKEN else f"{stem}-{_digest(row)}"
        for row, stem in stems.items()
    }


def _digest(row: tuple[str, str]) -> str:
    return hashlib.sha256("\n".join(row).encode()).hexdigest()[:6]
