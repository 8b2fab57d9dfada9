"""Settings as they are listed: read off the source, and equal to what the dataclasses say."""

import dataclasses
from importlib import import_module

import pytest

from eggym.config import SECTIONS
from eggym.registry import load_learner
from eggym.setting_notes import SOURCES, meanings, nothing_to_set, run_settings


def test_every_setting_of_a_run_is_listed_with_its_default_and_its_meaning():
    notes = {note.name: note for note in run_settings()}
    there = {
        f"{section}.{field.name}": field.default
        for section, (module, name) in SOURCES.items()
        for field in dataclasses.fields(getattr(import_module(module), name))
    }
    assert list(notes) == [*there, "profile"]
    assert {*SOURCES, "task", "profile"} == {*SECTIONS, "endpoint"}  # a task's options are its own
    for name, default in there.items():
        assert notes[name].default == str(default) and notes[name].meaning, name


@pytest.mark.parametrize("learner", ["eggroll", "ppo", "trl-grpo", "frozen"])
def test_the_options_of_a_learner_have_their_meanings_from_all_its_classes(learner):
    options = load_learner(learner).options
    found = meanings(options)
    assert set(found) == {field.name for field in dataclasses.fields(options)}
    if learner == "eggroll":
        assert found["population"] == "members, in antithetic pairs"  # of the class above
        assert found["law"].startswith("of the factors' entries")
    if learner == "ppo":
        assert found["epochs"] == "passes over the episodes of a step"  # explained above, another default here


def test_options_without_a_source_have_no_meanings():
    assert meanings(dataclasses.make_dataclass("Made", [("lr", float, 0.1)])) == {}


def test_what_has_no_settings_says_so_even_where_its_author_did_not():
    assert nothing_to_set(dataclasses.make_dataclass("Made", [])) == "No settings."
    assert nothing_to_set(load_learner("best-of-n").options).startswith("No settings: n follows from the budget")
