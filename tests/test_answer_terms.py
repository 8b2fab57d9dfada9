r"""The quick reader of terms: what it reads is right, and what has two meanings it leaves to math-verify."""

import os
import random
from pathlib import Path

import mpmath
import pytest
import sympy

from eggym.envs import answer_algebra
from eggym.envs.answer_terms import DEEPEST, MOST_CHARACTERS, read_term

VALUES = {"a": "1.3", "k": "0.7", "n": "2.1", "x": "1.9", "y": "0.4", "z": "2.7"}


def root(value, degree):
    """The principal root; odd roots of what is negative or complex are left out, since there the real one is meant."""
    if degree % 2 and (isinstance(value, mpmath.mpc) or value < 0):
        raise ZeroDivisionError
    return mpmath.power(value, mpmath.mpf(1) / degree)


class Drawn:
    """A random term as a text and, worked out beside it, its value where the unknowns are ``VALUES``."""

    def __init__(self, rng):
        self.rng = rng

    def sum(self, depth):
        minus = self.rng.random() < 0.2
        text, value = self.product(depth)
        text, value = ("-" + text, -value) if minus else (text, value)
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            sign = self.rng.choice("+-")
            more, other = self.product(depth)
            text, value = text + sign + more, value + other if sign == "+" else value - other
        return text, value

    def product(self, depth):
        text, value = self.power(depth)
        for _ in range(self.rng.choice((0, 0, 1, 1, 2))):
            more, other = self.power(depth)
            signs = (r"\cdot ", r"\times ", "", "")[: 2 if more[0].isdigit() else 4]  # 2 and 3 side by side are 23
            text, value = text + self.rng.choice(signs) + more, value * other
        return text, value

    def power(self, depth):
        text, value = self.base(depth)
        kind = self.rng.random()
        if kind < 0.7 or depth < 0:
            return text, value
        if kind < 0.85:
            exponent = str(self.rng.randint(0, 6))
            return f"{text}^{exponent}", value ** int(exponent)
        inner, exponent = self.product(-1)
        return f"{text}^{{{inner}}}", value**exponent

    def base(self, depth):
        kind = self.rng.random()
        if kind < 0.3 or depth <= 0:
            return self.leaf()
        if kind < 0.4:
            return r"\pi", mpmath.pi
        text, value = self.sum(depth - 1)
        if kind < 0.6:
            return f"({text})", value
        if kind < 0.8:
            below, divisor = self.sum(depth - 1)
            return f"\\frac{{{text}}}{{{below}}}", value / divisor
        degree = self.rng.randint(2, 5)
        head = r"\sqrt" if degree == 2 else f"\\sqrt[{degree}]"
        return f"{head}{{{text}}}", root(value, degree)

    def leaf(self):
        name = self.rng.choice(list(VALUES))
        digits = str(self.rng.randint(0, 9))
        number = self.rng.choice((digits, f"{digits}.{self.rng.randint(0, 99)}"))
        return self.rng.choice(((name, mpmath.mpf(VALUES[name])), (number, mpmath.mpf(number))))


def test_what_is_read_has_the_value_that_is_written():
    drawn, n_read = Drawn(random.Random(1)), 0
    with mpmath.workdps(60):
        while n_read < 400:
            try:
                text, value = drawn.sum(2)
            except (ZeroDivisionError, OverflowError):
                continue
            term = read_term(text)
            if term is None or not 1e-20 < abs(value) < 1e40:  # a root of nothing but rounding is no root of zero
                continue
            n_read += 1
            at = {symbol: sympy.Float(VALUES[symbol.name], 60) for symbol in term.free_symbols}
            found = mpmath.mpmathify(term.evalf(60, subs=at))
            assert mpmath.almosteq(found, value, 1e-25), text


