"""What one run or one duel is asked to do: one vocabulary for flags, YAML files and Python.

A `RunConfig` is what the user said; `resolve` turns it into a `Plan`, in which every default is written out and
every name is looked up. The plan's JSON form is the run's identity: it stands in ``config.json`` and in the record,
and a folder that holds another one is refused by the keys that differ.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from eggym.budget import Budget, Meter
from eggym.engine import DEFAULT_MEMORY, Engine, parse_memory
from eggym.errors import BadValue, RunMismatch, unknown
from eggym.evaluation import Evaluation, labels, retention_tasks
from eggym.learner import LearnerSpec, options_dict, profile_for, typed
from eggym.policy import Policy, Prompting, load_policy
from eggym.registry import learner_table, load_learner, load_task
from eggym.rollout import Rollout
from eggym.splits import check_split
from eggym.step import refuse_without_compiler
from eggym.task import Task
from eggym.values import as_meant
from eggym.variant import labelled, sections, split_variant
from eggym.views import ParameterSpace

DEFAULT_BUDGET = "2e11flops"
CONFIG = "config.json"  # in a run folder: the identity of the run
# what --set may begin with, besides a learner's name
SECTIONS = ("task", "prompt", "eval", "space", "engine", "reward", "profile")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a model is computed where that may change a last bit: equal for all learners of a comparison."""

    compile: bool = False  # fuse the engine's passes with torch.compile: needs a C++ compiler, and a minute once


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """What every learner of a comparison is told beside the verdict (`eggym.kl_reward`)."""

    kl: float = 0.0  # beta: off the reward for each nat that a reply is likelier than under the start weights

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if not self.kl >= 0:
            raise BadValue(f"reward.kl must be at least 0, got {self.kl!r}")


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
        return Rollout(engine, self.task, self.prompting, self.config.seed, purpose)

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
            "model": self.config.model,
            "space": dataclasses.asdict(self.space),
            "budget": str(self.budget),
            "seed": self.config.seed,
            "eval": {**dataclasses.asdict(self.evaluation), "retention": labels(self.retention)},
            "memory": self.memory,
            "engine": dataclasses.asdict(self.engine),
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
    reward = fields_of(RewardOptions, "reward", sections["reward"])
    prompting = Prompting.of(task, sections["prompt"])
    policy = load_policy(config.model, config.device, config.dtype)
    if engine.compile:
        refuse_without_compiler(policy.device)
    profile = sections["profile"] or profile_for(policy.n_parameters)
    options = spec.resolve(profile, sections["options"])
    space.install(policy.model)  # before anything hashes or counts the weights
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
    )


def refuse_unknown_fields(kind: type[Any], settings: Mapping[str, Any]) -> None:
    """Refuse names that are no field of a configuration, with the nearest one."""
    known = [found.name for found in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known)


def parse_set(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``a.b=c`` settings; values are YAML scalars or lists."""
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise BadValue(f"--set {pair!r} has no name and value; write for example --set eggroll.sigma=0.02")
        try:
            found[name.strip()] = as_meant(yaml.safe_load(text))
        except (yaml.YAMLError, ValueError, RecursionError) as problem:
            raise BadValue(f"--set {pair!r}: the value is no YAML: {str(problem).splitlines()[0]}") from problem
    return found


def read_file(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings; a nested ``set`` becomes ``a.b`` names."""
    import yaml

    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _once_only())
        settings = found.get("set") if isinstance(found, dict) else None
        flat = dict(_flat("", settings or {})) if isinstance(settings, dict | None) else None
    except (OSError, UnicodeDecodeError) as problem:
        raise BadValue(f"cannot read config file {str(path)!r}: {problem}") from problem
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as problem:
        raise BadValue(f"config file {str(path)!r} is no YAML: {' '.join(str(problem).split())}") from problem
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise BadValue(f"config file {str(path)!r} must hold names and values, such as `budget: 1e18flops`")
    if flat is None:
        raise BadValue(f"set in config file {str(path)!r} must hold names and values, such as `eggroll.sigma: 0.02`")
    return {**found, "set": {name: as_meant(value) for name, value in flat.items()}}


def _once_only() -> Any:
    """A safe YAML loader that refuses a name given twice: the last one would win unseen."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((name for name in names if isinstance(name, str) and names.count(name) > 1), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
            return super().construct_mapping(node, deep)

    return Loader


def refuse_other(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue a folder of another configuration, by the keys that differ.

    Raises:
        RunMismatch: naming each key with the folder's value and the present one.
    """
    old, new = dict(_flat("", before)), dict(_flat("", now))
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    if keys:
        shown = ", ".join(f"{key} {old.get(key)!r} -> {new.get(key)!r}" for key in keys[:4])
        more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
        raise RunMismatch(
            f"{folder} holds a run of another configuration ({shown}{more}); choose another --out or delete it"
        )


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
        elif section in learner_table() and rest:  # a setting of a learner that does not take part: it must exist
            load_learner(section).kind_of(rest)
        else:
            raise unknown("setting", name, [f"{section}." for section in (*SECTIONS[:-1], *own)])
    for section in own:
        found["options"] |= by_section[section]
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


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name in value:
            yield from _flat(f"{prefix}.{name}".lstrip("."), value[name])
    elif prefix:
        yield prefix, value
