"""What may be told of a failing test without telling what it expects: the call, and the solution's own exception.

`trace_of` runs in the solution's process, beside model code: what it returns is a text from a stranger.
"""

from typing import Any

from .box_values import unpack

SOLUTION = "<solution>"  # the file name of the code; frames of others are left out
MOST_TRACE = 800  # characters
MOST_GIVEN = 200  # characters of a call or an input
_MOST_FRAMES, _MOST_LINE, _MOST_WORDS = 5, 120, 200


class _Named:
    """What stands in a text for an argument that is no plain value."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def trace_of(problem: BaseException, code: str) -> str:
    """Return the last frames of the code in an exception, with their lines, and what it says."""
    try:
        lines, frames, place = code.split("\n"), [], problem.__traceback__
        while place is not None:
            frame = place.tb_frame.f_code
            if frame.co_filename == SOLUTION:
                line = lines[place.tb_lineno - 1].strip()[:_MOST_LINE]
                frames.append(f"line {place.tb_lineno}, in {frame.co_name}: {line}")
            place = place.tb_next
        if isinstance(problem, SyntaxError) and problem.filename == SOLUTION and problem.lineno:
            frames.append(f"line {problem.lineno}: {lines[problem.lineno - 1].strip()[:_MOST_LINE]}")
        said = [type(problem).__name__, str(problem)[:_MOST_WORDS]]
        return "\n".join([*frames[-_MOST_FRAMES:], ": ".join(filter(None, said))])[-MOST_TRACE:]
    except BaseException:  # model code may have made anything of its exception
        return ""


def call_of(name: str, args: Any, kwargs: Any) -> str:
    """Return a call of packed arguments as text, cut.

    >>> call_of("f", ["t", [1, ["n", "g"]]], ["d", [["k", "x"]]])
    "f(1, g, k='x')"
    """
    try:
        positional, named = unpack(args, _other), unpack(kwargs, _other)
        told = [*map(repr, positional), *(f"{key}={value!r}" for key, value in named.items())]
    except (ValueError, RecursionError, MemoryError):  # a number of thousands of digits, or what fills the memory
        told = ["..."]
    return cut(f"{name}({', '.join(told)})")


def cut(text: str) -> str:
    """Return the beginning of a text, with a mark if there is more."""
    return text if len(text) <= MOST_GIVEN else f"{text[:MOST_GIVEN]}..."


def _other(tag: str, body: Any) -> _Named:
    return _Named("an object" if tag == "o" else str(body))
