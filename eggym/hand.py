"""A worker process of an executor: frames in on its standard input, answers out on its standard output.

Run as ``python -m eggym.hand``. The first frame says which of the roles below it has; there is no other way to choose
code. It ends when its standard input closes.
"""

import importlib
import os
import queue
import signal
import sys
import threading
from typing import IO, Any, Protocol

from eggym.errors import Astray, BadValue, EggymError
from eggym.frames import Frame, dump, read
from eggym.local_workers import NO_MEMORY
from eggym.usage import keep_memory

_MISHEARD = 3  # codes that a worker ends with
ROLES = {"replica": "eggym.replica:Replica", "echo": "eggym.hand:Echo"}


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


def serve(frames: "queue.Queue[Frame]", answers: IO[bytes]) -> None:
    """Do what is asked until the process is ended."""
    role: Role | None = None
    while True:
        frame = frames.get()
        asked = frame.header
        try:
            if asked["do"] == "begin":
                module, _, name = ROLES[asked["role"]].partition(":")
                role = getattr(importlib.import_module(module), name)(frame)
                _say(answers, Frame({"type": "ready"}))
            elif role is None:
                raise ValueError("a worker must be begun first")
            elif asked["do"] == "note":
                role.note(frame)
            else:
                answer = role.do(frame)
                _say(answers, Frame({"type": "answer", "item": asked["item"], **answer.header}, answer.blob))
        except Exception as problem:  # whatever it is: the driver decides what to do, and shows where it was
            if _wants_memory(problem):  # another worker may have more, or the same one when it begins anew
                os._exit(NO_MEMORY)
            _say(answers, Frame({**_trouble(problem), "item": asked.get("item")}))


def _wants_memory(problem: Exception) -> bool:
    """Whether it is for want of memory; torch tells that of a CPU by a RuntimeError."""
    return isinstance(problem, MemoryError) or "out of memory" in str(problem) or "allocate memory" in str(problem)


def _trouble(problem: Exception) -> dict[str, Any]:
    if isinstance(problem, Astray):
        return {"type": "astray", "message": str(problem)}
    if isinstance(problem, EggymError):
        return {"type": "refused", "error": type(problem).__name__, "message": str(problem)}
    import traceback

    return {"type": "crashed", "message": f"{type(problem).__name__}: {problem}", "trace": traceback.format_exc()}


def _say(answers: IO[bytes], frame: Frame) -> None:
    answers.write(dump(frame))
    answers.flush()


def _receive(stream: IO[bytes], frames: "queue.Queue[Frame]") -> None:
    try:
        while (frame := read(stream)) is not None:
            frames.put(frame)
    except BadValue as problem:
        print(f"eggym.hand: {problem}", file=sys.stderr, flush=True)
        os._exit(_MISHEARD)
    os._exit(0)  # the driver is gone, or wants no more: stop in the middle of whatever goes on


def main() -> None:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(1)
    keep_memory()
    frames: queue.Queue[Frame] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, frames), daemon=True).start()
    serve(frames, answers)


if __name__ == "__main__":
    main()
