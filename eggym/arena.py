"""Runs arranged: by task, then by learner, then by seed; and what may not be compared."""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from eggym.config import flat
from eggym.errors import BadValue
from eggym.files import sha256_json
from eggym.record import Record
from eggym.score import Mode

FROZEN = "frozen"  # the control that never changes
# what the runs of a comparison may differ in; tuning has a rule of its own
_OWN = ("learner", "variant", "options", "profile", "seed", "tuning")
# what has to be equal of a tuning; what was chosen is a learner's own
_TUNING = ("task", "split", "budget", "items", "trials")
_BESIDE = {"provenance", "content_sha256"}  # who made it: that two made the same is no contradiction
_MOST_TOLD = 4  # keys in which two runs differ
_KINDS = ("es", "rl", "baseline", "control")


@dataclass(frozen=True, slots=True)
class Side:
    """One learner on one task, over seeds."""

    label: str  # the learner's name, and its variant's; with its distinguishing options if it takes part twice
    kind: str
    records: tuple[Record, ...]  # in the order of their seeds

    def finals(self, mode: Mode) -> dict[int, float | None]:
        """Return the mean reward that counts (at the end of the budget, or of the chosen checkpoint), by seed."""
        return {record.seed: record.final(mode).mean for record in self.records}

    def starts(self, mode: Mode) -> dict[int, float | None]:
        """Return the mean reward before any update, by seed."""
        return {record.seed: record.start(mode).mean for record in self.records}


@dataclass(frozen=True, slots=True)
class Arena:
    """One task and everyone who learned it."""

    task: str
    sides: tuple[Side, ...]  # ES, then RL, then baselines, then controls

    @property
    def primary(self) -> Mode:
        """The metric that decides."""
        return self.sides[0].records[0].primary

    @property
    def frozen(self) -> Side | None:
        """The control that never changes, if it was run."""
        return next((side for side in self.sides if side.records[0].learner.name == FROZEN), None)

    def pairs(self) -> list[tuple[Side, Side]]:
        """Return every pair of an ES and an RL learner."""
        return list(itertools.product(self._of("es"), self._of("rl")))

    def _of(self, kind: str) -> list[Side]:
        return [side for side in self.sides if side.kind == kind]


def arrange(records: Sequence[Record]) -> list[Arena]:
    """Arrange runs by task and learner, both in the order of their first appearance (learners: ES, RL,
    baselines, controls).

    Raises:
        BadValue: there is no run; one run has two outcomes; two runs of one learner on one task share a seed; the
            primary metrics differ; the runs of a task differ in more than learner and seed, in their budget or model
            for example; learners that can be tuned were not tuned equally, or the seeds of one not by one tuning.
    """
    if not records:
        raise BadValue("there is no finished run to compare; give a folder that holds record.json files")
    if len({record.primary for record in records}) > 1:
        raise BadValue("the runs have different primary metrics, greedy and sampled; compare runs of one kind")
    unique = _unique(records)
    tasks = _group(unique, lambda record: (record.task.label, record.task.digest))
    several = {key[0] for key in tasks if sum(other[0] == key[0] for other in tasks) > 1}
    arenas = [
        Arena(f"{name} {digest[:6]}" if name in several else name, _sides(runs))
        for (name, digest), runs in tasks.items()
    ]
    for runs in tasks.values():
        _refuse_unequal(runs)
        _refuse_unequal_tuning(runs)
    return arenas


def _unique(records: Sequence[Record]) -> list[Record]:
    """Return each run once, however many folders hold it."""
    found: dict[str, Record] = {}
    for record in records:
        known = found.setdefault(record.id, record)
        if known is not record and _content(known) != _content(record):
            raise BadValue(
                f"there are two outcomes of run {record.id} ({record.learner.label} on {record.task.label}, seed "
                f"{record.seed}), by {_origin(known)} and by {_origin(record)}; give the folder of one of them"
            )
    return list(found.values())


def _content(record: Record) -> str:
    return sha256_json(record.model_dump(exclude=_BESIDE))


