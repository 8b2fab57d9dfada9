"""The machine that measured: what a reader needs in order to believe a figure, and nothing that names its owner.

No host name, user or path is read. Peak memory is that of one call, above what was resident before it.
"""

import contextlib
import ctypes
import gc
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eggym.budget import peak_memory, reset_peak_memory
from eggym.origin import git_state, version
from eggym.timing import usable_cores


def describe() -> dict[str, Any]:
    """Return processor, cores, threads, versions, load and date, as plain JSON values."""
    import torch

    commit, changed = git_state(Path(__file__))
    cuda = torch.cuda.is_available()
    return {
        "cpu": cpu_model(_text("/proc/cpuinfo")) or platform.machine(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "eggym": version("eggym"),
        "commit": commit,
        "commit_changed": changed,
        "load": [round(one, 2) for one in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).date().isoformat(),
    }


def family_cpu_s() -> float:
    """Return the CPU seconds of this process and of all its children, those that go on included.

    Of processes that go on the system counts in hundredths of a second; time calls that take many of these.
    """
    ended = os.times()
    going = 0.0
    waiting = [os.getpid()]
    while waiting:
        for child in _children(waiting.pop()):
            waiting.append(child)
            fields = _text(f"/proc/{child}/stat").rpartition(")")[2].split()
            if len(fields) > 14:  # user and system time, and of its own children that ended
                going += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + ended.children_user + ended.children_system + going


def _children(process: int) -> list[int]:
    found: list[int] = []
    for thread in sorted(Path(f"/proc/{process}/task").glob("*/children")):
        found += map(int, _text(str(thread)).split())
    return found


def cpu_model(cpuinfo: str) -> str | None:
    """Return the processor's name from the text of /proc/cpuinfo, with what tells its generation.

    >>> cpu_model("processor : 0\\nmodel : 167\\nmodel name : Some CPU\\n")
    'Some CPU (model 167)'
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:
        return None
    return f"{fields['model name']} (model {fields['model']})" if "model" in fields else fields["model name"]


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


def has_compiler() -> bool:
    """Whether `torch.compile` finds a C++ compiler here."""
    import shutil

    return sys.platform == "linux" and any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))


def _text(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
