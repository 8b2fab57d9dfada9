"""What one execution does to the next: a standing checker serves many checks, and none may feel the ones before.

Every attack is followed by an honest solution, which has to pass. Not covered: load on the machine.
"""

import random

import pytest

from eggym.envs.box_pool import Pool
from eggym.envs.box_terms import Check, Limits, Program, Status

HONEST = Check("def f(x): return x + 1", ("assert f(1) == 2",))
LARGE = """
import os
def f(x):
    if x == 99: os._exit(0)
    return chr(0x1f600) + 'x' * ((1 << 22) - 100)
"""
TELL = """
import json, os, struct
def tell(descriptor, value):
    data = json.dumps(value).encode()
    os.write(descriptor, struct.pack('!I', len(data)) + data)
def f(x): return x + 1
"""
ATTACKS = {
    "answers before it is asked": TELL + "tell(5, {'ready': True})\nfor _ in range(999): tell(5, {'value': 2})",
    "leaves half a message": TELL + "os.write(5, b'\\0\\0\\1\\0{')\nos._exit(0)",
    "reports without end": TELL + "while True: tell(3, {'end': 'ok', 'why': ''})",
    "does not take its calls": TELL + "import time\ntell(5, {'ready': True})\ntime.sleep(60)",
    "sends descriptors": """
import socket
link = socket.socket(fileno=5)
def f(x):
    for _ in range(200):
        socket.send_fds(link, [b'\\0'], [0, 1, 2] * 30)
    return x + 1
""",
    "takes what lies on its links": """
import socket
for descriptor in (3, 5):
    link = socket.socket(fileno=descriptor)
    link.setblocking(False)
    try: link.recvmsg(1 << 20, 1 << 16)
    except BlockingIOError: pass
def f(x): return x + 1
""",
    "goes on in threads": """
import threading, time
def spin():
    while True: time.sleep(0.001)
for _ in range(8): threading.Thread(target=spin).start()
def f(x): return x + 1
""",
    "catches every signal": """
import signal
for number in set(range(1, 32)) - {9, 19}: signal.signal(number, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
def f(x): return x + 1
""",
    "registers for the end": "import atexit\natexit.register(print, 'x' * 9999)\ndef f(x): return x + 1",
    "opens all that it may": "import os\nwhile True: os.open('/dev/null', 0)",
    "asks for all memory": "def f(x): return bytearray(480 << 20) and x + 1",
}


@pytest.fixture(params=["landlock", "namespaces"])
def pool(request, box_level):
    pool = Pool(box_level(request.param), 1)
    yield pool
    pool.close()


def standing(pool):
    """The checker that stays, and what the system knows of its CPU time."""
    (worker,) = pool._idle
    return worker.checkers._standing, worker.keeper


@pytest.mark.parametrize("name", ATTACKS)
def test_the_next_check_passes(pool, name):
    limits = Limits(cpu_s=2, wall_s=2)
    before, attack, after = pool.run(
        [HONEST, Check(ATTACKS[name], ("assert f('x' * 3_000_000)",), limits=limits), HONEST]
    )
    assert before.passed and after.passed
    assert attack.status is not Status.SETUP_ERROR and not attack.passed


@pytest.mark.parametrize("ending", ["f(99)", "def hold(): return values"])
def test_values_of_one_check_do_not_fill_the_memory_of_the_next(pool, ending):
    values = f"values = [f(n) for n in range(12)]\n{ending}"
    found = pool.run([Check(LARGE, (values,), limits=Limits(cpu_s=30))] * 5)
    assert {verdict.tests[0].why for verdict in found} <= {"", "left with exit code 0, without a report"}
    (after,) = pool.run([Check(HONEST.code, ("space = [0] * (60 << 20)\nassert f(1) == 2",))])
    assert after.passed, after


def test_all_cpu_time_before_a_check_is_left_out_of_it(pool):
    """Freeing what a solution returned takes time after its check, and five hundred checks share a process."""
    pool.run([Check("def f(x): return [set() for _ in range(99_999)]", ("values = f(1)",))])
    checker, keeper = standing(pool)
    used = keeper.cpu_s(checker.pid)
    assert pool.run([HONEST])[0].passed and standing(pool)[0] is checker
    assert checker.spent_s >= used


def test_patterns_of_one_check_are_not_kept(pool):
    used, after = pool.run(
        [
            Check("def f(x): return 'a' * 999", ("import re\nassert re.match(f(1), f(1))",)),
            Check(HONEST.code, ("import re\nassert f(1) == 2 and not re._cache",)),
        ]
    )
    assert used.passed and after.passed


def test_noise_on_every_link_leaves_the_checker_as_it_was(pool):
    rng = random.Random(4711)
    noise = [
        Check(f"import os\ntry:\n    os.write({rng.choice((3, 5))}, {rng.randbytes(rng.randrange(1, 99))!r})\n"
              "except OSError: pass\ndef f(x): return x", ("assert f(1) == 2",))
        for _ in range(50)
    ]  # fmt: skip
    found = pool.run([each for one in noise for each in (one, HONEST)])
    assert all(verdict.passed for verdict in found[1::2]) and not any(verdict.passed for verdict in found[::2])
    assert not any(verdict.status is Status.SETUP_ERROR for verdict in found)


def test_a_second_report_is_seen(pool):
    (verdict,) = pool.run([Check(TELL + "tell(3, {'end': 'ok', 'why': ''})", HONEST.tests)])
    assert (verdict.status, verdict.why) == (Status.PROTOCOL, "a second report")


def test_a_program_leaves_nothing_in_its_folder_for_the_next(pool):
    leave = "import os\nfor path in ('trace', '/tmp/trace', '/dev/shm/trace'):\n    try: open(path, 'w')\n"
    look = "import os\nprint([os.path.exists(p) for p in ('trace', '/tmp/trace', '/dev/shm/trace')])"
    _, found = pool.run([Program(leave + "    except OSError: pass"), Program(look)])
    assert found.stdout == "[False, False, False]\n"
