import json
import os
from pathlib import Path

import pytest

from eggym.check_sample import twin_of
from eggym.digest import digest
from eggym.envs import ifeval
from eggym.envs.content import emptiness
from eggym.envs.ifeval import LONGEST_REPLY, STUFFED
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.task import VerdictState

DATA = os.environ.get("EGGYM_DATA")
real = pytest.mark.skipif(not DATA, reason="set EGGYM_DATA to the folder that holds ifeval/input_data.jsonl")
FILE = str(Path(DATA or ".") / "ifeval" / "input_data.jsonl")


def row(key, *pairs):
    ids, kwargs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {"key": key, "prompt": f"Say something, number {key}.", "instruction_id_list": ids, "kwargs": kwargs}


COMMA, QUOTED = ("punctuation:no_comma", {}), ("startend:quotation", {})
TITLE = ("detectable_format:title", {"num_words": None})  # copies of the data carry all names, with nulls
ROWS = [row(key, COMMA, QUOTED) for key in range(60)] + [row(key, TITLE) for key in range(60, 90)]


def task(**options):
    return load_task("ifeval", data=ROWS, **{"rows": "test", **options})


def test_an_item_is_the_prompt_and_its_constraints_without_nulls():
    first, last = task().item("test", 0), task().item("test", 89)
    assert first.prompt == "Say something, number 0."
    assert first.truth == [["punctuation:no_comma", {}], ["startend:quotation", {}]] and first.meta == {"key": 0}
    assert last.truth == [["detectable_format:title", {}]]


# Two constraints: no comma, and quotes around. The reply in the middle has the quotes only after its first line is off.
@pytest.mark.parametrize(
    ("reply", "strict_all", "strict_share", "loose_all"),
    [
        ('"Here is what I say about it"', 1, 1, 1),
        ('Sure\n"Here is what I say about it"', 0, 0.5, 1),
        ("Here, what I say about it", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_rewards_and_parts(reply, strict_all, strict_share, loose_all):
    item = task().item("test", 0)
    verdict = task().score(item, reply)
    assert verdict.reward == strict_all
    assert verdict.parts["strict_all"] == strict_all and verdict.parts["strict_share"] == strict_share
    assert verdict.parts["loose_all"] == loose_all
    assert verdict.state is (VerdictState.CORRECT if strict_all else VerdictState.WRONG)
    assert task(reward="mean").score(item, reply).reward == strict_share
    assert task(mode="loose").score(item, reply).reward == loose_all
    assert "loose_all" not in task(show_loose=False).score(item, reply).parts


def test_the_reason_names_what_was_not_followed():
    item = task().item("test", 0)
    assert task().score(item, "Well, no").why == "not followed: punctuation:no_comma, startend:quotation"
    assert task().score(item, '"Well"').why == "all followed"


def test_the_splitter_of_sentences_is_told():
    rows = [row(1, ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}))]
    tried = load_task("ifeval", data=rows, rows="test")
    assert tried.score(tried.item("test", 0), "One.").why.startswith("all followed; sentences by Punkt, ")


def test_the_gate_takes_the_pay_from_empty_compliance_and_leaves_the_figures():
    item = task().item("test", 0)
    for reply in ('"."', '"a a a a a a a a a a a a"', f'"{"no " * 50}"'):
        assert task().score(item, reply).reward == 1
        verdict = task(gate=True).score(item, reply)
        assert verdict.reward == 0 and verdict.parts["strict_all"] == 1 and verdict.parts["content"] == 0
        assert verdict.why.startswith("says too little: ")
    assert task(gate=True).score(item, '"Here is what I say about it"').reward == 1


@pytest.mark.parametrize(
    ("reply", "repeated", "given", "empty"),
    [
        ("My answer is no.", "", (), False),  # four words of its own: the boundary
        ("My answer is", "", (), True),
        ("one two three 4 5 6", "", (), True),  # numbers are no words
        ("say it now please", "Say it now please", (), True),  # an echo
        ("say it now please and so I do", "Say it now please", (), False),
        ("war peace storm and rain", "", ("war", "peace storm"), True),  # two words are not handed over
        ("war peace storm and rain fell down", "", ("war", "peace storm"), False),
        ("a b c d a a a a x y", "", (), True),  # 5 of 10 words are a, more than 0.4
        ("a b c d a a a z x y", "", (), False),  # 4 of 10
        ("a b c d a a a a x", "", (), False),  # 9 words: not counted yet
        ("\u4eca\u5929\u5929\u6c14\u5f88\u597d", "", (), False),  # a script without spaces: 5 different characters
        ("", "", (), True),
    ],
)
def test_what_counts_as_saying_something(reply, repeated, given, empty):
    assert bool(emptiness(reply, repeated, given)) is empty


def test_rows_are_divided_by_hash_or_all_are_test():
    divided = load_task("ifeval", data=ROWS)
    sizes = [divided.n_items(split) for split in ("train", "validation", "test")]
    assert sum(sizes) == 90 and all(sizes) and sizes[0] > 50
    assert [task().n_items(split) for split in ("train", "validation", "test")] == [0, 0, 90]


def test_the_hub_has_one_split_and_gives_the_same_items(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: {"train": ROWS})
    hub, local = load_task("ifeval"), load_task("ifeval", data=ROWS)
    assert [hub.item("test", n) for n in range(3)] == [local.item("test", n) for n in range(3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward": "most"}, "option 'reward' of task 'eggym/ifeval-v0' is \"all\" or \"mean\", got 'most'"),
        ({"gate": 1}, "option 'gate' of task 'eggym/ifeval-v0' is false or true, got 1"),
        ({"loose": True}, "has no option 'loose'; its options: reward, mode, profile"),
    ],
)
def test_odd_options_are_refused(options, message):
    with pytest.raises(BadValue, match=message):
        task(**options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kwargs": []}, "two lists of the same length"),
        ({"kwargs": [None, {}]}, "kwargs is a list of objects"),
        ({"instruction_id_list": [], "kwargs": []}, "at least 1"),
        ({"kwargs": [{"n": 1}, {}]}, "row 0 of test: constraint 'punctuation:no_comma' takes no arguments; got n"),
        ({"prompt": None}, "its field 'prompt' is null"),
    ],
)
def test_odd_rows_are_refused_when_read(change, message):
    with pytest.raises(BadValue, match=message):
        load_task("ifeval", data=[row(0, COMMA, QUOTED) | change], rows="test").item("test", 0)


