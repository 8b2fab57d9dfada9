"""Which level of the sandbox this host gives, and the refusal to run model code below `landlock` unasked."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from eggym.errors import BadValue, unknown

from .box_bare import BARE, bare_python
from .box_terms import Level

NEEDS: dict[Level, tuple[str, ...]] = {  # each level needs those above it in this table, too
    Level.NONE: (),
    Level.RLIMITS: ("resource limits",),
    Level.LANDLOCK: ("Landlock", "seccomp"),
    Level.NAMESPACES: (
        "user namespaces", "mount namespaces", "pid namespaces", "net namespaces", "ipc namespaces", "uts namespaces",
        "a private root",
    ),
}  # fmt: skip
UNSAFE = (Level.NONE, Level.RLIMITS)
_PROBE_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Host:
    """What a host gives: the strongest level, and what is missing of the levels, each with its reason."""

    level: Level
    missing: dict[str, str]

    def gives(self, level: Level) -> bool:
        """Say whether a level can be had."""
        return order(level) <= order(self.level)


def order(level: Level) -> int:
    """Return the place of a level, the weakest first."""
    return list(Level).index(level)


@cache
def probe() -> Host:
    """Return what this host gives; the primitives are tried once per process.

    Raises:
        BadValue: the process that tries them does not start or does not end.
    """
    if sys.platform != "linux":
        return Host(Level.NONE, {"Linux": f"this is {sys.platform}"})
    try:
        command = bare_python("box_probe")
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_LIMIT_S, check=True, **BARE)
        return host_of(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        raise BadValue(f"the sandbox cannot be probed: {problem}") from problem


def host_of(tried: dict[str, str]) -> Host:
    """Return the strongest level that needs nothing of what is missing.

    ``tried`` has, for every primitive, why it is missing, or nothing.
    """
    missing = {name: why for name, why in tried.items() if why}
    best = Level.NONE
    for level, needed in NEEDS.items():
        if any(name in missing for name in needed):
            break
        best = level
    return Host(best, missing)


def choose_level(
    allow_unsafe_execution: str | None = None, level: str | None = None, host: Host | None = None
) -> Level:
    """Return the level to run model code at: the strongest of this host, or ``level`` by name.

    A level below `landlock` is refused unless ``allow_unsafe_execution`` names it, or one below it.

    Raises:
        BadValue: refused, or the host does not give it; the message says what is missing and what to do.
    """
    host = host or probe()
    if "Linux" in host.missing:
        raise BadValue(
            f"model-written code runs on Linux alone, and {host.missing['Linux']}: use a Linux machine, a container, "
            "a virtual machine or WSL 2, or tasks that run no code"
        )
    allowed = Level.LANDLOCK if allow_unsafe_execution is None else _named(allow_unsafe_execution)
    wanted = host.level if level is None else _named(level)
    lacks = "; ".join(f"{name} ({why})" for name, why in host.missing.items()) or "nothing"
    if not host.gives(wanted):
        raise BadValue(f"this host gives the sandbox level {str(host.level)!r}, not {str(wanted)!r}; missing: {lacks}")
    if order(wanted) < order(min(allowed, Level.LANDLOCK, key=order)):
        raise BadValue(
            f"model-written code is not run at sandbox level {str(wanted)!r}, which does not keep it from this host's "
            f"files and network; missing for 'landlock': {lacks}. To run it all the same: "
            f"allow_unsafe_execution={str(wanted)!r}"
        )
    return wanted


def _named(name: str) -> Level:
    if name not in list(Level):
        raise unknown("sandbox level", name, map(str, Level))
    return Level(name)
