"""One process to a folder, and who that is.

The lock is the system's (flock), so it ends with its process, however that ended. What the process is stands in the
lock file, and stays there: it tells afterwards which command began the run.
"""

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from eggym.errors import BadValue
from eggym.files import open_plain, unwritable
from eggym.plausible import DRIVER, misfit

LOCK = ".lock"  # its file
COMMAND = "EGGYM_COMMAND"  # in the environment of a worker: the command that started its owner, as JSON
_LOCK_TRIES = 50  # tenths of a second


@dataclass(frozen=True, slots=True)
class Driver:
    """A process that carries out a run or a duel, or did so last."""

    pid: int
    host: str
    started: float  # seconds since 1970
    command: tuple[str, ...]  # as it was typed, as far as the system tells
    cwd: str
    born: str | None = None  # tells this process from a later one of the same number; None: the system does not tell

    @classmethod
    def here(cls) -> "Driver":
        """Return this process."""
        pid = os.getpid()
        return cls(pid, socket.gethostname(), time.time(), command_line(), os.getcwd(), _born(pid))

    @classmethod
    def read(cls, told: Any) -> "Driver | None":
        """Return what a file tells of a process; None where it tells nothing, or only half."""
        try:
            found = cls(**told)
        except TypeError:
            return None
        if misfit(asdict(found), DRIVER) or found.pid == 0:
            return None
        return replace(found, started=float(found.started), command=tuple(found.command))

    @property
    def alive(self) -> bool:
        """Whether it still goes on; one on another machine is taken to have ended."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):  # somebody else's; a number that is none
            pass
        return _born(self.pid) == self.born

    @property
    def shell(self) -> str:
        """The command as a shell takes it, from where it was given if that is elsewhere; empty: nobody typed one."""
        if not self.command:
            return ""
        text = shlex.join(self.command)
        return text if self.cwd == os.getcwd() else f"cd {shlex.quote(self.cwd)} && {text}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a run folder: two processes in one would spoil it.

    Raises:
        BadValue: another process holds it.
    """
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # who holds it may be written there; unbuffered, or what a full disk refused would be tried again by closing it
        handle = (folder / LOCK).open("ab", buffering=0)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        raise unwritable(folder, problem) from problem
    with handle as lock:
        for attempt in range(_LOCK_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as problem:  # perhaps a process that is just being stopped, or somebody who looks
                if attempt == _LOCK_TRIES - 1:
                    raise BadValue(
                        f"another process is running in {folder}; wait for it, or choose another --out"
                    ) from problem
                time.sleep(0.1)
        with suppress(OSError):  # a full disk is told of by what the run itself writes
            lock.truncate(0)
            lock.write(json.dumps(asdict(Driver.here())).encode())
        yield


def is_held(folder: Path) -> bool:
    """Return whether a process holds a folder.

    Looking takes a shared lock for an instant: lookers do not see each other, and who wants to hold the folder tries
    for seconds. Nothing is written.
    """
    import fcntl

    try:
        with open_plain(folder / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, or it is not ours to read
        return False
    return False


def last_driver(folder: Path) -> Driver | None:
    """Return who holds a folder, or held it last; None: nobody yet, or an eggym that did not write it down."""
    try:
        with open_plain(folder / LOCK) as file:
            return Driver.read(json.loads(file.read()))
    except (OSError, ValueError, RecursionError):
        return None


def command_line() -> tuple[str, ...]:
    """Return the command that this process, or the owner of this worker, was started with."""
    with suppress(ValueError):
        if COMMAND in os.environ:
            return tuple(map(str, json.loads(os.environ[COMMAND])))
    words = _torchruns() or list(sys.orig_argv)
    names = [Path(word).name for word in words]
    if names[1:2] in (["eggym"], ["torchrun"]):  # a script, which its first line gives to Python
        return (names[1], *words[2:])
    return (names[0], *words[1:]) if len(words) > 1 else ()


def _torchruns() -> list[str]:
    """Return the words of torchrun's own command where this process is one of its ranks (Linux)."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        with suppress(OSError):
            words = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
            return [os.fsdecode(word) for word in words[:-1]]
    return []


def _born(pid: int) -> str | None:
    """Return when a process was started, in the system's own count (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
