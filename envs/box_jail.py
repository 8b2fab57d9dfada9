"""What a freshly forked process gives up before it runs model code, level by level.

At `namespaces` the zygote itself already lives in namespaces with a private root (see `box_root`); each execution gets
new ones of its own below them, and is the first process of its pid namespace. Nothing here can be undone by the code
that runs afterwards.
"""

import fcntl
import gc
import os
import resource
from dataclasses import dataclass

from . import box_landlock, box_seccomp
from .box_root import (
    ALL,
    DEVICES,
    SCRATCH_OPTIONS,
    SCRATCH_PLACE,
    build_root,
    enter_namespaces,
    is_closed_to_others,
    library_entries,
    map_ids,
    shared_libraries,
    standard_library,
)
from .box_system import (
    CAP_DAC_READ_SEARCH,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    PR_SET_DUMPABLE,
    PR_SET_KEEPCAPS,
    PR_SET_PDEATHSIG,
    close_from,
    mount,
    prctl,
    set_capabilities,
    setns,
    unshare,
)
from .box_terms import MIB, Level, Limits

NOBODY = 65534  # inside of a user namespace
STRANGERS = range(61184, 65520)  # users for root's executions, each its own: limits count by user, and so are exact
STACK_BYTES = 64 * MIB
FIRST_KEPT = 100  # descriptors from here on are the zygote's
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class House:
    """What a zygote has made ready for its level; descriptors are -1 where there are none, and from `FIRST_KEPT` on."""

    level: Level
    is_root: bool
    zygote: int  # its process id, as its children see it
    keeps: int = 0  # capabilities that stay: reading a standard library that is closed to others
    rules: int = -1  # a Landlock ruleset for processes without a scratch folder
    calls: bytes = b""  # a seccomp filter
    proc: int = -1  # the host's /proc
    pids: int = -1  # the zygote's own pid namespace


def prepare(level: Level) -> House:
    """Make a zygote ready for a level: it may return in a fork of the process that called.

    Raises:
        OSError: the host does not give what the level needs.
    """
    is_root = os.geteuid() == 0
    if level in (Level.NONE, Level.RLIMITS):
        return House(level, is_root, os.getpid())
    calls = box_seccomp.compiled(truncation=box_landlock.version() >= 3)  # before 3 Landlock does not hold it
    if level is Level.LANDLOCK:
        keeps = CAP_DAC_READ_SEARCH if is_root and is_closed_to_others() else 0
        return House(level, is_root, os.getpid(), keeps, _kept(box_landlock.ruleset(_readable())), calls)
    pids = _kept(enter_namespaces())
    proc = _kept(os.open("/proc", os.O_RDONLY | os.O_DIRECTORY))
    build_root()
    return House(level, is_root, os.getpid(), 0, _kept(box_landlock.ruleset(_rules("/"))), calls, proc, pids)


def _kept(descriptor: int) -> int:
    """Move a descriptor to where `lock` closes it."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_KEPT)
    os.close(descriptor)
    return moved


def _readable() -> dict[str, int]:
    paths = [*library_entries(), *shared_libraries(), "/usr/share/zoneinfo"]
    return {standard_library(): box_landlock.LIST, **_rules(*paths)}


def _rules(*paths: str) -> dict[str, int]:
    return dict.fromkeys(paths, box_landlock.READ) | dict.fromkeys(DEVICES, box_landlock.DEVICE)


def fork(house: House, alone: bool) -> int:
    """Fork; at `namespaces`, ``alone`` makes the child the first process of a pid namespace of its own."""
    apart = house.level is Level.NAMESPACES and alone
    if apart:
        unshare(CLONE_NEWPID)
    child = os.fork()
    if child and apart:
        setns(house.pids, CLONE_NEWPID)  # the next child is to start from here again
    return child


def lock(house: House, limits: Limits, alone: bool) -> None:
    """Shut this process in. ``alone`` is what `fork` was told: False for a checker, without namespaces of its own.

    Raises:
        OSError: the host refused; nothing may run then.
    """
    gc.enable()
    if house.level is not Level.NONE:
        _lock(house, limits, alone)
    else:
        _die_with(house, apart=False)
    if not alone:
        prctl(PR_SET_DUMPABLE, 0)  # hides a checker's memory from a solution that runs as the same user
    close_from(FIRST_KEPT)  # the host's /proc among them
    if house.level in (Level.LANDLOCK, Level.NAMESPACES):
        box_seccomp.install(house.calls)


def _lock(house: House, limits: Limits, alone: bool) -> None:
    os.setsid()
    apart = house.level is Level.NAMESPACES and alone
    if house.is_root:
        _become_stranger(house.keeps)
    if apart:
        _unshare(house)
    _die_with(house, apart)
    set_rlimits(limits, 0 if apart or house.is_root else _running(house))
    if house.level is Level.RLIMITS:
        return
    if house.is_root or apart:
        set_capabilities(house.keeps)
    rules = house.rules
    if apart:
        rules = box_landlock.ruleset({**_rules("/"), SCRATCH_PLACE: box_landlock.SCRATCH})
    box_landlock.restrict(rules)
    os.close(rules)


def _die_with(house: House, apart: bool) -> None:
    """Be killed when the zygote is gone; a change of user would undo this. A pid namespace ends with its first."""
    prctl(PR_SET_PDEATHSIG, _SIGKILL)
    if not apart and os.getppid() != house.zygote:
        os._exit(1)  # it was gone before


def _become_stranger(keeps: int) -> None:
    user = STRANGERS[os.getpid() % len(STRANGERS)]
    os.setgroups([])
    if keeps:
        prctl(PR_SET_KEEPCAPS, 1)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    prctl(PR_SET_DUMPABLE, 1)  # or the files of /proc/self would belong to root


def _unshare(house: House) -> None:
    user, group = os.geteuid(), os.getegid()
    unshare(ALL | CLONE_NEWUSER)
    map_ids(house.proc, (NOBODY, user), (NOBODY, group))
    mount("scratch", SCRATCH_PLACE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, SCRATCH_OPTIONS)
    os.chdir(SCRATCH_PLACE)


def set_rlimits(limits: Limits, others: int) -> None:
    """Set the resource limits; ``others`` are processes outside of this box that the system may count with its own."""
    for name, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        # For when the parent is not there, which is more exact: the kernel counts this one by whole ticks.
        (resource.RLIMIT_CPU, 2 * int(limits.cpu_s) + 2),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_STACK, STACK_BYTES),
        (resource.RLIMIT_NPROC, limits.processes + others),
    ):
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def _running(house: House) -> int:
    """Return how many processes and threads the machine has: no user has more of them."""
    file = os.open("/proc/loadavg" if house.proc < 0 else "loadavg", os.O_RDONLY, dir_fd=max(house.proc, 0))
    text = os.read(file, 200).decode()
    os.close(file)
    return int(text.split()[3].partition("/")[2])
