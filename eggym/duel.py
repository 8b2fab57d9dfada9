"""Duels: paired runs of two or more learners on the same tasks, model and budget, over seeds.

Everything is tried before anything is written. Runs go to persistent worker processes, the longest first; each has a
folder of its own, ``OUT/task/learner/seed-N``, so that the same command continues what is unfinished and reuses what is
finished, with more seeds or learners too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eggym.budget import Budget
from eggym.config import CONFIG, DEFAULT_BUDGET, RunConfig, refuse_other, refuse_unknown_fields
from eggym.engine import parse_memory
from eggym.errors import BadValue
from eggym.evaluation import OTHERS
from eggym.files import read_json, sha256_json, write_bytes, write_json
from eggym.outcome import summary
from eggym.pool import Entry, Pool, Watch
from eggym.record import RECORD_FILE, Measured, Record, load_measured
from eggym.registry import reference, with_options
from eggym.report import picture_svg, write_report
from eggym.result import finished_record
from eggym.task import Task
from eggym.variant import sections

DEFAULT_TASKS = ("eggym/tiny-arithmetic-v0", "eggym/tiny-orders-v0", "eggym/tiny-programs-v0")
DEFAULT_LEARNERS = ("eggroll", "dr_grpo", "frozen")
DEFAULT_SEEDS = 3
DEFAULT_WORKERS = 2
MOST_SEEDS = 1000
SUMMARY = "summary.json"
PICTURE = "picture.svg"
_RETENTION = "eval.retention"


@dataclass(frozen=True, slots=True)
class DuelConfig:
    """What a duel is asked to do. The fields of `RunConfig`, with several tasks, learners and seeds."""

    task: tuple[str, ...] = DEFAULT_TASKS
    learner: tuple[str, ...] = DEFAULT_LEARNERS
    seeds: tuple[int, ...] = tuple(range(DEFAULT_SEEDS))
    model: str = "embedded-v0"
    budget: str = DEFAULT_BUDGET
    data: str | None = None
    split: str = "train"
    memory: str = "2GiB"
    device: str = "auto"
    dtype: str = "auto"
    set: Mapping[str, Any] = field(default_factory=dict)
    workers: int = DEFAULT_WORKERS

    def __post_init__(self) -> None:
        """Refuse what cannot be a duel."""
        for name in ("task", "learner", "seeds"):
            values = getattr(self, name)
            if not values:
                raise BadValue(f"a duel needs at least one {name.removesuffix('s')}")
            twice = next((value for value in values if list(values).count(value) > 1), None)
            if twice is not None:
                raise BadValue(f"{name.removesuffix('s')} {twice!r} is given twice; give each once")
        if len(self.seeds) > MOST_SEEDS or any(not 0 <= seed < 1 << 63 for seed in self.seeds):
            raise BadValue(f"seeds must be at most {MOST_SEEDS} whole numbers from 0, got {list(self.seeds)[:4]}...")
        Budget.parse(self.budget)
        parse_memory(self.memory)
        if self.workers < 1:
            raise BadValue(f"workers must be at least 1, got {self.workers}")

    def run(self, task: str, learner: str, seed: int) -> RunConfig:
        """Return the configuration of one run."""
        shared = ("model", "budget", "data", "split", "memory", "device", "dtype")
        settings = self._settings(learner)
        if settings.get(_RETENTION) == OTHERS:
            settings[_RETENTION] = ",".join(sorted(map(self._elsewhere, set(self.task) - {task})))
        return RunConfig(task, learner, seed=seed, set=settings, **{name: getattr(self, name) for name in shared})

    def _elsewhere(self, task: str) -> str:
        """Return a task as this duel asks it: with the options that it gives to all its tasks."""
        given = {name.removeprefix("task."): value for name, value in self.set.items() if name.startswith("task.")}
        data = {} if self.data is None else {"data": self.data}
        return with_options(task, {**data, **given})

    def _settings(self, learner: str) -> dict[str, Any]:
        """Leave the settings of the other learners to them; what belongs to nobody is refused by the run."""
        others = {section for other in self.learner for section in sections(other)} - set(sections(learner))
        return {name: value for name, value in self.set.items() if name.partition(".")[0] not in others}

    def folder(self) -> Path:
        """Return the default folder: more learners and seeds go into the same one, other tasks into another."""
        shared = {**asdict(self), "task": sorted(self.task), "learner": None, "seeds": None, "workers": None}
        model = Path(self.model).name
        return Path("runs") / f"duel-{slug(model)}-{slug(self.budget)}-{sha256_json(shared)[:6]}"


@dataclass(frozen=True)
class DuelResult:
    """What came of a duel."""

    folder: Path
    records: list[Record]
    measured: dict[str, Measured]  # by run id
    summary: dict[str, Any]
    report: Path


def duel(
    task: str | type[Task] | Sequence[str | type[Task]] = DEFAULT_TASKS,
    learner: str | Sequence[str] = DEFAULT_LEARNERS,
    seeds: int | Sequence[int] = DEFAULT_SEEDS,
    out: str | Path | None = None,
    force: bool = False,
    watch: Watch | None = None,
    **settings: Any,
) -> DuelResult:
    """Run a duel, or continue it, or read it if it is finished.

    Args:
        task: ids, ``module:name``, files, or task classes of a module that can be imported.
        learner: names.
        seeds: how many (0, 1, ...), or which.
        out: its folder; None: one under ``runs/``, named by what makes runs comparable.
        force: also run budgets that are too small for 5 updates.
        watch: told what happens, as it happens.
        settings: other fields of `DuelConfig`: model, budget, data, memory, device, dtype, set, workers.

    Raises:
        EggymError: anything a user can mend, in one line; then nothing new was written.
    """
    refuse_unknown_fields(DuelConfig, settings)
    config = DuelConfig(
        tuple(reference(one) for one in ((task,) if isinstance(task, str | type) else task)),
        (learner,) if isinstance(learner, str) else tuple(learner),
        seed_list(seeds),
        **settings,
    )
    return run_duel(config, Path(out) if out is not None else config.folder(), force, watch or (lambda *_: None))


def seed_list(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds of a count or a list."""
    if isinstance(seeds, int):
        if not 1 <= seeds <= MOST_SEEDS:
            raise BadValue(f"seeds must be a count from 1 to {MOST_SEEDS}, got {seeds}")
        return tuple(range(seeds))
    return tuple(seeds)


