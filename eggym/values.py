"""What a value is: small questions about what people's code returns, with plain answers."""

import math
from typing import Any


def is_text(value: Any) -> bool:
    """Return whether a value is a str that can be written to a file."""
    try:
        return isinstance(value, str) and (value.isascii() or bool(value.encode()))
    except UnicodeEncodeError:
        return False


def is_whole(value: Any) -> bool:
    """Return whether a value is an int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_float(value: Any) -> float:
    """Return a number as float; NaN for what is none."""
    try:
        return math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_meant(value: Any) -> Any:
    """Return a value that was read from YAML 1.1, in which ``1e-3`` is a text; people mean a number.

    >>> as_meant("1e-3"), as_meant("low")
    (0.001, 'low')
    """
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def writable(value: Any) -> str:
    """Return a value as a text that a file can hold: lone surrogates become escapes."""
    text = str(value)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
