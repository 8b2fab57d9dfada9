"""Names in the tables of the terminal: long ones break where they have parts."""

import pytest
from rich.console import Console

from eggym.tables import print_plan

ROW = {"runs": 1, "steps": 5, "episodes": 10, "tokens": 10, "flops": 10, "total_seconds": 1.0, "disk_bytes": 1,
       "memory_bytes": 1, "rows": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "learner", "words"),
    [
        ("eggym/exam-v0@mode=needle,turns=16", "eggroll", ["exam@", "mode=needle,", "turns=16", "eggroll"]),
        ("eggym/tiny-programs-v0", "random-reward:eggroll", ["tiny-programs", "random-reward:", "eggroll"]),
    ],
)
def test_a_long_name_is_not_broken_within_a_word(task, learner, words):
    console = Console(width=80, record=True, file=None)
    print_plan(console, [{"task": task, "learner": learner, **ROW}], 1)
    shown = console.export_text().split()
    assert set(words) <= set(shown)
