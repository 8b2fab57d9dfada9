"""Is a task fit to be learned and compared on? `check_task` tries it by rules, and says what it found.

The rules are in `eggym.check_rules`. `preflight` is the cheap part that every run does before it writes anything. Not
covered: a scorer that never returns hangs the check too, and a task that is merely bad (too easy, ambiguous) passes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from eggym.check_rules import RULES, Broken, Sample, best_reply, constant, items_of, play_through
from eggym.errors import BadValue, TaskFault
from eggym.registry import load_task
from eggym.task import Task


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


def check_task(task: str | Task, n_items: int = 64) -> CheckReport:
    """Try a task, given as for `load_task` or as an instance, on ``n_items`` items by all rules.

    Raises:
        EggymError: the task cannot be loaded, or makes no items at all.
    """
    if n_items < 1:
        raise BadValue(f"n_items must be at least 1, got {n_items}")
    subject = load_task(task) if isinstance(task, str) else task
    sample = Sample(subject, list(items_of(subject, "train", n_items)))
    return CheckReport(subject.id, [_try(name, rule, sample) for name, rule in RULES.items()])


def preflight(task: Task, split: str) -> None:
    """Try a few items, each with the best reply known and an empty one, before a run writes anything.

    Raises:
        TaskFault: the task's code raised, or scored with something that is no finite number in its range.
        BadValue: the split is empty, or a prompt is.
    """
    items = list(items_of(task, split, 2))
    if not items:
        raise BadValue(f"task {task.id!r} has no items in split {split!r}")
    for item in items:
        if not item.prompt.strip():
            raise BadValue(f"task {task.id!r} asks nothing: the prompt of item {split}[{item.index}] is empty")
        for what, reply in (("the best reply", best_reply(task)), ("an empty reply", constant(""))):
            verdict = play_through(task, item, reply)
            if verdict.reward is None:
                where = f"{what} to item {split}[{item.index}]"
                raise TaskFault(f"task {task.id!r} could not judge {where}: {verdict.why}")


def _try(name: str, rule: Callable[[Sample], str], sample: Sample) -> Finding:
    try:
        return Finding(name, True, rule(sample))
    except Broken as finding:
        return Finding(name, False, str(finding))
    except Exception as problem:  # the task's code may raise anything, in any rule
        return Finding(name, False, f"{type(problem).__name__}: {' '.join(str(problem).split())}")
