"""What the newest checkpoint of a run says, read from outside and without its tensors.

A run that goes on replaces its checkpoints: one may be gone between looking for it and reading it.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eggym.files import open_plain, sha256_json
from eggym.folder import CHECKPOINTS
from eggym.plausible import CHECKPOINT, SEEN_TOO, misfit, optional

STATE = "state.json"
TENSORS = "state.safetensors"
TENSOR = "__tensor__"  # in place of a tensor: its name in the other file
MAP = "__map__"  # pairs, because optimizers key their state by integers and JSON would make text of them
_TRIES = 20
_WAIT_S = 0.02


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the newest last."""
    return sorted(path for path in folder.glob(CHECKPOINTS) if path.is_dir())


def peek(
    folder: Path, changing: bool, fits: Callable[[dict[str, Any]], bool] = lambda state: True
) -> dict[str, Any] | None:
    """Return the state in the newest checkpoint that can be read, with None for tensors; None: there is none.

    Weights and the learner's own state are left out. ``changing``: the run goes on. One that ``fits`` goes before newer
    ones that do not.
    """
    for _ in range(_TRIES if changing else 1):
        found = checkpoints(folder)
        states = [state for state in map(_state, reversed(found)) if state is not None]
        if states:
            return next(filter(fits, states), states[0])
        if not found:
            return None
        time.sleep(_WAIT_S)  # they may have been replaced just now
    return None


def _state(path: Path) -> dict[str, Any] | None:
    try:
        with open_plain(path / STATE) as file:
            body = json.loads(file.read())
        if sha256_json([body["state"], body["tensors_sha256"]]) != body["sha256"] or not (path / TENSORS).is_file():
            return None
        found = {name: _plain(value) for name, value in body["state"][MAP] if name not in ("learner", "weights")}
        session = found.get("session")
        if misfit(found, CHECKPOINT) or misfit(session, optional(session, SEEN_TOO)):
            return None
        return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return None if TENSOR in value else {key: _plain(one) for key, one in value[MAP]}
    return [_plain(one) for one in value] if isinstance(value, list) else value
