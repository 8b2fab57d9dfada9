"""A thousand replies that no honest model gives: each gets a verdict, of a state that is not our error.

Random bytes, programs cut off or with characters changed, and text that Python cannot compile.
"""

import json
import random

import pytest

from eggym.registry import load_task
from eggym.task import VerdictState

ROWS = [{
    "prompt": "def f(x):\n    ''' One more than x. '''\n",
    "canonical_solution": "    return x + 1\n",
    "entry_point": "f",
    "test": "def check(candidate):\n    assert candidate(1) == 2",
}]  # fmt: skip
PROGRAM = """```python
import math
class Counter:
    def __init__(self, start=0): self.value = start
    def step(self, by): self.value += by; return self.value
def f(x):
    '''One more.'''
    try:
        return Counter(x).step(math.ceil(0.5)) if x else {1: [y for y in (1, 2)]}[1][0]
    except (KeyError, IndexError) as problem:
        raise ValueError(f"no {problem!r}") from problem
```"""
EXPRESSION = "(s[::-1].upper() + str(len(s)) if s else 'x')[:3]"
HARD = [  # for the parser, the compiler or the terminal
    "(" * 9000, "[" * 200 + "]" * 200, "-" * 99_999 + "1", "f" + "(f" * 5000, "x = " + "a." * 30_000 + "b", "{" * 99,
    "def f(x): return 9**9**9**9", "x = 'a' * 10**12", "\0", "a\0b", "\ufeffdef f(x): return 0", "\r", "\\", "\x0c",
    "\ud800", "'" * 3 + "\ud800" * 9, "# -*- coding: utf-7 -*-\nx", "# coding: rot13", "f'{" * 50, "if 1:\n" * 99,
    "lambda: " * 3000 + "1", "\n".join(" " * n + "if 1:" for n in range(120)), "0x" + "f" * 99_999, "9" * 99_999,
    "\U0001d41d\U0001d41e\U0001d41f f(x): pass", "\xe9" * 9999, "```", "```python\n" * 999, "~~~\n```\n" * 99,
    "\x1b[2J\x07", "await f", "yield 1", "return 1", "nonlocal f", "del f", "from __future__ import braces",
    "import this", "assert False", "raise", "break", "print(" * 90, "match f:\n case" * 9,
    "9**9**9", "s*9**9", "[s]*9**8",
]  # fmt: skip


def replies(seed, count, program):
    rng = random.Random(seed)
    yield from HARD
    for number in range(count - len(HARD)):
        if number % 3 == 0:
            yield rng.randbytes(rng.randrange(1, 400)).decode(
                ("latin-1", "utf-8", "utf-16")[number % 9 // 3], "replace"
            )
        elif number % 3 == 1:
            yield program[: rng.randrange(len(program))]
        else:
            place = rng.randrange(len(program))
            yield program[:place] + rng.choice("()[]{}:'\"\\\n\t\0 =+.,`@") + program[place + rng.randrange(3) :]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("humaneval", 600), ("tiny-functions", 400)])
def test_every_reply_gets_a_verdict(box_level, name, count):
    box_level("landlock")
    task = load_task(name, **({"data": ROWS} if name == "humaneval" else {}))
    given = list(replies(4711, count, PROGRAM if name == "humaneval" else EXPRESSION))
    item = task.item("test", 0)
    verdicts = task.score_all([item] * count, given)
    assert len(verdicts) == count
    for reply, verdict in zip(given, verdicts, strict=True):
        assert verdict.state is not VerdictState.ERROR and 0 <= verdict.reward <= 1, (reply[:200], verdict)
        assert json.dumps(verdict.why, ensure_ascii=False).encode(), reply[:200]
    assert {VerdictState.WRONG, VerdictState.UNPARSED} <= {verdict.state for verdict in verdicts}