def run_duel(config: DuelConfig, folder: Path, force: bool, watch: Watch) -> DuelResult:
    """Run a configured duel; see `duel`."""
    pool = Pool(min(config.workers, len(config.task) * len(config.learner) * len(config.seeds)), watch)
    try:
        entries = plan_duel(config, folder, force, pool)
        for entry in entries:
            watch("planned", entry, {"type": "planned"})
        pool.run([entry for entry in entries if not entry.finished], force)
    finally:
        pool.stop()
    return conclude(folder, [entry.folder for entry in entries])


def plan_duel(config: DuelConfig, folder: Path, force: bool, pool: Pool | None = None) -> list[Entry]:
    """Try every combination of task and learner, and return the runs with their forecasts. Writes nothing.

    Raises:
        EggymError: something does not exist, does not fit, or a folder holds another configuration.
    """
    own = pool or Pool(config.workers, lambda *_: None)
    try:
        pairs = [(task, learner) for task in config.task for learner in config.learner]
        plans = own.plan([config.run(task, learner, config.seeds[0]) for task, learner in pairs], force)
    finally:
        if pool is None:
            own.stop()
    pairs = [(message["task"], message["learner"]) for _, message in plans]
    for task, learner in pairs:
        if pairs.count((task, learner)) > 1:
            raise BadValue(f"{learner} on {task} is asked for twice, under two names; give each once")
    entries = []
    for first, message in plans:
        for seed in config.seeds:
            place = folder / slug(message["task"]) / slug(message["learner"]) / f"seed-{seed}"
            entry = Entry(
                replace(first, seed=seed),
                place,
                message["forecast"],
                message["kind"],
                message["task"],
                message["learner"],
            )
            _check_folder(entry, message["identity"])
            entries.append(entry)
    return entries


def conclude(folder: Path, runs: Sequence[Path]) -> DuelResult:
    """Read finished runs, write summary, picture and report, and return it all."""
    records = [finished_record(path) for path in runs]
    found = [(record.id, load_measured(path)) for record, path in zip(records, runs, strict=True)]
    measured = {name: one for name, one in found if one is not None}
    numbers = summary(records, measured)
    write_json(folder / SUMMARY, numbers)
    write_bytes(folder / PICTURE, picture_svg(records).encode())
    return DuelResult(folder, records, measured, numbers, write_report(folder, records, measured))


def slug(name: str) -> str:
    """Return a name as part of a path: the namespace ``eggym/`` is left out, odd characters become hyphens."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name.removeprefix("eggym/")).strip("-.") or "x"


def _check_folder(entry: Entry, identity: dict[str, Any]) -> None:
    if (entry.folder / CONFIG).is_file():
        refuse_other(entry.folder, read_json(entry.folder / CONFIG), {**identity, "seed": entry.config.seed})
        entry.finished = (entry.folder / RECORD_FILE).is_file()
