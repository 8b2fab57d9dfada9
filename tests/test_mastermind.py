import itertools
import random

import pytest

from eggym.envs.mastermind import COLOURS, Mastermind, pegs_of, remaining
from eggym.errors import BadValue
from eggym.task import Item

TASK = Mastermind()
PALETTE = ["red", "blue", "green", "pink", "gold", "grey"]
ITEM = Item("", "red blue blue green", {"colours": PALETTE, "opening": ["red red pink pink", 1, 0]})


def play(replies, task=TASK, item=ITEM):
    state, seen = task.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = task.step(state, reply)
        seen.append(observation.partition("\n")[0])
        if done:
            break
    return task.judge(state), seen


@pytest.mark.parametrize(
    ("guess", "code", "pegs"),
    [
        ("r b b g", "r b b g", (4, 0)),
        ("b r g b", "r b b g", (0, 4)),
        ("b b b b", "r b b g", (2, 0)),  # a colour guessed too often is no white
        ("b g g g", "r b b g", (1, 1)),  # the last green is black; the first blue is white; green is used up
        ("r r g g", "g g r r", (0, 4)),
        ("r r r g", "g r y y", (1, 1)),  # one red is black, one red too many; green is white
        ("y y y y", "r b b g", (0, 0)),
    ],
)
def test_black_and_white_by_hand(guess, code, pegs):
    assert pegs_of(tuple(guess.split()), tuple(code.split())) == pegs


def test_black_and_white_are_symmetric_and_blind_to_names_and_places():
    codes = list(itertools.product("abc", repeat=3))
    for guess, code in itertools.product(codes, repeat=2):
        black, white = pegs_of(guess, code)
        assert pegs_of(code, guess) == pegs_of(guess[::-1], code[::-1]) == (black, white)
        # by peeling: cross out the equal places, then pair off what is left
        rest = [place for place in range(3) if guess[place] != code[place]]
        theirs = [code[place] for place in rest]
        paired = 0
        for place in rest:
            if guess[place] in theirs:
                theirs.remove(guess[place])
                paired += 1
        assert (black, white) == (3 - len(rest), paired)


def test_a_game():
    verdict, seen = play(
        ["<guess>red, pink, gold, grey</guess>", "<guess>Red Blue Green Blue</guess>", "red blue blue green"]
    )
    assert seen == ["Black 1, white 0.", "Black 2, white 2.", ""]
    assert (verdict.reward, verdict.state, verdict.found) == (1.0, "correct", "red blue blue green")
    assert verdict.why == "found in 3 turns"


@pytest.mark.parametrize(
    "reply",
    [
        "red blue blue",
        "red blue blue green green",
        "red blue blue purple",
        "rbbg",
        "red  blue blue-green",
        "red;blue;blue;green",
    ],
)
def test_what_is_no_code(reply):
    verdict, seen = play([reply])
    assert seen == ["No guess read. End with <guess>...</guess>, as described."]
    assert verdict.state == "unparsed"


def test_a_lost_game_pays_nothing_or_half_its_last_black_pegs():
    assert play(["red blue blue gold"])[0].reward == 0.0
    partial = Mastermind(reward="partial")
    assert play(["red blue blue gold", "red gold gold gold"], partial)[0].reward == pytest.approx(1 / 4 / 2)
    assert play(["red blue blue gold", "?"], partial)[0].reward == 0.0  # the last guess could not be read
    assert play(["red blue blue green"], partial)[0].reward == 1.0


def test_the_solver_keeps_what_agrees():
    state = TASK.begin(ITEM, random.Random(0))
    assert TASK.oracle(state) != "red red pink pink"
    assert ("red", "blue", "blue", "green") in remaining(state)
    # by hand: exactly one of the places is right, and nothing else of red or pink is in the code: 4 places times the
    # four other colours in three places
    assert len(remaining(state)) == 4 * 4**3
    TASK.step(state, "red blue blue gold")
    assert all(pegs_of(("red", "blue", "blue", "gold"), code) == (3, 0) for code in remaining(state))


@pytest.mark.parametrize(
    "options", [{}, {"pegs": 3, "colours": 3}, {"pegs": 4, "colours": 5}, {"pegs": 5, "colours": 4}]
)
def test_the_solver_wins_and_the_opening_does_not_tell(options):
    task = Mastermind(**options)
    for index in range(40):
        state, done = task.begin(task.item("test", index), random.Random(0)), False
        assert len(remaining(state)) > 1
        while not done:
            _, done = task.step(state, task.oracle(state))
        assert task.judge(state).reward == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pegs": 2}, "pegs must be a whole number from 3 to 8, got 2"),
        ({"colours": 10}, "colours must be a whole number from 3 to 9, got 10"),
        ({"pegs": 6, "colours": 6}, "6 colours on 6 pegs are more than 8,000 codes"),
        ({"pegs": True}, "pegs must be a whole number"),
    ],
)
def test_sizes_that_are_no_game_are_refused(options, message):
    with pytest.raises(BadValue, match=message):
        Mastermind(**options)


def test_the_floor_bounds_what_fixed_guesses_earn():
    # by hand: a colour is among 6 of 12 by 1/2, and then all four pegs are it by 1/1296; eight colours are tried
    assert TASK.floor == pytest.approx(8 / 2 / 1296)
    # with part credit, a twelfth of all pegs are of the colour guessed last, and half of that is paid
    assert Mastermind(reward="partial").floor == pytest.approx(8 / 2 / 1296 + 1 / 24)
    task = Mastermind(pegs=3, colours=3, reward="partial")
    guesses = [f"{colour} {colour} {colour}" for colour in COLOURS[:8]]
    items = [task.item("train", index) for index in range(3000)]
    earned = sum(play(guesses, task, item)[0].reward for item in items) / len(items)
    assert 0.7 * task.floor < earned < task.floor  # openings rule out more of these codes than of others


def test_an_opening_shares_something_with_the_code_and_is_never_all_but_right():
    answers = {tuple(TASK.item("train", index).meta["opening"][1:]) for index in range(600)}
    assert answers == {(black, white) for black in range(3) for white in range(4) if 0 < black + white < 4}


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(300)} for split in ("train", "test"))
    assert not train & held_out and len(train) == 300
