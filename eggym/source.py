"""Code that a user points at: a file of their own, or a name in an importable module.

A file that fails is reported in one line with the place of the failure; it is never half-loaded.
"""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from eggym.errors import BadValue, EggymError, TaskFault, UnknownName, unknown

FILE_REFERENCE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w+))?")  # "my_task.py" or "my_task.py:Sums"
_LONGEST = 4096  # characters of a reference; no file system takes a longer path


def check_reference(ref: str, kind: str) -> None:
    """Refuse what can be neither a name nor a path: no text, an endless one, or one that no file could be named by.

    Raises:
        BadValue: it is no str, is empty, too long, or holds control characters or lone surrogates.
    """
    if not isinstance(ref, str) or not ref.strip():
        raise BadValue(f"a {kind} is given by a name or the path of a file, not by {ref!r:.60}")
    if len(ref) > _LONGEST:
        raise BadValue(f"a {kind} is given by at most {_LONGEST} characters, got {len(ref)}: {ref[:40]!r}...")
    if any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in ref):
        raise BadValue(f"{kind} {ref!r} holds a character that no name and no file name may hold; give another")


def load_file(path: str, kind: str) -> ModuleType:
    """Return the module of a file; ``kind`` says in messages what it should hold.

    The module's name carries a hash of place and content: an unchanged file is run once per process, an edited one
    again. Imports of files beside it work.

    Raises:
        BadValue: the file does not exist or cannot be read.
        TaskFault: it raised, or tried to end the program.
    """
    check_reference(path, kind)
    try:
        file = Path(path).expanduser().resolve()
        body = file.read_bytes() if file.is_file() else None
    except (OSError, ValueError, RuntimeError) as problem:  # too long, forbidden, no such user behind "~"
        reason = getattr(problem, "strerror", None) or problem  # an OSError repeats the whole path
        raise BadValue(f"{kind} file {path!r:.200} cannot be read: {reason}") from problem
    if body is None:
        raise BadValue(f"no {kind} file {path!r}; give a path to an existing Python file")
    stamp = hashlib.blake2b(os.fsencode(file) + b"\0" + body, digest_size=6).hexdigest()
    name = f"eggym_file_{re.sub(r'[^0-9a-zA-Z_]', '_', file.stem)}_{stamp}"
    if name not in sys.modules:
        _execute(name, file, path, kind)
    return sys.modules[name]


def named(ref: str, kind: str) -> Any:
    """Return what ``module:NAME`` stands for.

    Raises:
        BadValue: it has another form.
        UnknownName: there is no such module, or no such name in it.
        TaskFault: the module raised when it was imported, or tried to end the program.
    """
    check_reference(ref, kind)
    place, _, attribute = ref.partition(":")
    if not attribute or not all(part.isidentifier() for part in place.split(".")):
        raise BadValue(f"{kind} {ref!r:.200} is not of the form module:NAME, such as my_package.my_module:NAME")
    try:
        module = importlib.import_module(place)
    except (EggymError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # someone's module may raise anything, sys.exit() included
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
    assert spec is not None and spec.loader is not None  # noqa: S101 - a .py file always has both
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # known while it runs: dataclasses ask for it
    try:
        spec.loader.exec_module(module)
    except (EggymError, KeyboardInterrupt):
        sys.modules.pop(name, None)
        raise
    except BaseException as problem:  # a user's file may raise anything, sys.exit() included
        sys.modules.pop(name, None)
        raise TaskFault(f"{kind} file {path!r} raised {_describe(problem)}") from problem


def told(problem: BaseException, place: str = "") -> str:
    """Return class and message of an exception in one line; ``place`` stands between them.

    >>> told(KeyError("x"), " in line 3")
    "KeyError in line 3: 'x'"
    """
    try:
        message = " ".join(str(problem).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - somebody's exception that cannot even be written
        message = "its message cannot be shown"
    return f"{type(problem).__name__}{place}" + (f": {message}" if message else "")


def _describe(problem: BaseException) -> str:
    """Return class, message and line of an exception in one line."""
    if isinstance(problem, SyntaxError):
        return f"SyntaxError in line {problem.lineno}: {problem.msg}"
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if "importlib" not in frame.filename]
    return told(problem, f" in line {frames[-1].lineno} of {Path(frames[-1].filename).name}" if frames else "")
