"""Dishonest solutions: each fools a judge in its own interpreter, and none the split checker, at any level.

The judge that is fooled is the customary one: tests appended to the code, run in one process, judged by its exit code,
by a line that it prints, or by what it writes into a descriptor. Not covered: solutions that know the tests by heart.
"""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from eggym.envs.box import Check, Limits, Program, check_solutions, run_programs, same_output
from eggym.envs.box_keeper import Keeper
from eggym.envs.box_runs import CheckRun
from eggym.envs.box_standing import Checkers
from eggym.envs.box_terms import Level, Status

LIMITS = Limits(cpu_s=1.0, wall_s=10)
TESTS = (
    "cases = [(1, 2), (2, 3), (70, 71)]\nfor given, expected in cases:\n    assert abs(f(given) - expected) < 1e-6",
    "expected = 12346\nassert f(12345) == expected",
)
HONEST = "def f(x): return x + 1"
WRONG = "def f(x): return 0"

FAKES = {  # what it fools: the exit code, the line printed, or the descriptor of results
    "leaves before the tests": ("exit", "import sys\ndef f(x): sys.exit(0)"),
    "leaves without cleaning up": ("exit", "import os\ndef f(x): os._exit(0)"),
    "leaves when it is read": ("exit", "import sys\nsys.exit(0)"),
    "leaves at the end": ("exit", "import atexit, os\natexit.register(os._exit, 0)\n" + WRONG),
    "leaves in place of a message": ("exit", "import os, sys\nsys.excepthook = lambda *_: os._exit(0)\n" + WRONG),
    "prints what success prints": ("line", "print('PASSED')\n" + WRONG),
    "prints and leaves": ("line", "import os\nprint('PASSED', flush=True)\ndef f(x): os._exit(0)"),
    "writes what success writes": ("descriptor", """
import os
for n in range(3, 300):
    try:
        os.write(n, b'PASSED')
    except OSError:
        pass
""" + WRONG),
    "equals everything": ("exit", """
class Always:
    def __eq__(self, other): return True
    def __sub__(self, other): return 0
def f(x): return Always()
"""),
    "is a number that lies": ("exit", """
class Number(int):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
def f(x): return Number(5)
"""),
    "is never unequal": ("exit", """
class Odd(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __rsub__(self, other): return self
    def __sub__(self, other): return self
    def __abs__(self): return self
    def __lt__(self, other): return True
def f(x): return Odd(5)
"""),
    "reads the expected value in the caller": ("exit", """
import sys
def f(x):
    return sys._getframe(1).f_globals.get('expected')
"""),
    "finds the expected value among all objects": ("exit", """
import gc, sys
def f(x):
    for each in gc.get_objects():
        if type(each) is tuple and len(each) == 2 and each[0] == x and type(each[1]) is int:
            return each[1]
    for each in gc.get_objects():
        if type(each) is dict and 'expected' in each:
            return each['expected']
"""),
    "finds the tests in memory": ("exit", """
import gc, re, sys
def f(x):
    frame = sys._getframe(1)
    numbers = [c for c in frame.f_code.co_consts if type(c) is int]
    return frame.f_globals.get('expected', numbers[0] if numbers else 0)
"""),
    "changes the caller's values": ("exit", """
import sys
def f(x):
    sys._getframe(1).f_globals['expected'] = 0
    return 0
"""),
    "traces the caller": ("exit", """
import sys
class Calm(int):
    pass
def trace(frame, event, argument):
    if event == 'line' and 'expected' in frame.f_globals:
        frame.f_globals['expected'] = 0
    return trace
def f(x):
    frame = sys._getframe(1)
    frame.f_trace = trace
    sys.settrace(trace)
    frame.f_globals['expected'] = 0
    return 0
"""),
    "changes what abs means": ("exit", """
import builtins
builtins.abs = lambda x: 0
class Yes:
    def __eq__(self, other): return True
    def __sub__(self, other): return 0
def f(x): return Yes()
"""),
    "swallows what is raised": ("exit", """
import sys
def hook(kind, value, trace):
    import os
    os._exit(0)
sys.excepthook = hook
import threading
threading.excepthook = hook
def f(x): return None
"""),
    "answers after its end": ("exit", """
import os
class Late:
    def __del__(self): os._exit(0)
late = Late()
import atexit
atexit.register(os._exit, 0)
def f(x): return None
"""),
}  # fmt: skip


