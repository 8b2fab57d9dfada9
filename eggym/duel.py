"""Duels: paired runs of two or more learners on the same tasks, model and budget, over seeds.

Everything is tried before anything is written. Runs go to persistent worker processes, the longest first; each has a
folder of its own, ``OUT/task/learner/seed-N``, so that the same command continues what is unfinished and reuses what is
finished, with more seeds or learners too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from eggym.budget import Budget
from eggym.config import DEFAULT_BUDGET, RunConfig, refuse_unknown_fields, refuse_without_section
from eggym.engine import parse_memory
from eggym.errors import BadValue
from eggym.evaluation import OTHERS, retention_names
from eggym.files import sha256_json, write_bytes, write_json
from eggym.outcome import summary
from eggym.pool import Entry, Pool, Tried, Watch, look_at
from eggym.record import Measured, Record, load_measured
from eggym.registry import reference, with_options
from eggym.report import picture_svg, write_report
from eggym.result import finished_record
from eggym.scan import announce
from eggym.task import Task
from eggym.trials import SEED, refuse_bad_tuning, trial_settings
from eggym.tune import Tuner, adopt, expect, plan_trials
from eggym.variant import bare_name, sections
from eggym.wording import slug
from eggym.worker import Message

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
    tune: int = 0  # trials of each learner that declares a space; 0: no tuning
    tune_task: str | None = None  # tune on this one for all tasks; None: each task for itself
    tune_budget: str | None = None  # of a trial; None: that of a run
    tune_items: int | None = None  # that judge a trial; None: eval.items

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
        refuse_without_section(self.set, self.learner)
        more = {name: getattr(self, name) for name in ("tune_task", "tune_budget", "tune_items")}
        refuse_bad_tuning(self.tune, self.split, str(self.set.get("eval.split", "test")), more)

    def run(self, task: str, learner: str, seed: int) -> RunConfig:
        """Return the configuration of one run."""
        shared = ("model", "budget", "data", "split", "memory", "device", "dtype")
        settings = {**self._settings(learner), **self._retention(task)}
        return RunConfig(task, learner, seed=seed, set=settings, **{name: getattr(self, name) for name in shared})

    def _retention(self, task: str) -> dict[str, str]:
        """Return the setting with the other tasks by name, where it says "others"."""
        given = self.set.get(_RETENTION)
        names = retention_names(given) if isinstance(given, str) else []
        if OTHERS not in names:
            return {}
        if len(self.task) == 1:
            raise BadValue(f"{_RETENTION}=others needs a duel of several tasks, and {task!r} is the only one")
        others = [self._elsewhere(other) for other in self.task if other != task]
        return {_RETENTION: ",".join(sorted({*names, *others} - {OTHERS}))}

    def _elsewhere(self, task: str) -> str:
        """Return a task as this duel asks it: with the options that it gives to all its tasks."""
        given = {name.removeprefix("task."): value for name, value in self.set.items() if name.startswith("task.")}
        data = {} if self.data is None else {"data": self.data}
        return with_options(task, {**data, **given})

    def trial(self, task: str, learner: str) -> RunConfig:
        """Return the configuration of trial 0, without the settings that tuning tries."""
        run = self.run(task, learner, SEED)
        return replace(run, budget=self.tune_budget or self.budget, set=trial_settings(run.set, self.tune_items))

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
        watch: told what happens, as it happens; an `eggym.progress.Progress` prints it, None: nothing is printed.
        settings: other fields of `DuelConfig`: model, budget, data, split, memory, device, dtype, set, workers, and
            tune, tune_task, tune_budget, tune_items (`eggym.tune`).

    Raises:
        EggymError: anything a user can mend, in one line; then nothing new was written.
    """
    refuse_unknown_fields(DuelConfig, settings)
    if settings.get("tune_task") is not None:
        settings["tune_task"] = reference(settings["tune_task"])
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
    most = max(len(config.seeds), config.tune)
    n_workers = min(config.workers, len(config.task) * len(config.learner) * most)
    pool = Pool(n_workers, watch, plan_here=(folder / SUMMARY).is_file())  # which a duel leaves at its end
    try:
        plan = plan_duel(config, folder, force, pool)
        announce(folder, [(one.folder, one.task, one.learner, one.config.seed) for one in plan.runs], len(plan.trials))
        for entry in [*plan.trials, *plan.runs]:
            watch("planned", entry, {"type": "planned"})
        pool.run(plan.trials, force)
        plan.settle()
        pool.run(plan.runs, force)
    finally:
        pool.stop()
    return conclude(folder, [entry.folder for entry in plan.runs])


