import random
from decimal import Decimal

import pytest

from eggym.errors import BadValue, TaskFault
from eggym.task import (
    Item,
    MultiTurnTask,
    SingleTurnTask,
    Verdict,
    VerdictState,
    check_split,
    digest,
    normalise,
    split_of,
)


class Sums(SingleTurnTask):
    id = "me/sums-v0"

    def generate(self, rng, largest=99):
        a, b = rng.randint(0, largest), rng.randint(0, largest)
        return Item(f"{a}+{b}=", a + b)

    def score(self, item, reply):
        return float(reply == str(item.truth))

    def oracle(self, item):
        return str(item.truth)


class Warmer(MultiTurnTask):
    """Say a number; hear whether it is the one; three turns."""

    id = "me/warmer-v0"
    max_turns = 3

    def generate(self, rng):
        return Item(f"room {rng.randint(0, 999)}", rng.randint(0, 9))

    def start(self, item, rng):
        return {"truth": item.truth, "hit": False}

    def reply(self, state, text):
        state["hit"] = text == str(state["truth"])
        return ("yes" if state["hit"] else "no"), state["hit"]

    def score(self, state):
        return float(state["hit"])


def scoring(value, **attributes):
    """A task whose score is ``value``, or what calling it gives."""

    def score(self, item, reply):
        return value() if callable(value) else value

    return type("Odd", (Sums,), {"score": score, **attributes})()


def judged(task, reply="1"):
    state = task.begin(task.item("train", 0), random.Random(0))
    task.step(state, reply)
    return task.judge(state)


def test_an_item_is_the_same_for_ever():
    # Fixed once: a change here changes every problem that anyone has ever been asked.
    item = Sums().item("test", 3)
    assert item == Item("92+52=", 144, {}, 3, "test")
    assert Sums().item("test", 3) == item


def test_difficulty_reaches_generate_and_makes_other_items():
    assert Sums(largest=5).item("train", 0).truth <= 10
    assert Sums(largest=98).item("train", 0) != Sums().item("train", 0)


def test_no_prompt_stands_in_two_splits():
    task = Sums()
    sides = {
        split: {task.item(split, index).prompt for index in range(300)} for split in ("train", "validation", "test")
    }
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["validation"]
    assert not sides["validation"] & sides["test"]


def test_a_split_is_a_tenth_or_eight():
    sides = [split_of("me/sums-v0", f"{number}?") for number in range(10_000)]
    # binomial: 1000 +- 30 per tenth; five standard deviations
    assert abs(sides.count("test") - 1000) < 150
    assert abs(sides.count("validation") - 1000) < 150


def test_the_split_ignores_case_and_spacing():
    assert normalise("  What\u00a0IS \n 2?") == "what is 2?"
    assert split_of("me/x-v0", "What is 2?") == split_of("me/x-v0", " what  IS 2?")


def test_a_salted_test_split_has_other_items_of_the_same_side():
    task = Sums()
    salted = [task.item("test:secret", index) for index in range(20)]
    assert {split_of(task.id, item.prompt) for item in salted} == {"test"}
    assert salted != [task.item("test", index) for index in range(20)]


@pytest.mark.parametrize("split", ["tests", "", "train:salt", "test:", "Test"])
def test_a_split_that_does_not_exist_is_refused(split):
    with pytest.raises(BadValue, match="there are train, validation, test and test:SALT"):
        check_split(split)


def test_an_unknown_option_names_those_that_exist():
    with pytest.raises(BadValue, match="task 'me/sums-v0' has no option 'smallest'; its options: largest"):
        Sums(smallest=3)


def test_an_option_that_is_no_json_is_refused():
    with pytest.raises(BadValue, match="options of task 'me/sums-v0' must be JSON values"):
        Sums(largest=Decimal(3))


def test_a_negative_index_is_refused():
    with pytest.raises(BadValue, match="an index of task 'me/sums-v0' is at least 0, got -1"):
        Sums().item("train", -1)


def test_prompts_that_hardly_vary_are_refused():
    class Same(Sums):
        def generate(self, rng):
            return Item("always", 1)

    sides = [split for split in ("train", "validation", "test") if split_of("me/sums-v0", "always") != split]
    with pytest.raises(TaskFault, match=f"none of 1000 drawn prompts belongs to '{sides[0]}'"):
        Same().item(sides[0], 0)


