r"""Braces around what TeX takes for an argument without them: ``\frac\pi4``, ``\sqrt\frac34``, ``\sqrt[3]2``.

Works on text in which the spellings of one command are one already (`answer_tidy`), in time linear in its length for
each level of nesting.
"""

import re

_TAKES = re.compile(r"\\(frac|sqrt)(?![a-zA-Z])|\^(?=\s*\\(?:frac|sqrt|pi)(?![a-zA-Z]))")
_DEGREE = re.compile(r"\s*(\[[^\[\]{}]*\])")
_SIMPLE = re.compile(r"\s*([a-zA-Z\d]|\\(?:pi|alpha|beta|gamma|delta|theta|lambda|mu|omega|phi|infty)(?![a-zA-Z]))")
_GROUP, _BRACE = re.compile(r"\s*\{"), re.compile(r"\\.|[{}]", re.DOTALL)
MOST_NESTED = 64


class _Missing(Exception):
    """There is no argument where one must stand."""


def with_braces(text: str, deep: int = 0) -> str:
    r"""Put the arguments of fractions and roots, and powers that are commands, into braces.

    >>> with_braces(r"\frac\pi4+\sqrt\frac34+x^\frac12")
    '\\frac{\\pi}{4}+\\sqrt{\\frac{3}{4}}+x^{\\frac{1}{2}}'
    """
    out, place = [], 0
    while found := _TAKES.search(text, place):
        out.append(text[place : found.start()])
        try:
            spelt, place = _command(text, found, deep)
        except _Missing:
            spelt, place = found[0], found.end()
        out.append(spelt)
    return "".join(out) + text[place:]


def _command(text: str, found: "re.Match[str]", deep: int) -> tuple[str, int]:
    """Return a command with its arguments in braces, and where it ends."""
    if deep > MOST_NESTED:
        raise _Missing
    head, place = found[0], found.end()
    if found[1] == "sqrt" and (degree := _DEGREE.match(text, place)):
        head, place = head + degree[1], degree.end()
    for _ in range(2 if found[1] == "frac" else 1):
        argument, place = _argument(text, place, deep)
        head += f"{{{argument}}}"
    return head, place


def _argument(text: str, place: int, deep: int) -> tuple[str, int]:
    if group := _GROUP.match(text, place):
        end = closing(text, group.end() - 1)
        if end < 0:
            raise _Missing
        return with_braces(text[group.end() : end], deep + 1), end + 1
    if simple := _SIMPLE.match(text, place):
        return simple[1], simple.end()
    inner = _TAKES.search(text, place)
    if inner and inner[1] and not text[place : inner.start()].strip():
        return _command(text, inner, deep + 1)
    raise _Missing


def closing(text: str, start: int) -> int:
    """Return where the brace at ``start`` closes, or -1."""
    depth = 0
    for found in _BRACE.finditer(text, start):
        depth += (found[0] == "{") - (found[0] == "}")
        if depth == 0:
            return found.start()
    return -1
