"""Programs in the sandbox: every way to end, at every level that this host gives.

A level that is not given is skipped by name; with EGGYM_REQUIRE_SANDBOX=landlock, as in .ci/run, that is a failure.
"""

import os
import random
import sys
from pathlib import Path

import pytest

from eggym.envs.box import Check, Limits, Program, check_solutions, run_programs, same_output, sandbox_identity
from eggym.envs.box_levels import probe
from eggym.envs.box_pool import pool_of
from eggym.envs.box_root import is_closed_to_others
from eggym.envs.box_terms import MIB, Level, Status
from eggym.errors import BadValue, UnknownName

SHORT = Limits(cpu_s=0.3, wall_s=20)
CLOSED = ("rlimits", "landlock", "namespaces")


def run(level, code, stdin="", limits=SHORT):
    (result,) = run_programs([Program(code, stdin, limits)], level, level)
    return result


ENDS = {
    "says hello": ("print('hello')", "ok", "", ""),
    "reads and prints": ("print(input()[::-1])", "ok", "", ""),
    "leaves politely": ("raise SystemExit", "ok", "", ""),
    "leaves with a code": ("import sys; sys.exit(3)", "exception", "SystemExit: 3", ""),
    "raises": ("1/0", "exception", "ZeroDivisionError: division by zero", ""),
    "does not compile": ("def f(:", "exception", "SyntaxError: invalid syntax", ""),
    "null bytes": ("x = '\0'", "exception", "source code string cannot contain null bytes", ""),
    "a lone surrogate": ("x = '\ud800'", "exception", "UnicodeEncodeError", ""),
    "endless loop": ("while True: pass", "timeout", "took more than 0.3 s of CPU", "cpu_s"),
    "endless loop in C": ("sum(iter(int, 1))", "timeout", "took more than 0.3 s of CPU", "cpu_s"),
    "one long multiplication": ("3 ** (10 ** 9)", "timeout", "took more than 0.3 s of CPU", "cpu_s"),
    "deep recursion": ("def f(): f()\nf()", "exception", "RecursionError", ""),
    "prints without end": ("while True: print('x' * 999)", "output_limit", "printed more than 1048576", "output_bytes"),
    "kills itself": ("import ctypes; ctypes.string_at(0)", "died", "killed by signal 11", ""),
    "slips away": ("import os; os._exit(0)", "died", "left with exit code 0, without a report", ""),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("level", Level)
def test_every_end_has_its_name(box_level, level, name):
    code, status, why, limit = ENDS[name]
    result = run(box_level(level), code, "olleh\n")
    assert (result.status, result.limit, result.level) == (status, limit, level)
    assert why in result.why
    if status == "ok":
        assert result.stdout == ("" if name == "leaves politely" else "hello\n")


@pytest.mark.parametrize("level", CLOSED)
def test_memory_is_bounded_and_named(box_level, level):
    result = run(box_level(level), "x = bytearray(600 << 20)")
    assert (result.status, result.limit) == (Status.MEMORY, "memory_bytes")
    assert run(level, "x = bytearray(600 << 20)", limits=Limits(memory_bytes=1024 * MIB)).status is Status.OK


@pytest.mark.parametrize("level", CLOSED)
def test_open_files_are_bounded(box_level, level):
    result = run(box_level(level), "import os\n[os.dup(0) for _ in range(99)]")
    assert result.why == "OSError: [Errno 24] Too many open files"


def test_files_are_bounded_where_they_may_be_written(box_level):
    code = "f = open('/tmp/x', 'wb')\nf.write(bytes(2 << 20))\nf.close()"
    assert "File too large" in run(box_level("namespaces"), code).why
    assert run(Level.NAMESPACES, code, limits=Limits(file_bytes=4 * MIB)).status is Status.OK
    assert (
        "No space left" in run(Level.NAMESPACES, code.replace("2 <<", "20 <<"), limits=Limits(file_bytes=99 * MIB)).why
    )


@pytest.mark.parametrize("level", Level)
def test_a_program_that_sleeps_ends_by_the_clock(box_level, level):
    result = run(box_level(level), "import time; time.sleep(99)", limits=Limits(wall_s=0.4))
    assert (result.status, result.limit, result.why) == (Status.TIMEOUT, "wall_s", "went on for more than 0.4 s")
    assert result.cpu_s < 0.3


def test_what_was_used_is_told(box_level):
    result = run(
        box_level("landlock"), "x = bytearray(b'1' * (50 << 20))\nwhile __import__('time').process_time() < .1: 0"
    )
    assert result.cpu_s >= 0.1 and result.peak_bytes > 50 * MIB and result.wall_s > 0


@pytest.mark.parametrize("level", Level)
def test_both_outputs_are_kept_apart_and_bounded_together(box_level, level):
    code = "import sys\nprint('a' * 700, flush=True)\nprint('b' * 700, file=sys.stderr)"
    found = run(box_level(level), code)
    assert (found.stdout, found.stderr) == ("a" * 700 + "\n", "b" * 700 + "\n")
    found = run(level, code, limits=Limits(output_bytes=1000))
    assert found.status is Status.OUTPUT_LIMIT and len(found.stdout) + len(found.stderr) == 1000


@pytest.mark.parametrize("level", Level)
def test_standard_input_may_be_large_and_odd(box_level, level):
    text = "ä\ud800" + "x" * (3 << 20)  # more than a pipe holds
    code = "import sys\ns = sys.stdin.read()\nprint(len(s), s[0])"
    assert run(box_level(level), code, text.replace("\ud800", "\udcff")).stdout == f"{2 + (3 << 20)} ä\n"


HONEST = """
import asyncio, atexit, dataclasses, pickle, sys, threading, zoneinfo, wave, json, tempfile, sqlite3, decimal
@dataclasses.dataclass
class Point:
    x: int
assert pickle.loads(pickle.dumps(Point(3))) == Point(3)
async def f():
    await asyncio.sleep(0)
    return 5
print(asyncio.run(f()), __name__, len(sys.argv) > 0)
threading.Thread(target=lambda: print("from a thread")).start()
atexit.register(print, "last")
"""


@pytest.mark.parametrize("level", Level)
def test_honest_programs_run_as_usual(box_level, level):
    result = run(box_level(level), HONEST, limits=Limits(cpu_s=5))
    if level is Level.RLIMITS and os.geteuid() == 0 and is_closed_to_others():
        assert result.why == "ModuleNotFoundError: No module named 'asyncio'"  # a known loss: nobody cannot read it
        return
    assert (result.status, result.stdout) == (Status.OK, "5 __main__ True\nfrom a thread\nlast\n"), result.why


def test_sets_have_the_same_order_in_every_run(box_level):
    code = "print({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})"
    first = run(box_level("landlock"), code).stdout
    pool_of(Level.LANDLOCK).close()  # another interpreter
    assert run(Level.LANDLOCK, code).stdout == first == run(Level.RLIMITS, code).stdout


def random_programs(count):
    """Random bytes, and pieces of real programs cut off and glued together."""
    rng = random.Random(5)
    source = Path(os.__file__).read_text()
    for number in range(count):
        kind = number % 4
        start = rng.randrange(len(source) - 400)
        piece = source[start : start + rng.randrange(400)]
        if kind == 0:
            yield bytes(rng.randrange(256) for _ in range(rng.randrange(120))).decode("latin1")
        elif kind == 1:
            yield piece
        elif kind == 2:
            yield "".join(rng.sample(piece, len(piece)))
        else:
            yield "(" * rng.randrange(300) + chr(rng.randrange(0x11000)) + "\n" * rng.randrange(9) + piece[::-1]


def test_a_thousand_broken_programs_get_a_thousand_results(box_level):
    programs = [Program(code, limits=SHORT) for code in random_programs(1000)]
    results = run_programs(programs, box_level("landlock"))
    assert len(results) == 1000 and not any(result.status is Status.SETUP_ERROR for result in results)
    assert sum(result.status is Status.EXCEPTION for result in results) > 900


def test_outputs_are_compared_line_by_line():
    assert same_output("1 2 \n3\n\n", "1 2\n3")
    assert not same_output("1  2", "1 2") and not same_output("", "1") and not same_output("1\n\n2", "1\n2")


@pytest.mark.parametrize("bad", [{"cpu_s": 0}, {"memory_bytes": -1}, {"processes": 1.5}, {"wall_s": True}])
def test_a_limit_that_is_none_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be a "):
        Limits(**bad)


def test_the_limits_and_python_name_what_a_verdict_depends_on_and_the_level_does_not():
    assert len({sandbox_identity(limits) for limits in (Limits(), SHORT)}) == 2
    minor = ".".join(map(str, sys.version_info[:2]))
    assert "cpu_s=0.3" in sandbox_identity(SHORT) and sandbox_identity(SHORT).endswith(f"python {minor}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Check("x = 1", "assert x"), "its tests are a tuple of texts, got 'assert x'"),
        (lambda: Program("x = 1", stdin=b"1"), "code and stdin of a program are texts"),
        (lambda: run_programs(["print(1)"]), r"a list of Program is wanted, with 'print\(1\)' in it"),
        (lambda: check_solutions([Program("x = 1")]), "a list of Check is wanted"),
    ],
)
def test_what_is_no_work_is_refused_in_one_line(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_nothing_runs_below_landlock_unless_it_is_named():
    for call, work in ((run_programs, Program("print(1)")), (check_solutions, Check("x = 1", ("assert True",)))):
        with pytest.raises(BadValue, match="allow_unsafe_execution='none'"):
            call([work], "none")
        assert call([work], "none", allow_unsafe_execution="none")[0].status is Status.OK
        with pytest.raises(UnknownName, match="no sandbox level 'firejail'"):
            call([work], "firejail")


def test_the_strongest_level_is_the_default(box_level):
    box_level("landlock")
    assert run_programs([Program("print(1)")])[0].level is probe().level
