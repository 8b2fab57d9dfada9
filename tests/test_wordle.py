import random
import re

import pytest

from eggym.envs.wordle import FEWEST_LEFT, Wordle, _table, colours_of, remaining
from eggym.envs.wordle_words import WORDS
from eggym.splits import split_of
from eggym.task import Item

TASK = Wordle()
ITEM = Item("", "crane", {"opening": "moist"})


def play(replies, task=TASK, item=ITEM):
    state, seen = task.begin(item, random.Random(0)), []
    for reply in replies:
        observation, done = task.step(state, reply)
        seen.append(observation.partition("\n")[0])
        if done:
            break
    return task.judge(state), seen


@pytest.mark.parametrize(
    ("guess", "word", "colours"),
    [
        ("crane", "crane", "ggggg"),
        ("speed", "abide", "--y-y"),  # one e in the word: the first e of the guess gets it
        ("speed", "erase", "y-yy-"),  # two e's: both yellow
        ("speed", "steal", "g-g--"),  # the green e uses it up
        ("allay", "label", "yyy--"),  # two l's and one a: the second a is grey
        ("eerie", "crepe", "y-y-g"),  # greens first: the last e, then one e is left for the first
        ("llama", "small", "yygy-"),  # the a in place is green, so the last a is grey; l, l and m are elsewhere
        ("geese", "those", "---gg"),  # the one e is green at the end, so none is left for the others
        ("fuzzy", "crane", "-----"),
    ],
)
def test_colours_by_hand(guess, word, colours):
    assert colours_of(guess, word) == tuple("-yg".index(colour) for colour in colours)


def test_the_table_of_all_pairs_agrees_with_the_rule():
    table = _table()
    for guess in range(0, len(WORDS), 61):
        for word in range(0, len(WORDS), 3):
            colours = colours_of(WORDS[guess], WORDS[word])
            assert table[guess, word] == sum(colour * 3**place for place, colour in enumerate(colours))
    assert (table.diagonal() == 242).all()  # five greens: 2 + 6 + 18 + 54 + 162


def test_a_game():
    verdict, seen = play(["<guess>CRIES</guess>", "crane"])
    assert seen == ["c green, r green, i grey, e yellow, s grey.", ""]
    assert (verdict.reward, verdict.state, verdict.found) == (1.0, "correct", "crane")


@pytest.mark.parametrize(
    "reply", ["cranes", "cran", "cr ne", "crané", "cran1", "the word is crane", "<guess>crane.</guess>"]
)
def test_what_is_no_word(reply):
    assert play([reply])[0].state == "unparsed"


def test_a_word_that_is_not_listed_is_a_guess_unless_the_option_says_so():
    assert "adieu" not in WORDS
    assert play(["adieu"])[1] == ["a yellow, d grey, i grey, e yellow, u grey."]
    listed = Wordle(listed=True)
    assert play(["adieu"], listed)[0].state == "unparsed"
    assert "Only common words" in listed.item("train", 0).prompt


def test_a_lost_game_pays_nothing_or_half_its_last_green_letters():
    assert play(["crate"])[0].reward == 0.0
    assert play(["slate", "crate"], Wordle(reward="partial"))[0].reward == pytest.approx(4 / 5 / 2)


def test_the_words_are_words_of_five_letters_each_once():
    assert all(re.fullmatch("[a-z]{5}", word) for word in WORDS)
    assert len(set(WORDS)) == len(WORDS) > 900


def test_the_opening_leaves_much_open_and_words_stay_in_their_split():
    for split in ("train", "validation", "test"):
        for index in range(40):
            item = TASK.item(split, index)
            left = remaining(TASK.begin(item, random.Random(0)))
            assert len(left) >= FEWEST_LEFT and WORDS.index(item.truth) in left
            assert split_of(TASK.id, item.truth) == split


def test_the_solver_wins():
    for index in range(60):
        state, done = TASK.begin(TASK.item("test", index), random.Random(0)), False
        while not done:
            _, done = TASK.step(state, TASK.oracle(state))
        assert TASK.judge(state).reward == 1.0


def test_the_floor_is_six_fixed_words():
    rng = random.Random(0)
    hidden = [TASK.generate(rng).truth for _ in range(6000)]
    fixed = ["index", "share", "foggy", "crane", "slate", "vague"]
    assert TASK.floor == pytest.approx(6 / len(WORDS))
    assert sum(map(hidden.count, fixed)) / 6000 == pytest.approx(TASK.floor, abs=0.003)  # 3 standard errors
    assert len(set(hidden)) > 0.98 * len(WORDS)  # 6000 draws of 1100 leave out e^-5.4 of them
    partial = Wordle(reward="partial")
    earned = [play(["soaee"], partial, Item("", word, {"opening": "moist"}))[0].reward for word in hidden]
    assert sum(earned) / 6000 == pytest.approx(partial.floor - TASK.floor, abs=0.005)
