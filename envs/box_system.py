"""System calls of Linux that Python does not offer, through ctypes: prctl, unshare, mounts, capabilities.

Every function raises OSError with the name of the call. Sources: the man pages of the same names, section 2. The module
is loaded by a bare interpreter (see `box_zygote`), so it imports the standard library alone.
"""

import ctypes
import os
import platform

# numbers that differ between processors; those above 424 are the same everywhere
NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126},
    "aarch64": {"pivot_root": 41, "capset": 91},
}
CLOSE_RANGE, MOUNT_SETATTR = 436, 442

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 38
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
CAP_DAC_READ_SEARCH = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(name: str, value: int) -> int:
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return value


def syscall(name: str, number: int, *arguments: object) -> int:
    """Make a system call by its number; ints are passed as 64-bit values."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *passed))


def number_of(name: str) -> int:
    """Return the number of a call that differs between processors.

    Raises:
        OSError: this processor's numbers are not known here.
    """
    try:
        return NUMBERS[platform.machine()][name]
    except KeyError:
        raise OSError(38, f"{name}: not known on processor {platform.machine()!r}") from None


def prctl(option: int, value: int = 0) -> None:
    """Set a property of this process."""
    zero = ctypes.c_ulong(0)
    _checked("prctl", _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero))


def unshare(flags: int) -> None:
    """Move this process (for pids: its future children) into new namespaces."""
    _checked("unshare", _libc.unshare(ctypes.c_int(flags)))


def setns(descriptor: int, kind: int) -> None:
    """Move this process into the namespace of a descriptor."""
    _checked("setns", _libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system, or bind a path to another place."""
    words = [source.encode(), target.encode(), kind.encode() if kind else None]
    _checked(f"mount {target}", _libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None))


def set_mount(target: str, attributes: int, recursive: bool = True) -> None:
    """Add attributes such as read-only to a mount, and to all below it."""
    attr = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    path = ctypes.c_char_p(target.encode())
    syscall(f"mount_setattr {target}", MOUNT_SETATTR, AT_FDCWD, path, flags, ctypes.byref(attr), ctypes.sizeof(attr))


def pivot_here() -> None:
    """Make the working directory, a mount, the root; the old root is gone."""
    here = ctypes.c_char_p(b".")
    syscall("pivot_root", number_of("pivot_root"), here, here)
    _checked("umount2", _libc.umount2(here, ctypes.c_int(MNT_DETACH)))
    os.chdir("/")


def set_capabilities(mask: int) -> None:
    """Keep the capabilities of a bit mask (of the first 32) and no other, permitted and effective."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)  # effective, permitted, inheritable; then the upper halves
    syscall("capset", number_of("capset"), ctypes.byref(header), ctypes.byref(data))


def close_from(lowest: int) -> None:
    """Close every descriptor from ``lowest`` on."""
    try:
        syscall("close_range", CLOSE_RANGE, lowest, 0x7FFFFFFF, 0)
    except OSError:  # older than Linux 5.9
        os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))
