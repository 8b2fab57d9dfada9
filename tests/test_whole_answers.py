"""The quick path must say what the checker of answers says, on everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.envs import whole_answers
from eggym.envs.answers import judge_answer
from eggym.envs.whole_answers import judge_whole, judge_wholes

PIECES = (
    "\\boxed{",
    "\\boxed",
    "{",
    "}",
    "\\",
    "\\\\",
    "\\{",
    " ",
    "\n",
    "12",
    "-12",
    "0",
    "012",
    "-0",
    "7",
    "1,234",
    "so",
)


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.sampled_from(["12", "-12", "0", "7"]))
def test_replies_of_boxes_and_braces_are_judged_alike(reply, truth):
    assert judge_whole(truth, reply) == judge_answer(truth, reply)


@pytest.mark.parametrize("truth", ["12", "-12", "0", "3/4"])
@pytest.mark.parametrize(
    "reply",
    [
        "\\boxed{12}",
        "\\boxed{-12}",
        "\\boxed{0}",
        "\\boxed{ 12 }",
        "\\boxed{012}",
        "\\boxed{\\boxed{12}}",
        "\\boxed{5\\boxed{12}}",
        "\\\\boxed{12}",
        "\\boxed{3}\\boxed{12}",
        "\\boxed 12",
        "\\boxed{\u0661\u0662}",
        "\\boxed{12",
        "{\\boxed{12}}",
        "\\boxed{12} \\boxed",
        "\\boxed{12\n}",
    ],
)
def test_twisted_replies_are_judged_alike(reply, truth):
    assert judge_whole(truth, reply) == judge_answer(truth, reply)


def test_plain_answers_never_reach_the_checker(monkeypatch):
    def refuse(*args):
        raise AssertionError(args)

    monkeypatch.setattr(whole_answers, "judge_answer", refuse)
    monkeypatch.setattr(whole_answers, "judge_answers", refuse)
    assert judge_whole("12", "so \\boxed{12}.").reward == 1.0
    assert [each.reward for each in judge_wholes(["12", "-3"], ["\\boxed{13}", "\\boxed{-3}"])] == [0.0, 1.0]


def test_a_batch_keeps_its_order_where_some_need_the_checker():
    truths = ["1", "2", "3", "3/4"]
    replies = ["\\boxed{1}", "\\boxed{2.0}", "none", "\\boxed{0.75}"]
    assert [each.reward for each in judge_wholes(truths, replies)] == [1.0, 1.0, 0.0, 1.0]
    assert judge_wholes([], []) == []
