"""The records of a board that are ranked together: one table, or one for each model of its users."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from eggym.arena import Arena, Side, arrange
from eggym.axes import Axis, axes_of
from eggym.record import Measured, Record

from .board import Board
from .levels import Standing
from .stored import Entry


@dataclass(frozen=True)
class Table:
    """The records of a board that are ranked together, arranged."""

    board: Board
    division: str  # empty, or the user's own model
    entries: dict[str, Entry]  # by the id of the record
    standings: dict[str, Standing]
    arenas: list[Arena]
    measured: dict[str, Measured]

    @classmethod
    def of(cls, board: Board, division: str, found: Sequence[tuple[Entry, Standing]]) -> "Table":
        """Arrange records, tasks in the board's order.

        Raises:
            BadValue: they cannot be compared.
        """
        entries = {entry.record.id: entry for entry, _ in found}
        standings = {entry.record.id: standing for entry, standing in found}
        place = {label: number for number, label in enumerate(board.labels)}
        records = sorted((entry.record for entry in entries.values()), key=lambda one: place[one.task.label])
        measured = {name: one for name, entry in entries.items() if (one := entry.measured) is not None}
        return cls(board, division, entries, standings, arrange(records), measured)

    @cached_property
    def labels(self) -> list[str]:
        """The learners of the table."""
        return list(dict.fromkeys(side.label for arena in self.arenas for side in arena.sides))

    @cached_property
    def axes(self) -> list[Axis]:
        """The axes of the budget that every run knows."""
        return axes_of(self.arenas, self.measured)

    def side(self, arena: Arena, label: str) -> Side | None:
        """Return one learner on one task."""
        return self._sides[arena.task].get(label)

    def records(self, label: str) -> list[Record]:
        """Return all runs of one learner, by task, then by seed."""
        sides = [self.side(arena, label) for arena in self.arenas]
        return [record for side in sides if side for record in side.records]

    @cached_property
    def _sides(self) -> dict[str, dict[str, Side]]:
        return {arena.task: {side.label: side for side in arena.sides} for arena in self.arenas}
