"""Steps from a list of whole numbers to a number, and on from a number: `program_steps`."""

from collections import Counter
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

from .program_steps import LAST, NUMBER, NUMBERS, Op


def _fold(grade: int, words: tuple[str, ...], apply: Any, code: str, *slips: Any) -> Op:
    return Op(NUMBERS, NUMBER, grade, words, apply, code, (), slips)


def _number(grade: int, words: tuple[str, ...], apply: Any, code: str, choices: Any = (), slips: Any = ()) -> Op:
    return Op(NUMBER, NUMBER, grade, words, apply, code, choices, slips)


def _rise(values: list[int], goes_on: Callable[[int, int], bool]) -> int:
    best = length = min(len(values), 1)
    for before, x in pairwise(values):
        length = length + 1 if goes_on(before, x) else 1
        best = max(best, length)
    return best


def _balance(values: list[int]) -> int:
    total = 0
    for x in values:
        total = max(total + x, 0)
    return total


def _best_stretch(values: list[int]) -> int:
    best = total = 0
    for x in values:
        total = max(total + x, 0)
        best = max(best, total)
    return best


def _mode(values: list[int], place: int) -> int:
    counts = Counter(values)
    return sorted(x for x in counts if counts[x] == max(counts.values()))[place] if values else 0


def _halvings(x: int) -> list[int]:
    return [x >> shift for shift in range(x.bit_length())]


_RISE = """
best = length = min(len($v), 1)
for before, x in zip($v, $v[1:]):
    length = length + 1 if SIGN else 1
    best = max(best, length)
value = best
"""
_BALANCE = """
total = 0
for x in $v:
    total = max(total + x, 0)
value = total
"""
_STRETCH = """
best = total = 0
for x in $v:
    total = max(total + x, 0)
    best = max(best, total)
value = best
"""
_HALVINGS = """
left, found = abs($v), []
while left > 0:
    found.append(left)
    left //= 2
value = found
"""
_TALLY = """
counts = {}
for x in $v:
    counts[x] = counts.get(x, 0) + 1
value = counts
"""
_MODE = "PICK(x for x in $v if $v.count(x) == max(map($v.count, $v))) if $v else 0"

NUMBERS_TO_NUMBER = {
    "sum": _fold(1, ("add up the $them (0 if there are none)", "take the total of the $them (0 if there are none)"),
                 lambda v: sum(v), "sum($v)"),
    "count": _fold(1, ("count the $them", "take the number of $them that there are"), len, "len($v)",
                   (lambda v: len(set(v)), "len(set($v))")),
    "largest": _fold(1, ("take the largest of the $them (0 if there are none)",),
                     lambda v: max(v, default=0), "max($v, default=0)",
                     (max, "max($v)"), (lambda v: max([0, *v]), "max([0, *$v])")),
    "smallest": _fold(1, ("take the smallest of the $them (0 if there are none)",),
                      lambda v: min(v, default=0), "min($v, default=0)",
                      (min, "min($v)")),
    "spread": _fold(
        2, ("take the difference between the largest and the smallest of the $them (0 if there are none)",
            "take how far the largest $it lies above the smallest one (0 if there are none)"),
        lambda v: max(v) - min(v) if v else 0, "max($v) - min($v) if $v else 0",
        (lambda v: max(v) - min(v), "max($v) - min($v)")),
    "distinct": _fold(2, ("count how many different values there are among the $them",
                          "count the $them, equal ones once only"), lambda v: len(set(v)), "len(set($v))",
                      (lambda v: sum(v.count(x) == 1 for x in v), "sum($v.count(x) == 1 for x in $v)")),
    "place of largest": _fold(
        2, ("take the position of the largest $it, counted from 0; the first such position if there are several, and "
            "-1 if there are no $them",),
        lambda v: v.index(max(v)) if v else -1, "$v.index(max($v)) if $v else -1",
        (lambda v: len(v) - 1 - v[::-1].index(max(v)) if v else -1,
         "len($v) - 1 - $v[::-1].index(max($v)) if $v else -1"),
        (lambda v: v.index(max(v)) + 1 if v else -1, "$v.index(max($v)) + 1 if $v else -1"),
        (lambda v: v.index(max(v)), "$v.index(max($v))")),
    "second largest": _fold(
        3, ("take the second largest of the different values among the $them (0 if there are fewer than two)",),
        lambda v: sorted(set(v))[-2] if len(set(v)) > 1 else 0, "sorted(set($v))[-2] if len(set($v)) > 1 else 0",
        (lambda v: sorted(v)[-2] if len(v) > 1 else 0, "sorted($v)[-2] if len($v) > 1 else 0"),
        (lambda v: sorted(set(v))[-2], "sorted(set($v))[-2]")),
    "mode": _fold(
        3, ("take the value that occurs most often among the $them, the smallest such value if there are several (0 if "
            "there are no $them)",),
        lambda v: _mode(v, 0), _MODE.replace("PICK", "min"), (lambda v: _mode(v, -1), _MODE.replace("PICK", "max")),
        (lambda v: max(v, key=v.count, default=0), "max($v, key=$v.count, default=0)")),
    "alternating": _fold(
        2, ("add the first of the $them, subtract the second, add the third and so on, and take the total (0 if there "
            "are none)",),
        lambda v: sum(v[::2]) - sum(v[1::2]), "sum($v[::2]) - sum($v[1::2])",
        (lambda v: sum(v[1::2]) - sum(v[::2]), "sum($v[1::2]) - sum($v[::2])")),
    "longest equal": _fold(
        3, ("take the length of the longest run of equal $them next to each other (0 if there are none)",),
        lambda v: max((len(list(run)) for _, run in groupby(v)), default=0), _RISE.replace("SIGN", "before == x"),
        (lambda v: max(map(v.count, v), default=0), "max(map($v.count, $v), default=0)"),
        (lambda v: max(_rise(v, lambda a, b: a == b), 1), _RISE.replace("SIGN", "before == x") + "value = max(value, 1)"
         )),
    "longest rise": _fold(
        3, ("take the length of the longest stretch of neighbouring $them in which each is greater than the one before "
            "it (1 for a single one, 0 if there are none)",),
        lambda v: _rise(v, lambda a, b: a < b), _RISE.replace("SIGN", "before < x"),
        (lambda v: _rise(v, lambda a, b: a <= b), _RISE.replace("SIGN", "before <= x"))),
    "balance": _fold(
        3, ("start with 0 and add the $them one after the other, but whenever the total is below 0 set it back to 0; "
            "take the total at the end",),
        _balance, _BALANCE, (lambda v: max(sum(v), 0), "max(sum($v), 0)")),
    "best stretch": _fold(
        3, ("take the largest total of any stretch of neighbouring $them, where an empty one with total 0 counts too",),
        _best_stretch, _STRETCH, (_balance, _BALANCE), (lambda v: sum(x for x in v if x > 0),
                                                       "sum(x for x in $v if x > 0)")),
    "tally": Op(
        NUMBERS, LAST, 2, ("count how often each value occurs among the $them: a dictionary from value to count",),
        lambda v: dict(Counter(v)), _TALLY, (), ((lambda v: {x: min(v.count(x), 2) for x in v},
                                                  "{x: min($v.count(x), 2) for x in $v}"),)),
}  # fmt: skip

