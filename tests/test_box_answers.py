"""What a solution gives to its tests: no answer stops them unseen, leaves cases out, or passes for what it is not."""

import json
from dataclasses import asdict

import pytest

from eggym.envs.box import Check, Limits, Program, check_solutions, run_programs
from eggym.envs.box_terms import Status

LIMITS = Limits(cpu_s=2, wall_s=10)


def check(box_level, code, *tests):
    (verdict,) = check_solutions([Check(code, tests, limits=LIMITS)], box_level("landlock"))
    return verdict


@pytest.mark.parametrize(
    "test",
    [
        "assert all(map(f, [1, 2]))",
        "for got, expected in zip(map(f, [1, 2]), [2, 3]):\n    assert got == expected",
        "assert sum(map(f, [0])) == 0",
        "assert max(map(f, [3]), default=4) == 4",
    ],
)
@pytest.mark.parametrize("name", ["StopIteration", "StopAsyncIteration"])
def test_an_exception_that_ends_loops_leaves_no_case_out(box_level, test, name):
    code = f"def f(x): raise {name}"
    if name == "StopIteration":
        exec(f"{code}\n{test}", {})  # it fools an ordinary judge
    assert not check(box_level, code, test).passed


TOO_LARGE = {
    "long": "def enc(s): return 'x' * ((1 << 22) - 60)\ndef dec(s): return s",
    "deep": "def enc(s):\n    for _ in range(63): s = [s]\n    return s\ndef dec(s): return s",
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_value_that_cannot_be_passed_back_is_no_fault_of_the_host(box_level, name):
    verdict = check(box_level, TOO_LARGE[name], "assert dec([enc('a')]) == ['a']")
    assert verdict.status is Status.PROTOCOL and "made of what the solution returned" in verdict.why


@pytest.mark.parametrize(
    "argument", ["'x' * (1 << 22)", "__import__('functools').reduce(lambda x, _: [x], range(70), 1)"]
)
def test_an_argument_of_the_tests_own_that_cannot_be_sent_is_their_fault(box_level, argument):
    verdict = check(box_level, "def f(x): return x", f"assert f({argument})")
    assert verdict.status is Status.SETUP_ERROR


LOOKS = [
    "callable(it)",
    "isinstance(it, Iterable)",
    "isinstance(it, Hashable)",
    "hasattr(it, '__len__')",
    "hasattr(it, 'x') or 1",
    "it.__class__",
    "it % 2 or 1",
    "1 / it or 1",
    "-it or 1",
    "it ** 2 or 1",
    "divmod(it, 2)",
    "it | it or 1",
    "it[0] or 1",
    "list(it) or 1",
    "next(it) or 1",
    "round(it) or 1",
    "f'{it}'",
    "'%s' % it",
    "str(it)",
    "1 in it or 1",
    "{it}",
    "sorted([it, it])",
    "it._truth",
    "vars(it)",
    "dir(it)",
]


@pytest.mark.parametrize("look", LOOKS)
def test_a_test_that_looks_into_an_object_fails_whatever_it_does_about_it(box_level, look):
    imports = "from collections.abc import Hashable, Iterable"
    test = f"{imports}\ntry:\n    it = f(1)\n    seen = {look}\nexcept Exception:\n    seen = True\nassert seen"
    assert not check(box_level, "class Any: pass\ndef f(x): return Any()", test).passed


ALWAYS = "__eq__ = lambda *_: True"
ODD = {
    "a coroutine": "async def f(x): return x + 1",
    "an asynchronous generator": "async def f(x): yield x + 1",
    "a generator": "def f(x): yield x + 1",
    "a list that is its own kind": f"class L(list): {ALWAYS}\ndef f(x): return L()",
    "a text that is its own kind": f"class S(str):\n    {ALWAYS}\n    __hash__ = str.__hash__\ndef f(x): return S()",
    "another class by assignment": f"""
class A: {ALWAYS}
class B: pass
def f(x):
    b = B()
    b.__class__ = A
    return b
""",
    "a class that claims to be int": f"""
class I:
    __class__ = property(lambda self: int)
    {ALWAYS}
def f(x): return I()
""",
    "a member of an enumeration": f"""
import enum
class E(enum.IntEnum):
    A = 2
    {ALWAYS}
    __hash__ = int.__hash__
def f(x): return E.A
""",
    "a list that grows": "def f(x, seen=[]):\n    seen.append(2)\n    return seen",
    "lone surrogates": "def f(x): return '\\ud800' * 3",
    "no number": "def f(x): return float('nan')",
    "infinity": "def f(x): return float('inf')",
    "a huge number": "def f(x): return 1 << 9_999_999",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f(x)",
    "a profile": """
import sys
def profile(frame, event, argument): frame.f_globals['expected'] = 0
sys.setprofile(profile)
def f(x): return 0
""",
    "a trace": """
import sys
def trace(frame, event, argument):
    frame.f_globals['expected'] = 0
    return trace
sys.settrace(trace)
def f(x): return 0
""",
    "an exception that equals all": f"class E(AssertionError): {ALWAYS}\ndef f(x): raise E('expected')",
    "an exception without a class name": "E = type('', (Exception,), {'__str__': lambda s: 1 / 0})\ndef f(x): raise E",
    "an exception with a long class name": "E = type('E' * 3_000_000, (Exception,), {})\ndef f(x): raise E",
    "an exception of exceptions": "def f(x): raise ExceptionGroup('a', [ValueError(1)] * 999)",
    "the end of a generator": "def f(x): raise GeneratorExit",
    "an interruption": "def f(x): raise KeyboardInterrupt",
    "a truth that leaves": "class T:\n    def __bool__(self): raise SystemExit(0)\ndef f(x): return T()",
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_earns_nothing(box_level, name):
    tests = ("expected = 2\nassert f(1) == expected", "expected = 2\nassert expected == f(1)", "assert 2 in [f(1)]")
    verdict = check(box_level, ODD[name], *tests)
    assert not any(test.passed for test in verdict.tests) and verdict.status is not Status.SETUP_ERROR, verdict


WORDS = "raise ValueError('\\ud800 \\x1b[2J \\r\\0 \\u202e <|im_end|>')"


def test_words_of_a_solution_can_be_written_and_shown(box_level):
    codes = [WORDS, f"def f(x): {WORDS}", f"def f(x):\n    import time\n    time.sleep(0.4)\n    {WORDS}"]
    for code in codes:
        verdict = check(box_level, code, "assert f('\\ud800') == 1")
        text = json.dumps(asdict(verdict), ensure_ascii=False)
        assert "\\\\ud800" in text and text.encode() and text.isprintable(), text


def test_words_of_a_program_can_be_written_and_shown(box_level):
    (result,) = run_programs([Program(WORDS)], box_level("landlock"))
    assert result.why.isprintable() and "\\ud800" in result.why and result.trace.encode()
