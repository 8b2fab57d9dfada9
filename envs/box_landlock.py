"""Landlock: a process takes from itself what the file rules of a ruleset do not give, for good.

Source: landlock(7). Rights that a kernel does not know yet are left out; `version` tells how far it goes: 1 files, 2
moves between folders, 3 truncation, 4 TCP, 5 device ioctls, 6 signals and abstract sockets.
"""

import ctypes
import os
from collections.abc import Mapping

from .box_system import PR_SET_NO_NEW_PRIVS, prctl, syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_VERSION = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # file rights; from 5 on: 0xFFFF
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV  # the others are for folders alone
_TCP, _SCOPES = 3, 3

READ = _READ_FILE | _READ_DIR
DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE
SCRATCH = 0x7FFF & ~_EXECUTE & ~(1 << 6) & ~(1 << 11)  # everything but running, character and block devices
LIST = _READ_DIR


def version() -> int:
    """Return the kernel's Landlock version.

    Raises:
        OSError: there is none, or it is turned off.
    """
    return syscall("landlock", _CREATE, None, 0, 1)


def ruleset(rules: Mapping[str, int]) -> int:
    """Return the descriptor of a ruleset that gives rights on paths and all below; what does not exist is left out."""
    known = version()
    rights = _OF_VERSION.get(known, 0xFFFF)
    attributes = (ctypes.c_uint64 * 3)(rights, _TCP if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    size = 8 if known < 4 else 16 if known < 6 else 24
    made = syscall("landlock_create_ruleset", _CREATE, ctypes.byref(attributes), size, 0)
    for path, given in rules.items():
        _add(made, path, given & rights)
    return made


def _add(made: int, path: str, given: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            given &= _OF_FILES
        beneath = _Beneath(given, place)
        syscall(f"landlock_add_rule {path}", _ADD, made, 1, ctypes.byref(beneath), 0)
    finally:
        os.close(place)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def restrict(made: int) -> None:
    """Hold this process to a ruleset."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall("landlock_restrict_self", _RESTRICT, made, 0)
