"""The tables of names: those of the leaves, and those that other distributions bring under the entry point of plugins.

A table maps an id to where its thing lives and to one line about it, so that a listing imports nothing. A plugin is a
module with such tables: ``TASKS``, ``LEARNERS``, ``FAMILIES``; it is imported on a listing, or for an unknown name.
"""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from eggym.errors import BadValue, EggymError
from eggym.source import told

Table = dict[str, tuple[str, str]]

GROUP = "eggym.plugins"  # of entry points
ID = re.compile(r"(?P<family>[\w:-]+/[\w:.-]+?)-v(?P<version>\d+)")
_TABLES = ("TASKS", "LEARNERS", "FAMILIES")

_plugins: dict[str, Any] = {}  # entry-point name -> what it loaded
_faults: dict[str, str] = {}  # entry-point name -> why it could not be loaded
_loaded = False


def load_plugins() -> bool:
    """Load what is installed, once; return whether that was now. One that fails is kept in `faults`."""
    global _loaded
    if _loaded:
        return False
    from importlib.metadata import entry_points  # late: costs as much as all that a listing needs together

    _loaded = True  # before loading: a plugin may ask the registry for something
    for point in entry_points(group=GROUP):
        where = f"plugin {point.name!r} ({point.value})"
        try:
            module = point.load()
        except KeyboardInterrupt:
            _loaded = False
            raise
        except BaseException as problem:  # noqa: BLE001 - another distribution's code may raise anything, sys.exit() included
            _faults[point.name] = f"{where} raised {told(problem)}; mend or uninstall it"
            continue
        fault = _fault(module)
        if fault:
            _faults[point.name] = f"{where} {fault}; mend or uninstall it"
        else:
            _plugins[point.name] = module
    return True


def faults() -> list[str]:
    """Return why plugins are left out, a line for each."""
    return list(_faults.values())


def tables(leaves: tuple[str, ...], attribute: str) -> Table:
    """Return the tables of the leaves, and of the plugins loaded so far, in one.

    Raises:
        BadValue: two of them have the same name.
    """
    together: Table = {}
    modules = {leaf: importlib.import_module(leaf) for leaf in leaves}
    for name, module in (modules | _plugins).items():
        table: Table = getattr(module, attribute, {})
        for key in table.keys() & together.keys():
            raise BadValue(f"{key!r} of {name} is already taken by {together[key][0]}; give it another name")
        together |= table
    return together


def families(leaves: tuple[str, ...]) -> dict[str, tuple[str, Table]]:
    """Return the families: many ids under one heading, such as the tasks of another gym."""
    found: dict[str, tuple[str, Table]] = {}
    for module in (*map(importlib.import_module, leaves), *_plugins.values()):
        found |= getattr(module, "FAMILIES", {})
    return found


def check_id(task_id: Any, owner: str) -> None:
    """Refuse an id that is not of the form ``namespace/name-vN``."""
    if not task_id:
        raise BadValue(f'task {owner} has no id; give its class one, such as id = "me/sums-v0"')
    if not isinstance(task_id, str) or not ID.fullmatch(task_id):
        raise BadValue(f"task id {task_id!r} of {owner} is not of the form namespace/name-vN, such as me/sums-v0")


def _fault(module: Any) -> str:
    """Return what is wrong with the tables of a plugin, or ""."""
    held = {name: getattr(module, name) for name in _TABLES if hasattr(module, name)}  # none: it calls `register`
    for name in ("TASKS", "LEARNERS"):
        fault = _table_fault(name, held.get(name, {}), ids=name == "TASKS")
        if fault:
            return fault
    entries = held.get("FAMILIES", {})
    if not isinstance(entries, Mapping):
        return f"has FAMILIES that are no dict but {entries!r:.60}"
    for family, entry in entries.items():
        if not (isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)):
            return f"has a row {family!r:.60}: {entry!r:.60} in FAMILIES, which is not NAME: (title, table)"
        if fault := _table_fault(f"FAMILIES[{family!r}]", entry[1], ids=True):
            return fault
    return ""


def _table_fault(name: str, table: Any, ids: bool) -> str:
    if not isinstance(table, Mapping):
        return f'has {name} that is no dict but {table!r:.60}; write {{"me/sums-v0": ("module:Class", "one line")}}'
    for key, row in table.items():
        if not (isinstance(row, tuple) and len(row) == 2 and all(isinstance(each, str) for each in row)):
            return f'has a row {key!r:.60}: {row!r:.60} in {name}, which is not ID: ("module:Class", "one line")'
        try:
            if ids:
                check_id(key, name)
        except EggymError as problem:
            return f"is refused: {problem}"
    return ""