TWO_MEANINGS = [
    *(
        "(2)(3)",
        "(-2)(3)",
        "y(2)",
        "x(x+1)",
        "f(x)",
        "x^{2}(y)",
        "x/2y",
        "1/xy",
        "2^12",
        "2^3^2",
        "x^-2",
        "2 3",
        "x2",
    ),
    *("(x+1)2", r"2\frac{1}{2}", "--x", "x--y", r"2\cdot-3", "d", "X", "x_1", "n!", "|x|"),
    *("ln(x)", "log2", "cot", r"\ln x", r"\sin x", "x=2", "x<2", r"\{1,2\}", "(1,2)", "[1,2]", "50%", r"\sqrt2"),
    *(r"\frac12", r"\sqrt[x]{2}", r"\sqrt[1]{2}", r"\sqrt[0]{2}", r"\pix", r"\text{a}", "", "x+", "(x+1", "x+1)", "^2"),
    *("{x}", "x^{}", "½", "x²", "٣", "1.", ".5", "x^{1000}", "9^{9^{9}}"),
]


@pytest.mark.parametrize("text", TWO_MEANINGS)
def test_what_has_two_meanings_or_none_is_left_to_math_verify(text):
    assert read_term(text) is None


def test_long_and_deep_terms_are_left_to_math_verify():
    longest = "x" + "+x" * ((MOST_CHARACTERS - 1) // 2)
    assert read_term(longest) == (len(longest) + 1) // 2 * sympy.Symbol("x", real=True)
    assert read_term(longest + "+x") is None
    nested = [r"\sqrt{" * depth + "x" + "}" * depth for depth in (DEEPEST - 1, DEEPEST)]
    assert [read_term(text) is None for text in nested] == [False, True]


@pytest.mark.parametrize(
    ("truth", "found", "is_right"),
    [
        (r"2\sqrt{2}", r"\sqrt{8}", True),
        (r"2\sqrt{2}", "2.828427", False),
        ("(x+3)(x-2)", "x^{2}+x-6", True),
        ("(x+3)(x-2)", "x^2+x-5", False),
        (r"\frac{x}{2}", "0.5x", True),
        (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", True),
        ("x(x+1)", "x^2+x", True),  # one is read here, the other by math-verify
        ("x^2+x", "x(x+1)", True),
        ("e^{2x}", "x", False),
        (r"\frac{x}{2}+3", "1/2x+3", True),
        (r"\frac{1}{2x}", "1/2x", False),
        (r"\frac{1}{2\pi}", r"1/2\pi", False),
        (r"\frac{3\pi}{4}", r"3/4\pi", True),
        (r"\frac{1}{2}+\frac{\sqrt{3}}{2}i", r"1/2+\sqrt{3}/2i", True),
        ("ex-x", "x(e-1)", True),
        (r"-\sqrt[3]{2}", r"\sqrt[3]{-2}", True),
        (r"\sqrt[3]{2}", r"\sqrt[3]{-2}", False),
        (r"-\sqrt{2}", r"\sqrt{-2}", False),
        ("w^7", "w^7l", False),  # math-verify drops the l
        ("12m", r"12\cdot m", True),  # and takes m for metres
        ("-x^2", "(-x)^2", False),
        (r"\frac{1}{x}", r"\frac{1}{0}", False),
    ],
)
def test_both_readers_together(truth, found, is_right):
    assert answer_algebra.judge(truth, found) is is_right


@pytest.mark.skipif("EGGYM_DATA" not in os.environ, reason="needs the reference answers of MATH-500 (EGGYM_DATA)")
def test_reference_answers_are_read_as_math_verify_reads_them():
    import json

    rows = (Path(os.environ["EGGYM_DATA"]) / "math500" / "test.jsonl").read_text().splitlines()
    texts = sorted({json.loads(row)["answer"].replace(" ", "") for row in rows})
    read = {text: term for text in texts if (term := read_term(text)) is not None and not term.is_Rational}
    assert len(read) > 20
    for text, term in read.items():
        assert answer_algebra._agree(answer_algebra._read_by_math_verify(text), term), text
