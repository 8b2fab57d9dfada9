"""Reach a target number from given ones: the countdown of the published RL and ES studies, in natural language.

Prompt:  the numbers, the target, and how to answer: an expression between ``<answer>`` and ``</answer>``. By default 3
         or 4 numbers from 1 to 99 and a target from 10 to 100, always with a solution.
Reward:  1 if the expression uses every number exactly once, with ``+ - * /`` and parentheses, and its exact value is
         the target; else 0. Several answers that differ are refused. Known losses: ``= 98`` behind the expression,
         ``x`` and the like for ``*``, and ``\\frac`` are extra text.
Options: ``numbers`` how many (3 to 6, or a range such as [3, 6]); ``largest`` number; ``target`` range; ``use`` "all"
         or "subset"; ``partial`` pay for no expression, one that fails, one that reaches the target; ``format_weight``
         share of the reward paid for form; ``tolerance`` of the value; ``unary_minus``. ``preset`` "tinyzero", "es" or
         "reasoning_gym" pays as in published work (see `.countdown_rules`) and replaces the five options of scoring.
Floor:   0: the best fixed expression fits fewer than 1 of 10,000 items (more where numbers are small: 0.6 % with
         3 numbers to 9 and targets to 30). Under presets and weights, what they pay for a try
         in good form: 0.1, 0.1, 0.05.
Source:  ours; procedural. After the television game, as in Gandhi et al. 2024 (arXiv 2404.03683) and TinyZero.
"""

import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, ClassVar

from eggym.errors import BadValue, unknown
from eggym.task import Item, SingleTurnTask, Verdict
from eggym.values import as_float, is_whole

from .countdown_rules import PRESETS, Rules, judge, only_block, plain_form

FEWEST, MOST = 3, 6  # numbers
MOST_BETWEEN = 2000  # of a result on the way to the target
LARGEST = 10_000  # number or target that may be asked for

_SCORING = ("use", "partial", "format_weight", "tolerance", "unary_minus")
_HOW = {
    "": "Give the expression alone between <answer> and </answer>.",
    "tinyzero": "Show your work first. End with one line that holds the expression alone between <answer> and "
    "</answer>.",
    "es": "Think between <think> and </think>, and then, on the next line, give the expression alone between <answer> "
    "and </answer>.",
    "reasoning_gym": "Give the expression alone between <answer> and </answer>.",
}
_USE = {
    "all": "Use each number exactly once,",
    "subset": "Use each number at most once, and not all if you need not,",
}

Term = tuple[int, str]  # a value, and the expression that gives it


