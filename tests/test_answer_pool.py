"""The pool of killable processes: hostile answers, killed workers, other people's signals, threads and forks.

Not covered: a host so busy that an item of a second of CPU takes ten.
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


ODD_WORKER = """
import time
from eggym.envs import answer_algebra, answer_worker
read = answer_algebra._read
def obey(text):
    if "endless" in text:
        pow(3, 10**9)  # no byte code interrupts it
    if "memory" in text:
        bytearray(4 << 30)
    if "asleep" in text:
        time.sleep(60)
    return read(text)
answer_algebra._read = obey
answer_worker.CPU_LIMIT_S = 0.7
answer_algebra.warm = lambda: answer_algebra.judge("2\\\\sqrt{2}", "\\\\sqrt{8}")  # these tests ask for little
answer_worker.main()
"""


@pytest.fixture(scope="module")
def odd_worker(tmp_path_factory):
    """A worker that obeys: an answer may send it to sleep, into one long multiplication, or out of memory."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "odd_worker.py").write_text(ODD_WORKER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(answer_keeper, "PROGRAM", "odd_worker")
        yield str(folder)


@pytest.fixture(scope="module")
def one_pool(odd_worker):
    made = Pool(2)
    yield made
    made.close()


@pytest.fixture
def pool(one_pool):
    """A pool of two that remembers nothing; it must survive what the tests before have done to it."""
    one_pool.forget_outcomes()
    return one_pool


def order(word):
    return ("strict", SURD, rf"\sqrt{{2}}_{{{word}}}")


def dead(pid):
    """Whether a process is gone, or has ended and nobody has asked for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(happened):
    for _ in range(2000):
        if happened():
            return True
        time.sleep(0.01)
    return False


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: all(map(dead, pids)))


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


def test_the_kernel_ends_what_takes_too_long(pool):
    start = time.process_time()
    assert pool.judge([RIGHT, order("endless"), WRONG]) == [
        ("correct", ""),
        ("timeout", "took more than 1 s of CPU to compare"),
        ("wrong", ""),
    ]
    assert time.process_time() - start < 0.5  # this side only waits


def test_too_much_memory_is_a_timeout_with_its_reason(pool):
    assert pool.judge([RIGHT, order("memory"), WRONG]) == [
        ("correct", ""),
        ("timeout", "took more memory than allowed"),
        ("wrong", ""),
    ]


def test_an_item_that_was_given_no_cpu_is_the_hosts_failure(pool, monkeypatch):
    monkeypatch.setattr(answer_pool, "WALL_LIMIT_S", 0.5)
    ((state, why),) = pool.judge([order("asleep")])
    assert (state, why) == ("error", "the host gave the answer checker 0.0 s of CPU in 0.5 s")


def test_a_killed_worker_loses_its_own_verdict_alone(pool):
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]
    pool.forget_outcomes()
    victims = pool.pids()[1:]
    found = {}
    thread = threading.Thread(target=lambda: found.update(all=pool.judge([order("asleep"), RIGHT, WRONG])))
    thread.start()
    time.sleep(0.5)  # by now the two honest items are judged, and one worker sleeps over the other
    kill(*victims)
    thread.join()
    assert found["all"][0] == ("timeout", "the process that compared it died (signal 9)")
    assert found["all"][1:] == [("correct", ""), ("wrong", "")]


def test_workers_killed_while_idle_lose_nothing(pool):
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]
    kill(*pool.pids()[1:])
    pool.forget_outcomes()
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]


def test_a_killed_keeper_is_replaced(pool):
    pool.judge([RIGHT])
    first = pool.pids()
    kill(*first)
    pool.forget_outcomes()
    assert pool.judge([RIGHT, WRONG]) == [("correct", ""), ("wrong", "")]
    assert pool.pids()[0] != first[0]


def test_a_process_that_cannot_start_is_an_error_and_no_zero(monkeypatch, tmp_path):
    (tmp_path / "math_verify.py").write_text("raise ImportError('no such grammar')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(answer_keeper, "PROGRAM", "eggym.envs.answer_worker")
    (outcome,) = Pool(1).judge([RIGHT])
    assert outcome == ("error", "the processes of the answer checker failed: ImportError: no such grammar")


def test_an_error_is_not_kept(pool, monkeypatch):
    pool.close()

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


JUDGE = r"""
import os, sys
from eggym.envs import answer_keeper
from eggym.envs.answers import judge_answer
from eggym.envs.answer_pool import POOL
answer_keeper.PROGRAM = "odd_worker"
def judge(answer):
    return judge_answer(r"2\sqrt{2}", "\\boxed{" + answer + "}").reward
"""


def run(code, folder, returncode=0):
    path = os.pathsep.join([folder, *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    program = JUDGE + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (returncode, "")
    return done.stdout.split()


def test_plain_answers_start_no_process_and_import_no_algebra(odd_worker):
    code = r"""
    print(judge_answer("3", r"\boxed{3}").reward, POOL.pids(), "sympy" in sys.modules, "math_verify" in sys.modules)
    """
    assert run(code, odd_worker) == ["1.0", "[]", "False", "False"]


def test_all_processes_end_with_theirs(odd_worker):
    pids = run(r"print(judge(r'\sqrt{8}'), *POOL.pids())", odd_worker)[1:]
    assert len(pids) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in pids)  # not even as zombies


def test_all_processes_end_when_theirs_is_killed(odd_worker):
    code = r"""
    print(judge(r'\sqrt{8}'), *POOL.pids(), flush=True)
    os.kill(os.getpid(), 9)
    """
    pids = run(code, odd_worker, returncode=-9)[1:]
    assert len(pids) == 2 and wait_for(lambda: all(map(dead, pids)))


def test_a_forked_copy_starts_a_pool_of_its_own(odd_worker):
    code = r"""
    judge(r"\sqrt{8}")
    mine = POOL.pids()
    if os.fork() == 0:
        inherited = POOL.pids()
        print(judge(r"\sqrt{32}/2"), inherited, len(set(POOL.pids()) & set(mine)), flush=True)
        POOL.close()
        os._exit(0)
    os.wait()
    print(judge(r"\frac{4}{\sqrt{2}}"), POOL.pids() == mine)
    """
    assert run(code, odd_worker) == ["1.0", "[]", "0", "1.0", "True"]
