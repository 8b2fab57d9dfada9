"""Export: the trained model of a run, as a folder that ``from_pretrained`` loads without eggym."""

import shutil
from pathlib import Path

from eggym.checkpoint import copy_into
from eggym.errors import BadValue
from eggym.policy import load_policy, model_sha256
from eggym.record import load_record
from eggym.result import WEIGHTS


def export_run(run: Path, to: Path, force: bool = False) -> Path:
    """Write model and tokenizer of a finished run to a folder, all or nothing.

    Args:
        run: a run folder with a record.
        to: the new folder; an existing one is replaced only with ``force``.
        force: replace ``to``.

    Raises:
        EggymError: no finished run, another base model than the run's, damaged weights, or ``to`` exists.
    """
    from safetensors.torch import load_file

    record = load_record(run)
    if to.exists() and not force:
        raise BadValue(f"{str(to)!r} exists already; choose another folder with --to, or use --force to replace it")
    policy = load_policy(record.model.name, "cpu", record.model.dtype)
    if model_sha256(policy.model) != record.model.sha256:
        raise BadValue(f"model {record.model.name!r} is not the one that {run} started from; its weights have changed")
    parameters = dict(policy.model.named_parameters())
    copy_into(parameters, load_file(run / WEIGHTS))
    if model_sha256(policy.model) != record.weights_sha256:
        raise BadValue(f"{run / WEIGHTS} does not hold the weights of the record; restore the file, or run again")
    part = to.with_name(f".{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    policy.model.save_pretrained(part)
    policy.tokenizer.save_pretrained(part)
    if to.exists():
        shutil.rmtree(to)
    part.rename(to)
    return to
