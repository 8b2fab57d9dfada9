"""The tasks of reasoning-gym: what is known of each, without importing any of it.

``rg_table.json`` holds a row per task, written by ``benchmarks/rg_table.py``; docs/reasoning-gym.md shows it.

summary   one line
refused   why there is no such task here; the other fields are missing then
score     how a reply is judged: ``theirs`` (their scorer's full marks) or a name in `eggym.envs.rg_scorers`
runs_text their scorer runs the answer as code, so it is never called
form      with ``theirs``: a regular expression that the whole answer must match, or ``formula``, one
          formula of logic; else the answer is unparsed
full      what of their scorer counts as full marks; 1 unless given
doubtful  their own answer is wrong at times; a problem is asked only if it is right
notes     what is wrong or odd, and what is done about it
oracle    the field of their metadata that holds a right answer, where ``answer`` is empty
size      how many problems there are to index; endless (2^30) unless given
split     ``window``: indices of the splits lie in windows of their own; else by the hash of the prompt
digits    more digits in a row than these are refused unread
levels    levels of difficulty that work, from 0; none unless given
longest   characters of an answer that are read
tokens    max_new_tokens
floor     what the best of many blind replies earns, and ``blind``: which one
ms        CPU milliseconds to make a problem; ``chars``: the longest prompt seen; ``distinct``: of 400 prompts
items     hash of the first problems: another means that their generator changed
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

Row = dict[str, Any]
PREFIX = "eggym/rg-"


@cache
def rows() -> dict[str, Row]:
    """Return the row of each task by reasoning-gym's own name for it."""
    found: dict[str, Row] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return found


def task_id(name: str) -> str:
    """Return eggym's id of a task of reasoning-gym."""
    return f"{PREFIX}{name}-v0"


def usable() -> list[str]:
    """Return the ids of the tasks that are not refused."""
    return [task_id(name) for name, row in rows().items() if "refused" not in row]


def table() -> dict[str, tuple[str, str]]:
    """Return the ids as in `eggym.envs.TASKS`; those that are refused are there to say why."""
    return {
        task_id(name): (
            f"eggym.envs.rg:{name}",
            "refused here; playing it says why" if "refused" in row else row["summary"],
        )
        for name, row in rows().items()
    }
