"""The pool of zygotes: order, recycling, killed workers, threads and forks, and that nothing is left behind."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

from eggym.envs import box_execution, box_keeper, box_pool
from eggym.envs.box import Check, Limits, Program
from eggym.envs.box_keeper import HostFailure, Keeper
from eggym.envs.box_pool import Pool
from eggym.envs.box_terms import Level, Status

HONEST = Check("def f(x): return x + 1", ("assert f(1) == 2",))
LIMITS = Limits(cpu_s=0.5, wall_s=20)


@pytest.fixture(params=["rlimits", "landlock", "namespaces"])
def pool(request, box_level):
    made = Pool(box_level(request.param), 2)
    yield made
    made.close()


def stat(pid):
    """State and parent of a process; Z, 0 if it is gone."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return state, int(parent)
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0


def descendants(pid):
    parents = {int(path.name): stat(path.name)[1] for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def wait_for(happened):
    for _ in range(2000):
        if happened():
            return True
        time.sleep(0.01)
    return False


def are_dead(pids):
    return all(stat(pid)[0] == "Z" for pid in pids)


def shares():
    """What must not grow: open descriptors, children and mounts."""
    mounts = len(Path("/proc/self/mounts").read_text().splitlines())
    return len(os.listdir("/proc/self/fd")), len(descendants(os.getpid())), mounts


MIXED = [
    Program("print(1)", limits=LIMITS), Program("1/0", limits=LIMITS), Program("while True: pass", limits=LIMITS),
    Program("import os; os._exit(1)", limits=LIMITS), Program("while True: print('x' * 9999)", limits=LIMITS),
    Program("import ctypes; ctypes.string_at(0)", limits=LIMITS), HONEST,
    Check("def f(x): return 3", ("assert f(1) == 2",), limits=LIMITS),
    Check("def f(x):\n    while True: pass", ("assert f(1) == 2",), limits=LIMITS),
    Check("import os\ndef f(x): os.write(5, b'x' * 99)", ("assert f(1) == 2",), limits=LIMITS),
    Check("def f(x): return x", ("assert f(lambda: 1)",), limits=LIMITS),
]  # fmt: skip
STATES = [
    "ok",
    "exception",
    "timeout",
    "died",
    "output_limit",
    "died",
    "ok",
    "ok",
    "timeout",
    "protocol",
    "setup_error",
]


def test_results_come_in_the_order_of_requests(pool):
    results = pool.run(MIXED * 2)
    assert [str(result.status) for result in results] == STATES * 2
    assert [result.passed for result in results if hasattr(result, "passed")] == [True, False, False, False, False] * 2
    assert pool.run([]) == []


def test_nothing_is_left_after_every_kind_of_end(pool, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settle = [HONEST] * 8  # a batch that gives both workers a standing checker
    pool.run(MIXED)
    pool.run(settle)
    before = shares()
    pool.run(MIXED * 2)
    pool.run(settle)
    assert shares() == before and list(tmp_path.iterdir()) == []
    pids = [*pool.pids(), *(child for pid in pool.pids() for child in descendants(pid))]
    # two zygotes with a standing checker each: no execution of a model's code outlives its result
    assert len(pids) == 2 * {Level.RLIMITS: 1, Level.LANDLOCK: 2, Level.NAMESPACES: 3}[pool.level]
    pool.close()
    assert are_dead(pids) and not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_killed_worker_loses_no_verdict(pool):
    pool.run([HONEST] * 2)
    slow = Check("import time\ndef f(x):\n    time.sleep(1)\n    return x + 1", ("assert f(1) == 2",))
    found, killed = [], pool.pids()
    thread = threading.Thread(target=lambda: found.extend(pool.run([slow, HONEST, HONEST, slow, HONEST])))
    thread.start()
    time.sleep(0.5)
    os.kill(killed[0], signal.SIGKILL)
    thread.join()
    assert [verdict.passed for verdict in found] == [True] * 5
    assert killed[0] not in pool.pids()


def test_workers_killed_while_idle_lose_nothing(pool):
    pool.run([HONEST] * 2)
    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)
    assert [verdict.passed for verdict in pool.run([HONEST] * 3)] == [True] * 3


def asleep(keeper):
    """An execution that has begun to sleep."""
    code = "import time\nprint('begun', flush=True)\ntime.sleep(99)"
    run = box_execution.Execution(keeper, {"role": "program", "code": code}, Limits())
    while b"begun" not in run.output["stdout"]:
        for descriptor in select.select(run.descriptors(), [], [], 30)[0]:
            run.read(descriptor)
    return run


def test_at_namespaces_everything_is_an_executions_own(box_level):
    keeper = Keeper(box_level("namespaces"))
    runs = [asleep(keeper) for _ in range(2)]
    (zygote,) = (pid for pid in descendants(keeper.pid) if stat(pid)[1] == keeper.pid)
    boxes = [pid for pid in descendants(keeper.pid) if pid != zygote]
    for kind in ("user", "mnt", "pid", "net", "ipc", "uts"):
        homes = {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in [os.getpid(), *boxes]}
        assert len(homes) == 3, kind
    for pid in boxes:
        assert not {"boot", "etc", "proc", "run", "sys"} & set(os.listdir(f"/proc/{pid}/root"))
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
        assert Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].split("\n")[0].split()[-1] == "1"
    for run in runs:
        run.close()
    keeper.close()
    assert are_dead([zygote, *boxes])


