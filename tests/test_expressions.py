from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.envs import expressions
from eggym.envs.expressions import Unreadable, evaluate
from eggym.task import VerdictState


def value(text, unary_minus=False):
    found = evaluate(text, unary_minus)
    return Fraction(found.numerator, found.denominator)


def trees():
    """(text, exact value or None for a division by zero)."""

    def join(parts):
        (left, a), operator, (right, b) = parts
        text = f"({left}) {operator}({right})"
        if a is None or b is None or (operator == "/" and b == 0):
            return text, None
        return text, {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}[operator]

    leaf = st.integers(0, 999).map(lambda number: (str(number), Fraction(number)))
    return st.recursive(leaf, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(join), max_leaves=12)


@given(trees())
def test_values_are_those_of_fractions(tree):
    text, expected = tree
    if len(text) > expressions.LONGEST:
        return
    if expected is None:
        with pytest.raises(Unreadable, match=expressions.BY_ZERO):
            evaluate(text)
    else:
        assert value(text) == expected


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(1, 99)), max_size=8), st.integers(1, 99))
def test_without_parentheses_products_go_first_and_the_rest_from_the_left(rest, first):
    text = str(first) + "".join(f"{operator}{number}" for operator, number in rest)
    total, product, sign = 0, first, 1
    for operator, number in rest:
        if operator == "*":
            product *= number
        else:
            total, product, sign = total + sign * product, number, 1 if operator == "+" else -1
    assert value(text) == total + sign * product


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_by_name(text):
    try:
        found = evaluate(text, unary_minus=True)
    except Unreadable as problem:
        assert problem.name and problem.state != VerdictState.CORRECT
    else:
        assert found.denominator != 0


@given(st.text(alphabet="0123456789+-*/() ", max_size=30))
def test_texts_of_the_right_letters_are_read_as_python_would_if_at_all(text):
    # eval stands here for the grammar alone, on texts of ours; integers become fractions by their spelling
    import re

    try:
        ours = value(text, unary_minus=True)
    except Unreadable:
        return
    theirs = eval(re.sub(r"\d+", r"Fraction(\g<0>)", text.strip()), {"Fraction": Fraction})
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "name", "state"),
    [
        ("", expressions.EMPTY, "unparsed"),
        (" \n ", expressions.EMPTY, "unparsed"),
        ("()", expressions.UNFINISHED, "unparsed"),
        ("1+", expressions.UNFINISHED, "unparsed"),
        ("(1+2", expressions.UNBALANCED, "unparsed"),
        ("1+2)", expressions.UNBALANCED, "unparsed"),
        (")", expressions.UNBALANCED, "unparsed"),
        ("1 2", expressions.TWO_NUMBERS, "unparsed"),
        ("(1)(2)", expressions.TWO_NUMBERS, "unparsed"),
        ("2**3", expressions.TWO_OPERATORS, "unparsed"),
        ("7//2", expressions.TWO_OPERATORS, "unparsed"),
        ("+1", expressions.TWO_OPERATORS, "unparsed"),
        ("-1", expressions.UNARY, "unparsed"),
        ("2*-1", expressions.UNARY, "unparsed"),
        ("1=1", expressions.EXTRA, "unparsed"),
        ("1.5", expressions.EXTRA, "unparsed"),
        ("1_0", expressions.EXTRA, "unparsed"),
        ("1e3", expressions.EXTRA, "unparsed"),
        ("~1", expressions.EXTRA, "unparsed"),
        ("5~1", expressions.EXTRA, "unparsed"),
        ("5%2", expressions.EXTRA, "unparsed"),
        ("5^2", expressions.EXTRA, "unparsed"),
        ("٣+1", expressions.EXTRA, "unparsed"),
        ("²", expressions.EXTRA, "unparsed"),
        ("1\u00a0+1", expressions.EXTRA, "unparsed"),
        ("\ud800", expressions.EXTRA, "unparsed"),
        ("__import__('os')", expressions.EXTRA, "unparsed"),
        ("007", expressions.LEADING_ZERO, "unparsed"),
        ("1/0", expressions.BY_ZERO, "wrong"),
        ("1/(2-2)", expressions.BY_ZERO, "wrong"),
        ("1234567890123", expressions.TOO_BIG, "refused"),
        ("1" * 257, expressions.TOO_LONG, "refused"),
        ("+".join("1" * 33), expressions.TOO_MANY, "refused"),  # 33 numbers and 32 signs: 65
    ],
)
def test_what_is_no_expression_is_refused_by_name(text, name, state):
    with pytest.raises(Unreadable) as caught:
        evaluate(text)
    assert (caught.value.name, str(caught.value.state)) == (name, state)


def test_the_limits_themselves_are_allowed():
    assert value("123456789012") == 123456789012
    assert value("(" * 127 + "1" + ")" * 127) == 1  # 255 characters
    assert value("+".join("1" * 32)) == 32  # 63 nodes


def test_one_minus_sign_may_stand_in_front_where_it_is_allowed():
    assert value("-3+5", True) == 2
    assert value("2*-(1+2)", True) == -6
    assert value("2--3", True) == 5
    assert value("-6/4", True) == Fraction(-3, 2)
    for text in ("--3", "2---3", "-+3", "+3", "-"):
        with pytest.raises(Unreadable):
            evaluate(text, unary_minus=True)


def test_the_numbers_are_told_in_order_each_as_often_as_it_stands():
    assert evaluate("7 * (3 + 7) - 12").numbers == [7, 3, 7, 12]
