import json
import random
from decimal import Decimal

import pytest

from eggym.contract import check_settings
from eggym.digest import digest
from eggym.errors import BadValue, TaskFault
from eggym.item import item_fault
from eggym.splits import check_split, normalise, split_of
from eggym.task import Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState, size_of


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


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (Item("\ud800?"), r"its prompt holds a lone surrogate, which no file can: '\\ud800\?'"),
        (Item("x", meta=None), "its meta is no mapping but None"),
        (Item("x", meta=[1]), r"its meta is no mapping but \[1\]"),
        (Item("x", {1, 2}), r"its truth is no JSON value \(TypeError: Object of type set"),
        (Item("x", set()), "its truth is no JSON value"),  # empty, and yet none
        (Item("x", Decimal(0)), "its truth is no JSON value"),
        (Item("x", (1, 2)), r"its truth changes on its way through JSON: \(1, 2\) becomes \[1, 2\]"),
        (Item("x", ()), "its truth changes on its way through JSON"),
        (Item("x", float("nan")), r"its truth is no JSON value \(ValueError: Out of range float"),
        (Item("x", 10**5000), r"its truth is no JSON value \(ValueError: Exceeds the limit"),
        (Item("x", "\udfff"), r"its truth is no JSON value \(UnicodeEncodeError"),
        (Item("x", meta={3: 1}), r"its meta changes on its way through JSON: \{3: 1\} becomes \{'3': 1\}"),
        (Item("x", meta={"a": b"x"}), "its meta is no JSON value"),
    ],
    ids=lambda value: "",
)
def test_an_item_that_cannot_be_written_down_is_named(item, message):
    task = type("Odd", (Sums,), {"generate": lambda self, rng: item})()
    with pytest.raises(TaskFault, match=rf"^task 'me/sums-v0', item test\[3\]: {message}"):
        task.item("test", 3)


def test_deep_truths_are_no_json():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "its truth is no JSON value (RecursionError" in item_fault(Item("x", deep))


@pytest.mark.parametrize("truth", [None, 0, -3, 2.5, "é", True, [1, [2, "x"]], {"a": {"b": None}}])
def test_what_survives_json_may_be_a_truth(truth):
    assert item_fault(Item("é?", truth, {"rows": truth})) == ""


@pytest.mark.parametrize(
    ("base", "name", "use"),
    [
        (Sums, "generate", lambda task: task.item("train", 0)),
        (Sums, "oracle", lambda task: task.oracle_reply(task.begin(Item("1+1=", 2), random.Random(0)))),
        (Warmer, "start", lambda task: task.begin(Item("room 1", 7), random.Random(0))),
        (Warmer, "reply", lambda task: task.step({"truth": 1}, "1")),
        (Warmer, "oracle", lambda task: task.oracle_reply({})),
        (Sums, "n_items", lambda task: size_of(task, "train")),
        (Sums, "identity", digest),
    ],
)
@pytest.mark.parametrize("problem", [SystemExit, GeneratorExit, type("Mine", (BaseException,), {})])
def test_authors_code_cannot_end_the_program(base, name, use, problem):
    def fail(*given, **more):
        raise problem("x")

    task = type("Odd", (base,), {name: fail, "__module__": base.__module__})()
    with pytest.raises(TaskFault, match=f"task '{base.id}': {name} raised {problem.__name__}: x"):
        use(task)


@pytest.mark.parametrize("problem", [SystemExit, GeneratorExit])
def test_a_score_that_ends_the_program_is_an_error_and_no_zero(problem):
    def fail():
        raise problem

    verdict = judged(scoring(fail))
    assert (verdict.reward, verdict.state, verdict.why) == (None, "error", f"score raised {problem.__name__}")


def test_ctrl_c_ends_the_program_wherever_it_is():
    def stop(*given):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judged(scoring(stop))
    with pytest.raises(KeyboardInterrupt):
        type("Odd", (Sums,), {"generate": stop})().item("train", 0)


@pytest.mark.parametrize("said", [5, b"5", ["5"]])
def test_an_oracle_says_a_text_or_nothing(said):
    task = type("Odd", (Sums,), {"oracle": lambda self, item: said})()
    with pytest.raises(TaskFault, match="oracle must return a str or None, got"):
        task.oracle_reply(task.begin(task.item("train", 0), random.Random(0)))


