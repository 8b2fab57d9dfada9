"""Model-written code in a box: programs that read and print, and solutions whose functions are tested from outside.

Stopped, at the levels from which on it is:

- ``rlimits``: endless loops, also in C and with signals ignored; memory, threads and processes without end; files
  larger than 1 MiB; output without end; core dumps.
- ``landlock``: reading any file but the standard library (installed packages left out) and the shared libraries under
  it; writing any file; locks on files, and where links point; the network and every other socket; passing descriptors;
  starting processes and programs; signals to others; tracing; /proc; changing modes and owners of files; everything
  that outlives the run; new namespaces and other rare system calls.
- ``namespaces``: the same once more by other means (own file tree, process ids, network, users), and seeing that other
  files or processes exist. Files may be written in ``/tmp``, 16 MiB that vanish with the run.
- at every level: passing tests by anything but returned values (early exits, objects with their own ``==``, forged
  reports, changed builtins, a look at the tests): tests and expected values are in another process. A check does not
  feel the ones before it, and a solution cannot turn its failure into the host's.

Not stopped:

- ``none``: anything but loops and floods of output. ``rlimits``: reading what its user may read, the network, processes
  that outlive the run. At both, a program may end or deceive the processes of its own user.
- bugs of the kernel, side channels of the processor, and the use of what is allowed: CPU time up to its limit. Which
  files and processes exist, and the sizes, times and owners of files (at ``landlock``), the kind of kernel and
  processor, how busy the machine is, and the time can be seen.
- a text of the program's own choice in what is told of its end (`Result.trace`, `Outcome.fault`): it is cut, and free
  of control characters, and no more than that.
- a solution that knows the tests' inputs by heart, or is lucky. Tests do not see that it changed an argument.
- tests: they are trusted, as data sets are; they run at ``landlock`` all the same, where there is one.

This is for the code of models under optimisation. Against people who attack on purpose, on a machine that holds
secrets, use a virtual machine.
"""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from .box_levels import choose_level
from .box_terms import Check, Limits, Program, Result, Verdict

if TYPE_CHECKING:
    from .box_pool import Pool

VERSION = 2  # of the rules by which programs and solutions are run and judged


def run_programs(
    programs: Sequence[Program], level: str | None = None, allow_unsafe_execution: str | None = None
) -> list[Result]:
    """Run programs, several at a time; return their results, in their order.

    Raises:
        BadValue: this host does not give the level, or it is below `landlock` and not allowed: see `choose_level`.
    """
    _check_kind(programs, Program)
    return cast(list[Result], _pool(level, allow_unsafe_execution).run(programs))


def check_solutions(
    checks: Sequence[Check], level: str | None = None, allow_unsafe_execution: str | None = None
) -> list[Verdict]:
    """Test solutions, several at a time; return the verdicts, in their order.

    Raises:
        BadValue: this host does not give the level, or it is below `landlock` and not allowed: see `choose_level`.
    """
    _check_kind(checks, Check)
    return cast(list[Verdict], _pool(level, allow_unsafe_execution).run(checks))


def same_output(printed: str, expected: str) -> bool:
    """Say whether two outputs agree: line by line, white space at the ends of lines and of the text apart."""
    return _lines(printed) == _lines(expected)


def sandbox_identity(limits: Limits) -> str:
    """Return what verdicts depend on besides code and tests, for `Task.identity`: rules, limits, Python.

    The level is left out: it decides what a program can harm, not what it is worth. It stands in `Task.host`.
    """
    bounds = ",".join(f"{name}={value:g}" for name, value in asdict(limits).items())
    return f"box {VERSION} {bounds} python {'.'.join(platform.python_version_tuple()[:2])}"


def _check_kind(works: Sequence[Any], kind: type) -> None:
    for work in works:
        if not isinstance(work, kind):
            raise TypeError(f"a list of {kind.__name__} is wanted, with {work!r:.40} in it")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _pool(level: str | None, allow_unsafe_execution: str | None) -> "Pool":
    chosen = choose_level(allow_unsafe_execution, level)
    from .box_pool import pool_of  # needs Linux

    return pool_of(chosen)
