"""Dishonest programs against every task on programs: reward 0, with a state that is no error of ours.

Each is tried as the whole reply to an item of each kind. Not covered here: attacks on the machine, and on the protocol
between the processes (`test_box_attacks.py`, `test_box_fakes.py`).
"""

import pytest

from eggym.registry import load_task
from eggym.task import VerdictState

HUMANEVAL = [{
    "prompt": "def f(x):\n    ''' One more than x. '''\n",
    "canonical_solution": "    return x + 1\n",
    "entry_point": "f",
    "test": "def check(candidate):\n    for x, expected in ((1, 2), (9, 10)):\n        assert expected == candidate(x)",
}]  # fmt: skip
MBPP = [{
    "task_id": 11,
    "prompt": "One more than x.",
    "code": "def f(x):\n    return x + 1",
    "test_list": ["assert f(1) == 2", "assert f(5) == 6", "expected = 10\nassert f(9) == expected"],
}]  # fmt: skip
STDIN = [{
    "question": "One more.",
    "split": "test",
    "tests": [{"input": f"{x}\n", "output": f"{x + 1}\n"} for x in (0, 1, 5, 9)],
    "solution": "print(int(input()) + 1)",
}]  # fmt: skip
ROWS = {"humaneval": HUMANEVAL, "mbpp": MBPP, "stdin-stdout": STDIN}

FAKES = {
    "an object that equals all": """
class Always:
    def __eq__(self, other): return True
    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return 0
    def __str__(self): return ''
def f(x): return Always()
print(Always())
""",
    "a number that equals all": """
class Number(int):
    def __eq__(self, other): return True
def f(x): return Number(0)
print(Number(0))
""",
    "leaves with success at once": "import sys\nsys.exit(0)",
    "leaves with success when called": "import sys\ndef f(x): sys.exit(0)\nf(1)",
    "leaves at once, without a word": "import os\nos._exit(0)",
    "leaves when called, without a word": "import os\ndef f(x): os._exit(0)\nf(1)",
    "leaves at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return None",
    "prints what success may print": """
for word in ('PASSED', 'passed', 'OK', 'ok', 'all tests passed', '1.0', 'True', '{"end": "ok", "why": ""}'):
    print(word)
def f(x): return 'PASSED'
""",
    "reads the caller's frames": """
import sys
def f(x):
    frame = sys._getframe(1)
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            if 'expected' in names: return names['expected']
        frame = frame.f_back
try: print(f(1))
except ValueError: pass
""",
    "reads the constants of the caller": """
import sys
def f(x):
    return [c for c in sys._getframe(1).f_code.co_consts if type(c) is int][-1]
try: print(f(1))
except IndexError: pass
""",
    "searches all objects": """
import gc
def f(x):
    for each in gc.get_objects():
        if type(each) in (list, tuple) and len(each) == 2 and each[0] in (x, str(x)) and each[1] not in (x, ''):
            return each[1]
print(f(open(0).read()))
""",
    "changes builtins": """
import builtins
class Yes:
    def __eq__(self, other): return True
builtins.AssertionError = type('Quiet', (BaseException,), {})
builtins.abs = builtins.all = builtins.any = lambda *_: True
builtins.isinstance = lambda *_: True
builtins.str = builtins.int = lambda *_: Yes()
builtins.print = lambda *_, **__: None
def f(x): return Yes()
""",
    "patches the modules that judge": """
import sys
for name, module in list(sys.modules.items()):
    if 'box' in name or name in ('json', 'operator', 'types'):
        for key, value in list(vars(module).items()):
            if callable(value) and not isinstance(value, type) and not key.startswith('__'):
                try: setattr(module, key, lambda *_, **__: True)
                except Exception: pass
def f(x): return None
""",
    "calls itself a candidate": "def check(candidate): pass\ndef f(x): return 0\ncandidate = f\nexpected = 0",
    "names what tests need": "f = lambda x: 0\nexpected = 0\nassertEqual = lambda *_: True\n__debug__ and None",
    "swallows what is raised": "import sys\nsys.excepthook = lambda *_: None\ndef f(x): return None\nraise KeyError",
    "ends the loops of its tests": """
def f(x): raise StopIteration
def g(x): raise StopAsyncIteration
""",
    "answers later": """
import threading, time
def late():
    time.sleep(0.2)
    print(2, 6, 10)
def f(x):
    threading.Thread(target=late).start()
f(1)
""",
    "answers at the end": "import atexit\natexit.register(print, 'expected')\ndef f(x): return None",
    "answers by a signal": """
import signal
signal.signal(signal.SIGALRM, lambda *_: print('expected'))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
def f(x): return None
f(1)
signal.pause()
""",
    "answers by and by": "def f(x): yield x + 1\nprint(f(1))",
    "answers when awaited": "async def f(x): return x + 1\nf(1).close()",
    "answers with what grows": "def f(x, seen=[]):\n    seen.append(x)\n    return seen\nprint(f(1))",
    "traces and profiles": """
import sys
def spy(frame, event, argument):
    for name in ('expected', 'x'): frame.f_globals[name] = 0
    return spy
sys.settrace(spy)
sys.setprofile(spy)
def f(x): return x
""",
    "has another class": """
class Yes:
    def __eq__(self, other): return True
    __hash__ = None
class Plain: pass
def f(x):
    made = Plain()
    made.__class__ = Yes
    return made
print(f(1))
""",
    "writes into its input": "import os\nos.lseek(0, 0, 0)\nos.write(0, b'99')\ndef f(x): return 99\nprint(98)",
    "breaks what it is shown as": "def f(x): raise ValueError(chr(0xd800) + chr(27) + '[2J' + chr(0))\nf(1)",
    "says that it was refused": "raise SystemError('setup_error: the sandbox failed')",
    "prints all answers": "print(2)\nprint(6)\nprint(10)\ndef f(x): return [2, 6, 10]",
    "closes its output": "import os\nos.close(1)\ndef f(x): return 0",
}  # fmt: skip
HONEST = {
    "humaneval": "def f(x): return x + 1",
    "mbpp": "def f(x): return x + 1",
    "stdin-stdout": "print(int(input()) + 1)",
}


@pytest.fixture(params=ROWS)
def judged(request, box_level):
    """A task and what it thinks of a reply; once by itself and once as the inner task of `repair`."""
    box_level("landlock")
    alone = load_task(request.param, data=ROWS[request.param], reward="share")
    repair = load_task("repair", task=request.param, data=ROWS[request.param], reward="share")
    item = alone.item("test", 0)

    def judge(reply):
        state = repair.begin(item, None)
        repair.step(state, reply)
        verdict = alone.score(item, reply)
        assert repair.judge(state).reward == verdict.reward
        return verdict

    return request.param, judge


@pytest.mark.parametrize("name", FAKES)
def test_a_dishonest_program_earns_nothing(judged, name):
    verdict = judged[1](FAKES[name])
    assert verdict.reward == 0.0, verdict
    assert verdict.state is not VerdictState.ERROR


def test_an_honest_one_earns_all(judged):
    task, judge = judged
    assert judge(HONEST[task]).reward == 1.0
