"""A task as TRL wants it: a reward function and a data set of prompts.

    trainer = GRPOTrainer(model, trl_reward("gsm8k"), train_dataset=trl_dataset("gsm8k", "train", 1000))

TRL calls a reward function with the columns of the data set, so that split and index find the item again. A reply that
could not be judged is None: TRL 1.16 leaves it out of its group's mean and gives it the advantage 0.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from eggym.errors import BadValue
from eggym.outside import judge_texts, messages, plain, single_turn
from eggym.task import Item, Task, size_of

if TYPE_CHECKING:
    import datasets

RewardFunction = Callable[..., list[float | None]]


def trl_reward(task: str | Task) -> RewardFunction:
    """Return a function ``(prompts, completions, split, index, **columns) -> rewards``, one per completion.

    Completions are texts, or lists of messages, of which the last counts. The function's name, by which TRL logs it, is
    the task's label.

    Raises:
        BadValue: the task takes several turns; when called, columns are missing or of another task.
    """
    found = single_turn(task, "a TRL reward function")
    items: dict[tuple[str, int], Item] = {}

    def reward(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        places = _places(found, columns)
        asked = [items.get(place) or items.setdefault(place, found.item(*place)) for place in places]
        verdicts = judge_texts(found, asked, [_text(one) for one in completions])
        if len(items) > _KEPT:
            items.clear()
        return [verdict.reward for verdict in verdicts]

    reward.__name__ = reward.__qualname__ = found.label
    return reward


def trl_dataset(
    task: str | Task, split: str = "train", count: int | None = None, chat: bool = True
) -> "datasets.Dataset":
    """Return the first ``count`` items of a split as columns ``prompt``, ``task``, ``split`` and ``index``.

    Args:
        task: as for `load_task`, or an instance.
        split: train, validation, test or test:SALT.
        count: how many; may be left out where the split is finite.
        chat: prompts as lists of messages; False: as texts, for models without a chat template.

    Raises:
        BadValue: the task takes several turns, or has endless items and ``count`` is missing.
    """
    import datasets

    found = single_turn(task, "a TRL data set")
    size = size_of(found, split)
    if count is None and size is None:
        raise BadValue(f"task {found.id!r} has endless items; say how many, as in count=1000")
    whole = min(one for one in (count, size) if one is not None)
    asked = [found.item(split, index) for index in range(whole)]
    columns = {
        "prompt": [messages(found, item) if chat else plain(found, item) for item in asked],
        "task": [found.label] * whole,
        "split": [split] * whole,
        "index": list(range(whole)),
    }
    return datasets.Dataset.from_dict(columns)


_KEPT = 10_000  # items that a reward function holds ready


def _places(task: Task, columns: dict[str, Any]) -> list[tuple[str, int]]:
    if "split" not in columns or "index" not in columns:
        raise BadValue(f"the reward of {task.label} needs the columns split and index; make the data with trl_dataset")
    others = {label for label in columns.get("task", ()) if label != task.label}
    if others:
        raise BadValue(f"the reward of {task.label} was given rows of {min(others)}; one reward function per task")
    return list(zip(columns["split"], map(int, columns["index"]), strict=True))


def _text(completion: Any) -> str:
    if isinstance(completion, str):
        return completion
    return str(completion[-1]["content"] or "") if completion else ""
