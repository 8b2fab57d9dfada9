r"""Inequalities that are joined by "or", and ``x \ne 2``, as the union of intervals that they say."""

import re

from .answer_tidy import squeeze

_OR = re.compile(r"(?:,? ?\\text\{ ?or ?\} ?|(?<![a-zA-Z\\])or(?![a-zA-Z])|\\lor(?![a-z]) ?)")
_SIDE = r"([^=<>,&|()\[\]]+?)"
_SIGN = r"(<|>|\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])) ?"
_ONE = re.compile(rf"([a-zA-Z]){_SIGN}{_SIDE}")
_TURNED = re.compile(rf"{_SIDE}{_SIGN}([a-zA-Z])")
_BETWEEN = re.compile(rf"{_SIDE}(<|\\le(?![a-z])) ?{_SIDE}(<|\\le(?![a-z])) ?{_SIDE}")
_TURN = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "\\ne"}


def as_union(text: str) -> str | None:
    r"""Return the intervals that a tidy text says of one unknown, or None where it says something else.

    >>> as_union(r"x<2\text{ or }3\le x"), as_union("x>3")
    ('(-\\infty,2)\\cup[3,\\infty)', None)
    """
    pieces = [squeeze(piece.strip()) for piece in _OR.split(text)]
    if len(pieces) == 1 and "\\ne" not in text:
        return None
    ranges, names = [], set()
    for piece in pieces:
        found = _range(piece)
        if found is None:
            return None
        names.add(found[0])
        ranges.append(found[1])
    return "\\cup".join(ranges) if len(names) == 1 else None


def _range(text: str) -> tuple[str, str] | None:
    """Return the unknown and the interval of one inequality."""
    if found := _BETWEEN.fullmatch(text):
        low, left, name, right, high = found.groups()
        if len(name) > 1 or not name.isalpha() or _speaks(low, name) or _speaks(high, name):
            return None
        return name, f"{'(' if left == '<' else '['}{low},{high}{')' if right == '<' else ']'}"
    if found := _ONE.fullmatch(text):
        name, sign, end = found.groups()
    elif found := _TURNED.fullmatch(text):
        end, sign, name = found[1], _TURN[found[2]], found[3]
    else:
        return None
    if _speaks(end, name):
        return None
    return name, {
        "<": f"(-\\infty,{end})",
        "\\le": f"(-\\infty,{end}]",
        ">": f"({end},\\infty)",
        "\\ge": f"[{end},\\infty)",
        "\\ne": f"(-\\infty,{end})\\cup({end},\\infty)",
    }[sign]


def _speaks(text: str, name: str) -> bool:
    return name in re.sub(r"\\[a-zA-Z]+", "", text)