def is_fooled(judge, code):
    """Run code and tests in one ordinary process, and ask the customary judge."""
    reading, writing = os.pipe()
    ending = f"\nprint('PASSED')\nimport os\nos.write({writing}, b'PASSED')\n"
    try:
        command = [sys.executable, "-I", "-c", "\n".join([code, *TESTS, ending])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, pass_fds=[writing])
    finally:
        os.close(writing)
        with open(reading, "rb") as file:
            told = file.read()
    return {"exit": done.returncode == 0, "line": "PASSED" in done.stdout, "descriptor": told == b"PASSED"}[judge]


def check(level, code, tests=TESTS):
    (verdict,) = check_solutions([Check(code, tests, limits=LIMITS)], level, level)
    assert verdict.status is not Status.SETUP_ERROR, verdict.why  # or a fake would be forgiven
    return verdict


def test_the_honest_pass_and_the_wrong_fail_every_judge(box_level):
    for judge in ("exit", "line", "descriptor"):
        assert is_fooled(judge, HONEST) and not is_fooled(judge, WRONG)
    for level in Level:
        assert check(box_level(level), HONEST).passed and not check(level, WRONG).passed


@pytest.mark.parametrize("name", FAKES)
def test_a_fake_fools_the_usual_judge_and_not_this_one(box_level, name):
    judge, code = FAKES[name]
    assert is_fooled(judge, code)
    for level in Level:
        verdict = check(box_level(level), code)
        assert not any(test.passed for test in verdict.tests) and not verdict.passed, level


