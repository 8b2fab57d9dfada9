"""What one run or one duel is asked to do: one vocabulary for flags, YAML files and Python.

A `RunConfig` is what the user said; `resolve` turns it into a `Plan`, in which every default is written out and
every name is looked up. The plan's JSON form is the run's identity: it stands in ``config.json`` and in the record,
and a folder that holds another one is refused by the keys that differ.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from eggym.budget import Budget, Meter
from eggym.engine import DEFAULT_MEMORY, Engine, parse_memory
from eggym.errors import BadValue, RunMismatch, unknown
from eggym.evaluation import Evaluation, labels, retention_tasks
from eggym.folder import CONFIG as CONFIG
from eggym.learner import MOST, LearnerSpec, meant_by, options_dict, profile_for, typed
from eggym.policy import Policy, Prompting, load_policy
from eggym.registry import learner_table, load_learner, load_task
from eggym.replies import REPLIES, WHOLE
from eggym.rollout import JudgeAll, Rollout, judged_here
from eggym.score import Tuning
from eggym.splits import check_split
from eggym.step import refuse_without_compiler
from eggym.task import Task
from eggym.variant import bare_name, labelled, sections, split_variant
from eggym.views import ParameterSpace

DEFAULT_BUDGET = "2e11flops"
PARALLEL = ("ddp", "fsdp")
MOST_KL = 1e6  # reward per nat; rewards are told in float32
# what --set may begin with, besides a learner's name
SECTIONS = ("task", "prompt", "eval", "space", "engine", "reward", "profile")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is computed where that may change a last bit: equal for all learners of a comparison."""

    compile: bool = False  # fuse the engine's passes with torch.compile: needs a C++ compiler, and a minute once
    parcels: int = 1  # in how many pieces the members of a step are played: what worker processes are dealt
    parallel: str = "ddp"  # how ranks of torchrun hold what an update needs: "ddp" whole, "fsdp" in shards
    replies: str = "whole"  # what the shard of a training step keeps; "digests": of replies that stay with who played

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not 1 <= self.parcels <= MOST:
            raise BadValue(f"engine.parcels must lie from 1 to {MOST}, got {self.parcels}")
        if self.replies not in REPLIES:
            raise BadValue(f"engine.replies must be one of {', '.join(REPLIES)}, got {self.replies!r}")
        if self.parallel not in PARALLEL:
            raise BadValue(f"engine.parallel must be one of {', '.join(PARALLEL)}, got {self.parallel!r}")

    def identity(self) -> dict[str, Any]:
        """Return the settings as plain values; what was not there once, and is as it was then, is left out.

        How ranks hold weights is nothing to a run without them: it stands beside their number (`eggym.enlisting`).
        """
        parcels = {"parcels": self.parcels} if self.parcels > 1 else {}
        replies = {"replies": self.replies} if self.replies != WHOLE else {}
        return {"compile": self.compile, **parcels, **replies}


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """What every learner of a comparison is told beside the verdict (`eggym.kl_reward`)."""

    kl: float = 0.0  # beta: off the reward for each nat that a reply is likelier than under the start weights

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not 0 <= self.kl <= MOST_KL:
            raise BadValue(f"reward.kl must lie from 0 to {MOST_KL:g}, got {self.kl!r}")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """One learner on one task with one seed, as the user said it."""

    task: str  # id, module:name or file
    learner: str  # name, module:name or file; with @VARIANT for settings of its own
    model: str = "embedded-v0"
    seed: int = 0
    budget: str = DEFAULT_BUDGET
    data: str | None = None  # where a data-set task finds its rows
    split: str = "train"
    memory: str = f"{DEFAULT_MEMORY >> 30}GiB"
    device: str = "auto"
    dtype: str = "auto"
    set: Mapping[str, Any] = field(default_factory=dict)  # "section.name" -> value
    tuning: Mapping[str, Any] | None = None  # how a duel chose some of the settings: the fields of `eggym.score.Tuning`


