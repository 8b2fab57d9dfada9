"""Is a task fit to be learned and compared on? `check_task` tries it by rules, and says what it found.

The rules are in `eggym.check_rules` and `eggym.check_replies`. `preflight` is the cheap part that every run does before
it writes anything. Not covered: a task that is merely bad (too easy, ambiguous) passes, and one that only this process
knows (an instance of a class that stands in no module) is not tried in another one, where a scorer may hang.
"""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from typing import Any

from eggym.check_child import Elsewhere, try_elsewhere
from eggym.check_rules import RULES
from eggym.check_sample import Broken, Sample, best_reply, constant, items_of, play_through
from eggym.contract import check_settings
from eggym.dataset import DatasetTask
from eggym.errors import BadValue, EggymError, TaskFault, UnknownName
from eggym.item import item_fault
from eggym.registry import load_task, reference, task_class, task_table
from eggym.source import told
from eggym.task import Task
from eggym.wording import printable

MAKING_ITEMS = "items can be made"  # what is found where there is nothing to try the rules on
ALIVE = "comes to an end"  # what is found where a process that tried the task was lost
LEAST_ITEMS = 8
REPLIES_PER_ITEM = 60  # about as many as the rules score
REPLIES_CPU_S = 120.0  # for all of them


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found."""

    rule: str
    passed: bool
    detail: str  # one line


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What all rules found on one task."""

    task: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every rule passed."""
        return all(finding.passed for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"task": self.task, "ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}


def check_task(task: str | Task, n_items: int = 64, **options: Any) -> CheckReport:
    """Try a task, given as for `load_task` or as an instance, on ``n_items`` items of train (or test) by all rules.

    A task that fails at making its items is a report with that one finding. ``options`` go to a task that is given by
    name, such as ``data="rows.jsonl"``.

    Raises:
        EggymError: the task cannot be loaded, or its data cannot be had.
    """
    if n_items < 1:
        raise BadValue(f"n_items must be at least 1, got {n_items}")
    ref, given = (task, options) if isinstance(task, str) else _found_by(task)
    # before this process runs any of its code, which may hang or leave
    elsewhere = None if ref is None else try_elsewhere(ref, given, n_items)
    if elsewhere is not None and elsewhere.outline is None and elsewhere.lost:
        name = task if isinstance(task, str) else task.id
        return CheckReport(name, [Finding(ALIVE, False, _line(f"it {elsewhere.lost}; no other rule was tried"))])
    wanted = n_items if elsewhere is None else _affordable(n_items, elsewhere.plain_cpu_s)
    with redirect_stdout(sys.stderr):  # a task may print, and what is printed here is the report
        subject = load_task(task, **options) if isinstance(task, str) else task
        check_settings(subject)
        return CheckReport(subject.id, _findings(subject, wanted, elsewhere))


def _findings(task: Task, n_items: int, elsewhere: Elsewhere | None) -> list[Finding]:
    try:
        # a data set of test alone is for evaluation, and no worse a task
        items = list(items_of(task, "train", n_items)) or list(items_of(task, "test", n_items))
    except TaskFault as problem:
        return [Finding(MAKING_ITEMS, False, _line(str(problem)))]
    if not items:
        return [Finding(MAKING_ITEMS, False, "there are no items in train, nor in test")]
    sample = Sample(task, items, elsewhere)
    return [_try(name, rule, sample) for name, rule in RULES.items()]


def _affordable(n_items: int, reply_cpu_s: float) -> int:
    """Return on how many items the rules may score their replies: fewer for a slow scorer."""
    return min(n_items, max(LEAST_ITEMS, int(REPLIES_CPU_S / (REPLIES_PER_ITEM * max(reply_cpu_s, 1e-9)))))


def check_all() -> tuple[list[CheckReport], dict[str, str]]:
    """Try every task of the table; return the reports, and for each id that could not be tried the reason.

    The latter are the tasks whose data cannot be had here, which is no failure of theirs.
    """
    reports: list[CheckReport] = []
    without: dict[str, str] = {}
    for task_id in task_table():
        task = load_task(task_id)
        try:
            next(items_of(task, "train", 1), None)
        except (BadValue, UnknownName) as problem:
            without[task_id] = _line(str(problem))
        except TaskFault as problem:
            reports.append(CheckReport(task_id, [Finding(MAKING_ITEMS, False, _line(str(problem)))]))
        else:
            reports.append(check_task(task))
    return reports, without


def preflight(task: Task, split: str) -> None:
    """Try a few items, each with the best reply known and an empty one, before a run writes anything.

    Raises:
        TaskFault: the task's code raised, made an item that cannot be written down, or scored with something that is no
            finite number in its range.
        BadValue: an attribute is odd, the split is empty, or a prompt is.
    """
    check_settings(task)
    items = list(items_of(task, split, 2))
    if not items:
        raise BadValue(f"task {task.id!r} has no items in split {split!r}")
    for item in items:
        if not item.prompt.strip():
            raise BadValue(f"task {task.id!r} asks nothing: the prompt of item {split}[{item.index}] is empty")
        fault = item_fault(item)
        if fault:
            raise TaskFault(f"task {task.id!r}, item {split}[{item.index}]: {fault}")
        for what, reply in (("the best reply", best_reply(task)), ("an empty reply", constant(""))):
            verdict = play_through(task, item, reply)
            if verdict.reward is None:
                where = f"{what} to item {split}[{item.index}]"
                raise TaskFault(f"task {task.id!r} could not judge {where}: {verdict.why}")


def _found_by(task: Task) -> tuple[str | None, dict[str, Any]]:
    """Return reference and options by which another process makes the same task; None where it cannot."""
    options = dict(task.difficulty)
    if isinstance(task, DatasetTask):
        if not isinstance(task.data, str):
            return None, {}
        options["data"] = task.data
    try:
        return reference(task.id if _is_known(task) else type(task)), options
    except BadValue:
        return None, {}


def _is_known(task: Task) -> bool:
    """Return whether the id leads to the task's class."""
    try:
        return task_class(task.id) is type(task)
    except EggymError:
        return False


def _try(name: str, rule: Callable[[Sample], str], sample: Sample) -> Finding:
    try:
        return Finding(name, True, _line(rule(sample)))
    except Broken as finding:
        return Finding(name, False, _line(str(finding)))
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # noqa: BLE001 - the task's code may raise anything, in any rule, sys.exit() included
        return Finding(name, False, _line(told(problem)))


def _line(text: str) -> str:
    """Return a finding as one line that a terminal shows and does not obey: it quotes the task."""
    return printable(" ".join(text.split()))
