"""From a board's rules to the configuration that its runs must have, and how far a record is from it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eggym.config import Plan, flat, resolve
from eggym.errors import BadValue
from eggym.evaluate import evaluation_items
from eggym.files import write_json
from eggym.record import Record
from eggym.train import identify

from .board import ANY, DIVISION, FROZEN, OWN, Board, read_board
from .pinned import Facts, pinned_path

_STAND_IN = "embedded-v0"  # where the model is the user's own: nothing of it is pinned
_MOST_TOLD = 4


def pin(path: Path, data: str | None = None) -> Path:
    """Write the resolved configurations of a board beside it, and return where.

    Args:
        path: the board's YAML file.
        data: where the rows of a data-set task lie.

    Raises:
        BadValue: tasks or model are no longer those that the board names; the present digests are told.
    """
    board = read_board(path)
    plans = {label: _plan(board, label, data) for label in board.labels}
    runs = {label: _expected(board, plan) for label, plan in plans.items()}
    now = {one.task: (one.digest, runs[one.task]["task_digest"]) for one in board.tasks}
    if board.model.name != ANY:
        now[board.model.name] = (str(board.model.sha256), runs[board.labels[0]]["model_sha256"])
    other = [f"{name} is {found}" for name, (told, found) in now.items() if told != found]
    if other:
        raise BadValue(
            f"{path}: digests are not what they are here: {'; '.join(other)}. Write these into a board that is new; on "
            "one that has records, another task or model makes a new board"
        )
    place = pinned_path(path)
    place.parent.mkdir(exist_ok=True)
    facts = {label: _facts(board, plan) for label, plan in plans.items()}
    write_json(place, {"board": board.name, "version": board.version, "runs": runs, "facts": facts})
    return place


def differing(board: Board, expected: Mapping[str, Any], record: Record) -> list[str]:
    """Return in which keys a record's configuration is not the board's, and how: at most a few of them."""
    left_out = {*OWN, *(DIVISION if board.model.name == ANY else ())}
    one, two = (
        {key: value for key, value in config.items() if key not in left_out} for config in (expected, record.config)
    )
    if one == two:
        return []
    one, two = flat(one), flat(two)
    keys = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
    told = [f"{key} is {two.get(key)!r}, the board wants {one.get(key)!r}" for key in keys[:_MOST_TOLD]]
    return told + ([f"and {len(keys) - _MOST_TOLD} more"] if len(keys) > _MOST_TOLD else [])


def division(board: Board, record: Record) -> str:
    """Return the table of a board that a record belongs to: empty, or what a user's own model was."""
    if board.model.name != ANY:
        return ""
    told = record.config
    return (
        f"{told['model']} {told['model_sha256'][:8]}, {told['dtype']} on {told['device']}, {told['memory'] >> 20} MiB"
    )


def _plan(board: Board, label: str, data: str | None) -> Plan:
    duel = board.duel([FROZEN], model=_STAND_IN if board.model.name == ANY else ANY, data=data)
    return resolve(duel.run(label, FROZEN, board.seeds[0]))


def _expected(board: Board, plan: Plan) -> dict[str, Any]:
    left_out = {*OWN, *(DIVISION if board.model.name == ANY else ())}
    return {name: value for name, value in identify(plan).items() if name not in left_out}


def _facts(board: Board, plan: Plan) -> Facts:
    own = board.model.name == ANY
    return Facts(
        floor=plan.task.floor,
        reward_range=plan.task.reward_range,
        n_items=len(evaluation_items(plan)),
        n_parameters=None if own else plan.policy.n_parameters,
        n_trainable=None if own else sum(one.numel() for one in plan.space.select(plan.policy.model).values()),
    )