TELL = """
import json, os, struct
def tell(descriptor, value):
    data = value if type(value) is bytes else json.dumps(value).encode()
    os.write(descriptor, struct.pack('!I', len(data)) + data)
"""
PACK = "import sys\nsys.modules['box.box_program'].pack = lambda *_: {}\ndef f(x): return 1"
FORGERIES = {  # against our own protocol: 3 is the descriptor of reports, 5 that of the checker
    "reports success": ("tell(3, {'test': 0, 'passed': True, 'why': ''})", "protocol"),
    "blames the host": ("tell(3, {'end': 'setup_error', 'why': 'the host'})", "protocol"),
    "was never ready": ("tell(3, {'ready': False, 'why': 'the host'})", "protocol"),
    "reports an odd end": ("tell(3, {'end': ['ok'], 'why': {}})", "protocol"),
    "reports a list": ("tell(3, [1])", "protocol"),
    "reports no JSON": ("tell(3, b'{')", "protocol"),
    "reports at length": ("os.write(3, b'\\xff' * 99)", "protocol"),
    "claims success as the checker": ("tell(5, {'end': 'ok', 'why': ''})", "protocol"),
    "answers before it is asked": ("tell(5, {'ready': True})\ntell(5, {'id': '0', 'value': 2})", "protocol"),
    "answers twice": ("def f(x):\n    tell(5, {'id': 'x', 'value': x + 1})\n    return x + 1", "protocol"),
    "reports its end twice": ("tell(3, {'end': 'ok', 'why': ''})", "protocol"),
    "reports failure beside success": ("tell(3, {'end': 'exception', 'why': ''})", "exception"),
    "answers with more than a value": ("def f(x):\n    tell(5, {'id': 'x', 'value': 2, 'raised': []})", "protocol"),
    "answers with a key twice": ("tell(5, b'{\"ready\": true, \"ready\": 1}')", "protocol"),
    "sends nothing, many times": ("os.write(5, bytes(4) * 99)", "protocol"),
    "sends half a message": ("os.write(5, b'\\0\\0\\1\\0x')\nos._exit(0)", "died"),
    "sends a float": ("tell(5, b'{\"ready\": 1.0}')", "protocol"),
    "sends depth": ("tell(5, b'[' * 99999)", "protocol"),
    "sends odd bytes": ("tell(5, b'\\xff\\xfe')", "protocol"),
    "closes the link": ("os.close(5)", "died"),
    "closes everything": ("os.closerange(0, 99)", "died"),
    "swaps its descriptors": ("os.dup2(5, 3)", "protocol"),
    "changes how it is packed": (PACK.format("['q', 1]"), "protocol"),
    "packs an odd float": (PACK.format("['f', 'x']"), "protocol"),
    "packs an odd object": (PACK.format("['o', [0, 'yes']]"), "protocol"),
    "packs depth": ("""
import sys
deep = 1
for _ in range(400): deep = ['l', [deep]]
sys.modules['box.box_program'].pack = lambda *_: deep
def f(x): return 1""", "protocol"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_seen(box_level, name):
    code, status = FORGERIES[name]
    code = TELL + code
    code += "" if "def f" in code else f"\n{HONEST}"  # right answers besides do not help
    for level in Level:
        verdict = check(box_level(level), code)
        assert (verdict.status, verdict.passed) == (status, False), (level, verdict)


RETURNED = {  # values that are no honest answer; the test of each passes if the checker believes in them
    "a huge number": ("10 ** 30_000_000", "assert f() == 1"),
    "a large list": ("[0] * 10_000_000", "assert len(f()) == 3"),
    "a large text": ("'x' * 50_000_000", "assert f() == 'x'"),
    "depth": ("__import__('functools').reduce(lambda inner, _: [inner], range(5000), [])", "assert f() == []"),
    "itself": ("(lambda x: x.append(x) or x)([])", "assert f() == []"),
    "a pickle": ("__import__('pickle').dumps(3)", "assert f() == 3"),
    "an object that unpickles badly": ("type('E', (), {'__reduce__': lambda s: (print, ('!',))})()", "assert f() == 3"),
    "numbers of one hash": ("{(2 ** 61 - 1) * k for k in range(60_000)}", "assert f() == {1}"),
    "not a number": ("float('nan')", "assert f() == f()"),
    "a class": ("type('A', (), {'__eq__': lambda *_: True})", "assert f() == 3"),
    "a function": ("lambda *_: True", "assert f() == 3"),
    "a generator": ("(x for x in [1])", "assert list(f()) == [1]"),
    "a list of its own kind": ("type('L', (list,), {'__eq__': lambda *_: True})()", "assert f() == [3]"),
    "a type that claims to be int": ("type('I', (), {'__class__': int, '__eq__': print})()", "assert f() == 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", RETURNED)
def test_a_value_that_is_no_answer_does_not_pass(box_level, name):
    value, test = RETURNED[name]
    verdict = check(box_level("landlock"), f"def f(): return {value}\ndef g(): return 1", (test, "assert g() == 1"))
    assert not verdict.tests[0].passed
    assert verdict.tests[1].passed or verdict.status in (Status.TIMEOUT, Status.MEMORY), verdict


def test_the_memory_of_a_checker_is_closed_to_its_user(box_level):
    keeper = Keeper(box_level("rlimits"))
    work = Check("def f(x): return x", ("import time\nf(1)\ntime.sleep(99)",))
    run = CheckRun(keeper, work, Checkers(keeper))
    while not (run.parts[1]._ready and run.parts[0].messages):
        for part in run.parts:
            for descriptor in select.select(part.descriptors(), [], [], 0.05)[0]:
                part.read(descriptor)
    children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
    owners = [Path(f"/proc/{pid}/mem").stat().st_uid for pid in children]  # the solution's comes first
    for part in run.parts:
        part.close()
    keeper.close()
    assert len(owners) == 2 and owners[0] != 0 and owners[1] == 0


def test_a_solution_cannot_look_into_the_checker(box_level):
    code = """
import os
def f(x):
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f'/proc/{name}/mem', 'rb', 0) as memory, open(f'/proc/{name}/maps') as maps:
                    if 'python' in maps.read():
                        return 'seen'
            except OSError:
                continue
    return 'blind'
"""
    for level in ("rlimits", "landlock", "namespaces"):
        verdict = check(box_level(level), code, ("assert f(1) == 'blind', f(1)", "assert f(1) == 'seen'"))
        assert not verdict.tests[1].passed, level


PRINTED = {
    "prints nothing and leaves": "import sys\nsys.exit(0)",
    "catches its error": "try:\n    1/0\nexcept Exception:\n    pass",
    "prints too much": "print('3')\nprint('4')\nprint('5')",
    "prints markers": "print('PASSED')\nprint('ok')",
    "prints to the report": TELL + "tell(3, {'end': 'ok', 'why': '', 'stdout': '4'})",
    "asks for more input": "input()\nprint(input())",
    "leaves in the middle": "import os\nprint('4', flush=True)\nos._exit(0)",
    "fails at the end": "print('4')\n1/0",
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_program_that_reads_and_prints_is_judged_by_its_whole_output_and_its_end(box_level, name):
    def passes(code, expected):
        (found,) = run_programs([Program(code, "1 3\n", LIMITS)], box_level("landlock"))
        return found.status is Status.OK and same_output(found.stdout, expected)

    assert passes("a, b = input().split()\nprint(int(a) + int(b))", "4\n")
    assert not passes(PRINTED[name], "4\n")


def test_equal_answers_to_everything_pass_nothing(box_level):
    codes = [FAKES["equals everything"][1], "def f(x): return None"]
    tests = [("assert f(1) == 2",), ("assert f([1]) == [2]",), ("assert f('a') == 'b'",), ("assert f(1) != 2",)]
    checks = [Check(code, test, limits=LIMITS) for code in codes[:1] for test in tests]
    assert not any(verdict.passed for verdict in check_solutions(checks, box_level("landlock")))