class Countdown(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/countdown-v0"
    max_new_tokens: ClassVar[int] = 1024

    def __init__(self, **options: Any) -> None:
        """Check the options; ``floor`` and ``reward_range`` follow from how replies are paid."""
        super().__init__(**options)
        _check_items(**{name: value for name, value in options.items() if name in ("numbers", "largest", "target")})
        self.rules = _rules(**{name: value for name, value in options.items() if name in (*_SCORING, "preset")})
        vars(self).update(floor=self.rules.floor, reward_range=self.rules.reward_range)

    def generate(
        self,
        rng: random.Random,
        numbers: int | Sequence[int] = (3, 4),
        largest: int = 99,
        target: Sequence[int] = (10, 100),
        preset: str = "",
        use: str = "all",
        partial: Sequence[float] = (0.0, 0.0, 1.0),
        format_weight: float = 0.0,
        tolerance: float = 0.0,
        unary_minus: bool = False,
    ) -> Item:
        """Draw numbers and a way to put them together; the last four options concern the score alone."""
        draw = rng.random
        low, high = (numbers, numbers) if isinstance(numbers, int) else numbers
        while True:
            given = [1 + int(draw() * largest) for _ in range(low + int(draw() * (high - low + 1)))]
            found = _solution(given, target[0], target[1], draw)
            if found is not None and (use == "all" or found[0] not in given):
                break
        asked = f"{', '.join(map(str, given[:-1]))} and {given[-1]}"
        prompt = (
            f"Write an arithmetic expression that equals {found[0]}, from the numbers {asked}. {_USE[use]} with + - * "
            f"/ and parentheses. {_HOW[preset]}"
        )
        return Item(prompt, {"target": found[0], "numbers": given}, {"solution": found[1][1:-1]})

    def score(self, item: Item, reply: str) -> Verdict:
        """Read the answer, check which numbers it uses, work it out exactly, and pay by the rules."""
        return judge(self.rules, item.truth["numbers"], item.truth["target"], reply)

    def oracle(self, item: Item) -> str:
        """Return the solution that the item was made from, in the form that every preset pays in full."""
        return f"It can be put together like this.</think>\n<answer>{item.meta['solution']}</answer>"


def _solution(given: Sequence[int], low: int, high: int, draw: Callable[[], float]) -> Term | None:
    """Put two terms at a time together, in random order, until one is left in the range; None if none falls there."""
    terms: list[Term] = [(number, str(number)) for number in given]
    while len(terms) > 1:
        a = terms.pop(int(draw() * len(terms)))
        b = terms.pop(int(draw() * len(terms)))
        last = not terms
        choices = _joined(*((a, b) if a[0] >= b[0] else (b, a)), *((low, high) if last else (1, MOST_BETWEEN)))
        if not choices:
            return None
        value, operator, one, other = choices[int(draw() * len(choices))]
        terms.append((value, f"({one} {operator} {other})"))
    return terms[0]


def _joined(one: Term, other: Term, low: int, high: int) -> list[tuple[int, str, str, str]]:
    """Return every way to join two positive terms, the larger first, to a whole number in the range."""
    (a, text_a), (b, text_b) = one, other
    found = []
    if low <= a + b <= high:
        found.append((a + b, "+", text_a, text_b))
    if low <= a - b <= high:
        found.append((a - b, "-", text_a, text_b))
    if low <= a * b <= high:
        found.append((a * b, "*", text_a, text_b))
    if not a % b and low <= a // b <= high:
        found.append((a // b, "/", text_a, text_b))
    return found


# -- options --------------------------------------------------------------------------------------------------------
def _pair(name: str, value: Any, least: int, most: int) -> tuple[int, int]:
    pair = (value, value) if is_whole(value) and name == "numbers" else value
    if isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_whole, pair)):
        low, high = pair
        if least <= low <= high <= most:
            return low, high
    also = "a whole number or " if name == "numbers" else ""
    raise BadValue(
        f"option {name} of countdown must be {also}a range [low, high] from {least} to {most}, got {value!r}"
    )


def _check_items(numbers: Any = (3, 4), largest: Any = 99, target: Any = (10, 100)) -> None:
    fewest, _ = _pair("numbers", numbers, FEWEST, MOST)
    if not (is_whole(largest) and 9 <= largest <= LARGEST):
        raise BadValue(f"option largest of countdown must be a whole number from 9 to {LARGEST}, got {largest!r}")
    low, high = _pair("target", target, 1, LARGEST)
    if high - low < 9 or low > largest * (fewest - 1):
        raise BadValue(
            f"option target of countdown must span 10 numbers at least and begin at {largest * (fewest - 1)} or below "
            f"for {fewest} numbers up to {largest}, got {target!r}"
        )


def _rules(
    preset: Any = "",
    use: Any = "all",
    partial: Any = (0.0, 0.0, 1.0),
    format_weight: Any = 0.0,
    tolerance: Any = 0.0,
    unary_minus: Any = False,
) -> Rules:
    """Return how replies are paid; a preset stands alone.

    Raises:
        BadValue, UnknownName: an option is outside what is allowed.
    """
    if use not in _USE:
        raise unknown("use of numbers", str(use), _USE)
    if not isinstance(unary_minus, bool):
        raise BadValue(f"option unary_minus of countdown must be true or false, got {unary_minus!r}")
    for name, value, most in (("format_weight", format_weight, 0.9), ("tolerance", tolerance, 1.0)):
        if not 0 <= as_float(value) <= most:
            raise BadValue(f"option {name} of countdown must be a number from 0 to {most:g}, got {value!r}")
    pay = tuple(map(as_float, partial)) if isinstance(partial, list | tuple) else ()
    if not (len(pay) == 3 and 0 <= pay[0] <= pay[1] < pay[2] == 1):
        raise BadValue(f"option partial of countdown must be three numbers such as [0, 0.1, 1], got {partial!r}")
    if preset:
        plain = (use, pay, format_weight, tolerance, unary_minus) == ("all", (0, 0, 1), 0, 0, False)
        if preset not in PRESETS:
            raise unknown("preset of countdown", str(preset), PRESETS)
        if not plain:
            raise BadValue(f"preset {preset!r} of countdown fixes the scoring; leave out {', '.join(_SCORING)}")
        return PRESETS[preset]
    return Rules(
        only_block,
        (pay[0], pay[1], pay[2]),
        answer_weight=1 - format_weight,
        format_weight=format_weight,
        form=plain_form if format_weight else None,
        tolerance=(Fraction(tolerance), Fraction(0)),
        unary_minus=unary_minus,
        all_numbers=use == "all",
    )
