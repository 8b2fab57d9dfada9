"""Solutions tested from outside: what passes, what fails, and with which word."""

import pytest

from eggym.envs.box import Check, Limits, check_solutions
from eggym.envs.box_terms import Level, Status

LIMITS = Limits(cpu_s=1.0)


def check(level, code, *tests, **more):
    (verdict,) = check_solutions([Check(code, tests, limits=LIMITS, **more)], level, level)
    return verdict


@pytest.fixture(params=list(Level))
def level(request, box_level):
    return box_level(request.param)


ADD = "def add(x, y):\n    return x + y\n"


def test_right_and_wrong_are_told_apart_test_by_test(level):
    verdict = check(level, ADD, "assert add(2, 3) == 5", "assert add(2, 3) == 6", "assert add('a', 'b') == 'ab'")
    assert (verdict.status, verdict.level) == (Status.OK, level)
    assert [test.passed for test in verdict.tests] == [True, False, True]
    assert verdict.tests[1].why == "AssertionError" and not verdict.passed
    assert check(level, ADD, "assert add(2, 3) == 5").passed


def test_no_test_is_no_pass(level):
    assert check(level, ADD).status is Status.OK and not check(level, ADD).passed


VALUES = "None, True, 7, 10**400, 2.5, -0.0, float('inf'), 1j, 'ä', b'x', [1, [2]], (1,), {1, 2}, {'a': [(1, 2)]}, []"


def test_plain_values_come_back_with_their_types(level):
    tests = ["for value in VALUES:\n    assert repr(echo(value)) == repr(value)", "assert echo(value={1: 2}) == {1: 2}"]
    verdict = check(level, "def echo(value): return value", *tests, imports=f"VALUES = [{VALUES}, frozenset([3])]")
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        ("return undefined", "NameError: name 'undefined' is not defined"),
        ("raise type('Odd', (Exception,), {})('x')", "RemoteError: Odd: x"),
        ("raise SystemExit(0)", "RemoteError: SystemExit: 0"),
        ("raise KeyboardInterrupt", "RemoteError: KeyboardInterrupt"),
        ("return f(x)", "RecursionError: maximum recursion depth exceeded"),
        ("return bytearray(1 << 40)", "MemoryError"),
    ],
)
def test_what_a_function_raises_fails_its_test_alone(body, why):
    verdict = check(
        Level.LANDLOCK, f"def f(x):\n    {body}\ndef g(x): return x", "assert f(1) == 1", "assert g(1) == 1"
    )
    assert [test.passed for test in verdict.tests] == [False, True]
    assert verdict.tests[0].why.startswith(why)


def test_a_test_may_expect_an_exception():
    test = "try:\n    f(1)\nexcept ValueError as problem:\n    assert str(problem) == 'no'\nelse:\n    assert False"
    assert check(Level.LANDLOCK, "def f(x): raise ValueError('no')", test).passed
    assert not check(Level.LANDLOCK, "def f(x): raise TypeError('no')", test).passed


