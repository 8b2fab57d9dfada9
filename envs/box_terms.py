"""The words of the sandbox: what is run, what it may use, how it can end, and what is told about it.

Every end has a name, and every resource that ends one is told by the name of its field in `Limits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MIB = 1 << 20


class Status(StrEnum):
    """How an execution ended. Closed: add a member rather than overload one."""

    OK = "ok"  # it ran to its end; says nothing about right or wrong
    EXCEPTION = "exception"  # the code raised, does not compile, or left with an exit code other than 0
    TIMEOUT = "timeout"  # of CPU or wall time: `limit` says which
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    DIED = "died"  # killed by a signal, or gone without a word
    PROTOCOL = "protocol"  # it sent something that no honest program sends
    SETUP_ERROR = "setup_error"  # the host's or the tests' fault: no reward at all, never a zero


class Level(StrEnum):
    """How far model code is shut in, weakest first; what each stops is told in `box`."""

    NONE = "none"
    RLIMITS = "rlimits"
    LANDLOCK = "landlock"
    NAMESPACES = "namespaces"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one execution, all its calls together."""

    cpu_s: float = 4.0  # seconds of user and system time, all threads
    wall_s: float = 30.0  # seconds on the clock, for programs that sleep
    memory_bytes: int = 512 * MIB  # of address space
    processes: int = 16  # and threads; below `namespaces`, unless root: so many more than the machine has
    open_files: int = 32
    file_bytes: int = MIB  # the largest file it may write
    output_bytes: int = MIB  # standard output and error together

    def __post_init__(self) -> None:
        """Refuse what is not a positive number."""
        for name in self.__slots__:  # every process of the sandbox comes by here, so no `asdict`
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**62:
                raise ValueError(f"{name} must be a number above 0, got {value!r}")
            if not name.endswith("_s") and not isinstance(value, int):
                raise ValueError(f"{name} must be a whole number, got {value!r}")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Limits":
        """Return limits from their names and values."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program; what it ought to print is not told to it."""

    code: str
    stdin: str = ""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what is no text."""
        if not (isinstance(self.code, str) and isinstance(self.stdin, str)):
            raise TypeError(f"code and stdin of a program are texts, got {self.code!r:.40} and {self.stdin!r:.40}")


@dataclass(frozen=True, slots=True)
class Check:
    """A solution and its tests. The solution's process sees the code, the set-up, and the arguments of calls."""

    code: str
    tests: tuple[str, ...]  # Python statements; each passes if it raises nothing
    imports: str = ""  # run before the tests, in the checker's process
    setup: str = ""  # run after the code, in the solution's process: objects that tests pass as arguments
    names: Mapping[str, str] = field(default_factory=dict)  # of a test -> of the solution, beside unknown names
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse tests that are one text: they would be tried letter by letter."""
        if not isinstance(self.code, str) or isinstance(self.tests, str):
            raise TypeError(f"the code of a check is a text, its tests are a tuple of texts, got {self.tests!r:.60}")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one program."""

    status: Status
    why: str = ""  # one line for a person
    limit: str = ""  # the field of `Limits` that ended it
    stdout: str = ""  # undecodable bytes as U+FFFD
    stderr: str = ""
    trace: str = ""  # what it raised, in its own words
    cpu_s: float = 0.0
    wall_s: float = 0.0  # from the moment that the code started
    peak_bytes: int = 0  # resident
    level: Level = Level.NONE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test."""

    passed: bool
    why: str = ""  # may tell what was expected
    given: str = ""  # the last call of the solution, or the program's input, cut: nothing that was expected
    fault: str = ""  # what the program raised, in its own words, or which limit ended it: nothing of the tests


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one solution and its tests."""

    status: Status  # of the whole: ok means that every test was tried
    tests: tuple[Outcome, ...] = ()  # in their order; those that were not reached have not passed
    why: str = ""
    limit: str = ""
    cpu_s: float = 0.0  # of the solution
    wall_s: float = 0.0
    peak_bytes: int = 0
    level: Level = Level.NONE

    @property
    def passed(self) -> bool:
        """Whether every test passed, and there was one."""
        return self.status is Status.OK and bool(self.tests) and all(test.passed for test in self.tests)
