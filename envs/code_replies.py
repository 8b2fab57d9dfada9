"""Which part of a reply is the program.

The last fenced block that is tagged as Python; without one, the last fenced block; without any, the whole reply. A
fence is a line of at least three backticks or tildes, with a tag behind them at most, at any depth of indentation; it
ends at a line of at least as many of the same, or with the reply: a reply may have been cut off. The indentation of the
fence is taken off its lines. A reply of white space alone has no program.
"""

from collections.abc import Iterator
from typing import NamedTuple

PYTHON = frozenset({"python", "python3", "python2", "py", "py3", "python-repl", "ipython"})


class _Fence(NamedTuple):
    indentation: str
    marks: str  # three or more of one kind
    tag: str  # in lower case


def last_code(reply: str) -> str | None:
    r"""Return the program of a reply, or None if there is none.

    >>> last_code("Sure:\n```python\ndef f(x):\n    return x\n```\nIt prints\n```\n3\n```")
    'def f(x):\n    return x\n'
    """
    blocks = list(_blocks(reply))
    tagged = [text for tag, text in blocks if tag in PYTHON]
    found = tagged[-1] if tagged else blocks[-1][1] if blocks else reply
    return found if found.strip() else None


def _blocks(reply: str) -> Iterator[tuple[str, str]]:
    """Yield tag and text of every fenced block."""
    opened: _Fence | None = None
    lines: list[str] = []
    for line in reply.replace("\r\n", "\n").split("\n"):
        fence = _fence(line)
        if opened is None:
            opened, lines = fence, []
        elif fence and not fence.tag and fence.marks.startswith(opened.marks):
            yield opened.tag, _text(lines)
            opened = None
        else:
            lines.append(line.removeprefix(opened.indentation))
    if opened is not None:
        yield opened.tag, _text(lines)


def _fence(line: str) -> _Fence | None:
    body = line.lstrip(" \t")
    behind = body.lstrip(body[:1])
    marks, words = body[: len(body) - len(behind)], behind.split(None, 1)
    if body[:1] not in ("`", "~") or len(marks) < 3 or "`" in behind:
        return None
    return _Fence(line[: len(line) - len(body)], marks, words[0].lower() if words else "")


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
