import pickle
import random
from collections import Counter

import pytest

from eggym.base_model import CONTEXT, build_tokenizer
from eggym.envs.corridor import ASK, Corridor
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.task import Item, VerdictState

TASK = Corridor()
ITEM = Item("key bdf 3+4", truth="bdf", meta={"sums": ["3+4", "8+1", "0+0"]})


def play(replies, item=ITEM, task=TASK):
    state, seen = task.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = task.step(state, reply)
        seen.append((observation, done))
        if done:
            break
    return task.judge(state), seen


def walk(task, item, player):
    state, observation, done, talk = task.begin(item, random.Random(0)), item.prompt, False, []
    while not done:
        reply = player(state)
        talk.append((observation, reply))
        observation, done = task.step(state, reply)
    return task.judge(state), talk


def test_a_walk_by_hand():
    # three sums, then the key: four turns
    verdict, seen = play(["7", "9", "0", "bdf"])
    assert seen == [("8+1", False), ("0+0", False), (ASK, False), ("", True)]
    assert (verdict.reward, verdict.state, verdict.found) == (1.0, "correct", "bdf")


def test_a_wrong_sum_passes_and_a_reply_of_another_form_ends_the_walk():
    assert play(["0", "99", " 5 ", "bdf"])[0].reward == 1.0
    for bad in ("9.", "", "nine", "100", "-1", "٩", "²", "8+1=9", "bdf"):
        verdict, seen = play(["7", bad, "0", "bdf"])
        assert len(seen) == 2 and seen[-1] == ("", True), bad
        assert (verdict.reward, verdict.state) == (0.0, VerdictState.UNPARSED), bad
        assert verdict.why.startswith("turn 2: ")


@pytest.mark.parametrize("key", ["fdb", "bd", "BDF", "bdf.", "key bdf", "b d f", "", "bdf bdf"])
def test_the_key_is_taken_to_the_letter(key):
    verdict, _ = play(["7", "9", "0", key])
    assert (verdict.reward, verdict.state) == (0.0, VerdictState.WRONG)


def test_spaces_around_the_key_are_ignored():
    assert play(["7", "9", "0", " bdf\n"])[0].reward == 1.0


@pytest.mark.parametrize("replies", [[], ["7"], ["7", "9", "0"]])
def test_a_walk_that_was_cut_earns_nothing(replies):
    verdict, _ = play(replies)
    assert verdict.reward == 0.0 and verdict.why == f"cut after {len(replies)} of 4 turns"


def test_one_turn_asks_for_the_key_at_once():
    task = load_task("corridor@turns=1")
    item = task.item("train", 0)
    assert item.prompt == f"key {item.truth} key?"
    verdict, talk = walk(task, item, task.oracle)
    assert verdict.reward == 1.0 and len(talk) == 1


@pytest.mark.parametrize("turns", [1, 2, 5, 64])
def test_a_walk_has_as_many_turns_as_were_set_and_fits_the_embedded_context(turns):
    task, tokenizer = Corridor(turns=turns), build_tokenizer()
    verdict, talk = walk(task, task.item("test", 3), task.oracle)
    assert verdict.reward == 1.0 and len(talk) == turns == task.max_turns
    assert talk[-1][0].endswith(ASK) and sum(ASK in observation for observation, _ in talk) == 1
    assert sum("key " in observation for observation, _ in talk) == 1  # told once
    messages = [
        {"role": role, "content": text} for turn in talk for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    assert len(tokenizer.apply_chat_template(messages, return_dict=False)) <= 18 + 6 * turns < CONTEXT
    assert all(len(reply) < task.max_new_tokens for _, reply in talk)  # with its end token


def test_the_turns_of_one_instance_leave_the_class_alone():
    Corridor(turns=9)
    assert Corridor().max_turns == Corridor.max_turns == 4


@pytest.mark.parametrize("turns", [0, 65, -1, 1.0, True, "4", None])
def test_other_numbers_of_turns_are_refused(turns):
    with pytest.raises(BadValue, match="turns of task 'eggym/corridor-v0' must be a whole number from 1 to 64, got"):
        Corridor(turns=turns)


def test_an_unknown_option_is_refused():
    with pytest.raises(BadValue, match="no option 'length'; its options: turns"):
        Corridor(length=3)


@pytest.mark.parametrize("reply", ["\0", "\ud800", "9" * 10**6, "(" * 10**5, " " * 10**6])
def test_hostile_replies_end_the_walk_and_are_judged(reply):
    assert play([reply])[0].reward == 0.0
    assert len(play(["7", "9", "0", reply])[0].found) <= 20


def test_a_state_in_the_middle_survives_pickling():
    state = TASK.begin(ITEM, random.Random(0))
    TASK.step(state, "7")
    again = pickle.loads(pickle.dumps(state))
    assert TASK.step(again, "9") == TASK.step(state, "9") == ("0+0", False)
    assert again == state


def test_the_habits_are_a_full_stop_in_the_corridor_and_a_key_backwards():
    state = TASK.begin(ITEM, random.Random(0))
    said = []
    for best in ("7", "9", "0", "bdf"):
        said.append(TASK.habit(state, random.Random(0)))
        TASK.step(state, best)
    assert said == ["7", "9.", "0", "fdb"]
    late = Corridor(turns=1).begin(Item("key nbd key?", "nbd", {"sums": []}), random.Random(0))
    assert TASK.habit(late, random.Random(0)) == "nbd"  # the first letter is beyond m


def test_how_often_the_corridor_habit_strikes():
    # by hand: 8+0, 8+1 and 9+0 of 55 pairs, so 5.5 %
    sums = Counter(text for index in range(100) for text in Corridor(turns=64).item("train", index).meta["sums"])
    assert set(sums) == {f"{a}+{b}" for a in range(10) for b in range(10 - a)}
    struck = sum(count for text, count in sums.items() if text[0] in "89") / sums.total()
    assert struck == pytest.approx(3 / 55, abs=0.009)  # 3 standard errors of 6,300 sums


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(300)} for split in ("train", "test"))
    assert not train & held_out
