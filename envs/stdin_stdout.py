"""Whole programs that read standard input and print: contest problems, from a file in any of the usual forms.

Prompt:  the statement, and examples of input and output: the row's own, or its first ``shown`` tests.
Reply:   a program (`eggym.envs.code_replies`).
Reward:  of the tests that were not shown: 1 if the program prints what is expected for every one, else 0;
         ``reward=share``: the share. Outputs are compared line by line, white space at the ends of lines and of the
         text apart. Every test is a process of its own, with 4 s of CPU time, and sees its input alone
         (`eggym.envs.box`). A program that leaves a limit on one test fails those behind it.
Floor:   0, for the house's problems: of `CONSTANTS` in the tests, printed whatever is asked, none is right on all tests
         of one. With ``reward=share`` 0.108, "-1" on test. Not known for data of your own.
Options: ``shown`` (1; 0 to 8): how many tests the prompt shows where a row has no examples of its own; ``reward``,
         ``allow_unsafe_execution`` (see `eggym.envs.code_grading`).
Splits:  those of a folder or data set (``valid`` is validation); of a single file the rows' field ``split``, if every
         row has one, else by hash.
Source:  twelve problems of ours, with reference solutions: enough to try things out, not to train on. ``data=`` takes
         others: the fields of APPS, TACO, CodeContests and LiveCodeBench are read, see `eggym.envs.contest_rows`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from eggym.dataset import DatasetTask
from eggym.errors import BadValue
from eggym.rows import Row, Source
from eggym.splits import SPLITS
from eggym.task import Item
from eggym.values import is_whole

from .code_grading import Grading
from .code_printing import Printing
from .code_replies import last_code
from .code_task import CodeTask
from .contest_rows import EXAMPLES, TESTS, Pairs, pairs_of, solution_of, statement_of

MOST_SHOWN = 8
_HOW = (
    "Write a program in Python that reads from standard input and prints to standard output. "
    "Answer with the whole program, in one fenced block."
)


class StdinStdout(CodeTask, DatasetTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/stdin-stdout-v0"
    source: ClassVar[Source] = str(Path(__file__).with_name("stdin_problems.jsonl"))
    max_new_tokens: ClassVar[int] = 1024

    def __init__(
        self,
        data: Source | None = None,
        shown: int = 1,
        reward: str = "all",
        allow_unsafe_execution: str | None = None,
    ) -> None:
        """Take problems of another place, or other rules of asking and judging."""
        super().__init__(data)
        if not is_whole(shown) or not 0 <= shown <= MOST_SHOWN:
            raise BadValue(f"option shown of task {self.id!r} is a whole number from 0 to {MOST_SHOWN}, got {shown!r}")
        self.shown, self.grading = shown, Grading(reward, allow_unsafe_execution)
        vars(self)["floor"] = 0.108 if reward == "share" else 0.0
        self.difficulty = ({} if shown == 1 else {"shown": shown}) | self.grading.options()

    def rows(self) -> Mapping[str, Sequence[Row]]:
        """Return the rows by the splits that the source or the rows name."""
        found = {"validation" if side == "valid" else side: rows for side, rows in super().rows().items()}
        heap = found.get("", ())
        if not heap or not all(row.get("split") in SPLITS for row in heap):
            return found
        return {side: [row for row in heap if row["split"] == side] for side in SPLITS}

    def read(self, row: Row) -> Item:
        """Return the statement with its examples, the tests that count, and a reference solution if there is one."""
        asked, own, tests = statement_of(row), pairs_of(row, EXAMPLES), pairs_of(row, TESTS)
        shown = own or tests[: self.shown]
        inputs = {given for given, _ in shown}
        hidden = [[given, expected] for given, expected in tests if given not in inputs]
        if not hidden:
            way_out = "give stdin-stdout@shown=0, or more tests" if tests else f"they stand in {', '.join(TESTS)}"
            raise BadValue(f"it has {len(tests)} tests, and none that is not shown and counts: {way_out}")
        meta = {"id": row.get("id"), "shown": [list(pair) for pair in shown], "solution": solution_of(row)}
        return Item("\n\n".join([asked, *_examples(shown), _HOW]), hidden, meta)

    def work(self, item: Item, reply: str) -> Printing | None:
        """Return the runs of a reply."""
        code = last_code(reply)
        tests = tuple((given, expected) for given, expected in item.truth)
        return Printing(code, tests, self.grading.limits) if code else None

    def oracle(self, item: Item) -> str | None:
        """Return the reference solution in a fenced block."""
        solution = item.meta["solution"]
        return None if solution is None else f"```python\n{solution}\n```"


def _examples(pairs: Pairs) -> list[str]:
    return [f"Example input:\n{given.rstrip()}\nExample output:\n{expected.rstrip()}" for given, expected in pairs]
