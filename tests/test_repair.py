"""Programs repaired over several turns: what is told of a failure, what is not, and what is paid."""

import pickle
from dataclasses import replace

import pytest

from eggym.digest import digest
from eggym.envs.box_terms import Limits
from eggym.envs.repair import Repair
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.vector import TextVectorEnv

SECRET = "7351948"  # stands in every expected value, and nowhere else
CALLS = [{
    "task_id": 11,
    "prompt": "Write f.",
    "code": f"def f(x, *rest, key=0):\n    return x + {SECRET}",
    "test_imports": [],
    "test_list": [f"assert f({n}, [1, 'a'], key=None) == {n} + {SECRET}, 'expected {SECRET}'" for n in (1, 2, 3)],
}]  # fmt: skip
PRINTS = [{
    "question": "Print.",
    "split": "test",
    "tests": [{"input": f"{n} in\n", "output": f"{SECRET}{n}"} for n in (1, 2, 3)],
    "solution": f"print('{SECRET}' + input()[0])",
}]  # fmt: skip


def hurried(task):
    """Give programs half a second, so that tests of endless ones are short."""
    task.inner.grading = replace(task.inner.grading, limits=Limits(cpu_s=0.5))
    return task


def calls(**options):
    return hurried(load_task("repair", task="mbpp", data=CALLS, shown=0, **options))


def prints(**options):
    return hurried(load_task("repair", data=PRINTS, **options))


def play(task, *replies):
    """Return the observations and the state."""
    state, told, over = task.begin(task.item("test", 0), None), [], False
    for reply in replies:
        assert not over
        state = pickle.loads(pickle.dumps(state))
        observation, over = task.step(state, reply)
        told.append(observation)
    return told, state, over


AGAIN = "\nAnswer with the whole corrected program, in one fenced block."


@pytest.fixture(autouse=True)
def level(box_level):
    return box_level("landlock")


@pytest.mark.parametrize(
    ("make", "reply", "told"),
    [
        (
            calls,
            "def f(x, y, key):\n    return y[x]",
            "f(1, [1, 'a'], key=None)\nWhat happened:\nThe result was wrong.",
        ),
        (
            calls,
            "def g(y):\n    return y[7]\n\ndef f(x, y, key):\n    return g(y)",
            "f(1, [1, 'a'], key=None)\nWhat happened:\nline 5, in f: return g(y)\nline 2, in g: return y[7]\n"
            "IndexError: list index out of range",
        ),
        (
            calls,
            "def f(x, y, key):\n    while True: pass",
            "f(1, [1, 'a'], key=None)\nWhat happened:\ntook more than 0.5 s of CPU",
        ),
        (
            calls,
            "import os\ndef f(x, y, key): os._exit(0)",
            "f(1, [1, 'a'], key=None)\nWhat happened:\nleft with exit code 0, without a report",
        ),
        (prints, "print(1)", "2 in\nWhat happened:\nThe result was wrong."),
        (
            prints,
            "x = input()\nprint(x[9])",
            "2 in\nWhat happened:\nline 2, in <module>: print(x[9])\nIndexError: string index out of range",
        ),
        (prints, "while 1: pass", "2 in\nWhat happened:\ntook more than 0.5 s of CPU"),
    ],
)
def test_the_first_failing_test_is_told_by_its_input_and_the_programs_own_words(make, reply, told):
    assert play(make(), reply)[0] == [f"The program fails on:\n{told}{AGAIN}"]


def test_what_runs_no_test_is_told(level):
    (no_program, broken, raises), _, _ = play(calls(turns=4), "", "def f(:", "import nothing")
    assert no_program.startswith("The program cannot be run: no program was found in your reply")
    assert broken.startswith("The program fails.\nWhat happened:\nline 1: def f(:\nSyntaxError: invalid syntax")
    assert raises.startswith(
        "The program fails.\nWhat happened:\nline 1, in <module>: import nothing\nModuleNotFoundError"
    )


def test_it_ends_early_when_all_tests_pass_and_pays_the_last_program():
    for make in (calls, prints):
        task = make()
        right = task.oracle_reply(task.begin(task.item("test", 0), None))
        told, state, over = play(task, "def f(*_, **__): return 0", right)
        assert over and told[-1] == "" and task.judge(state).reward == 1
        assert task.judge(state) == task.judge(pickle.loads(pickle.dumps(state)))
        told, state, over = play(task, "x = 1", "y = 1", "z = 1")
        assert over and task.judge(state).reward == 0


def test_a_worse_last_program_takes_the_reward_back_and_shares_are_paid_if_asked_for():
    half = f"def f(x, *_, **__): return x + (x < 3) * {SECRET}"
    for reward, paid in (("all", 0.0), ("share", 2 / 3)):
        task = calls(reward=reward)
        assert task.judge(play(task, "x = 1", half)[1]).reward == pytest.approx(paid)
        assert task.judge(play(task, half, "x = 1")[1]).reward == 0


