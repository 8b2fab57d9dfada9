"""Adding runs to a board: checked by its rules, copied as records that nobody edits, and noted in the ledger.

Everything is checked before anything is written: the runs themselves, and whether with them every row is whole, its
controls included. A folder is written beside its place and renamed, the ledger last; what was stopped in between is
finished by the same command.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eggym.errors import BadValue, EggymError
from eggym.files import canonical_json, sha256_file, write_bytes, write_json
from eggym.record import Record, find_runs
from eggym.replies import EVALUATIONS
from eggym.result import finished_record
from eggym.wording import slug

from .board import Board
from .chain import Row, chain, dump, root
from .integrity import faults
from .ledger import append
from .pinned import read_pinned
from .place import Place
from .rules import record_faults, row_faults
from .stored import (
    CHAIN,
    MANIFEST,
    PACKED,
    PACKED_FILES,
    PLAIN_FILES,
    Entry,
    Manifest,
    Stored,
    pack,
    read_entry,
    sealed,
)

_PART = ".part-"  # a folder that is being written


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submitter says of runs beside what they are."""

    by: str | None = None
    note: str | None = None
    links: tuple[str, ...] = ()
    corrects: str | None = None  # the reason why withdrawn records are replaced


@dataclass(frozen=True, slots=True)
class Added:
    """One run, and where it went."""

    run: Path
    record: str
    new: bool  # False: it was there already
    withdrawn: bool = False  # it was there, and was taken back: the same run does not return


def add(place: Place, board_name: str, runs: Sequence[Path], said: Submission = Submission()) -> list[Added]:
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
    pinned = read_pinned(path, board)
    found = _read(runs)
    _refuse_faults({str(run): record_faults(board, pinned, record) for run, record in found.items()}, board)
    ledger = place.ledger()
    standing = [one for one in place.entries(board.name) if ledger.withdrawn(one.name) is None]
    names = {run: record_name(board, record) for run, record in found.items()}
    _refuse_second_outcome(standing, found, names)
    new = {run: record for run, record in found.items() if ledger.added(names[run]) is None}
    _refuse_return(ledger.events, board, new, said)
    together = {one.name: one.record for one in standing} | {names[run]: record for run, record in found.items()}
    _refuse_faults({board.name: row_faults(board, list(together.values()))}, board)
    lost = {run for run in found if run not in new and not (place.records / names[run]).exists()}
    lines = [_write(place, board, run, found[run], names[run], said) for run in found if run in new or run in lost]
    for line in lines:
        before = ledger.added(line["record"])
        if before is not None and before.manifest_sha256 != line["manifest_sha256"]:
            shutil.rmtree(place.records / line["record"])
            raise BadValue(f"{line['record']} is not what was added before; give the same --by, --note and --link")
    append(place.ledger_path, [line for line in lines if ledger.added(line["record"]) is None])
    back = {run for run, name in names.items() if ledger.withdrawn(name) is not None}
    return [Added(run, names[run], run in new or run in lost, run in back) for run in found]


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


def record_name(board: Board, record: Record) -> str:
    """Return the name of a record: board/learner/run, where the run names task, seed and content."""
    task, content = slug(record.task.label), hashlib.sha256(canonical_json(record).encode()).hexdigest()
    return f"{board.name}/{slug(record.learner.label)}/{task}-seed-{record.seed}-{content[:12]}"


def make_entry(target: Path, board: Board, run: Path, record: Record, said: Submission = Submission()) -> Entry:
    """Write a finished run as a record folder.

    Raises:
        BadValue: a file of the run is missing, or what was written does not hold together.
    """
    target.mkdir(parents=True)
    files: dict[str, Stored] = {}
    for name in PLAIN_FILES:
        if (run / name).is_file():
            files[name] = _store(target / name, (run / name).read_bytes())
    for name in PACKED_FILES:
        if (run / name).is_file():
            files[name + PACKED] = _store_packed(target / (name + PACKED), (run / name).read_bytes())
    links = chain(run, record.id, record.n_steps, _rows(run / EVALUATIONS))
    files[CHAIN] = _store(target / CHAIN, dump(links).encode())
    kept = {name.removesuffix(PACKED) for name in files}
    manifest = Manifest(
        board=board.name,
        board_version=board.version,
        run=record.id,
        files=files,
        left_out={name: digest for name, digest in record.files.items() if name not in kept},
        chain_root=root(links, record.id),
        by=said.by,
        note=said.note,
        links=list(said.links),
    )
    write_json(target / MANIFEST, sealed(manifest))
    entry = read_entry(target)
    wrong = faults(entry, None)
    if wrong:
        raise BadValue(f"{run} cannot stand on a board: {wrong[0]}")
    return entry


def _read(runs: Sequence[Path]) -> dict[Path, Record]:
    folders: list[Path] = []
    for path in runs:
        inside = find_runs(path)
        if not inside:
            raise BadValue(f"{path} holds no finished run; give run folders, or the folder of a duel")
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


def _refuse_return(events: Sequence[Any], board: Board, new: Mapping[Path, Record], said: Submission) -> None:
    """Refuse to fill the place of a withdrawn record without a word."""
    gone = {event.record for event in events if event.kind == "withdrawn"}
    for run, record in new.items():
        stem = record_name(board, record).rpartition("-")[0]
        before = next((name for name in gone if name.rpartition("-")[0] == stem), None)
        if before is not None and not said.corrects:
            raise BadValue(f"{run} takes the place of {before}, which was withdrawn; say why with --corrects REASON")


def _write(place: Place, board: Board, run: Path, record: Record, name: str, said: Submission) -> dict[str, Any]:
    """Write one record folder, if it is not there; return its line for the ledger."""
    target = place.records / name
    if not target.exists():
        part = place.records.parent / f"{_PART}{target.name}"
        shutil.rmtree(part, ignore_errors=True)
        try:
            make_entry(part, board, run, record, said)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.rename(target)
        except OSError as problem:
            raise EggymError(f"cannot write {target}: {problem.strerror or problem}") from problem
        finally:
            shutil.rmtree(part, ignore_errors=True)
    reason = {"reason": said.corrects} if said.corrects else {}
    return {"kind": "added", "record": name, "manifest_sha256": sha256_file(target / MANIFEST), **reason}


def _store(path: Path, content: bytes) -> Stored:
    write_bytes(path, content)
    return Stored(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _store_packed(path: Path, content: bytes) -> Stored:
    packed = pack(content)
    write_bytes(path, packed)
    return Stored(
        bytes=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        content_bytes=len(content),
        content_sha256=hashlib.sha256(content).hexdigest(),
    )


def _rows(path: Path) -> list[Row]:
    import json

    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