FROM_NUMBER = {
    "plus": _number(1, ("add $n to the $it", "increase the $it by $n"), lambda v, n: v + n, "$v + $n",
                    tuple(range(2, 30))),
    "minus": _number(1, ("subtract $n from the $it", "decrease the $it by $n"), lambda v, n: v - n, "$v - $n",
                     tuple(range(2, 30))),
    "multiplied": _number(1, ("multiply the $it by $n",), lambda v, n: v * n, "$v * $n", tuple(range(2, 10))),
    "remainder": _number(
        2, ("take the remainder of the $it on division by $n, which is never negative, as with Python's `%`",),
        lambda v, n: v % n, "$v % $n", (3, 4, 5, 6, 7, 8, 9, 10),
        ((lambda v, n: abs(v) % n * (1 if v >= 0 else -1), "abs($v) % $n * (1 if $v >= 0 else -1)"),)),
    "digit sum": _number(
        2, ("add up the decimal digits of the $it, without regard to its sign",),
        lambda v: sum(map(int, str(abs(v)))), "sum(int(digit) for digit in str(abs($v)))", (),
        ((lambda v: sum(map(int, str(v))), "sum(int(digit) for digit in str($v))"),)),
    "at least limit": _number(
        2, ("take $n instead if the $it is less than $n", "raise the $it to $n if it is below that"),
        lambda v, n: max(v, n), "max($v, $n)", tuple(range(-5, 30)),
        ((lambda v, n: min(v, n), "min($v, $n)"),)),
    "backwards number": _number(
        3, ("write the decimal digits of the $it in the opposite order, which gives a new number; a minus sign stays, "
            "and zeros that come to stand in front vanish",),
        lambda v: int(str(abs(v))[::-1]) * (-1 if v < 0 else 1),
        "int(str(abs($v))[::-1]) * (-1 if $v < 0 else 1)", (),
        ((lambda v: int(str(abs(v))[::-1]), "int(str(abs($v))[::-1])"),)),
    "digits": Op(
        NUMBER, NUMBERS, 2, ("list the decimal digits of the $it from left to right, without regard to its sign",),
        lambda v: [int(digit) for digit in str(abs(v))], "[int(digit) for digit in str(abs($v))]", (),
        ((lambda v: [int(digit) for digit in str(abs(v))[::-1]], "[int(digit) for digit in str(abs($v))[::-1]]"),)),
    "divisors": Op(
        NUMBER, NUMBERS, 3, ("list the whole numbers from 1 to 20 that divide the $it evenly, smallest first (all of "
                             "them divide 0)",),
        lambda v: [d for d in range(1, 21) if v % d == 0], "[d for d in range(1, 21) if $v % d == 0]", (),
        ((lambda v: [d for d in range(1, 20) if v % d == 0], "[d for d in range(1, 20) if $v % d == 0]"),
         (lambda v: [d for d in range(1, 21) if v and v % d == 0], "[d for d in range(1, 21) if $v and $v % d == 0]"))),
    "halvings": Op(
        NUMBER, NUMBERS, 3, ("drop the sign of the $it, then halve it again and again, rounding down, and list the "
                             "numbers on the way: from the one before the first halving to the last that is not 0 (for "
                             "0, none)",),
        lambda v: _halvings(abs(v)), _HALVINGS, (),
        ((lambda v: _halvings(abs(v))[1:], _HALVINGS + "value = value[1:]"),)),
}  # fmt: skip