@pytest.mark.parametrize(
    ("code", "status", "limit", "why"),
    [
        ("def f(:", "exception", "", "SyntaxError"),
        ("1/0", "exception", "", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(1)", "exception", "", "SystemExit: 1"),
        ("x = [0] * 10**10", "memory", "memory_bytes", "MemoryError"),
        ("while True: pass", "timeout", "cpu_s", "took more than 1 s of CPU"),
        ("def f(x):\n    while True: pass", "timeout", "cpu_s", "took more than 1 s of CPU"),
        ("while True: print('x' * 9999)", "output_limit", "output_bytes", "printed more"),
        ("import os; os._exit(0)", "died", "", "left with exit code 0, without a report"),
        ("import os\ndef f(x): os._exit(0)", "died", "", "left with exit code 0, without a report"),
        ("import ctypes\ndef f(x): ctypes.string_at(0)", "died", "", "killed by signal 11"),
    ],
)
def test_every_end_of_a_solution_has_its_name(code, status, limit, why):
    verdict = check(Level.LANDLOCK, code, "assert f(1) == 1", "assert f(2) == 1")
    assert (verdict.status, verdict.limit, len(verdict.tests)) == (status, limit, 2), verdict
    assert why in verdict.why and not any(test.passed for test in verdict.tests)


def test_a_test_that_swallows_everything_does_not_hide_the_end_of_its_solution():
    test = "try:\n    f(1)\nexcept BaseException:\n    pass"
    verdict = check(Level.LANDLOCK, "import os\ndef f(x): os._exit(0)", test, "assert True")
    assert (verdict.status, [one.passed for one in verdict.tests]) == (Status.DIED, [False, False])


def test_cpu_time_decides_though_nobody_looked_in_time(monkeypatch):
    monkeypatch.setattr("eggym.envs.box_execution.Execution.look", lambda self: None)
    code = "import time\ndef f(x):\n    while time.process_time() < 1.1: pass\n    return x"
    verdict = check(Level.LANDLOCK, code, "assert f(1) == 1")
    assert (verdict.status, verdict.limit, verdict.passed) == (Status.TIMEOUT, "cpu_s", False)


def test_tests_before_a_hang_keep_their_outcome():
    code = "def f(x):\n    while x > 1: pass\n    return x"
    verdict = check(Level.LANDLOCK, code, "assert f(1) == 1", "assert f(2) == 2", "assert f(0) == 0")
    assert verdict.status is Status.TIMEOUT and [test.passed for test in verdict.tests] == [True, False, False]


def test_a_missing_function_is_named():
    assert check(Level.LANDLOCK, ADD, "assert ad(1, 2) == 3").tests[0].why == "NameError: the solution has no name 'ad'"


def test_a_function_may_be_called_like_a_builtin_if_the_check_says_so():
    code = "def sum(a, b): return a * b"
    assert not check(Level.LANDLOCK, code, "assert sum(3, 4) == 12").passed
    assert check(Level.LANDLOCK, code, "assert sum(3, 4) == 12", names={"sum": "sum"}).passed
    assert check(
        Level.LANDLOCK, code, "def check(f):\n    assert f(3, 4) == 12\ncheck(candidate)", names={"candidate": "sum"}
    ).passed


def test_the_imports_of_the_tests_run_where_the_tests_do():
    assert check(Level.LANDLOCK, ADD, "assert math.isclose(add(.1, .2), .3)", imports="import math").passed


NODE = """
class Node:
    def __init__(self, value): self.value, self.left = value, None
def depth(node): return 0 if node is None else 1 + depth(node.left)
def kinds(values, kind): return [value for value in values if type(value) is kind]
"""


def test_objects_of_the_solution_can_be_passed_back():
    assert check(Level.LANDLOCK, NODE, "assert depth(Node(3)) == 1", "assert depth(None) == 0").passed
    assert check(Level.LANDLOCK, NODE, "assert depth(root) == 2", setup="root = Node(1)\nroot.left = Node(2)").passed
    assert check(Level.LANDLOCK, NODE, "assert kinds([1, 'a'], int) == [1]").passed


OPAQUE = "class Odd:\n    def __eq__(self, other): return True\ndef f(): return Odd()\ndef g(): return []"


@pytest.mark.parametrize(
    "test",
    [
        "assert f() == 3", "assert f() != 3", "assert 3 == f()", "assert f() in [3]", "assert f() < 3",
        "assert f()[0] == 1", "assert not f() < 3", "assert str(f()) == 'x'", "assert len(f()) == 0",
        "for _ in f(): pass", "assert f().x == 1", "assert {f(): 1}", "assert f() + 1", "assert f()()",
        "assert abs(f() - 1) < 2", "assert isinstance(f().x, int)",
        "try:\n    f() == 3\nexcept BaseException:\n    pass", "assert [f()] == [3]", "assert sorted([f(), f()])",
    ],
)  # fmt: skip
def test_an_opaque_object_has_a_truth_and_nothing_else(test):
    verdict = check(Level.LANDLOCK, OPAQUE, test, "assert f()", "assert not g()", "assert f() is not None")
    assert [one.passed for one in verdict.tests] == [False, True, True, True], verdict.tests[0]


def test_tests_that_cannot_be_run_are_the_hosts_fault_and_no_zero():
    for tests, imports, why in (
        (("assert f(",), "", "the tests cannot be run: SyntaxError"),
        (("assert f(1)",), "import nothing_at_all", "the tests cannot be run: ModuleNotFoundError"),
        (("assert f(lambda: 1)",), "", "an argument of the tests cannot be sent: function is no plain value"),
        (("assert f('x' * (5 << 20))",), "", "an argument of the tests cannot be sent: a message of"),
    ):
        verdict = check(Level.LANDLOCK, "def f(x): return x", *tests, imports=imports)
        assert (verdict.status, verdict.passed) == (Status.SETUP_ERROR, False) and why in verdict.why


def test_verdicts_repeat():
    code = "def f(n): return list({str(k) for k in range(n)})"
    test = "import random\nassert f(20)[random.randrange(20)] == 'x', f(20)[random.randrange(20)]"
    whys = {check(Level.LANDLOCK, code, test).tests[0].why for _ in range(5)}
    assert len(whys) == 1


def test_a_changed_argument_is_not_seen():
    verdict = check(Level.LANDLOCK, "def f(x): x.append(1)", "x = []\nf(x)\nassert x == [1]")
    assert not verdict.passed  # a known loss


def test_a_failing_test_has_the_last_call_and_what_the_solution_raised_and_nothing_of_the_test(level):
    code = (
        "def f(x, key=None):\n    if x == 3:\n        return x[0]\n    return x\ndef g(): return f\ndef h(*_): return 0"
    )
    tests = (
        "assert f(1) == 1 and f({'a': (2,)}, key='b') == 77, 'want 77'",
        "assert f(3) == 78",
        "assert h(g(), f, len, 10**5000) == 79",
        "assert 80 == 81",
        "assert f(1) == 1",
        "try: f(3)\nexcept TypeError: pass\nassert f(4) == 82",
    )
    found = [(test.given, test.fault) for test in check(level, code, *tests).tests]
    raised = "line 3, in f: return x[0]\nTypeError: 'int' object is not subscriptable"
    assert found == [
        ("f({'a': (2,)}, key='b')", ""),
        ("f(3)", raised),
        ("h(...)", ""),
        ("", ""),
        ("", ""),
        ("f(4)", ""),
    ]
    (test,) = check(level, code, "assert h(g(), f, len) == 79").tests
    assert test.given == "h(an object, f, len)"


def test_the_call_that_a_limit_ended_is_told_and_no_earlier_one(level):
    code = "import time\ndef f(x):\n    time.sleep(0.4)\n    while x == 2: pass\ndef g(x): return [0] * x"
    first, second, third = check(level, code, "f(1)", "f(1), f(2)", "f(3)").tests
    assert (first.given, first.fault) == ("", "")
    assert (second.given, second.fault) == ("f(2)", "took more than 1 s of CPU")
    assert (third.given, third.fault) == ("", "")
    floods = f"{code}\ndef h(): print('x' * (2 << 20), flush=True)"
    (test,) = check(level, floods, "f(1), h()").tests
    assert test.fault == "printed more than 1048576 bytes" and test.given in ("", "h()")


def test_a_solution_that_does_not_load_says_where(level):
    (test,) = check(level, "x = 1\ny = x.z", "f()").tests
    assert (test.given, test.fault) == (
        "",
        "line 2, in <module>: y = x.z\nAttributeError: 'int' object has no attribute 'z'",
    )
