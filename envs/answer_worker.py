"""The processes behind `answer_pool`: a keeper, and the workers that it forks.

The keeper (``python -m eggym.envs.answer_worker FD``) imports math-verify once, learns its grammar, and then only forks
and buries workers when told to; it has one thread, so that forking is safe, and a fresh worker is ready in
milliseconds. It ends, and its workers with it, when its socket closes: when the parent closes it or dies.

Over the keeper's socket go an order (one letter and a number) and an answer (two numbers): ``F``, which carries a
socket for the new worker: its process id; ``R`` and a process id (kill it and wait): wait status, CPU microseconds.
Over a worker's socket go JSON texts: [kind, truth, answer] and [outcome, why, CPU seconds so far].

A worker looks at an item for `CPU_LIMIT_S` at most: the kernel ends it by SIGPROF, whatever it is busy with, also
within one long multiplication. SIGALRM is never touched.
"""

import json
import logging
import os
import signal
import socket
import struct
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection

CPU_LIMIT_S = 1.0  # for one item, user and system time of its worker
MEMORY = 1 << 30  # bytes of address space
ORDER = struct.Struct("!cq")
ANSWER = struct.Struct("!qq")


def keep(control: socket.socket) -> None:
    """Fork and bury workers until the socket closes."""
    children: set[int] = set()
    control.sendall(ANSWER.pack(os.getpid(), 0))
    try:
        while True:
            message, files, _, _ = socket.recv_fds(control, ORDER.size, 1)
            if not message:
                return
            if len(message) < ORDER.size:
                message += control.recv(ORDER.size - len(message), socket.MSG_WAITALL)
            order, number = ORDER.unpack(message)
            if order == b"F":
                child = _fork(control, files[0])
                os.close(files[0])
                children.add(child)
                control.sendall(ANSWER.pack(child, 0))
            else:
                children.discard(number)
                control.sendall(ANSWER.pack(*_bury(number)))
    finally:
        for child in children:
            _bury(child)


def serve(connection: Connection) -> None:
    """Judge items until the connection closes."""
    from .answer_algebra import judge, judge_leniently

    judges: dict[str, Callable[[str, str], bool]] = {"strict": judge, "lenient": judge_leniently}
    while True:
        try:
            kind, truth, found = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
        outcome, why = _outcome(judges[kind], truth, found)
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            connection.send_bytes(json.dumps([outcome, why, time.process_time()]).encode())
        except OSError:
            return


def _outcome(judge: Callable[[str, str], bool], truth: str, found: str) -> tuple[str, str]:
    from .answer_algebra import Unreadable

    try:
        return ("correct" if judge(truth, found) else "wrong"), ""
    except Unreadable:
        return "unparsed", "cannot be read as mathematics"
    except MemoryError:
        return "timeout", "took more memory than allowed"
    except RecursionError:
        return "wrong", "too intricate to compare"
    except ValueError as problem:
        return "error", str(problem)[:160]
    except Exception as problem:  # sympy and math-verify raise many kinds over odd answers
        return "wrong", f"could not be compared ({type(problem).__name__})"


def _fork(control: socket.socket, descriptor: int) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        control.close()
        _limit_memory()
        serve(Connection(descriptor))
        status = 0
    finally:
        os._exit(status)


def _bury(child: int) -> tuple[int, int]:
    try:
        os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return -1, 0
    return status, int(1e6 * (usage.ru_utime + usage.ru_stime))


def _limit_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Be the keeper of the socket whose descriptor is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and closes the socket
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    from .answer_algebra import warm

    warm()
    keep(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
