"""Short Python functions from one sentence each (MBPP).

Prompt:  the sentence and, of the row's asserts, as many as ``shown`` says: 1 by default, 0, 2, or ``all``. With 0 the
         signature stands there, as tests call the function by its name. An assert that repeats a shown one does not
         count; a row that would have none left shows fewer. ``shown=all`` is the customary way: there
         every test that counts stands in the prompt, so that a program may know them by heart.
Reply:   a program (`eggym.envs.code_replies`).
Reward:  of the asserts that are not shown, or of all with ``shown=all``: 1 if every one passes, else 0;
         ``reward=share``: the share that pass. They run in another process than the program (`eggym.envs.box`),
         unchanged. CPU time: 8 s for a program and all of its tests.
Floor:   the best function of the right name that returns one constant, measured on test: 2.7 % (False); 12.1 % (True)
         with ``shown=2``, where one assert is left to count in most rows. See `FLOORS`.
Options: ``rows``: ``sanitized`` (427 rows, edited by hand) or ``full`` (974); ``shown``; ``reward``,
         ``allow_unsafe_execution`` (see `eggym.envs.code_grading`).
Splits:  by task_id, of both: 11 to 510 test, 511 to 600 validation, 601 to 974 train; 1 to 10, which published prompts
         show as examples, are in none.
Source:  Austin et al. 2021, "Program Synthesis with Large Language Models" (CC BY 4.0, Google Research), hub id
         ``google-research-datasets/mbpp``. ``data=`` takes the published ``sanitized-mbpp.json`` or ``mbpp.jsonl``, a
         folder that holds them, or other rows with the same fields: task_id, code, test_list, and text or prompt;
         test_imports and test_setup_code if there are any.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from eggym.dataset import DatasetTask
from eggym.errors import BadValue, unknown
from eggym.rows import Line, Row, Source, load_rows, value_of
from eggym.task import Item
from eggym.values import is_whole

from .box_terms import Check, Limits
from .code_grading import Grading
from .code_replies import last_code
from .code_rows import mbpp_check, signatures_of
from .code_task import CodeTask

FILES = {"sanitized": "sanitized-mbpp.json", "full": "mbpp.jsonl"}  # as published
MOST_SHOWN = 2  # every row has three asserts at least
FLOORS = {  # by rows and reward: with 0 (or all), 1 and 2 asserts shown
    ("sanitized", "all"): (0.0, 0.0272, 0.1206),
    ("sanitized", "share"): (0.1053, 0.1018, 0.1258),
    ("full", "all"): (0.004, 0.03, 0.112),
    ("full", "share"): (0.0967, 0.092, 0.112),
}
LIMITS = Limits(cpu_s=8.0)
_LAST = {"few-shot": 10, "test": 510, "validation": 600, "train": 974}  # task_id of the last row of a split
_HOW = "Answer with the whole program, in one fenced block."


class Mbpp(CodeTask, DatasetTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/mbpp-v0"
    source: ClassVar[Source] = "google-research-datasets/mbpp"
    floor: ClassVar[float] = FLOORS["sanitized", "all"][1]
    max_new_tokens: ClassVar[int] = 512

    def __init__(
        self,
        data: Source | None = None,
        rows: str = "sanitized",
        shown: int | str = 1,
        reward: str = "all",
        allow_unsafe_execution: str | None = None,
    ) -> None:
        """Take rows of another place, the other set of rows, or other rules of asking and judging."""
        super().__init__(data)
        if rows not in FILES:
            raise unknown("rows of MBPP", str(rows), FILES)
        if shown != "all" and not (is_whole(shown) and 0 <= int(shown) <= MOST_SHOWN):
            raise BadValue(f"option shown of task {self.id!r} is 0, 1, {MOST_SHOWN} or all, got {shown!r:.60}")
        self.which, self.shown, self.grading = rows, shown, Grading(reward, allow_unsafe_execution, LIMITS)
        vars(self)["floor"] = FLOORS[rows, reward][0 if shown == "all" else int(shown)]
        given = {"rows": rows, "shown": shown}
        usual = {"rows": "sanitized", "shown": 1}
        self.difficulty = {k: v for k, v in given.items() if v != usual[k]} | self.grading.options()

    def rows(self) -> Mapping[str, Sequence[Row]]:
        """Return the rows by their numbers, wherever they lie."""
        sides: dict[str, list[Row]] = {side: [] for side in _LAST}
        for rows in load_rows(self._place(), self.id).values():
            for row in rows:
                sides[self._side(row)].append(row)
        del sides["few-shot"]
        return {side: sorted(rows, key=lambda row: int(row["task_id"])) for side, rows in sides.items()}

    def read(self, row: Row) -> Item:
        """Return the sentence with what is shown, and the row with the tests that count."""
        other = next(name for name in FILES if name != self.which)
        of_full = "text" in row  # the two sets name the sentence differently
        if isinstance(row, Line) and of_full == (self.which == "sanitized"):
            raise BadValue(f"it is of the {other} rows: give mbpp@rows={other}, or other data")
        asked = str(value_of(row, "text" if "text" in row else "prompt")).strip()
        tests = value_of(row, "test_list")
        if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
            raise BadValue(f"its test_list is no list of asserts: {tests!r:.60}")
        shown, counting = (tests, tests) if self.shown == "all" else _parted(tests, int(self.shown))
        truth = {
            "code": str(value_of(row, "code")),
            "test_list": counting,
            "test_imports": list(row.get("test_imports") or ()),
            "test_setup_code": str(row.get("test_setup_code") or ""),
        }
        mbpp_check(truth, "")  # a reference or tests that are no Python are refused here
        return Item(_prompt(asked, shown, truth), truth, {"task_id": row["task_id"], "shown": shown})

    def work(self, item: Item, reply: str) -> Check | None:
        """Return the check of a reply."""
        code = last_code(reply)
        return mbpp_check(item.truth, code, self.grading.limits) if code else None

    def oracle(self, item: Item) -> str:
        """Return the reference solution in a fenced block."""
        return f"```python\n{item.truth['code']}\n```"

    def _place(self) -> Source:
        """Return where the rows are: the configuration of the hub's data set, or the file of a folder."""
        if self.data == self.source:
            return f"{self.source!s}:{self.which}"
        if isinstance(self.data, str | Path) and (file := Path(self.data).expanduser() / FILES[self.which]).is_file():
            return file
        return self.data

    def _side(self, row: Row) -> str:
        number = row.get("task_id")
        if not isinstance(number, int) or not is_whole(number) or not 1 <= number <= _LAST["train"]:
            where = getattr(row, "where", "a row")
            raise BadValue(f"task {self.id!r}: {where}: its task_id must be from 1 to 974, got {number!r:.60}")
        return next(side for side, last in _LAST.items() if number <= last)


def _parted(tests: list[str], n_shown: int) -> tuple[list[str], list[str]]:
    """Return the tests that are shown and those that count: never the same text, and at least one counts."""
    shown = tests[:n_shown]
    counting = [test for test in tests[n_shown:] if test not in shown]
    return (shown, counting) if counting else _parted(tests, n_shown - 1)


def _prompt(asked: str, shown: Sequence[str], truth: Mapping[str, Any]) -> str:
    if not shown:
        return f"{asked}\nIt begins with:\n" + "\n".join(signatures_of(truth)) + f"\n{_HOW}"
    tests = "this test" if len(shown) == 1 else "these tests"
    return f"{asked}\nYour code should pass {tests}:\n" + "\n".join(test.strip() for test in shown) + f"\n{_HOW}"
