"""What this process uses, and its children with it: CPU seconds, memory, and runs of model-written programs."""

import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Sandboxed(NamedTuple):
    """Runs of model-written programs by graders."""

    cpu_s: float  # of the programs, user and system; of what tests or starts them, nothing
    calls: int


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_sandboxed = Sandboxed(0.0, 0)
_lock = threading.Lock()


def count_sandboxed(cpu_s: float) -> None:
    """Count one run of a model-written program; any thread may call this."""
    add_sandboxed(cpu_s, 1)


def add_sandboxed(cpu_s: float, calls: int) -> None:
    """Count runs that another process counted for this one."""
    global _sandboxed
    with _lock:
        _sandboxed = Sandboxed(_sandboxed.cpu_s + cpu_s, _sandboxed.calls + calls)


def sandboxed() -> Sandboxed:
    """Return what this process has counted since it started: who wants a part of it takes a difference."""
    return _sandboxed


def family_cpu_s() -> float:
    """Return the CPU seconds of this process and of all its children, those that go on included.

    Of processes that go on the system counts in hundredths of a second; time calls that take many of these.
    """
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system + _below_cpu_s(os.getpid())


def process_cpu_s(process: int) -> float:
    """Return the CPU seconds of another process and its children, in hundredths of a second; 0 where it is gone."""
    return _one_cpu_s(process) + _below_cpu_s(process)


def _below_cpu_s(process: int) -> float:
    """Return those of all children that go on, and of theirs."""
    going, waiting = 0.0, [process]
    while waiting:
        for child in _children(waiting.pop()):
            waiting.append(child)
            going += _one_cpu_s(child)
    return going


def _one_cpu_s(process: int) -> float:
    fields = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
    if len(fields) <= 14:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # and of its own children that ended


def _children(process: int) -> list[int]:
    found: list[int] = []
    for thread in sorted(Path(f"/proc/{process}/task").glob("*/children")):
        found += map(int, _text(str(thread)).split())
    return found


def keep_memory() -> None:
    """Let this process keep what it frees, up to 256 MiB, instead of giving it back to the system at once (glibc).

    Left alone, the allocator decides by what happened to be freed first: then a step of a small model may take blocks
    of some megabytes anew for every pass, and a fifth of its time goes to taking and clearing pages.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        library.mallopt(_M_TRIM_THRESHOLD, 256 << 20)


def reset_peak_memory() -> None:
    """Start measuring peak memory anew, where the system can (Linux, CUDA): one process may do many runs."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):  # elsewhere the peak is that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the peak memory in bytes since `reset_peak_memory`: the GPU's if one is used, else resident memory."""
    import resource

    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_growth(call: Callable[[], object]) -> int:
    """Return by how many bytes a call's peak lies above what was resident before it: the GPU's if one is used.

    Freed memory is given back to the system first, or the call would grow into it unseen.
    """
    import torch

    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # the C library of Linux; elsewhere the figure is a lower bound
        ctypes.CDLL(None).malloc_trim(0)
    before = torch.cuda.memory_allocated() if torch.cuda.is_available() else resident(_text("/proc/self/status"))
    reset_peak_memory()
    call()
    return max(0, peak_memory() - before)


def resident(status: str) -> int:
    """Return the resident bytes from the text of /proc/self/status; 0 when it does not tell.

    >>> resident("VmHWM:\\t  20 kB\\nVmRSS:\\t  12 kB\\n")
    12288
    """
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
