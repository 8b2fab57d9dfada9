"""The digest of a task: what it asks and how it scores, as one hash. Results compare only where digests agree."""

import ast
import hashlib
import inspect
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from eggym.splits import SPLITS
from eggym.task import Task, size_of

_SETTINGS = ("id", "floor", "reward_range", "stop", "max_new_tokens", "max_turns", "system", "few_shot")


def digest(task: Task) -> str:
    """Return the SHA-256 of a task's settings, options, source, first items, and of `Task.identity`.

    The source is that of the task's module and of the siblings that it imports (``from .x import y``), and they in
    turn; a checker that is shared by several tasks counts in each of them.
    """
    settings = {name: getattr(task, name) for name in _SETTINGS}
    items = [_row(task, split, index) for split in SPLITS for index in range(_first(size_of(task, split)))]
    parts: list[Any] = [settings, task.difficulty, _source(type(task)), items, task._own("identity")]
    siblings = _siblings(inspect.getmodule(type(task)))
    if siblings:  # only then: the digests of tasks that stand alone stay what they were
        parts.append(siblings)
    if task.fresh_context or task.grouped:
        parts.append([task.fresh_context, task.grouped])
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()


def _source(kind: type[Task]) -> str:
    module = inspect.getmodule(kind)
    return inspect.getsource(module) if module is not None and hasattr(module, "__file__") else ""


def _siblings(module: ModuleType | None) -> dict[str, str]:
    """Return the SHA-256 of the source of every module of the same package that a module reaches by ``from .``."""
    package = getattr(module, "__package__", None)
    if module is None or not package:
        return {}
    found: dict[str, str] = {}
    waiting = _relative(_text_of(module.__name__))
    while waiting:
        name = waiting.pop()
        text = _text_of(f"{package}.{name}")
        if name not in found and f"{package}.{name}" != module.__name__ and text:
            found[name] = hashlib.sha256(text.encode()).hexdigest()
            waiting |= _relative(text)
    return found


def _relative(text: str) -> set[str]:
    """Return the names of siblings that a source imports, anywhere in it: inside of functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names |= {node.module} if node.module else {alias.name for alias in node.names}
    return names


def _text_of(name: str) -> str:
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None) if module else getattr(find_spec(name), "origin", None)
    return Path(path).read_text(encoding="utf-8") if path and path.endswith(".py") else ""


def _first(n_items: int | None) -> int:
    return 32 if n_items is None else min(32, n_items)


def _row(task: Task, split: str, index: int) -> list[Any]:
    item = task.item(split, index)
    return [item.prompt, item.truth, dict(item.meta)]
