"""A task that changes takes a new version: items and rewards of every registered id are kept in golden/tasks.json.

A new id is added by ``EGGYM_GOLDEN=add python -m pytest tests/test_golden_tasks.py``, which changes no entry that is
there. To change a task, give it a new version and keep the old one, or say in CHANGELOG why its scores were never
right and take its entry out by hand.
"""

import hashlib
import json
import os
from pathlib import Path

import pytest

import eggym.envs
from eggym.check_sample import PLAIN, best_reply, constant, items_of, play_through
from eggym.envs import rg_table

GOLDEN = Path(__file__).parent / "golden" / "tasks.json"
N_ITEMS = 100
N_SCORED = 5


def fingerprint(task, splits=("train", "validation", "test")):
    """The first items of each split as one hash, and the rewards of some replies to the first items, in the open."""
    rows = [[item.prompt, item.truth, dict(item.meta)] for split in splits for item in items_of(task, split, N_ITEMS)]
    items = list(items_of(task, "test", N_SCORED)) or list(items_of(task, "train", N_SCORED))
    replies = [best_reply(task), *map(constant, PLAIN), lambda state, observation: observation]
    rewards = [[play_through(task, item, reply).reward for reply in replies] for item in items]
    body = json.dumps(rows, sort_keys=True, ensure_ascii=True)
    return {
        "n_items": len(rows),
        "items": hashlib.sha256(body.encode()).hexdigest(),
        "rewards": [" ".join("none" if reward is None else f"{reward:.6g}" for reward in row) for row in rewards],
    }


def stored():
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def is_what_it_was(task_id, found):
    kept = stored()
    if task_id not in kept and os.environ.get("EGGYM_GOLDEN") == "add":
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(kept | {task_id: found}, indent=1, sort_keys=True) + "\n")
        return
    assert task_id in kept, f"{task_id} is new: add it with EGGYM_GOLDEN=add (see this file's first lines)"
    assert found == kept[task_id], f"{task_id} asks or scores something else than before: give it a new version"


@pytest.mark.parametrize("task_id", eggym.envs.TASKS)
def test_a_task_is_what_it_was(task_id, house_task):
    is_what_it_was(task_id, fingerprint(house_task(task_id)[0]))


@pytest.mark.slow
@pytest.mark.parametrize("task_id", rg_table.usable())
def test_a_task_of_reasoning_gym_is_what_it_was(task_id, house_task):
    # Items of train alone: an item of test takes ten tries on average, and the slowest generators 50 ms for each.
    is_what_it_was(task_id, fingerprint(house_task(task_id)[0], ("train",)))


def test_every_id_is_kept_and_nothing_of_tasks_that_are_gone():
    assert stored().keys() == eggym.envs.TASKS.keys() | set(rg_table.usable())


def test_a_fingerprint_sees_a_changed_prompt_and_a_changed_reward():
    from eggym.envs.guess import Guess
    from eggym.envs.tiny_orders import TinyOrders

    shouted = type("Shouted", (TinyOrders,), {"oracle": lambda self, item: "x"})
    assert fingerprint(shouted())["rewards"] != fingerprint(TinyOrders())["rewards"]
    assert fingerprint(Guess())["items"] != fingerprint(type("Other", (Guess,), {"id": "eggym/guess-v1"})())["items"]
