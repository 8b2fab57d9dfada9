"""A seccomp filter: the system calls that a program needs which only computes, and no others.

Refused calls fail with EPERM; clone3 fails with ENOSYS, so that the C library falls back to clone, whose flags a filter
can read: threads may start, processes may not. Calls of a foreign architecture kill. What Landlock does not hold is not
on the list: modes, owners and times of files, links and where they point, locks on files, sockets, signals to others,
other programs, mounts, limits, tracing.
Source: seccomp(2), linux/bpf_common.h. Numbers: asm/unistd_64.h of x86_64, asm-generic/unistd.h (aarch64).
"""

import ctypes
import platform
import struct

from .box_system import PR_SET_NO_NEW_PRIVS, _checked, _libc, prctl

# name, number on x86_64, number on aarch64 where it has the call
_ALLOWED = """
read:0:63 write:1:64 close:3:57 fstat:5:80 newfstatat:262:79 lseek:8:62 mmap:9:222 munmap:11:215 mprotect:10:226
mremap:25:216 msync:26:227 brk:12:214 madvise:28:233 mincore:27:232 rt_sigaction:13:134 rt_sigprocmask:14:135
rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 sigaltstack:131:132
restart_syscall:219:128 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 preadv:295:69 pwritev:296:70
access:21 faccessat:269:48 faccessat2:439:439 select:23 poll:7 ppoll:271:73 pselect6:270:72 sched_yield:24:124
dup:32:23 dup2:33 dup3:292:24 nanosleep:35:101 clock_nanosleep:230:115 clock_gettime:228:113
clock_getres:229:114 gettimeofday:96:169 time:201 times:100:153 getrusage:98:165 getpid:39:172 gettid:186:178
getppid:110:173 getpgrp:111 getpgid:121:155 getsid:124:156 getuid:102:174 geteuid:107:175 getgid:104:176
getegid:108:177 getgroups:115:158 getresuid:118:148 getresgid:120:150 exit:60:93 exit_group:231:94 futex:202:98
set_robust_list:273:99 rseq:334:293 membarrier:324:283 openat:257:56 open:2 getdents64:217:61 getdents:78
getcwd:79:17 chdir:80:49 fchdir:81:50 getrandom:318:278 getrlimit:97:163
sysinfo:99:179 uname:63:160 sched_getaffinity:204:123 getcpu:309:168 ftruncate:77:46
fallocate:285:47 fadvise64:221:223 unlink:87 unlinkat:263:35 mkdir:83 mkdirat:258:34 rmdir:84 rename:82
renameat:264:38 renameat2:316:276 symlink:88 symlinkat:266:36 umask:95:166 stat:4 lstat:6 statx:332:291
statfs:137:43 fstatfs:138:44 fsync:74:82 fdatasync:75:83 pipe:22 pipe2:293:59 epoll_create1:291:20
epoll_create:213 epoll_ctl:233:21 epoll_wait:232 epoll_pwait:281:22 eventfd2:290:19
recvfrom:45:207 recvmsg:47:212 alarm:37 setitimer:38:103 getitimer:36:102 pause:34 sendfile:40:71
copy_file_range:326:285
"""
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SPECIAL = {  # calls that depend on their arguments
    "x86_64": {
        "clone": 56, "clone3": 435, "ioctl": 16, "fcntl": 72, "prlimit64": 302, "sendto": 44, "open": 2, "openat": 257,
        "socketpair": 53,
    },
    "aarch64": {
        "clone": 220, "clone3": 435, "ioctl": 29, "fcntl": 25, "prlimit64": 261, "sendto": 206, "openat": 56,
        "socketpair": 199,
    },
}  # fmt: skip
_COMMANDS = {
    "ioctl": (0x5401, 0x5413, 0x541B, 0x5421, 0x5451),  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX
    "fcntl": (0, 1, 2, 3, 4, 1030, 1032),  # no F_SETOWN, which sends signals to others; no locks, which others see
}
_AF_UNIX = 1
_CLONE_THREAD = 0x00010000
_O_TRUNC = 0o1000
_X32 = 0x40000000

_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data
_PR_SET_SECCOMP, _FILTER = 22, 2
_LINE_BYTES = 8

Line = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def compiled(truncation: bool = True) -> bytes:
    """Return the filter as the kernel takes it; without ``truncation`` no file may be opened to be emptied.

    Raises:
        OSError: this processor's calls are not known here.
    """
    return b"".join(struct.pack("=HBBI", *line) for line in program(platform.machine(), truncation))


def install(code: bytes) -> None:
    """Put a compiled filter on this process for good.

    Raises:
        OSError: the kernel has no seccomp.
    """
    held = ctypes.create_string_buffer(code, len(code))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    fprog = _Program(len(code) // _LINE_BYTES, ctypes.addressof(held))
    _checked("seccomp", _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(fprog), 0, 0))


def program(machine: str, truncation: bool) -> list[Line]:
    """Return the filter's instructions."""
    if machine not in _AUDIT:
        raise OSError(38, f"seccomp: the system calls of processor {machine!r} are not known here")
    lines: list[Line] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    special = _SPECIAL[machine]
    for name, number in special.items():
        body = _body(name, truncation)
        lines += [(_EQUAL, 0, len(body), number), *body]
    return [*lines, *_listed(sorted(set(_numbers(machine)) - set(special.values())))]


def _listed(numbers: list[int]) -> list[Line]:
    """Return what allows these calls, by ranges, as the kernel reads the filter anew for every process."""
    firsts = [number for number in numbers if number - 1 not in numbers]
    ends = [number + 1 for number in numbers if number + 1 not in numbers]
    lines: list[Line] = []
    for place, (first, end) in enumerate(zip(firsts, ends, strict=True)):
        left = 2 * (len(firsts) - place - 1)  # instructions before the two returns: refuse, allow
        lines += [(_AT_LEAST, 1, 0, end), (_AT_LEAST, left + 1, left, first)]
    return [*lines, (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]


def _body(name: str, truncation: bool) -> list[Line]:
    """Return what decides over a call by its arguments; ends in a return."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)
    if name == "clone3":
        return [(_RETURN, 0, 0, _ENOSYS)]
    if name == "clone":
        return [_load(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), allow, refuse]
    if name in _COMMANDS:
        values = _COMMANDS[name]
        tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
        return [_load(1), *tests, refuse, allow]
    if name in ("prlimit64", "sendto"):  # limits may be read, not set; data go to the peer alone, not to an address
        argument = 2 if name == "prlimit64" else 4
        return [_load(argument), (_EQUAL, 0, 3, 0), _load(argument, 4), (_EQUAL, 0, 1, 0), allow, refuse]
    if name == "socketpair":  # another family may make the kernel load its module
        return [_load(0), (_EQUAL, 0, 1, _AF_UNIX), allow, refuse]
    flags = 1 if name == "open" else 2
    return [allow] if truncation else [_load(flags), (_ANY_BIT, 1, 0, _O_TRUNC), allow, refuse]


def _load(argument: int, part: int = 0) -> Line:
    return (_LOAD, 0, 0, 16 + 8 * argument + part)


def _numbers(machine: str) -> list[int]:
    place = 1 if machine == "x86_64" else 2
    rows = [row.split(":") for row in _ALLOWED.split()]
    return [int(row[place]) for row in rows if len(row) > place]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
