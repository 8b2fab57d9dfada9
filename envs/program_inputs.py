"""What the functions of `programs` are called with: a few edge cases, and many random values of the same kind.

Empty values, single ones, ties, negative numbers, numbers at the limits that the steps name, and texts with doubled
spaces, capital letters and letters beyond ASCII.
"""

import random
from collections.abc import Sequence
from typing import Any

from .program_steps import NUMBER, NUMBERS, TABLE, TEXT, Step

_PLAIN = (
    "apple", "Otter", "uncle", "ice", "Egg", "bee", "tree", "moon", "Anna", "level", "book", "aunt", "zebra", "Yak",
    "xylophone", "fuzz", "jazz", "Quiz", "umbrella", "or", "a", "Lamp", "sky", "rhythm", "Area", "mississippi", "ox",
    "NASA", "otter", "egg", "It", "is", "so", "far", "and", "we", "go",
)  # fmt: skip
_BEYOND = (  # their letters are one code point each
    "Zoë", "café", "Ångström", "naïve", "École", "señor", "Übung", "año",
)  # fmt: skip
_NAMES = (
    "Ida", "Bo", "Kim", "Ada", "Noor", "Lee", "Otto", "Eva", "Uma", "Sven", "Yi", "Gustav", "zoe", "Zoë", "Al", "kim",
    "Marta", "Ole",
)  # fmt: skip


def edge_inputs(kind: str) -> list[Any]:
    """Return the inputs that every function of a kind is tried on."""
    if kind == NUMBERS:
        return [[], [7], [-3, -3, -1], [4, 9, 4, 9, 2, 2]]
    if kind == NUMBER:
        return [0, 1, -12]
    if kind == TEXT:
        return ["", "A", "two  spaces and a Übung"]
    return [{}, {"Bo": 3}, {"Kim": 4, "Ada": 4, "zoe": -2}] if kind == TABLE else [[], ["Egg"], ["egg", "Egg", "egg"]]


def random_inputs(rng: random.Random, kind: str, steps: Sequence[Step], n: int) -> list[Any]:
    """Draw inputs; numbers that the steps name, and their neighbours, come often."""
    named = [number + shift for _, number, *_ in steps if isinstance(number, int) for shift in (-1, 0, 1)]
    draw = {NUMBERS: _numbers, NUMBER: _number, TEXT: _text, TABLE: _table}.get(kind, _words)
    return [draw(rng, named) for _ in range(n)]


def _number(rng: random.Random, named: list[int]) -> int:
    if named and rng.random() < 0.2:
        return rng.choice(named)
    return rng.randint(-40, 99) if rng.random() < 0.5 else rng.randint(-999, 9999)


def _numbers(rng: random.Random, named: list[int]) -> list[int]:
    low, high = rng.choice(((-9, 9), (-20, 40), (0, 30), (1, 5)))
    length = rng.randint(1, 12)
    return [rng.choice(named) if named and rng.random() < 0.2 else rng.randint(low, high) for _ in range(length)]


def _words(rng: random.Random, named: list[int]) -> list[str]:
    few = rng.sample(_PLAIN, 5) + rng.sample(_BEYOND, 1)
    return rng.choices(few if rng.random() < 0.5 else _PLAIN, k=rng.randint(2, 9))


def _text(rng: random.Random, named: list[int]) -> str:
    words = rng.choices(_PLAIN, k=rng.randint(2, 6))
    if rng.random() < 0.4:
        words.insert(rng.randrange(len(words)), rng.choice(_BEYOND))
    text = "".join(word + rng.choice((" ", " ", " ", "  ", ", ", "! ", " 42 ", "-")) for word in words)
    return text.rstrip() if rng.random() < 0.8 else text


def _table(rng: random.Random, named: list[int]) -> dict[str, int]:
    names = rng.sample(_NAMES, rng.randint(2, 8))
    high = rng.choice((4, 12, 30))
    return {name: rng.choice(named) if named and rng.random() < 0.2 else rng.randint(-5, high) for name in names}
