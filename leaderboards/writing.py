"""Record folders, written whole or not at all: beside their place, looked at as everyone will, then renamed."""

import contextlib
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from eggym.errors import BadValue
from eggym.files import unwritable, write_bytes, write_json
from eggym.record import Record
from eggym.replies import EVALUATIONS

from .board import Board
from .chain import Row, chain, dump, root
from .integrity import faults
from .packing import pack
from .place import Place
from .stored import (
    CHAIN,
    MANIFEST,
    PACKED,
    PACKED_FILES,
    PLAIN_FILES,
    Entry,
    Manifest,
    Stored,
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


SAID_NOTHING = Submission()


def write_record(
    place: Place, board: Board, run: Path, record: Record, name: str, said: Submission, before: str | None
) -> str:
    """Write the folder of a record, if it is not there, and return the SHA-256 of its manifest.

    A folder that is there was left by somebody who was stopped before the ledger, or comes from who knows where: it
    stays only if it is the one that would be written now. ``before`` is the SHA-256 of the manifest by the ledger, of a
    record that was added and whose folder was lost.

    Raises:
        BadValue: another folder lies there, or the run cannot stand on a board.
        EggymError: it cannot be written.
    """
    target = place.records / name
    part = place.root / f"{_PART}{target.name}"
    try:
        shutil.rmtree(part, ignore_errors=True)
        sha256 = make_entry(part, board, run, record, said).manifest_sha256
        if before not in (None, sha256):
            raise BadValue(f"{name} is not what was added before; give the same --by, --note and --link")
        if target.is_symlink() or target.exists():
            _refuse_other(target, part)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.rename(target)
        return sha256
    except OSError as problem:
        raise unwritable(target, problem) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _refuse_other(target: Path, part: Path) -> None:
    with contextlib.suppress(BadValue):
        if read_entry(target).manifest_sha256 == read_entry(part).manifest_sha256:
            return
    raise BadValue(
        f"{target} is there already, and is not what this run makes; give the same --by, --note and --link as when it "
        "was written, or take the folder away"
    )


def make_entry(target: Path, board: Board, run: Path, record: Record, said: Submission = SAID_NOTHING) -> Entry:
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
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
