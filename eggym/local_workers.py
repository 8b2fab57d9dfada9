"""Workers of an executor as processes on this machine: frames over their standard input and output.

Each is a fresh interpreter (``python -m eggym.hand``) with one torch thread, and ends when its standard input closes:
none outlives the command that started it, however that ended. It leads a process group, so what a grader has started
there ends with it. No port is opened.
"""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from typing import IO

from eggym.child import END_S, end, wait_for_end
from eggym.errors import BadValue
from eggym.executor_parts import Inbox, Lost
from eggym.frames import read

NO_MEMORY = 4  # the code that a worker ends with when it could not get some
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class LocalHand:
    """One worker process."""

    def __init__(self, number: int, inbox: Inbox) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "eggym.hand"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ONE_THREAD},
            process_group=0,
        )
        self.name = f"{number} (process {self.process.pid})"
        self._inbox = inbox
        # what is sent waits here, so that a worker that was stopped (SIGSTOP) keeps nobody else waiting
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._speak, self._attend)]
        for thread in (self._listener, *self._threads):
            thread.start()

    def send(self, data: bytes) -> None:
        """Hand over a frame."""
        self._outgoing.put(data)

    def answers(self) -> IO[bytes]:
        """Return the stream of what it says."""
        if self.process.stdout is None:
            raise ValueError("the worker was started without pipes")
        return self.process.stdout

    def stop(self) -> None:
        """Kill it and what it started, and wait until it is gone."""
        end(self.process)
        self._outgoing.put(None)
        for thread in (*self._threads, self._listener):
            thread.join(END_S)
        if any(thread.is_alive() for thread in (*self._threads, self._listener)):
            return  # somebody that nobody can kill holds a pipe of it
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a frame that it never read
                    pipe.close()

    def _speak(self) -> None:
        pipe = self.process.stdin
        while pipe is not None and (data := self._outgoing.get()) is not None:
            try:
                pipe.write(data)
                pipe.flush()
            except (BrokenPipeError, ValueError):  # it is gone, which `_attend` tells
                return

    def _listen(self) -> None:
        stream = self.answers()
        try:
            while (frame := read(stream)) is not None:
                self._inbox.put((self, frame))
        except BadValue as problem:
            self._inbox.put((self, Lost(str(problem))))
            return
        except ValueError:  # the pipe was closed by `stop`
            return

    def _attend(self) -> None:
        """Tell of its end. The end of its pipe does not: a process that it forked may hold that."""
        code = wait_for_end(self.process)
        self._listener.join(END_S)  # what it said last comes first
        self._inbox.put((self, Lost(_ending(code))))


def _ending(code: int) -> str:
    if code == NO_MEMORY:
        return "it ran out of memory"
    if code >= 0:
        return f"it ended with code {code}"
    return f"it was ended by signal {-code}" + " (out of memory, or killed)" * (code == -9)
