"""The pool of killable processes: hostile answers, killed workers, other people's signals, threads and forks.

Not covered: a host that starves the workers of CPU for seconds, beyond the arithmetic of `_dismiss`.
"""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from eggym.envs import answer_keeper, answer_pool
from eggym.envs.answer_keeper import HostFailure
from eggym.envs.answer_pool import POOL, Pool
from eggym.envs.answers import forget_answers, judge_answer, judge_answers
from eggym.task import VerdictState

SURD = r"2\sqrt{2}"
RIGHT, WRONG = ("strict", SURD, r"\sqrt{8}"), ("strict", SURD, r"\sqrt{7}")
# Past all limits, and minutes of work: sympy writes the power of the sum out.
ENDLESS = ("strict", "x^2", r"\left(\sqrt{1+x}+\sqrt{2+x}+\sqrt{3+x}\right)^{9999}" * 9)


@pytest.fixture
def pool():
    made = Pool(2)
    yield made
    made.close()


@pytest.fixture
def stuck(monkeypatch):
    """Orders that keep a worker busy for ever: the pool's own limits end them."""
    return ("strict", SURD, "stuck")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


HOSTILE = {
    "tower": r"9^{9^{9^{9}}}",
    "power of powers": r"((9^{9999})^{9999})^{9999}",
    "factorials": "9999!!!" * 5,
    "sum": r"\sum_{k=1}^{10^9} \sin k",
    "integral": r"\int_0^1 \sqrt{1+x^7\sin x} dx",
    "parentheses": "(" * 3000 + "1" + ")" * 3000,
    "unclosed": "(" * 400,
    "digits": "7" * 100_000,
    "many terms": "+".join(f"x_{{{n}}}" for n in range(60)),
    "matrix": r"\begin{pmatrix}" + r"\\".join(["&".join("1" * 60)] * 60) + r"\end{pmatrix}",
    "fractions": r"\frac{1}{x+" * 30 + "1" + "}" * 30,
    "roots": r"\sqrt{2+" * 30 + "x" + "}" * 30,
    "long power": r"(a+b+c+d+e+f+g)^{24}",
    "powers of sums": r"((x^{20}+1)^{20}+1)^{20}",
    "bars": "|" * 40 + "x" + "|" * 40,
    "huge arguments": r"\sin(10^{9999})+\tan(e^{9999})",
    "functions": r"\sin\cos\tan\sin\cos\tan\ln\ln\ln x",
    "products": "(2+x)" * 100,
    "commas": "1," * 250,
    "null": "\0",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_ends_in_time_and_leaves_nothing_behind(name):
    for truth in (SURD, "x^2+1", "1,2"):
        start = time.monotonic()
        verdict = judge_answer(truth, rf"\boxed{{{HOSTILE[name]}}}")
        assert verdict.reward == 0 and verdict.state is not VerdictState.ERROR
        # not a measurement: the limit that a user is promised, with seconds to spare on a busy machine
        assert time.monotonic() - start < 20
    assert judge_answer(SURD, r"\boxed{\sqrt{8}}").reward == 1


def test_hostile_answers_take_no_other_verdict_along():
    honest = [(SURD, r"\boxed{\sqrt{8}}"), (SURD, r"\boxed{\sqrt{7}}"), ("x+1", r"\boxed{1+x}")] * 5
    hostile = [(SURD, rf"\boxed{{{answer}}}") for answer in HOSTILE.values()]
    pairs = honest + hostile
    random.Random(1).shuffle(pairs)
    forget_answers()
    rewards = {pair: verdict.reward for pair, verdict in zip(pairs, judge_answers(pairs), strict=True)}
    assert [rewards[pair] for pair in honest[:3]] == [1, 0, 1]


def test_the_kernel_ends_what_takes_too_long(pool, slow_module):
    start = time.process_time()
    outcomes = pool.judge([RIGHT, slow_module, WRONG])
    assert outcomes == [("correct", ""), ("timeout", "took too long to compare"), ("wrong", "")]
    assert time.process_time() - start < 1  # this side only waits


@pytest.fixture
def slow_module(tmp_path, monkeypatch):
    """An answer over which the worker sits for ever, in one long call that no byte code interrupts."""
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(r"""
        import sys
        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == "math_verify":
                    sys.meta_path.remove(self)
                    import math_verify
                    read = math_verify.parse
                    def parse(text, *args, **settings):
                        if "endless" in text:
                            pow(3, 10**9)
                        if "memory" in text:
                            bytearray(4 << 30)
                        if "asleep" in text:
                            import time; time.sleep(60)
                        return read(text, *args, **settings)
                    math_verify.parse = parse
                return None
        sys.meta_path.insert(0, Finder())
        """)
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return ("strict", SURD, r"\sqrt{endless}")


def test_too_much_memory_is_a_timeout_with_its_reason(pool, slow_module):
    memory = ("strict", SURD, r"\sqrt{memory}")
    assert pool.judge([RIGHT, memory, WRONG]) == [
        ("correct", ""),
        ("timeout", "took more memory than allowed"),
        ("wrong", ""),
    ]


def test_an_item_that_was_given_no_cpu_is_the_hosts_failure(pool, slow_module, monkeypatch):
    monkeypatch.setattr(answer_pool, "WALL_LIMIT_S", 0.5)
    asleep = ("strict", SURD, r"\sqrt{asleep}")
    (state, why), other = pool.judge([asleep, RIGHT])
    assert state == "error" and why.startswith("the host gave the answer checker 0.0 s of CPU")
    assert other == ("correct", "")


def test_a_killed_worker_loses_its_own_verdict_alone(pool, slow_module):
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]
    pool.forget_outcomes()
    found = {}
    asleep = ("strict", SURD, r"\sqrt{asleep}")
    thread = threading.Thread(target=lambda: found.update(all=pool.judge([asleep, RIGHT, WRONG])))
    workers = pool.pids()[1:]
    thread.start()
    while len(pool.pids()) > 2 or not alive(workers[-1]):  # until the last idle one has the item
        time.sleep(0.01)
    time.sleep(0.3)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    thread.join()
    assert found["all"][0] == ("timeout", "the process that compared it died (signal 9)")
    assert found["all"][1:] == [("correct", ""), ("wrong", "")]


