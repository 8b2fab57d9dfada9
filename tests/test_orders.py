from collections import Counter
from itertools import combinations

import pytest

from eggym.check import check_task
from eggym.digest import digest
from eggym.envs.constraints import OFFICIAL
from eggym.envs.order_kinds import CLASHES, KINDS, go_together
from eggym.envs.orders import FLOORS, LONGEST_REPLY, Orders, constant
from eggym.envs.topics import TOPICS, is_about, mentions
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.task import Item, VerdictState

RAIN = (
    "We like the rain. It fills every puddle by the old house and feeds the garden. "
    "Take an umbrella when thunder is near."
)
ITEM = Item(
    "Write a note about rain, without any comma and with double quotes around the whole text.",
    {"topic": "rain", "constraints": [["punctuation:no_comma", {}], ["startend:quotation", {}]]},
    {"orders": {"comma": {}, "quotes": {}}},
)


def items(count, split="train", **options):
    task = Orders(**options)
    return task, [task.item(split, index) for index in range(count)]


@pytest.mark.parametrize(
    ("reply", "content", "met"),
    [
        (f'"{RAIN}"', 1, 2),
        (RAIN, 1, 1),  # no quotes
        (f"{RAIN} Yes, yes.", 1, 0),  # no quotes, a comma
        ('"."', 0, 2),  # empty compliance
        ('"rain rain rain rain"', 0, 2),
        (f'"{ITEM.prompt.replace(",", "")}"', 0, 2),  # an echo: no words that the prompt does not hold
        ('"We bake a fine loaf with good flour in a hot oven every day of the week"', 0, 2),  # about bread
        ('"rain bread chess cats dogs and all that anyone may ever want to read today"', 0, 2),  # about anything
    ],
)
def test_rewards_and_parts(reply, content, met):
    all_or_nothing, by_share = Orders().score(ITEM, reply), Orders(reward="mean").score(ITEM, reply)
    assert all_or_nothing.parts == {"content": content, "strict_all": float(met == 2), "strict_share": met / 2}
    assert all_or_nothing.reward == (content and float(met == 2))
    assert by_share.reward == content * met / 2
    assert (all_or_nothing.state is VerdictState.CORRECT) == bool(content and met == 2)


# None of these words stands in the prompt: seven against eight. "cloud" and "drizzle" make it a text about rain.
@pytest.mark.parametrize(
    ("own", "content"), [("cloud drizzle one two three four five", 0), ("cloud drizzle one two three four five six", 1)]
)
def test_eight_words_of_ones_own_are_content(own, content):
    assert Orders().score(ITEM, f'"{own}"').parts["content"] == content


def test_the_reason_tells_content_and_constraints():
    assert Orders().score(ITEM, f'"{RAIN}"').why == "as ordered"
    assert Orders().score(ITEM, RAIN).why == "not met: startend:quotation"
    assert Orders().score(ITEM, "Well, no").why == (
        "no content: it is not about rain; not met: punctuation:no_comma, startend:quotation"
    )


def test_a_reply_beyond_the_cap_is_refused():
    assert Orders().score(ITEM, "a" * (LONGEST_REPLY + 1)).state is VerdictState.REFUSED
    assert Orders().score(ITEM, "a" * LONGEST_REPLY).state is VerdictState.WRONG


# -- topics -------------------------------------------------------------------------------------------------------


def test_topics_share_no_word():
    names = [form for topic in TOPICS for form in {topic, topic.removesuffix("s")}]
    words = [word for relatives in TOPICS.values() for word in relatives]
    counted = Counter(names + words + [f"{word}s" for word in words])
    assert [word for word, count in counted.items() if count > 1] == []
    assert len(TOPICS) == 40 and {len(relatives) for relatives in TOPICS.values()} == {6}


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("Umbrellas!", True),  # plurals and capitals
        ("a training in brainy terrain", False),  # whole words alone
        ("rain and bread", False),  # as much of another topic
        ("rain, cloud and bread", True),
        ("", False),
    ],
)
def test_what_a_text_is_about(text, about):
    assert is_about(text, "rain") is about


def test_mentions_count_every_word_of_a_topic():
    assert mentions("Rain, a puddle, two puddles; a dog and his leash.") == {"rain": 3, "dogs": 2}


