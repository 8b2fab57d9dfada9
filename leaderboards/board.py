"""Boards: what a ranked collection of records is a collection of, as data.

A board is a YAML file: tasks with the digests that they had, the start model with its hash, budget, seeds, the held-out
split, settings of the evaluation, required controls and what tuning is allowed. It is fixed before the first run, and
any change makes a new version. Beside it lies what follows from it, written by ``eggym board pin``: the resolved
configuration of a run on each task, to which every record is held key by key.

A split may be committed to before it is revealed: ``commitment`` is the SHA-256 of its name, such as
``test:some-salt``, and ``split`` is added later. Until then nothing can be run on the board.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from eggym.budget import REPEATABLE, Budget
from eggym.config import DEFAULT_BUDGET, SECTIONS
from eggym.config_file import read_file
from eggym.duel import DuelConfig
from eggym.errors import BadValue, EggymError
from eggym.score import Count, Strict
from eggym.splits import check_split
from eggym.variant import WRAPPER, bare_name

FROZEN = "frozen"
RANDOM = WRAPPER  # as a required control: that of every ES and RL learner
ANY = "any"  # of the model: the user's own; records of one model are ranked together
# what the runs of a board may differ in; tuning has a rule of its own
OWN = ("learner", "variant", "options", "profile", "seed", "tuning")
# what belongs to a user's own model, and parts the records of a board into tables
DIVISION = ("model", "model_sha256", "tokenizer_sha256", "dtype", "device", "memory")
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_SHA256 = r"^[0-9a-f]{64}$"

Sha256 = Annotated[str, Field(pattern=_SHA256)]


class BoardTask(Strict):
    """One task of a board."""

    task: str  # id with version, with options as in exam-v0@turns=16
    digest: Sha256  # of its settings, source and first items


class BoardModel(Strict):
    """Where every run starts."""

    name: str  # "any": the user's own
    sha256: Sha256 | None = None  # of the weights

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.name == ANY) != (self.sha256 is None):
            raise ValueError("a named model needs its sha256, and a model that is `any` has none")
        return self


class Allowance(Strict):
    """How much tuning every learner that can be tuned gets, neither more nor less."""

    trials: Count = 0
    task: str | None = None  # None: each task for itself
    budget: str | None = None  # of a trial; None: that of a run
    items: Count | None = None  # that judge a trial


class Board(Strict):
    """The rules of one board."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=_NAME)]
    version: Annotated[int, Field(ge=1)]
    title: str
    about: str
    opened: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]  # when the rules were fixed
    model: BoardModel
    tasks: Annotated[list[BoardTask], Field(min_length=1)]
    budget: str = DEFAULT_BUDGET
    seeds: Annotated[list[Count], Field(min_length=1)]
    split: str | None = None  # whose items are held out; None: not yet revealed
    commitment: Sha256 | None = None  # of the split's name
    controls: list[str] = Field(default_factory=lambda: [FROZEN, RANDOM])
    tuning: Allowance = Allowance()
    own_settings: Literal["marked", "refused"] = "marked"  # options that a submitter chose by hand
    target: Annotated[float, Field(gt=0, le=1)] = 0.5  # what counts as learnt: share of the way to the largest reward
    memory: str = "2GiB"
    device: str = "cpu"
    dtype: str = "auto"
    settings: Annotated[dict[str, Any], Field(alias="set")] = Field(
        default_factory=dict
    )  # of all runs, as --set has them

    @field_validator("budget")
    @classmethod
    def _repeats(cls, budget: str) -> str:
        if Budget.parse(budget).axis not in REPEATABLE:
            raise ValueError(f"a board's budget is in {', '.join(REPEATABLE)}, which repeat; got {budget!r}")
        return budget

    @field_validator("controls")
    @classmethod
    def _both(cls, controls: list[str]) -> list[str]:
        missing = [name for name in (FROZEN, RANDOM) if name not in controls]
        if missing:
            raise ValueError(f"a board needs the controls {FROZEN} and {RANDOM}; {missing[0]} is missing")
        return controls

    @model_validator(mode="after")
    def _committed(self) -> Self:
        if self.split is None and self.commitment is None:
            raise ValueError("a board needs a split, or the commitment to one")
        if self.split is not None:
            check_split(self.split)
            if self.commitment not in (None, commit(self.split)):
                raise ValueError(f"split {self.split!r} is not what the board is committed to")
        if "eval.split" in self.settings:
            raise ValueError("the split stands under `split`, not in `set`")
        for name, values in (("seeds", self.seeds), ("tasks", [one.task for one in self.tasks])):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} must differ, got {values}")
        return self

    @property
    def open(self) -> bool:
        """Whether runs can be made: the split is known."""
        return self.split is not None

    @property
    def labels(self) -> list[str]:
        """The tasks by their labels, in the board's order."""
        return [one.task for one in self.tasks]

    def duel(
        self,
        learners: Sequence[str],
        settings: Mapping[str, Any] | None = None,
        model: str = ANY,
        data: str | None = None,
    ) -> DuelConfig:
        """Return what has to be run for these learners, by the rules.

        Args:
            learners: names.
            settings: options of the learners by hand, as ``--set`` has them.
            model: the user's own, where the board leaves it open.
            data: where the rows of a data-set task lie.

        Raises:
            EggymError: the split is not revealed, or the model does not go with the board.
        """
        if self.split is None:
            raise BadValue(f"the split of board {self.name!r} is not revealed yet, only committed to; wait for it")
        if self.model.name != ANY and model not in (ANY, self.model.name):
            raise BadValue(f"board {self.name!r} starts from {self.model.name}, not from {model}; leave --model out")
        if self.model.name == model == ANY:
            raise BadValue(f"board {self.name!r} takes a model of your own; give it with --model")
        tuning = self.tuning if self.tuning.trials else Allowance()
        parts = {bare_name(one).partition("@")[0] for one in learners} | {bare_name(one) for one in learners}
        by_rule = {name: value for name, value in self.settings.items() if _counts(name, parts)}
        return DuelConfig(
            task=tuple(self.labels),
            learner=tuple(learners),
            seeds=tuple(self.seeds),
            model=self.model.name if self.model.name != ANY else model,
            budget=self.budget,
            data=data,
            memory=self.memory,
            device=self.device,
            dtype=self.dtype,
            set={**by_rule, **(settings or {}), "eval.split": self.split},
            tune=tuning.trials,
            tune_task=tuning.task,
            tune_budget=tuning.budget,
            tune_items=tuning.items,
        )


def _counts(setting: str, learners: set[str]) -> bool:
    """Whether a setting of a board is for all, or for one of these learners."""
    section = setting.partition(".")[0]
    return section in SECTIONS or section in learners


def commit(split: str) -> str:
    """Return the commitment to a split: the SHA-256 of its name, in hex."""
    return hashlib.sha256(split.encode()).hexdigest()


def read_board(path: Path) -> Board:
    """Read a board's YAML file.

    Raises:
        BadValue: it cannot be read, or breaks a rule; named with the way out.
    """
    found = read_file(path)
    if found.get("schema") != 1:
        raise BadValue(f"{path} has schema {found.get('schema')!r}, this eggym reads 1; install a newer eggym")
    try:
        board = Board.model_validate(found)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the board"
        raise BadValue(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from problem
    except EggymError as problem:
        raise BadValue(f"{path}: {problem}") from problem
    if board.name != path.stem:
        raise BadValue(f"{path} names its board {board.name!r}; file and board have one name")
    return board
