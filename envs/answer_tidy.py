"""One spelling for answers: LaTeX and Unicode variants that mean the same are written alike.

`tidy` keeps single spaces, because "12 apples" and "1 2" need them; `squeeze` removes those that say nothing.
Both are pure functions of the text and take time linear in its length.
"""

import re

from .answer_arguments import closing, with_braces

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
        "\u00a2": "\\text{ cents}",
        "\u00b2": "^{2}",
        "\u00b3": "^{3}",
        "\u00bd": "\\frac{1}{2}",
        "\u00bc": "\\frac{1}{4}",
        "\u00be": "\\frac{3}{4}",
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
    "varnothing": "emptyset",
    "dbinom": "binom",
    "tbinom": "binom",
    "ast": "cdot",
    "lvert": "vert",
    "rvert": "vert",
    **dict.fromkeys(("mbox", "hbox", "textrm", "textbf", "textit", "textnormal", "texttt", "textsf"), "text"),
    **dict.fromkeys(("mathrm", "mathbf", "mathit", "mathsf", "operatorname"), "text"),
}
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_ROOT_SIGN = re.compile(r"\u221a\s*(\d+|[a-zA-Z](?![a-zA-Z]))")
_ROW_GAP = re.compile(r"\\\\\s*\[[^\[\]]*\]")  # between rows of a matrix
# TeX reads 2^10 as 2^{1}0; people who write it mean 2^{10}.
_BARE_POWER = re.compile(r"(?<!\\)([\^_])\s*(-?\d+|[a-zA-Z])")
_BARE_BASE = re.compile(r"\\log_\s*(\d)")
_PLAIN = re.compile(r"(?<![a-zA-Z\\{])(pi|sqrt|ln|log|sin|cos|tan)(?![a-zA-Z])")
_PLAIN_ROOT = re.compile(r"(?<![a-zA-Z\\])sqrt\s*\(([^()]*)\)")
_OTHER_WORD = re.compile(r"(?<![a-zA-Z\\])(?!(?:sqrt|log|sin|cos|tan)(?![a-zA-Z]))[a-zA-Z]{3,}|\\text")
_WRAPPED = re.compile(r"(?:\\(?:mathbf|boldsymbol|mathrm|mathit|bm)\s*)?\{")
_MATH_MARKS = re.compile(r"\A(?:\$\$?|\\\(|\\\[)(.*?)(?:\$\$?|\\\)|\\\])\Z", re.DOTALL)
_TEXT_PARTS = re.compile(r"(\\text\{[^{}]*\})")
_NEEDED = re.compile(r"(\\[a-zA-Z]+) (?=[a-zA-Z])|(?<=\d) (?=\d)| ")


def tidy(text: str) -> str:
    r"""Return an answer in the one spelling, with single spaces.

    >>> tidy(r"\left( \dfrac12,\; x^{2} \right).")
    '( \\frac{1}{2}, x^{2} )'
    """
    text = text.strip()
    if not text.isascii():
        text = _ROOT_SIGN.sub(r"\\sqrt{\1}", text.translate(_UNICODE))
    if text.startswith(("$", "{", "\\")):
        text = _without_wrapping(text)
    if "**" in text:
        text = text.replace("**", "^")
    if text[:1] != "\\" and _PLAIN.search(text):
        text = _plain_commands(text)
    if "\\" in text or "{" in text:
        text = _one_spelling(text)
    if "^" in text or "_" in text:
        text = _BARE_POWER.sub(r"\1{\2}", text)
    text = " ".join(text.split())
    return text[:-1].rstrip() if text.endswith(".") and not text.endswith("..") else text


def squeeze(text: str) -> str:
    """Return tidy text without the spaces that say nothing: those between digits and inside ``\\text{}`` stay."""
    if " " not in text:
        return text
    return "".join(part if part.startswith("\\text{") else _squeezed(part) for part in _TEXT_PARTS.split(text))


def _one_spelling(text: str) -> str:
    """Rewrite commands. A quick look comes first: searching for what is not there takes most of the time."""
    if "\\\\" in text:
        text = _ROW_GAP.sub(r"\\\\", text)
    if "," in text:
        text = _THOUSANDS.sub("", text)
    text = _SPACING.sub(" ", text)
    if "circ" in text or "\\degree" in text:
        text = _DEGREES.sub(r"\\deg ", text)
    text = _SIZES.sub("", text)
    text = _COMMAND.sub(_renamed, text).replace("\\text {", "\\text{")
    if "\\log_" in text:
        text = _BARE_BASE.sub(r"\\log_{\1}", text)
    return with_braces(text) if "\\frac" in text or "\\sqrt" in text or "^\\pi" in text else text


def _without_wrapping(text: str) -> str:
    """Take off dollars, a bold face, and braces around the whole."""
    if text.startswith("$") and text.endswith("$."):
        text = text[:-1]
    if text.startswith(("$", "\\(", "\\[")) and (marked := _MATH_MARKS.match(text)):
        text = marked[1].strip()
    while (found := _WRAPPED.match(text)) and closing(text, found.end() - 1) == len(text) - 1:
        inside = text[found.end() : -1].strip()
        if found[0] != "{" and "\\" not in inside:
            break
        text = inside
    return text


def _plain_commands(text: str) -> str:
    """Read names of functions that were written without their backslash, where no other word stands beside them."""
    if _OTHER_WORD.search(text):
        return text
    return _PLAIN.sub(r"\\\1 ", _PLAIN_ROOT.sub(r"\\sqrt{\1}", text))


def _squeezed(part: str) -> str:
    return _NEEDED.sub(lambda found: f"{found[1]} " if found[1] else (" " if _parts_digits(part, found) else ""), part)


def _parts_digits(part: str, found: "re.Match[str]") -> bool:
    before, after = part[found.start() - 1 : found.start()], part[found.end() : found.end() + 1]
    return before.isdigit() and after.isdigit()


def _renamed(found: "re.Match[str]") -> str:
    return "\\" + _COMMANDS.get(found[1], found[1])
