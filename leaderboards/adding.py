"""Adding runs to a board: checked by its rules, copied as records that nobody edits, and noted in the ledger.

Everything is checked before anything is written: the runs themselves, and whether with them every row is whole, its
controls included. A folder is written beside its place and renamed, the ledger last; what was stopped in between is
finished by the same command.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eggym.errors import BadValue
from eggym.files import sha256_file
from eggym.lock import alone
from eggym.record import RECORD_FILE, Record, find_runs
from eggym.result import finished_record

from .board import Board
from .ledger import Ledger, append
from .names import record_name
from .pinned import read_pinned
from .place import Place
from .rules import record_faults, row_faults
from .stored import MANIFEST, Entry, read_entry
from .writing import SAID_NOTHING, Submission, write_record


@dataclass(frozen=True, slots=True)
class Added:
    """One run, and where it went."""

    run: Path
    record: str
    new: bool  # False: it was there already


def add(place: Place, board_name: str, runs: Sequence[Path], said: Submission = SAID_NOTHING) -> list[Added]:
    """Add finished runs to a board.

    Args:
        place: where the board's records lie.
        board_name: which board.
        runs: run folders, or folders that hold some, such as a duel's.
        said: by whom, and what is to be told of them.

    Raises:
        BadValue: a run is not by the rules of the board, was changed, stands there with another outcome, or leaves a
            row without a seed or control; then nothing was written.
    """
    board, path = place.board(board_name)
    _refuse_elsewhere(place, board, path)
    pinned = read_pinned(path, board)
    found = _read(runs)
    _refuse_faults({str(run): record_faults(board, pinned, record) for run, record in found.items()}, board)
    with alone(place.records):  # of two who add at once, the second sees what the first did
        return _add(place, board, found, said)


def _add(place: Place, board: Board, found: Mapping[Path, Record], said: Submission) -> list[Added]:
    ledger = place.ledger()
    standing = [one for one in place.entries(board.name) if ledger.withdrawn(one.name) is None]
    names = {run: record_name(board, record, sha256_file(run / RECORD_FILE)) for run, record in found.items()}
    _refuse_withdrawn(ledger, names)
    _refuse_second_outcome(standing, found, names)
    new = {run for run in found if ledger.added(names[run]) is None}
    _refuse_return(ledger, {names[run] for run in new}, said)
    together = {one.name: one.record for one in standing} | {names[run]: record for run, record in found.items()}
    _refuse_faults({board.name: row_faults(board, list(together.values()))}, board)
    lost = {run for run in found if run not in new and not (place.records / names[run]).exists()}
    lines: dict[str, dict[str, Any]] = {}
    for run in (run for run in found if run in new or run in lost):
        name, before = names[run], ledger.added(names[run])
        told = None if before is None else before.manifest_sha256
        sha256 = write_record(place, board, run, found[run], name, said, told)
        lines[name] = {"kind": "added", "record": name, "manifest_sha256": sha256, "reason": said.corrects or None}
    append(place.ledger_path, [line for name, line in lines.items() if ledger.added(name) is None])
    return [Added(run, names[run], run in new or run in lost) for run in found]


def withdraw(place: Place, names: Sequence[str], reason: str) -> list[str]:
    """Take records back, by a line in the ledger: they stay where they are, and are shown as withdrawn.

    Args:
        place: where they lie.
        names: rows (board/learner) or records.
        reason: shown wherever the records were.

    Raises:
        BadValue: there is no such record, it is withdrawn already, or no reason is given.
    """
    if not reason.strip():
        raise BadValue("a withdrawal needs a reason, which everyone will read; give --reason TEXT")
    ledger = place.ledger()
    entries = [read_entry(folder) for name in names for folder in place.named(name)]
    open_ = [entry for entry in entries if ledger.withdrawn(entry.name) is None]
    if not open_:
        raise BadValue(f"{', '.join(names)}: withdrawn already")
    told = {"kind": "withdrawn", "reason": reason}
    append(
        place.ledger_path,
        [{**told, "record": entry.name, "manifest_sha256": entry.manifest_sha256} for entry in open_],
    )
    return [entry.name for entry in open_]


def _read(runs: Sequence[Path]) -> dict[Path, Record]:
    folders: list[Path] = []
    for path in runs:
        inside = find_runs(path)
        if not inside:
            raise BadValue(f"{path} holds no finished run; give run folders, or the folder of a duel")
        kept = next((folder for folder in inside if (folder / MANIFEST).exists()), None)
        if kept is not None:
            raise BadValue(f"{kept} is a record of a board, and no run; give the folders of runs, without any board's")
        folders += inside
    return {folder: finished_record(folder) for folder in dict.fromkeys(folders)}


def _refuse_faults(found: Mapping[str, Sequence[str]], board: Board) -> None:
    told = [f"{where}: {fault}" for where, faults_ in found.items() for fault in faults_]
    if told:
        more = f" (and {len(told) - 3} more)" * (len(told) > 3)
        raise BadValue(
            f"not by the rules of board {board.name!r}: {'; '.join(told[:3])}{more}; nothing was added. Finish what is "
            "missing with eggym board run, or name only the folders of runs that are meant"
        )


def _refuse_second_outcome(standing: Sequence[Entry], found: Mapping[Path, Record], names: Mapping[Path, str]) -> None:
    """Refuse a run that was repeated until it won: one configuration and seed have one outcome on a board."""
    known = {entry.record.id: entry.name for entry in standing}
    for run, record in found.items():
        name = known.setdefault(record.id, names[run])
        if name != names[run]:
            raise BadValue(
                f"{run} is run {record.id}, which stands on the board with another outcome as {name}; a run counts "
                "once, the first time: withdraw that one with its reason first, or leave this one out"
            )


def _refuse_return(ledger: Ledger, new: Collection[str], said: Submission) -> None:
    """Refuse to fill the place of a withdrawn record without a word."""
    gone = {event.record.rpartition("-")[0]: event.record for event in ledger.events if event.kind == "withdrawn"}
    for name in new:
        before = gone.get(name.rpartition("-")[0])
        if before is not None and not said.corrects:
            raise BadValue(f"{name} takes the place of {before}, which was withdrawn; say why with --corrects REASON")


def _refuse_withdrawn(ledger: Ledger, names: Mapping[Path, str]) -> None:
    """Refuse what was withdrawn: to say that it is there already would hide that it does not count."""
    for run, name in names.items():
        line = ledger.withdrawn(name)
        if line is not None:
            raise BadValue(f"{run} is {name}, which was withdrawn ({line.reason}) and does not come back; leave it out")


def _refuse_elsewhere(place: Place, board: Board, path: Path) -> None:
    """Refuse a board by a file that this place does not know: nobody could verify what is added by its rules."""
    known = place.board_files().get(board.name)
    if known is None or known.resolve() != path.resolve():
        raise BadValue(
            f"{path} is not the board {board.name!r} of {place.root}"
            + (f", which is {known}" if known else f"; put it and what is pinned into {place.root / 'boards'}")
        )