@dataclass(frozen=True)
class Plan:
    """A run with every name looked up and every default written out. Loading the model is part of it."""

    config: RunConfig
    policy: Policy
    task: Task
    spec: LearnerSpec
    profile: str
    options: Any  # the learner's resolved options
    prompting: Prompting
    evaluation: Evaluation
    space: ParameterSpace
    budget: Budget
    memory: int
    engine: EngineOptions = EngineOptions()
    retention: tuple[Task, ...] = ()  # those of evaluation.retention
    reward: RewardOptions = RewardOptions()
    tuning: Tuning | None = None
    judge: JudgeAll = judged_here  # who judges the episodes

    @property
    def variant(self) -> str | None:
        """The name of the variant, where the learner was asked for as ``NAME@VARIANT``."""
        return split_variant(self.config.learner)[1]

    @property
    def label(self) -> str:
        """The learner's name as it is shown: with its variant."""
        return labelled(self.spec.name, self.variant)

    def rollout(self, meter: Meter, purpose: str = "train") -> Rollout:
        """Return how episodes are played in this run; ``purpose`` names the stream of random numbers."""
        engine = Engine(self.policy, meter, self.memory, self.engine.compile)
        return Rollout(engine, self.task, self.prompting, self.config.seed, purpose, judge=self.judge)

    def identity(self) -> dict[str, Any]:
        """Return the resolved configuration as plain JSON values."""
        prompting = dataclasses.asdict(self.prompting)
        return {
            "task": self.task.id,
            "difficulty": dict(self.task.difficulty),
            "split": self.config.split,
            "prompt": {
                **prompting,
                "few_shot": [list(pair) for pair in prompting["few_shot"]],
                "stop": list(prompting["stop"]),
            },
            "learner": self.spec.name,
            "variant": self.variant,
            "profile": self.profile,
            "options": options_dict(self.options),
            "tuning": self.tuning.brief() if self.tuning else None,
            "model": self.config.model,
            "space": dataclasses.asdict(self.space),
            "budget": str(self.budget),
            "seed": self.config.seed,
            "eval": {**dataclasses.asdict(self.evaluation), "retention": labels(self.retention)},
            "memory": self.memory,
            "engine": self.engine.identity(),
            "reward": dataclasses.asdict(self.reward),
            "device": self.policy.device.type,
            "dtype": self.policy.dtype_name,
        }


def resolve(config: RunConfig) -> Plan:
    """Look everything up and load the model.

    Raises:
        EggymError: whatever does not exist, does not fit or is out of range, in one line.
    """
    budget, memory = Budget.parse(config.budget), parse_memory(config.memory)
    check_split(config.split)
    spec = load_learner(config.learner)
    sections = _sections(config, spec)
    task = _task(config, sections["task"])
    evaluation = fields_of(Evaluation, "eval", sections["eval"])
    retention = retention_tasks(evaluation, task)
    space = fields_of(ParameterSpace, "space", sections["space"])
    engine = fields_of(EngineOptions, "engine", sections["engine"])
    if engine.parcels > 1 and task.grouped:
        raise BadValue(f"task {task.id!r} judges replies against each other; leave engine.parcels at 1")
    reward = fields_of(RewardOptions, "reward", sections["reward"])
    prompting = Prompting.of(task, sections["prompt"])
    policy = load_policy(config.model, config.device, config.dtype)
    if engine.compile:
        refuse_without_compiler(policy.device)
    profile = sections["profile"] or profile_for(policy.n_parameters)
    options = spec.resolve(profile, sections["options"])
    space.install(policy.model)  # before anything hashes or counts the weights
    tuning = Tuning.model_validate(config.tuning) if config.tuning is not None else None
    return Plan(
        config,
        policy,
        task,
        spec,
        profile,
        options,
        prompting,
        evaluation,
        space,
        budget,
        memory,
        engine,
        retention,
        reward,
        tuning,
    )


