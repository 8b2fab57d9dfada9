"""What a listing tells of one task, read off its class: nothing is made, and no data are looked for."""

import inspect
import sys
from typing import Any

from eggym.task import Task

_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_ELSEWHERE = "See the module's docstring."
# attributes that the options may still move
_SETTINGS = ("max_turns", "max_new_tokens", "stop", "floor", "reward_range")


def task_options(task: type[Task]) -> dict[str, Any]:
    """Return the options of a task with their defaults; None: needed, or found out by the task itself."""
    made = list(inspect.signature(task).parameters.values())
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in made):  # what `Task.__init__` allows
        made += list(inspect.signature(task.generate).parameters.values())[2:]
    return {one.name: None if one.default is one.empty else one.default for one in made if one.kind not in _VARIADIC}


def task_facts(task: type[Task]) -> dict[str, Any]:
    """Return the attributes of a task that bound its episodes and rewards, as they are without options."""
    return {name: getattr(task, name) for name in _SETTINGS if not isinstance(getattr(task, name), property)}


def told_of(task: type[Task]) -> str:
    """Return what a task says of itself: its docstring, or its module's where that has the text; may be empty."""
    own = inspect.cleandoc(task.__doc__ or "")  # not a base class's
    return own if own not in ("", _ELSEWHERE) else inspect.cleandoc(sys.modules[task.__module__].__doc__ or "")