def test_workers_killed_while_idle_lose_nothing(pool):
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]
    for pid in pool.pids()[1:]:
        os.kill(pid, signal.SIGKILL)
    pool.forget_outcomes()
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]


def test_a_killed_keeper_is_replaced(pool):
    pool.judge([RIGHT])
    first = pool.pids()
    os.kill(first[0], signal.SIGKILL)
    for pid in first[1:]:
        os.kill(pid, signal.SIGKILL)
    pool.forget_outcomes()
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]
    assert pool.pids()[0] != first[0]


def test_a_process_that_cannot_start_is_an_error_and_no_zero(pool, monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('no such grammar')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert pool.judge([RIGHT]) == [
        ("error", "the processes of the answer checker failed: ImportError: no such grammar")
    ]
    monkeypatch.setattr(answer_keeper.subprocess, "Popen", lambda *args, **settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a fault of ours is not dressed up as one of the host
        pool.judge([RIGHT])


def test_an_error_is_not_kept(pool, monkeypatch):
    def fail():
        raise HostFailure("not today")

    with monkeypatch.context() as patch:
        patch.setattr(answer_pool, "Keeper", fail)
        assert pool.judge([RIGHT]) == [("error", "the processes of the answer checker failed: not today")]
    assert pool.judge([RIGHT]) == [("correct", "")]


def test_workers_are_replaced_after_their_share(pool, monkeypatch):
    monkeypatch.setattr(answer_pool, "ITEMS_PER_WORKER", 2)
    jobs = [("strict", SURD, rf"\sqrt{{{n}}}") for n in range(2, 12)]
    assert [state for state, _ in pool.judge(jobs)].count("correct") == 1  # sqrt(8)
    assert len(pool.pids()) <= 3


def test_the_callers_alarm_is_left_alone():
    def ring(number, frame):
        rung.append(number)

    rung = []
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    try:
        forget_answers()
        assert judge_answer(SURD, r"\boxed{\sqrt{8}}").reward == 1
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left < 1000 and signal.getsignal(signal.SIGALRM) is ring and rung == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_several_threads_may_judge():
    forget_answers()
    found = {}

    def judge(n):
        found[n] = judge_answer("x+1", rf"\boxed{{1+x+{n}-{n}y^0}}".replace("y^0", "")).reward

    threads = [threading.Thread(target=judge, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.keys() == set(range(4))


def test_what_was_judged_before_needs_no_process():
    forget_answers()
    judge_answer(SURD, r"\boxed{\sqrt{8}}")
    POOL.close()
    assert judge_answer(SURD, r"\boxed{ \sqrt8 }").reward == 1  # another spelling of the same
    assert POOL.pids() == []


def test_a_pool_is_bounded(pool, monkeypatch):
    monkeypatch.setattr(answer_pool, "MOST_KEPT", 3)
    pool._keep({("strict", "x", str(n)): ("wrong", "") for n in range(9)})
    assert list(pool._kept) == [("strict", "x", str(n)) for n in (6, 7, 8)]


def run(code):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


JUDGE = r"""
import os, sys
from eggym.envs.answers import judge_answer
from eggym.envs.answer_pool import POOL
def judge(answer):
    return judge_answer(r"2\sqrt{2}", "\\boxed{" + answer + "}").reward
"""


def test_plain_answers_start_no_process_and_import_no_algebra():
    out = run(
        JUDGE
        + r"""
print(judge_answer("3", r"\boxed{3}").reward, POOL.pids(), "sympy" in sys.modules, "math_verify" in sys.modules)
"""
    )
    assert out == ["1.0", "[]", "False", "False"]


def test_all_processes_end_with_theirs():
    pids = run(JUDGE + "judge(r'\\sqrt{8}')\nprint(*POOL.pids())")
    assert len(pids) == 2 and not any(alive(int(pid)) for pid in pids)


def test_all_processes_end_when_theirs_is_killed():
    code = JUDGE + "judge(r'\\sqrt{8}')\nprint(*POOL.pids(), flush=True)\nos.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    for _ in range(500):
        if not any(map(alive, pids)):
            return
        time.sleep(0.01)
    states = [Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in pids if alive(pid)]
    assert set(states) <= {"Z"}  # dead, and nobody has asked for them


def test_a_forked_copy_starts_a_pool_of_its_own():
    out = run(
        JUDGE
        + r"""
judge(r"\sqrt{8}")
mine = POOL.pids()
child = os.fork()
if child == 0:
    same = set(POOL.pids()) & set(mine)
    print(judge(r"\sqrt{32}/2"), len(same), flush=True)
    POOL.close()
    os._exit(0)
os.waitpid(child, 0)
print(judge(r"\sqrt{2}+\sqrt{2}"), POOL.pids() == mine)
"""
    )
    assert out == ["1.0", "0", "1.0", "True"]
