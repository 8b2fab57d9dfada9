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

from pydantic import Field, ValidationError

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

    Raises:
        BadValue: the ledger as it is was damaged.
        EggymError: it cannot be written.
    """
    with alone(path.parent):
        events = list(_read(path))
        new: list[Event] = []
        for line in lines:
            last = [*events, *new][-1:]
            new.append(_event(line, len(events) + len(new), last[0].sha256 if last else _NOTHING))
        write_bytes(path, "".join(map(canonical_json, [*events, *new])).encode())
    return new


def _event(line: Mapping[str, Any], number: int, before: str) -> Event:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    draft = Event(number=number, at=at, before=before, sha256=_NOTHING, **line)
    return draft.model_copy(update={"sha256": _digest(draft)})


def _digest(event: Event) -> str:
    return sha256_json(event.model_dump(exclude={"sha256"}))


def _read(path: Path) -> Iterator[Event]:
    if not path.exists():
        return
    if path.is_symlink() or not path.is_file():
        raise BadValue(f"{path} is no plain file")
    before, text = _NOTHING, path.read_bytes()
    lines = text.split(b"\n")
    if lines.pop() != b"":
        raise BadValue(f"{path} does not end with a whole line; restore it")
    for number, line in enumerate(lines):
        try:
            event = Event.model_validate(json.loads(line))
            whole = canonical_json(event).encode() == line + b"\n"
        except (ValueError, ValidationError, RecursionError) as problem:
            raise BadValue(
                f"{path}, line {number + 1}, is no line of a ledger; restore it, or update eggym"
            ) from problem
        if not whole or event.number != number or event.before != before or event.sha256 != _digest(event):
            raise BadValue(f"{path}, line {number + 1}, was changed, or one before it was taken out; restore it")
        before = event.sha256
        yield event
