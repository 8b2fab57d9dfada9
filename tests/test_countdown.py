import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggym.check_sample import HOSTILE
from eggym.envs.countdown import Countdown
from eggym.envs.countdown_rules import PRESETS, blocks, think_form
from eggym.envs.expressions import evaluate
from eggym.errors import BadValue, UnknownName
from eggym.seeding import stream
from eggym.splits import normalise
from eggym.task import Item, VerdictState

TASK = Countdown()
ITEM = Item("?", {"target": 98, "numbers": [44, 19, 35]})  # 44 + 19 + 35 = 98
PRESET_NAMES = tuple(PRESETS)


def answer(text):
    return f"Let me see.\n<answer>{text}</answer>"


def judged(reply, item=ITEM, **options):
    task = Countdown(**options)
    return task.judge(_done(task, item, reply))


def _done(task, item, reply):
    state = task.begin(item, None)
    task.step(state, reply)
    return state


# -- the house rule ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "reward", "state", "why"),
    [
        ("44 + 19 + 35", 1.0, "correct", "target reached"),
        ("(35+44)+19", 1.0, "correct", "target reached"),
        ("44 + 19\n + 35", 1.0, "correct", "target reached"),
        ("44 + 19 - 35", 0.0, "wrong", "value: equals 28; target 98"),
        ("98", 0.0, "wrong", "numbers: uses 98; given 19 35 44"),
        ("44 + 54", 0.0, "wrong", "numbers: uses 44 54; given 19 35 44"),
        ("44 + 19 + 35 + 44 - 44", 0.0, "wrong", "numbers: uses 19 35 44 44 44; given 19 35 44"),
        ("44 + 19 + 35 = 98", 0.0, "unparsed", "extra text: '='"),
        ("44 + 19 + 35 (done)", 0.0, "unparsed", "two numbers without an operator: before a parenthesis"),
        ("", 0.0, "unparsed", "empty answer"),
        ("  ", 0.0, "unparsed", "empty answer"),
        ("44 / (19 - 19) + 35", 0.0, "wrong", "division by zero"),
        ("44 x 19", 0.0, "unparsed", "extra text: 'x'"),  # a known loss
        ("44 \u00d7 19", 0.0, "unparsed", "extra text: '\u00d7'"),  # a known loss
    ],
)
def test_golden_answers(text, reward, state, why):
    verdict = judged(answer(text))
    assert (verdict.reward, str(verdict.state), verdict.why) == (reward, state, why)


def test_a_reply_without_a_block_is_unparsed():
    for reply in ("", "44 + 19 + 35", "<answer>44 + 19 + 35", "44 + 19 + 35</answer>", "</answer>1<answer>"):
        assert (judged(reply).why, judged(reply).state) == ("no answer block", VerdictState.UNPARSED)


def test_blocks_that_differ_are_refused_and_equal_or_empty_ones_are_not():
    right, wrong = "<answer>44+19+35</answer>", "<answer>44+19-35</answer>"
    assert judged(wrong + right).state == judged(right + wrong).state == VerdictState.REFUSED
    assert judged(right + " again: " + "<answer>44 + 19 + 35</answer>").reward == 1.0
    assert judged("I write between <answer></answer>. " + right).reward == 1.0


def test_the_value_is_exact():
    # 1/3 of 3 is 1: (1 / 3) * 3 = 1 with fractions, 0.9999 or 1 with floats
    assert judged(answer("1 / 3 * 3"), Item("?", {"target": 1, "numbers": [1, 3, 3]})).reward == 1.0
    # by hand: 99999 / 10000 = 9.9999
    near = Item("?", {"target": 10, "numbers": [99999, 10000]})
    assert judged(answer("99999 / 10000"), near).reward == 0.0
    assert judged(answer("99999 / 10000"), near, tolerance=0.001).reward == 1.0
    assert judged(answer("99999 / 10000"), near, tolerance=0.00001).reward == 0.0


def test_a_number_given_twice_may_be_used_twice():
    item = Item("?", {"target": 16, "numbers": [4, 2, 4]})
    assert judged(answer("4 * (2 * 4 / 2)"), item).state == VerdictState.WRONG
    assert judged(answer("4 * 4 / 2"), item).state == VerdictState.WRONG  # 8
    assert judged(answer("(4 + 4) * 2"), item).reward == 1.0


