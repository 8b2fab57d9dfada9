"""The form of an answer: a number, a word, a list, a set, a tuple or interval, a matrix, an equation, or else a term.

`read_form` splits an answer as far as its structure says; `same` compares two forms part by part and exactly, and
leaves to its caller only what needs algebra.

Decisions:

- equal means equal in value: decimals are exact (0.333333 is not 1/3), however small the difference;
- (1,2), [1,2] and {1,2} differ; a bare list "1, 2" is a set of solutions, in any order, and the same as {1,2};
- "x = 5" is 5, and the other way round; two different unknowns are two different answers;
- 52_8 is compared by digits and base, never by value: the base was part of the question;
- a unit counts only where both have one; degree and currency marks are units;
- a percent sign divides by 100; a truth beyond 1 without the mark may also count percents, so 50% is 50 and is 0.5,
  but 0.5% is not 0.5.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from .answer_numbers import based_of, number_of, with_commas
from .answer_tidy import squeeze, tidy

Leaf = Callable[["Form", "Form"], "bool | None"]  # True, False, or None: cannot tell

_AND = re.compile(r"\s*,?\s*(?:\\text\{\s*(?:and|or)\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|\\lor(?![a-z])|;)\s*")
_NAMED = re.compile(
    r"(?:m?\\angle ?)?(\\text\{[^{}]*\}|[A-Za-z]{1,4}|\\[a-z]+)((?:_\{\w+\}|'|\([A-Za-z]\))*)(=|\\in(?![a-z]))(.+)"
)
_MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_WORD = re.compile(r"\\text\{([^{}]*)\}|\(?([A-Za-z][A-Za-z' -]{3,})\)?|(\(?[A-Z]\)?)")
_UNIT = re.compile(
    r"(.*[\d})])\s*(?:(?P<percent>\\?%|\\text\{\s*(?:\\?%|percent)\s*\}|(?<=[\s\d])percent)"
    r"|(?P<degree>\\deg(?: ?[CF])?)|\\text\{\s*(?P<text>[^{}0-9]*?)\s*\}(?P<power>\^\{[23]\})?"
    r"|(?P<money>\\?\$|\\?\u20ac|\\pounds)|(?:(?<=\d)| )(?P<raw>[A-Za-z]{2,}(?: [A-Za-z]{3,}){0,2})(?P<rawpower>\^\{[23]\})?)\s*"
)
_MONEY = re.compile(r"([-+]?)\s*(?:\\?\$|\\?\u20ac|\\pounds|\\text\{\s*\\?\$\s*\})\s*(?=[\d.\\(])")
_NO_UNITS = frozenset(
    [
        "or",
        "and",
        "not",
        "no",
        "is",
        "if",
        "then",
        "else",
        "mod",
        "base",
        "than",
        "versus",
        "but",
        "wrong",
        "maybe",
        "about",
        "thousand",
        "million",
        "billion",
        "trillion",
        "hundred",
        "dozen",
        "half",
        "to",
        "be",
        "are",
        "was",
        "less",
        "more",
        "least",
        "most",
        "sin",
        "cos",
        "tan",
        "log",
        "ln",
        "cot",
        "sec",
        "csc",
    ]
)
_UNITS = {
    "degrees": "deg", "degree": "deg", "dollars": "$", "dollar": "$", "inches": "in", "inch": "in", "feet": "ft",
    "foot": "ft", "centimeters": "cm", "centimetres": "cm", "meters": "m", "metres": "m", "kilometers": "km",
    "hours": "h", "hour": "h", "hr": "h", "hrs": "h", "minutes": "min", "seconds": "s", "sec": "s", "mph": "miles per hour",
    "square units": "units^2", "cubic units": "units^3",
}  # fmt: skip
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Form:
    """An answer, split. ``text`` is its tidy, squeezed spelling, which algebra is handed."""

    kind: str  # number based word list set matrix equation union term, or brackets: "()" "[]" "(]" "[)"
    text: str
    parts: tuple["Form", ...] = ()
    value: Fraction | None = None  # of a number, its percent sign applied
    name: str = ""  # the unknown of an equation; the unit of a number; the shape of a matrix; a word
    percent: bool = False


def simple(text: str) -> Form | None:
    """Return the form of a whole number of few digits, or None: the most frequent answer, and the quickest."""
    text = text.strip()
    digits = text[1:] if text[:1] == "-" else text
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        return Form("number", text, value=Fraction(int(text)))
    return None


@lru_cache(maxsize=65536)
def read_form(raw: str) -> Form:
    """Split an answer as it was written. Its size must have been checked."""
    return simple(raw) or _listed(_AND.sub(",", tidy(raw)))


def same(truth: Form, found: Form, leaf: Leaf) -> bool | None:
    """Say whether two forms are equal: True, False, or None where ``leaf`` cannot tell about a part that matters."""
    if truth.text == found.text and truth.percent == found.percent:
        return not (truth.name and found.name and truth.name != found.name)
    if truth.kind == "equation" or found.kind == "equation":
        return _same_equations(truth, found, leaf)
    if truth.kind in ("list", "set") or found.kind in ("list", "set"):
        return _any_order(_elements(truth), _elements(found), leaf)
    if truth.kind == "number" and found.kind == "number":
        return _same_numbers(truth, found)
    if "term" in (truth.kind, found.kind):
        return False if truth.kind in _CLOSED or found.kind in _CLOSED else leaf(truth, found)
    if truth.kind == found.kind == "union":
        return _any_order(truth.parts, found.parts, leaf) or leaf(truth, found)
    if truth.kind != found.kind or truth.name != found.name or len(truth.parts) != len(found.parts):
        return (
            leaf(truth, found)
            if "union" in (truth.kind, found.kind) and _is_range(truth) and _is_range(found)
            else False
        )
    return (
        _every(same(one, other, leaf) for one, other in zip(truth.parts, found.parts, strict=True))
        if truth.parts
        else False
    )


def unknown_to(truth: Form, found: Form) -> bool | None:
    """Be the leaf that cannot tell."""
    return None


_CLOSED = frozenset(("number", "word", "based"))  # never equal to a term


def _is_range(form: Form) -> bool:
    return form.kind == "union" or (form.kind in ("()", "[]", "(]", "[)") and len(form.parts) == 2)


def _same_numbers(truth: Form, found: Form) -> bool:
    assert truth.value is not None and found.value is not None
    if truth.name and found.name and truth.name != found.name:
        return False
    if truth.value == found.value:
        return True
    if truth.percent == found.percent:
        return False
    bare, marked = (found, truth) if truth.percent else (truth, found)
    return abs(bare.value or 0) > 1 and bare.value == (marked.value or 0) * 100


def _same_equations(truth: Form, found: Form, leaf: Leaf) -> bool | None:
    if truth.kind == found.kind:
        same_sides = same(truth.parts[0], found.parts[0], leaf) if truth.name == found.name else None
        return (
            True
            if same_sides
            else leaf(truth, found)
            if "term" in (truth.parts[0].kind, found.parts[0].kind)
            else False
        )
    if truth.kind == "equation":
        return leaf(truth, found) if "=" in found.text else same(truth.parts[0], found, leaf)
    return leaf(truth, found) if "=" in truth.text else same(truth, found.parts[0], leaf)


def _elements(form: Form) -> Sequence[Form]:
    return form.parts if form.kind in ("list", "set") else (form,)


def _any_order(truths: Sequence[Form], founds: Sequence[Form], leaf: Leaf) -> bool | None:
    """Pair the elements off. Equality is transitive, so the first partner is as good as any."""
    if len(truths) != len(founds):
        return False
    left, unsure = list(founds), False
    for truth in sorted(truths, key=lambda form: form.kind == "term"):  # what can be told for sure comes first
        answers = [same(truth, found, leaf) for found in left]
        if True in answers:
            left.pop(answers.index(True))
        elif None in answers:
            unsure = True
        else:
            return False
    return None if unsure else True


def _every(answers: "Sequence[bool | None] | object") -> bool | None:
    unsure = False
    for answer in answers:  # type: ignore[attr-defined]
        if answer is False:
            return False
        unsure = unsure or answer is None
    return None if unsure else True


# -- reading ------------------------------------------------------------------------------------------------------


def _listed(text: str) -> Form:
    """Read a bare list, or its only element."""
    single = _item(text, whole=True)
    if single.kind == "number":
        return single
    pieces = _cut(text, ",")
    if pieces is None:
        return Form("term", squeeze(text))
    items = [form for piece in pieces for form in _signs(piece)]
    return items[0] if len(items) == 1 else Form("list", ",".join(form.text for form in items), tuple(items))


def _signs(text: str) -> list[Form]:
    r"""Read an element; one ``\pm`` stands for two."""
    if not text.startswith("\\{") and len(found := re.findall(r"\\(?:pm|mp)(?![a-z])", text)) == 1:
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
    plain, unit, percent = _marks(text)
    spelt = squeeze(plain)
    if whole:
        spelt = with_commas(spelt)
    if spelt.startswith("\\text{") and spelt.endswith("}"):
        spelt = spelt[6:-1].strip()
    value = number_of(spelt)
    if value is None:
        if based := based_of(spelt):
            return Form("based", f"{based[0]}_{{{based[1]}}}")
        return _structure(spelt) if plain != text and unit and spelt else None
    return Form("number", spelt, value=value / 100 if percent else value, name=unit, percent=percent)


def _marks(text: str) -> tuple[str, str, bool]:
    """Return a text without currency, unit and percent sign; the unit; whether there was a percent sign."""
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
    words = " ".join((found["text"] or found["raw"] or "").casefold().rstrip(".").split())
    if not words or len(words.split()) > 4 or _NO_UNITS & set(re.split(r"[^a-z]+", words)) or "," in words:
        return text, "$" if money else "", False
    return (
        found[1],
        _UNITS.get(words, words) + (found["power"] or found["rawpower"] or "").replace("{", "").replace("}", ""),
        False,
    )


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
