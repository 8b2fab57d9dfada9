"""Runs: one learner on one task with one seed, looked up, tried and carried out.

A run folder is the run: the same command continues it wherever it was stopped, to the same bits.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from eggym.askable import prepared, refuse_unaskable
from eggym.beyond import refuse_unreadable
from eggym.budget import FlopModel, Meter
from eggym.check import preflight
from eggym.checkpoint import Keep, remove_checkpoints
from eggym.choice import validation_items
from eggym.config import CONFIG, Plan, RunConfig, refuse_other, refuse_unknown_fields, resolve
from eggym.crew import Crew, Here, Workers, refuse_unshared
from eggym.digest import digest
from eggym.enlisting import (
    enlist,
    ranks_identity,
    reads_rewards,
    refuse_apart,
    refuse_few_items,
    refuse_unsplit,
)
from eggym.errors import BadValue
from eggym.evaluate import evaluation_items
from eggym.files import read_json, sha256_json, write_json
from eggym.follower import Follower
from eggym.forecast import Forecast, forecast, refuse_short, shortage
from eggym.gang import Gang
from eggym.judges import Judges, judged_by, refuse_unjudgeable
from eggym.learner import Learner
from eggym.lock import alone
from eggym.loop import Event, Run, Watch
from eggym.parcels import DEFAULT_PARCELS
from eggym.patience import with_workers
from eggym.policy import model_sha256
from eggym.ranks import Ranks, first_says
from eggym.record import RECORD_FILE, Record, load_measured, load_record
from eggym.registry import load_learner
from eggym.replies import WHOLE, remove_parts
from eggym.result import finished_record
from eggym.splits import check_split
from eggym.torchrun import form, here
from eggym.transports import PROCESSES, RAY, transport
from eggym.usage import keep_memory


def train(
    task: str,
    learner: str,
    out: str | Path | None = None,
    seed: int = 0,
    force: bool = False,
    watch: Watch | None = None,
    workers: int | None = None,
    executor: str = PROCESSES,
    keep: Keep | None = None,
    reward_workers: int | None = None,
    **settings: Any,
) -> Record:
    """Run one learner on one task with one seed, or continue, or return the finished record.

    Args:
        task: id, ``module:name`` or file.
        learner: its name.
        out: the run folder, made if missing; None: one under ``runs/``, named by the configuration.
        seed: of everything that is random.
        force: also run a budget that is too small for 5 updates.
        watch: called at every step and evaluation, and with notices; None: these are warnings.
        workers: processes that play the episodes of an ES run, each with a copy of the model; None: this one plays.
            Any number gives the same result; a step is then cut into `DEFAULT_PARCELS` unless engine.parcels says so.
        reward_workers: processes that judge replies, of any learner; None: this one does. Any number gives the same
            result.
        executor: where workers live: ``processes`` of this machine, or ``ray``, a cluster.
        keep: which checkpoints stay; None: two until the end. Changes nothing in the result.
        settings: other fields of `eggym.config.RunConfig`: model, budget, data, split, memory, device, dtype, set.

    Raises:
        EggymError: anything a user can mend, in one line; before the run starts, nothing is written.
    """
    refuse_unknown_fields(RunConfig, settings)
    form(str(settings.get("device", "auto")))
    plan = resolve(shared_out(RunConfig(task, learner, seed=seed, **settings), workers))
    folder = Path(out) if out is not None else default_folder(plan)
    return run_plan(plan, folder, watch or _warn, force, workers, executor, keep, reward_workers)


def shared_out(config: RunConfig, workers: int | None) -> RunConfig:
    """Return a configuration whose steps are cut for workers or ranks of an ES run, if there are to be some."""
    several = workers is not None or (here().size > 1 and reads_rewards(load_learner(config.learner)))
    if not several or "engine.parcels" in config.set:
        return config
    return replace(config, set={**config.set, "engine.parcels": DEFAULT_PARCELS})


def run_plan(
    plan: Plan,
    folder: Path,
    watch: Watch,
    force: bool = False,
    workers: int | None = None,
    executor: str = PROCESSES,
    keep: Keep | None = None,
    reward_workers: int | None = None,
) -> Record:
    """Run a resolved plan; see `train`."""
    keep_memory()
    ranks = here()
    refuse_unsplit(plan, ranks)
    if (workers or reward_workers) is not None and ranks.size > 1:
        raise BadValue("torchrun's ranks share the episodes already; leave --workers out, or torchrun")
    identity = identify(plan)
    refuse_apart(sha256_json(identity), ranks)
    if ranks.rank:
        return _follow(plan, folder, identity, ranks)
    refuse_crew(plan, workers, reward_workers, executor)
    if (folder / CONFIG).is_file():
        refuse_other(folder, read_json(folder / CONFIG), identity)
    else:
        look_ahead(plan, force)
    if (folder / RECORD_FILE).is_file():  # then nobody is asked to play
        workers = reward_workers = None
    with (
        judged_by(plan, reward_workers, executor) as (plan, judges),
        crew_of(plan, identity, folder, workers, executor, judges) as crew,
        alone(folder),
    ):
        begun = (folder / CONFIG).is_file()  # perhaps by another process, while this one looked or waited
        if begun:
            refuse_other(folder, read_json(folder / CONFIG), identity)
        if (folder / RECORD_FILE).is_file():
            record = finished_record(folder)
            _tidy(folder)
            first_says(ranks, False)
            return record
        first_says(ranks, True)
        learner = _enlisted(plan, ranks)
        if not begun:
            write_json(folder / CONFIG, identity)
        try:
            return Run(plan, learner, folder, watch, identity, crew, keep or Keep()).go()
        finally:  # as long as the folder is this process's alone
            crew.close()
            if plan.engine.replies == WHOLE:
                remove_parts(folder)


def refuse_crew(plan: Plan, workers: int | None, reward_workers: int | None, executor: str) -> None:
    """Refuse processes that cannot take part in a run.

    Raises:
        BadValue: as said.
    """
    with_workers()  # what the environment says of them
    if workers is not None:
        refuse_unshared(plan, workers)
    if reward_workers is not None:
        refuse_unjudgeable(plan.task, reward_workers)
    if workers is not None and reward_workers is not None:
        raise BadValue("workers judge what they play; leave --reward-workers out, or --workers")
    if executor != PROCESSES and workers is None and reward_workers is None:
        raise BadValue(f"executor {executor} is where workers live; give --workers or --reward-workers")
    if executor == RAY and plan.budget.axis == "cpu-s":
        raise BadValue(
            f"budget {plan.config.budget} counts the processes of this machine, and workers of Ray may live on others; "
            "give it in episodes, tokens, flops or s, or leave --executor out"
        )


def _tidy(folder: Path) -> None:
    """Remove what a kill at the very end may have left: checkpoints that were not to stay."""
    with contextlib.suppress(BadValue):  # nobody can tell which these are
        measured = load_measured(folder)
        if measured is not None:
            remove_checkpoints(folder, measured.checkpoints)


def _warn(event: Event) -> None:
    if event.kind == "notice":
        warnings.warn(event.note, stacklevel=2)


def _follow(plan: Plan, folder: Path, identity: dict[str, Any], ranks: Ranks) -> Record:
    """Take part in the run that rank 0 writes."""
    if not first_says(ranks, False):  # it is finished
        return load_record(folder)
    learner = _enlisted(plan, ranks)
    return Follower(plan, learner, folder, lambda event: None, identity, Gang(plan)).go()


def _enlisted(plan: Plan, ranks: Ranks) -> Learner:
    """Return the learner of a run, whose work all ranks share."""
    if ranks.size > 1:
        enlist(plan, ranks)
    learner = prepared(plan)
    if ranks.size > 1:
        refuse_few_items(learner, plan, ranks)
    return learner


@contextlib.contextmanager
def crew_of(
    plan: Plan,
    identity: dict[str, Any],
    folder: Path,
    workers: int | None,
    executor: str = PROCESSES,
    judges: Judges | None = None,
) -> Iterator[Crew]:
    """Give who plays a run's episodes, and end it afterwards."""
    if workers is None:
        yield Gang(plan) if here().size > 1 else Here(plan, judges)
        return
    with (
        transport(executor, workers, plan.policy.device.type) as start,
        contextlib.closing(Workers(plan, identity, folder, workers, start)) as crew,
    ):
        yield crew