def test_executions_die_with_their_zygote(box_level):
    keeper = Keeper(box_level("landlock"))
    run = asleep(keeper)
    pids = [keeper.pid, *descendants(keeper.pid)]
    os.kill(keeper.pid, signal.SIGKILL)
    assert wait_for(lambda: are_dead(pids))
    run.close()
    keeper.close()


def test_workers_are_replaced_after_their_share(pool, monkeypatch):
    monkeypatch.setattr(box_pool, "WORKS_PER_WORKER", 2)
    pool.run([HONEST] * 2)
    first = pool.pids()
    assert all(verdict.passed for verdict in pool.run([HONEST] * 6))
    assert len(pool.pids()) <= 2 and not set(first) & set(pool.pids())


def test_a_process_that_cannot_start_is_the_hosts_fault_and_no_zero(monkeypatch):
    def bare_python(*_):
        return [sys.executable, "-c", "raise SystemExit('no room')"]

    monkeypatch.setattr(box_keeper, "bare_python", bare_python)
    program, check = Pool(Level.NONE, 1).run([Program("print(1)"), HONEST])
    assert (program.status, program.why) == (Status.SETUP_ERROR, "the sandbox failed: no room")
    assert (check.status, check.why, check.passed) == (Status.SETUP_ERROR, "the sandbox failed: no room", False)


def test_an_execution_that_is_not_ready_in_time_is_the_hosts_fault(monkeypatch):
    monkeypatch.setattr(box_execution, "SETUP_LIMIT_S", 0.1)
    monkeypatch.setattr(box_execution.Execution, "_hear", lambda self: None)
    pool = Pool(Level.NONE, 1)
    (result,) = pool.run([Program("print(1)")])
    pool.close()
    assert (result.status, result.why) == (Status.SETUP_ERROR, "the process was not ready after 0.1 s")


@pytest.mark.slow
def test_a_zygote_that_does_not_answer_is_replaced(monkeypatch):
    monkeypatch.setattr(box_keeper, "ANSWER_LIMIT_S", 0.5)
    pool = Pool(Level.NONE, 1)
    pool.run([HONEST])
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert pool.run([HONEST])[0].passed
    finally:
        os.kill(pid, signal.SIGKILL) if pid in descendants(os.getpid()) else None
        pool.close()


def test_a_fork_that_fails_in_the_middle_leaves_no_descriptor(monkeypatch):
    pool = Pool(Level.NONE, 1)
    pool.run([HONEST])
    before, fork, count = shares(), Keeper.fork, [0]

    def fails_at_the_second(self, *arguments):
        count[0] += 1
        if count[0] % 2 == 0:
            raise HostFailure("no room")
        return fork(self, *arguments)

    monkeypatch.setattr(Keeper, "fork", fails_at_the_second)
    assert pool.run([HONEST])[0].why == "the sandbox failed: no room"
    monkeypatch.undo()
    assert pool.run([HONEST])[0].passed and shares() == before
    pool.close()


def test_this_process_waits_and_does_not_spin():
    pool = Pool(Level.NONE, 1)
    code = "import os, threading\nthreading.Timer(0.2, os._exit, [0]).start()\ndef f(x): return x"
    gone = Check(code, ("import time\nf(1)\ntime.sleep(1.5)\nf(1)",))
    start = time.process_time()
    assert pool.run([gone])[0].status is Status.DIED
    pool.close()
    assert time.process_time() - start < 0.5


def test_a_closed_pool_may_be_used_again(pool):
    assert pool.run([HONEST])[0].passed
    pool.close()
    assert pool.pids() == [] and pool.run([HONEST])[0].passed