@pytest.mark.parametrize("made", ["a text", None, Item(17, 3)])
def test_generate_must_return_an_item_with_a_text(made):
    class Odd(Sums):
        def generate(self, rng):
            return made

    with pytest.raises(TaskFault, match="generate must return an Item whose prompt is a str"):
        Odd().item("train", 0)


def test_generate_that_raises_is_named():
    class Odd(Sums):
        def generate(self, rng):
            return {}["x"]

    with pytest.raises(TaskFault, match="task 'me/sums-v0': generate raised KeyError: 'x'"):
        Odd().item("train", 0)


@pytest.mark.parametrize(
    ("value", "reward", "state"),
    [
        (1.0, 1.0, "correct"),
        (1, 1.0, "correct"),
        (True, 1.0, "correct"),
        (0.25, 0.25, "wrong"),  # partly right
        (0, 0.0, "wrong"),
        (Verdict(0.5, VerdictState.UNPARSED, "x"), 0.5, "unparsed"),
        (Verdict(1, VerdictState.CORRECT), 1.0, "correct"),
        (Verdict(None, VerdictState.TIMEOUT), None, "timeout"),
    ],
)
def test_a_score_becomes_a_verdict(value, reward, state):
    verdict = judged(scoring(value))
    assert (verdict.reward, verdict.state) == (reward, state)
    assert verdict.reward is None or type(verdict.reward) is float


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "scored nan, which is not a finite number"),
        (float("inf"), "scored inf, which is not a finite number"),
        ("1", "scored '1', which is not a finite number"),
        (None, "scored None, which is not a finite number"),
        (1.5, r"scored 1.5, outside its reward_range \[0, 1\]"),
        (-0.1, r"outside its reward_range \[0, 1\]"),
        (Verdict(2.0, VerdictState.CORRECT), "scored 2.0, outside"),
        (lambda: 1 / 0, "score raised ZeroDivisionError: division by zero"),
    ],
)
def test_a_failing_grader_is_never_a_zero(value, why):
    verdict = judged(scoring(value))
    assert verdict.reward is None
    assert verdict.state is VerdictState.ERROR
    assert __import__("re").search(why, verdict.why)


def test_a_range_of_its_own_is_respected():
    verdict = judged(scoring(-3.0, reward_range=(-5.0, 5.0)))
    assert (verdict.reward, verdict.state) == (-3.0, "wrong")


def test_a_turn_of_several():
    task = Warmer()
    state = task.begin(Item("room 1", 7), random.Random(0))
    assert task.step(state, "3") == ("no", False)
    assert task.judge(state).reward == 0.0  # an episode cut here
    assert task.step(state, "7") == ("yes", True)
    assert task.judge(state).reward == 1.0


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("start", lambda self, item, rng: 1 / 0, "start raised ZeroDivisionError"),
        ("reply", lambda self, state, text: 1 / 0, "reply raised ZeroDivisionError"),
        ("reply", lambda self, state, text: "no", r"reply must return \(text, whether it is over\), got 'no'"),
        ("reply", lambda self, state, text: (None, True), "reply must return"),
        ("oracle", lambda self, state: 1 / 0, "oracle raised ZeroDivisionError"),
    ],
)
def test_authors_code_that_fails_is_named(name, code, message):
    task = type("Odd", (Warmer,), {name: code})()
    with pytest.raises(TaskFault, match=f"task 'me/warmer-v0': {message}"):
        state = task.begin(Item("room 1", 7), random.Random(0))
        task.oracle_reply(state)
        task.step(state, "1")


def test_what_is_not_written_is_named():
    class Bare(SingleTurnTask):
        id = "me/bare-v0"

    with pytest.raises(TaskFault, match=r"must define generate\(rng\)"):
        Bare().item("train", 0)


def test_a_digest_changes_with_what_is_asked_and_how_it_is_scored():
    base = digest(Sums())
    assert digest(Sums()) == base
    assert digest(Sums(largest=98)) != base
    assert digest(type("Sums", (Sums,), {"max_new_tokens": 3, "__module__": Sums.__module__})()) != base
    assert digest(type("Sums", (Sums,), {"identity": lambda self: "x", "__module__": Sums.__module__})()) != base