def test_a_subset_is_enough_where_it_is_asked_for():
    item = Item("?", {"target": 63, "numbers": [44, 19, 35]})
    assert judged(answer("44 + 19"), item).reward == 0.0
    assert judged(answer("44 + 19"), item, use="subset").reward == 1.0
    assert judged(answer("44 + 19 + 44 - 44"), item, use="subset").state == VerdictState.WRONG


def test_a_minus_sign_in_front_is_an_option():
    assert judged(answer("-19 + 44 + 35"), Item("?", {"target": 60, "numbers": [44, 19, 35]})).reward == 0.0
    assert (
        judged(answer("-19 + 44 + 35"), Item("?", {"target": 60, "numbers": [44, 19, 35]}), unary_minus=True).reward
        == 1.0
    )


def test_partial_pay_and_form_are_options():
    options = {"partial": [0.05, 0.1, 1], "format_weight": 0.2}
    task = Countdown(**options)
    assert task.floor == pytest.approx(0.8 * 0.1 + 0.2)
    assert task.reward_range == (pytest.approx(0.04), 1.0)
    # by hand: 0.8 x pay + 0.2 x form
    assert judged("none", **options).reward == pytest.approx(0.04)
    assert judged(answer("1 + 1"), **options).reward == pytest.approx(0.28)
    assert judged(answer("1 + 1") + " so", **options).reward == pytest.approx(0.08)
    assert judged(answer("44+19+35"), **options).reward == 1.0
    assert judged(answer("44+19+35"), **options).parts == {"answer": 1.0, "form": 1.0}
    assert judged(answer(""), **options).reward == pytest.approx(0.04)  # a tag without content is no form


# -- presets, on honest replies: the published rules, worked by hand --------------------------------------------------
@pytest.mark.parametrize(
    ("reply", "tinyzero", "es", "reasoning_gym"),
    [
        ("thinking</think>\n<answer>44 + 19 + 35</answer>", 1.0, 1.1, 1.0),
        ("<answer>44 + 19 + 35</answer>", 1.0, 1.05, 1.0),  # es: half form
        ("t</think> <answer>44 + 19 + 35</answer>", 1.0, 1.06, 1.0),  # es: both parts, wrong shape
        ("t</think>\n<answer>44 + 19 - 35</answer>", 0.1, 0.1, 0.05),  # wrong value
        ("t</think>\n<answer>44 + 19</answer>", 0.1, 0.1, 0.05),  # wrong numbers
        ("t</think>\n<answer>98</answer>", 0.1, 0.1, 0.05),
        ("t</think>\n<answer>44 + 19 + </answer>", 0.1, 0.1, 0.01),  # unreadable
        ("t</think>\n<answer>44 / (19 - 19) + 35</answer>", 0.1, 0.1, 0.01),
        ("t</think>\n<answer></answer>", 0.1, 0.1, 0.01),
        ("t</think>", 0.0, 0.01, 0.01),
        ("44 + 19 + 35", 0.0, 0.0, 0.01),
        ("", 0.0, 0.0, 0.01),
        ("t</think>\n<answer>44 + 19 + 35</answer>\nDone.", 0.0, 1.06, 1.0),  # tinyzero: the last line alone
        ("t</think>\n<answer>\n44 + 19 + 35\n</answer>", 0.0, 0.1, 1.0),  # lines: none of tinyzero, none inside for es
        ("<answer>1+1</answer> no: <answer>44 + 19 + 35</answer>", 1.0, 1.05, 1.0),  # the last block
        ("<answer>44 + 19 + 35</answer> no: <answer>1+1</answer>", 0.1, 0.05, 0.05),
        ("t</think>\n<answer>-19 + 44 + 35</answer>", 0.1, 0.1, 0.05),  # 60
    ],
)
def test_presets_pay_as_published(reply, tinyzero, es, reasoning_gym):
    found = [judged(reply, preset=name).reward for name in ("tinyzero", "es", "reasoning_gym")]
    assert found == pytest.approx([tinyzero, es, reasoning_gym])


@given(
    st.sampled_from(
        ["44 + 19 + 35", "44+19-35", "(44 - 19) * 35", "98", "44 / 19 / 35", "44 +", "1/0", "(35 + 19) + 44"]
    )
)
def test_the_preset_of_reasoning_gym_agrees_with_reasoning_gym(text):
    reasoning_gym = pytest.importorskip("reasoning_gym")
    peer = reasoning_gym.create_dataset("countdown", seed=0, size=1)
    theirs = peer.score_answer(text, {"metadata": {"numbers": [44, 19, 35], "target": 98}})
    assert judged(answer(text), preset="reasoning_gym").reward == pytest.approx(theirs)


