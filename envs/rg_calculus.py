"""Is an expression an antiderivative of the same function as another? Without running it, and without sympy.

Both are read by a small grammar (numbers, the variable, ``C``, ``+ - * / ** ^``, parentheses, `NAMES`) and worked out
at fixed points in complex floating point: they are equal up to a constant if their difference is the same everywhere,
to one part in 10^9 of the larger. ``C`` takes two values, so ``C*x`` is no constant. Positive points only; a point
where the truth is not finite does not count.
"""

import cmath
import math
import re
from collections.abc import Callable, Iterator

POINTS = (0.3137, 0.7719, 1.1953, 1.7329, 2.2391, 2.6173, 3.1181)
NEEDED = 4  # points where the truth is finite
DEEPEST = 40  # parentheses in parentheses
MOST_TOKENS = 400
_CLOSE = 1e-9
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|([A-Za-z]+)|(\*\*|[-+*/^()]))", re.ASCII)
NAMES: dict[str, Callable[[complex], complex]] = {
    "exp": cmath.exp, "log": cmath.log, "ln": cmath.log, "sqrt": cmath.sqrt, "sin": cmath.sin, "cos": cmath.cos,
    "tan": cmath.tan, "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan, "sinh": cmath.sinh,
    "cosh": cmath.cosh, "tanh": cmath.tanh, "abs": abs, "Abs": abs, "sec": lambda z: 1 / cmath.cos(z),
}  # fmt: skip
_CONSTANTS = {"E": math.e, "e": math.e, "pi": math.pi}

Program = list[tuple[str, complex]]  # postfix: (operation or name, number)


class Unreadable(Exception):
    """The text is no expression of the grammar."""


def same_derivative(truth: str, answer: str, variable: str) -> bool:
    """Return whether two texts differ by a constant; the truth must be readable.

    >>> same_derivative("x**2/2 + C", "(x - 3)*(x + 3)/2", "x")
    True

    Raises:
        Unreadable: the answer cannot be read.
        ArithmeticError: the truth is finite at too few points.
    """
    want, have = read(truth, variable), read(answer, variable)
    differences, scale, points = [], 1.0, 0
    for x in POINTS:
        expected = _value(want, x, 0.0)
        if expected is None:
            continue
        points += 1
        for constant in (0.0, 1.37):
            got = _value(have, x, constant)
            if got is None:
                return False
            differences.append((constant, got - expected))
            scale = max(scale, abs(expected), abs(got))
    if points < NEEDED:
        raise ArithmeticError(f"{truth!r:.60} is finite at {points} of {len(POINTS)} points")
    first = {constant: difference for constant, difference in reversed(differences)}
    return all(abs(difference - first[constant]) <= _CLOSE * scale for constant, difference in differences)


def read(text: str, variable: str) -> Program:
    """Return an expression as a program of postfix operations, or raise `Unreadable`."""
    tokens: list[re.Match[str]] = []
    place = 0
    text = text.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if not match or len(tokens) == MOST_TOKENS:
            raise Unreadable(f"{text[place : place + 20]!r} cannot be read" if not match else "too long")
        tokens.append(match)
        place = match.end()
    return list(_Reader(tokens, variable).whole())


class _Reader:
    """Recursive descent over the tokens: sum, product, sign, power, atom. Depth is limited."""

    def __init__(self, tokens: list[re.Match[str]], variable: str) -> None:
        self.tokens = [(match[1], match[2], match[3]) for match in tokens]
        self.variable = variable
        self.place = self.depth = 0

    def whole(self) -> Iterator[tuple[str, complex]]:
        yield from self.sum()
        if self.place < len(self.tokens):
            raise Unreadable("something stands behind the expression")

    def sum(self) -> Iterator[tuple[str, complex]]:
        yield from self.product()
        while sign := self.take("+", "-"):
            yield from self.product()
            yield sign, 0

    def product(self) -> Iterator[tuple[str, complex]]:
        yield from self.signed()
        while sign := self.take("*", "/"):
            yield from self.signed()
            yield sign, 0

    def signed(self) -> Iterator[tuple[str, complex]]:
        minus = False
        while sign := self.take("+", "-"):
            minus ^= sign == "-"
        yield from self.power()
        if minus:
            yield "negative", 0

    def power(self) -> Iterator[tuple[str, complex]]:
        yield from self.atom()
        if self.take("**", "^"):
            self.deeper()
            yield from self.signed()  # from the right, and binds tighter than a sign before it
            self.depth -= 1
            yield "**", 0

    def atom(self) -> Iterator[tuple[str, complex]]:
        if self.place == len(self.tokens):
            raise Unreadable("it ends too early")
        number, name, _ = self.tokens[self.place]
        if self.take("("):
            yield from self.inner()
            return
        self.place += 1
        if number:
            yield "number", float(number)
        elif name == self.variable:
            yield "x", 0
        elif name == "C":
            yield "C", 0
        elif name in _CONSTANTS:
            yield "number", _CONSTANTS[name]
        elif name in NAMES and self.take("("):
            yield from self.inner()
            yield name, 0
        else:
            raise Unreadable("an unknown name, or no value where one must stand")

    def inner(self) -> Iterator[tuple[str, complex]]:
        self.deeper()
        yield from self.sum()
        if not self.take(")"):
            raise Unreadable("a parenthesis is not closed")
        self.depth -= 1

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("too deep")

    def take(self, *signs: str) -> str:
        if self.place < len(self.tokens) and self.tokens[self.place][2] in signs:
            self.place += 1
            return self.tokens[self.place - 1][2]
        return ""


def _value(program: Program, x: float, constant: float) -> complex | None:
    """Return what a program comes to, or None where that is no finite number."""
    stack: list[complex] = []
    try:
        for name, number in program:
            if name in ("number", "x", "C"):
                stack.append({"number": number, "x": x, "C": constant}[name])
            elif name in NAMES:
                stack.append(NAMES[name](stack.pop()))
            elif name == "negative":
                stack.append(-stack.pop())
            else:
                right, left = complex(stack.pop()), complex(stack.pop())
                stack.append(_BINARY[name](left, right))
    except (ArithmeticError, ValueError):
        return None
    return stack[0] if cmath.isfinite(stack[0]) else None


_BINARY: dict[str, Callable[[complex, complex], complex]] = {
    "+": complex.__add__,
    "-": complex.__sub__,
    "*": complex.__mul__,
    "/": complex.__truediv__,
    "**": complex.__pow__,
}
