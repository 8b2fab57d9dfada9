"""One spelling for answers: LaTeX and Unicode variants that mean the same are written alike.

`tidy` keeps single spaces, because "12 apples" and "1 2" need them; `squeeze` removes those that say nothing.
Both are pure functions of the text and take time linear in its length.
"""

import re

_UNICODE = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": "\\times ",
        "\u00b7": "\\cdot ",
        "\u22c5": "\\cdot ",
        "\u00f7": "\\div ",
        "\u03c0": "\\pi ",
        "\u221e": "\\infty ",
        "\u2264": "\\le ",
        "\u2265": "\\ge ",
        "\u2260": "\\ne ",
        "\u222a": "\\cup ",
        "\u2229": "\\cap ",
        "\u2208": "\\in ",
        "\u00b1": "\\pm ",
        "\u00b0": "\\deg ",
        "\u00a0": " ",
        "\u2009": " ",
        "\u202f": " ",
    }
)
# Thousands separators that can be nothing else; a bare comma is looked at where the whole answer is known.
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|\\,|,\\,)\s*(?=\d{3}(?!\d))")
_SPACING = re.compile(
    r"(?<!\\)\\(?:[,;:! >\n]|q?quad(?![a-zA-Z])|(?:thin|med|thick)?space(?![a-zA-Z]))|~|\\hspace\*?\{[^{}]*\}"
)
_SIZES = re.compile(r"\\(?:(?:left|right)(?![a-zA-Z])\.?|(?:[bB]igg?[lr]?|(?:display|text)style|limits)(?![a-zA-Z]))")
_DEGREES = re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])|\\degrees?(?![a-zA-Z])")
_TEXTS = re.compile(r"\\(?:mbox|hbox|text(?:rm|bf|it|normal|tt|sf)?|math(?:rm|bf|it|sf)|operatorname\*?)\s*(?=\{)")
_COMMANDS = {
    "dfrac": "frac",
    "tfrac": "frac",
    "cfrac": "frac",
    "leq": "le",
    "leqslant": "le",
    "geq": "ge",
    "geqslant": "ge",
    "neq": "ne",
    "lbrace": "{",
    "rbrace": "}",
    "lbrack": "[",
    "rbrack": "]",
    "varnothing": "emptyset",
    "dbinom": "binom",
    "tbinom": "binom",
    "ast": "cdot",
    "lvert": "vert",
    "rvert": "vert",
}
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_BARE_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|([a-zA-Z\d]))\s*(?:\{([^{}]*)\}|([a-zA-Z\d]))")
_BARE_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z](?![a-zA-Z]))")
# TeX reads 2^10 as 2^{1}0; people who write it mean 2^{10}.
_BARE_POWER = re.compile(r"(?<!\\)([\^_])\s*(-?\d+|[a-zA-Z])")
_MATH_MARKS = re.compile(r"\A(?:\$\$?|\\\(|\\\[)(.*?)(?:\$\$?|\\\)|\\\])\Z", re.DOTALL)
_SPACES = re.compile(r"\s+")


def tidy(text: str) -> str:
    r"""Return an answer in the one spelling, with single spaces.

    >>> tidy(r"\left( \dfrac12,\; x^{2} \right).")
    '( \\frac{1}{2}, x^{2} )'
    """
    text = text.strip().translate(_UNICODE)
    if marked := _MATH_MARKS.match(text):
        text = marked[1]
    if "\\" in text or "{" in text:
        text = _THOUSANDS.sub("", text)
        text = _SPACING.sub(" ", text)
        text = _DEGREES.sub(r"\\deg ", text)
        text = _SIZES.sub("", text)
        text = _TEXTS.sub(r"\\text", text)
        text = _COMMAND.sub(_renamed, text)
        text = _BARE_FRACTION.sub(_whole_fraction, text)
        text = _BARE_ROOT.sub(r"\\sqrt{\1}", text)
    if "^" in text or "_" in text:
        text = _BARE_POWER.sub(r"\1{\2}", text)
    text = _SPACES.sub(" ", text).strip()
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") else text


def squeeze(text: str) -> str:
    """Return tidy text without the spaces that say nothing: those between digits and inside ``\\text{}`` stay."""
    if " " not in text:
        return text
    return "".join(part if part.startswith("\\text{") else _squeezed(part) for part in _TEXT_PARTS.split(text))


_TEXT_PARTS = re.compile(r"(\\text\{[^{}]*\})")
_NEEDED = re.compile(r"(\\[a-zA-Z]+) (?=[a-zA-Z])|(?<=\d) (?=\d)| ")


def _squeezed(part: str) -> str:
    return _NEEDED.sub(lambda found: f"{found[1]} " if found[1] else (" " if _parts_digits(part, found) else ""), part)


def _parts_digits(part: str, found: "re.Match[str]") -> bool:
    before, after = part[found.start() - 1 : found.start()], part[found.end() : found.end() + 1]
    return before.isdigit() and after.isdigit()


def _renamed(found: "re.Match[str]") -> str:
    return "\\" + _COMMANDS.get(found[1], found[1])


def _whole_fraction(found: "re.Match[str]") -> str:
    above = found[1] if found[1] is not None else found[2]
    below = found[3] if found[3] is not None else found[4]
    return f"\\frac{{{above}}}{{{below}}}"
