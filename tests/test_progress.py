"""Progress of a duel where nobody watches a terminal: a line when a run begins, and one for each point."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from eggym.config import RunConfig
from eggym.pool import Entry
from eggym.progress import Progress, show_trying


def event(kind, step, fraction, reward=None):
    return {"type": "event", "kind": kind, "step": step, "fraction": fraction, "reward": reward}


def test_lines_say_that_a_run_begins_goes_on_and_what_it_scores():
    console = Console(record=True, file=None, width=200, force_terminal=False)
    entry = Entry(
        RunConfig("tiny-programs", "eggroll"), Path("x"), {"total_seconds": 8.0}, "es", "eggym/tiny-programs-v0",
        "eggroll", {},
    )  # fmt: skip
    with Progress(2, console) as progress:
        progress("planned", entry, {"type": "planned"})
        assert console.export_text(clear=False) == ""  # a refusal stays the only line
        progress("event", entry, event("start", 0, 0.0))
        progress("event", entry, event("point", 0, 0.0, 0.25))
        progress("event", entry, event("step", 1, 0.1, 0.5))
        progress("event", entry, event("start", 3, 0.0))
        progress("event", entry, event("done", 4, 1.0, 0.5))
    assert console.export_text().splitlines() == [
        "tiny-programs eggroll seed 0: begins; about 4 s in all",
        "tiny-programs eggroll seed 0:   0% of the budget, step 0, held-out reward 0.250; about 4 s in all",
        "tiny-programs eggroll seed 0: goes on at step 3; about 4 s in all",
    ]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_notice_is_said_on_a_terminal_too(terminal):
    console = Console(record=True, file=io.StringIO(), width=200, force_terminal=terminal)
    entry = Entry(
        RunConfig("tiny-programs", "eggroll"), Path("x"), {"total_seconds": 8.0}, "es", "eggym/tiny-programs-v0",
        "eggroll", {},
    )  # fmt: skip
    with Progress(2, console) as progress:
        progress("event", entry, {**event("notice", 3, 0.1), "note": "checkpoint-00000004 is damaged"})
        progress("event", entry, event("step", 4, 0.1, 0.5))
    said = [line for line in console.export_text().splitlines() if "damaged" in line]
    assert len(said) == 1 and said[0].startswith("tiny-programs eggroll seed 0: checkpoint-00000004 is damaged; ")


def test_a_long_trial_of_all_learners_says_how_far_it_is(monkeypatch):
    console = Console(record=True, file=None, width=80, force_terminal=False)
    with show_trying(console) as tried:
        tried(1, 3)  # at once: a refusal would stay the only line
        monkeypatch.setattr("eggym.progress._EVERY_S", -1.0)
        tried(2, 3)
    assert console.export_text().strip() == "tried 2 of 3 learners on tasks"
