"""Draw arithmetic expressions together with their exact values: flat, in parentheses, and of fractions.

Every function takes ``draw``, which gives floats in [0, 1), and draws from nothing else. Divisions come out whole, by
choosing the dividend to fit; only `fractions` gives values that are not whole.
"""

from collections.abc import Callable
from math import gcd

Draw = Callable[[], float]

LARGEST_DIVISOR = 12
LARGEST_QUOTIENT = 30  # of quotients of sums
DENOMINATORS = (2, 3, 4, 5, 6, 8, 9, 10, 12)


def flat(draw: Draw, digits: int, terms: int, operations: str) -> tuple[int, str]:
    """Return the value and the text of an expression without parentheses, such as ``84 / 7 + 3 * 15``.

    With two terms the value is not negative.
    """
    adds, joins = operations.strip("*/"), operations.strip("+-")
    total, text, left = 0, "", terms
    while left:
        count = left if not adds else 1 if not joins or left == 1 or draw() < 0.4 else 2
        value, part = _chain(draw, digits, count, joins)
        left -= count
        if not text:
            total, text = value, part
        elif adds == "+" or (adds == "+-" and draw() < 0.5):
            total, text = total + value, f"{text} + {part}"
        elif terms == 2 and value > total:
            total, text = value - total, f"{part} - {text}"
        else:
            total, text = total - value, f"{text} - {part}"
    return total, text


def _chain(draw: Draw, digits: int, count: int, joins: str) -> tuple[int, str]:
    """Return a number, or a chain of products and whole quotients; later numbers are shorter by a digit."""
    first = value = 1 + int(draw() * (10**digits - 1))
    if count == 1:
        return value, str(value)
    rest, most = "", 10 ** max(1, digits - 1)
    for _ in range(count - 1):
        if joins == "*" or (joins == "*/" and draw() < 0.5):
            factor = 2 + int(draw() * (most - 2))
            value *= factor
            rest = f"{rest} * {factor}"
        else:
            divisor = 2 + int(draw() * (LARGEST_DIVISOR - 1))
            first *= divisor
            rest = f"{rest} / {divisor}"
    return value, f"{first}{rest}"


def nested(draw: Draw, digits: int, terms: int, operations: str) -> tuple[int, str]:
    """Return the value and the text of an expression with parentheses, such as ``(12 - 5) * (3 + 8)``."""
    value, text, _ = _tree(draw, digits, terms, operations)
    return value, text


def _tree(draw: Draw, digits: int, terms: int, operations: str) -> tuple[int, str, str]:
    """Return value, text and outermost operation of a random tree."""
    if terms == 1:
        number = 1 + int(draw() * (10**digits - 1))
        return number, str(number), ""
    operation = operations[int(draw() * len(operations))]
    here = 1 + int(draw() * (terms - 1))
    b, right, inside = _tree(draw, digits, terms - here, operations)
    if operation == "/":
        return _quotient(draw, digits, here, operations, (b, right, inside))
    a, left, outside = _tree(draw, digits, here, operations)
    if operation == "*" and abs(a * b) > 10 ** (digits + 2) and "+" in operations:
        operation = "+"  # long products would hide what the level is about
    value = a + b if operation == "+" else a - b if operation == "-" else a * b
    left = f"({left})" if outside and (operation == "*" or outside in "*/") else left
    right = f"({right})" if inside and (operation != "+" or inside in "*/") else right
    return value, f"{left} {operation} {right}", operation


def _quotient(draw: Draw, digits: int, here: int, operations: str, below: tuple[int, str, str]) -> tuple[int, str, str]:
    """Return a whole quotient with ``here`` terms above the line: by fitting a number that is added to them."""
    b, right, inside = below
    right = f"({right})" if inside else right
    if b == 0:  # a subtree that cancels cannot divide; it is added to instead
        a, left, outside = _tree(draw, digits, here, operations)
        return a, f"{f'({left})' if outside else left} + {right}", "+"
    size = abs(b)
    quotient = 2 + int(draw() * (LARGEST_QUOTIENT - 1))
    if here == 1:
        return (quotient if b > 0 else -quotient), f"{quotient * size} / {right}", "/"
    a, left, _ = _tree(draw, digits, here - 1, operations)
    more = max(quotient, a // size + 1) * size - a  # at least 1
    return (a + more) // b, f"({left} + {more}) / {right}", "/"


def fractions(draw: Draw, terms: int, operations: str) -> tuple[tuple[int, int], str]:
    """Return the reduced value (denominator > 0) and the text of an expression of fractions, such as
    ``3/4 - (2/5) * (1/6)``.
    """
    adds, joins = operations.strip("*/"), operations.strip("+-")
    top, under, text, left = 0, 1, "", terms
    while left:
        count = left if not adds else 1 if not joins or left == 1 or draw() < 0.4 else 2
        (a, b), part = _fraction_chain(draw, count, joins)
        left -= count
        sign = 1
        if text:
            sign = 1 if adds == "+" or (adds == "+-" and draw() < 0.5) else -1
            text = f"{text} {'+' if sign > 0 else '-'} {part}"
        else:
            text = part
        top, under = top * b + sign * a * under, under * b
    shared = gcd(top, under)
    return (top // shared, under // shared), text


def _fraction_chain(draw: Draw, count: int, joins: str) -> tuple[tuple[int, int], str]:
    top, under = _fraction(draw)
    text = f"{top}/{under}"
    if count == 1:
        return (top, under), text
    text = f"({text})"
    for _ in range(count - 1):
        a, b = _fraction(draw)
        if joins == "*" or (joins == "*/" and draw() < 0.5):
            top, under, text = top * a, under * b, f"{text} * ({a}/{b})"
        else:
            top, under, text = top * b, under * a, f"{text} / ({a}/{b})"
    return (top, under), text


def _fraction(draw: Draw) -> tuple[int, int]:
    """Return a fraction in lowest terms that is no whole number."""
    under = DENOMINATORS[int(draw() * len(DENOMINATORS))]
    while True:
        top = 1 + int(draw() * 2 * under)
        if gcd(top, under) == 1:
            return top, under