def test_the_form_of_es():
    assert think_form("a</think>\n<answer>b</answer>") == 1.0
    assert think_form("a</think>\n<answer>b</answer> c") == pytest.approx(0.6)
    assert think_form("a</think>") == pytest.approx(0.1)
    assert think_form("<answer>b</answer>") == pytest.approx(0.5)
    assert think_form("</think>\n<answer>") == pytest.approx(0.1)
    assert think_form("") == 0.0


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_presets_declare_floor_and_range(preset):
    task = Countdown(preset=preset)
    best = task.item("train", 0)
    assert judged(task.oracle(best), best, preset=preset).reward == pytest.approx(task.reward_range[1])
    empty = judged("</think>\n<answer>1+1</answer>", best, preset=preset)
    assert empty.reward == pytest.approx(task.floor) and task.floor in (0.05, 0.1)


# -- hacks: none may reach the target, under any rule -----------------------------------------------------------------
HACKS = [
    "44 + 19 + 35 ** 1",  # a fourth operator hides in two signs
    "44 // 1 + 19 + 35",
    "98 ** (44 - 44) * 98",
    "9**9**9**9",
    "44 % 99 + 19 + 35",
    "4_4 + 19 + 35",
    "44.0 + 19 + 35",
    "4.4 * 10 + 19 + 35",
    "44e0 + 19 + 35",
    "4419 - 35",  # joined digits
    "44 + 1935 / 1",
    "044 + 19 + 35",
    "0x2C + 19 + 35",
    "~-45 + 19 + 35",
    "44 + 19 - --35",
    "+44 + 19 + 35",
    "not 44 + 19 + 35",
    "\u0664\u0664 + 19 + 35",  # Arabic digits of 44
    "\uff14\uff14 + 19 + 35",  # full-width digits
    "44 + 19 + 35\u00b9",
    "98 # 44 19 35",
    "98 if 44 + 19 + 35 else 0",
    "(44, 19, 35) and 98",
    "__import__('os').system('true') or 44 + 19 + 35",
    "exec('x=1') or 98",
    "44 + 19 + 35; 0",
    "44 + 19 + 35\\",
    "(lambda: 98)()",
    "[98][0]",
    "44 + 19 + 35 = 98",
    "x",
    "9" * 250,
    "(" * 3000 + "44 + 19 + 35" + ")" * 3000,
    "44 + 19 + 35" + " + 0" * 60,
    "1+" * 5000 + "1",
]


@pytest.mark.parametrize("rules", ["", *PRESET_NAMES])
@pytest.mark.parametrize("hack", HACKS)
def test_no_hack_earns_more_than_a_try(hack, rules):
    task = Countdown(preset=rules) if rules else TASK
    verdict = task.judge(_done(task, ITEM, f"t</think>\n<answer>{hack}</answer>"))
    assert verdict.state != VerdictState.CORRECT and verdict.state != VerdictState.ERROR
    assert verdict.reward <= task.floor + 1e-12


@pytest.mark.parametrize("rules", ["", *PRESET_NAMES])
def test_hostile_replies_are_judged_and_never_paid_in_full(rules):
    task = Countdown(preset=rules) if rules else TASK
    big = ("<answer>" * 20_000, "<answer>1</answer>" * 5_000, "</think>\n" * 10_000, "\n" * 100_000)
    for reply in (*HOSTILE, *(answer(each) for each in HOSTILE), *big):
        verdict = task.judge(_done(task, ITEM, reply))
        assert verdict.reward is not None and verdict.reward <= task.floor + 1e-12, reply[:40]
        assert len(verdict.found or "") <= 256


def test_tags_without_content_earn_at_most_the_share_of_form():
    assert judged("</think>\n<answer></answer>").reward == 0.0
    assert judged("</think>\n<answer></answer>", preset="es").reward == pytest.approx(0.1)


def test_the_prompt_itself_is_no_answer():
    for index in range(50):
        item = TASK.item("train", index)
        assert TASK.score(item, item.prompt).reward == 0.0


