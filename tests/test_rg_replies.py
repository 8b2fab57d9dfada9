"""The tasks of reasoning-gym: a wrong answer that holds the right one earns nothing, and right spellings earn all."""

import pytest

from eggym.envs.rg_table import rows, task_id
from eggym.registry import load_task
from eggym.task import VerdictState

USABLE = [name for name, row in rows().items() if "refused" not in row]
FAST = [name for name in USABLE if rows()[name]["ms"] < 2.0]
SLOW = [name for name in USABLE if name not in FAST]
SIGNED_ZERO = {"polynomial_equations", "pool_matrix", "products", "time_intervals"}  # -0 is 0


@pytest.fixture
def theirs():
    return pytest.importorskip("reasoning_gym")


def answered(task, item, answer):
    state = task.begin(item, None)
    task.step(state, f"<answer>{answer}</answer>")
    return task.judge(state)


def wrong(name, truth, other):
    """Answers that hold a right one and are wrong."""
    found = [f"not {truth}", f"It is wrong to say {truth}", f"xyz{truth}", f"{truth} or 7", f"{truth} 5", f"{truth}, x"]
    found += [f"{truth} foo bar", f"{truth} # no", f"no\n{truth}", f"{truth}\nno", "nan"]
    if not (truth.startswith("0") and name in SIGNED_ZERO):
        found.append(f"-{truth}")
    if truth != "0" and name != "sokoban":  # there the moves may go on, and end solved
        found.append(truth + truth)
    if other != truth:
        found += [f"{truth}{mark}{other}" for mark in (", ", " or ", " ", "\n", " and ", ",")]
    return found


def pays_no_wrong_answer(name, n_items):
    task = load_task(task_id(name))
    items = [task.item("train", index) for index in range(n_items)]
    truths = [item.truth for item in items if item.truth is not None]
    assert truths or name in ("boxnet", "rush_hour")  # no oracle
    for item, other in zip(items, truths[1:] + truths[:1], strict=False):
        assert answered(task, item, item.truth).reward == 1.0
        for answer in wrong(name, item.truth, other):
            found = answered(task, item, answer)
            assert found.reward == 0.0, (name, item.truth, answer, found)


@pytest.mark.parametrize("name", FAST)
def test_a_wrong_answer_that_holds_the_right_one_earns_nothing(name, theirs):
    pays_no_wrong_answer(name, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_a_wrong_answer_of_a_slow_task_earns_nothing(name, theirs):
    pays_no_wrong_answer(name, 4)


CASES = {  # name: truth as in an entry, answers that are right, answers that are not
    "gsm_symbolic": ("86", ["86", "86.0", "+86"], ["-86", "86 or 111000", "86 1 2 3", "٨٦", "8_6"]),
    "chain_sum": ("1214", ["1,214", "01214"], ["12,14", "1214e0"]),
    "word_sorting": ("ab, B, c", ["ab,B,  c"], ["ab, B, c, zebra, aaa", "ab, b, c", "ab B c"]),
    "spell_backward": ("norac", ["Norac"], ["norac0", "norac word"]),
    "figlet_font": ("ABCDEFGHIJK", ["abcdefghijk"], ["ABCDEFGHIJX", "ABCDEFGHIJ"]),
    "letter_jumble": ("was it", ["was  it"], ["was it foo bar"]),
    "calendar_arithmetic": ("-3", ["-3"], ["5", "-9"]),
    "knights_knaves": (
        "Joe is a knight, and Zoey is a knave.",
        ["Zoey is a knave, and Joe is a knight", "Joe is an knight and Zoey is a knave."],
        ["Joe is a knight.", "Joe is a knight, and Zoey is a knave, and Zoey is a knight."],
    ),
    "survo": ("9 3\n8 2", ["9 3 \n 8  2"], ["9 3 8 2", "9 3\n8 2\n0 0"]),
    "pool_matrix": ("3.0 5.22\n4.67 3.67", ["3 5.22\n4.67 3.67", "3 5.22\n4.667 3.67"], ["3 5.22\n4.7 3.67", "3 5.22"]),
    "game_of_life": (
        "[[0,1],[1,0]]",
        ["[[0, 1], [1, 0]]"],
        ["[[0,1],[1,0],[1,1]]", "[[0,1],[1,0,0]]", "[[0,true],[1,0]]"],
    ),
    "time_intervals": ("51 days, 05:57", ["51 days, 05:57:00"], ["51 days", "05:57", "51 days, 05:57, 04:13"]),
}


@pytest.mark.parametrize(
    ("name", "truth", "answer", "right"),
    [
        (name, truth, answer, right)
        for name, (truth, *sides) in CASES.items()
        for right, side in zip((True, False), sides, strict=True)
        for answer in side
    ],
)
def test_what_our_scorers_take(theirs, monkeypatch, name, truth, answer, right):
    task = load_task(task_id(name))
    item = task._item(3)
    changed = {**task._entry(3), "answer": truth}
    monkeypatch.setattr(task, "_entry", lambda place: changed)
    assert answered(task, item, answer).reward == float(right)


FORMS = {
    "advanced_geometry": (["(7.0, -8)", "71.57°", "2"], ["(7, 8, 9)", "(-7.049, -8.756), 3.528", "x 2"]),
    "fraction_simplification": (
        ["$14/51$", r"$\frac{14}{51}$", r"\dfrac{14}{51}", "14 / 51"],
        [r"$\frac{14}{51}$ or $1/2$", "14/51/1", "$14/51"],
    ),
    "sokoban": (["LDUR"], ["ldur", "xyzL", "L R", ""]),
    "quantum_lock": (["A → B", "A->B", "AB", "A, B"], ["not A → B", "A → D"]),
    "kakurasu": (["0 1\n1 0", "0 1 \n 1 0"], ["-0 1\n1 0", "not 0 1", "0 1\n\n\n2"]),
    "complex_arithmetic": (["1 + 2i", "-1.5-2i", "i", "-3.0i", "4"], ["nan", "1 + 2i or 3", "1 2i"]),
    "cryptarithm": (["A=1,B=2"], ["A=1,A=2", "A=12", "A=1,B=2,A=1"]),
    "graph_color": (['{"0": 1, "1": 2}'], ['{"0": 1, "0": 2}', '{"0": "1"}', "{}"]),
    "propositional_logic": (
        ["¬S", "(P \u2228 Q)", "P ∧ Q ∧ ¬R", "((P → Q) ↔ ¬(R \u2228 S))"],
        ["¬R (P ∧ Q)", "P Q", "PQ", "¬", "(P ∧)", "(P ∧ Q", "P or Q", ""],
    ),
    "rush_hour": (["A+1 B-2"], ["not A+1", "A+1, B-2", "A+100"]),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_whole_answer_must_be_of_the_form(name):
    from eggym.envs.rg_scorers import Unreadable, check_form

    good, bad = FORMS[name]
    for answer in good:
        check_form(rows()[name], answer)
    for answer in bad:
        with pytest.raises(Unreadable):
            check_form(rows()[name], answer)


def test_an_answer_of_another_form_is_unparsed_and_their_pay_is_still_recorded(theirs):
    task = load_task("rg-sokoban")
    item = task._item(5)
    found = answered(task, item, f"xyz{item.truth}")
    assert (found.reward, found.state, found.parts["rg"]) == (0.0, VerdictState.UNPARSED, 1.0)
