import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggym.check_sample import HOSTILE
from eggym.envs.expressions import evaluate
from eggym.envs.stories import SITUATIONS, story
from eggym.envs.tale import MEN, WOMEN, Tale, times
from eggym.envs.word_problems import WordProblems
from eggym.errors import BadValue
from eggym.seeding import stream
from eggym.splits import normalise
from eggym.task import Item, VerdictState

TASK = WordProblems()
_NUMBER = re.compile(r"\d+")


def told(steps, seed, asides=0):
    return story(stream("test", steps, seed).random, steps, asides)


@settings(max_examples=150)
@given(st.integers(2, 8), st.integers(0, 10**6))
def test_every_step_of_the_working_is_true_and_the_last_gives_the_answer(steps, seed):
    found = told(steps, seed)
    assert len(found.working) == steps
    known = set(map(int, _NUMBER.findall(found.text))) | {2, 100}  # half, twice and percent
    known |= {3, 4, 5, 6, 8, 10}  # one third and the like
    for line in found.working:
        left, _, result = line.rpartition(" = ")
        reading = evaluate(left.rpartition(": ")[2])
        assert reading.numerator == int(result) * reading.denominator, line
        assert set(reading.numbers) <= known | {len(re.findall("On day", found.text))}, (line, found.text)
        assert int(result) >= 0
        known.add(int(result))
    assert int(result) == found.answer >= 1


@settings(max_examples=150)
@given(st.integers(2, 8), st.integers(0, 10**6))
def test_no_step_is_idle(steps, seed):
    # each result but the last is used by a later step, or stood for nothing
    lines = told(steps, seed).working
    for place, line in enumerate(lines[:-1]):
        result = line.rpartition(" = ")[2]
        later = " ".join(each.rpartition(" = ")[0] for each in lines[place + 1 :])
        assert re.search(rf"\b{result}\b", later), lines


def test_the_english_of_many_stories_is_well_formed():
    for steps in range(2, 9):
        for seed in range(150):
            text = told(steps, seed, asides=seed % 4).text
            assert text[0].isupper() and text.endswith("?") and text.count("?") == 1
            assert "  " not in text and "{" not in text and "}" not in text and " ." not in text
            for sentence in re.split(r"(?<=[.?]) ", text):
                assert sentence[0].isupper() or sentence[0].isdigit(), sentence
            # "1 litres", "1 years": a plural never follows a one
            assert not re.search(r"\b1 (?!is\b|travels\b|he\b|she\b)[a-z]+s\b", text), text
            assert not re.search(r"\b(?:0|-\d+) [a-z]", text), text


def test_pronouns_fit_the_person():
    for seed in range(300):
        text = told(5, seed).text
        if told(5, seed).situation == "ages":
            continue
        name = min((each for each in (*WOMEN, *MEN) if re.search(rf"\b{each}\b", text)), key=text.find)
        words = set(re.findall(r"[a-z]+", text.lower()))
        assert not words & ({"he", "his", "him"} if name in WOMEN else {"she", "her"}), text


def test_all_situations_and_parts_are_told():
    told_of = Counter(told(steps, seed).situation for steps in range(2, 9) for seed in range(60))
    assert set(told_of) == set(SITUATIONS) and min(told_of.values()) > 10
    texts = "\n".join(told(steps, seed).text for steps in range(2, 9) for seed in range(250))
    for phrase in (
        "% of",
        "% off",
        "one third",
        "half of",
        "per hour",
        "twice as",
        "years younger",
        "for every",
        "left",
    ):
        assert phrase in texts, phrase


def test_a_worked_story():
    # by hand: of 12 a half leaves 6; shared among 3, the fewest friends allowed, that is 2 each
    from eggym.envs import situation_collection as parts

    tale = Tale(lambda: 0.0)
    tale.n, tale.working = 12, []
    tale.words.update(things="stickers", pack="pack")
    assert parts._gives_half(tale) and tale.n == 6
    assert parts._shared(tale) and tale.n == 2
    assert tale.working == ["Left: 12 / 2 = 6", "Each: 6 / 3 = 2"]
    assert tale.sentences[0] == "Then she gives half of her stickers to her sister."
    assert not parts._gives_half(tale)  # too few: nothing is told
    assert len(tale.sentences) == 2


