"""What there is to work with: this machine, the versions of what eggym uses, and how well model code can be shut in.

Nothing is measured and nothing is written. Small processes try what the kernel gives; they end at once.
"""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from eggym.machine import describe
from eggym.origin import version

Facts = dict[str, Any]


def examine() -> Facts:
    """Return the facts as plain JSON values: machine, versions, and sandbox."""
    return {"machine": _machine(), "versions": _versions(), "sandbox": sandbox()}


def rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return the facts as rows of a table: what, its value, and a remark."""
    for name, value in facts["machine"].items():
        if value is not None:
            yield name, str(value), ""
    for name, (found, extra) in facts["versions"].items():
        remark = f"pip install 'eggym[{extra}]'" if extra else "it is needed: install eggym again"
        yield name, found or "-", "" if found else remark
    box = facts["sandbox"]
    runs = "runs model code" if box["runs_model_code"] else "does not run model code"
    yield "sandbox level", box["level"], runs if box["runs_model_code"] else f"{runs}; {box['way_out']}"
    for name, why in box["missing"].items():
        yield "sandbox lacks", name, why


def sandbox() -> Facts:
    """Return the strongest level of the sandbox, what is missing of stronger ones, and whether model code is run."""
    levels = import_module("eggym.envs.box_levels")  # leaves are loaded by name
    host = levels.probe()
    try:
        levels.choose_level(host=host)
        way_out = None
    except ValueError as refusal:
        way_out = str(refusal).rpartition(": ")[2]
    return {
        "level": str(host.level),
        "missing": host.missing,
        "runs_model_code": way_out is None,
        "way_out": way_out,
    }


def _machine() -> Facts:
    found = describe()
    known = ("cpu", "cores", "gpu", "system", "python", "eggym", "commit", "load")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    facts = {name: found[name] for name in known}
    return facts | {"kernel": platform.release(), "memory_gib": memory and round(memory / 2**30, 1)}


def _versions() -> dict[str, tuple[str | None, str | None]]:
    """Return name -> (version or None, the extra that brings it or None), as the installed eggym requires them."""
    try:
        required = importlib.metadata.requires("eggym") or []
    except importlib.metadata.PackageNotFoundError:  # a bare checkout
        return {}
    found = {}
    for line in required:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        if extra is None or extra[1] != "dev":
            found[name] = (version(name), extra and extra[1])
    return found
