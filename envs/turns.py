"""How many turns an episode has, where that is an option of the task: the horizon."""

from eggym.errors import BadValue
from eggym.task import Task

MOST = 64


def set_turns(task: Task, turns: object) -> None:
    """Give one instance its own ``max_turns``, 1 to 64.

    Raises:
        BadValue: ``turns`` is something else.
    """
    if not isinstance(turns, int) or isinstance(turns, bool) or not 1 <= turns <= MOST:
        raise BadValue(f"turns of task {task.id!r} must be a whole number from 1 to {MOST}, got {turns!r:.40}")
    vars(task)["max_turns"] = turns  # of this instance; the class keeps the default
