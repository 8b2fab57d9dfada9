"""Steps from a list of whole numbers to another: `program_steps`."""

from itertools import accumulate, pairwise
from typing import Any

from .program_steps import NUMBERS, Op, Slip

_LIMITS = tuple(range(-5, 26))
_FEW = (2, 3, 4)


def _list(grade: int, words: tuple[str, ...], apply: Any, code: str, choices: Any = (), slips: Any = ()) -> Op:
    return Op(NUMBERS, NUMBERS, grade, words, apply, code, choices, slips)


def _kept(sign: str, *words: str, slip: str) -> Op:
    tests = {
        ">": lambda x, n: x > n, ">=": lambda x, n: x >= n, "<": lambda x, n: x < n, "<=": lambda x, n: x <= n,
    }  # fmt: skip

    def apply(values: list[int], n: int, sign: str = sign) -> list[int]:
        return [x for x in values if tests[sign](x, n)]

    wrong: Slip = (lambda values, n: apply(values, n, slip), f"[x for x in $v if x {slip} $n]")
    return _list(1, words, apply, f"[x for x in $v if x {sign} $n]", _LIMITS, (wrong,))


def _until(values: list[int], most: int) -> list[int]:
    taken: list[int] = []
    for x in values:
        if sum(taken) + x > most:
            break
        taken.append(x)
    return taken


def _skipping(values: list[int], most: int) -> list[int]:
    taken: list[int] = []
    for x in values:
        taken += [x] if sum(taken) + x <= most else []
    return taken


def _without_smallest(values: list[int]) -> list[int]:
    place = values.index(min(values)) if values else 0
    return values[:place] + values[place + 1 :]


_UNTIL = """
taken = []
for x in $v:
    if sum(taken) + x > $n:
        BREAK
    taken.append(x)
value = taken
"""

