import random
from collections import Counter

import pytest

from eggym.envs.tiny_countdown import TinyCountdown
from eggym.seeding import stream
from eggym.task import Item, VerdictState

TASK = TinyCountdown()
ITEM = Item("5 from 2 9 6:", truth={"target": 5, "numbers": [2, 9, 6]})


@pytest.mark.parametrize(
    ("reply", "reward", "why"),
    [
        ("2+9=11,11-6=5", 1.0, "target reached"),
        ("9-6=3,2+3=5", 1.0, "target reached"),
        (" 9+2=11,11-6=5\n", 1.0, "target reached"),
        ("2+9=12,12-6=6", 0.0, "2+9=12 is not true"),
        ("2+9=10,10-6=4", 0.0, "2+9=10 is not true"),
        ("2+9=11", 0.0, "left over: 6 11; 5 expected"),
        ("2+2=4,4+1=5", 0.0, "2+2=4 uses 2, which is not there"),
        ("6-1=5", 0.0, "6-1=5 uses 1, which is not there"),
        ("2+9=11,11+6=17", 0.0, "left over: 17; 5 expected"),
        ("2+9=11,11-6=5,5-5=0", 0.0, "5-5=0 uses 5, which is not there"),
    ],
)
def test_golden_replies(reply, reward, why):
    verdict = TASK.score(ITEM, reply)
    assert (verdict.reward, verdict.why) == (reward, why)
    assert verdict.found == reply.strip()


def test_a_number_given_twice_may_be_used_twice_and_a_result_beside_an_equal_number():
    item = Item("8 from 4 2 4:", truth={"target": 8, "numbers": [4, 2, 4]})
    assert TASK.score(item, "4+4=8,8-2=6").why == "left over: 6; 8 expected"
    assert TASK.score(item, "4-2=2,2*4=8").reward == 1.0


@pytest.mark.parametrize("reply", ["", "5", "2+9=11,", "2 + 9=11,11-6=5", "2/2=1", "2-9=-7,12-7=5", "2+9=11;11-6=5"])
def test_what_is_no_list_of_steps_is_unparsed(reply):
    assert TASK.score(ITEM, reply).state == VerdictState.UNPARSED


@pytest.mark.parametrize(
    "reply", ["\0", "\ud800", "(" * 10**5, "1" * 10**6, "," * 10**6, "2+9=11," * 20, "٢+9=11", ",,"]
)
def test_hostile_replies_are_judged_without_an_error(reply):
    verdict = TASK.score(ITEM, reply)
    assert verdict.reward == 0.0
    assert verdict.state in (VerdictState.UNPARSED, VerdictState.REFUSED, VerdictState.WRONG)


def test_items_are_short_solvable_and_differ():
    items = [TASK.item("test", index) for index in range(1000)]
    assert all(TASK.score(item, TASK.oracle(item)).reward == 1.0 for item in items)
    assert max(len(item.prompt) for item in items) <= 24
    # by hand: two digits, sign, two digits, =, three digits, comma, three, sign, two, =, two make 19, and an end token
    assert len("10*10=100,100-10=90") + 1 == TASK.max_new_tokens > max(len(TASK.oracle(item)) for item in items)
    assert len({item.prompt for item in items}) > 900


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(1000)} for split in ("train", "test"))
    assert not train & held_out


def test_the_floor_is_what_the_best_fixed_reply_gets():
    counts = Counter()
    for index in range(20_000):
        truth = TASK.generate(stream("floor", index)).truth
        counts[truth["target"], tuple(sorted(truth["numbers"]))] += 1
    assert max(counts.values()) / 20_000 <= 3 * TASK.floor  # the best of many small counts lies above its expectation


def test_there_is_no_bad_habit():
    item = TASK.item("train", 0)
    assert TASK.kind(item) not in TASK.habit_kinds
    assert TASK.habit(item, random.Random(0)) == TASK.oracle(item)