def test_several_threads_take_turns(pool):
    found = []
    threads = [threading.Thread(target=lambda: found.extend(pool.run([HONEST] * 3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [verdict.passed for verdict in found] == [True] * 12


PRELUDE = """
import os, signal, sys, threading
from eggym.envs.box import *
from eggym.envs.box_pool import close_all, pool_of
from eggym.envs.box_terms import Level
level = Level(sys.argv[1])
HONEST = Check("def f(x): return x + 1", ("assert f(1) == 2",))
SLOW = Program("import time; time.sleep(99)")
def tell(): print(*pool_of(level).pids(), flush=True)
"""


def start(code, level, folder="/tmp"):
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), level]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


BUSY = """
assert check_solutions([HONEST] * 2, level)[0].passed
tell()
run_programs([SLOW] * 2, level)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
@pytest.mark.parametrize("level", ["landlock", "namespaces"])
def test_however_the_parent_ends_in_mid_run_nothing_stays(box_level, level, number, tmp_path):
    with start(BUSY, box_level(level), tmp_path) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) >= 1
        per_worker = 2 if level == "namespaces" else 1  # the zygote in its namespace, and what it runs
        assert wait_for(lambda: len(descendants(parent.pid)) >= len(pids) * (1 + per_worker))
        pids += descendants(parent.pid)
        parent.send_signal(number)
        parent.communicate()
    assert parent.returncode in (1, -number, 130)
    assert wait_for(lambda: are_dead(pids)) and list(tmp_path.iterdir()) == []


def test_an_ordinary_end_leaves_nothing_either(box_level):
    with start("check_solutions([HONEST], level)\ntell()", box_level("namespaces")) as parent:
        out, err = parent.communicate()
    assert (parent.returncode, err) == (0, "")
    assert are_dead(map(int, out.split())) and out


def test_a_forked_copy_starts_a_pool_of_its_own(box_level):
    code = """
    check_solutions([HONEST], level)
    mine = pool_of(level).pids()
    if os.fork() == 0:
        inherited = pool_of(level).pids()
        print(check_solutions([HONEST], level)[0].passed, inherited, set(pool_of(level).pids()) & set(mine), flush=True)
        close_all()
        os._exit(0)
    os.wait()
    print(check_solutions([HONEST], level)[0].passed, pool_of(level).pids() == mine)
    """
    with start(code, box_level("landlock")) as parent:
        out, err = parent.communicate()
    assert (out, err) == ("True [] set()\nTrue True\n", "")


def test_importing_starts_no_process():
    with start("tell()\nprint('box' in sys.modules, 'torch' in sys.modules)", "none") as parent:
        assert parent.communicate() == ("\nFalse False\n", "")


def test_a_zygote_has_no_secret_and_no_stray_descriptor(box_level, monkeypatch):
    monkeypatch.setenv("API_KEY", "hush")
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    keeper = Keeper(box_level("landlock"))
    try:
        assert Path(f"/proc/{keeper.pid}/environ").read_bytes() in (b"", b"PYTHONHASHSEED=0\0")
        paths = {os.readlink(f"/proc/{keeper.pid}/fd/{name}") for name in os.listdir(f"/proc/{keeper.pid}/fd")}
        assert {path.partition(":")[0] for path in paths} <= {"/dev/null", "socket", "anon_inode"} | {
            path for path in paths if path.endswith("(deleted)")
        }
        assert len(os.listdir(f"/proc/{keeper.pid}/task")) == 1 and os.readlink(f"/proc/{keeper.pid}/cwd") == "/"
    finally:
        keeper.close()
        os.close(secret)


def test_a_failed_zygote_says_why(monkeypatch, box_level):
    monkeypatch.setattr(box_keeper, "bare_python", lambda *_: [sys.executable, "-c", "print(1 / 0)"])
    with pytest.raises(HostFailure, match="ZeroDivisionError: division by zero"):
        Keeper(Level.NONE)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["landlock", "namespaces"])
def test_ten_thousand_executions_leak_nothing(box_level, level):
    pool = Pool(box_level(level), 2)
    quick = Program("print(1)")
    pool.run([quick] * 100)
    before = shares()
    for _ in range(20):
        assert {result.status for result in pool.run([quick] * 500)} == {Status.OK}
    after = shares()
    memory = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pool.pids()]
    pool.close()
    assert after == before and max(memory) * 4096 < 64 << 20