def _origin(record: Record) -> str:
    made = record.provenance
    return f"eggym {made.eggym}" + (f" ({made.git_commit[:7]})" if made.git_commit else "")


def _refuse_unequal(runs: Sequence[Record]) -> None:
    first, *others = runs
    for other in others:
        told = _differing(first, other, besides=_OWN)
        if told:
            raise BadValue(
                f"runs {first.id} ({first.learner.name}) and {other.id} ({other.learner.name}) on {first.task.id} "
                f"cannot be compared: {told}"
            )


def _differing(first: Record, other: Record, besides: Collection[str] = ()) -> str:
    """Return in which keys two configurations differ, and how; empty where they are equal."""
    one, two = (flat({key: value for key, value in run.config.items() if key not in besides}) for run in (first, other))
    keys = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
    told = ", ".join(f"{key} is {one.get(key)!r} and {two.get(key)!r}" for key in keys[:_MOST_TOLD])
    return told + (f", and {len(keys) - _MOST_TOLD} more" if len(keys) > _MOST_TOLD else "")


def _refuse_unequal_tuning(runs: Sequence[Record]) -> None:
    """Refuse learners that had unequal chances to be tuned; who has nothing to tune, and a control, is left alone."""
    for label, same in _group(runs, lambda record: record.learner.label).items():
        if len({sha256_json(record.tuning) for record in same}) > 1:
            raise BadValue(
                f"the runs of {label} on {same[0].task.id} were not tuned alike: seeds of one learner need one tuning; "
                "compare those that share one"
            )
    able = [record for record in runs if record.tuning is not None or _could_be_tuned(record)]
    for other in able[1:]:
        if _chances(able[0]) != _chances(other):
            raise BadValue(
                f"runs {able[0].id} ({able[0].learner.label}) and {other.id} ({other.learner.label}) on "
                f"{other.task.id} cannot be compared: tuning is {_told(able[0])} and {_told(other)}; tune all learners "
                "equally, or compare them apart"
            )


def _could_be_tuned(record: Record) -> bool:
    return record.learner.kind in ("es", "rl") and record.learner.tunable is not False


def _chances(record: Record) -> dict[str, Any]:
    return {} if record.tuning is None else {name: record.tuning.brief().get(name) for name in _TUNING}


def _told(record: Record) -> str:
    found = _chances(record)
    if not found:
        return "none"
    cost = f" of {found['budget']}" if found["budget"] else ""
    items = f", {found['items']} items" if found["items"] else ""
    return f"{found['trials']} trials{cost} on {found['task']}, {found['split']}{items}"


def _sides(records: Sequence[Record]) -> tuple[Side, ...]:
    groups = _group(records, lambda record: (record.learner.label, sha256_json(record.learner.options)))
    sides = [
        Side(_label(runs[0], [other[0] for other in groups.values()]), runs[0].learner.kind, _by_seed(runs))
        for runs in groups.values()
    ]
    return tuple(sorted(sides, key=lambda side: (_KINDS.index(side.kind), side.label != FROZEN)))


def _label(record: Record, all_learners: Sequence[Record]) -> str:
    name, options = record.learner.label, record.learner.options
    others = [other.learner.options for other in all_learners if other.learner.label == name]
    differing = [key for key in options if any(other.get(key) != options[key] for other in others)]
    return " ".join([name, *(f"{key}={options[key]}" for key in differing)])


def _by_seed(runs: Sequence[Record]) -> tuple[Record, ...]:
    for seed, same in _group(runs, lambda record: record.seed).items():
        if len(same) > 1:
            what = f"{same[0].learner.label} on {same[0].task.id} with seed {seed}"
            told = _differing(same[0], same[1]) or "their models have other weights"
            raise BadValue(
                f"there are two different runs of {what} ({same[0].id}, {same[1].id}): {told}; give one of them"
            )
    return tuple(sorted(runs, key=lambda record: record.seed))


def _group(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups
