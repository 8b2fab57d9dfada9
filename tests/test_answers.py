r"""The answer checker: what is read from a reply, what is equal, what is refused. Equality is by value, worked by hand.

Not covered: whether math-verify reads all of LaTeX. Known losses are written down at the end.
"""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.envs.answer_limits import too_big
from eggym.envs.answer_marks import without_marks
from eggym.envs.answer_numbers import number_of
from eggym.envs.answer_reading import read_form
from eggym.envs.answer_tidy import squeeze, tidy
from eggym.envs.answers import checker_identity, forget_answers, judge_answer, judge_answers, last_box, last_tag
from eggym.errors import UnknownName
from eggym.task import Verdict, VerdictState


def judged(truth, answer):
    return judge_answer(truth, rf"so it is \boxed{{{answer}}}")


# -- what is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (r"so \boxed{12}.", "12"),
        (r"\boxed{1} or \boxed{2}", "2"),  # the last one counts
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {7}", "7"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),  # escaped braces do not count
        (r"\boxed{ \boxed{3} }", "3"),
        (r"\boxed{12 or \boxed{13}}", r"12 or \boxed{13}"),  # the outer one is the last to close
        (r"\boxed{3} and then \boxed{4", "3"),  # cut off: the last balanced one
        (r"I fill \boxed{ in: \boxed{5}", "5"),
        (r"} } \boxed{6} {", "6"),
        (r"\boxed{}", ""),
        (r"\\boxed{3}", None),  # a line break, and a word
        (r"\fbox{3} boxed{4} 5", None),
        ("", None),
    ],
)
def test_the_last_balanced_box_is_read(reply, found):
    assert last_box(reply) == found


def test_the_last_tag_is_read():
    assert last_tag("<answer>1</answer> <answer> 2 </answer>", "answer") == "2"
    assert last_tag("<answer>1</answer> <answer>2", "answer") == "1"
    assert last_tag("</answer><answer>", "answer") is None
    assert judge_answer("2", r"\boxed{3} <answer>2</answer>", tag="answer").reward == 1
    assert judge_answer("3", r"\boxed{3}", tag="answer").state is VerdictState.UNPARSED


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "12",
        "The answer is 12.",
        "The answer is 12. Or 13. Or 14.",
        "I think 12 is wrong; it is unknowable.",
        "$12$",
    ],
)
def test_nothing_but_a_box_is_an_answer(reply):
    # math-verify accepts all but the first: it takes what follows a phrase, or the last number
    verdict = judge_answer("12", reply)
    assert (verdict.reward, verdict.state, verdict.found) == (0.0, VerdictState.UNPARSED, None)


def test_a_reply_of_a_million_braces_is_read_in_linear_time():
    assert last_box("\\boxed{" * 150_000) is None
    assert last_box("\\boxed{" * 150_000 + "}" * 150_000) is not None


# -- what is equal --------------------------------------------------------------------------------------------------

