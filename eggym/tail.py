"""The end of a file of JSON lines, one a step, that another process may be writing, cutting or replacing just now.

What does not end with a newline is not there yet. No more of a file is read than it takes.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eggym.files import open_plain
from eggym.plausible import STEP, misfit

_PIECE = 1 << 16  # bytes


def last_lines(path: Path, n: int) -> list[dict[str, Any]]:
    """Return the last ``n`` whole lines, or fewer where there are no more; those that hold no step are left out."""
    try:
        with open_plain(path) as file:
            data = _ending(file, n)
    except OSError:
        return []
    return [found for line in data.split(b"\n")[:-1][-n:] if (found := _object(line)) is not None]


class Follower:
    """What is appended to a file, from its beginning."""

    def __init__(self, path: Path) -> None:
        """Name the file; it need not be there yet."""
        self._path, self._read = path, 0

    def new_lines(self) -> Iterator[dict[str, Any]]:
        """Yield the whole lines that came since the last call."""
        try:
            with open_plain(self._path) as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._read += len(line)
                    found = _object(line)
                    if found is not None:
                        yield found
        except FileNotFoundError:
            return


def _ending(file: Any, n: int) -> bytes:
    """Return bytes that begin a line and hold the last ``n`` whole ones."""
    want = _PIECE
    while True:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - want)
        file.seek(start)
        data: bytes = file.read(size - start)
        if start == 0:
            return data
        if data.count(b"\n") > n:  # one more than asked for: it ends the line that was cut
            return data.partition(b"\n")[2]
        want *= 4


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return None if misfit(found, STEP) else found
