"""Read an arithmetic expression that a model wrote, and work it out exactly, without ever running it.

Grammar: whole numbers of ASCII digits, ``+ - * /``, parentheses, blanks; where asked for, a minus sign in front of a
number or a parenthesis. Everything else is refused by name: powers, floor division, decimals, underscores, names and
calls. Two stacks instead of recursion, so depth costs nothing; pairs of ints instead of `fractions.Fraction`, for
speed.
"""

import re
from dataclasses import dataclass

from eggym.task import VerdictState

LONGEST = 256  # characters
MOST_NODES = 64  # numbers and operators
MOST_DIGITS = 12  # of one number

_TOKEN = re.compile(r"[0-9]+|[^ \t\r\n]")
_RANK = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "~": 3}  # ~ stands for the minus sign in front
_DIGITS = frozenset("0123456789")

EMPTY = "empty answer"
TOO_LONG = "too long"
TOO_MANY = "too many numbers and operators"
TOO_BIG = "number too long"
EXTRA = "extra text"
LEADING_ZERO = "leading zero"
TWO_OPERATORS = "operator without a number before it"
UNARY = "minus sign in front of a number"
TWO_NUMBERS = "two numbers without an operator"
UNFINISHED = "ends too early"
UNBALANCED = "parentheses do not match"
BY_ZERO = "division by zero"


class Unreadable(Exception):
    """The text is no expression, or has no value; ``name`` is one of the names above."""

    def __init__(self, name: str, detail: str = "", state: VerdictState = VerdictState.UNPARSED) -> None:
        """Keep the name and what became of the reply."""
        super().__init__(f"{name}: {detail}" if detail else name)
        self.name = name
        self.state = state


@dataclass(slots=True)
class Reading:
    """What an expression says: its value ``numerator / denominator``, not reduced, and the numbers in it, in order."""

    numerator: int
    denominator: int  # not 0; may be negative
    numbers: list[int]


def evaluate(text: str, unary_minus: bool = False) -> Reading:
    """Return the exact value of an expression and its numbers.

    >>> evaluate("(1 + 2) / 6")
    Reading(numerator=3, denominator=6, numbers=[1, 2, 6])

    Raises:
        Unreadable: it is none, is over a limit, or divides by zero.
    """
    if len(text) > LONGEST:
        raise Unreadable(TOO_LONG, f"{len(text)} characters, more than {LONGEST}", VerdictState.REFUSED)
    numbers: list[int] = []
    values: list[tuple[int, int]] = []
    waiting: list[str] = []  # operators and open parentheses
    wants_value, nodes = True, 0
    for token in _TOKEN.findall(text):
        if token[0] in _DIGITS:
            if not wants_value:
                raise Unreadable(TWO_NUMBERS, f"before {token:.12}")
            number = _literal(token)
            numbers.append(number)
            values.append((number, 1))
            wants_value = False
        elif token == "(":
            if not wants_value:
                raise Unreadable(TWO_NUMBERS, "before a parenthesis")
            waiting.append(token)
            continue
        elif token == ")":
            if wants_value:
                raise Unreadable(UNFINISHED if waiting else UNBALANCED, "before a closing parenthesis")
            _close(waiting, values)
            continue
        elif wants_value:
            waiting.append(_sign(token, waiting, unary_minus))
        else:
            rank = _RANK.get(token, 0)
            if rank == 0 or token == "~":
                raise Unreadable(EXTRA, repr(token))
            while waiting and _RANK[waiting[-1]] >= rank:
                _apply(waiting.pop(), values)
            waiting.append(token)
            wants_value = True
        nodes += 1
        if nodes > MOST_NODES:
            raise Unreadable(TOO_MANY, f"more than {MOST_NODES}", VerdictState.REFUSED)
    if wants_value:
        raise Unreadable(UNFINISHED if nodes or waiting else EMPTY)
    while waiting:
        _apply(waiting.pop(), values)
    return Reading(*values[0], numbers)


def _literal(token: str) -> int:
    if len(token) > MOST_DIGITS:
        raise Unreadable(TOO_BIG, f"{len(token)} digits, more than {MOST_DIGITS}", VerdictState.REFUSED)
    if token[0] == "0" and len(token) > 1:
        raise Unreadable(LEADING_ZERO, token)
    return int(token)


def _sign(token: str, waiting: list[str], allowed: bool) -> str:
    """Take what stands where a value should: one minus sign at most, if at all."""
    if token not in "+-*/":
        raise Unreadable(EXTRA, repr(token))
    if token != "-" or (waiting and waiting[-1] == "~"):
        raise Unreadable(TWO_OPERATORS, token)
    if not allowed:
        raise Unreadable(UNARY)
    return "~"


def _close(waiting: list[str], values: list[tuple[int, int]]) -> None:
    while waiting:
        operator = waiting.pop()
        if operator == "(":
            return
        _apply(operator, values)
    raise Unreadable(UNBALANCED)


def _apply(operator: str, values: list[tuple[int, int]]) -> None:
    """Replace the last two values, or for a sign the last one, by the result."""
    b, under_b = values.pop()
    if operator == "~":
        values.append((-b, under_b))
        return
    if operator == "(":
        raise Unreadable(UNBALANCED)
    a, under_a = values.pop()
    if operator == "+":
        values.append((a * under_b + b * under_a, under_a * under_b))
    elif operator == "-":
        values.append((a * under_b - b * under_a, under_a * under_b))
    elif operator == "*":
        values.append((a * b, under_a * under_b))
    elif b == 0:
        raise Unreadable(BY_ZERO, state=VerdictState.WRONG)
    else:
        values.append((a * under_b, under_a * b))
