"""What follows from a board's rules, as it was when `eggym board pin` wrote it beside the board.

Of every task: the configuration of its runs, to which a record is held key by key, and facts that a configuration does
not name but scores rest on. Nothing is worked out here, so nothing is imported to know it: the task may be gone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from eggym.errors import BadValue
from eggym.files import read_json
from eggym.score import Count, Strict

from .board import Board

PINNED = "pinned"  # the folder


class Facts(Strict):
    """What is true of every run on one task, whoever learns."""

    floor: float  # of the task, and with its largest reward the scale of every score
    reward_range: tuple[float, float]
    n_items: Annotated[int, Field(ge=1)]  # that are held out: fewer than were asked for, where the split has fewer
    n_parameters: Count | None = None  # of the model; None: it is the user's own
    n_trainable: Count | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """Configurations and facts, each by the label of its task."""

    runs: dict[str, dict[str, Any]]
    facts: dict[str, Facts]


def pinned_path(path: Path) -> Path:
    """Return where what follows from a board lies."""
    return path.parent / PINNED / f"{path.stem}.json"


def read_pinned(path: Path, board: Board) -> Pinned:
    """Return what the runs of each task of a board must have.

    Raises:
        BadValue: there is none, or it is of another version of the board.
    """
    place = pinned_path(path)
    again = f"give `eggym board pin {path}`"
    if not place.is_file():
        raise BadValue(f"board {board.name!r} is not pinned; {again} first")
    found = read_json(place)
    if not isinstance(found, dict) or found.get("version") != board.version:
        raise BadValue(f"{place} is of another version of the board; {again}")
    try:
        facts = TypeAdapter(dict[str, Facts]).validate_json(json.dumps(found["facts"]))
        runs = dict(found["runs"])
        digests = {label: run["task_digest"] for label, run in runs.items()}
    except (ValidationError, TypeError, KeyError, ValueError) as problem:
        raise BadValue(f"{place} is not in the form of this eggym; {again}") from problem
    if digests != {one.task: one.digest for one in board.tasks} or facts.keys() != digests.keys():
        raise BadValue(f"{place} does not go with {path}; {again}")
    return Pinned(runs, facts)
