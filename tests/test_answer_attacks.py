r"""Wrong answers that were once paid for, by what the reader of LaTeX or the comparison overlooked."""

import pytest

from eggym.envs.answer_letters import is_known, one_case
from eggym.envs.answer_points import N_DRAWN, points
from eggym.envs.answers import judge_answers

CASES = [
    ("R^2-r^2", "r^2-R^2"),
    (r"\frac{a}{A}", r"\frac{A}{a}"),
    ("R^2+r^2", "2rR"),
    ("A+2a", "a+2A"),
    (r"\gamma+2\Gamma", r"\Gamma+2\gamma"),
    (r"\Gamma", r"\gamma"),
    (r"\Delta+1", r"\delta+1"),
    (r"\Omega x", r"\omega x"),
    (r"\tan\phi", r"\tan\Phi"),
    (r"\sin R-\sin r", r"\sin r-\sin R"),
]
DROPPED = [
    (r"\pi/2", r"\pi/2\approx 9"),
    ("x^2+1", r"x^2+1\approx x^3"),
    (r"\frac{\pi}{2}", r"\frac{\pi}{2}\text{ is false, it is }\frac{\pi}{3}"),
    (r"1+\sqrt2", r"1+\sqrt2\text{ otherwise }1-\sqrt3"),
    ("y=2x+1", r"y=2x+1\text{ wrong}"),
    (r"\frac{\pi}{2}", r"\not=\frac{\pi}{2}"),
    ("5", r"\text{it is not} = 5"),
    ("5", "not = 5"),
    ("x^2", "x^2'"),
    (r"\sin x+1", r"\sin x+1\ldots"),
    ("x^2+1", "x^2+1..."),
    ("x^2+1", "x^2+1?"),
    ("x^2+1", r"x^2+1\mod 3"),
]
_ZEROS = "(x-1.7329)(x+0.7193)(x-0.3137)(x-2.4137)"
POINTS = [
    ("|x-5|", "5-x"),
    (r"\sqrt{(x-4)^2}", "4-x"),
    ("|x|+|x-4|", "|x|+4-x"),
    ("|x-50|", "50-x"),
    ("|x+50|", "50+x"),
    ("x^2+1", "x^2+1+" + _ZEROS),
    (r"\sin x", r"\sin x+" + _ZEROS),
]
UNITS = [
    *(("5", f"5 {word}") for word in ("sixths", "cubed", "gross", "halves", "pairs", "twenty", "thirds", "eighths")),
    *(("5", rf"5\text{{ {word}}}") for word in ("squared", "factorial", "isn't right", "is not it", "dozens")),
    (r"16\pi\text{ cm}^2", r"16\pi\text{ cm}^3"),
    (r"4\sqrt2\text{ cm}", r"4\sqrt2\text{ m}"),
]
UNFINISHED = [
    (r"6\sqrt2", r"2\cdot3\sqrt2"),
    (r"6\sqrt2", r"3\sqrt2+3\sqrt2"),
    (r"3\pi", r"\pi+2\pi"),
    (r"\sqrt6", r"\sqrt2\cdot\sqrt3"),
    (r"\sqrt6", r"\sqrt2\sqrt3"),
    (r"\frac{\sqrt6}{5}", r"\frac{\sqrt2\sqrt3}{5}"),
]
READINGS = [
    (r"\frac{10!}{2}", "1814401"),
    (r"(-\infty,2)\cup(3,\infty)", r"x\le2\text{ or }x>3"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2\text{ or }y>3"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2\text{ and }x>3"),
    (r"(-\infty,2)\cup(2,\infty)", r"x\neq3"),
    ("2", r"x\neq2"),
    (r"\frac{1}{2x}", "1/2x"),
    (r"\frac{1}{2\pi}", r"1/2\pi"),
    (r"\sqrt[3]{2}", r"\sqrt[3]{-2}"),
    (r"\frac{\pi}{4}", r"\frac4\pi"),
    (r"\sqrt\frac34", r"\frac{\sqrt3}{4}"),
    (r"1000\pi", r"1,000,\pi"),
]
TABLES = {
    "upper and lower case": CASES,
    "what follows what cannot be read": DROPPED,
    "equal at points": POINTS,
    "units": UNITS,
    "readings": READINGS,
    "left to work out": UNFINISHED,
}


