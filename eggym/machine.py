"""The machine that measured: what a reader needs in order to believe a figure, and nothing that names its owner.

No host name, user or path is read. Peak memory is that of one call, above what was resident before it.
"""

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


def has_compiler() -> bool:
    """Whether `torch.compile` finds a C++ compiler here."""
    import shutil

    return sys.platform == "linux" and any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))


def _text(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
