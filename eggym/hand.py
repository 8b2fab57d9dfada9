"""A worker process of an executor: frames in on its standard input, answers out on its standard output.

Run as ``python -m eggym.hand``. The first frame says which of the roles below it has; there is no other way to choose
code. It ends when its standard input closes.
"""

import ctypes
import importlib
import os
import queue
import signal
import sys
import threading
from typing import IO, Any, Protocol

from eggym.child import own_pipes
from eggym.errors import Astray, BadValue, EggymError, scarcity
from eggym.frames import Frame, dump, read
from eggym.local_workers import NO_MEMORY
from eggym.usage import keep_memory

_PR_SET_PDEATHSIG = 1
_MISHEARD = 3  # codes that a worker ends with
ROLES = {"replica": "eggym.replica:Replica", "judge": "eggym.judges:Judge", "echo": "eggym.hand:Echo"}


class Role(Protocol):
    """What a worker does between frames."""

    def note(self, frame: Frame) -> None:
        """Take a note, which every worker gets."""

    def do(self, frame: Frame) -> Frame:
        """Do a work item; the answer follows from it and from the notes so far."""


class Echo:
    """Says what it hears: for measuring what the way costs."""

    def __init__(self, frame: Frame) -> None:
        """Nothing is needed."""

    def note(self, frame: Frame) -> None:
        """Nothing is kept."""

    def do(self, frame: Frame) -> Frame:
        """Return the item itself."""
        return Frame({}, frame.blob)


class Attendant:
    """A worker between its frames, whichever way these come."""

    def __init__(self) -> None:
        """Wait for a role."""
        self._role: Role | None = None

    def take(self, frame: Frame) -> Frame | None:
        """Do what a frame asks; return the answer, or None to a note. For want of memory the process ends."""
        asked = frame.header
        try:
            return self._do(frame)
        except Exception as problem:  # noqa: BLE001 - whatever it is: the driver decides what to do, and shows where it was
            if scarcity(problem):  # another worker may have more, or the same one when it begins anew
                os._exit(NO_MEMORY)
            return Frame({**_trouble(problem), "item": asked.get("item")})

    def _do(self, frame: Frame) -> Frame | None:
        asked = frame.header
        if asked["do"] == "begin":
            module, _, name = ROLES[asked["role"]].partition(":")
            self._role = getattr(importlib.import_module(module), name)(frame)
            return Frame({"type": "ready"})
        if self._role is None:
            raise ValueError("a worker must be begun first")
        if asked["do"] == "note":
            self._role.note(frame)
            return None
        answer = self._role.do(frame)
        return Frame({"type": "answer", "item": asked["item"], **answer.header}, answer.blob)


def serve(frames: "queue.Queue[Frame]", answers: IO[bytes]) -> None:
    """Do what is asked until the process is ended."""
    attendant = Attendant()
    while True:
        answer = attendant.take(frames.get())
        if answer is not None:
            answers.write(dump(answer))
            answers.flush()


def _trouble(problem: Exception) -> dict[str, Any]:
    if isinstance(problem, Astray):
        return {"type": "astray", "message": str(problem)}
    if isinstance(problem, EggymError):
        return {"type": "refused", "error": type(problem).__name__, "message": str(problem)}
    import traceback

    return {"type": "crashed", "message": f"{type(problem).__name__}: {problem}", "trace": traceback.format_exc()}


def _receive(stream: IO[bytes], frames: "queue.Queue[Frame]") -> None:
    try:
        while (frame := read(stream)) is not None:
            frames.put(frame)
    except BadValue as problem:
        print(f"eggym.hand: {problem}", file=sys.stderr, flush=True)
        os._exit(_MISHEARD)
    os._exit(0)  # the driver is gone, or wants no more: stop in the middle of whatever goes on


def _end_with_parent() -> None:
    """Let Linux end this process when its driver ends, also while it is stopped (SIGSTOP) and reads nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    asked, answers = own_pipes()
    import torch

    torch.set_num_threads(1)
    keep_memory()
    frames: queue.Queue[Frame] = queue.Queue()
    threading.Thread(target=_receive, args=(asked, frames), daemon=True).start()
    serve(frames, answers)


if __name__ == "__main__":
    main()
