"""Steps from a dictionary of names and whole numbers: `program_steps`."""

from typing import Any

from .program_steps import LAST, NUMBER, NUMBERS, TABLE, TEXT, WORDS, Op

_LIMITS = tuple(range(-2, 16))


def _table(grade: int, words: tuple[str, ...], apply: Any, code: str, choices: Any = (), slips: Any = ()) -> Op:
    return Op(TABLE, TABLE, grade, words, apply, code, choices, slips)


def _by_value(table: dict[str, int]) -> list[str]:
    return sorted(table, key=lambda name: (-table[name], name))


def _above_mean(table: dict[str, int]) -> list[str]:
    return sorted(name for name in table if table[name] * len(table) > sum(table.values()))


def _inverted(table: dict[str, int]) -> dict[int, list[str]]:
    return {value: sorted(name for name in table if table[name] == value) for value in table.values()}


TABLES = {
    "entries from": _table(
        1, ("keep only the entries whose number is at least $n", "drop the entries whose number is below $n"),
        lambda v, n: {k: x for k, x in v.items() if x >= n}, "{k: x for k, x in $v.items() if x >= $n}", _LIMITS,
        ((lambda v, n: {k: x for k, x in v.items() if x > n}, "{k: x for k, x in $v.items() if x > $n}"),)),
    "entries below": _table(
        1, ("keep only the entries whose number is below $n", "drop the entries whose number is $n or more"),
        lambda v, n: {k: x for k, x in v.items() if x < n}, "{k: x for k, x in $v.items() if x < $n}", _LIMITS,
        ((lambda v, n: {k: x for k, x in v.items() if x <= n}, "{k: x for k, x in $v.items() if x <= $n}"),)),
    "raise entries": _table(1, ("add $n to the number of every entry", "increase every number by $n"),
                            lambda v, n: {k: x + n for k, x in v.items()}, "{k: x + $n for k, x in $v.items()}",
                            tuple(range(2, 12))),
    "multiply entries": _table(1, ("multiply the number of every entry by $n",),
                               lambda v, n: {k: x * n for k, x in v.items()}, "{k: x * $n for k, x in $v.items()}",
                               (2, 3, 4, 5)),
    "floor entries": _table(
        2, ("where a number is negative, replace it by 0",), lambda v: {k: max(x, 0) for k, x in v.items()},
        "{k: max(x, 0) for k, x in $v.items()}", (),
        ((lambda v: {k: x for k, x in v.items() if x >= 0}, "{k: x for k, x in $v.items() if x >= 0}"),)),
    "short names": _table(
        2, ("keep only the entries whose name has at most $n characters",),
        lambda v, n: {k: x for k, x in v.items() if len(k) <= n}, "{k: x for k, x in $v.items() if len(k) <= $n}",
        (3, 4, 5), ((lambda v, n: {k: x for k, x in v.items() if len(k) < n},
                     "{k: x for k, x in $v.items() if len(k) < $n}"),)),
    "even entries": _table(2, ("keep only the entries with even numbers", "drop the entries with odd numbers"),
                           lambda v: {k: x for k, x in v.items() if x % 2 == 0},
                           "{k: x for k, x in $v.items() if x % 2 == 0}"),
    "numbers down": Op(TABLE, NUMBERS, 1, ("list the numbers of all entries, largest first, equal ones repeated",),
                       lambda v: sorted(v.values(), reverse=True), "sorted($v.values(), reverse=True)", (),
                       ((lambda v: sorted(set(v.values()), reverse=True), "sorted(set($v.values()), reverse=True)"),
                        (lambda v: sorted(v.values()), "sorted($v.values())"))),
    "names": Op(TABLE, WORDS, 1, ("list the names of all entries, sorted as Python compares texts",), sorted,
                "sorted($v)", (), ((list, "list($v)"),)),
    "total": Op(TABLE, NUMBER, 1, ("add up the numbers of all entries (0 if there are none)",),
                lambda v: sum(v.values()), "sum($v.values())", (),
                ((lambda v: sum(set(v.values())), "sum(set($v.values()))"),)),
    "entries": Op(TABLE, NUMBER, 1, ("count the entries",), len, "len($v)", (),
                  ((lambda v: len(set(v.values())), "len(set($v.values()))"),)),
    "best name": Op(
        TABLE, TEXT, 2, ("take the name with the largest number, the first in Python's order of texts if there are "
                         "several (an empty text if there are no entries)",),
        lambda v: next(iter(_by_value(v)), ""), "min($v, key=lambda k: (-$v[k], k), default='')", (),
        ((lambda v: max(v, key=v.__getitem__, default=""), "max($v, key=$v.get, default='')"),
         (lambda v: max(v, key=lambda k: (v[k], k), default=""), "max($v, key=lambda k: ($v[k], k), default='')"))),
    "ranking": Op(
        TABLE, WORDS, 3, ("list the names by their numbers, largest number first; names with equal numbers stand in "
                          "Python's order of texts",),
        _by_value, "sorted($v, key=lambda k: (-$v[k], k))", (),
        ((lambda v: sorted(v, key=lambda k: -v[k]), "sorted($v, key=lambda k: -$v[k])"),
         (lambda v: sorted(v, key=lambda k: (v[k], k), reverse=True),
          "sorted($v, key=lambda k: ($v[k], k), reverse=True)"))),
    "above the mean": Op(
        TABLE, WORDS, 3, ("list the names whose number is greater than the mean of all numbers, in Python's order of "
                          "texts (none if there are no entries)",),
        _above_mean, "sorted(k for k in $v if $v[k] * len($v) > sum($v.values()))", (),
        ((lambda v: sorted(k for k in v if v[k] * len(v) >= sum(v.values())),
          "sorted(k for k in $v if $v[k] * len($v) >= sum($v.values()))"),
         (lambda v: [k for k in v if v[k] * len(v) > sum(v.values())],
          "[k for k in $v if $v[k] * len($v) > sum($v.values())]"))),
    "by number": Op(
        TABLE, LAST, 3, ("make a dictionary from each number that occurs to the list of the names that have it, the "
                         "names in Python's order of texts",),
        _inverted, "{x: sorted(k for k in $v if $v[k] == x) for x in $v.values()}", (),
        ((lambda v: {x: [k for k in v if v[k] == x] for x in v.values()},
          "{x: [k for k in $v if $v[k] == x] for x in $v.values()}"),
         (lambda v: {x: [next(k for k in v if v[k] == x)] for x in v.values()},
          "{x: [next(k for k in $v if $v[k] == x)] for x in $v.values()}"))),
}  # fmt: skip
