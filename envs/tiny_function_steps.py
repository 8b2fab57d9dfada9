"""The steps of `tiny_functions`: what each does to a value, how Python spells it, and how they are drawn.

Values come from our own functions, never from running text. A text s, a list of whole numbers a and a number x have
steps of their own; some lead from a text or a list to a number, where those of numbers follow.
"""

import operator
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Step = Sequence[Any]  # a word, and its number if it has one: JSON, so a list


class Rule(NamedTuple):
    """What a word does to a value v, with a number n or without.

    Ranks decide about parentheses: 0 for names, calls and what is bound tightest, 1 for products, 2 for sums.
    """

    apply: Callable[..., Any]
    spell: str  # {v}: the expression so far, {n}: the number
    holds: int = 2  # the highest rank of an expression that can stand at {v} as it is
    rank: int = 0  # of the whole
    numbers: tuple[int, int] | None = None  # the smallest and largest n


_CUTS = {
    "first": Rule(lambda v, n: v[:n], "{v}[:{n}]", 0, numbers=(2, 6)),
    "last": Rule(lambda v, n: v[-n:], "{v}[-{n}:]", 0, numbers=(2, 6)),
    "skip": Rule(lambda v, n: v[n:], "{v}[{n}:]", 0, numbers=(1, 4)),
    "flip": Rule(lambda v: v[::-1], "{v}[::-1]", 0),
    "twice": Rule(lambda v: v + v, "{v}*2", 1, 1),
}
_NUMBER = {
    "add": Rule(operator.add, "{v}+{n}", 2, 2, (1, 99)),
    "sub": Rule(operator.sub, "{v}-{n}", 2, 2, (1, 99)),
    "times": Rule(operator.mul, "{v}*{n}", 1, 1, (2, 9)),
    "abs": Rule(abs, "abs({v})"),
}
_LENGTH = {"len": Rule(len, "len({v})")}
_TEXT = {"caps": Rule(str.upper, "{v}.upper()", 0), "low": Rule(str.lower, "{v}.lower()", 0)}
_LIST = {"sort": Rule(sorted, "sorted({v})")}
_FOLDS = {name: Rule(fold, f"{name}({{v}})") for name, fold in (("sum", sum), ("max", max), ("min", min))}
RULES = _CUTS | _NUMBER | _LENGTH | _TEXT | _LIST | _FOLDS
WORDS = {  # by subject: those that keep it, and those that lead to a number
    "s": (tuple(_CUTS | _TEXT), tuple(_LENGTH)),
    "a": (tuple(_CUTS | _LIST), tuple(_FOLDS | _LENGTH)),
    "x": (tuple(_NUMBER), ()),
}


def draw_steps(rng: random.Random, subject: str, n_steps: int) -> list[list[Any]]:
    """Draw words that can follow each other, none of them twice, with their numbers."""
    steps: list[list[Any]] = []
    for _ in range(n_steps):
        keep, lead = WORDS[subject]
        word = rng.choice([word for word in keep + lead if word not in [step[0] for step in steps]])
        numbers = RULES[word].numbers
        steps.append([word] if numbers is None else [word, rng.randint(*numbers)])
        subject = "x" if word in lead else subject
    return steps


def value_of(steps: Sequence[Step], value: Any) -> Any:
    """Return what the steps make of a value, in their order.

    Raises:
        ValueError: the largest or smallest of nothing is asked for.
        TypeError: a step is put to a value of another kind.
    """
    for word, *number in steps:
        value = RULES[word].apply(value, *number)
    return value


def spelt(subject: str, steps: Sequence[Step]) -> str:
    """Return the steps as an expression, with no more parentheses than it needs.

    >>> spelt("s", [["twice"], ["first", 3], ["caps"]])
    '(s*2)[:3].upper()'
    """
    text, rank = subject, 0
    for word, *number in steps:
        rule = RULES[word]
        inner = f"({text})" if rank > rule.holds else text
        text, rank = rule.spell.format(v=inner, n=number[0] if number else ""), rule.rank
    return text
