import json
import pickle
import random
from typing import ClassVar

import pytest

from eggym.digest import digest
from eggym.envs.exam import MODES, Exam
from eggym.errors import BadValue, UnknownName
from eggym.registry import load_task, register
from eggym.splits import split_of
from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

PLAIN = load_task("tiny-arithmetic")


@register
class Marks(SingleTurnTask):
    """The reply is the mark, from -1 to 3; "fail" breaks the grader. Notes what it judges."""

    id: ClassVar[str] = "test/marks-v0"
    reward_range: ClassVar[tuple[float, float]] = (-1.0, 3.0)
    floor: ClassVar[float] = 1.0
    max_new_tokens: ClassVar[int] = 7
    stop: ClassVar[tuple[str, ...]] = (";",)
    system: ClassVar[str] = "Mark yourself."
    few_shot: ClassVar[tuple[tuple[str, str], ...]] = (("0?", "3"),)
    calls: ClassVar[list[list[tuple[int, str]]]] = []

    def generate(self, rng: random.Random) -> Item:
        return Item(f"{rng.randrange(10**6)}?")

    def score_all(self, items, replies):
        Marks.calls.append([(item.index, reply) for item, reply in zip(items, replies, strict=True)])
        return [Verdict(None, VerdictState.ERROR, why="broken") if r == "fail" else float(r or -1) for r in replies]


def play(task, item, replies):
    state, seen = task.begin(item, random.Random(0)), [item.prompt]
    for reply in replies:
        observation, done = task.step(state, reply)
        seen.append(observation)
        if done:
            break
    return state, seen


