import random

import pytest

from eggym.envs.guess import Guess
from eggym.envs.guess_number import GuessNumber
from eggym.envs.guessing import Hunt, read_guess
from eggym.envs.mastermind import Mastermind
from eggym.envs.wordle import Wordle
from eggym.errors import BadValue, UnknownName

GAMES = (GuessNumber, Mastermind, Wordle)


@pytest.mark.parametrize(
    ("reply", "guess"),
    [
        ("<guess>crane</guess>", "crane"),
        ("Not <guess>slate</guess>, rather\n<guess> CRANE\n</guess> I think.", "crane"),  # the last tag
        ("crane", "crane"),  # nothing but a guess
        (" red blue \n", "red blue"),
        ("<guess>slate</guess> or <guess>crane", "slate"),  # one that was not closed is none
        ("crane</guess>", None),  # never opened
        ("<guess></guess>", None),
        ("", None),
        ("<guess>" + "a" * 201 + "</guess>", None),
        ("\u212aelvin " * 100_000, None),
        ("<guess>" * 50_000, None),
    ],
)
def test_how_a_guess_is_read(reply, guess):
    assert read_guess(reply) == guess


def play(task, item, replies):
    state, seen = task.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = task.step(state, reply)
        seen.append(observation)
        if done:
            break
    return task.judge(state), seen


@pytest.mark.parametrize("game", (*GAMES, Guess))
def test_nothing_counts_behind_the_end(game):
    task = game()
    item = task.item("train", 0)
    state = task.begin(item, random.Random(0))
    for _ in range(task.max_turns):
        task.step(state, "no idea")
    before = task.judge(state)
    secret = " ".join(item.truth) if isinstance(item.truth, tuple | list) else str(item.truth)
    assert task.step(state, f"<guess>{secret}</guess>" if game is not Guess else secret) == ("", True)
    assert task.judge(state) == before and before.reward == 0.0


def solver(task, item):
    state, done, n_turns = task.begin(item, random.Random(0)), False, 0
    while not done:
        _, done = task.step(state, task.oracle(state))
        n_turns += 1
    return task.judge(state), n_turns


@pytest.mark.parametrize("game", GAMES)
def test_what_is_no_guess_costs_a_turn_and_a_last_turn_says_nothing(game):
    task = game()
    verdict, seen = play(task, task.item("train", 0), ["I give up."] * 20)
    assert len(seen) == task.max_turns and seen[-1] == ""
    assert seen[-2] == "No guess read. End with <guess>...</guess>, as described.\n1 guess left."
    assert (verdict.reward, verdict.state) == (0.0, "unparsed")


@pytest.mark.parametrize("game", GAMES)
def test_the_secret_is_in_no_observation_before_it_is_guessed(game):
    task = game()
    for index in range(30):
        item = task.item("test", index)
        state, done, text = task.begin(item, random.Random(0)), False, item.prompt
        while not done:
            if game is not GuessNumber or text != item.prompt:  # a range may begin or end with its number
                assert str(item.truth) not in text
            text, done = task.step(state, task.oracle(state))
        assert text == ""


@pytest.mark.parametrize("game", GAMES)
def test_a_faster_player_is_paid_more_and_the_solver_all(game):
    task = game(reward="faster")
    item = task.item("validation", 1)
    verdict, n_turns = solver(task, item)
    assert (verdict.reward, item.meta["par"]) == (1.0, n_turns)
    slow, _ = play(task, item, ["?"] * (task.max_turns - 1) + [str(item.truth)])
    assert slow.reward == pytest.approx(n_turns / task.max_turns)
    quick, _ = play(task, item, [str(item.truth)])
    assert (quick.reward, quick.state) == (1.0, "correct")


@pytest.mark.parametrize("game", GAMES)
def test_the_options_of_reward_change_no_item_but_its_meta(game):
    # an option is part of an item's name, so the draw differs; what one draw gives must not
    first, second = (
        task.generate(random.Random(3), reward=task.options["reward"]) for task in (game(), game(reward="faster"))
    )
    assert (first.prompt, first.truth) == (second.prompt, second.truth)
    assert "par" not in first.meta


def test_options_outside_the_rules_are_refused():
    with pytest.raises(UnknownName, match="no reward of task eggym/wordle-v0 'fastest'; did you mean 'faster'"):
        Wordle(reward="fastest")
    with pytest.raises(UnknownName, match="known: faster, solved"):
        GuessNumber(reward="x")
    with pytest.raises(BadValue, match="turns must be a whole number from 1 to 1000, got 0"):
        Wordle(turns=0)
    with pytest.raises(BadValue, match="'eggym/mastermind-v0': turns must be a whole number from 1 to 1000, got '8'"):
        Mastermind(turns="8")


def test_the_cap_on_turns_is_of_an_instance():
    assert (Wordle(turns=3).max_turns, Wordle().max_turns) == (3, 6)
    assert "within 3 more guesses" in Wordle(turns=3).item("train", 0).prompt


def test_a_hunt_lists_what_was_read():
    hunt = Hunt("x", {}, ["a", None, "b"], ["1", "?", "2"])
    assert hunt.known() == [("a", "1"), ("b", "2")]
