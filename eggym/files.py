"""Files that are whole or absent: canonical JSON, hashes and atomic writes.

Everything that eggym hashes is written through here, so that equal content means equal bytes on every machine.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from eggym.errors import BadValue, EggymError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def canonical_json(value: Any) -> str:
    """Return the one text of a value: sorted keys, no spaces, ASCII, floats by repr, a newline at the end.

    Raises:
        BadValue: a number is not finite (write null for missing), or something is not JSON; named by its place.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as problem:
        place = _find_bad(value, "") or "the value"
        raise BadValue(f"cannot write {place} as JSON: {problem}; missing numbers are null") from problem


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing else that has a name: a pipe would keep the reader waiting.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise OSError(errno.EINVAL, "it is no regular file", str(path))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        BadValue: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise BadValue(
            f"cannot read {path}: {problem}; restore the file, or delete its folder and run again"
        ) from problem


def write_json(path: Path, value: Any) -> None:
    """Write a value as canonical JSON, all or nothing."""
    write_bytes(path, canonical_json(value).encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, all or nothing: a temporary file in the same folder, flushed to the disk, then renamed.

    Raises:
        EggymError: the disk is full, or the folder cannot be written. The file is then what it was before.
    """
    # One fixed name: what a killed process left behind is overwritten by the next attempt, so nothing piles up.
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as problem:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            part.unlink(missing_ok=True)
        raise write_problem(path, problem) from problem


def write_problem(path: Path, problem: OSError) -> EggymError:
    """Return the error for a file that could not be written."""
    if problem.errno in _FULL:
        return EggymError(f"no space left while writing {path}; free some, then give the same command again")
    return EggymError(f"cannot write {path}: {problem.strerror or problem}; choose another place")


def unwritable(folder: Path, problem: Exception) -> EggymError:
    """Return the error for a folder that cannot be made or written."""
    if isinstance(problem, OSError) and problem.errno in _FULL:
        return write_problem(folder, problem)
    reason = getattr(problem, "strerror", None) or str(problem)
    return EggymError(f"cannot write into folder {str(folder)!r}: {reason}; choose another")


def sync_folder(folder: Path) -> None:
    """Put what was renamed in a folder on the disk: it must survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot sync a folder: that is all
            raise
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):  # a pydantic model, known by its method: this file stays light
        return value.model_dump(by_alias=True)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _find_bad(value: Any, place: str) -> str | None:
    """Return the place of the first value that is not JSON, such as ``config.lr``."""
    if isinstance(value, Mapping):
        return _first(lambda name: _find_bad(value[name], f"{place}.{name}".lstrip(".")), list(value))
    if isinstance(value, list | tuple):
        return _first(lambda index: _find_bad(value[index], f"{place}[{index}]"), list(range(len(value))))
    if hasattr(value, "model_dump"):
        return _find_bad(_plain(value), place)
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    return None if value is None or isinstance(value, str | int) else place


def _first(look: Callable[[Any], str | None], keys: list[Any]) -> str | None:
    return next((found for found in map(look, keys) if found is not None), None)
