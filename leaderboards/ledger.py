"""The ledger: what happened to the records of all boards, one JSON line after the other, never edited.

Each line holds the SHA-256 of the line before it and its own, so a line that is changed, taken out or put in between
shows. Corrections and withdrawals are lines; nothing is deleted. What a check beyond the files found (replies graded
again, weights rebuilt, a run repeated) is a line too, with the digest of what was checked: it counts only as long as
the record is still that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from eggym.errors import BadValue
from eggym.files import canonical_json, sha256_json, write_bytes
from eggym.lock import alone
from eggym.score import Count, Strict

from .board import Sha256

LEDGER = "ledger.jsonl"
Kind = Literal["added", "regraded", "replayed", "rerun", "withdrawn"]
CHECKS: tuple[Kind, ...] = ("regraded", "replayed", "rerun")
_NOTHING = "0" * 64


class Event(Strict):
    """One line."""

    number: Count
    at: str  # ISO 8601, UTC
    kind: Kind
    record: str  # board/learner/run
    manifest_sha256: Sha256  # of the record as it was then
    ok: bool = True  # what a check found
    reason: str | None = None  # of a withdrawal, or of a record in the place of one that was withdrawn
    found: dict[str, Any] = Field(default_factory=dict)  # the numbers of a check, and who made it
    before: Sha256  # of the line before
    sha256: Sha256  # of this line without this field


class Ledger:
    """The file and its lines; a missing file has none."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            BadValue: a line was changed, is missing, or is of a form that this eggym does not read.
        """
        self.path = path
        self.events: list[Event] = list(_read(path))
        self._of: dict[str, list[Event]] = {}
        for event in self.events:
            self._of.setdefault(event.record, []).append(event)

    def of(self, record: str) -> list[Event]:
        """Return what happened to one record, in order."""
        return list(self._of.get(record, ()))

    def added(self, record: str) -> Event | None:
        """Return the line that brought a record, if there is one."""
        return next((event for event in self.of(record) if event.kind == "added"), None)

    def withdrawn(self, record: str) -> Event | None:
        """Return the line that withdrew a record, if there is one."""
        return next((event for event in self.of(record) if event.kind == "withdrawn"), None)

    def checked(self, record: str, manifest_sha256: str) -> dict[str, Event]:
        """Return the last line of each kind of check on a record as it is now."""
        return {
            event.kind: event
            for event in self.of(record)
            if event.kind in CHECKS and event.manifest_sha256 == manifest_sha256
        }


def append(path: Path, lines: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Add lines, all or none: fields of `Event`, without number, time and digests.

    Of the lines before, the last is looked at: that is what the new ones follow from. A verification appends after each
    check, and looking at all of them every time would take hours where it takes minutes; who reads the ledger does.

    Raises:
        BadValue: the end of the ledger was damaged.
        EggymError: it cannot be written.
    """
    with alone(path.parent):
        whole = _content(path)
        last = _last(path, whole)
        number, before = (last.number + 1, last.sha256) if last else (0, _NOTHING)
        new: list[Event] = []
        for line in lines:
            new.append(_event(line, number + len(new), before))
            before = new[-1].sha256
        write_bytes(path, whole + "".join(map(canonical_json, new)).encode())
    return new


def _last(path: Path, whole: bytes) -> Event | None:
    number = whole.count(b"\n") - 1
    line = whole[whole.rfind(b"\n", 0, -1) + 1 : -1]
    return _parsed(path, number, line) if whole else None


def _event(line: Mapping[str, Any], number: int, before: str) -> Event:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    draft = Event(number=number, at=at, before=before, sha256=_NOTHING, **line)
    return draft.model_copy(update={"sha256": _digest(draft)})


def _digest(event: Event) -> str:
    return sha256_json(event.model_dump(exclude={"sha256"}))


def _content(path: Path) -> bytes:
    """Return the bytes of the file; none, if there is no file.

    Raises:
        BadValue: it is no plain file, ends within a line, or holds what git or an editor made of it.
    """
    if not path.exists() and not path.is_symlink():
        return b""
    if path.is_symlink() or not path.is_file():
        raise BadValue(f"{path} is no plain file")
    whole = path.read_bytes()
    if any(whole.startswith(mark) or b"\n" + mark in whole for mark in (b"<<<<<<<", b"=======", b">>>>>>>")):
        raise BadValue(
            f"{path} holds both sides of a git merge; take the file of the branch that you merge into (git checkout "
            "--ours or --theirs), then give `eggym board add` and `verify` again: they write your lines anew"
        )
    if b"\r" in whole or whole.startswith(b"\xef\xbb\xbf"):
        raise BadValue(f"{path} has other line ends or a mark at its start, by an editor or git; restore it")
    if whole and not whole.endswith(b"\n"):
        raise BadValue(f"{path} does not end with a whole line; restore it")
    return whole


def _read(path: Path) -> Iterator[Event]:
    before = _NOTHING
    for number, line in enumerate(_content(path).split(b"\n")[:-1]):
        event = _parsed(path, number, line)
        if event.number != number or event.before != before:
            raise _changed(path, number)
        before = event.sha256
        yield event


def _parsed(path: Path, number: int, line: bytes) -> Event:
    try:
        event = Event.model_validate(json.loads(line))
        whole = canonical_json(event).encode() == line + b"\n"
    except (ValueError, RecursionError) as problem:
        raise BadValue(f"{path}, line {number + 1}, is no line of a ledger; restore it, or update eggym") from problem
    if not whole or event.sha256 != _digest(event):
        raise _changed(path, number)
    return event


def _changed(path: Path, number: int) -> BadValue:
    return BadValue(f"{path}, line {number + 1}, was changed, or one before it was taken out; restore it")
