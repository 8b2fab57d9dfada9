r"""Split a written answer into its form, as far as its structure says: lists, sets, intervals, matrices, equations.

What is no number, word or bracketed group of such is a term, which is left to algebra. ``\pm`` stands for two answers.
"""

import re
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from .answer_forms import Form
from .answer_marks import without_marks
from .answer_numbers import based_of, number_of, with_commas
from .answer_ranges import as_union
from .answer_tidy import squeeze, tidy

_AND = re.compile(r"\s*,?\s*(?:\\text\{\s*(?:and|or)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|\\lor(?![a-z])|;)\s*")
_NAMED = re.compile(
    r"(?:m?\\angle ?)?(?!\\(?:not|neg|ne|approx|sim)(?![a-z])|(?:\\text\{[^{}]*)?\b(?:not|never)\b)"
    r"(\\text\{[^{}]*\}|[A-Za-z]{1,4}|\\[a-z]+|\([a-z](?:,[a-z])+\))((?:_\{\w+\}|'|\([A-Za-z]\))*)"
    r"(=|\\in(?![a-z]))(.+)"
)
_COMMAS_BEFORE = re.compile(r"([-+]?\d{1,3}(?:,\d{3})+)( ?(?:\\(?:pi|sqrt)|[a-z])[^,]*)")  # of 1,000\pi
_INEQUALITY = re.compile(r"[<>]|\\(?:le|ge|ne)(?![a-z])")
_SIGNS = re.compile(r"\\(?:pm|mp)(?![a-z])")
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_WORD = re.compile(r"\\text\{([^{}]*)\}|\(?((?=.*[A-Za-z]{4}|[A-Za-z' ]+\)?$)[A-Za-z][A-Za-z' -]{3,})\)?|(\(?[A-Z]\)?)")
_OPEN, _CLOSE = "([{", ")]}"


@lru_cache(maxsize=65536)
def read_form(raw: str) -> Form:
    """Split an answer as it was written. Its size must have been checked."""
    if form := _simple(raw):
        return form
    text = tidy(raw)
    ranges = as_union(text) if _INEQUALITY.search(text) else None
    return _listed(ranges or _AND.sub(",", text))


def _simple(text: str) -> Form | None:
    """Return the form of a whole number of few digits, or None: the most frequent answer, and the quickest."""
    text = text.strip()
    digits = text[1:] if text[:1] == "-" else text
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        return Form("number", text, value=Fraction(int(text)))
    return None


def _listed(text: str) -> Form:
    """Read a bare list, or its only element."""
    single = _item(text, whole=True)
    if single.kind == "number" or (single.kind == "equation" and single.parts[0].kind == "number"):
        return single
    if found := _COMMAS_BEFORE.fullmatch(text):
        text = found[1].replace(",", "") + found[2]
        single = _item(text)
    pieces = _cut(text, ",")
    if pieces is None:
        return Form("term", squeeze(text))
    if len(pieces) == 1 and not _SIGNS.search(text):
        return single
    items = [form for piece in pieces for form in _signs(piece)]
    return items[0] if len(items) == 1 else Form("list", ",".join(form.text for form in items), tuple(items))


def _signs(text: str) -> list[Form]:
    r"""Read an element; one ``\pm`` stands for two."""
    if not text.startswith("\\{") and len(found := _SIGNS.findall(text)) == 1:
        return [_item(text.replace(found[0], sign, 1)) for sign in "+-"]
    return [_item(text)]


def _item(text: str, whole: bool = False) -> Form:
    text = text.strip()
    if found := _NAMED.fullmatch(squeeze(text)):
        side = _listed(_tail(text)) if "=" not in found[4] else None
        if side:
            return Form("equation", squeeze(text), (side,), name=found[1] + found[2])
    return _number(text, whole) or _structure(squeeze(text))


def _tail(text: str) -> str:
    return re.split(r"=|\\in(?![a-z])", text, maxsplit=1)[1]


def _number(text: str, whole: bool) -> Form | None:
    """Read a number with its marks and unit. Commas are thousands separators where the number is the whole answer."""
    plain, unit, percent = without_marks(text)
    spelt = squeeze(plain)
    if whole:
        spelt = with_commas(spelt)
    if spelt.startswith("\\text{") and spelt.endswith("}"):
        spelt = spelt[6:-1].strip()
    value = number_of(spelt)
    if value is None:
        if based := based_of(spelt):
            return Form("based", f"{based[0]}_{{{based[1]}}}")
        rest = _structure(spelt) if plain != text and unit and spelt else None
        return replace(rest, name=unit) if rest and rest.kind == "term" else rest
    return Form("number", spelt, value=value / 100 if percent else value, name=unit, percent=percent)


def _structure(text: str) -> Form:
    if found := _MATRIX.fullmatch(text):
        rows = [row.split("&") for row in found[2].strip().removesuffix("\\\\").split("\\\\")]
        shape = f"{'' if found[1] in ('matrix', 'pmatrix', 'bmatrix') else found[1]}{[len(row) for row in rows]}"
        return Form("matrix", text, tuple(_item(cell) for row in rows for cell in row), name=shape)
    pieces = _cut(text, "\\cup")
    if pieces and len(pieces) > 1:
        return Form("union", text, tuple(_item(piece) for piece in pieces))
    if found := _WORD.fullmatch(text):
        word = (found[1] or found[2] or found[3] or "").strip()
        return _listed(word) if any(map(str.isdigit, word)) else Form("word", _plain_word(word))
    return _bracketed(text) or Form("term", text)


def _plain_word(word: str) -> str:
    bare = word.strip("() .")
    return bare if len(bare) == 1 else " ".join(bare.casefold().split())


def _bracketed(text: str) -> Form | None:
    inside, brackets = (text[2:-2], "{}") if text.startswith("\\{") else (text[1:-1], text[:1] + text[-1:])
    if brackets not in ("{}", "()", "[]", "(]", "[)") or not inside or (brackets == "{}" and not text.endswith("\\}")):
        return None
    pieces = _cut(inside, ",")
    if pieces is None:
        return None
    if brackets == "{}":
        return Form("set", text, tuple(form for piece in pieces for form in _signs(piece)))
    if len(pieces) == 1:
        return _item(inside) if brackets == "()" and "=" not in inside else None
    return Form(brackets, text, tuple(_item(piece) for piece in pieces))


def _cut(text: str, mark: str) -> list[str] | None:
    """Cut at ``mark`` outside brackets; None where brackets do not balance or a piece is empty."""
    pieces, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if depth == 0 and text.startswith(mark, place):
            pieces.append(text[start:place])
            start = place = place + len(mark)
            continue
        depth += (text[place] in _OPEN) - (text[place] in _CLOSE)
        if depth < 0:
            return None
        place += 1
    pieces.append(text[start:])
    return pieces if depth == 0 and all(map(str.strip, pieces)) else None
