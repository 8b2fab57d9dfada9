"""Checkpoints: the whole state of a run, all or nothing.

A checkpoint is a folder with ``state.json`` and ``state.safetensors``. It is written beside the old one under a
temporary name and renamed; a killed process leaves the old one, the new one, or both, and the newest whole one is
used. Tensors anywhere in a state (nested dicts and lists) go to the safetensors file.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eggym.errors import BadValue
from eggym.files import canonical_json, sha256_file, sha256_json, write_bytes
from eggym.peek import MAP, STATE, TENSOR, TENSORS, checkpoints


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Write ``state`` as the checkpoint of ``step`` and remove older ones.

    Raises:
        EggymError: the disk is full; the older checkpoint stays.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    plain = _take_tensors(state, tensors)
    part = folder / "checkpoint.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write_bytes(part / TENSORS, save(tensors) if tensors else b"")
    tensors_sha256 = sha256_file(part / TENSORS)
    body = {"state": plain, "tensors_sha256": tensors_sha256, "sha256": sha256_json([plain, tensors_sha256])}
    write_bytes(part / STATE, canonical_json(body).encode())
    target = folder / f"checkpoint-{step:08d}"
    while target.exists():  # a repeat of the same step: the older one stays until the new one is whole
        target = target.with_name(target.name + "+")
    part.rename(target)
    for other in checkpoints(folder):
        if other != target:  # one of a later step is damaged, or the run would have gone on from it
            shutil.rmtree(other, ignore_errors=True)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the newest whole checkpoint of a run folder, or None where there is none at all.

    Raises:
        BadValue: all that are there are damaged: to begin anew would throw away what the run has spent.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        state = _read(path)
        if state is not None:
            return state
    if found:
        raise BadValue(f"{found[-1]} is damaged; restore it, or delete {folder} and run again from the start")
    return None


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints: the run is finished."""
    for path in [*checkpoints(folder), folder / "checkpoint.part"]:
        shutil.rmtree(path, ignore_errors=True)


def _read(path: Path) -> dict[str, Any] | None:
    from safetensors.torch import load

    try:
        body = json.loads((path / STATE).read_text(encoding="utf-8"))
        data = (path / TENSORS).read_bytes()
        whole = sha256_json([body["state"], body["tensors_sha256"]]) == body["sha256"]
        if not whole or sha256_file(path / TENSORS) != body["tensors_sha256"]:
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # damaged: an older one may be whole
        return None
    state: dict[str, Any] = _put_tensors(body["state"], load(data) if data else {})
    return state


def _take_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {TENSOR: name}
    if isinstance(value, Mapping):
        return {MAP: [[key, _take_tensors(one, tensors)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        return [_take_tensors(one, tensors) for one in value]
    return value


def _put_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if TENSOR in value:
            return tensors[value[TENSOR]]
        return {key: _put_tensors(one, tensors) for key, one in value[MAP]}
    if isinstance(value, list):
        return [_put_tensors(one, tensors) for one in value]
    return value


def copy_into(parameters: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved weights into a model's parameters, in place."""
    with torch.no_grad():
        for name, weight in saved.items():
            parameters[name].copy_(weight)
