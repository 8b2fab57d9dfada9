"""How far a record has been verified: computed from its files and from what the ledger says of checks on them.

    L0  by the rules of its board
    L1  whole and unchanged: its numbers follow from what it keeps
    L2  every kept reply graded again, with the same reward; weights of an ES run rebuilt bit for bit
    L3  trained again by somebody, with a result that agrees

Each level holds the ones before it. A check counts as long as the record is what was checked, by the digest of its
manifest. The level of a row is the least of its runs'; L3 asks for one seed of every task.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eggym.record import Record
from eggym.registry import load_learner
from eggym.variant import bare_name

from .ledger import Event
from .names import registered

Level = Literal[0, 1, 2, 3]
WHAT: dict[Level, str] = {
    0: "by the rules of the board",
    1: "whole, unchanged, and its numbers follow from what it keeps",
    2: "every kept reply graded again; ES: weights rebuilt bit for bit",
    3: "trained again, with a result that agrees",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one record has come, and what keeps it from going further."""

    level: Level | None  # None: not by the rules, or damaged
    faults: tuple[str, ...] = ()
    checks: tuple[Event, ...] = ()  # the last of each kind


def level_of(record: Record, faults: Sequence[str], checks: Mapping[str, Event]) -> Standing:
    """Return the standing of one record.

    Args:
        record: of the run.
        faults: what L0 and L1 found.
        checks: the last line of the ledger of each kind, on the record as it is now.
    """
    told = tuple(checks.values())
    if faults:
        return Standing(None, tuple(faults), told)
    failed = [f"{event.kind}: {event.found.get('why', 'it did not agree')}" for event in told if not event.ok]
    if failed:
        return Standing(1, tuple(failed), told)
    wanted = {"regraded", *(["replayed"] if replayable(record) else [])}
    if not wanted <= checks.keys():
        return Standing(1, (), told)
    return Standing(3 if "rerun" in checks else 2, (), told)


def row_level(standings: Iterable[tuple[str, Standing]]) -> Level | None:
    """Return the level of a row, from the task and standing of each of its runs."""
    found = list(standings)
    levels = [standing.level for _, standing in found]
    known = [level for level in levels if level is not None]
    if not found or len(known) < len(levels):
        return None
    if min(known) < 2:
        return 1 if min(known) == 1 else 0
    again = {task for task, standing in found if standing.level == 3}
    return 3 if again == {task for task, _ in found} else 2


def replayable(record: Record) -> bool:
    """Whether the weights of a run follow from its rewards: of ES, and of the control of an ES learner."""
    if record.learner.kind == "es":
        return True
    inside = bare_name(record.learner.name)
    return inside != record.learner.name and registered(record) and load_learner(inside).kind == "es"
