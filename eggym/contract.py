"""The contract of a task's settings: what each attribute of `eggym.task.Task` may be."""

import math
from collections.abc import Callable
from typing import Any

from eggym.errors import BadValue
from eggym.splits import SPLITS
from eggym.task import MOST_TURNS, Task, size_of
from eggym.values import as_float, is_text, is_whole


def check_settings(task: Task) -> None:
    """Refuse a task whose attributes are not what `Task` says; a list where a tuple belongs becomes one.

    Raises:
        BadValue: an attribute has another type or lies outside what is allowed, or ``__init__`` forgot its parent's.
        TaskFault: `Task.n_items` raised, or returned no number.
    """
    for name in ("reward_range", "stop", "few_shot"):
        value = getattr(task, name)
        if isinstance(value, list):
            setattr(task, name, tuple(tuple(each) if isinstance(each, list) else each for each in value))
    for name, (fits, allowed) in _ALLOWED.items():
        value = getattr(task, name, None)
        if not fits(value):
            raise BadValue(f"task {task.id!r}: {name} must be {allowed}, got {value!r:.60}")
    for split in () if task.reads_late else SPLITS:
        size_of(task, split)


_LARGEST = 1e30  # of a bound of rewards


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(as_float(value))


def _is_range(value: Any) -> bool:
    """Two bounds that rewards, which are kept in float32, can keep apart."""
    if not (isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))):
        return False
    return all(abs(bound) <= _LARGEST for bound in value) and value[1] - value[0] >= 1 / _LARGEST


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_text, value))


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "id": (is_text, "a text"),
    "floor": (_is_number, "a finite number"),
    "reward_range": (_is_range, "two numbers of at most 1e30, the lower one first and 1e-30 apart"),
    "stop": (
        lambda value: isinstance(value, tuple) and all(is_text(each) and each for each in value),
        'a tuple of texts that are not empty, such as ("\\n",)',
    ),
    "max_new_tokens": (lambda value: is_whole(value) and value >= 1, "a whole number of at least 1"),
    "max_turns": (
        lambda value: is_whole(value) and 1 <= value <= MOST_TURNS,
        f"a whole number from 1 to {MOST_TURNS}",
    ),
    "system": (lambda value: value is None or is_text(value), "a text or None"),
    "few_shot": (
        lambda value: isinstance(value, tuple) and all(map(_is_pair, value)),
        "a tuple of pairs of texts, each a prompt and its reply",
    ),
    "difficulty": (
        lambda value: isinstance(value, dict),
        "the options as a dict; an __init__ of its own must call super().__init__(**options)",
    ),
}
