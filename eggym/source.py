"""Code that a user points at: a file of their own, or a name in an importable module.

A file that fails is reported in one line with the place of the failure; it is never half-loaded.
"""

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from eggym.errors import BadValue, EggymError, TaskFault, UnknownName, unknown

FILE_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w+))?")  # "my_task.py" or "my_task.py:Sums"


def load_file(path: str, kind: str) -> ModuleType:
    """Return the module of a file; ``kind`` says in messages what it should hold.

    The module's name carries a hash of place and content: an unchanged file is run once per process, an edited one
    again. Imports of files beside it work.

    Raises:
        BadValue: the file does not exist.
        TaskFault: it raised.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise BadValue(f"no {kind} file {path!r}; give a path to an existing Python file")
    stamp = hashlib.blake2b(str(file).encode() + b"\0" + file.read_bytes(), digest_size=6).hexdigest()
    name = f"eggym_file_{file.stem}_{stamp}"
    if name not in sys.modules:
        _execute(name, file, path, kind)
    return sys.modules[name]


def named(ref: str, kind: str) -> Any:
    """Return what ``module:NAME`` stands for.

    Raises:
        UnknownName: there is no such module, or no such name in it.
        TaskFault: the module raised when it was imported.
    """
    place, _, attribute = ref.partition(":")
    try:
        module = importlib.import_module(place)
    except EggymError:
        raise
    except Exception as problem:  # someone's module may raise anything
        if isinstance(problem, ModuleNotFoundError) and problem.name and f"{place}.".startswith(f"{problem.name}."):
            raise UnknownName(f"no module {place!r} for {kind} {ref!r}; is it installed, or on the path?") from problem
        raise TaskFault(f"{kind} module {place!r} raised {_describe(problem)}") from problem
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise unknown(f"name in module {place}", attribute, public) from None


def _execute(name: str, file: Path, path: str, kind: str) -> None:
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that a file beside it never hides a library
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # known while it runs: dataclasses ask for it
    try:
        spec.loader.exec_module(module)
    except EggymError:
        del sys.modules[name]
        raise
    except Exception as problem:  # a user's file may raise anything
        del sys.modules[name]
        raise TaskFault(f"{kind} file {path!r} raised {_describe(problem)}") from problem


def _describe(problem: Exception) -> str:
    """Return class, message and line of an exception in one line."""
    if isinstance(problem, SyntaxError):
        return f"SyntaxError in line {problem.lineno}: {problem.msg}"
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "importlib" not in frame.filename]
    place = f" in line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else ""
    return f"{type(problem).__name__}{place}: {' '.join(str(problem).split())}"
