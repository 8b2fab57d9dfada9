"""Every type of constraint against cases worked by hand (tests/data/constraints_golden.json says why each is so)."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eggym.envs.constraint_repairs import REPAIRS
from eggym.envs.constraints import FIXED, OFFICIAL, read_constraint, read_constraints, variants
from eggym.errors import BadValue, UnknownName

GOLDEN = json.loads((Path(__file__).parent / "data" / "constraints_golden.json").read_text())
CASES = [
    (profile, id, group["arguments"], case)
    for profile, types in GOLDEN.items()
    for id, groups in types.items()
    for group in groups
    for case in group["cases"]
]
DATA = os.environ.get("EGGYM_DATA")
real = pytest.mark.skipif(not DATA, reason="set EGGYM_DATA to the folder that holds ifeval/input_data.jsonl")


@pytest.mark.parametrize(
    ("profile", "id", "arguments", "case"), CASES, ids=[f"{case[0]}-{case[1]}-{n}" for n, case in enumerate(CASES)]
)
def test_golden_cases(profile, id, arguments, case):
    assert read_constraint(id, arguments, profile).passes(case["text"]) == case["passes"], case["because"]


def test_every_repair_has_an_example():
    marks = [mark for mark in test_repairs_change_what_they_name.pytestmark if mark.name == "parametrize"]
    assert {values[0] for values in marks[0].args[1]} == set(REPAIRS)


def test_every_type_and_every_repair_has_cases_on_both_sides():
    repaired = {id for id in OFFICIAL if FIXED[id] is not OFFICIAL[id]}
    assert set(GOLDEN["official"]) == set(OFFICIAL) and len(OFFICIAL) == 25
    assert set(GOLDEN["fixed"]) == repaired and len(repaired) == 12
    sides = {}
    for profile, id, _, case in CASES:
        sides.setdefault((profile, id), set()).add(case["passes"])
    assert all(found == {True, False} for found in sides.values())


# Each repair by name: what the published semantics say and the repaired ones do not.
@pytest.mark.parametrize(
    ("repair", "id", "arguments", "reply", "official"),
    [
        ("whole keywords", "keywords:existence", {"keywords": ["war"]}, "forward", True),
        (
            "whole keywords", "keywords:frequency",
            {"keyword": "cat", "frequency": 1, "relation": "at least"}, "category", True,
        ),
        ("whole keywords", "keywords:forbidden_words", {"forbidden_words": ["C#"]}, "I like c#.", True),
        (
            "counted paragraphs", "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "b"}, "a\n\n\n\nb", False,
        ),
        ("real bullets", "detectable_format:number_bullet_lists", {"num_bullets": 1}, "+ a", False),
        ("real bullets", "detectable_format:number_bullet_lists", {"num_bullets": 1}, "a\n---", True),
        ("postscript line", "detectable_content:postscript", {"postscript_marker": "P.S."}, "I like P.S. more", True),
        ("answer alone", "detectable_format:constrained_response", {}, "My answer is yes. Or no.", True),
        ("one highlight", "detectable_format:number_highlighted_sections", {"num_highlights": 2}, "***x***", True),
        ("plain JSON", "detectable_format:json_format", {}, "NaN", True),
        ("language found", "language:response_language", {"language": "de"}, "123", True),
        ("capitals read", "change_case:english_capital", {}, "PLEASE READ THIS NOTICE.", False),
    ],
)  # fmt: skip
def test_repairs_change_what_they_name(repair, id, arguments, reply, official):
    assert repair in REPAIRS
    assert read_constraint(id, arguments).passes(reply) is official
    assert read_constraint(id, arguments, "fixed").passes(reply) is not official


@pytest.mark.parametrize("id", sorted(OFFICIAL))
@pytest.mark.parametrize("blank", ["", " ", "\n\t\n", "\u2003"])
def test_a_blank_reply_follows_nothing_strictly_or_loosely(id, blank):
    constraint = read_constraint(id, GOLDEN["official"][id][0]["arguments"])
    assert not constraint.passes(blank) and not constraint.passes_loosely(blank)


@pytest.mark.parametrize(
    ("id", "arguments", "kind", "message"),
    [
        ("keywords:existance", {"keywords": ["a"]}, UnknownName, "no constraint 'keywords:existance'; did you mean"),
        ("keywords:existence", {}, BadValue, "'keywords:existence' takes keywords; got none"),
        ("keywords:existence", {"keyword": ["a"]}, BadValue, "takes keywords; got keyword"),
        ("punctuation:no_comma", {"relation": "at least"}, BadValue, "takes no arguments; got relation"),
        ("keywords:existence", {"keywords": "war"}, BadValue, "keywords is a list of at least one text, got 'war'"),
        ("keywords:existence", {"keywords": []}, BadValue, "a list of at least one text"),
        ("keywords:existence", {"keywords": [" "]}, BadValue, "a text that is not blank"),
        ("keywords:existence", {"keywords": ["("]}, BadValue, "no regular expression"),
        ("startend:end_checker", {"end_phrase": 3}, BadValue, "end_phrase is a text that is not blank, got 3"),
        ("detectable_format:number_bullet_lists", {"num_bullets": -1}, BadValue, "at least 0, got -1"),
        ("detectable_format:number_bullet_lists", {"num_bullets": True}, BadValue, "a whole number"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 1.5}, BadValue, "a whole number"),
        ("length_constraints:number_words", {"num_words": 3, "relation": "at most"}, BadValue, "'at least', 'less"),
        ("language:response_language", {"language": "english"}, UnknownName, "no language 'english'"),
        (
            "keywords:letter_frequency",
            {"letter": "ab", "let_frequency": 1, "let_relation": "at least"},
            BadValue,
            "letter is one character, got 'ab'",
        ),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "a"},
            BadValue,
            "nth_paragraph is at most num_paragraphs, 2, got 3",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused_when_read(id, arguments, kind, message):
    with pytest.raises(kind, match=message.replace("(", r"\(")):
        read_constraint(id, arguments)


def test_an_unknown_profile_is_refused():
    with pytest.raises(UnknownName, match="no profile of constraints 'strict'"):
        read_constraint("punctuation:no_comma", {}, "strict")


def test_null_arguments_are_left_out_and_whole_floats_are_counts():
    nulls = {"num_words": None, "keywords": None, "num_bullets": 2.0}
    constraint = read_constraint("detectable_format:number_bullet_lists", nulls)
    assert constraint.arguments == {"num_bullets": 2.0} and constraint.passes("- a\n- b")


def test_constraints_of_an_item_are_read_once():
    rows = [["punctuation:no_comma", {}], ["startend:quotation", {}]]
    assert read_constraints(rows)[1] is read_constraints(rows)[1]
    assert read_constraints(rows)[0].check is not read_constraints(rows, "fixed")[0].check


def test_the_eight_variants():
    # lines off: none, first, last, both; then the same without stars. Only the first keeps outer white space.
    assert variants(" Sure!\n *a*\nb \nBye ") == (
        " Sure!\n *a*\nb \nBye ", "*a*\nb \nBye", "Sure!\n *a*\nb", "*a*\nb",
        " Sure!\n a\nb \nBye ", "a\nb \nBye", "Sure!\n a\nb", "a\nb",
    )  # fmt: skip
    assert variants("one line") == ("one line", "")  # cuts leave nothing, and nothing follows nothing


@pytest.mark.parametrize(
    ("id", "arguments", "reply"),
    [
        ("punctuation:no_comma", {}, "Sure, here it is:\nno sign of it"),  # without the first line
        ("startend:end_checker", {"end_phrase": "the end"}, "So it was. The end\nAnything else?"),  # without the last
        ("detectable_format:json_format", {}, "Sure!\n{}\nDone."),  # without both
        ("startend:quotation", {}, '**"Hello"**'),  # without stars
        ("startend:quotation", {}, 'Sure!\n*"Hello"*\nBye'),  # without both and without stars
    ],
)
def test_loose_forgives_ends_and_stars(id, arguments, reply):
    constraint = read_constraint(id, arguments)
    assert constraint.passes_loosely(reply) and not constraint.passes(reply)


def test_loose_needs_one_variant_that_passes():
    assert not read_constraint("punctuation:no_comma", {}).passes_loosely("Sure,\na, b\nc,")


_parts = [
    "*",
    "**",
    "***",
    "******",
    "- ",
    "\n",
    "\n\n",
    " ",
    ",",
    ".",
    '"',
    "[a]",
    "<<t>>",
    "P.S. ",
    "A",
    "the ",
    "war",
]
_texts = st.lists(st.sampled_from(_parts), max_size=12).map("".join) | st.text(max_size=30)


@settings(max_examples=60)
@given(_texts)
def test_strict_implies_loose(reply):
    for profile, types in GOLDEN.items():
        for id, groups in types.items():
            constraint = read_constraint(id, groups[0]["arguments"], profile)
            assert constraint.passes_loosely(reply) or not constraint.passes(reply)


def words(n, relation="at least"):
    return "length_constraints:number_words", {"num_words": n, "relation": relation}


BASE = "* One thing\n* Another thing"


# What a small change does to a text: (id, arguments, text, changed text); it passes before and fails after.
@pytest.mark.parametrize(
    ("id", "arguments", "before", "after"),
    [
        ("punctuation:no_comma", {}, BASE, BASE + ","),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, BASE, BASE + "\n* Third"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, BASE, BASE.split("\n")[0]),
        (
            "change_case:capital_word_frequency",
            {"capital_frequency": 1, "capital_relation": "less than"}, BASE, BASE.upper(),
        ),
        ("startend:quotation", {}, f'"{BASE}"', BASE),
        (*words(5, "less than"), BASE, BASE + BASE),
        (*words(4), BASE, BASE.split("\n")[0]),
        ("combination:two_responses", {}, "one******two", "one******two******two"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n***\nb\n***\nb"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "Do it"}, "Do it\nnow", "now\nDo it"),
    ],
)  # fmt: skip
def test_small_changes_that_break_a_constraint(id, arguments, before, after):
    constraint = read_constraint(id, arguments)
    assert constraint.passes(before) and not constraint.passes(after)


@pytest.mark.parametrize(
    ("id", "arguments", "text"),
    [
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, BASE),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb"),
        ("startend:quotation", {}, '"a"'),
        ("startend:end_checker", {"end_phrase": "end"}, "the end"),
        ("detectable_format:json_format", {}, "{}"),
        ("combination:two_responses", {}, "one******two"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "Do it"}, "Do it\nnow"),
        ("detectable_format:title", {}, "<<t>>"),
        (*words(4), BASE),
    ],
)
def test_blank_lines_around_change_nothing(id, arguments, text):
    assert read_constraint(id, arguments).passes(f"\n\n{text}\n\n")


@real
def test_all_real_constraints_can_be_read():
    rows = [json.loads(line) for line in (Path(DATA) / "ifeval" / "input_data.jsonl").read_text().splitlines()]
    pairs = [pair for row in rows for pair in zip(row["instruction_id_list"], row["kwargs"], strict=True)]
    assert (len(rows), len(pairs)) == (541, 834)
    for profile in ("official", "fixed"):
        assert {read_constraint(*pair, profile).id for pair in pairs} == set(OFFICIAL)
