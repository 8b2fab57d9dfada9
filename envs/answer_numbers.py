"""Plain numbers as exact fractions: whole numbers, decimals, fractions, mixed numbers, powers and powers of ten.

Reads tidy, squeezed text and calculates nothing that the writer left open: "2+2" and "3*4" are no plain numbers.
"""

import re
from fractions import Fraction

MOST_BITS = 8192  # of a power written out
_DECIMAL = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_COMMAS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_SLASH = re.compile(r"([0-9]+)/([0-9]+)")
_MIXED = re.compile(r"([0-9]+)(?: ([0-9]+)/([0-9]+)|\\frac\{([0-9]+)\}\{([0-9]+)\})")
_SCIENTIFIC = re.compile(r"(.+?)(?:\\times|\\cdot|\*)10\^\{([-+]?[0-9]{1,4})\}")
_POWER = re.compile(r"([0-9]+|\(.+\))\^\{([-+]?[0-9]{1,4})\}")
_BASED = re.compile(r"([0-9][0-9A-Z]*)_\{(?:([0-9]{1,2})|\\text\{([a-z]+)\})\}")
_WORDS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def number_of(text: str, deep: int = 8) -> Fraction | None:
    r"""Return the value of a plain number, or None.

    >>> number_of(r"-\frac{3}{4}"), number_of(r"1\frac{4}{5}"), number_of("2+2")
    (Fraction(-3, 4), Fraction(9, 5), None)
    """
    if _WHOLE.fullmatch(text):
        return Fraction(int(text))
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("-", "+") else text
    value = _unsigned(body, deep) if body and deep else None
    return None if value is None else sign * value


def with_commas(text: str) -> str:
    """Return a number without its thousands separators; any other text unchanged."""
    body = text.lstrip("-+")
    return text.replace(",", "") if "," in text and _COMMAS.fullmatch(body) else text


def based_of(text: str) -> tuple[str, int] | None:
    """Return digits and base of a number such as ``52_{8}``, or None. No value: the base was part of the question."""
    found = _BASED.fullmatch(text)
    if not found:
        return None
    base = int(found[2]) if found[2] else _WORDS.index(found[3]) + 2 if found[3] in _WORDS else 0
    return (found[1].lstrip("0") or "0", base) if base else None


def _unsigned(text: str, deep: int) -> Fraction | None:
    if _DECIMAL.fullmatch(text):
        return Fraction(text.removesuffix("."))
    if found := _SLASH.fullmatch(text):
        return _ratio(Fraction(int(found[1])), Fraction(int(found[2])))
    if found := _MIXED.fullmatch(text):
        above, below = int(found[2] or found[4]), int(found[3] or found[5])
        return int(found[1]) + Fraction(above, below) if 0 < above < below else None
    if text.startswith("\\frac{"):
        return _fraction(text, deep)
    if text.startswith("(") and text.endswith(")") and _closes(text, 0) == len(text) - 1:
        return number_of(text[1:-1], deep - 1)
    if text.startswith("{") and text.endswith("}") and _closes(text, 0) == len(text) - 1:
        return number_of(text[1:-1], deep - 1)
    if found := _SCIENTIFIC.fullmatch(text):
        size = number_of(found[1], deep - 1)
        return None if size is None else _times(size, _power(Fraction(10), int(found[2])))
    if (found := _POWER.fullmatch(text)) and (found[1][0] != "(" or _closes(text, 0) == len(found[1]) - 1):
        base = number_of(found[1], deep - 1)
        return None if base is None else _power(base, int(found[2]))
    return _slashed(text, deep)


def _fraction(text: str, deep: int) -> Fraction | None:
    middle = _closes(text, 5)
    if middle < 0 or text[middle + 1 : middle + 2] != "{" or _closes(text, middle + 1) != len(text) - 1:
        return None
    return _ratio(number_of(text[6:middle], deep - 1), number_of(text[middle + 2 : -1], deep - 1))


def _slashed(text: str, deep: int) -> Fraction | None:
    above, slash, below = text.rpartition("/")
    return _ratio(number_of(above, deep - 1), number_of(below, deep - 1)) if slash and above and below else None


def _ratio(above: Fraction | None, below: Fraction | None) -> Fraction | None:
    return above / below if above is not None and below else None


def _times(one: Fraction, other: Fraction | None) -> Fraction | None:
    return None if other is None else one * other


def _power(base: Fraction, exponent: int) -> Fraction | None:
    size = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent)
    return None if size > 4 * MOST_BITS or (base == 0 and exponent <= 0) else base**exponent


def _closes(text: str, start: int) -> int:
    """Return where the bracket at ``start`` closes, or -1."""
    depth = 0
    for place in range(start, len(text)):
        if text[place] in "({[":
            depth += 1
        elif text[place] in ")}]":
            depth -= 1
            if depth == 0:
                return place
    return -1
