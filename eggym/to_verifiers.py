"""A task as a package for verifiers 0.4 (its v1 API): a taskset that prime-rl and vf-eval load by name.

The package is a few lines on `eggym.verifiers_taskset`, so it needs eggym where it runs. Nothing here imports
verifiers.
"""

import json
import re
from pathlib import Path

from eggym.errors import BadValue
from eggym.files import write_problem
from eggym.outside import settings_of, single_turn
from eggym.registry import reference
from eggym.task import Task

_PYPROJECT = """\
[project]
name = "{dash}"
version = "0.1.0"
description = "The task {label} of eggym, as a taskset for verifiers."
requires-python = ">=3.11"
dependencies = ["eggym", "verifiers>=0.4,<0.5"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]
"""
_INIT = '''\
"""The task {label} of eggym, as a taskset for verifiers."""

from {module}.taskset import {name}Taskset

__all__ = ["{name}Taskset"]
'''
_TASKSET = '''\
"""The task {label} of eggym, as a taskset for verifiers.

Choose items with --taskset.split (train, validation, test, test:SALT) and --taskset.items (0: all, endless where the
task is). The reward is eggym's own; a reply that could not be judged is an error of the rollout, never a zero.
"""

import json

from eggym.verifiers_taskset import EggymTaskset


class {name}Taskset(EggymTaskset):
    """See `eggym.verifiers_taskset`."""

    reference = {reference}
    options = json.loads({options})
    # What the task asks and how it scores when this was written; another digest is another task.
    digest = "{digest}"
'''


def export_verifiers(task: str | Task, folder: str | Path) -> Path:
    """Write a package that verifiers loads as a taskset; return its folder.

    The package's name is the id's, as in ``eggym-gsm8k-v0``; install it with ``pip install FOLDER``.

    Args:
        task: as for `load_task`, or an instance; of one turn, and importable by other processes.
        folder: a new or empty folder.

    Raises:
        BadValue: the task takes several turns, is known to this process only, or the folder holds something.
    """
    from eggym.digest import digest

    found, root = single_turn(task, "a verifiers taskset"), Path(folder)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BadValue(f"folder {str(root)!r} holds something; give a new one")
    dash = re.sub(r"[^a-z0-9]+", "-", found.id.lower()).strip("-")
    fields = {
        "dash": dash,
        "module": dash.replace("-", "_"),
        "name": "".join(part.capitalize() for part in dash.split("-")),
        "label": found.label,
        "reference": json.dumps(reference(found.id if found.id else type(found))),
        "options": repr(json.dumps(settings_of(found), sort_keys=True)),
        "digest": digest(found),
    }
    files = {
        "pyproject.toml": _PYPROJECT,
        f"{fields['module']}/__init__.py": _INIT,
        f"{fields['module']}/taskset.py": _TASKSET,
    }
    try:
        (root / fields["module"]).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (root / name).write_text(text.format(**fields), encoding="utf-8")
    except OSError as problem:
        raise write_problem(root, problem) from problem
    return root