def test_an_unknown_constraint_never_passes_unseen():
    with pytest.raises(BadValue, match="row 0 of test: no constraint 'punctuation:no_commas'"):
        load_task("ifeval", data=[row(0, ("punctuation:no_commas", {}))], rows="test").item("test", 0)


def test_parity_is_refused_without_the_trained_splitter(monkeypatch):
    monkeypatch.setattr(ifeval, "splitter_name", lambda: "untrained")
    with pytest.raises(BadValue, match="parity=true needs NLTK's data set punkt_tab"):
        task(parity=True)
    monkeypatch.setattr(ifeval, "splitter_name", lambda: "punkt_tab")
    assert task(parity=True).options["parity"] is True


def test_a_reply_beyond_the_cap_is_refused():
    item = task().item("test", 0)
    assert task().score(item, "a" * (LONGEST_REPLY + 1)).state is VerdictState.REFUSED
    assert task().score(item, "a" * LONGEST_REPLY).state is VerdictState.WRONG


def test_options_and_libraries_are_part_of_the_identity(monkeypatch):
    tried = task(profile="fixed")
    assert digest(tried) == digest(twin_of(tried)) != digest(task())
    before = task().identity()
    assert "langdetect" in before and "nltk" in before
    monkeypatch.setattr(ifeval, "splitter_name", lambda: "another")
    assert task().identity() != before


@real
def test_degenerate_replies_earn_what_is_published():
    # Shares of 834 instructions and 541 prompts, strict: ".", "a", "1", and all values of the arguments in a row as in
    # the published table. The echo of the prompt follows 301 instructions; the table has 0.360, which is 300.
    tried = load_task("ifeval", data=FILE, rows="test", show_loose=False)
    items = [tried.item("test", index) for index in range(541)]

    def dump(item):
        values = [value for _, arguments in item.truth for value in arguments.values()]
        return " ".join(" ".join(value) if isinstance(value, list) else str(value) for value in values)

    def shares(reply):
        scored = [(tried.score(item, reply(item)).parts, len(item.truth)) for item in items]
        followed = sum(round(parts["strict_share"] * count) for parts, count in scored)
        return round(followed / 834, 3), round(sum(parts["strict_all"] for parts, _ in scored) / 541, 3)

    assert shares(lambda item: ".") == (0.266, 0.150)
    assert shares(lambda item: "a") == (0.229, 0.115)
    assert shares(lambda item: "1") == (0.287, 0.177)
    assert shares(dump) == (0.317, 0.192)
    instruction, prompt = shares(lambda item: item.prompt)
    assert instruction == pytest.approx(0.360, abs=0.0013) and prompt == 0.248


@real
@pytest.mark.parametrize("profile", ["official", "fixed"])
def test_the_floor_is_what_the_stuffed_replies_earn(profile):
    tried = load_task("ifeval", data=FILE, rows="test", profile=profile)
    items = [tried.item("test", index) for index in range(541)]
    parts = [[tried.score(item, reply).parts for item in items] for reply in STUFFED]
    for mode in ("strict", "loose"):
        for reward, share in (("all", "all"), ("mean", "share")):
            best = max(sum(each[f"{mode}_{share}"] for each in scored) / 541 for scored in parts)
            floor = load_task("ifeval", data=FILE, profile=profile, mode=mode, reward=reward).floor
            assert floor == pytest.approx(best, abs=1e-4), (mode, reward)
    assert all(each["content"] for scored in parts for each in scored)  # the gate does not see through them


@real
def test_the_real_rows_are_divided():
    tried = load_task("ifeval", data=FILE)
    assert sum(tried.n_items(split) for split in ("train", "validation", "test")) == 541
    assert len(json.dumps(tried.item("train", 0).truth)) > 10