def test_an_episode_without_replies_is_judged_as_an_empty_one():
    task = calls()
    verdict = task.judge(task.begin(task.item("test", 0), None))
    assert (verdict.reward, verdict.state) == (0, "unparsed")


SPIES = {  # each raises what it finds of the secret in its own process
    "frames": "hits(str(f.f_locals) + str(f.f_globals) + str(f.f_code.co_consts) for f in frames())",
    "objects": "hits(str(o) for o in __import__('gc').get_objects() if type(o) in (list, tuple, dict))",
    "modules": "hits(str(vars(m)) for m in list(sys.modules.values()))",
    "descriptors": "hits(readable(range(0, 99)))",
    "memory": "hits(open('/proc/self/mem', 'rb').read(1 << 20).decode('latin-1'))",
}
SPY = """
import os, sys
KEY = '735' + '19'
def frames():
    frame = sys._getframe(1)
    while frame:
        yield frame
        frame = frame.f_back
def readable(numbers):
    for n in numbers:
        try:
            yield os.pread(n, 1 << 16, 0).decode('latin-1')
        except OSError:
            pass
def hits(texts):
    return [text[text.find(KEY):][:9] for text in texts if KEY in text and 'def hits' not in text[:9000]]
def f(*_, **__):
    raise ValueError(HITS)
"""


@pytest.mark.parametrize("name", SPIES)
def test_nothing_that_is_expected_and_no_line_of_a_test_is_told(name):
    code = SPY.replace("HITS", SPIES[name])
    for make, spy in ((calls, code), (prints, f"{code}\nf()")):
        (told,), state, _ = play(make(), spy)
        assert "What happened:\nline " in told and SECRET not in told and "assert" not in told, told
        assert make().judge(state).reward == 0


@pytest.mark.parametrize("name", ["frames", "objects", "modules"])
def test_the_spies_would_find_what_is_there(name):
    code = SPY.replace("HITS", SPIES[name])
    (told,), _, _ = play(calls(), f"expected = [{SECRET}]\n{code}")
    assert SECRET in told


def test_names_and_causes_of_exceptions_tell_no_more():
    for raised in ("raise ValueError from KeyError(1)", "raise type('X', (Exception,), {'__str__': lambda s: 1 / 0})"):
        (told,), _, _ = play(calls(), f"def f(*_, **__):\n    {raised}")
        assert SECRET not in told and "assert" not in told


def test_words_of_the_program_are_cut_and_cannot_steer_a_terminal():
    long = "def f(*_, **__):\n    raise ValueError('\\x1b[2J' + 'x' * 5000)"
    (told,), _, _ = play(calls(), long)
    assert "\\x1b[2J" in told and "\x1b" not in told and len(told) < 600
    (told,), _, _ = play(prints(), "raise ValueError('\\x1b[2J')")
    assert "\\x1b[2J" in told and "\x1b" not in told
    (told,), _, _ = play(calls(), "def f(*_, **__):\n    raise type('E' * 9999, (Exception,), {})")
    assert len(told) < 1200


def test_inputs_are_cut():
    rows = [PRINTS[0] | {"tests": [{"input": "9" * 5000, "output": "1"}, {"input": "1", "output": "1"}]}]
    (told,), _, _ = play(load_task("repair", data=rows, shown=0), "print(2)")
    assert "9" * 200 + "..." in told and "9" * 201 not in told


def test_it_works_on_what_the_inner_task_gives():
    task = load_task("repair", turns=2)
    inner = load_task("stdin-stdout")
    assert task.item("test", 1) == inner.item("test", 1) and task.floor == inner.floor and task.max_turns == 2
    assert task.label == "eggym/repair-v0@turns=2" and task.host() == inner.host()
    assert len({digest(each) for each in (task, load_task("repair"), load_task("repair", reward="share"), inner)}) == 4


def test_in_a_vector_environment():
    envs = TextVectorEnv(load_task("repair", data=PRINTS), 2, split="test")
    envs.reset(seed=0)
    observations, rewards, terminations, _, _ = envs.step(["print(1)", PRINTS[0]["solution"]])
    assert observations[0].startswith("The program fails on:\n2 in") and rewards.tolist() == [0, 1]
    assert terminations.tolist() == [False, True]


@pytest.mark.parametrize("turns", [1, 9, 2.0, True, "3", None])
def test_odd_numbers_of_turns_are_refused(turns):
    with pytest.raises(BadValue, match="turns of task 'eggym/repair-v0' is a whole number from 2 to 8, got"):
        Repair(turns=turns)


def test_a_task_that_asks_for_no_programs_is_refused():
    with pytest.raises(BadValue, match="repairs programs; 'eggym/tiny-orders-v0' asks for none"):
        load_task("repair", task="tiny-orders")