@pytest.mark.parametrize("kind", TABLES)
def test_wrong_answers_are_not_paid(kind):
    verdicts = judge_answers([(truth, rf"\boxed{{{answer}}}") for truth, answer in TABLES[kind]])
    assert [pair for pair, verdict in zip(TABLES[kind], verdicts, strict=True) if verdict.reward != 0] == []


RIGHT = [
    (r"\frac{10!}{2}", "1814400"),
    (r"\binom{5}{2}", "10"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2\text{ or }x>3"),
    (r"(-\infty,2)\cup(3,\infty)", r"x>3 or x<2"),
    (r"(-\infty,2]\cup[3,4)", r"x \le 2 \text{ or } 3 \le x < 4"),
    (r"x<2\text{ or }x>3", r"(-\infty,2)\cup(3,\infty)"),
    (r"(-\infty,2)\cup(2,\infty)", r"x\neq2"),
    (r"y=\frac{1}{2}x+3", "y=1/2x+3"),
    (r"-\frac{2}{3}x+\frac53", "-2/3 x+5/3"),
    (r"\frac{\sqrt3}{2}x", r"\sqrt{3}/2 x"),
    (r"\frac12+\frac{\sqrt3}{2}i", r"1/2+\sqrt3/2 i"),
    (r"\frac\pi4", r"\pi/4"),
    (r"\sqrt\pi", r"\pi^{1/2}"),
    (r"\frac{\sqrt3}{2}", r"\sqrt\frac34"),
    (r"\sqrt[3]{2}", r"\sqrt[3]2"),
    (r"\sqrt{x}", r"x^\frac12"),
    (r"\log_{2}3", r"\log_23"),
    ("p-q", "{p - q}"),
    (r"\sqrt{117}", r"{3\sqrt{13}}"),
    (r"\sqrt{117}", r"\mathbf{3\sqrt{13}}"),
    ("-50", "$-50$."),
    ("58500", "x=58,500"),
    (r"1000\pi", r"1,000\pi"),
    (r"20,000\pi", r"20000\pi"),
    ("ex-x", "x(e-1)"),
    ("x(e-1)", "ex-x"),
    (r"\ln 2", "ln 2"),
    (r"\sqrt{2}", "sqrt(2)"),
    (r"\frac{\pi}{4}", "pi/4"),
    ("x^2+1", "x\u00b2+1"),
    ("x^2+1", "x**2+1"),
    (r"\frac12", "\u00bd"),
    (r"-\sqrt[3]{2}", r"\sqrt[3]{-2}"),
    (r"16\pi\text{ cm}^2", r"16\pi"),
    (r"16\pi", r"\pi 16\text{ cm}^2"),
    (r"4\sqrt2", r"\sqrt{32}\text{ cm}"),
    ("5", "5 months"),
    ("5", r"5\text{ meters in length}"),
    (r"\sqrt6", r"\frac{\sqrt{12}}{\sqrt2}"),
    (r"2\sqrt3", r"2\cdot\sqrt3"),
    (r"\frac{\sqrt6}{2}", r"\sqrt3/\sqrt2"),
    ("R^2-r^2", "(R-r)(R+r)"),
    (r"\Delta+\delta", r"\delta+\Delta"),
    (r"\sin R-\sin r", r"-\sin r+\sin R"),
]


def test_right_answers_are_paid():
    verdicts = judge_answers([(truth, rf"\boxed{{{answer}}}") for truth, answer in RIGHT])
    assert [pair for pair, verdict in zip(RIGHT, verdicts, strict=True) if verdict.reward != 1] == []


def test_letters_and_marks():
    assert one_case([r"\mathbb{R}", r"\sin x"]) == [r"\mathbb{R}", r"\sin x"]
    assert one_case(["ABCDEFGHIJKLMNOPQRSTUVWXYZ"]) is None  # five more than there are other names
    assert is_known(r"\frac{1}{2}x_{1}+0.5") and not is_known(r"x\prime") and not is_known("x; y")


def test_some_points_are_far_and_some_move_with_the_answer():
    one, other = (list(points(texts)) for texts in ("x^2 x", "x^2 y"))
    assert list(points("x^2 x")) == one
    assert sum(here != there for here, there in zip(one, other, strict=True)) == N_DRAWN
    assert min(point[0] for point in one) < -50 and max(point[0] for point in one) > 50
