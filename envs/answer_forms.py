"""The form of an answer: a number, a word, a list, a set, a tuple or interval, a matrix, an equation, or else a term.

`same` compares two forms part by part and exactly, and leaves to its caller only what needs algebra.
`answer_reading.read_form` makes them.

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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Leaf = Callable[["Form", "Form"], "bool | None"]  # True, False, or None: cannot tell


@dataclass(frozen=True, slots=True)
class Form:
    """An answer, split. ``text`` is its tidy, squeezed spelling, which algebra is handed."""

    kind: str  # number based word list set matrix equation union term, or brackets: "()" "[]" "(]" "[)"
    text: str
    parts: tuple["Form", ...] = ()
    value: Fraction | None = None  # of a number, its percent sign applied
    name: str = ""  # the unknown of an equation; the unit of a number or term; the shape of a matrix; a word
    percent: bool = False


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
        if truth.kind == found.kind and truth.name and found.name and truth.name != found.name:
            return False
        if found.kind == "number" and _LEFT_OPEN.search(truth.text):
            return leaf(truth, found)
        return False if truth.kind in _CLOSED or found.kind in _CLOSED else leaf(truth, found)
    if truth.kind == found.kind == "union":
        return _any_order(truth.parts, found.parts, leaf) or leaf(truth, found)
    if truth.kind == found.kind and truth.name == found.name and truth.parts and len(truth.parts) == len(found.parts):
        return _every(same(one, other, leaf) for one, other in zip(truth.parts, found.parts, strict=True))
    joined = "union" in (truth.kind, found.kind) and _is_range(truth) and _is_range(found)
    return leaf(truth, found) if joined else False


def unknown_to(truth: Form, found: Form) -> bool | None:
    """Be the leaf that cannot tell."""
    return None


_CLOSED = frozenset(("number", "word", "based"))  # never equal to a term, apart from
_LEFT_OPEN = re.compile(r"!|\\(?:binom|cdot|times)(?![a-z])")  # a number that a truth has left to calculate


def _is_range(form: Form) -> bool:
    return form.kind == "union" or (form.kind in ("()", "[]", "(]", "[)") and len(form.parts) == 2)


def _same_numbers(truth: Form, found: Form) -> bool:
    one, other = truth.value or Fraction(0), found.value or Fraction(0)
    if truth.name and found.name and truth.name != found.name:
        return False
    if one == other or truth.percent == found.percent:
        return one == other
    bare, marked = (other, one) if truth.percent else (one, other)
    return bare.numerator > bare.denominator and bare == 100 * marked


def _same_equations(truth: Form, found: Form, leaf: Leaf) -> bool | None:
    """Compare where one says "x = ...". An equation that is yet to be solved is no answer where the truth is solved."""
    if truth.kind != "equation":
        return leaf(truth, found) if "=" in truth.text else same(truth, found.parts[0], leaf)
    solved = truth.parts[0].kind != "term"
    if found.kind != "equation":
        return same(truth.parts[0], found, leaf) if "=" not in found.text else False if solved else leaf(truth, found)
    if truth.name != found.name:
        return False if solved else leaf(truth, found)
    sides = same(truth.parts[0], found.parts[0], leaf)
    return sides if sides or solved else leaf(truth, found)


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


def _every(answers: "Iterable[bool | None]") -> bool | None:
    unsure = False
    for answer in answers:
        if answer is False:
            return False
        unsure = unsure or answer is None
    return None if unsure else True
