r"""What stands around a number and is not one: currency, units, degree and percent signs.

A unit is what follows a number in ``\text{}``, a word of at least four letters, or one of a short list; words that
change what is said ("or", "not", "thousand", "squared") are none. Units are compared where truth and answer both have
one.
"""

import re

_UNIT = re.compile(
    r"(.*(?:[\d})]|\\pi))(?P<gap>\s*)(?:(?P<percent>\\?%|\\text\{\s*(?:\\?%|percent)\s*\}|percent)"
    r"|(?P<degree>\\deg(?: ?[CF])?)|(?P<money>\\?\$|\\?\u20ac|\\pounds)"
    r"|(?:\\text\{\s*(?P<text>[^{}0-9]*?)\s*\}"
    r"|(?P<raw>[A-Za-z]{1,12}(?: [A-Za-z]{3,12}){0,2}))(?P<power>\^\{[23]\})?)\s*"
)
_MONEY = re.compile(r"([-+]?)\s*(?:\\?\$|\\?\u20ac|\\pounds|\\text\{\s*\\?\$\s*\})\s*(?=[\d.\\(])")
_SHORT = re.compile(r"cm|mm|km|in|ft|yd|mi|kg|lb|oz|ml|hrs?|min|sec|mph|rad|deg|sq")
_NO_UNIT = re.compile(
    r"(?<![a-z])(?:or|and|not?|is|if|then|else|when|where|than|but|to|be|are|was|wrong|maybe|about|versus|mod|base|less"
    r"|more|least|most|\w+n't|never|nor|neither|false|incorrect|otherwise|instead|except|squared|cubed|factorial|power"
    r"|hal(?:f|ves)|thirds?|quarters?|(?!(?:leng|wid|dep|mon|ear)ths?)[a-z]+ths?|pairs?|twice|dozens?|gross|scores?"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty"
    r"|hundreds?|thousands?|[mbtr]+illions?|times|plus|minus|over|a?sin|cos|tan|cot|sec|csc|log|ln)"
    r"(?![a-z])"
)
_SAME = {
    "degrees": "deg", "degree": "deg", "dollars": "$", "dollar": "$", "inches": "in", "inch": "in", "feet": "ft",
    "foot": "ft", "centimeters": "cm", "centimetres": "cm", "meters": "m", "metres": "m", "kilometers": "km",
    "hours": "h", "hour": "h", "hr": "h", "hrs": "h", "minutes": "min", "seconds": "s", "sec": "s",
    "mph": "miles per hour", "square units": "units^2", "cubic units": "units^3", "square inches": "in^2",
    "square feet": "ft^2", "square cm": "cm^2", "sq cm": "cm^2", "square meters": "m^2",
}  # fmt: skip


def without_marks(text: str) -> tuple[str, str, bool]:
    r"""Return a tidy text without its marks, its unit, and whether it had a percent sign.

    >>> without_marks(r"15\text{ cm}^{2}"), without_marks(r"\$36"), without_marks(r"12 or 13")
    (('15', 'cm^2', False), ('36', '$', False), ('12 or 13', '', False))
    """
    money = _MONEY.match(text)
    if money:
        text = money[1] + text[money.end() :]
    found = _UNIT.fullmatch(text)
    if not found:
        return text, "$" if money else "", False
    if found["percent"]:
        return found[1], "", True
    if found["degree"] or found["money"]:
        return found[1], "deg" if found["degree"] else "$", False
    unit = _unit(found["text"], found["raw"], found["gap"] != "")
    if not unit:
        return text, "$" if money else "", False
    return found[1], _SAME.get(unit, unit) + (found["power"] or "").replace("{", "").replace("}", ""), False


def _unit(text: str | None, raw: str | None, apart: bool) -> str:
    """Return the words of a unit in lower case, or "" where they are none."""
    unit = " ".join((text or raw or "").casefold().rstrip(".").split())
    if not unit or "," in unit or len(unit.split()) > 4 or _NO_UNIT.search(unit):
        return ""
    if raw is not None and not _SHORT.fullmatch(unit) and (not apart or len(unit) < 4):
        return ""  # 12xy and 2 abc are products
    return unit
