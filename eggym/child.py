"""A process of this package under another of it: pipes that nobody else may use, and an end with all it started.

What a task's code starts in there, or forks, must not hold these pipes: a frame would be swallowed, or the end of the
process never be noticed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO

END_S = 2.0  # that what a process said last may take to arrive after its end


def own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Take standard input and output for this process alone.

    From now on whatever is started here reads nothing, and what it or a library prints goes to standard error.
    """
    incoming, outgoing = os.dup(0), os.dup(1)  # neither is inherited by a program that is started
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    # multiprocessing closes this in a child that it forks, which would wait for whoever is reading it here
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it stays open

    def leave() -> None:
        for pipe in (incoming, outgoing):
            os.dup2(nothing, pipe)

    os.register_at_fork(after_in_child=leave)
    return os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb")


def wait_for_end(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended, and leave it to be waited for: until then its number is nobody else's.

    Returns its code; below 0: the signal that ended it.
    """
    if not hasattr(os, "waitid"):  # macOS
        return process.wait()
    try:
        found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:  # somebody has waited for it
        return process.wait()
    status = found.si_status if found else 0
    return status if found and found.si_code == os.CLD_EXITED else -status


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group of its own, and all of the group, and wait until it is gone."""
    if process.returncode is None:  # once it was waited for, its number may be somebody else's
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
