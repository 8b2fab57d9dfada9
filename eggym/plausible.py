"""The types of what a run's files hold, so that nothing odd is computed with, shown or written.

What a run has written has these shapes always. A file that was damaged, or that somebody else made, may have others: a
digest beside it says only that both were made together.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

Shape = Any  # a predicate, {name: shape} with names that must be there, [shape] of every item, or {str: shape}
_MOST = 1 << 63


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is a finite number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0 on that 64 bits can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def is_text(value: Any) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def _is_metric(value: Any) -> bool:
    return isinstance(value, bool) or is_number(value)  # a learner of somebody's may tell yes or no


def is_mapping(value: Any) -> bool:
    """Whether it has names."""
    return isinstance(value, Mapping)


def maybe(shape: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a shape that None has too."""
    return lambda value: value is None or shape(value)


def misfit(value: Any, shape: Shape, name: str = "") -> str | None:
    """Return the name of the first part that is missing or has another type; None: all is as it should be.

    >>> misfit({"step": -1, "spent": {}}, {"step": is_count})
    'step'
    """
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            return name or "all of it"
        parts = shape if str not in shape else dict.fromkeys(value, shape[str])
        pairs = [(f"{name}.{key}".strip("."), value.get(key), part, key in value) for key, part in parts.items()]
        return next(
            (found for at, one, part, there in pairs if (found := misfit(one, part, at) if there else at)), None
        )
    if isinstance(shape, list):
        if not isinstance(value, list | tuple):
            return name or "all of it"
        return next((found for one in value if (found := misfit(one, shape[0], name))), None)
    return None if shape(value) else name or "all of it"


def optional(value: Any, shapes: Mapping[str, Shape]) -> Any:
    """Return of some shapes those whose names are there."""
    return {name: shape for name, shape in shapes.items() if isinstance(value, Mapping) and name in value}


STEP = {"step": is_count, "spent": {str: is_number}, "reward": maybe(is_number), "metrics": {str: maybe(_is_metric)}}
_SCORE = {"mean": maybe(is_number)}
POINT = {"step": is_count, "fraction": is_number, "greedy": _SCORE, "sampled": _SCORE}
CONFIG = {
    "task": is_text,
    "learner": is_text,
    "model": is_text,
    "seed": is_count,
    "budget": is_text,
    "eval": is_mapping,
}
CONFIG_TOO = {"difficulty": is_mapping, "variant": maybe(is_text)}
RECORD = {
    "points": [POINT], "n_steps": is_count, "spent": {str: is_number}, "training_states": {str: is_count},
    "files": {str: is_text}, "config": is_mapping,
}  # fmt: skip
SEEN_TOO = {"workers": is_count, "worker_events": [is_mapping], "wall_s": maybe(is_number), "chosen": maybe(is_count)}
CHECKPOINT = {
    "step": is_count, "points": [POINT], "states": {str: is_count}, "session": is_mapping, "meter": is_mapping,
    "written": {str: {"length": is_count}},
}  # fmt: skip
DRIVER = {
    "pid": is_count, "host": is_text, "started": is_number, "command": [is_text], "cwd": is_text,
}  # fmt: skip
PLANNED = {"folder": is_text, "task": is_text, "learner": is_text, "seed": is_count}
