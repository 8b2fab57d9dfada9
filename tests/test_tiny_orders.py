import itertools
import random

import pytest

from eggym.envs.tiny_orders import CASES, ENDINGS, INITIALS, MOST_WORDS, WORDS, TinyOrders, in_case
from eggym.task import Item, VerdictState

TASK = TinyOrders()
ITEM = Item("say 4 b caps ?:", truth={"count": 4, "initial": "b", "case": "caps", "ending": "?"})


@pytest.mark.parametrize(
    ("reply", "reward", "why"),
    [
        ("BUS BUS BOAT BED?", 1.0, "as ordered"),
        (" BUS BEE BOAT BED?\n", 1.0, "as ordered"),
        ("BUS BUS BOAT?", 0.0, "wrong: count"),
        ("BUS BUS BOAT CAT?", 0.0, "wrong: initial"),
        ("Bus BUS BOAT BED?", 0.0, "wrong: case"),
        ("BUS BUS BOAT BED.", 0.0, "wrong: ending"),
        ("BUS BUS BOAT BLA?", 0.0, "wrong: words"),
        ("bus bus boat.", 0.0, "wrong: count, case, ending"),
    ],
)
def test_golden_replies(reply, reward, why):
    verdict = TASK.score(ITEM, reply)
    assert (verdict.reward, verdict.why) == (reward, why)
    assert verdict.found == reply.strip()
    assert sum(verdict.parts.values()) == 5 - (0 if reward else why.count(",") + 1)


@pytest.mark.parametrize(
    "reply",
    ["", "?", "BUS  BUS BOAT BED?", "BUS BUS BOAT BED", "BUS BUS BOAT BED??", "BUS BUS BOAT BED? BUS", "BUS,BUS BED?"],
)
def test_what_is_no_list_of_words_is_unparsed(reply):
    assert TASK.score(ITEM, reply).state == VerdictState.UNPARSED


@pytest.mark.parametrize("reply", ["\0", "\ud800?", "B" * 10**6, "B " * 10**6 + "?", "(" * 10**5, "БУС БУС?"])
def test_hostile_replies_are_judged_without_an_error(reply):
    verdict = TASK.score(ITEM, reply)
    assert verdict.reward == 0.0
    assert verdict.state in (VerdictState.UNPARSED, VerdictState.REFUSED)


def test_title_case_is_a_capital_initial_for_every_word():
    item = Item("say 2 b title !:", truth={"count": 2, "initial": "b", "case": "title", "ending": "!"})
    assert TASK.score(item, "Bus Bed!").reward == 1.0
    assert TASK.score(item, "Bus bed!").reward == 0.0
    assert in_case("boat", "title") == "Boat"


def test_items_are_short_and_solvable_in_every_kind():
    items = [TASK.item("test", index) for index in range(1000)]
    assert all(TASK.score(item, TASK.oracle(item)).reward == 1.0 for item in items)
    assert max(len(item.prompt) for item in items) <= 24
    longest = MOST_WORDS * max(map(len, WORDS)) + MOST_WORDS  # words, spaces between them and the ending
    assert longest + 1 == TASK.max_new_tokens


def test_the_oracle_varies_its_words_but_not_for_one_item():
    one, other = (Item(ITEM.prompt, ITEM.truth, index=index, split="train") for index in (1, 2))
    assert TASK.oracle(one) == TASK.oracle(one) != TASK.oracle(other)


def test_the_floor_is_one_of_all_prompts():
    prompts = list(itertools.product(range(1, MOST_WORDS + 1), INITIALS, CASES, ENDINGS))
    assert TASK.floor == 1 / len(prompts)
    assert all(sum(word[0] == initial for word in WORDS) >= 4 for initial in INITIALS)


def test_splits_share_no_prompt():
    train, held_out = ({TASK.item(split, index).prompt for index in range(1000)} for split in ("train", "test"))
    assert not train & held_out


def test_the_habit_is_lower_case_with_a_full_stop():
    rng = random.Random(0)
    rewards = []
    for index in range(900):
        item = TASK.item("train", index)
        habit = TASK.habit(item, rng)
        assert habit == habit.lower() and habit.endswith(".")
        rewards.append(TASK.score(item, habit).reward)
    # by hand: right where low and . were ordered, 1 of 3 times 1 of 3; the standard error is 1 point
    assert sum(rewards) / len(rewards) == pytest.approx(1 / 9, abs=0.04)


def test_the_habit_covers_19_of_24_kinds():
    assert TASK.habit_kinds < set(INITIALS)
    assert (len(TASK.habit_kinds), len(INITIALS)) == (19, 24)
