"""How a policy is evaluated: the settings under ``eval.``, the same for every learner of a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.splits import check_split
from eggym.task import Task

OTHERS = "others"  # of retention: the tasks of a duel beside the run's own
_ITEMS, _REPLIES = 100_000, 4096  # more would be asked for hours before anything could be refused
_RANGES = {
    "items": (1, _ITEMS),
    "replies": (1, _REPLIES),
    "points": (1, 10_000),
    "validation_items": (1, _ITEMS),
    "many_items": (1, _ITEMS),
    "retention_items": (1, _ITEMS),
    "drift": (0, _ITEMS),  # 0: not at all, here and below
    "many": (0, _REPLIES),
    "train_items": (0, _ITEMS),
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The same items and random numbers for every learner of a comparison.

    The curve is ``points`` + 1 evaluations on ``split``. What else a run changed is evaluated twice, at the start and
    at the end (`eggym.beyond`): ``many``, ``train_items`` and ``retention``. None of it costs the training budget.
    """

    split: str = "test"  # whose items are held out: train, validation or test; never the split that is trained on
    items: int = 200  # held-out items at each point
    replies: int = 1  # at temperature 1; greedy takes one
    points: int = 8  # besides the start: after each 1/points of the budget
    primary: str = "greedy"  # which decides: greedy replies, or those sampled at temperature 1
    drift: int = 16  # held-out prompts on which the KL to the start is followed, every step; 0: not at all
    checkpoint: str = "last"  # which weights count: the last, or those of the point that is "best" on validation
    validation_items: int = 100  # greedy, at every point, where checkpoint is best
    many: int = 8  # replies to an item at temperature 1, for pass@k; 0: not at all
    many_items: int = 50  # on which these replies are asked for
    train_items: int = 100  # of the training stream, greedy, for the gap between training and test; 0: not at all
    retention: str = ""  # other tasks, comma-separated, greedy, for what is forgotten; a duel knows "others"
    retention_items: int = 50  # of each of these tasks

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check_split(self.split)
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                raise BadValue(f"eval.{name} must be a whole number from {least} to {most}, got {value!r}")
        if self.many == 1:
            raise BadValue("eval.many must be 0 (not at all) or at least 2 replies to an item, got 1")
        for name, allowed in (("primary", ("greedy", "sampled")), ("checkpoint", ("last", "best"))):
            if getattr(self, name) not in allowed:
                raise BadValue(f"eval.{name} must be {' or '.join(allowed)}, got {getattr(self, name)!r}")
        if OTHERS in retention_names(self.retention):
            raise BadValue(
                "eval.retention=others means the other tasks of a duel, and one run knows none; name tasks, such as "
                "--set eval.retention=tiny-orders,tiny-programs"
            )


def retention_names(text: str) -> list[str]:
    """Return the task references of a comma-separated list; options behind an ``@``, and lists, have commas too.

    >>> retention_names("orders@level=2,mode=all, tiny-orders")
    ['orders@level=2,mode=all', 'tiny-orders']
    """
    found: list[str] = []
    for piece in filter(None, map(str.strip, text.split(","))):
        within = bool(found) and "@" in found[-1]
        if within and ("=" in piece.partition("@")[0] or found[-1].count("[") > found[-1].count("]")):
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return found


def retention_tasks(evaluation: Evaluation, own: Task) -> tuple[Task, ...]:
    """Return the tasks of ``eval.retention``, in the order of their labels.

    Raises:
        EggymError: one does not exist, comes twice, or is the run's own task.
    """
    found: dict[str, Task] = {}
    for name in retention_names(evaluation.retention):
        task = load_task(name)
        if task.label in (own.label, *found):
            what = "is the task that the run trains on" if task.label == own.label else "is there twice"
            raise BadValue(f"eval.retention: {task.label} {what}; leave it out")
        found[task.label] = task
    return tuple(found[label] for label in sorted(found))


def labels(tasks: Sequence[Task]) -> str:
    """Return what `retention_names` reads."""
    return ",".join(task.label for task in tasks)
