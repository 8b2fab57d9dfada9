"""The site of the boards: one folder of plain files, derived from records alone.

    index.html  BOARD/index.html  BOARD/ROW.html  BOARD/board.csv .json .tex
    records/  ledger.jsonl  boards/      what it was derived from, byte for byte
    MANIFEST.sha256                      the digest of every file, for ``sha256sum -c``

The same records give the same bytes on every machine: no clock, no path and no name of the machine goes in. The folder
is a place of boards itself, so whoever has a copy can verify it with the commands that its pages name. It is built
beside its target and then put in its place, so a reader never sees half of one.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from eggym.errors import BadValue, EggymError
from eggym.files import unwritable

from .board_page import board_page, index_page
from .exports import board_csv, board_json, board_tex
from .ledger import LEDGER
from .packing import read_plain
from .pinned import PINNED, pinned_path
from .place import ELSEWHERE, Place
from .row_page import row_page
from .shown import Shown, ShownBoard, show
from .spreading import spread, uncollected
from .stored import MANIFEST, Entry, read_entry

SUMS = "MANIFEST.sha256"
_TAKEN = ("records", "boards")  # folders of a site, which no board can be named after


def build_site(place: Place, out: Path, boards: Sequence[str] = ()) -> list[Path]:
    """Build the pages of boards, and return the paths of all files that were written.

    Args:
        place: where records, ledger and boards lie.
        out: the folder to be; an earlier site there is replaced.
        boards: names or files; empty: all that the place knows.

    Raises:
        BadValue: there is no such place, ``out`` holds something else than an earlier site, or a board cannot be read.
        EggymError: a file cannot be written.
    """
    if not place.root.is_dir():  # or an empty site would take the place of a whole one
        raise BadValue(f"there is no folder {place.root}; {ELSEWHERE}")
    _refuse_other(out)
    with uncollected():
        shown = [show(place, name) for name in boards or place.board_files()]
        return _put_down(out, place, shown)


def _put_down(out: Path, place: Place, shown: Sequence[ShownBoard]) -> list[Path]:
    part, old = (out.parent / f".{out.name}.{state}" for state in ("part", "old"))
    try:
        _remove(part)
        site = _Site(part)
        _write(site, place, shown)
        _put(part, out, old)
    except OSError as problem:
        raise unwritable(out, problem) from problem
    finally:
        with contextlib.suppress(OSError):
            _remove(part)
    return [out / name for name in sorted([*site.sums, SUMS])]


Sums = dict[str, str]  # path of a file below the site: its SHA-256


class _Site:
    """The folder while it is written, with the digest of each file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sums: Sums = {}
        root.mkdir(parents=True)

    def write(self, name: str, content: bytes, digest: str | None = None) -> Sums:
        """Write a file and return its digest; ``digest`` is that where it has just been looked at."""
        path = self.root / name
        try:
            path.write_bytes(content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        told = {name: digest or hashlib.sha256(content).hexdigest()}
        self.sums |= told
        return told

    def spread(self, jobs: Sequence[Callable[[], Sums]]) -> None:
        """Do what writes files in as many processes as there are cores; each job returns the digests of its own."""
        for told in spread(lambda job: job(), jobs):
            self.sums |= told

    def close(self) -> None:
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.sums.items()))
        (self.root / SUMS).write_bytes(lines.encode())


def _write(site: _Site, place: Place, boards: Sequence[ShownBoard]) -> None:
    site.write("index.html", index_page(boards).encode())
    for board in boards:
        _write_board(site, place, board)
    if place.ledger_path.exists():
        site.write(LEDGER, place.ledger_path.read_bytes())
    site.close()


def _write_board(site: _Site, place: Place, board: ShownBoard) -> None:
    if board.name in _TAKEN:
        raise BadValue(f"board {board.name!r} has the name of a folder of the site; give it another name")
    kept = {name for name, _ in board.collected.withdrawn if _copy(site, place.records / name)}
    path = board.collected.path
    site.write(f"boards/{board.name}.yaml", path.read_bytes())
    site.write(f"boards/{PINNED}/{board.name}.json", pinned_path(path).read_bytes())
    site.write(f"{board.name}/index.html", board_page(board, kept).encode())
    found = [shown.found for shown in board.tables]
    for export, text in (("csv", board_csv), ("json", board_json), ("tex", board_tex)):
        site.write(f"{board.name}/board.{export}", text(board.collected.board, found).encode())
    rows = [partial(_write_row, site, board, shown, label) for shown in board.tables for label in shown.pages]
    site.spread([*rows, *(partial(_copy_entry, site, entry) for entry, _ in board.collected.found)])


def _write_row(site: _Site, board: ShownBoard, shown: Shown, label: str) -> Sums:
    return site.write(f"{board.name}/{shown.pages[label]}.html", row_page(board, shown, label).encode())


def _copy(site: _Site, folder: Path) -> bool:
    """Copy a record that was withdrawn, if it is still whole; what is not is not handed on."""
    try:
        entry = read_entry(folder)
        for name in entry.manifest.files:
            entry.raw(name)
    except EggymError:
        return False
    _copy_entry(site, entry)
    return True


def _copy_entry(site: _Site, entry: Entry) -> Sums:
    sums = site.write(
        f"records/{entry.name}/{MANIFEST}", read_plain(entry.folder / MANIFEST, f"{entry.name}/{MANIFEST}")
    )
    for name, told in entry.manifest.files.items():
        sums |= site.write(f"records/{entry.name}/{name}", entry.raw(name), told.sha256)
    return sums


def _put(part: Path, out: Path, old: Path) -> None:
    """Put a whole site in the place of an earlier one, which comes back if that fails."""
    _remove(old)
    if out.exists():
        out.rename(old)
    try:
        part.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    _remove(old)


def _refuse_other(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadValue(f"{out} is no folder; choose another with --out")
    if out.exists() and any(out.iterdir()) and not (out / SUMS).is_file():
        raise BadValue(f"{out} holds something else than an earlier site (no {SUMS}); choose another folder with --out")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