def marked(replies, **options):
    task = Exam(task="test/marks-v0", turns=len(replies), **options)
    return task.judge(play(task, task.item("train", 0), replies)[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["tiny-arithmetic", "tiny-orders", "tiny-programs", "test/marks-v0"])
def test_an_exam_of_one_question_is_the_plain_task(name, mode):
    plain, exam = load_task(name), Exam(task=name, turns=1, mode=mode)
    for field in ("floor", "reward_range", "stop", "max_new_tokens", "system", "few_shot"):
        assert getattr(exam, field) == getattr(plain, field), field
    for split in ("train", "test:salt"):
        for index in range(5):
            question, item = plain.item(split, index), exam.item(split, index)
            assert item.prompt == question.prompt
            for reply in (plain.oracle(question) or "2.3", "0", "2"):
                if name != "test/marks-v0" or reply != "":
                    alone = plain.begin(question, random.Random(0))
                    plain.step(alone, reply)
                    assert exam.judge(play(exam, item, [reply])[0]) == plain.judge(alone)


def test_questions_are_a_block_of_the_inner_items_of_the_same_split():
    exam = Exam(turns=3)
    for split in ("train", "validation", "test"):
        item = exam.item(split, 5)
        inner = [PLAIN.item(split, index) for index in (15, 16, 17)]  # by hand: 5*3 and the two after it
        assert play(exam, item, ["", "", ""])[1] == [*(question.prompt for question in inner), ""]
        for row in item.truth["questions"]:
            assert row["split"] == split and split_of(PLAIN.id, row["prompt"]) == split


def test_the_three_modes_by_hand():
    # the range is -1 to 3, so the marks 3, 1, 2 are the shares 1, 1/2, 3/4: mean 3/4, product 3/8
    assert marked(["3", "1", "2"], mode="sum").reward == pytest.approx(2.0)
    assert marked(["3", "1", "2"], mode="all").reward == pytest.approx(-1 + 4 * 3 / 8)
    assert marked(["3", "3", "3"], mode="all").reward == marked(["3"] * 3).reward == 3.0
    assert marked(["3", "-1", "3"], mode="all").reward == -1.0
    task = Exam(task="test/marks-v0", turns=3, mode="needle")
    for index in range(8):
        item = task.item("train", index)
        (needle,) = item.truth["counting"]
        assert task.judge(play(task, item, ["3", "1", "2"])[0]).reward == (3.0, 1.0, 2.0)[needle]


def test_the_state_says_what_became_of_the_whole():
    assert marked(["3", "3"]).state is VerdictState.CORRECT
    verdict = marked(["3", "1"])
    assert (verdict.state, verdict.why, verdict.parts) == ("wrong", "1 of 2 right", {"right": 0.5})
    silent = Exam(turns=2)
    assert silent.judge(play(silent, silent.item("train", 0), ["", "x"])[0]).state is VerdictState.UNPARSED


@pytest.mark.parametrize("mode", ["sum", "all"])
def test_a_grader_that_fails_on_a_question_that_counts_is_never_a_number(mode):
    verdict = marked(["3", "fail"], mode=mode)
    assert (verdict.reward, verdict.state, verdict.why) == (None, VerdictState.ERROR, "broken")


def test_a_grader_that_fails_on_a_distractor_does_not_matter():
    task = Exam(task="test/marks-v0", turns=4, mode="needle")
    item = task.item("train", 0)
    replies = ["fail"] * 4
    replies[item.truth["counting"][0]] = "2"
    assert task.judge(play(task, item, replies)[0]).reward == 2.0


def test_questions_that_were_not_reached_are_judged_as_empty():
    task = Exam(task="test/marks-v0", turns=3)
    state, _ = play(task, task.item("train", 0), ["3", "3"])
    assert task.judge(state).reward == pytest.approx((3 + 3 - 1) / 3)


def test_in_needle_each_place_is_drawn_and_the_draw_repeats():
    task, twin = (Exam(turns=4, mode="needle") for _ in range(2))
    places = [task.item("train", index).truth["counting"] for index in range(400)]
    assert places == [twin.item("train", index).truth["counting"] for index in range(400)]
    assert all(len(place) == 1 for place in places)
    for place in range(4):  # 400 draws, 100 expected each; 3 standard errors
        assert sum(each == [place] for each in places) == pytest.approx(100, abs=26)


def test_in_needle_nothing_but_the_reward_tells_the_place():
    sums, needle = Exam(turns=8, mode="sum"), Exam(turns=8, mode="needle")
    for index in range(20):
        one, other = sums.item("test", index), needle.item("test", index)
        assert play(sums, one, ["x"] * 8)[1] == play(needle, other, ["x"] * 8)[1]
        assert dict(other.meta) == {}
    Marks.calls.clear()
    task = Exam(task="test/marks-v0", turns=8, mode="needle")
    play(task, task.item("train", 0), ["1"] * 8)
    assert Marks.calls == []  # no reply is looked at before the end, so none takes longer than another


def test_all_exams_are_judged_in_one_call_with_equal_questions_as_one_object():
    task = Exam(task="test/marks-v0", turns=2)
    items = [task.item("train", index) for index in (0, 0, 1)]
    states = [
        play(task, item, replies)[0] for item, replies in zip(items, [["1", "2"], ["1", "3"], ["1", "0"]], strict=True)
    ]
    Marks.calls.clear()
    verdicts = task.judge_all(states)
    assert [verdict.reward for verdict in verdicts] == [1.5, 2.0, 0.5]
    assert Marks.calls == [[(0, "1"), (1, "2"), (1, "3"), (2, "1"), (3, "0")]]  # question 0 was answered alike twice


@pytest.mark.parametrize(("mode", "floor"), [("sum", 1.0), ("needle", 1.0), ("all", -1 + 4 * 0.5**3)])
def test_the_floor_follows_from_the_inner_one(mode, floor):
    # the inner floor 1 is half of the way from -1 to 3
    assert Exam(task="test/marks-v0", turns=3, mode=mode).floor == pytest.approx(floor)


def test_oracle_kind_and_habit_are_those_of_the_question_at_hand():
    task = Exam(turns=2)
    item = task.item("train", 0)
    first, second = PLAIN.item("train", 0), PLAIN.item("train", 1)
    state, _ = play(task, item, [])
    assert task.oracle(state) == PLAIN.oracle(first)
    assert task.kind(item) == PLAIN.kind(first) and task.habit_kinds == PLAIN.habit_kinds
    task.step(state, "x")
    assert task.oracle(state) == PLAIN.oracle(second)
    assert task.habit(state, random.Random(1)) == PLAIN.habit(second, random.Random(1))
    with pytest.raises(BadValue, match=r"'test/marks-v0' in 'eggym/exam-v0' has no kind"):
        Exam(task="test/marks-v0").kind(item)


def test_the_digest_covers_the_inner_task(monkeypatch):
    before = digest(Exam(task="test/marks-v0", turns=2))
    assert digest(Exam(task="test/marks-v0", turns=2)) == before
    assert digest(Exam(task="test/marks-v0", turns=2, mode="needle")) != before
    monkeypatch.setattr(Marks, "identity", lambda self: "another grader")
    assert digest(Exam(task="test/marks-v0", turns=2)) != before


def test_an_exam_of_rows_has_as_many_items_as_whole_exams(tmp_path):
    rows = {"train": 10, "test": 5}
    for split, count in rows.items():
        lines = [json.dumps({"question": f"{split} {n}?", "answer": f"#### {n}"}) for n in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    task = Exam(task="gsm8k", turns=2, data=str(tmp_path))
    assert task.reads_late and task.n_items("test") == 2
    prompts = {row["prompt"] for index in range(2) for row in task.item("test", index).truth["questions"]}
    assert len(prompts) == 4 and all("test" in prompt for prompt in prompts)
    with pytest.raises(BadValue, match="has no item 2 in 'test'; it has 2"):
        task.item("test", 2)
    assert "data" not in task.difficulty  # its place names nothing


def test_a_state_in_the_middle_survives_pickling():
    task = Exam(turns=3, mode="needle")
    state, _ = play(task, task.item("train", 0), ["#1"])
    again = pickle.loads(pickle.dumps(state))
    assert task.step(again, "#2") == task.step(state, "#2")
    assert again == state


def test_what_cannot_be_an_exam_is_refused():
    with pytest.raises(BadValue, match="'eggym/exam-v0' asks tasks of one turn; 'eggym/guess-v0' is none"):
        Exam(task="guess")
    with pytest.raises(BadValue, match="asks tasks of one turn; 'eggym/exam-v0' is none"):
        Exam(task="exam")
    with pytest.raises(UnknownName, match="no mode of task"):
        Exam(mode="last")
    with pytest.raises(UnknownName, match="did you mean 'tiny-orders'"):
        Exam(task="tiny-order")
    with pytest.raises(BadValue, match="turns of task 'eggym/exam-v0' must be a whole number from 1 to 64"):
        Exam(turns=0)
    with pytest.raises(BadValue, match="no item -1 in 'train'; it has endlessly many"):
        Exam().item("train", -1)
    with pytest.raises(BadValue, match="no split 'dev'"):
        Exam().item("dev", 0)