def refuse_unknown_fields(kind: type[Any], settings: Mapping[str, Any]) -> None:
    """Refuse names that are no field of a configuration, with the nearest one."""
    known = [found.name for found in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known)


def refuse_other(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue a folder of another configuration, by the keys that differ.

    Raises:
        RunMismatch: naming each key with the folder's value and the present one.
    """
    old, new = flat(before), flat(now)
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if keys:
        shown = ", ".join(f"{key} {old.get(key)!r} -> {new.get(key)!r}" for key in keys[:4])
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        raise RunMismatch(
            f"{folder} holds a run of another configuration ({shown}{more}); choose another --out or delete it"
        )


def task_of(config: RunConfig) -> Task:
    """Return the task of a run, without its model.

    Raises:
        EggymError: as `resolve`.
    """
    return _task(config, _sections(config, load_learner(config.learner))["task"])


def _sections(config: RunConfig, spec: LearnerSpec) -> dict[str, Any]:
    """Sort the settings by section; those of other learners are left to them."""
    found: dict[str, Any] = {name: {} for name in SECTIONS[:-1]} | {"options": {}, "profile": None}
    own = sections(config.learner, spec.name)
    by_section: dict[str, dict[str, Any]] = {section: {} for section in own}
    for name, value in config.set.items():
        section, _, rest = name.partition(".")
        if section == "profile" and not rest:
            found["profile"] = str(value)
        elif section in own and rest:
            by_section[section][rest] = value
        elif section in SECTIONS and rest:
            found[section][rest] = value
        elif rest and _stands_by(section, config.learner):  # of a learner that takes no part: it must exist
            load_learner(section).kind_of(rest)
        else:
            refuse_without_section([name], [config.learner])
            raise unknown("setting", name, [f"{section}." for section in (*SECTIONS[:-1], *own)])
    for section in own:
        found["options"] |= by_section[section]
    return found


def refuse_without_section(settings: Iterable[str], learners: Sequence[str]) -> None:
    """Refuse a setting without a section that is an option of learners that take part, with its whole name.

    Raises:
        UnknownName: as said; what is an option of none of them is left to the run.
    """
    for name in settings:
        if "." in name or name in SECTIONS:
            continue
        whole: dict[str, None] = {}
        for spec in map(load_learner, learners):
            options = [found.name for found in dataclasses.fields(spec.options)]
            for option in [name] if name in options else meant_by(name, options):
                whole[option if "." in option else f"{bare_name(spec.name)}.{option}"] = None
        if whole:
            raise unknown("setting", name, [], list(whole))


def _stands_by(section: str, learner: str) -> bool:
    """Whether settings may be there for a learner that is not this one: beside one variant, no other is left over."""
    other, variant = split_variant(section)
    own, own_variant = split_variant(bare_name(learner))
    return other in learner_table() and not (variant and own_variant and other == own)


def set_options(config: RunConfig, spec: LearnerSpec) -> dict[str, Any]:
    """Return the options of the learner that the user set."""
    found: dict[str, Any] = _sections(config, spec)["options"]
    return found


def _task(config: RunConfig, overrides: Mapping[str, Any]) -> Task:
    difficulty = dict(overrides)
    if config.data is not None:
        difficulty["data"] = config.data
    return load_task(config.task, **difficulty)


def fields_of(kind: Any, section: str, values: Mapping[str, Any]) -> Any:
    """Return a dataclass of options from the settings of its section, or refuse one of them by name."""
    known = [found.name for found in dataclasses.fields(kind)]
    hints = get_type_hints(kind)
    for name in values:
        if name not in known:
            raise unknown(f"setting {section}", name, known)
    return kind(**{name: typed(f"{section}.{name}", value, hints[name]) for name, value in values.items()})


def flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested names and values as ``a.b`` names and values."""
    return dict(_flat("", nested))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name in value:
            yield from _flat(f"{prefix}.{name}".lstrip("."), value[name])
    elif prefix:
        yield prefix, value