def test_no_more_passengers_get_off_than_are_there():
    from eggym.envs import situation_passengers as parts

    tale = Tale(lambda: 0.99)  # 9 get off
    tale.n = 8
    tale.words["vehicle"] = "bus"
    assert not parts._off_and_more_on(tale) and not tale.sentences
    tale.n = 9
    assert parts._off_and_more_on(tale) and tale.working[1] == "After getting off: 9 - 9 = 0"


def test_asides_add_sentences_and_change_neither_the_others_nor_the_answer():
    for seed in range(60):
        plain, longer = told(4, seed), told(4, seed, asides=3)
        assert (plain.answer, plain.working) == (longer.answer, longer.working)
        rest = longer.text
        for sentence in re.split(r"(?<=[.?]) ", plain.text):
            assert sentence in rest
            rest = rest.replace(sentence, "", 1)
        assert len(re.findall(r"\.", rest)) == 3


def test_items_declare_steps_situation_and_working():
    for index in range(60):
        item = TASK.item("test", index)
        assert 2 <= item.meta["steps"] <= 4 and item.meta["situation"] in SITUATIONS
        assert item.meta["solution"].count("\n") == item.meta["steps"] - 1
        assert TASK.score(item, TASK.oracle(item)).reward == 1.0
        assert TASK.oracle(item).endswith(f"\\boxed{{{item.truth}}}.")
        assert TASK.score(item, item.prompt).reward == 0.0
        assert WordProblems(steps=8).item("test", index).meta["steps"] == 8


@pytest.mark.parametrize(
    ("reply", "reward", "state"),
    [
        ("So \\boxed{42}", 1.0, "correct"),
        ("\\boxed{\\$42}", 1.0, "correct"),
        ("\\boxed{43}", 0.0, "wrong"),
        ("\\boxed{6 * 7}", 0.0, "refused"),
        ("\\boxed{41, 42}", 0.0, "refused"),
        ("The answer is 42.", 0.0, "unparsed"),
    ],
)
def test_golden_replies(reply, reward, state):
    verdict = TASK.score(Item("?", "42"), reply)
    assert (verdict.reward, str(verdict.state)) == (reward, state)
    assert TASK.score_all([Item("?", "42")], [reply]) == [verdict]


def test_hostile_replies_are_judged_and_not_paid():
    item = Item("?", "4242")
    for reply in (*HOSTILE, *(f"\\boxed{{{each}}}" for each in HOSTILE)):
        verdict = TASK.score(item, reply)
        assert verdict.reward == 0.0 and verdict.state != VerdictState.ERROR, reply[:40]


def test_prompts_differ_and_splits_share_none():
    sides = [{normalise(TASK.item(split, index).prompt) for index in range(300)} for split in ("train", "test")]
    assert min(map(len, sides)) >= 298 and not sides[0] & sides[1]


@pytest.mark.parametrize("steps", [2, 7])
def test_the_floor_is_the_most_frequent_answer(steps):
    counts = Counter(told(steps, seed).answer for seed in range(6000))
    assert max(counts.values()) / 6000 == pytest.approx(WordProblems(steps=steps).floor, abs=0.004)
    # by hand: the mean of 0.009, 0.0089 and 0.0095
    assert TASK.floor == pytest.approx(0.0091, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "steps of word-problems must be a whole number or a range"),
        ({"steps": 9}, "steps of word-problems"),
        ({"steps": [4, 3]}, "steps of word-problems"),
        ({"steps": "4"}, "steps of word-problems"),
        ({"asides": 4}, "asides of word-problems must be a whole number from 0 to 3"),
        ({"asides": True}, "asides of word-problems"),
        ({"level": 1}, "has no option 'level'"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(BadValue, match=message):
        WordProblems(**options)


def test_multiples_are_said_as_people_say_them():
    assert (times(2), times(5)) == ("twice", "5 times")
