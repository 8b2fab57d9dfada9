import pytest

from eggym.errors import BadValue
from eggym.play import play
from eggym.registry import load_task
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState
from eggym.wording import printable


class Capital(SingleTurnTask):
    id = "me/capital-v0"

    def item(self, split, index):
        return Item("Capital of France?", "Paris", {}, index, split)

    def score(self, item, reply):
        if reply == item.truth:
            return 1.0
        return Verdict(0.0, VerdictState.WRONG, reply, "expected Paris")

    def oracle(self, item):
        return item.truth


class Door(MultiTurnTask):
    id = "me/door-v0"
    max_turns = 2

    def item(self, split, index):
        return Item("a door", None, {}, index, split)

    def start(self, item, rng):
        return []

    def reply(self, state, text):
        state.append(text)
        return f"you {text}", text == "enter"

    def score(self, state):
        return float(state == ["knock", "enter"])


def session(task, replies, index=0):
    """Play with scripted replies; return the verdict and all that was told."""
    told, left = [], list(replies)

    def ask(prompt):
        assert prompt == "> "
        return left.pop(0)

    verdict = play(task, "train", index, ask, told.append)
    assert left == []
    return verdict, told


class Copy(Capital):
    def score(self, item, reply):
        return float(reply == "```python\nx = 1\n\ny = 2\n```")


@pytest.mark.parametrize("typed", [["```python", "x = 1", "", "y = 2", "```"], ["~~~", "a", "~~~"], ["```", "cut off"]])
def test_a_fenced_block_is_one_reply(typed):
    told, left = [], list(typed)

    def ask(prompt):
        if not left:
            raise EOFError
        return left.pop(0)

    verdict = play(Copy(), "train", 0, ask, told.append)
    assert left == [] and (verdict.reward == 1.0) is (len(typed) == 5)


def test_one_best_reply_for_all_turns_is_told_once():
    class Same(Door):
        def oracle(self, state):
            return "push"

    _, told = session(Same(), ["knock", "enter"])
    assert told[-1] == "the best: push"


def test_a_right_answer():
    verdict, told = session(Capital(), ["Paris"])
    assert verdict.reward == 1.0
    assert told == ["Capital of France?", "correct: reward 1", "the best: Paris"]


def test_a_wrong_answer_says_why_and_what_was_read():
    _, told = session(Capital(), ["Lyon"])
    assert told[1:] == ["wrong: reward 0, read as 'Lyon' (expected Paris)", "the best: Paris"]


def test_several_turns_and_no_oracle():
    verdict, told = session(Door(), ["knock", "enter"])
    assert verdict.reward == 1.0
    assert told == ["a door", "you knock", "you enter", "correct: reward 1"]


def test_the_cap_on_turns_ends_it():
    verdict, told = session(Door(), ["wait", "wait"])
    assert (verdict.reward, told[-1]) == (0.0, "wrong: reward 0")


def test_what_cannot_be_judged_is_no_zero():
    task = type("Broken", (Capital,), {"score": lambda self, item, reply: 1 / 0})()
    verdict, told = session(task, ["Paris"])
    assert verdict.reward is None
    assert told[1] == "error: no reward (score raised ZeroDivisionError: division by zero)"


def test_a_task_of_the_house_can_be_played():
    task = load_task("tiny-arithmetic")
    item = task.item("train", 3)
    verdict, told = session(task, [task.oracle(item)], index=3)
    assert verdict.reward == 1.0 and told[0] == item.prompt


def test_an_index_that_does_not_exist_is_refused():
    with pytest.raises(BadValue, match="at least 0, got -1"):
        session(load_task("tiny-arithmetic"), [], index=-1)


def test_what_a_task_says_cannot_command_a_terminal():
    class Hostile(Door):
        def item(self, split, index):
            return Item("\x1b[2J\x07a\tdoor\n\x9b1m\u202e", None, {}, index, split)

        def reply(self, state, text):
            return "\x1b]0;title\x07", True

        def score(self, state):
            return Verdict(0.0, VerdictState.WRONG, "\x1b[1m", "\x1b[31mred\r")

        def oracle(self, state):
            return "\x1b[5m"

    _, told = session(Hostile(), ["in"])
    assert told == [
        "\\x1b[2J\\x07a\tdoor\n\\x9b1m\\u202e",
        "\\x1b]0;title\\x07",
        "wrong: reward 0, read as '\\x1b[1m' (\\x1b[31mred\\r)",
        "the best: \\x1b[5m",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext, é, \u4e2d", "plain\n\ttext, é, \u4e2d"),
        ("\x1b\x00\x7f\x9b\r", "\\x1b\\x00\\x7f\\x9b\\r"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_and_surrogates_are_shown_as_escapes(text, shown):
    assert printable(text) == shown
