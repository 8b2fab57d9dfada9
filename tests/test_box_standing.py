"""Checkers that go on from one check to the next: which tests they take, and that no check feels the one before."""

import os
import time
from pathlib import Path

import pytest

from eggym.envs import box_standing
from eggym.envs.box_plain import is_plain
from eggym.envs.box_pool import Pool
from eggym.envs.box_standing import StandingChecker
from eggym.envs.box_terms import Check, Limits, Status

GOOD = "def f(x): return x + 1"
PLAIN = {
    "an assert": "assert f(1) == 2",
    "modules without a state": "import math, re\nfrom collections import Counter\nassert f(1) == math.ceil(1.5)",
    "functions and loops": "def check(g):\n    for _ in range(3):\n        assert g(_) == _ + 1\ncheck(f)",
    "random numbers": "import random\nrandom.seed(5)\nassert f(random.randint(1, 9))",
}
LEAVING = {
    "sets an attribute": "import math\nmath.pi = 3\nassert f(1) == 2",
    "deletes one": "import math\ndel math.e\nassert f(1) == 2",
    "within a function": "def check():\n    import math\n    math.tau = 6\ncheck()\nassert f(1) == 2",
    "a module with a state": "import sys\nassert f(1) == 2",
    "part of a module with a state": "from os import environ\nassert f(1) == 2",
    "a module far down": "def a():\n    def b():\n        import decimal\n    return b\nassert f(1) == 2",
    "by name": "setattr(f, 'x', 1)\nassert f(1) == 2",
    "by text": "exec('import sys')\nassert f(1) == 2",
    "by registering": "from collections.abc import Sized\nSized.register(int)\nassert f(1) == 2",
    "by a private name": "import re\nre.__dict__.clear()\nassert f(1) == 2",
    "is no program": "assert (",
}


@pytest.mark.parametrize("name", PLAIN)
def test_tests_that_leave_nothing_are_plain(name):
    assert is_plain(Check(GOOD, (PLAIN[name],)))


@pytest.mark.parametrize("name", LEAVING)
def test_tests_that_may_leave_something_are_not(name):
    assert not is_plain(Check(GOOD, (PLAIN["an assert"], LEAVING[name])))
    assert not is_plain(Check(GOOD, (PLAIN["an assert"],), imports=LEAVING[name]))


@pytest.fixture(params=["landlock", "namespaces"])
def pool(request, box_level):
    pool = Pool(box_level(request.param), 1)
    yield pool
    pool.close()


@pytest.fixture
def started(monkeypatch):
    """Count the standing checkers that are started."""
    count = []
    init = StandingChecker.__init__
    monkeypatch.setattr(StandingChecker, "__init__", lambda self, keeper: (count.append(1), init(self, keeper))[1])
    return count


def one(code=GOOD, test="assert f(1) == 2", **more):
    return Check(code, (test,), **more)


def test_one_checker_serves_many_checks_of_every_ordinary_end(pool, started):
    wrong, raising, broken = "def f(x): return x", "def f(x): raise ValueError('no')", "def f(x) return"
    checks = [one(), one(wrong), one(raising), one(broken), one("import os\nos._exit(0)"), one(GOOD)] * 5
    found = pool.run(checks)
    assert [verdict.passed for verdict in found] == [True, False, False, False, False, True] * 5
    assert len(started) == 1


def test_tests_that_leave_something_get_a_checker_of_their_own(pool, started):
    verdicts = pool.run([one(test=LEAVING["sets an attribute"]), one(test="import math\nassert math.pi > f(2)")])
    assert [verdict.passed for verdict in verdicts] == [True, True]
    assert len(started) == 1


def test_a_checker_is_replaced_after_its_share(pool, started, monkeypatch):
    monkeypatch.setattr(box_standing, "CHECKS_PER_CHECKER", 3)
    assert all(verdict.passed for verdict in pool.run([one()] * 7))
    assert len(started) == 3


def test_tests_that_go_on_without_end_are_stopped_and_the_next_check_is_not_held_up(pool, started, monkeypatch):
    monkeypatch.setattr(box_standing, "_CPU_S", 0.5)
    endless, short = "f(1)\nwhile True: pass", Limits(cpu_s=0.3)
    stuck, after = pool.run([one(test=endless, limits=short), one(limits=short)])
    assert stuck.status is Status.TIMEOUT and stuck.why.startswith("the tests:") and after.passed
    assert len(started) == 2


def test_each_check_has_all_of_the_time(pool, started, monkeypatch):
    monkeypatch.setattr(box_standing, "_CPU_S", 0.4)
    busy = "import math\nn = 0\nwhile n < 2_000_000: n += 1\nassert f(1) == 2"  # some tenth of a second
    verdicts = pool.run([one(test=busy, limits=Limits(cpu_s=0.3))] * 8)
    assert [verdict.status for verdict in verdicts] == [Status.OK] * 8 and len(started) == 1


def test_a_solution_that_waits_while_its_tests_are_done_holds_nothing_up(pool, started):
    code = "import time\ndef f(x):\n    time.sleep(60)"
    slow, after = pool.run([one(code, limits=Limits(cpu_s=1, wall_s=0.5)), one()])
    assert slow.status is Status.TIMEOUT and after.passed and len(started) == 1


def test_random_numbers_begin_anew_in_every_check(pool):
    draw = "import random\nassert f(0) and random.random() == 0.8444218515250481"
    assert [verdict.passed for verdict in pool.run([one(test=draw)] * 3)] == [True] * 3


def test_no_descriptor_stays(pool):
    pool.run([one()] * 3)
    (zygote,) = pool.pids()
    places = [f"/proc/{os.getpid()}/fd", *(f"/proc/{pid}/fd" for pid in (zygote, *_descendants(zygote)))]
    before = [len(list(Path(place).iterdir())) for place in places]
    pool.run([one(), one("def f(x) return")] * 20)
    until = time.monotonic() + 10  # on a busy machine the last one may still be closing its own, before too
    more = [True]
    while any(more) and time.monotonic() < until:
        more = [len(list(Path(place).iterdir())) > n for place, n in zip(places, before, strict=True)]
        time.sleep(0.05)
    assert not any(more)


def _descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [*children, *(one for child in children for one in _descendants(child))]
