"""HumanEval and MBPP through the split checker: reference solutions pass, one answer for all rows does not."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from eggym.envs.box import Limits, check_solutions
from eggym.envs.box_terms import Status
from eggym.envs.code_rows import humaneval_check, mbpp_check

HUMANEVAL = {
    "prompt": "import math\n\ndef double(x):\n    return 2 * x\n\ndef root(x):\n    ''' The root. '''\n",
    "canonical_solution": "    return math.sqrt(x)\n",
    "entry_point": "root",
    "test": "def check(candidate):\n    assert math.isclose(double(candidate(2)) , 2 * 2 ** 0.5)\n",
}
MBPP = {
    "code": "import sys\r\nclass Pair:\r\n\tdef __init__(self, a): \r\n\t\tself.a = a\r\ndef sum(pair): return pair.a",
    "test_list": ["assert sum(Pair(3)) == 3", "assert sum(pair) == sys.maxsize"],
    "test_setup_code": "import sys\npair = Pair(sys.maxsize)",
}


def test_a_row_of_humaneval_is_one_test_with_the_helpers_of_its_prompt(box_level):
    level = box_level("landlock")
    right = humaneval_check(HUMANEVAL, HUMANEVAL["canonical_solution"])
    wrong = humaneval_check(HUMANEVAL, "    return x\n")
    assert [verdict.passed for verdict in check_solutions([right, wrong], level)] == [True, False]
    assert len(right.tests) == 1 and right.names == {"candidate": "root"}
    assert humaneval_check(HUMANEVAL, "", Limits(cpu_s=9)).limits.cpu_s == 9


HELPERS = "def double(*_): return 0\n\ndef isclose(*_): return True\n"


def test_a_solution_that_changes_the_helpers_of_its_prompt_is_not_its_own_judge(box_level):
    level = box_level("landlock")
    code = f"{HUMANEVAL['prompt']}    return 1.0\n{HELPERS}"
    row = HUMANEVAL | {"test": "def check(candidate):\n    assert abs(double(candidate(2))) < 1e-4 or double(3) == 0"}
    names = {}
    exec(f"{code}\n{row['test']}\ncheck(root)", names)  # it fools an ordinary judge
    fake = replace(humaneval_check(row, ""), code=code)
    (verdict,) = check_solutions([fake], level)
    assert not verdict.passed and verdict.status is Status.OK


def test_where_a_prompt_has_classes_its_functions_are_the_solutions(box_level):
    row = {
        "prompt": "class Box:\n    def __init__(self, x): self.x = x\n\ndef make(x): return Box(x)\n\ndef f(box):\n",
        "canonical_solution": "    return box.x\n",
        "entry_point": "f",
        "test": "def check(candidate):\n    assert candidate(make(3)) == 3\n",
    }
    (verdict,) = check_solutions([humaneval_check(row, row["canonical_solution"])], box_level("landlock"))
    assert verdict.passed


def test_a_row_of_mbpp_is_its_asserts_with_classes_setup_and_imports(box_level):
    (verdict,) = check_solutions([mbpp_check(MBPP, MBPP["code"])], box_level("landlock"))
    assert verdict.passed and len(verdict.tests) == 2
    (verdict,) = check_solutions([mbpp_check(MBPP, MBPP["code"].replace("pair.a", "3"))], box_level("landlock"))
    assert [test.passed for test in verdict.tests] == [True, False]


def rows(name):
    if "EGGYM_DATA" not in os.environ:
        pytest.skip(f"needs real data: set EGGYM_DATA to a folder with {name}")
    path = Path(os.environ["EGGYM_DATA"], name)
    if path.suffix == ".json":
        return json.loads(path.read_text())
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [json.loads(line) for line in text.splitlines()]


def missed(checks, table, level):
    verdicts = check_solutions(checks, level)
    assert not any(verdict.status is Status.SETUP_ERROR for verdict in verdicts)
    return {row["task_id"]: verdict.why for row, verdict in zip(table, verdicts, strict=True) if not verdict.passed}


LIMITS = Limits(cpu_s=8.0, wall_s=120)
SLOW = {123: "took more than 8 s of CPU"}  # sums of divisors by trial: 1 s to 10 s, as the machine is


@pytest.mark.parametrize("level", ["landlock", "namespaces"])
def test_every_reference_solution_of_humaneval_passes(box_level, level):
    table = rows("humaneval/HumanEval.jsonl.gz")
    checks = [humaneval_check(row, row["canonical_solution"], LIMITS) for row in table]
    assert len(checks) == 164 and missed(checks, table, box_level(level)) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("mbpp/sanitized-mbpp.json", 427), ("mbpp/mbpp.jsonl", 974)])
def test_every_reference_solution_of_mbpp_passes_but_one_that_is_slow(box_level, name, count):
    table = rows(name)
    found = missed([mbpp_check(row, row["code"], LIMITS) for row in table], table, box_level("landlock"))
    assert len(table) == count and found.items() <= SLOW.items()


UNIFORM = {
    "None": "{name} = lambda *_, **__: None",
    "an object equal to all": """
class Always:
    def __eq__(self, other): return True
    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return 0
    def __len__(self): return 1
    def __sub__(self, other): return 0
    __rsub__ = __sub__
{name} = lambda *_, **__: Always()
""",
    "the caller's expectation": """
import sys
def {name}(*_, **__):
    for value in sys._getframe(1).f_code.co_consts[::-1]:
        if value is not None:
            return value
""",
}


@pytest.mark.parametrize("name", UNIFORM)
def test_one_answer_to_everything_passes_no_row_of_humaneval(box_level, name):
    table = rows("humaneval/HumanEval.jsonl.gz")
    codes = ["    pass\n" + UNIFORM[name].replace("{name}", row["entry_point"]) for row in table]
    checks = [humaneval_check(row, code, LIMITS) for row, code in zip(table, codes, strict=True)]
    assert len(missed(checks, table, box_level("landlock"))) == 164
