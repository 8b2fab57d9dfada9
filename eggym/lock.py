"""One process to a folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eggym.errors import BadValue
from eggym.files import unwritable

LOCK = ".lock"  # its file
_LOCK_TRIES = 50  # tenths of a second


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run folder: two processes in one would spoil it.

    Raises:
        BadValue: another process holds it.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK).open("w")
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        raise unwritable(folder, problem) from problem
    with handle as lock:
        for attempt in range(_LOCK_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as problem:  # perhaps a process that is just being stopped
                if attempt == _LOCK_TRIES - 1:
                    raise BadValue(
                        f"another process is running in {folder}; wait for it, or choose another --out"
                    ) from problem
                time.sleep(0.1)
        yield
