"""Checkpoints: the whole state of a run, all or nothing.

A checkpoint is a folder with ``state.json`` and ``state.safetensors``. It is written beside the older ones under a
temporary name and renamed; a killed process leaves whole ones, and the newest is used. One that a disk has damaged is
known by its hashes: then the one before it is used. Tensors anywhere in a state (nested dicts and lists) go to the
safetensors file.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eggym.errors import BadValue, EggymError
from eggym.files import canonical_json, sha256_file, sha256_json, sync_folder, write_bytes, write_problem
from eggym.peek import MAP, STATE, TENSOR, TENSORS, checkpoints

KEEP_LAST = 2  # while a run goes on: should a disk damage the newest, there is another
_PART = "checkpoint.part"


@dataclass(frozen=True, slots=True)
class Keep:
    """Which checkpoints of a run stay. Changes nothing in its result."""

    last: int | None = None  # the newest so many, also after the end; None: `KEEP_LAST`, and none after the end
    best: bool = False  # also the one of the best evaluation so far, also after the end

    def __post_init__(self) -> None:
        """Refuse a run without checkpoints."""
        if self.last is not None and self.last < 1:
            raise BadValue(f"a run keeps at least its last checkpoint, got {self.last}")


@dataclass(frozen=True, slots=True)
class Found:
    """The newest checkpoint that can be gone on from."""

    path: Path
    state: dict[str, Any]
    damaged: tuple[Path, ...]  # newer ones that cannot, newest first
    changed: str | None  # what of the run folder a whole one among these does not go with


def save_checkpoint(
    folder: Path,
    step: int,
    state: Mapping[str, Any],
    keep: Keep = Keep(),  # frozen
    best_step: int | None = None,
    damaged: Collection[Path] = (),
) -> None:
    """Write ``state`` as the checkpoint of ``step``, and remove those that need not stay.

    Args:
        folder: of the run.
        step: how many steps are done.
        state: nested dicts and lists of tensors and JSON values.
        keep: which older ones stay.
        best_step: of the best evaluation so far.
        damaged: older ones that are known to be of no use.

    Raises:
        EggymError: the disk is full; the older checkpoints stay.
    """
    target = folder / f"checkpoint-{step:08d}"
    while target.exists():  # a repeat of the same step: the older one stays until the new one is whole
        target = target.with_name(target.name + "+")
    part = folder / _PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        _write(part, state)
        part.rename(target)
        sync_folder(folder)  # before an older one goes
    except OSError as problem:
        raise write_problem(target, problem) from problem
    finally:
        shutil.rmtree(part, ignore_errors=True)  # of a disk that is full, it would hold the rest
    # one of a later step is damaged, or the run would have gone on from it
    older = [path for path in _newest_first(folder) if _step(path) < step and path not in damaged]
    kept = [target, *older[: (keep.last or KEEP_LAST) - 1], *(_of_step(older, best_step) if keep.best else ())]
    remove_checkpoints(folder, [path.name for path in kept])


def find_checkpoint(folder: Path, change: Callable[[dict[str, Any]], str | None] = lambda state: None) -> Found | None:
    """Return the newest whole checkpoint of a run folder, or None where there is none at all.

    Args:
        folder: of the run.
        change: tells what was changed since a checkpoint of that state was written, if anything was: then an older
            one may do.

    Raises:
        BadValue: all that are there are of no use: to begin anew would throw away what the run has spent.
    """
    paths, changed = _newest_first(folder), None
    for number, path in enumerate(paths):
        state = _read(path)
        if state is None:
            continue
        what = change(state)
        if what is None:
            return Found(path, state, tuple(paths[:number]), changed)
        changed = changed or what
    if changed:
        raise BadValue(f"{changed}; restore it, or delete the run folder and run again")
    if paths:
        are = f"all {len(paths)} checkpoints in {folder} are damaged; restore one" if len(paths) > 1 else ""
        raise BadValue(
            f"{are or f'{paths[0]} is damaged; restore it'}, or delete {folder} and run again from the start"
        )
    return None


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state of `find_checkpoint`."""
    found = find_checkpoint(folder)
    return None if found is None else found.state


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return what one checkpoint holds; ``["weights"]`` are the trained weights by name.

    Raises:
        BadValue: it is damaged.
    """
    state = _read(Path(path))
    if state is None:
        raise BadValue(f"{path} is no checkpoint, or damaged; restore it")
    return state


def lasting(folder: Path, keep: Keep, best_step: int | None) -> list[str]:
    """Return the names of the checkpoints that stay after the end of a run."""
    paths = _newest_first(folder)
    stay = [*paths[: keep.last or 0], *(_of_step(paths, best_step) if keep.best else ())]
    return sorted({path.name for path in stay})


def remove_checkpoints(folder: Path, stay: Collection[str] = ()) -> None:
    """Remove all checkpoints but those that are named."""
    part = folder / _PART
    shutil.rmtree(part, ignore_errors=True)
    for path in _newest_first(folder):
        if path.name not in stay:
            with contextlib.suppress(OSError):  # it stays, and is in nobody's way
                path.rename(part)  # what is half removed is not to be taken for a damaged one
            shutil.rmtree(part, ignore_errors=True)


def _write(part: Path, state: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    plain = _take_tensors(state, tensors)
    part.mkdir(parents=True)
    write_bytes(part / TENSORS, save(tensors) if tensors else b"")
    tensors_sha256 = sha256_file(part / TENSORS)
    body = {"state": plain, "tensors_sha256": tensors_sha256, "sha256": sha256_json([plain, tensors_sha256])}
    write_bytes(part / STATE, canonical_json(body).encode())


def _newest_first(folder: Path) -> list[Path]:
    return [path for path in reversed(checkpoints(folder)) if _step(path) >= 0]


def _step(path: Path) -> int:
    digits = path.name.removeprefix("checkpoint-").rstrip("+")
    return int(digits) if digits.isdecimal() else -1


def _of_step(newest_first: list[Path], step: int | None) -> list[Path]:
    return [path for path in newest_first if _step(path) == step][:1]


def _read(path: Path) -> dict[str, Any] | None:
    """Return the state, or None where the checkpoint is damaged: an older one may be whole.

    Raises:
        EggymError: it cannot be read: that says nothing of what it holds.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        body = json.loads((path / STATE).read_text(encoding="utf-8"))
        data = (path / TENSORS).read_bytes()
        if sha256_json([body["state"], body["tensors_sha256"]]) != body["sha256"]:
            return None
        if hashlib.sha256(data).hexdigest() != body["tensors_sha256"]:
            return None
        state: dict[str, Any] = _put_tensors(body["state"], load(data) if data else {})
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as problem:
        raise EggymError(f"{path} cannot be read: {problem.strerror}; it was left as it is") from problem
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return None
    return state if isinstance(state, dict) else None


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
