"""Export: the trained model of a run, as a folder that ``from_pretrained`` loads without eggym.

What loads everywhere is a plain model: 8-bit weights and low-rank deltas are merged into float32 weights.
"""

import shutil
from pathlib import Path

import torch
from torch import Tensor

from eggym.adapters import merge
from eggym.checkpoint import copy_into
from eggym.errors import BadValue
from eggym.files import write_problem
from eggym.folder import RECORD_FILE, STEPS
from eggym.lock import LOCK
from eggym.policy import INT8, load_policy, model_sha256
from eggym.record import find_runs, load_record
from eggym.result import WEIGHTS
from eggym.views import ParameterSpace


def export_run(run: Path, to: Path, force: bool = False) -> Path:
    """Write model and tokenizer of a finished run to a folder, all or nothing.

    Args:
        run: a run folder with a record.
        to: the new folder; an existing one is replaced only with ``force``.
        force: replace ``to``.

    Raises:
        EggymError: no finished run, another base model than the run's, damaged weights, or ``to`` exists.
    """
    inside = find_runs(run)
    if inside and run not in inside:
        raise BadValue(f"{str(run)!r} holds {len(inside)} runs; give one of them, such as {str(inside[0])!r}")
    record = load_record(run)
    _refuse_target(run, to, force)
    policy = load_policy(record.model.name, "cpu", record.model.dtype)
    space = ParameterSpace(**record.config["space"])
    space.install(policy.model)
    if model_sha256(policy.model) != record.model.sha256:
        raise BadValue(f"model {record.model.name!r} is not the one that {run} started from; its weights have changed")
    parameters = space.select(policy.model)
    copy_into(parameters, _weights(run / WEIGHTS))
    if model_sha256(policy.model) != record.weights_sha256:
        raise BadValue(f"{run / WEIGHTS} does not hold the weights of the record; restore the file, or run again")
    if space.adapter_rank or policy.dtype_name in INT8:
        merge(policy.model)
        policy.model.float()
        policy.model.config.dtype = torch.float32
    part = to.with_name(f".{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        policy.model.save_pretrained(part)
        policy.tokenizer.save_pretrained(part)
        if to.exists():
            shutil.rmtree(to)
        part.rename(to)
    except OSError as problem:
        shutil.rmtree(part, ignore_errors=True)
        raise write_problem(to, problem) from problem
    return to


def _weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as problem:
        raise BadValue(f"{path} cannot be read: {problem}; restore the file, or run again") from problem
    return found


def _refuse_target(run: Path, to: Path, force: bool) -> None:
    """Replace nothing but an earlier export: a folder with a model in it and no folder of somebody's."""
    place = to.resolve()
    if place == run.resolve() or place in run.resolve().parents or not place.name:
        raise BadValue(f"--to {str(to)!r} holds the run itself; choose another folder")
    if not to.exists():
        return
    if not force:
        raise BadValue(f"{str(to)!r} exists already; choose another folder with --to, or use --force to replace it")
    if not (to.is_dir() and _is_export(to)):
        raise BadValue(f"{str(to)!r} is no exported model, and is not replaced; choose another folder with --to")


def _is_export(folder: Path) -> bool:
    """Whether a folder looks as an export does, and neither as a run nor as a place of somebody else."""
    names = {path.name for path in folder.iterdir()}
    model = "config.json" in names and any(name.endswith(".safetensors") for name in names)
    return model and not names & {LOCK, STEPS, RECORD_FILE} and not any(path.is_dir() for path in folder.iterdir())
