"""Which level is chosen, what is refused, and what the refusal says. Hosts with less are simulated."""

import sys

import pytest

from eggym.envs import box_seccomp
from eggym.envs.box_levels import NEEDS, Host, choose_level, host_of, probe
from eggym.envs.box_probe import PRIMITIVES, attempt
from eggym.envs.box_terms import Level
from eggym.errors import BadValue, UnknownName

ALL = dict.fromkeys(PRIMITIVES, "")
POOR = Host(Level.RLIMITS, {"Landlock": "Function not implemented", "a private root": "not permitted"})


def test_every_primitive_belongs_to_a_level():
    assert sorted(name for names in NEEDS.values() for name in names) == sorted(PRIMITIVES)


@pytest.mark.parametrize(
    ("lost", "level"),
    [
        ([], "namespaces"),
        (["user namespaces"], "landlock"),
        (["a private root"], "landlock"),
        (["Landlock"], "rlimits"),
        (["seccomp", "user namespaces"], "rlimits"),
        (["resource limits"], "none"),
    ],
)
def test_the_level_is_the_strongest_that_lacks_nothing(lost, level):
    host = host_of(ALL | dict.fromkeys(lost, "because"))
    assert host == Host(Level(level), dict.fromkeys(lost, "because"))


def test_this_host_is_probed_once(monkeypatch):
    first = probe()
    monkeypatch.setattr("subprocess.run", None)
    assert probe() is first


def test_what_raises_dies_or_has_no_effect_is_missing():
    def dies():
        import os

        os.kill(os.getpid(), 9)

    def fails():
        raise OSError("no such thing")

    assert attempt(lambda: None) == ""
    assert (attempt(fails), attempt(dies)) == ("no such thing", "the process that tried it died")


def test_below_landlock_nothing_runs_unasked():
    line = (
        "model-written code is not run at sandbox level 'rlimits', which does not keep it from this host's files and "
        "network; missing for 'landlock': Landlock (Function not implemented); a private root (not permitted). "
        "To run it all the same: allow_unsafe_execution='rlimits'"
    )
    with pytest.raises(BadValue) as refusal:
        choose_level(host=POOR)
    assert str(refusal.value) == line
    assert choose_level("rlimits", host=POOR) is choose_level("none", host=POOR) is Level.RLIMITS


def test_a_rich_host_is_not_made_poor_by_leave():
    assert choose_level("none", host=host_of(ALL)) is Level.NAMESPACES
    assert choose_level(level="landlock", host=host_of(ALL)) is Level.LANDLOCK


def test_a_weak_level_by_name_needs_leave_by_name():
    rich = host_of(ALL)
    for level in ("none", "rlimits"):
        with pytest.raises(BadValue, match=f"allow_unsafe_execution='{level}'"):
            choose_level(level=level, host=rich)
        assert choose_level(level, level, host=rich) is Level(level)
    with pytest.raises(BadValue, match="allow_unsafe_execution='none'"):
        choose_level("rlimits", "none", host=rich)


def test_a_level_that_the_host_lacks_is_refused_with_what_is_missing():
    with pytest.raises(BadValue, match=r"gives the sandbox level 'rlimits', not 'landlock'; missing: Landlock \("):
        choose_level(level="landlock", host=POOR)


def test_an_unknown_level_names_its_neighbour():
    with pytest.raises(UnknownName, match="no sandbox level 'landlok'; did you mean 'landlock'"):
        choose_level(level="landlok", host=POOR)


