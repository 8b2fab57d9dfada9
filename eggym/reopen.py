"""A finished ES run, opened again: its learner as the run built it, on the run's start weights.

What the record names may lie elsewhere now (`Whereabouts`); whatever is found must be what the record says, by hash.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eggym.budget import Budget
from eggym.config import EngineOptions, Plan, RewardOptions, RunConfig
from eggym.errors import BadValue, UnknownName
from eggym.evaluation import Evaluation
from eggym.learner import Learner, LearnerSpec
from eggym.policy import Policy, Prompting, load_policy, model_sha256
from eggym.record import Record, find_runs, load_record
from eggym.recorded import recorded_learner, recorded_task
from eggym.registry import load_learner
from eggym.train import identify
from eggym.variant import bare_name
from eggym.views import ParameterSpace


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the parts of a run lie, if not where its record says."""

    model: str | None = None
    task: str | None = None  # a file or module:NAME, for a task that is not registered
    learner: str | None = None
    data: str | None = None
    device: str | None = None  # None: the kind of device that the run was made on


@dataclass(frozen=True, slots=True)
class Reopened:
    """What a run started with."""

    folder: Path
    record: Record
    spec: LearnerSpec
    options: Any
    policy: Policy
    space: ParameterSpace
    where: Whereabouts

    def build(self) -> Learner:
        """Return the learner before its first step."""
        return self.spec.build(self.policy, self.space, self.record.seed, self.options)

    def plan(self) -> Plan:
        """Return the plan of the run, which sampling needs.

        Raises:
            BadValue: task, tokenizer or device are not those of the run.
        """
        config, where = self.record.config, self.where
        difficulty = {**config["difficulty"], **({"data": where.data} if where.data else {})}
        task = recorded_task(self.record.task.id, difficulty, where.task)
        plan = Plan(
            RunConfig(
                task.id, self.record.learner.label, self.record.model.name, self.record.seed, split=config["split"]
            ),
            self.policy,
            task,
            self.spec,
            self.record.learner.profile,
            self.options,
            Prompting.of(task, config["prompt"]),
            Evaluation(**{**config["eval"], "retention": ""}),  # what is made again is training
            self.space,
            Budget.parse(config["budget"]),
            config["memory"],
            EngineOptions(**config.get("engine", {})),
            reward=RewardOptions(**config.get("reward", {})),
            tuning=self.record.tuning,
        )
        _refuse_other(self.folder, config, identify(plan))
        return plan


def reopen(folder: Path, where: Whereabouts) -> Reopened:
    """Look up what a finished run started with.

    Raises:
        EggymError: no finished run, a run of another kind, or a learner or model that is not the run's.
    """
    record = _record(folder)
    spec = _learner(record, folder, where)
    options = spec.resolve(record.learner.profile, record.learner.options)
    policy = _policy(record, folder, where)
    return Reopened(folder, record, spec, options, policy, ParameterSpace(**record.config["space"]), where)


def no_es(folder: Path, what: str) -> BadValue:
    """Return the error for a run whose learner reads more than rewards."""
    return BadValue(
        f"{folder} is a run of {what}: only ES runs can be replayed, because the others learn from tokens and their "
        "log-probabilities, which the fitness log does not hold"
    )


def _record(folder: Path) -> Record:
    inside = find_runs(folder)
    if inside and folder not in inside:
        raise BadValue(f"{str(folder)!r} holds {len(inside)} runs; give one of them, such as {str(inside[0])!r}")
    record = load_record(folder)
    if record.learner.kind in ("rl", "baseline"):
        raise no_es(folder, record.learner.name)
    return record


def _learner(record: Record, folder: Path, where: Whereabouts) -> LearnerSpec:
    name = where.learner or record.learner.name
    try:
        spec = recorded_learner(record.learner.name, where.learner)
    except UnknownName as problem:
        if where.learner:
            raise
        raise UnknownName(f"{problem} (the learner of {folder}); say where it is with --learner FILE") from problem
    if spec.name != record.learner.name:
        raise BadValue(
            f"learner {spec.name!r} is not that of {folder}, {record.learner.name!r}; give another --learner"
        )
    if bare_name(name) != name and load_learner(bare_name(name)).kind == "rl":
        raise no_es(folder, record.learner.name)
    return spec


def _policy(record: Record, folder: Path, where: Whereabouts) -> Policy:
    name = where.model or record.model.name
    policy = load_policy(name, where.device or record.config["device"], record.model.dtype)
    ParameterSpace(**record.config["space"]).install(policy.model)
    if model_sha256(policy.model) != record.model.sha256:
        raise BadValue(f"model {name!r} is not the one that {folder} started from; give the right one with --model")
    return policy


def _refuse_other(folder: Path, config: dict[str, Any], now: dict[str, Any]) -> None:
    differing = sorted(name for name in now if name != "eval" and now[name] != config.get(name))
    if differing:
        shown = ", ".join(f"{name} {_short(config.get(name))} -> {_short(now[name])}" for name in differing)
        raise BadValue(
            f"replies of {folder} cannot be made again here, for these differ: {shown}; give the run's own with "
            "--task, --data or --device"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:24]}..."
