"""The table of tasks and the modules it names say the same."""

import importlib
import inspect
import pkgutil

import pytest

import eggym.envs
from eggym.registry import check_id, load_task
from eggym.task import Task


def classes_in_modules():
    """Every task with an id that a module of the leaf defines."""
    for info in pkgutil.iter_modules(eggym.envs.__path__):
        module = importlib.import_module(f"eggym.envs.{info.name}")
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, Task) and value.__module__ == module.__name__:
                yield f"{module.__name__}:{value.__name__}", value


@pytest.mark.parametrize("task_id", eggym.envs.TASKS)
def test_an_id_leads_to_its_class(task_id):
    place, summary = eggym.envs.TASKS[task_id]
    check_id(task_id, place)
    assert task_id.startswith("eggym/")
    assert 0 < len(summary) <= 60 and not summary.endswith(".")
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name)
    assert found.id in ("", task_id)
    assert load_task(task_id).id == task_id


def test_every_task_with_an_id_is_listed():
    tables = [eggym.envs.TASKS, *(table for _, table in eggym.envs.FAMILIES.values())]
    listed = {place for table in tables for place, _ in table.values()}
    assert {place for place, found in classes_in_modules() if found.id} <= listed


@pytest.mark.parametrize("task_id", eggym.envs.TASKS)
def test_a_task_declares_what_the_house_asks(task_id):
    task = load_task(task_id)
    low, high = task.reward_range
    assert low <= task.floor < high
    assert task.max_new_tokens > 0 and task.max_turns > 0
    assert isinstance(task.stop, tuple) and isinstance(task.few_shot, tuple)
    assert inspect.getmodule(type(task)).__doc__.count("Reward:") == 1, "the module says what is paid for"