def test_other_systems_are_refused_with_their_options(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    host = probe.__wrapped__()
    for leave in (None, "none"):
        with pytest.raises(BadValue, match="Linux alone, and this is darwin: use a Linux machine, a container"):
            choose_level(leave, host=host)


def evaluate(lines, machine, number, arguments=(0,) * 6):
    """Run a filter by hand over a system call; return what it decides. Follows linux/filter.h."""
    words = {0: number, 4: machine}
    for n, each in enumerate(arguments):
        words |= {16 + 8 * n: each & 0xFFFFFFFF, 20 + 8 * n: each >> 32}
    place, value = 0, 0
    while True:
        code, yes, no, word = lines[place]
        place += 1
        if code == 0x06:
            return word
        if code == 0x20:
            value = words[word]
        else:
            holds = {0x15: value == word, 0x35: value >= word, 0x45: bool(value & word)}[code]
            place += yes if holds else no


X86, ARM = 0xC000003E, 0xC00000B7
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000


@pytest.mark.parametrize(
    ("number", "arguments", "decision"),
    [
        (0, (0,) * 6, ALLOW),  # read
        (41, (0,) * 6, EPERM),  # socket
        (57, (0,) * 6, EPERM),  # fork
        (59, (0,) * 6, EPERM),  # execve
        (62, (0,) * 6, EPERM),  # kill
        (101, (0,) * 6, EPERM),  # ptrace
        (90, (0,) * 6, EPERM),  # chmod
        (157, (0,) * 6, EPERM),  # prctl
        (272, (0,) * 6, EPERM),  # unshare
        (435, (0,) * 6, ENOSYS),  # clone3
        (56, (0x10900, 0, 0, 0, 0, 0), ALLOW),  # clone of a thread
        (56, (17, 0, 0, 0, 0, 0), EPERM),  # clone of a process
        (16, (1, 0x5401, 0, 0, 0, 0), ALLOW),  # ioctl TCGETS
        (16, (1, 0x5451, 0, 0, 0, 0), ALLOW),  # ioctl FIOCLEX, the last of the list
        (16, (1, 0x5412, 0, 0, 0, 0), EPERM),  # ioctl TIOCSTI: types into a terminal
        (72, (1, 4, 0, 0, 0, 0), ALLOW),  # fcntl F_SETFL
        (72, (1, 8, 1, 0, 0, 0), EPERM),  # fcntl F_SETOWN
        (72, (1, 6, 0, 0, 0, 0), EPERM),  # fcntl F_SETLK
        (73, (0,) * 6, EPERM),  # flock
        (53, (1, 1, 0, 0, 0, 0), ALLOW),  # socketpair of AF_UNIX
        (53, (30, 1, 0, 0, 0, 0), EPERM),  # of AF_TIPC: a module of the kernel
        (46, (0,) * 6, EPERM),  # sendmsg
        (58, (0,) * 6, EPERM),  # vfork
        (267, (0,) * 6, EPERM),  # readlinkat
        (319, (0,) * 6, EPERM),  # memfd_create
        (323, (0,) * 6, EPERM),  # userfaultfd
        (425, (0,) * 6, EPERM),  # io_uring_setup
        (437, (0,) * 6, EPERM),  # openat2
        (0x40000000 + 57, (0,) * 6, KILL),  # fork, as x32
        (0xFFFFFFFF, (0,) * 6, KILL),
        (302, (0, 7, 0, 1, 0, 0), ALLOW),  # prlimit64 that reads
        (302, (0, 7, 1, 0, 0, 0), EPERM),  # prlimit64 that sets
        (302, (0, 7, 1 << 40, 0, 0, 0), EPERM),  # the same, by a pointer whose lower half is 0
        (44, (3, 1, 1, 0, 0, 0), ALLOW),  # sendto the peer
        (44, (3, 1, 1, 0, 1, 0), EPERM),  # sendto an address
        (44, (3, 1, 1, 0, 1 << 40, 0), EPERM),
        (0x40000000, (0,) * 6, KILL),  # read, as x32
    ],
)
def test_the_filter_decides_as_it_says(number, arguments, decision):
    assert evaluate(box_seccomp.program("x86_64", True), X86, number, arguments) == decision


def test_the_filter_knows_two_processors_and_kills_foreign_calls():
    assert evaluate(box_seccomp.program("aarch64", True), ARM, 63) == ALLOW  # read
    assert evaluate(box_seccomp.program("aarch64", True), ARM, 220, (17, 0, 0, 0, 0, 0)) == EPERM
    assert evaluate(box_seccomp.program("x86_64", True), ARM, 63) == KILL
    assert evaluate(box_seccomp.program("aarch64", True), X86, 0) == KILL
    with pytest.raises(OSError, match="processor 'riscv64' are not known"):
        box_seccomp.program("riscv64", True)


@pytest.mark.parametrize(("number", "place"), [(2, 1), (257, 2)])
def test_where_landlock_cannot_hold_truncation_the_filter_does(number, place):
    emptied = [0] * 6
    emptied[place] = 0o1000
    decisions = [evaluate(box_seccomp.program("x86_64", held), X86, number, emptied) for held in (True, False)]
    assert decisions == [ALLOW, EPERM]
    assert evaluate(box_seccomp.program("x86_64", False), X86, number) == ALLOW