@dataclass(frozen=True)
class DuelPlan:
    """The runs of a duel, and the trials before them."""

    runs: list[Entry]
    tuners: list[Tuner]
    shared: bool  # tuned on one task for all

    @property
    def trials(self) -> list[Entry]:
        """All trials of all learners."""
        return [trial for tuner in self.tuners for trial in tuner.trials]

    def settle(self) -> None:
        """Give the runs what tuning has chosen, as far as it is finished."""
        for run in self.runs:
            tuner = self.tuner_of(run)
            if tuner is None:
                look_at(run)
            elif tuner.finished:
                adopt(run, tuner)
            else:
                expect(run, tuner)

    def tuner_of(self, run: Entry) -> Tuner | None:
        """Return who tunes the learner of a run; for a control, the learner inside it."""
        name = bare_name(run.config.learner)
        return next((one for one in self.tuners if one.learner == name and (self.shared or one.task == run.task)), None)


def plan_duel(
    config: DuelConfig, folder: Path, force: bool, pool: Pool | None = None, tried: Tried | None = None
) -> DuelPlan:
    """Try every combination of task and learner, and return runs and trials with their forecasts. Writes nothing.

    Args:
        config: the duel.
        folder: where its runs lie.
        force: also take budgets that are too small for 5 updates.
        pool: who tries; None: one for this alone.
        tried: told how far that is.

    Raises:
        EggymError: something does not exist, does not fit, or a folder holds another configuration.
    """
    own = pool or Pool(config.workers, lambda *_: None)
    try:
        pairs = [(task, learner) for task in config.task for learner in config.learner]
        planned = own.plan([config.run(task, learner, config.seeds[0]) for task, learner in pairs], force, tried=tried)
        first = _first_trials(config, planned) if config.tune else []
        tuners = plan_trials(own, first, config.tune, folder, force)
    finally:
        if pool is None:
            own.stop()
    if config.tune and not tuners:
        raise BadValue(
            f"tune is {config.tune}, and {', '.join(config.learner)} declare nothing that tuning may try; leave it out"
        )
    _refuse_doubles([(message["task"], message["learner"]) for _, message in planned])
    runs = [_entry(first, message, seed, folder) for first, message in planned for seed in config.seeds]
    plan = DuelPlan(runs, tuners, config.tune_task is not None)
    plan.settle()
    return plan


def conclude(folder: Path, runs: Sequence[Path]) -> DuelResult:
    """Read finished runs, write summary, picture and report, and return it all."""
    records = [finished_record(path) for path in runs]
    found = [(record.id, load_measured(path)) for record, path in zip(records, runs, strict=True)]
    measured = {name: one for name, one in found if one is not None}
    numbers = summary(records, measured)
    write_json(folder / SUMMARY, numbers)
    write_bytes(folder / PICTURE, picture_svg(records).encode())
    return DuelResult(folder, records, measured, numbers, write_report(folder, records, measured))


def _first_trials(config: DuelConfig, planned: Sequence[tuple[RunConfig, Message]]) -> list[RunConfig]:
    """Return trial 0 of every learner that may have a space, on every task that is tuned on."""
    without = {run.learner for run, message in planned if not message["tunable"]}
    learners = dict.fromkeys(bare_name(one) for one in config.learner if bare_name(one) not in without)
    tasks = config.task if config.tune_task is None else (config.tune_task,)
    return [config.trial(task, learner) for task in tasks for learner in learners]


def _refuse_doubles(pairs: Sequence[tuple[str, str]]) -> None:
    for task, learner in pairs:
        if pairs.count((task, learner)) > 1:
            raise BadValue(f"{learner} on {task} is asked for twice, under two names; give each once")


def _entry(first: RunConfig, message: Message, seed: int, folder: Path) -> Entry:
    task, learner = message["task"], message["learner"]
    identity = {**message["identity"], "seed": seed}
    place = folder / slug(task) / slug(learner) / f"seed-{seed}"
    return Entry(replace(first, seed=seed), place, message["forecast"], message["kind"], task, learner, identity)
