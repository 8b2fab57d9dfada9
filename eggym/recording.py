"""Recordings: what servers answered, as an append-only file of JSON lines keyed by a hash of the request.

An interrupted evaluation that is started again finds its finished requests here and does not ask them again; a
recording that is copied elsewhere is a replay without a server. Several processes may append to one file: every line is
one write. A line that cannot be read (torn by a crash) is skipped, so its request is asked again. No service's key gets
here.
"""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eggym.errors import BadValue
from eggym.files import canonical_json, sha256_json, write_problem


class Recording:
    """The answers known so far. Without a path they are kept in memory alone."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what ``path`` holds; a missing file is an empty recording.

        Raises:
            BadValue: the file cannot be read.
        """
        self.path = path
        self._lock = threading.Lock()
        self._answers = {} if path is None else _read(path)
        self._begun = False

    def __len__(self) -> int:
        """Return how many requests are answered."""
        return len(self._answers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the file's name: the copy reads the file; answers in memory alone stay behind."""
        return Recording, (self.path,)

    def find(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer to a request, or None."""
        return self._answers.get(sha256_json(request))

    def keep(self, request: Mapping[str, Any], answer: dict[str, Any]) -> None:
        """Add an answer; on return it is in the file.

        Raises:
            EggymError: the disk is full, or the file cannot be written.
        """
        key = sha256_json(request)
        line = canonical_json({"key": key, "request": dict(request), "answer": answer})
        with self._lock:
            if self.path is not None:
                self._append(self.path, line)
            self._answers[key] = answer

    def _append(self, path: Path, line: str) -> None:
        try:
            if not self._begun:
                path.parent.mkdir(parents=True, exist_ok=True)
                line = line if _ends_whole(path) else "\n" + line  # a torn line stays alone
            with path.open("ab", buffering=0) as file:
                file.write(line.encode())
        except OSError as problem:
            raise write_problem(path, problem) from problem
        self._begun = True


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as problem:
        raise BadValue(f"the recording {path} cannot be read: {problem.strerror}; choose another file") from problem
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if isinstance(entry["answer"], dict) and entry["key"] == sha256_json(entry["request"]):
                found[entry["key"]] = entry["answer"]  # the last one: it may replace a failure
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return found


def _ends_whole(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