def test_an_observation_can_be_written():
    task = type("Echo", (Warmer,), {"reply": lambda self, state, text: (f"you {text}", False)})()
    assert task.step({}, "\ud800é") == ("you \\ud800é", False)


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
        (10**400, "which is not a finite number"),
        (Verdict(1.0, "right"), "gave the state 'right'; there are correct, wrong, unparsed, timeout, refused, error"),
        (Verdict(1.0, None), "gave the state None; there are correct"),
        (Verdict(1.0, ["correct"]), "gave the state"),
        (Verdict("1", VerdictState.CORRECT), "scored '1', which is not"),
        (Verdict(1.0, VerdictState.CORRECT, parts=None), "the parts of a reward are a mapping of names, got None"),
        (Verdict(1.0, VerdictState.CORRECT, parts={"a": "1"}), "a part of a reward is a finite number, got 'a': '1'"),
        (Verdict(1.0, VerdictState.CORRECT, parts={"a": float("nan")}), "a part of a reward is a finite number"),
        (Verdict(1.0, VerdictState.CORRECT, parts={3: 1.0}), "a part of a reward is a finite number, got 3"),
        (Verdict(0.0, VerdictState.ERROR, why="broken"), "^broken$"),  # its reward is dropped
    ],
    ids=lambda value: "",
)
def test_a_failing_grader_is_never_a_zero(value, why):
    verdict = judged(scoring(value))
    assert verdict.reward is None
    assert verdict.state is VerdictState.ERROR
    assert __import__("re").search(why, verdict.why)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Verdict(1.0, "correct"), Verdict(1.0, VerdictState.CORRECT)),
        (Verdict(1.0, VerdictState.CORRECT, 5), Verdict(1.0, VerdictState.CORRECT, "5")),
        (Verdict(1.0, VerdictState.CORRECT, "x", None), Verdict(1.0, VerdictState.CORRECT, "x")),
        (Verdict(1.0, VerdictState.CORRECT, why=ValueError("x")), Verdict(1.0, VerdictState.CORRECT, why="x")),
        (Verdict(0, VerdictState.WRONG, "\ud800é"), Verdict(0.0, VerdictState.WRONG, "\\ud800é")),
        (Verdict(0, VerdictState.WRONG, parts={"a": True}), Verdict(0.0, VerdictState.WRONG, parts={"a": 1.0})),
    ],
    ids=lambda value: "",
)
def test_a_verdict_is_made_fit_for_records(given, kept):
    verdict = judged(scoring(given))
    assert verdict == kept and type(verdict.state) is VerdictState
    assert json.dumps([verdict.found, verdict.why, verdict.parts], ensure_ascii=False, allow_nan=False).encode()


class Mute(Exception):
    def __str__(self):
        raise ValueError


def test_an_exception_without_words_is_an_error_too():
    def fail():
        raise Mute

    assert judged(scoring(fail)).why == "score raised Mute: its message cannot be shown"


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(("floor", value, "a finite number") for value in (None, "0.1", float("nan"), float("inf"), True, 10**400)),
        *(
            ("reward_range", value, "two numbers of at most 1e30, the lower one first and 1e-30 apart")
            for value in (
                (0, float("inf")),
                (0, 1e31),
                (-2e30, 0),
                (0, 1e-31),
                (1, 0),
                (0, 0),
                (0,),
                (0, 1, 2),
                "01",
                None,
                [1, 0],
                ("0", "1"),
            )
        ),
        *(("max_new_tokens", value, "a whole number of at least 1") for value in ("64", 64.0, 0, -1, None, True)),
        *(("max_turns", value, "a whole number from 1 to 1000") for value in (0, -1, "3", 1001, 10_000, 2.0, None)),
        *(("stop", value, "a tuple of texts that are not empty") for value in ("ab", ("",), (1,), None, ("\ud800",))),
        *(("system", value, "a text or None") for value in (5, b"x", "\ud800")),
        *(
            ("few_shot", value, "a tuple of pairs of texts, each a prompt and its reply")
            for value in ("ab", ("ab",), (("a", "b", "c"),), (("a", 1),), (("a",),), None, {"a": "b"})
        ),
        *(("id", value, "a text") for value in (5, None, "\ud800")),
    ],
)
def test_an_attribute_outside_what_is_allowed_is_named(name, value, allowed):
    task = type("Odd", (Sums,), {name: value})()
    with pytest.raises(BadValue, match=rf"^task .*: {name} must be {allowed}.*, got ") as caught:
        check_settings(task)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("reward_range", [-1, 2.5], (-1, 2.5)),
        ("stop", ["\n", "END"], ("\n", "END")),
        ("few_shot", [["a", "b"], ("c", "d")], (("a", "b"), ("c", "d"))),
    ],
)
def test_a_list_becomes_the_tuple_that_belongs_there(name, given, kept):
    task = type("Listed", (Sums,), {name: given})()
    check_settings(task)
    assert getattr(task, name) == kept


@pytest.mark.parametrize(
    ("name", "value"), [("max_turns", 1), ("max_turns", 1000), ("max_new_tokens", 1), ("floor", -3)]
)
def test_the_ends_of_what_is_allowed_are_allowed(name, value):
    check_settings(type("Odd", (Warmer,), {name: value})())
    check_settings(Sums())


def test_an_init_that_forgets_its_parent_is_named():
    class Forgets(Sums):
        def __init__(self):
            self.size = 3

    with pytest.raises(BadValue, match=r"'me/sums-v0': difficulty must be .*must call super\(\).__init__"):
        check_settings(Forgets())


@pytest.mark.parametrize("size", ["5", 5.0, -1, True])
def test_a_number_of_items_is_a_whole_number_or_none(size):
    task = type("Odd", (Sums,), {"n_items": lambda self, split: size})()
    for look in (check_settings, lambda task: size_of(task, "train")):
        with pytest.raises(TaskFault, match=r"n_items\('train'\) must return a whole number or None, got"):
            look(task)


def test_environments_refuse_odd_attributes():
    from eggym.env import TextEnv
    from eggym.vector import TextVectorEnv

    task = type("Odd", (Sums,), {"stop": "ab"})()
    for make in (lambda: TextEnv(task), lambda: TextVectorEnv(task, 2)):
        with pytest.raises(BadValue, match="task 'me/sums-v0': stop must be a tuple of texts"):
            make()


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
