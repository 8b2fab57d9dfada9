r"""Read the commonest terms without math-verify: sums, products, powers, fractions and roots of numbers and unknowns.

math-verify reads any LaTeX in some 5 ms; most answers that need algebra are ``3\sqrt{2}`` or ``x^2+5x-14``, which this
reads in far less. It reads only what has one meaning, and gives None for all else: a slash before a product, an
unknown before a parenthesis (a function?), a number alone in parentheses, a number before a fraction (a mixed number?),
``d``, upper case, words. A number over a number is a coefficient: ``1/2x`` is x/2, as people write it. The odd root of
a negative number is the real one. What is read is what the text says as mathematics, also where math-verify reads
something else: ``\pi(x)`` is a product, ``1/2x`` is not 1/(2x), numbers are exact.
"""

import re
from collections.abc import Callable
from typing import Any

MOST_CHARACTERS, DEEPEST, LARGEST_POWER = 400, 12, 999

_TOKEN = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<name>[a-ceij-z])|"
    r"\\(?P<command>frac|sqrt|cdot|times|pi)(?![a-zA-Z]) ?|(?P<mark>[-+/(){}^\[\]])"
)
_WORD = re.compile(r"(?<!\\)(?<![a-zA-Z])[a-zA-Z]{3,}")
_TIMES = ("cdot", "times")
_OPENERS = ("frac", "sqrt", "pi", "(")


class _Elsewhere(Exception):
    """The text is for math-verify to read."""


def read_term(text: str) -> Any:
    """Return a term of sympy with exact numbers and real unknowns, or None for what is to be read by math-verify."""
    if len(text) > MOST_CHARACTERS or _WORD.search(text):
        return None
    tokens, end = [], 0
    while end < len(text):
        found = _TOKEN.match(text, end)
        if found is None:
            return None
        tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
        end = found.end()
    try:
        return _Reader(tokens).whole()
    except _Elsewhere:
        return None


class _Reader:
    """A parser by recursive descent; ``_Elsewhere`` ends it wherever the text is not of the plain kind."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("end", "")]
        self._place = self._depth = 0

    def whole(self) -> Any:
        term = self._sum()
        self._need("")
        return term

    def _sum(self) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Elsewhere
        sign = self._sign()
        total = -self._product() if sign == "-" else self._product()
        while sign := self._sign():
            total = total - self._product() if sign == "-" else total + self._product()
        self._depth -= 1
        return total

    def _sign(self) -> str:
        return self._take() if self._next() in ("+", "-") else ""

    def _product(self) -> Any:
        """Read factors side by side; a number only at the front or after a sign of multiplication."""
        kind = self._kind()
        value = self._power()
        while True:
            following = self._next()
            if following == "/":
                value = self._divided(value)
                kind = "number"
                continue
            if following in _TIMES:
                self._take()
                kind = self._kind()
            elif (
                self._kind() == "number"
                or (kind == "number" and following == "frac")
                or (kind == "name" and following == "(")
            ):
                raise _Elsewhere
            elif self._kind() == "name" or following in _OPENERS:
                kind = self._kind()
            else:
                return value
            value = value * self._power()

    def _divided(self, value: Any) -> Any:
        """Read a slash and a divisor. What follows the divisor is a factor only after a number over a number."""
        self._take()
        by_number = self._kind() == "number"
        value = value / self._power()
        more = self._kind() == "name" or self._next() in (*_OPENERS, *_TIMES, "/")
        if more and not (by_number and value.is_number and self._next() not in _TIMES):
            raise _Elsewhere
        return value

    def _power(self) -> Any:
        base = self._base()
        if self._next() != "^":
            return base
        self._take()
        exponent = self._exponent()
        if self._next() == "^" or (exponent.is_Rational and abs(exponent) > LARGEST_POWER):
            raise _Elsewhere
        return base**exponent

    def _exponent(self) -> Any:
        """Read what stands in braces, or one letter or digit."""
        if self._next() == "{":
            return self._braced()
        if self._kind() == "name" or (self._kind() == "number" and len(self._next()) == 1):
            return self._base()
        raise _Elsewhere

    def _base(self) -> Any:
        import sympy

        kind, text = self._kind(), self._take()
        if kind == "number":
            return sympy.Rational(text)
        if kind == "name" and text in "ei":
            return sympy.E if text == "e" else sympy.I
        if kind == "name":
            return sympy.Symbol(text, real=True)
        reads: dict[str, Callable[[], Any]] = {
            "(": self._group,
            "pi": lambda: sympy.pi,
            "frac": lambda: self._braced() / self._braced(),
            "sqrt": self._root,
        }
        if text not in reads:
            raise _Elsewhere
        return reads[text]()

    def _group(self) -> Any:
        start = self._place
        value = self._sum()
        if all(kind == "number" or text in "+-" for kind, text in self._tokens[start : self._place]):
            raise _Elsewhere  # math-verify makes 5 of (2)(3)
        self._need(")")
        return value

    def _braced(self) -> Any:
        self._need("{")
        value = self._sum()
        self._need("}")
        return value

    def _root(self) -> Any:
        import sympy

        degree = sympy.Integer(2)
        if self._next() == "[":
            self._take()
            if self._kind() != "number" or not self._next().isdecimal():
                raise _Elsewhere
            degree = sympy.Integer(self._take())
            self._need("]")
        if degree < 2:
            raise _Elsewhere
        value = self._braced()
        if value.is_negative and degree % 2:
            return -((-value) ** (1 / degree))
        return value ** (1 / degree)

    # -- tokens -------------------------------------------------------------------------------------------------------
    def _kind(self) -> str:
        return self._tokens[self._place][0]

    def _next(self) -> str:
        return self._tokens[self._place][1]

    def _take(self) -> str:
        text = self._next()
        self._place += 1
        return text

    def _need(self, text: str) -> None:
        if self._next() != text:
            raise _Elsewhere
        self._place += 1
