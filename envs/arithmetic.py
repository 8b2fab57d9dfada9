r"""Work out an arithmetic expression, asked in natural language, at five levels.

Prompt:  ``What is 84 / 7 + 3 * 15? Put the answer in \boxed{}.``
         Level 1: sums and differences of two numbers of up to 3 digits. 2: products and whole quotients. 3: three or
         four terms, without parentheses. 4: four or five terms, with parentheses. 5: three fractions.
Options: ``level`` 1 to 5; ``digits`` (2 to 9), ``terms`` (2 to 6; also a range such as [2, 4]) and ``operations`` (some
         of "+-*/") replace what the level says. A quotient with several terms above its line adds the last of them.
Reward:  1 if the last ``\boxed{}`` holds the exact value, in any exact form that is one number (3/4, 0.75, 6/8), else
         0; see `.answers`. The working is free.
Floor:   always the most frequent value: 0.1 to 1 %, by level. With options of your own it is measured on 2,000
         problems.
Source:  ours; procedural.
"""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from eggym.errors import BadValue
from eggym.seeding import stream
from eggym.task import Item, SingleTurnTask, Verdict
from eggym.values import is_whole

from .sums import Draw, flat, fractions, nested
from .whole_answers import judge_whole, judge_wholes

OPERATIONS = "+-*/"
MOST_DIGITS, MOST_TERMS = 9, 6

_ASKED = ("What is {}?", "Calculate {}.", "Work out {}.", "Find the value of {}.")
_HOW = " Put the answer in \\boxed{}."
_OPENERS = tuple(text.partition("{}")[::2] for text in _ASKED)


class Level(NamedTuple):
    """What makes a problem easy or hard."""

    digits: int
    terms: tuple[int, int]  # fewest and most numbers in it
    operations: str
    kind: str  # flat, nested or fractions
    floor: float  # share of the most frequent value, measured on 200,000 problems


LEVELS = {
    1: Level(3, (2, 2), "+-", "flat", 0.0012),
    2: Level(3, (2, 2), "*/", "flat", 0.0008),
    3: Level(2, (3, 4), OPERATIONS, "flat", 0.0035),
    4: Level(2, (4, 5), OPERATIONS, "nested", 0.0095),
    5: Level(2, (3, 3), OPERATIONS, "fractions", 0.0035),
}


class Arithmetic(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/arithmetic-v0"
    max_new_tokens: ClassVar[int] = 512

    def __init__(self, **options: Any) -> None:
        """Check the options; ``floor`` follows from them."""
        super().__init__(**options)
        self.level = chosen(**options)
        self._given = (options.get("level", 3), *map(options.get, ("digits", "terms", "operations")))
        floor = self.level.floor if self.level in LEVELS.values() else _measured(self.level)
        vars(self).update(floor=floor)

    def generate(
        self,
        rng: random.Random,
        level: int = 3,
        digits: int | None = None,
        terms: int | Sequence[int] | None = None,
        operations: str | None = None,
    ) -> Item:
        """Draw an expression and how to ask for it."""
        given = (level, digits, terms, operations)
        found = self.level if given == self._given else chosen(*given)
        truth, text = expression(found, rng.random)
        before, after = _OPENERS[int(rng.random() * len(_OPENERS))]
        return Item(f"{before}{text}{after}{_HOW}", truth)

    def score(self, item: Item, reply: str) -> Verdict:
        """Compare the last box with the value, exactly."""
        return judge_whole(item.truth, reply)

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> Sequence[float | Verdict]:
        """Judge many replies in one call."""
        return judge_wholes([item.truth for item in items], replies)

    def oracle(self, item: Item) -> str:
        """Return the value."""
        return f"The value is \\boxed{{{item.truth}}}."


def expression(level: Level, draw: Draw) -> tuple[str, str]:
    """Return the exact value of a random expression, as a whole number or a reduced fraction, and its text."""
    fewest, most = level.terms
    terms = fewest if fewest == most else fewest + int(draw() * (most - fewest + 1))
    if level.kind == "flat":
        value, text = flat(draw, level.digits, terms, level.operations)
        return str(value), text
    if level.kind == "nested":
        value, text = nested(draw, level.digits, terms, level.operations)
        return str(value), text
    (top, under), text = fractions(draw, terms, level.operations)
    return str(top) if under == 1 else f"{top}/{under}", text


def chosen(level: Any = 3, digits: Any = None, terms: Any = None, operations: Any = None) -> Level:
    """Return the level that the options describe.

    Raises:
        BadValue: one of them is outside what is allowed.
    """
    if not is_whole(level) or level not in LEVELS:
        raise BadValue(f"option level of arithmetic must be 1, 2, 3, 4 or 5, got {level!r}")
    found = LEVELS[level]
    if digits is not None:
        if not (is_whole(digits) and 2 <= digits <= MOST_DIGITS):
            raise BadValue(
                f"option digits of arithmetic must be a whole number from 2 to {MOST_DIGITS}, got {digits!r}"
            )
        if found.kind == "fractions":
            raise BadValue("option digits of arithmetic says nothing about the fractions of level 5; leave it out")
        found = found._replace(digits=digits)
    if terms is not None:
        found = found._replace(terms=_range(terms))
    if operations is not None:
        if not (isinstance(operations, str) and operations and set(operations) <= set(OPERATIONS)):
            raise BadValue(f'option operations of arithmetic must be some of "{OPERATIONS}", got {operations!r}')
        found = found._replace(operations="".join(each for each in OPERATIONS if each in operations))
    return found


def _range(terms: Any) -> tuple[int, int]:
    pair = (terms, terms) if is_whole(terms) else terms
    if isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_whole, pair)):
        low, high = pair
        if 2 <= low <= high <= MOST_TERMS:
            return low, high
    raise BadValue(
        f"option terms of arithmetic must be a whole number or a range [low, high] from 2 to {MOST_TERMS}, "
        f"got {terms!r}"
    )


def _measured(level: Level) -> float:
    draw = stream("floor", repr(level)).random
    counts = Counter(expression(level, draw)[0] for _ in range(2000))
    return max(counts.values()) / 2000
