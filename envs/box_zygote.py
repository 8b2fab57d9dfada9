"""The process from which executions are forked: it holds a warm interpreter and nothing else.

It is started by exec, with one variable in its environment (the seed of hashes, so that sets have the same order in
every run), without the site module, in folder ``/``, with no descriptor but its control socket; it has one thread, and
never reads a request: what an execution is to do goes straight to the fork. So there is no secret to copy.

Over the control socket go an order (one letter and a number) and an answer (three numbers):
``F`` with descriptors (standard input, output, error, report, request, and a link or not): process id, 0, 0;
``R`` and a process id, kill it and wait: wait status, CPU microseconds, peak bytes; ``C`` and a process id: CPU
microseconds so far. When the socket closes, all its children are killed and it ends. At first it says 1, or a failure.
"""

import contextlib
import fcntl
import gc
import json
import os
import signal
import socket
import struct
import time
from importlib import import_module

from . import box_jail
from .box_channel import Channel
from .box_checker import check, serve_checks
from .box_program import run_program, serve_calls
from .box_terms import Level, Limits

ORDER = struct.Struct("!cq")
ANSWER = struct.Struct("!qqq")
MODULES = """
    abc argparse array ast atexit base64 binascii bisect builtins calendar cmath codecs collections collections.abc copy
    ctypes dataclasses datetime decimal enum errno fractions functools gc hashlib heapq inspect io itertools json
    keyword locale math numbers operator os pprint queue random re secrets signal statistics string struct sys textwrap
    threading time traceback types typing unicodedata uuid warnings weakref zlib
"""
_REPORT, _REQUEST, _LINK = 3, 4, 5
_PLACES = 6


def main(descriptor: str, level: str) -> None:
    """Be the zygote of the control socket with this descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told, and closes the socket
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.environ.clear()
    os.chdir("/")
    for name in MODULES.split():
        import_module(name)
    with socket.socket(fileno=fcntl.fcntl(int(descriptor), fcntl.F_DUPFD_CLOEXEC, _PLACES)) as connection:
        os.close(int(descriptor))
        _hold_places()
        house = box_jail.prepare(Level(level))
        gc.collect()
        gc.disable()  # a collection would copy every page; executions turn it on again
        gc.freeze()
        connection.sendall(ANSWER.pack(1, 0, 0))
        _keep(connection, house)


def _hold_places() -> None:
    """Open something at every place of an execution's descriptors, so that none arrives there."""
    while (file := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) < _PLACES - 1:
        pass
    if file >= _PLACES:
        os.close(file)


def _keep(control: socket.socket, house: box_jail.House) -> None:
    children: set[int] = set()
    try:
        while True:
            message, files, _, _ = socket.recv_fds(control, ORDER.size, 6)
            if not message:
                return
            if len(message) < ORDER.size:
                message += control.recv(ORDER.size - len(message), socket.MSG_WAITALL)
            order, number = ORDER.unpack(message)
            if order == b"F":
                child = _fork(house, files, alone=not number)
                for file in files:
                    os.close(file)
                children.add(child)
                control.sendall(ANSWER.pack(child, 0, 0))
            elif order == b"R":
                children.discard(number)
                control.sendall(ANSWER.pack(*_bury(number, house)))
            else:
                control.sendall(ANSWER.pack(_cpu_us(number), 0, 0))
    finally:
        for child in children:
            _bury(child, house)


def _fork(house: box_jail.House, files: list[int], alone: bool) -> int:
    child = box_jail.fork(house, alone)
    if child:
        return child
    status = 1
    try:
        _arrange(files)
        _serve(house, alone, len(files) > _LINK)
        status = 0
    finally:
        os._exit(status)


def _arrange(files: list[int]) -> None:
    """Give the descriptors their places from 0 on; those that preparation needs are closed by `box_jail.lock`."""
    for place, file in enumerate(files):  # none of them lies at a place: the zygote holds these
        os.dup2(file, place)
    os.closerange(len(files), box_jail.FIRST_KEPT)


def _serve(house: box_jail.House, alone: bool, linked: bool) -> None:
    """Do the work. The streams of ``sys`` are the zygote's: their buffers are empty, and their descriptors new."""
    report = Channel(_REPORT)
    request = json.loads(os.read(_REQUEST, os.fstat(_REQUEST).st_size))
    os.close(_REQUEST)
    orders = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, _REPORT) if request["role"] == "standing" else None
    try:
        box_jail.lock(house, Limits.of(request["limits"]), alone)
    except (OSError, ValueError) as problem:
        report.send({"ready": False, "why": str(problem)})
        return
    report.send({"ready": True})
    if orders:
        serve_checks(report, orders)
    elif request["role"] == "checker":
        check(report, Channel(_LINK), request)
    elif linked:
        serve_calls(report, Channel(_LINK), request)
    else:
        run_program(report, request)


def _bury(child: int, house: box_jail.House) -> tuple[int, int, int]:
    try:
        os.kill(child, signal.SIGKILL)
        if house.level is Level.RLIMITS:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
    except (ProcessLookupError, ChildProcessError):
        return -1, 0, 0
    return status, int(1e6 * (usage.ru_utime + usage.ru_stime)), usage.ru_maxrss * 1024


def _cpu_us(child: int) -> int:
    """Return the CPU time of a child that goes on, by its clock; the number is that of clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime_ns((~child << 3) | 2) // 1000
    except OSError:
        return 0
