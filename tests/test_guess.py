import pickle
import random
from collections import Counter

import pytest

from eggym.envs.guess import LARGEST, SIZES, Guess
from eggym.task import Item, VerdictState

TASK = Guess()
ITEM = Item("guess 20-34:", truth=26, meta={"low": 20, "high": 34})


def play(replies, item=ITEM):
    state, seen = TASK.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = TASK.step(state, reply)
        seen.append(observation)
        if done:
            break
    return TASK.judge(state), seen


def test_halving_a_known_range():
    # by hand: (20+34)//2=27 is high; (20+26)//2=23 low; (24+26)//2=25 low; 26 is left
    state, guesses = TASK.begin(ITEM, random.Random(0)), []
    done = False
    while not done:
        guesses.append(TASK.oracle(state))
        _, done = TASK.step(state, guesses[-1])
    assert guesses == ["27", "23", "25", "26"]
    verdict = TASK.judge(state)
    assert (verdict.reward, verdict.state, verdict.found) == (1.0, "correct", "27,23,25,26")


def test_answers_point_from_the_guess_to_the_number():
    verdict, seen = play(["27", " 25\n", "x", "26", "99"])
    assert seen == ["high", "low", "number?", ""]
    assert verdict.reward == 1.0
    assert verdict.why == "found in 4 turns"


@pytest.mark.parametrize(
    ("replies", "state"),
    [
        (["27", "28", "29", "30"], VerdictState.WRONG),
        (["27", "28", "29", "30", "26"], VerdictState.WRONG),  # the fifth comes too late
        (["26 27", "26.", "26!", "+26"], VerdictState.UNPARSED),  # hedged, or more than a number
        (["", "", "", ""], VerdictState.UNPARSED),
        ([], VerdictState.UNPARSED),  # cut before the first turn
        (["27"], VerdictState.WRONG),  # cut after it
    ],
)
def test_what_does_not_win(replies, state):
    verdict, _ = play(replies)
    assert (verdict.reward, verdict.state) == (0.0, state)


@pytest.mark.parametrize("reply", ["\0", "\ud800", "9" * 10**6, "(" * 10**5, "٢٦", " " * 10**6])
def test_hostile_replies_cost_a_turn_and_no_error(reply):
    _, seen = play([reply])
    assert seen == ["number?"]


def test_halving_wins_every_range_within_the_turns():
    for index in range(500):
        item = TASK.item("test", index)
        state, done = TASK.begin(item, random.Random(0)), False
        while not done:
            reply = TASK.oracle(state)
            assert len(reply) < TASK.max_new_tokens  # with its end token
            _, done = TASK.step(state, reply)
        assert TASK.judge(state).reward == 1.0, item.prompt


def test_a_state_in_the_middle_survives_pickling():
    state = TASK.begin(ITEM, random.Random(0))
    TASK.step(state, "27")
    again = pickle.loads(pickle.dumps(state))
    assert TASK.step(again, "25") == TASK.step(state, "25") == ("low", False)
    assert again == state


def test_counting_upwards_is_the_habit_and_wins_seldom():
    wins = 0
    rng = random.Random(0)
    for index in range(500):
        state, done = TASK.begin(TASK.item("train", index), rng), False
        while not done:
            _, done = TASK.step(state, TASK.habit(state, rng))
        wins += TASK.judge(state).reward
    # by hand: 4 numbers are tried, of 13.5 on average; 3 standard errors
    assert wins / 500 == pytest.approx(4 / 13.5, abs=0.06)


def test_the_habit_covers_eight_of_ten_kinds():
    assert {TASK.kind(TASK.item("train", index)) for index in range(400)} == set("0123456789")
    assert len(TASK.habit_kinds) == 8


def test_the_floor_is_halving_the_fifteen_likeliest_numbers():
    # four halvings part 15 numbers; each pair of size and low end is equally likely given the size
    chance = Counter()
    sizes = range(SIZES[0], SIZES[1] + 1)
    for size in sizes:
        for low in range(LARGEST + 2 - size):
            for secret in range(low, low + size):
                chance[secret] += 1 / len(sizes) / (LARGEST + 2 - size) / size
    assert sum(chance.values()) == pytest.approx(1.0)
    assert TASK.floor == pytest.approx(sum(share for _, share in chance.most_common(15)), abs=0.005)


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(500)} for split in ("train", "test"))
    assert not train & held_out
