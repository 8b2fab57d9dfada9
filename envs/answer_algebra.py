r"""Equality of two terms as algebra: `answer_terms` or else math-verify reads the LaTeX, sympy compares.

Runs in the worker processes alone: sympy may take any time and any memory over an expression.

Two terms are equal if their difference is zero: for constants, to 60 of 80 digits beyond the exact; with unknowns, at
each of some points (`answer_points`) where the truth is real, which needs no simplification and finds no small number
negligible.
Equations are equal if one is a multiple of the other. Sets, intervals and inequalities are left to math-verify's own
comparison. A point where the truth is not real (``\ln x`` of a negative number) does not count: there it says nothing.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from .answer_forms import Form, same
from .answer_letters import is_known, one_case
from .answer_points import MOST_UNKNOWNS, points
from .answer_reading import read_form
from .answer_terms import read_term

DIGITS = 80
_CLOSE = 60  # digits in which two irrational values agree
_MIXED = re.compile(r"(?<![\d.}])(\d{1,6})\\frac\{(\d{1,6})\}\{(\d{1,6})\}")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_WARMING = (
    "6-5i", r"11\sqrt{2}", "e^{2}", r"e^{i\pi}", r"-\frac{\sqrt[3]{2}}{3}", "5x-7y+11z+4=0", r"-2\le x\le 7", "x_{1}+2",
    r"(-\infty,2)\cup[3,\infty)", r"\cot x+\sin^{2}(2x)", r"\frac{20000}{\pi}", "f(x)+1", r"k\pi", "8n^{2}+4n+1", "2",
    r"(x+1)(x-1)^{3}", r"\left|x\right|", "x>3", r"\log_{2}3", "0.5x", r"2\cdot 10^{3}x", r"\ln(x)", "(1,2)", "[-2,7]",
    r"\frac{x+1}{2x-3}", "x^{-2}", r"\{1,2\}", r"p-q", "2(a+b)/3", r"\tan^{-1}\frac{1}{2}", r"\sqrt{x^{2}+1}", "3R^{2}",
)  # fmt: skip


class Unreadable(Exception):
    """A term that math-verify cannot parse."""


def judge(truth: str, found: str) -> bool:
    """Compare two answers, as written, part by part.

    Raises:
        Unreadable: a part of ``found`` is no mathematics.
        ValueError: a part of ``truth`` is none.
    """
    from sympy.core.random import seed

    seed(0)  # sympy looks at expressions at random points, too
    return bool(same(read_form(truth), read_form(found), equal_terms))


def judge_leniently(truth: str, reply: str) -> bool:
    """Let math-verify find the answer in a whole reply and compare it, with its own defaults."""
    from math_verify import parse, verify

    return bool(
        verify(
            parse(f"\\boxed{{{truth}}}", parsing_timeout=None), parse(reply, parsing_timeout=None), timeout_seconds=None
        )
    )


def warm() -> None:
    """Read and compare a little of everything, so that processes forked from this one need not learn the grammar."""
    for text in _WARMING:
        _read_by_math_verify(text)
    for truth, found in (("2x+2", "2(x+1)"), (r"2\sqrt{2}", r"\sqrt{8}"), ("y=2x", "2x-y=0"), (r"\cot x", r"1/\tan x")):
        judge(truth, found)
    judge(r"x \in [-2,7]", r"-2 \le x \le 7")


def equal_terms(truth: Form, found: Form) -> bool:
    """Compare two parts that only algebra can."""
    if _cases_differ(truth.text, found.text):
        return False
    texts = one_case([truth.text, found.text])
    if texts is None:
        raise Unreadable(found.text)
    one = _truth(texts[0])
    if one is None:
        raise ValueError(f"the truth {truth.text!r:.80} cannot be read")
    other = _read(texts[1])
    if other is None:
        raise Unreadable(found.text)
    return _equal(one, other, texts)


def _equal(one: Any, other: Any, texts: Sequence[str]) -> bool:
    import sympy

    if isinstance(one, sympy.Equality) and isinstance(other, sympy.Equality):
        return _multiples(one.lhs - one.rhs, other.lhs - other.rhs)
    if getattr(one, "is_Matrix", False) or getattr(other, "is_Matrix", False):
        return _verified(one, other)
    if isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr):
        verdict = _agree(one, other, " ".join(texts))
        if verdict is not None:
            return verdict
    elif isinstance(one, sympy.Expr) or isinstance(other, sympy.Expr):
        return False
    return _verified(one, other)


def _verified(one: Any, other: Any) -> bool:
    from math_verify import verify

    settings: dict[str, Any] = {"float_rounding": 12, "numeric_precision": 30, "allow_set_relation_comp": True}
    return bool(verify([one], [other], timeout_seconds=None, raise_on_error=False, **settings))


def _agree(one: Any, other: Any, texts: str = "") -> bool | None:
    """Compare values: of constants, or at points; None where none can be had."""
    names = sorted({symbol.name for term in (one, other) for symbol in term.free_symbols})
    if len(names) > MOST_UNKNOWNS:
        return None
    seen = 0
    for values in points(texts):
        verdict = _agree_at(one, other, dict(zip(names, values, strict=False)))
        if verdict is False:
            return False
        seen += verdict is True
        if seen and not names:
            return True
    return True if seen > 1 else None


def _agree_at(one: Any, other: Any, values: dict[str, Fraction]) -> bool | None:
    """Compare two terms at one point; None where the truth has no value, or no real one."""
    import sympy

    first, second = (
        term.xreplace(
            {symbol: sympy.Rational(*values[symbol.name].as_integer_ratio()) for symbol in term.free_symbols}
        ).doit()
        for term in (one, other)
    )
    difference = first - second
    if difference.is_Rational:
        return bool(difference == 0)
    size, other_size, gap = first.evalf(DIGITS), second.evalf(DIGITS), difference.evalf(DIGITS)
    if not size.is_number or not size.is_finite or size.has(sympy.nan) or (values and not size.is_real):
        return None
    if not other_size.is_finite:
        return False
    if not gap.is_number:
        return None
    return bool(abs(gap) <= sympy.Float(10, DIGITS) ** -_CLOSE * max(abs(size), abs(other_size)))


def _multiples(one: Any, other: Any) -> bool:
    import sympy

    ratio = sympy.cancel(one / other) if one != 0 and other != 0 else sympy.Integer(0)
    return bool(ratio.is_number and ratio.is_finite and ratio != 0)


@lru_cache(maxsize=4096)
def _truth(text: str) -> Any:
    return _read(text)


def _read(text: str) -> Any:
    """Return a term, numbers exact, or None."""
    spelt = _spelt(text)
    plain = read_term(spelt)
    if plain is None and is_known(spelt):
        return _read_by_math_verify(spelt)
    return plain


def _read_by_math_verify(text: str) -> Any:
    import sympy
    from math_verify import LatexExtractionConfig, parse

    found = parse(
        f"\\boxed{{{text}}}",
        [LatexExtractionConfig(boxed_match_priority=0)],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )
    if not found or isinstance(found[0], str):
        return None
    term = found[0]
    if isinstance(term, sympy.Expr):
        exact = {number: sympy.Rational(str(number)) for number in term.atoms(sympy.Float)}
        constants = {"i": sympy.I, "e": sympy.E}
        known = {symbol: constants[symbol.name] for symbol in term.free_symbols if symbol.name in constants}
        term = term.xreplace({**exact, **known})
    return term


def _spelt(text: str) -> str:
    """Spell a term as math-verify reads it."""
    text = text.replace("\\deg", "^{\\circ}").replace("\\vert", "|")
    return _MIXED.sub(lambda found: f"\\frac{{{int(found[1]) * int(found[3]) + int(found[2])}}}{{{found[3]}}}", text)


def _cases_differ(truth: str, found: str) -> bool:
    """Say whether the unknowns differ in upper and lower case alone, which math-verify does not always see."""
    one, other = ({letter for letter in _COMMAND.sub("", text) if letter.isalpha()} for text in (truth, found))
    return one != other and {letter.lower() for letter in one} == {letter.lower() for letter in other}