# -- orders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraints", [1, 2, 3, 4])
def test_every_order_can_be_met_and_is_by_the_oracle(constraints):
    task, drawn = items(80, constraints=constraints)
    for item in drawn:
        assert len(item.truth["constraints"]) == constraints
        verdict = task.score(item, task.oracle(item))
        assert verdict.reward == 1, (item.prompt, verdict.why)


def test_every_kind_is_drawn_and_is_a_type_of_the_library():
    _, drawn = items(300)
    assert {kind.id for kind in KINDS.values()} <= set(OFFICIAL)
    assert {name for item in drawn for name in item.meta["orders"]} == set(KINDS)


def test_no_order_holds_kinds_that_clash():
    assert all(name in KINDS for clash in CLASHES.values() for name in clash) and set(CLASHES) <= set(KINDS)
    _, drawn = items(60, constraints=4)
    for item in drawn:
        assert all(go_together(*pair) for pair in combinations(item.meta["orders"], 2)), item.prompt


@pytest.mark.parametrize(
    ("one", "other"),
    [("comma", "JSON"), ("small letters", "capital words"), ("small letters", "capitals"), ("words", "few words")],
)
def test_clashes_hold_both_ways(one, other):
    assert not go_together(one, other) and not go_together(other, one)
    assert not go_together(one, one) and go_together("comma", "title")


def test_the_prompt_says_every_argument():
    _, drawn = items(150)
    for item in drawn:
        assert f" about {item.truth['topic']}, " in item.prompt and item.prompt.endswith(".")
        for _, arguments in item.truth["constraints"]:
            for name, value in arguments.items():
                if "relation" not in name:
                    assert all(str(each) in item.prompt for each in (value if isinstance(value, list) else [value]))
        assert "{" not in item.prompt


def test_prompts_vary_and_splits_share_none():
    sides = [{item.prompt for item in items(80, split)[1]} for split in ("train", "validation", "test")]
    assert min(map(len, sides)) >= 79
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": 5}, "option 'constraints' of task 'eggym/orders-v0' is 1 to 4, got 5"),
        ({"constraints": 0}, "1 to 4, got 0"),
        ({"constraints": True}, "1 to 4, got True"),
        ({"reward": "most"}, "option 'reward' of task 'eggym/orders-v0' is all or mean, got 'most'"),
        ({"level": 2}, "has no option 'level'; its options: constraints, reward"),
    ],
)
def test_odd_options_are_refused(options, message):
    with pytest.raises(BadValue, match=message):
        Orders(**options)


def test_the_digest_tells_options_apart():
    assert digest(load_task("orders")) == digest(load_task("orders")) != digest(load_task("orders@constraints=1"))


# -- what ignores the prompt --------------------------------------------------------------------------------------


def test_empty_compliance_earns_nothing():
    task, drawn = items(100, reward="mean")
    blank = {"", ".", "1", "a", '"."', "[a] *b* <<c>> P.S. - d"}
    for item in drawn:
        keywords = " ".join(TOPICS[item.truth["topic"]])
        for reply in (*blank, item.prompt, item.prompt.lower() * 3, keywords, f"{keywords} {keywords}"):
            assert task.score(item, reply).reward == 0, (item.prompt, reply)


@pytest.mark.parametrize("reward", ["all", "mean"])
def test_the_default_floor_is_near_what_the_constant_earns(reward):
    # One topic of 40 is asked for at a time, so a constant about one of them earns a fortieth.
    task, drawn = items(200, reward=reward)
    mean = sum(task.score(item, constant(item.truth["topic"])).reward for item in drawn) / 200 / 40
    assert task.floor == FLOORS[reward][1] == pytest.approx(mean, abs=0.0025)


@pytest.mark.slow
@pytest.mark.parametrize("constraints", [1, 2, 3, 4])
def test_floors_are_what_the_constant_earns_on_2000_prompts(constraints):
    task, drawn = items(2000, constraints=constraints)
    scored = [task.score(item, constant(item.truth["topic"])).parts for item in drawn]
    for reward, part in (("all", "strict_all"), ("mean", "strict_share")):
        mean = sum(parts[part] * parts["content"] for parts in scored) / 2000 / 40
        assert FLOORS[reward][constraints - 1] == pytest.approx(mean, abs=2.5e-4)


@pytest.mark.slow
def test_eggym_check_passes_with_the_most_constraints():
    report = check_task("orders@constraints=4,reward=mean")
    assert report.ok, [finding for finding in report.findings if not finding.passed]