EQUAL = {
    "fractions and decimals": [
        ("1.25", r"\frac54"),
        ("1.25", r"1\frac14"),
        ("1.25", "1.250"),
        (".35625", r"\frac{57}{160}"),  # 57/160 = 0.35625
        ("326.5", r"\frac{653}{2}"),
        (r"\frac{2}{3}", "2/3"),
        (r"\frac{2}{3}", r"\dfrac{4}{6}"),  # one number, not in lowest terms
        (r"\frac 59", r"\tfrac{5}{9}"),
        (r"\frac9{19}", r"\frac{9}{19}"),
        (r"-\frac{35}{9}", r"\frac{-35}{9}"),
        (r"137 \frac{1}{2}", "137.5"),
        (r"1\frac{4}{5}", "9/5"),
        ("12", r"\frac{24}{2}"),
        (".0000672", r"6.72 \times 10^{-5}"),
        ("1024", "2^{10}"),
        ("12", "+12"),
        ("12", "12.0"),
        ("12", r"\text{12}"),
        ("12", "$12$"),
        ("12", "12."),
    ],
    "percent": [("0.15", r"15\%"), ("50", r"50\%"), ("0.5", r"50\%"), (r"50\%", "50"), (r"50\%", "0.5")],
    "thousands": [
        (r"10,\!080", "10080"),
        ("10080", "10,080"),
        ("58,500", "58500"),
        (r"11,\! 111,\! 111,\! 100", "11111111100"),
        (r"11,\! 111,\! 111,\! 100", "11,111,111,100"),
    ],
    "currency, degrees and units": [
        (r"\$32,\!348", "32348"),
        (r"\$32,\!348", r"\$32{,}348"),
        (r"\$32,\!348", r"32348 \text{ dollars}"),
        (r"\$18.90", "18.9"),
        (r"90^\circ", "90"),
        ("90", r"90^{\circ}"),
        (r"90^\circ", "90 degrees"),
        (r"\frac{270}7\text{ degrees}", r"38\frac47^\circ"),  # 270/7 = 38 + 4/7
        (r"15\mbox{ cm}^2", r"15"),
        (r"864 \mbox{ inches}^2", r"864\ \mathrm{in}^{2}"),
        (r"864 \mbox{ inches}^2", r"864 \text{ square inches}"),
        (r"5.4 \text{ cents}", "5.4 \u00a2"),
        ("12", "12 apples"),
    ],
    "radicals and constants": [
        (r"3\sqrt{13}", r"\sqrt{117}"),
        (r"11\sqrt2", r"\sqrt{242}"),
        (r"70 \sqrt{2}", "70\u221a2"),
        (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
        (r"\sqrt{66}", "66^{1/2}"),
        (r"11 \sqrt{5} + 11", r"11(\sqrt5+1)"),
        (r"18+2\pi", r"2(9+\pi)"),
        (r"288 \pi", "288\u03c0"),
        (r"\frac{3\pi}{2}", r"1\frac12\pi"),
        (r"-\frac{\pi}{6}", r"-\pi/6"),
        (r"\frac{20000}{\pi}", r"20000/\pi"),
        ("e^2", "e^{2}"),
        ("6 - 5i", "-5i+6"),
        (r"\frac{1}{2}+\frac{\sqrt3}{2}i", r"e^{i\pi/3}"),
        (r"\cot x", r"\frac{\cos x}{\sin x}"),
        (r"2\ln x", r"\ln x^2"),  # wherever the truth is real
    ],
    "polynomials": [
        ("2k+2", "2(k+1)"),
        ("(a+5)(b+2)", "ab+2a+5b+10"),
        ("6r^2-4r-24", "2(3r^2-2r-12)"),
        (r"\frac{11+9a}{20}", "0.55+0.45a"),
        ("x^5 - x^4 + x^3 - x^2 + x - 1", "(x-1)(x^4+x^2+1)"),  # x^5+x^3+x - (x^4+x^2+1)
        ("3R^2", r"3\cdot R^{2}"),
        (r"\frac{1}{x+1}", "(x+1)^{-1}"),
    ],
    "equations": [
        ("x=5", "5"),
        ("5", "x = 5"),
        ("12", r"\text{Area} = 12"),
        ("y = 2x + 3", "2x+3"),
        ("y = 2x + 3", "2x - y + 3 = 0"),
        ("5x - 7y + 11z + 4 = 0", "-10x+14y-22z=8"),  # times -2
        ("(6,31,-1)", "(x,y,z)=(6,31,-1)"),
    ],
    "solution lists": [
        ("3, 5, 7", "7,5,3"),
        ("3, 5, 7", r"3, 5, \text{ and } 7"),
        ("1,-2", r"x=1 \text{ or } x=-2"),
        ("1,-2", r"\{-2, 1\}"),
        (r"1 \pm \sqrt{19}", r"1-\sqrt{19}, 1+\sqrt{19}"),
        (r"1 \pm \sqrt{19}", r"\frac{2\pm\sqrt{76}}{2}"),
        (r"\{1\pm\sqrt{5},-2\}", r"-2, 1+\sqrt5, 1-\sqrt5"),
    ],
    "tuples, intervals and sets": [
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
        (r"(5,\infty)", r"(5,+\infty)"),
        (r"(5,\infty)", "x > 5"),
        (r"x \in [-2,7]", "[-2,7]"),
        (r"x \in [-2,7]", r"-2\leq x\leq 7"),
        (r"(0,9) \cup (9,36)", r"(9,36)\cup(0,9)"),
        (r"(0,9) \cup (9,36)", r"(0,36)\setminus\{9\}"),
        ("[1,3]", r"[1,2]\cup[2,3]"),
        (r"(-\sqrt{3}, \sqrt{3})", r"\left(-3^{1/2},3^{1/2}\right)"),
        (r"\emptyset", r"\varnothing"),
    ],
    "matrices": [
        (r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", r"\begin{bmatrix} -\frac13 \\[4pt] \frac23 \end{bmatrix}"),
        (r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", r"\frac13\begin{pmatrix}-1\\2\end{pmatrix}"),
        (r"\begin{pmatrix} \frac{\sqrt2}{2} & 1 \end{pmatrix}", r"\begin{pmatrix} \frac{1}{\sqrt2} & 1 \end{pmatrix}"),
    ],
    "words and bases": [
        (r"\text{Evelyn}", "evelyn"),
        (r"\text{(C)}", "C"),
        (r"\text{(C)}", r"\textbf{(C)}"),
        ("52_8", r"52_{\text{eight}}"),
        ("4210_{5}", "4210_5"),
    ],
}


@pytest.mark.parametrize("kind", EQUAL)
def test_equal_answers_in_other_forms_are_right(kind):
    verdicts = judge_answers([(truth, rf"\boxed{{{answer}}}") for truth, answer in EQUAL[kind]])
    assert [pair for pair, verdict in zip(EQUAL[kind], verdicts, strict=True) if verdict.reward != 1] == []


UNEQUAL = {
    "numbers": [
        ("12", "-12"),
        ("12", "13"),
        ("12", "12x"),
        ("12", "12i"),
        ("12", "12 wrong"),
        ("12", "12 thousand"),
        ("12xy", "12"),
        ("12", "1 2"),
        ("12", "twelve"),
        ("10080", "10 080"),
        ("0.5", r"0.5\%"),  # a truth up to 1 does not count percents
        (r"5.4 \text{ cents}", r"\$0.054"),
        (r"15\mbox{ cm}^2", r"15\text{ m}^2"),
    ],
    "roundings": [  # math-verify: True at 6 digits
        (r"\frac13", "0.333333"),
        (r"\pi", "3.141593"),
        (r"\pi", "3.14159265358979323846264338327950288419716939937510"),
        (r"\pi", r"3.1415926535897932384626433832795+0\pi"),  # algebra, not a plain number
        (r"70\sqrt{2}", "98.994949"),
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
        ("2^{-99}", "2^{-98}"),
        ("(0,2^{-99})", "(0,2^{-98})"),
        (r"x+\frac{1}{2^{99}}", r"x+\frac{1}{2^{98}}"),
        (r"\sqrt2+10^{-99}", r"\sqrt2"),
        ("3R^2", "3R^2+0.0000000001R"),
    ],
    "structure": [  # math-verify: (1,2) is {1,2}, 11_2 is 11
        ("(1,2)", r"\{1,2\}"),
        ("(1,2)", "[1,2]"),
        ("[1,2)", "(1,2]"),
        ("(1,2)", "1,2"),
        (r"\{1,2\}", "(1,2)"),
        ("1,-2", "1"),
        ("1,-2", "1,-2,3"),
        ("1,-2", "1,1"),
        (r"1 \pm \sqrt{19}", r"1+\sqrt{19}"),
        (r"(0,9) \cup (9,36)", "(0,36)"),
        ("[1,3]", r"[1,2]\cup(2,4]"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1,2)"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"\left(\frac{\pi}{2},3\right)"),
        ("11", "11_2"),
        ("52_8", "52"),
        ("52_8", "42"),  # the value, but not in the base that was asked
    ],
    "terms": [
        ("p - q", "q - p"),
        ("2k", "2n"),
        ("2k", r"2k\cdot\frac{x}{x}"),  # an unknown that the truth lacks is not looked at
        ("3R^2", "3r^2"),
        ("6r^2-4r-24", "6r^2-4r+24"),
        (r"\cot x", r"\tan x"),
        (r"\frac{\pi}{2}", r"1\frac12\pi"),  # a mixed number, not a product
        (r"-\frac{\pi}{6}", r"-30^\circ"),
        ("6 - 5i", "(6,-5)"),
        ("x>3", r"x \ge 3"),
        ("AB>3", "ab>3"),
    ],
    "equations": [
        ("x=5", "y=5"),
        ("y = 2x + 3", "y = 2x + 4"),
        ("5x - 7y + 11z + 4 = 0", "5x - 7y + 11z = 4"),
        ("x=5", "2x=10"),  # yet to be solved
        ("x=5", "x=10-x"),
    ],
    "words": [(r"\text{(C)}", "(B)"), (r"\text{even}", r"\text{even function}"), (r"\text{east}", "4")],
}


@pytest.mark.parametrize("kind", UNEQUAL)
def test_other_answers_are_not_right(kind):
    verdicts = judge_answers([(truth, rf"\boxed{{{answer}}}") for truth, answer in UNEQUAL[kind]])
    assert [pair for pair, verdict in zip(UNEQUAL[kind], verdicts, strict=True) if verdict.reward != 0] == []


# -- what is refused, and why -----------------------------------------------------------------------------------------

REFUSED = [
    ("12", "1" * 513, "longer than 512 characters"),
    ("12", "(" * 33 + "12" + ")" * 33, "nested more than 32 deep"),
    ("12", "1" * 65, "more than 64 digits in a row"),
    ("12", "3, 12", "several answers where the truth is one"),
    ("12", "12 or 13", "several answers where the truth is one"),
    ("12", r"12 \text{ or } 13", "several answers where the truth is one"),
    ("12", "x = 12, 13", "several answers where the truth is one"),
    ("4", r"\pm 4", "several answers where the truth is one"),
    ("12", "9^{9^{9^{9}}}", "tower of powers"),
    ("3x", "2^{3^{4}}", "tower of powers"),
    ("120", "5!", "unevaluated factorial"),
    ("10", r"\binom{5}{2}", "unevaluated factorial"),
    ("n!", "5000!", "unevaluated factorial"),
    ("12", r"\int_0^{12} 1 dx", "unevaluated sum, product, integral or limit"),
    ("55", r"\sum_{k=1}^{10} k", "unevaluated sum, product, integral or limit"),
    ("1", r"\lim_{x\to 0}\frac{\sin x}{x}", "unevaluated sum, product, integral or limit"),
    ("12", "13 = 12", "an equation where the truth is none"),
    ("5", "2x = 10", "an equation where the truth is none"),
    ("x^2", "(x+y+z)^{90}", "power too high"),
    ("x^2", "x^{99999}", "power too high"),
    ("3", r"\log_2 8", "unevaluated function"),
    ("1", r"\sin 90^\circ", "unevaluated function"),
    ("12", "|{-12}|", "unevaluated function"),
    ("4", "2+2", "unevaluated arithmetic"),
    ("12", r"3 \cdot 4", "unevaluated arithmetic"),
    ("12", "(3)(4)", "unevaluated arithmetic"),
    (r"18+2\pi", r"9+9+2\pi", "unevaluated arithmetic"),
    (r"\sqrt{51}", r"\sqrt{100-49}", "unevaluated arithmetic"),
    ("x", "+".join("x" * 200), "more than 256 characters of algebra"),
    (r"\sqrt{51}", r"\sqrt{" * 13 + r"\pi" + "}" * 13, "algebra nested more than 12 deep"),
    ("x", "|" * 10 + "x" + "|" * 10, "more than 8 bars"),
    (r"\sqrt{51}", "5 1", "numbers side by side"),
]


@pytest.mark.parametrize(("truth", "answer", "why"), REFUSED, ids=[why for *_, why in REFUSED])
def test_a_refusal_has_a_reason(truth, answer, why):
    verdict = judged(truth, answer)
    assert (verdict.reward, verdict.state, verdict.why) == (0.0, VerdictState.REFUSED, why)


@pytest.mark.parametrize(
    ("truth", "answer"),
    [("n!", "n!"), (r"\sum_{k=1}^n k^2", r"\sum_{k=1}^{n} k^{2}"), ("3+4", "3 + 4"), ("x^{99}", "x^{99}")],
)
def test_what_the_truth_holds_itself_is_not_refused(truth, answer):
    assert judged(truth, answer).reward == 1


def test_an_odd_truth_is_the_graders_failure_and_no_zero():
    verdict = judged("7" * 600, "7")
    assert (verdict.reward, verdict.state) == (None, VerdictState.ERROR)
    assert "the truth is longer than 512 characters" in verdict.why
    assert judged(r"\nothing{known}", r"\sqrt{2}").reward is None


def test_what_is_no_mathematics_is_unparsed():
    assert judged(r"\sqrt{2}", r"\foo{\bar") == Verdict(
        0.0, VerdictState.UNPARSED, None, "no answer where it must stand"
    )
    assert judged(r"\sqrt{2}", r"\foo{3}").state is VerdictState.UNPARSED


@pytest.mark.parametrize("limit", [too_big("1" * 512), too_big("(" * 32 + ")" * 32), too_big("1" * 64)])
def test_the_limits_themselves_are_allowed(limit):
    assert limit in ("", "more than 64 digits in a row")  # the first is a row of digits, too


# -- properties -------------------------------------------------------------------------------------------------------


def spellings(value):
    """Ways to write a rational number."""
    above, below = value.numerator, value.denominator
    yield f"{above}/{below}"
    yield rf"\frac{{{above}}}{{{below}}}"
    yield rf"\left( \dfrac{{{3 * above}}}{{{3 * below}}} \right)"
    yield rf"x = {above}/{below}"
    yield rf"\frac{{{above}}}{{{below}}} \text{{ cm}}"
    if below == 1:
        yield f"{above:,}"
        yield f"${above}.0$"
        yield rf"{above}^\circ"
    if value > 1 and below > 1:
        yield rf"{above // below}\frac{{{above % below}}}{{{below}}}"
    if 10**6 % below == 0:
        yield f"{value.numerator * (10**6 // below)} \\times 10^{{-6}}"


rationals = st.builds(Fraction, st.integers(-(10**6), 10**6), st.integers(1, 2000))


@given(rationals, st.randoms(use_true_random=False))
def test_a_rational_written_in_two_ways_is_one_number(value, rng):
    ways = list(spellings(value))
    truth, answer = rng.choice(ways), rng.choice(ways)
    assert judged(truth, answer).reward == 1


@given(rationals, rationals, st.randoms(use_true_random=False))
def test_two_rationals_are_two_numbers(one, other, rng):
    truth, answer = rng.choice(list(spellings(one))), rng.choice(list(spellings(other)))
    assert judged(truth, answer).reward == float(one == other)


@given(rationals, st.integers(1, 60))
def test_a_small_difference_is_a_difference(value, digits):
    other = value + Fraction(1, 10**digits)
    assert judged(f"{value.numerator}/{value.denominator}", f"{other.numerator}/{other.denominator}").reward == 0


@given(st.text(alphabet="\\{}[]()^_$%&,.;:|!+-*/=<> 0123456789abcxyzpi\n\u00b0\u03c0\ud800", max_size=60))
def test_any_text_is_read_without_an_exception(text):
    form = read_form(text)
    assert (form.kind and squeeze(tidy(text)) is not None and number_of(text) is None) or form.kind == "number"


def test_verdicts_depend_neither_on_order_nor_on_what_was_kept():
    pairs = [
        (truth, rf"\boxed{{{answer}}}")
        for table in (EQUAL, UNEQUAL)
        for pairs in table.values()
        for truth, answer in pairs
    ]
    pairs += [(truth, rf"\boxed{{{answer}}}") for truth, answer, _ in REFUSED] + [("1", "none")]
    first = judge_answers(pairs)
    order = list(range(len(pairs)))
    random.Random(5).shuffle(order)
    forget_answers()
    again = judge_answers([pairs[place] for place in order])
    assert [again[order.index(place)] for place in range(len(pairs))] == first
    alone = [judge_answer(*pairs[place]) for place in order[:20]]
    assert alone == [first[place] for place in order[:20]]


# -- marks, profiles, losses ------------------------------------------------------------------------------------------


def test_units_and_marks():
    assert without_marks(r"15\text{ cm}^{2}") == ("15", "cm^2", False)
    assert without_marks("12 apples") == ("12", "apples", False)
    assert without_marks("12xy") == ("12xy", "", False)
    assert without_marks(r"12 \text{ or more}") == (r"12 \text{ or more}", "", False)


def test_the_lenient_profile_is_math_verify_itself():
    # its last-number fallback, its rounding, its sets that are tuples: for comparison alone
    lenient = [
        ("12", "I think 12 is wrong; it is unknowable."),
        (r"\frac13", r"\boxed{0.333333}"),
        ("12", r"\boxed{13=12}"),
    ]
    assert [verdict.reward for verdict in judge_answers(lenient, "lenient")] == [1, 1, 1]
    assert [verdict.reward for verdict in judge_answers(lenient)] == [0, 0, 0]
    assert judge_answer("12", "12" * 30_000, "lenient").state is VerdictState.REFUSED


def test_an_unknown_profile_is_named():
    with pytest.raises(UnknownName, match="no profile of the answer checker 'strickt'; did you mean 'strict'"):
        judge_answers([], "strickt")


def test_the_identity_names_rules_and_libraries():
    words = checker_identity("strict").split()
    assert words[:2] == ["strict", "rules"] and {"math-verify", "latex2sympy2_extended", "sympy"} <= set(words)


@pytest.mark.parametrize(
    ("truth", "answer"),
    [
        ("y = 2x + 3", "f(x) = 2x + 3"),  # another name of the value
        (r"\frac13", r"0.\overline{3}"),
        ("1", r"\sqrt{1}"),  # right, but unfinished
        ("12", r"12 \text{ is the answer}"),
    ],
)
def test_known_losses(truth, answer):
    assert judged(truth, answer).reward == 0
