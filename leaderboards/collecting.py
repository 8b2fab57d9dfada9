"""The records of one board with their standing, as the page shows them and as `verify` goes through them.

Quick: every file must have the digest that it had when the record was added; adding is what checked the rest.
Thorough: all of L1 again (`integrity`), from the files alone. Either way L0 is looked at, and what is at no level is
told apart, with its faults: it is shown, and ranked nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eggym.errors import EggymError
from eggym.record import RECORD_FILE

from .board import Board
from .integrity import faults, unchanged_faults
from .ledger import Event, Ledger
from .levels import Standing, level_of
from .names import record_name
from .pinned import Pinned, read_pinned
from .pinning import division
from .place import Place
from .rules import record_faults, row_faults
from .spreading import spread
from .stored import Entry, read_entry
from .table import Table


@dataclass(frozen=True, slots=True)
class Refused:
    """A folder among the records that cannot be counted."""

    name: str  # board/learner/run
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Collected:
    """A board and what stands on it."""

    board: Board
    path: Path
    ledger: Ledger
    found: list[tuple[Entry, Standing]]  # by the rules and unchanged
    refused: list[Refused]
    withdrawn: list[tuple[str, Event]]  # name of the record, and the line that took it back
    row_faults: list[str]  # rows that are not whole, and controls that are missing
    missing: list[str]  # names that the ledger knows and that are not here

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.refused or self.row_faults or self.missing)

    def tables(self) -> list[Table]:
        """Return the tables of the board: one, or one for each model of its users.

        Raises:
            BadValue: records in one of them cannot be compared.
        """
        groups: dict[str, list[tuple[Entry, Standing]]] = {}
        for entry, standing in self.found:
            groups.setdefault(division(self.board, entry.record), []).append((entry, standing))
        return [Table.of(self.board, name, found) for name, found in sorted(groups.items())]


def collect(place: Place, board_name: str, thorough: bool = False) -> Collected:
    """Read a board and all its records.

    Raises:
        EggymError: the board or the ledger cannot be read. What is wrong with a record is no error: it is told.
    """
    board, path = place.board(board_name)
    pinned, ledger = read_pinned(path, board), place.ledger()
    found: list[tuple[Entry, Standing]] = []
    refused: list[Refused] = []
    folders = {"/".join(folder.parts[-3:]): folder for folder in place.folders(board.name)}
    withdrawn = [(name, line) for name in folders if (line := ledger.withdrawn(name)) is not None]
    standing = [name for name in folders if ledger.withdrawn(name) is None]
    examined = spread(lambda name: examine(folders[name], board, pinned, ledger, thorough), standing)
    for name, (entry, wrong) in zip(standing, examined, strict=True):
        if wrong or entry is None:
            refused.append(Refused(name, tuple(wrong)))
        else:
            found.append((entry, level_of(entry.record, (), ledger.checked(name, entry.manifest_sha256))))
    known = {event.record for event in ledger.events if event.kind == "added"}
    missing = sorted(name for name in known - folders.keys() if name.partition("/")[0] == board.name)
    whole = row_faults(board, [entry.record for entry, _ in found])
    return Collected(board, path, ledger, found, refused, withdrawn, whole, missing)


def examine(
    folder: Path, board: Board, pinned: Pinned, ledger: Ledger, thorough: bool
) -> tuple[Entry | None, Sequence[str]]:
    """Return a record and what is wrong with it: L1 first, for what was changed cannot be held to any rule."""
    try:
        entry = read_entry(folder)
        wrong = faults(entry, ledger) if thorough else unchanged_faults(entry, ledger)
        if not wrong:
            wrong = [f"{entry.name}: {fault}" for fault in board_faults(entry, board, pinned)]
    except EggymError as problem:
        return None, [str(problem)]
    return entry, wrong


def board_faults(entry: Entry, board: Board, pinned: Pinned) -> list[str]:
    """Return how a record breaks the rules of its board (L0)."""
    told = (entry.manifest.board, entry.manifest.board_version)
    if told != (board.name, board.version) or entry.name.partition("/")[0] != board.name:
        return [
            f"it was added to version {told[1]} of board {told[0]!r}, not to version {board.version} of {board.name!r}"
        ]
    name = record_name(board, entry.record, entry.manifest.files[RECORD_FILE].sha256)
    if entry.name != name:
        return [f"by what it holds its folder is {name}"]
    return record_faults(board, pinned, entry.record)
