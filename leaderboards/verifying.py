"""Verification of what stands on boards: every level that was asked for, and a ledger line for what cost something.

L0 and L1 are looked at again each time. What goes beyond them is noted in the ledger as soon as it is known, so that a
long verification that was stopped goes on where it was; what the ledger holds already of a record as it is now is not
done twice, unless it is asked for again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eggym.errors import EggymError
from eggym.machine import describe

from .board import Board
from .collecting import Collected, collect
from .ledger import Event, Kind, append
from .levels import Standing, level_of, replayable
from .place import Place
from .rebuilding import HERE, Whereabouts, rebuild
from .regrading import regrade
from .rerunning import rerun
from .stored import Entry

Watch = Callable[[str, str], None]  # the name of a record, and what is being done to it


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verification is to do beyond L1."""

    regrade: bool = False
    replay: bool = False
    rerun: bool = False
    spot: int = 0  # training episodes of each ES run to make and grade again
    again: bool = False  # also what the ledger holds already
    where: Whereabouts = HERE
    by: str | None = None


@dataclass(frozen=True)
class Verified:
    """What a verification found on one board."""

    board: Board
    found: list[tuple[Entry, Standing]]  # those that were asked for and are at L1
    faults: list[str]  # of records that are not, of rows that are not whole, and of checks that could not be made
    new: list[Event] = field(default_factory=list)  # lines of the ledger

    @property
    def ok(self) -> bool:
        """Whether everything that was looked at is as it should be."""
        return not self.faults and all(event.ok for event in self.new)


def verify(
    place: Place, names: Sequence[str] = (), asked: Asked = Asked(), watch: Watch | None = None
) -> list[Verified]:
    """Verify records.

    Args:
        place: where they lie.
        names: boards, rows (board/learner) or records; none: all.
        asked: what beyond L1.
        watch: told what is being done.

    Raises:
        EggymError: a board or the ledger cannot be read, or a name means nothing. What is wrong with a record is told.
    """
    wanted = {path for name in names for path in place.named(name)} if names else set(place.folders())
    boards = sorted({path.parts[-3] for path in wanted})
    exact = {place.named(name)[0] for name in names if len(place.named(name)) == 1}
    return [_verify(place, board, wanted, exact, asked, watch or (lambda *_: None)) for board in boards]


def _verify(place: Place, name: str, wanted: set[Path], exact: set[Path], asked: Asked, watch: Watch) -> Verified:
    watch(name, "looking at every file")
    held = collect(place, name, thorough=True)
    faults = list(_faults(held, wanted, place))
    entries = [entry for entry, _ in held.found if entry.folder in wanted]
    new: list[Event] = []
    for entry, kind in _to_do(held, entries, exact, asked):
        watch(entry.name, kind)
        try:
            ok, told = _check(kind, entry, held, asked)
        except EggymError as problem:
            faults.append(f"{entry.name}: not {kind}: {problem}")
            continue
        line = {"kind": kind, "record": entry.name, "manifest_sha256": entry.manifest_sha256, "ok": ok}
        new += append(place.ledger_path, [{**line, "found": {**told, "by": _who(asked.by)}}])
    ledger = place.ledger()
    found = [
        (entry, level_of(entry.record, (), ledger.checked(entry.name, entry.manifest_sha256))) for entry in entries
    ]
    return Verified(held.board, found, faults, new)


def _faults(held: Collected, wanted: set[Path], place: Place) -> Iterator[str]:
    for one in held.refused:
        if place.records / one.name in wanted:
            yield from one.faults
    yield from held.row_faults
    yield from (f"{name} is in the ledger and not among the records; restore it" for name in held.missing)


def _to_do(held: Collected, entries: Sequence[Entry], exact: set[Path], asked: Asked) -> Iterator[tuple[Entry, Kind]]:
    done = {entry.folder: held.ledger.checked(entry.name, entry.manifest_sha256) for entry in entries}
    for entry in entries:
        for wanted, kind in ((asked.regrade, "regraded"), (asked.replay or asked.spot > 0, "replayed")):
            if not wanted or (kind == "replayed" and not replayable(entry.record) and entry.folder not in exact):
                continue
            if asked.again or asked.spot or kind not in done[entry.folder]:
                yield entry, kind  # type: ignore[misc]  # one of the two above
    if asked.rerun:
        yield from ((entry, "rerun") for entry in _to_rerun(entries, exact, done, asked.again))


def _to_rerun(
    entries: Sequence[Entry], exact: set[Path], done: Mapping[Path, Mapping[str, Event]], again: bool
) -> Iterator[Entry]:
    """Yield the records to run again: those that were named, and of every other row one seed of each task."""
    rows: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.folder in exact:
            if again or "rerun" not in done[entry.folder]:
                yield entry
        else:
            rows.setdefault((entry.folder.parts[-2], entry.record.task.label), []).append(entry)
    for same in rows.values():
        if again or not any("rerun" in done[entry.folder] for entry in same):
            yield min(same, key=lambda entry: entry.record.seed)


def _check(kind: Kind, entry: Entry, held: Collected, asked: Asked) -> tuple[bool, dict[str, Any]]:
    if kind == "regraded":
        regraded = regrade(entry, asked.where.data)
        return regraded.ok, regraded.told()
    if kind == "replayed":
        rebuilt = rebuild(entry, asked.spot, 0, asked.where)
        return rebuilt.ok, rebuilt.told()
    own = (entry.record.learner.label, entry.record.task.label)
    row = [one.record for one, _ in held.found if (one.record.learner.label, one.record.task.label) == own]
    again = rerun(entry, row, asked.where)
    return again.ok, again.told()


def _who(name: str | None) -> dict[str, Any]:
    machine = describe()
    told = {key: machine[key] for key in ("eggym", "commit", "commit_changed", "cpu", "gpu", "torch")}
    return {**told, **({"name": name} if name else {})}
