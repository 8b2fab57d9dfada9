"""What this host gives: every primitive is tried in a throw-away child, and its effect is looked at.

Run by `box_levels` in a bare interpreter; prints {primitive: "" or why it is missing} as JSON.
"""

import json
import os
import resource
import socket
from collections.abc import Callable

from . import box_landlock, box_seccomp
from .box_root import build_root, enter_namespaces, map_ids
from .box_system import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_PRIVATE,
    MS_REC,
    mount,
    unshare,
)


class Ineffective(Exception):
    """A call succeeded and changed nothing."""


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    _must_fail(lambda: os.open("/", os.O_RDONLY), OSError)


def _landlock() -> None:
    box_landlock.restrict(box_landlock.ruleset({}))
    _must_fail(lambda: os.listdir("/"), PermissionError)


def _seccomp() -> None:
    box_seccomp.install(box_seccomp.compiled())
    _must_fail(socket.socket, PermissionError)


def _user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    map_ids("/proc", (7, user), (7, group))
    if os.geteuid() != 7:
        raise Ineffective("the user is the same as before")


def _pid_namespace() -> None:
    _unshare(CLONE_NEWPID)
    child = os.fork()
    if not child:
        os._exit(os.getpid())
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 1:
        raise Ineffective("the first process is not number 1")


def _net_namespace() -> None:
    _unshare(CLONE_NEWNET)
    if {name for _, name in socket.if_nameindex()} - {"lo"}:
        raise Ineffective("the network is the same as before")


def _private_root() -> None:
    enter_namespaces()
    build_root()
    if os.path.exists("/proc/self") or os.path.exists("/etc"):
        raise Ineffective("the host's files are still there")


def _mount_namespace() -> None:
    _unshare(CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("probe", "/tmp", "tmpfs", 0, "size=4k")
    if os.listdir("/tmp"):
        raise Ineffective("a mount is not seen")


def _unshare(kind: int) -> None:
    unshare(kind | (CLONE_NEWUSER if os.geteuid() else 0))


PRIMITIVES: dict[str, Callable[[], None]] = {
    "resource limits": _limits,
    "Landlock": _landlock,
    "seccomp": _seccomp,
    "user namespaces": _user_namespace,
    "mount namespaces": _mount_namespace,
    "pid namespaces": _pid_namespace,
    "net namespaces": _net_namespace,
    "ipc namespaces": lambda: _unshare(CLONE_NEWIPC),
    "uts namespaces": lambda: _unshare(CLONE_NEWUTS),
    "a private root": _private_root,
}


def _must_fail(call: Callable[[], object], kind: type[Exception]) -> None:
    try:
        call()
    except kind:
        return
    raise Ineffective("it is accepted and has no effect")


def attempt(primitive: Callable[[], None]) -> str:
    """Try a primitive in a child; return why it is missing, or nothing."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            primitive()
            words = b"+"
        except BaseException as problem:  # a child that raised must not go on as a second parent
            words = str(problem).encode() or type(problem).__name__.encode()
        os.write(write, words)
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        told = file.read().decode()
    os.waitpid(child, 0)
    return "" if told == "+" else told or "the process that tried it died"


def main() -> None:
    """Print what is missing."""
    print(json.dumps({name: attempt(primitive) for name, primitive in PRIMITIVES.items()}))
