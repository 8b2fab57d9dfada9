"""Records: what one run was, what it spent and what came of it, as a file that anyone can check.

A run folder holds ``record.json`` (deterministic and hashed: the same configuration gives the same bytes) and
``measured.json`` (times, memory, host: never hashed), both as canonical JSON (`eggym.files`). Missing numbers are null;
a number that is not finite is refused.

A record is refused where its numbers contradict each other, and where its own digest is not that of its content. That
finds damage and careless edits. It finds no forger, who can write the digest anew: only running again does.

Left out: statistics over runs (`eggym.stats`) and the raw rewards of training (`eggym.fitness`).
"""

import itertools
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from eggym.errors import BadValue, UnknownName
from eggym.files import sha256_json
from eggym.folder import MEASURED_FILE as MEASURED_FILE
from eggym.folder import RECORD_FILE as RECORD_FILE
from eggym.folder import TUNING as TUNING
from eggym.folder import by_number, is_trial
from eggym.origin import git_state, version
from eggym.score import Beyond, Count, Mode, Point, Score, Spent, Strict, Tuning, same
from eggym.task import label_of
from eggym.variant import labelled

SCHEMA = 1
SEAL = "content_sha256"
LIBRARIES = ("datasets", "gymnasium", "numpy", "safetensors", "tokenizers", "torch", "transformers")


class LearnerInfo(Strict):
    """Who learned."""

    name: str
    kind: Literal["es", "rl", "baseline", "control"]
    profile: str
    options: dict[str, Any]  # resolved: defaults, profile, overrides
    note: str = ""  # what must be said wherever its scores are shown
    tunable: bool | None = None  # whether it declares settings that tuning may try; None: made before this was noted
    variant: str | None = None  # set apart by a name of its own: eggroll@t1 is the variant t1 of eggroll

    @property
    def label(self) -> str:
        """The name with the variant's: what tells the sides of a comparison apart."""
        return labelled(self.name, self.variant)


class TaskInfo(Strict):
    """What was asked."""

    id: str
    difficulty: dict[str, Any]
    digest: str  # of settings, source and the first items: changes when the task does
    floor: float
    reward_range: tuple[float, float]
    data: str | None  # where the rows came from; None: procedural
    host: dict[str, str] = Field(
        default_factory=dict
    )  # what the task tells of the machine: the level of its sandbox, say

    @property
    def label(self) -> str:
        """The id with the options that were given, as a task's own label has it."""
        return label_of(self.id, self.difficulty)


class ModelInfo(Strict):
    """Where it started from."""

    name: str
    sha256: str  # of the start weights
    n_parameters: Count
    n_trainable: Count
    dtype: str


class BudgetInfo(Strict):
    """The limit that was declared before the run."""

    axis: str  # episodes, tokens, flops, cpu-s, min
    limit: Annotated[float, Field(ge=0)]


class Provenance(Strict):
    """Which code made it. No user names, no paths."""

    eggym: str
    git_commit: str | None  # None: the package does not lie in a checkout of its own
    git_dirty: bool | None
    python: str
    libraries: dict[str, str]
    config_sha256: str


@dataclass(frozen=True, eq=False)
class _Curves:
    """What a record keeps beside its fields; equal to itself alone, so that records are compared by their fields."""

    of: dict[Mode, dict[str, NDArray[np.float64]]]


