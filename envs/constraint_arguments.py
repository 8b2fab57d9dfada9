"""Arguments of constraints as data sets write them, read once and refused by name where they are odd."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from eggym.errors import BadValue
from eggym.values import is_text, is_whole

Check = Callable[[str], bool]  # whether a text, as it stands, meets one constraint

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "at least": lambda count, wanted: count >= wanted,
    "less than": lambda count, wanted: count < wanted,
}


def whole(name: str, value: Any, least: int = 0) -> int:
    """Return a whole number of at least ``least``; 3.0 is one, since some copies of the data hold floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not is_whole(value) or value < least:
        raise BadValue(f"{name} is a whole number of at least {least}, got {value!r:.60}")
    return int(value)


def text(name: str, value: Any) -> str:
    """Return a text that is not blank."""
    if not is_text(value) or not value.strip():
        raise BadValue(f"{name} is a text that is not blank, got {value!r:.60}")
    return str(value)


def texts(name: str, value: Any) -> list[str]:
    """Return a list of at least one text."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise BadValue(f"{name} is a list of at least one text, got {value!r:.60}")
    return [text(f"an entry of {name}", each) for each in value]


def relation(name: str, value: Any) -> Callable[[int, int], bool]:
    """Return the comparison of a count with a wanted number."""
    if not isinstance(value, str) or value not in RELATIONS:
        raise BadValue(f"{name} is one of {', '.join(map(repr, RELATIONS))}, got {value!r:.60}")
    return RELATIONS[value]


def pattern(name: str, source: str, flags: int = 0) -> re.Pattern[str]:
    """Return a compiled regular expression."""
    try:
        return re.compile(source, flags)
    except (re.error, OverflowError, RecursionError) as problem:
        raise BadValue(f"{name} is no regular expression ({problem}): {source!r:.60}") from problem
