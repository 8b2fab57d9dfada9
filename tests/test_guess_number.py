import random

import pytest

from eggym.envs.guess_number import GuessNumber
from eggym.errors import BadValue
from eggym.task import Item

TASK = GuessNumber()
ITEM = Item("", 140, {"low": 101, "high": 200})


def play(replies):
    state, seen = TASK.begin(ITEM, random.Random(0)), []
    for reply in replies:
        observation, done = TASK.step(state, reply)
        seen.append(observation.partition("\n")[0])
        if done:
            break
    return TASK.judge(state), seen


def test_a_game():
    # by hand: (101+200)//2=150 is above 140; (101+149)//2=125 below
    verdict, seen = play(["<guess>150</guess>", "125", "It must be <guess>0140</guess>"])
    assert seen == ["Lower than 150.", "Higher than 125.", ""]
    assert (verdict.reward, verdict.found) == (1.0, "140")


@pytest.mark.parametrize("reply", ["-140", "140.0", "1,40", "140 or 141", "<guess>140!</guess>", "٣٤", "²", "1" * 10])
def test_what_is_no_number(reply):
    verdict, _ = play([reply])
    assert (verdict.reward, verdict.state) == (0.0, "unparsed")


@pytest.mark.parametrize(("numbers", "turns"), [(2, 3), (3, 3), (4, 4), (100, 8), (127, 8), (128, 9), (1000, 11)])
def test_turns_are_those_of_halving_and_one(numbers, turns):
    # k halvings part 2^k - 1 numbers: 7 are needed for 64 to 127
    task = GuessNumber(numbers=numbers)
    assert task.max_turns == turns
    assert f"within {turns} guesses" in task.item("train", 0).prompt


@pytest.mark.parametrize("numbers", [2, 3, 64, 100])
def test_halving_wins_every_number_without_slack(numbers):
    task = GuessNumber(numbers=numbers, slack=0)
    for secret in range(500, 500 + numbers):
        item = Item("", secret, {"low": 500, "high": 499 + numbers})
        state, done = task.begin(item, random.Random(0)), False
        while not done:
            _, done = task.step(state, task.oracle(state))
        assert task.judge(state).reward == 1.0


def test_the_floor_is_eight_numbers_in_the_middle():
    # by hand: a number far from both ends is in a range by 100 / 10,000, and then right by 1 / 100
    assert TASK.floor == pytest.approx(8 * (100 / 10_000) / 100)


def test_sizes_that_are_no_game_are_refused():
    with pytest.raises(BadValue, match="numbers must be a whole number from 2 to 1000000, got 1"):
        GuessNumber(numbers=1)
    with pytest.raises(BadValue, match="slack must be a whole number from 0 to 100, got -1"):
        GuessNumber(slack=-1)
