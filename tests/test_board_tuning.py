"""Tuning on a board: as many trials as it allows, drawn and not chosen, and the first best of them taken."""

import copy

import pytest
from boards import folder_of
from made_up import TUNING

from eggym.leaderboards.board import Allowance
from eggym.leaderboards.rules import _tuning_faults, own_settings
from eggym.leaderboards.stored import read_entry
from eggym.registry import load_learner
from eggym.score import Tuning
from eggym.trials import draw


@pytest.fixture(scope="module")
def tuned(small_place):
    """Return a board with four trials, and a function that makes a record that was tuned by them and changed."""
    board, _ = small_place.board("small")
    board = board.model_copy(update={"tuning": Allowance(trials=4)})
    record = read_entry(folder_of(small_place, "dr_grpo", "tiny-orders")).record
    space = {name: list(values) for name, values in load_learner("dr_grpo").search["tiny"].items()}
    start = {name: record.learner.options[name] for name in space}
    trials = [
        {"options": options, "score": score, "run": "0" * 16, "flops": 1}
        for options, score in zip(draw(space, start, 4), (0.1, 0.3, 0.3, None), strict=True)
    ]
    budget, task = record.config["budget"], record.task.label
    told = {
        **TUNING,
        "task": task,
        "budget": budget,
        "space": dict(sorted(space.items())),
        "trials": trials,
        "chosen": 1,
    }

    def make(change=lambda story: None):
        story = copy.deepcopy(told)
        change(story)
        options = {**record.learner.options, **story["trials"][story["chosen"]]["options"]}
        learner = record.learner.model_copy(update={"options": options})
        return record.model_copy(update={"tuning": Tuning.model_validate(story), "learner": learner})

    return board, make


def faults(tuned, change=lambda story: None):
    board, make = tuned
    record = make(change)
    return own_settings(board, record) + _tuning_faults(board.tuning, board.budget, record)


def test_what_was_drawn_is_nobodys_own(tuned):
    assert faults(tuned) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda story: story["trials"][1]["options"].update(lr=0.0123), "trials that were not drawn"),
        (lambda story: story["trials"][0]["options"].update(lr=0.0123), "trials that were not drawn"),
        (lambda story: story["space"]["lr"].append(0.0123), "trials that were not drawn"),
        (lambda story: story["trials"].reverse(), "trials that were not drawn"),
        (lambda story: story.update(chosen=0), "tuning chose trial 0, which is not the first best on validation"),
        (lambda story: story.update(chosen=2), "tuning chose trial 2, which is not the first best on validation"),
        (lambda story: story.update(chosen=3), "tuning chose trial 3, which is not the first best on validation"),
        (lambda story: story["trials"].pop(), "tuning.trials is 3, the board wants 4"),
        (lambda story: story.update(split="test"), "tuning was judged on test"),
        (lambda story: story.update(budget="9e9flops"), "tuning.budget is '9e9flops'"),
    ],
    ids=["chosen by hand", "the start", "space", "order", "worse", "later", "diverged", "fewer", "split", "budget"],
)
def test_a_story_of_tuning_is_held_to_what_eggym_does(tuned, change, told):
    assert told in "; ".join(faults(tuned, change))
