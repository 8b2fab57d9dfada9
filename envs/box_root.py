"""What a box may read, and the private root of level `namespaces`: a file tree that holds nothing else.

Readable are the standard library without installed packages (they may hold answers), the shared libraries that it
needs, time zones, and three devices. The private root is built once per zygote, on a tmpfs that no other process sees.
"""

import ctypes
import os

from .box_system import (
    ATTR_NODEV,
    ATTR_NOSUID,
    ATTR_RDONLY,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    PR_SET_PDEATHSIG,
    mount,
    pivot_here,
    prctl,
    set_mount,
    unshare,
)

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
SCRATCH_PLACE = "/tmp"  # in the private root
SCRATCH_OPTIONS = "size=16m,nr_inodes=1024,mode=1777"
PACKAGES = ("site-packages", "dist-packages")
ALL = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
_ZONES = "/usr/share/zoneinfo"
_SIGKILL = 9


def standard_library() -> str:
    """Return the folder of this interpreter's standard library."""
    return os.path.realpath(os.path.dirname(os.__file__))


def library_entries() -> list[str]:
    """Return what lies in the standard library's folder, installed packages left out."""
    folder = standard_library()
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name not in PACKAGES]


def shared_libraries() -> list[str]:
    """Return files and folders of the shared libraries in use; folders with a Python in them by their files alone."""
    with open("/proc/self/maps") as lines:
        paths = {line.split(None, 5)[5].strip() for line in lines if line.count("/") and ".so" in line}
    inside = standard_library() + os.sep
    found = set()
    for path in map(os.path.realpath, paths):
        folder = os.path.dirname(path)
        if path.startswith(inside) or not os.path.isfile(path):
            continue
        crowded = any(name.startswith("python") or name in PACKAGES for name in os.listdir(folder))
        found.add(path if crowded else folder)
    return sorted(found)


def is_closed_to_others() -> bool:
    """Say whether another user than the owner cannot reach the standard library, as below a home of mode 700."""
    place = standard_library()
    while os.stat(place).st_mode & 0o001:
        if place == "/":
            return False
        place = os.path.dirname(place)
    return True


def enter_namespaces() -> int:
    """Put this process, or rather a fork of it, alone into new namespaces; return the descriptor of its pid namespace.

    The process that called waits for the fork and ends with it.
    """
    user = os.geteuid()
    group = os.getegid()
    unshare(ALL | CLONE_NEWPID | (CLONE_NEWUSER if user else 0))
    if user:
        map_ids("/proc", (0, user), (0, group))
    child = os.fork()
    if child:
        _hold(child)
    prctl(PR_SET_PDEATHSIG, _SIGKILL)  # the control socket ends it too, if the parent was gone before
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def _hold(child: int) -> None:
    """Wait for the first process of the namespace, holding nothing open."""
    os.closerange(0, 256)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def map_ids(proc: str | int, user: tuple[int, int], group: tuple[int, int]) -> None:
    """Name one user and one group of the new user namespace: (inside, outside); ``proc`` is a path or a descriptor."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user[0]} {user[1]} 1"),
        ("gid_map", f"{group[0]} {group[1]} 1"),
    ):
        if isinstance(proc, int):
            file = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        else:
            file = os.open(f"{proc}/self/{name}", os.O_WRONLY)
        os.write(file, text.encode())
        os.close(file)


def build_root() -> None:
    """Make a read-only tree of what a box may read, and move into it; the host's tree is gone."""
    libraries, library = shared_libraries(), standard_library()
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    top = SCRATCH_PLACE  # hidden below a mount that this process alone sees
    mount("box", top, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    os.umask(0o022)
    for path in (library, *libraries, _ZONES):
        if os.path.exists(path):
            _bind(path, top + path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
    for name in PACKAGES:
        hidden = f"{top}{library}/{name}"
        if os.path.isdir(hidden):
            mount("none", hidden, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=755")
            set_mount(hidden, ATTR_RDONLY)
    for device in DEVICES:
        _bind(device, top + device, ATTR_NOSUID)
    for name in ("/lib", "/lib64", "/lib32", "/usr/lib64"):
        if os.path.islink(name) and not os.path.lexists(top + name):
            os.makedirs(os.path.dirname(top + name), exist_ok=True)
            os.symlink(os.readlink(name), top + name)
    os.mkdir(top + SCRATCH_PLACE)
    os.chdir(top)
    pivot_here()
    set_mount("/", ATTR_RDONLY, recursive=False)
    ctypes.CDLL(None).sethostname(b"box", 3)


def _bind(source: str, target: str, attributes: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, None, MS_BIND | MS_REC)
    set_mount(target, attributes)