def default_folder(plan: Plan) -> Path:
    """Return the folder of a run for which none was named: its own, for every other configuration."""
    name = f"{plan.task.id.rpartition('/')[2]}-{plan.label.replace(':', '-').replace('@', '-')}-{plan.config.seed}"
    return Path("runs") / f"{name}-{sha256_json(identify(plan))[:6]}"


def identify(plan: Plan) -> dict[str, Any]:
    """Return what makes a run this run: its resolved configuration, and hashes of the task and of the start weights."""
    hashes = {
        "model_sha256": model_sha256(plan.policy.model),
        "tokenizer_sha256": plan.policy.tokenizer_sha256,
        "task_digest": digest(plan.task),
    }
    others = {"retention_digests": {task.label: digest(task) for task in plan.retention}} if plan.retention else {}
    return {**plan.identity(), **hashes, **others, **ranks_identity(plan, here())}


def look_ahead(plan: Plan, force: bool, keep: Keep | None = None) -> Forecast:
    """Do as `foresee`, and refuse a budget that is too small, unless forced."""
    found = foresee(plan, keep)
    short = shortage(plan, found, force)
    refuse_short([short] if short else [], force)
    return found


def foresee(plan: Plan, keep: Keep | None = None) -> Forecast:
    """Try what a run needs, and forecast what it takes, without writing anything.

    Raises:
        EggymError: the task or learner does not work with this model.
    """
    _refuse_one_split(plan.config.split, plan.evaluation.split)
    preflight(plan.task, plan.config.split)
    evaluation_items(plan)
    validation_items(plan)
    refuse_unreadable(plan, Meter(FlopModel.of(plan.policy.model)))
    learner = prepared(plan)
    refuse_unaskable(plan, learner)
    return forecast(plan, learner, keep)


def _refuse_one_split(trained_on: str, judged_on: str) -> None:
    if check_split(trained_on) == check_split(judged_on):
        raise BadValue(
            f"split is {trained_on} and eval.split is {judged_on}: a run would be judged on what it was trained on; "
            "give another of train, validation and test to one of them"
        )