LISTS = {
    "above": _kept(">", "keep only the $them greater than $n", "drop every $it that is $n or less", slip=">="),
    "at least": _kept(">=", "keep only the $them that are at least $n", "drop every $it below $n", slip=">"),
    "below": _kept("<", "keep only the $them less than $n", "drop every $it that is $n or more", slip="<="),
    "at most": _kept("<=", "keep only the $them that are at most $n", "drop every $it above $n", slip="<"),
    "even": _list(
        1, ("keep only the even $them", "drop every odd $it"),
        lambda v: [x for x in v if x % 2 == 0], "[x for x in $v if x % 2 == 0]",
        slips=((lambda v: [x for x in v if x % 2 == 0 and x], "[x for x in $v if x % 2 == 0 and x]"),),
    ),
    "odd": _list(
        1, ("keep only the odd $them", "drop every even $it"),
        lambda v: [x for x in v if x % 2], "[x for x in $v if x % 2]",
        slips=((lambda v: [x for x in v if x % 2 and x > 0], "[x for x in $v if x % 2 and x > 0]"),),
    ),
    "multiples": _list(
        2, ("keep only the $them that are multiples of $n (0 is one)", "drop every $it that $n does not divide evenly"),
        lambda v, n: [x for x in v if x % n == 0], "[x for x in $v if x % $n == 0]", (3, 4, 5, 6, 7),
    ),
    "others": _list(
        2, ("drop every $it that is a multiple of $n (0 is one)", "keep only the $them that $n does not divide evenly"),
        lambda v, n: [x for x in v if x % n], "[x for x in $v if x % $n]", (3, 4, 5, 6, 7),
    ),
    "every second": _list(
        1, ("keep every second one of the $them, starting with the first",
            "keep the $them at positions 0, 2, 4 and so on, and drop the others"),
        lambda v: v[::2], "$v[::2]", slips=((lambda v: v[1::2], "$v[1::2]"),),
    ),
    "first": _list(
        1, ("keep only the first $n of the $them (all, if there are no more)",
            "drop all $them but the first $n (none, if there are no more)"),
        lambda v, n: v[:n], "$v[:$n]", (3, 4, 5, 6),
    ),
    "last": _list(
        1, ("keep only the last $n of the $them (all, if there are no more)",
            "drop all $them but the last $n (none, if there are no more)"),
        lambda v, n: v[-n:], "$v[-$n:]", (3, 4, 5, 6),
    ),
    "skip": _list(1, ("leave out the first $n of the $them", "drop the $them at the first $n positions"),
                  lambda v, n: v[n:], "$v[$n:]", _FEW),
    "add": _list(1, ("add $n to each of the $them", "make every $it greater by $n"),
                 lambda v, n: [x + n for x in v], "[x + $n for x in $v]", tuple(range(2, 20))),
    "times": _list(1, ("multiply each of the $them by $n", "replace every $it by $n times itself"),
                   lambda v, n: [x * n for x in v], "[x * $n for x in $v]", tuple(range(2, 10))),
    "negate": _list(1, ("change the sign of each of the $them", "replace every $it by its negative"),
                    lambda v: [-x for x in v], "[-x for x in $v]"),
    "absolute": _list(1, ("replace every $it by its absolute value", "drop the minus signs of the $them"),
                      lambda v: [abs(x) for x in v], "[abs(x) for x in $v]"),
    "square": _list(1, ("square each of the $them", "multiply every $it by itself"),
                    lambda v: [x * x for x in v], "[x * x for x in $v]"),
    "floor": _list(2, ("replace every $it below 0 by 0", "turn negative $them into 0"),
                   lambda v: [max(x, 0) for x in v], "[max(x, 0) for x in $v]",
                   slips=((lambda v: [x for x in v if x >= 0], "[x for x in $v if x >= 0]"),)),
    "cap": _list(2, ("replace every $it greater than $n by $n", "lower the $them above $n to $n"),
                 lambda v, n: [min(x, n) for x in v], "[min(x, $n) for x in $v]", _LIMITS,
                 ((lambda v, n: [x for x in v if x <= n], "[x for x in $v if x <= $n]"),)),
    "branch on parity": _list(
        3, ("halve each even $it, and replace each odd one by 3 times itself plus 1",
            "replace each odd $it x by 3 * x + 1, and each even one by its half"),
        lambda v: [3 * x + 1 if x % 2 else x // 2 for x in v], "[3 * x + 1 if x % 2 else x // 2 for x in $v]",
        slips=((lambda v: [3 * x + 1 if x % 2 else x for x in v], "[3 * x + 1 if x % 2 else x for x in $v]"),),
    ),
    "branch on size": _list(
        3, ("double each $it that is at least $n, and subtract 1 from each of the others",
            "subtract 1 from each $it below $n, and double all the others"),
        lambda v, n: [2 * x if x >= n else x - 1 for x in v], "[2 * x if x >= $n else x - 1 for x in $v]", _LIMITS,
        ((lambda v, n: [2 * x if x > n else x - 1 for x in v], "[2 * x if x > $n else x - 1 for x in $v]"),),
    ),
    "reverse": _list(1, ("put the $them in the opposite order", "reverse the order of the $them"),
                     lambda v: v[::-1], "$v[::-1]"),
    "sort": _list(1, ("sort the $them, smallest first", "put the $them in ascending order"),
                  sorted, "sorted($v)", slips=((lambda v: sorted(set(v)), "sorted(set($v))"),)),
    "sort down": _list(1, ("sort the $them, largest first", "put the $them in descending order"),
                       lambda v: sorted(v)[::-1], "sorted($v, reverse=True)",
                       slips=((sorted, "sorted($v)"),)),
    "unique": _list(
        2, ("where several $them are equal, keep only the first of them; the order stays",
            "drop every $it that has occurred before in the list"),
        lambda v: list(dict.fromkeys(v)), "list(dict.fromkeys($v))",
        slips=((lambda v: list(dict.fromkeys(v[::-1]))[::-1], "list(dict.fromkeys($v[::-1]))[::-1]"),
               (lambda v: sorted(set(v)), "sorted(set($v))")),
    ),
    "differences": _list(
        2, ("replace the $them by the differences of neighbours, each one minus the one before it (an empty list, "
            "if there are fewer than two)",),
        lambda v: [b - a for a, b in pairwise(v)], "[b - a for a, b in zip($v, $v[1:])]",
        slips=((lambda v: [a - b for a, b in pairwise(v)], "[a - b for a, b in zip($v, $v[1:])]"),),
    ),
    "running total": _list(
        2, ("replace every $it by the total of all up to it, itself included", "turn the $them into running totals"),
        lambda v: list(accumulate(v)), "[sum($v[: i + 1]) for i in range(len($v))]",
        slips=((lambda v: [sum(v[:i]) for i in range(len(v))], "[sum($v[:i]) for i in range(len($v))]"),),
    ),
    "running largest": _list(
        3, ("replace every $it by the largest so far, from the first to itself",),
        lambda v: list(accumulate(v, max)), "[max($v[: i + 1]) for i in range(len($v))]",
        slips=((lambda v: [max(v[:i], default=0) for i in range(len(v))],
                "[max($v[:i], default=0) for i in range(len($v))]"),),
    ),
    "drop smallest": _list(
        2, ("remove the smallest $it; if it occurs several times, only the first one (an empty list stays empty)",),
        _without_smallest, "$v[: $v.index(min($v))] + $v[$v.index(min($v)) + 1 :] if $v else $v",
        slips=((lambda v: [x for x in v if x != min(v)], "[x for x in $v if x != min($v)]"),
               (lambda v: _without_smallest(v[::-1])[::-1],
                "(lambda w: w[: w.index(min(w))] + w[w.index(min(w)) + 1 :] if w else w)($v[::-1])[::-1]")),
    ),
    "rotate": _list(
        3, ("move the first of the $them to the end of the list, $n times in all (an empty list stays empty)",),
        lambda v, n: v[n % len(v) :] + v[: n % len(v)] if v else v,
        "$v[$n % len($v) :] + $v[: $n % len($v)] if $v else $v", (3, 4, 5),
        ((lambda v, n: v[n:] + v[:n], "$v[$n:] + $v[:$n]"), (lambda v, n: v[-n:] + v[:-n], "$v[-$n:] + $v[:-$n]")),
    ),
    "sort by size": _list(
        3, ("sort the $them by absolute value, smallest first; those with equal absolute values keep their order",),
        lambda v: sorted(v, key=abs), "sorted($v, key=abs)",
        slips=((lambda v: sorted(v[::-1], key=abs), "sorted($v[::-1], key=abs)"), (sorted, "sorted($v)")),
    ),
    "sort by digit": _list(
        3, ("sort the $them by the last decimal digit, 0 first and signs ignored; equal last digits keep their order",),
        lambda v: sorted(v, key=lambda x: abs(x) % 10), "sorted($v, key=lambda x: abs(x) % 10)",
        slips=((lambda v: sorted(v, key=lambda x: x % 10), "sorted($v, key=lambda x: x % 10)"),
               (lambda v: sorted(sorted(v), key=lambda x: abs(x) % 10), "sorted($v, key=lambda x: (abs(x) % 10, x))")),
    ),
    "peaks": _list(
        3, ("keep only the $them that are greater than both their neighbours; the first and the last never are kept",),
        lambda v: [b for a, b, c in zip(v, v[1:], v[2:], strict=False) if a < b > c],
        "[b for a, b, c in zip($v, $v[1:], $v[2:]) if a < b > c]",
        slips=((lambda v: [b for a, b, c in zip(v, v[1:], v[2:], strict=False) if a <= b >= c],
                "[b for a, b, c in zip($v, $v[1:], $v[2:]) if a <= b >= c]"),),
    ),
    "until": _list(
        3, ("go through the $them from the front and keep them as long as the total of those kept stays at most $n; "
            "from the first that would make it greater, drop all the rest",),
        _until, _UNTIL.replace("BREAK", "break"), tuple(range(5, 60)),
        ((lambda v, n: _until(v, n - 1), _UNTIL.replace("BREAK", "break").replace("> $n", ">= $n")),
         (_skipping, _UNTIL.replace("BREAK", "continue"))),
    ),
}  # fmt: skip