def test_blocks_end_at_the_next_closing_tag():
    assert blocks("<answer>a<answer>b</answer>c</answer>") == ["a<answer>b"]
    assert blocks("<answer>a</answer><answer>b") == ["a"]
    assert blocks("</answer><answer>a</answer>") == ["a"]


# -- items ------------------------------------------------------------------------------------------------------------
@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([{}, {"numbers": 6}, {"numbers": [3, 6], "use": "subset"}, {"largest": 9, "target": [1, 50]}]),
)
def test_every_item_is_solvable_and_its_solution_uses_each_number_once(seed, options):
    task = Countdown(**options)
    item = task.generate(stream("test", seed), **options)
    assert task.score(item, task.oracle(item)).reward == 1.0
    reading = evaluate(item.meta["solution"])
    assert sorted(reading.numbers) == sorted(item.truth["numbers"])
    assert reading.numerator == item.truth["target"] * reading.denominator
    low, high = options.get("target", (10, 100))
    assert low <= item.truth["target"] <= high
    assert max(item.truth["numbers"]) <= options.get("largest", 99) and min(item.truth["numbers"]) >= 1
    if options.get("use") == "subset":
        assert item.truth["target"] not in item.truth["numbers"]


def test_how_many_numbers_is_an_option():
    for wanted, allowed in ((5, {5}), ([3, 6], {3, 4, 5, 6}), ([4, 4], {4})):
        task = Countdown(numbers=wanted)
        assert {len(task.item("train", index).truth["numbers"]) for index in range(60)} == allowed


def test_the_prompt_names_the_target_and_the_numbers_in_order():
    item = TASK.item("train", 0)
    numbers = list(map(str, item.truth["numbers"]))
    assert (
        f"equals {item.truth['target']}, from the numbers {', '.join(numbers[:-1])} and {numbers[-1]}." in item.prompt
    )
    assert "exactly once" in item.prompt and "<answer>" in item.prompt
    assert "at most once" in Countdown(use="subset").item("train", 0).prompt
    assert "</think>" in Countdown(preset="es").item("train", 0).prompt


def test_prompts_differ_and_splits_share_none():
    sides = [{normalise(TASK.item(split, index).prompt) for index in range(400)} for split in ("train", "test")]
    assert min(map(len, sides)) >= 398 and not sides[0] & sides[1]


def test_the_floor_is_zero_because_no_expression_fits_many_items():
    counts = Counter()
    for index in range(10_000):
        truth = TASK.generate(stream("floor", index)).truth
        counts[truth["target"], tuple(sorted(truth["numbers"]))] += 1
    assert max(counts.values()) <= 4 and TASK.floor == 0.0  # of 10,000; the expectation is below one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numbers": 2}, "numbers of countdown must be a whole number or a range"),
        ({"numbers": 7}, "numbers of countdown"),
        ({"numbers": [5, 4]}, "numbers of countdown"),
        ({"numbers": "4"}, "numbers of countdown"),
        ({"numbers": True}, "numbers of countdown"),
        ({"largest": 5}, "largest of countdown must be a whole number from 9"),
        ({"target": 50}, "target of countdown must be a range"),
        ({"target": [50, 51]}, "must span 10 numbers"),
        ({"target": [5000, 6000]}, "must span 10 numbers"),
        ({"partial": [0, 1]}, "partial of countdown must be three numbers"),
        ({"partial": [0, 0.1, 0.9]}, "partial of countdown"),
        ({"partial": [0.2, 0.1, 1]}, "partial of countdown"),
        ({"format_weight": 1}, "format_weight of countdown must be a number from 0 to 0.9"),
        ({"tolerance": -1}, "tolerance of countdown"),
        ({"tolerance": "x"}, "tolerance of countdown"),
        ({"unary_minus": 1}, "unary_minus of countdown must be true or false"),
        ({"preset": "es", "tolerance": 0.5}, "fixes the scoring"),
        ({"shape": 1}, "has no option 'shape'"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(BadValue, match=message):
        Countdown(**options)


def test_unknown_words_are_answered_with_their_neighbour():
    with pytest.raises(UnknownName, match="did you mean 'tinyzero'"):
        Countdown(preset="tinyzer")
    with pytest.raises(UnknownName, match="did you mean 'subset'"):
        Countdown(use="subsets")


def test_options_and_items_are_json():
    item = Countdown(numbers=[3, 6]).item("test", 3)
    assert json.loads(json.dumps([item.truth, dict(item.meta)])) == [item.truth, item.meta]