class Record(Strict):
    """The result of one learner on one task with one seed: written once, never edited."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    kind: Literal["eggym.run"] = "eggym.run"
    id: str
    config: dict[str, Any]  # the resolved configuration of the run
    seed: int
    learner: LearnerInfo
    task: TaskInfo
    model: ModelInfo
    budget: BudgetInfo
    spent: Spent  # training only
    evaluation_spent: Spent
    n_steps: Count
    training_states: dict[str, Count]
    primary: Mode  # the metric that decides, chosen before the run
    points: Annotated[list[Point], Field(min_length=1)]
    chosen: Count | None = None  # step of the point that counts, by the rule eval.checkpoint; None: the last
    beyond: Beyond | None = None
    tuning: Tuning | None = None  # None: the options are the profile's, with what was set
    weights_sha256: str
    files: dict[str, str]  # name -> SHA-256 of every other deterministic file of the run folder
    provenance: Provenance
    content_sha256: str | None = None  # of the canonical JSON of all the rest; None: made before records were sealed

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        steps = [point.step for point in self.points]
        if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
            raise ValueError(f"the steps of the points must increase, got {steps}")
        if self.chosen is not None and self.chosen not in steps:
            raise ValueError(f"no point has the chosen step {self.chosen}")
        if self.provenance.config_sha256 != sha256_json(self.config):
            raise ValueError("config_sha256 is not the hash of config")
        if self.id != run_id(self.provenance.config_sha256, self.seed, self.task.digest, self.model.sha256):
            raise ValueError(f"id {self.id!r} does not follow from config, seed, task and model")
        return self

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        last = self.points[-1]
        for name, told, found in (
            ("n_steps", self.n_steps, last.step),
            ("spent.episodes", self.spent.episodes, last.spent.episodes),
            ("spent.tokens", self.spent.tokens, last.spent.tokens),
        ):
            if told != found:
                raise ValueError(f"{name} is {told}, but the last point says {found}")
        counted = sum(self.training_states.values())
        if counted != self.spent.episodes:
            raise ValueError(f"training_states count {counted} episodes, but {self.spent.episodes} were spent")
        for point in self.points:
            spent = getattr(point.spent, self.budget.axis, None)  # None: seconds, which are measured
            if spent is not None and not same(point.fraction * self.budget.limit, float(spent)):
                raise ValueError(f"fraction of step {point.step} is {point.fraction}, not its share of the budget")
        for name, told in self._told().items():
            if name in self.config and self.config[name] != told:
                raise ValueError(f"config says {name} is {self.config[name]!r}, and the record {told!r}")
        return self

    def _told(self) -> dict[str, Any]:
        """Return what the configuration says too, by its name there."""
        return {
            "seed": self.seed,
            "learner": self.learner.name,
            "variant": self.learner.variant,
            "profile": self.learner.profile,
            "options": self.learner.options,
            "task": self.task.id,
            "difficulty": self.task.difficulty,
            "task_digest": self.task.digest,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "dtype": self.model.dtype,
            "tuning": self.tuning.brief() if self.tuning else None,
        }

    def curve(self, mode: Mode) -> Mapping[str, NDArray[np.float64]]:
        """Return the learning curve as arrays of one length: step, fraction, episodes, tokens, flops, mean, se.

        A missing mean or error is NaN. The arrays are made once, and cannot be written to.
        """
        return self._curves.of[mode]

    @cached_property
    def _curves(self) -> "_Curves":
        spent = [point.spent for point in self.points]
        shared: dict[str, Sequence[float | int | None]] = {
            "step": [point.step for point in self.points],
            "fraction": [point.fraction for point in self.points],
            "episodes": [one.episodes for one in spent],
            "tokens": [one.tokens for one in spent],
            "flops": [one.flops for one in spent],
        }
        scores: dict[Mode, list[Score]] = {
            "greedy": [point.greedy for point in self.points],
            "sampled": [point.sampled for point in self.points],
        }
        made = {name: _fixed(values) for name, values in shared.items()}
        return _Curves(
            {
                mode: made | {"mean": _fixed([one.mean for one in told]), "se": _fixed([one.se for one in told])}
                for mode, told in scores.items()
            }
        )

    def __copy__(self) -> Self:
        """Copy without the curves: what `model_copy` changes may be their points."""
        copied = super().__copy__()
        copied.__dict__.pop("_curves", None)
        return copied

    def start(self, mode: Mode) -> Score:
        """Return the first evaluation, before any update."""
        return self._score(self.points[0], mode)

    def final(self, mode: Mode) -> Score:
        """Return the evaluation that counts: at the end of the budget, or where validation was best."""
        return self._score(self.counted, mode)

    @property
    def counted(self) -> Point:
        """The point of the curve that counts: the last, or the one that the checkpoint rule chose."""
        return next((point for point in self.points if point.step == self.chosen), self.points[-1])

    @staticmethod
    def _score(point: Point, mode: Mode) -> Score:
        return point.greedy if mode == "greedy" else point.sampled


class Measured(Strict):
    """What a run took on the machine it ran on. Differs from run to run and is never hashed."""

    started: str  # ISO 8601, UTC
    finished: str
    cpu_s: Annotated[float, Field(ge=0)]  # of all sessions, evaluation included
    wall_s: Annotated[float, Field(ge=0)]
    phases: dict[str, float]  # CPU seconds by phase
    peak_rss_bytes: Count
    weights_bytes: Count = 0  # of the model as it lay in memory; 0: made before this was noted
    weights_bytes_unquantised: Count = 0  # the same weights in the type of the activations
    sandbox_s: Annotated[float, Field(ge=0)] = 0.0  # CPU seconds of programs that graders ran, in training
    sandbox_calls: Count = 0
    sessions: Count  # how often the run was started or resumed
    ranks: Count = 0  # processes that shared the run under torchrun, in the last session; 0: it had none
    workers: Count = 0  # processes that played training episodes, in the last session; 0: the run's own
    reward_workers: Count = 0  # processes that judged, in the last session; 0: who played
    worker_items: dict[str, Count] = Field(default_factory=dict)  # parcels and pieces of evaluations that each did
    worker_events: list[dict[str, Any]] = Field(default_factory=list)  # workers that were replaced, and why
    tail_idle_share: Annotated[float, Field(ge=0, le=1)] | None = None  # of workers, while a step's last parcels played
    checkpoint_events: list[dict[str, Any]] = Field(default_factory=list)  # damaged ones, and where the run went on
    checkpoint_s: Annotated[float, Field(ge=0)] = 0.0  # wall seconds in which checkpoints were saved
    checkpoints: list[str] = Field(default_factory=list)  # that were to stay after the end
    host: dict[str, str]
    cpu_s_at_points: list[float] = Field(default_factory=list)  # training CPU seconds up to each point of the record
    wall_s_at_points: list[float] = Field(default_factory=list)  # training wall seconds up to each point


def _fixed(values: Sequence[float | int | None]) -> NDArray[np.float64]:
    found = np.array(values, dtype=np.float64)
    found.flags.writeable = False
    return found


def run_id(config_sha256: str, seed: int, task_digest: str, model_sha256: str) -> str:
    """Return the id of a run: 16 hex digits that follow from what it was asked to do."""
    return sha256_json([config_sha256, seed, task_digest, model_sha256])[:16]


def sealed(record: Record) -> Record:
    """Return a record with the digest of its content."""
    rest = record.model_dump(by_alias=True, exclude={SEAL})
    return record.model_copy(update={SEAL: sha256_json(rest)})


def load_record(folder: Path) -> Record:
    """Read ``record.json`` of a run folder.

    Raises:
        UnknownName: there is none.
        BadValue: it is no valid record, its numbers contradict each other or its digest, or it is of a schema version
            that this eggym does not read.
    """
    return _load(folder / RECORD_FILE, Record, "schema")


def load_measured(folder: Path) -> Measured | None:
    """Read ``measured.json`` of a run folder; None where a run came without it."""
    path = folder / MEASURED_FILE
    return _load(path, Measured, None) if path.exists() else None


def find_runs(folder: Path) -> list[Path]:
    """Return every folder at or below ``folder`` that holds a record, in the order of their paths, 4 before 16.

    The trials of a duel's tuning are left out, unless ``folder`` lies among them.
    """
    found = (path.parent for path in folder.rglob(RECORD_FILE))
    return sorted((path for path in found if not is_trial(path.relative_to(folder).parts)), key=by_number)


def unfinished(folder: Path) -> list[Path]:
    """Return every folder at or below ``folder`` in which a run was begun and left no record, trials apart."""
    begun = (path.parent for path in folder.rglob("config.json") if not (path.parent / RECORD_FILE).is_file())
    return sorted((path for path in begun if not is_trial(path.relative_to(folder).parts)), key=by_number)


def provenance(config: Mapping[str, Any]) -> Provenance:
    """Describe the code that is running and hash the configuration. Imports none of the libraries that it names."""
    commit, dirty = git_state(Path(__file__).resolve())
    known = versions()
    return Provenance(
        eggym=known.pop("eggym", "unknown"),
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        libraries=known,
        config_sha256=sha256_json(config),
    )


def versions() -> dict[str, str]:
    """Return the versions of eggym and of the libraries on which its numbers depend, as far as they are installed."""
    found = {name: version(name) for name in ("eggym", *LIBRARIES)}
    return {name: version for name, version in found.items() if version is not None}


_Model = TypeVar("_Model", Record, Measured)


def _load(path: Path, model: type[_Model], version_key: str | None) -> _Model:
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise UnknownName(f"no {path.name} in {path.parent}: {problem.strerror}; is the run finished?") from problem
    try:
        raw = json.loads(text)
    except ValueError as problem:
        raise BadValue(f"{path} is not JSON: {problem}; restore the file, or run again") from problem
    found = raw.get(version_key) if isinstance(raw, dict) else None
    if version_key is not None and found != SCHEMA:
        raise BadValue(
            f"{path} has schema version {found!r}, this eggym ({version('eggym')}) reads version {SCHEMA}; "
            "install the eggym that wrote it, or a newer one"
        )
    # over the file and not over the model, to which later versions add fields
    seal = raw.get(SEAL) if isinstance(raw, dict) else None
    if seal is not None and seal != sha256_json({name: value for name, value in raw.items() if name != SEAL}):
        raise BadValue(f"{path} was changed since it was written: {SEAL} is not its digest; restore it, or run again")
    try:
        return model.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BadValue(f"{path} is no valid {path.stem}: {place}: {first['msg']}; was it edited?") from problem
