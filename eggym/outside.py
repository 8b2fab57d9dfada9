"""Judging replies that another program asked for: what the exports to other libraries share.

Only tasks of one reply can be handed out this way; their verdicts depend on item and reply alone.
"""

from collections.abc import Sequence
from typing import Any

from eggym.dataset import DatasetTask
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.seeding import stream
from eggym.task import Item, Task, Verdict


def single_turn(task: str | Task, what: str) -> Task:
    """Return a task of one turn, by whatever `load_task` understands or as it is.

    Raises:
        BadValue: it takes several turns, which ``what`` cannot hold.
    """
    found = load_task(task) if isinstance(task, str) else task
    if found.max_turns > 1:
        raise BadValue(f"task {found.id!r} takes up to {found.max_turns} turns; {what} holds one reply")
    return found


def settings_of(task: Task) -> dict[str, Any]:
    """Return the options that make the same task again."""
    if isinstance(task, DatasetTask):
        return {} if task.data == task.source else {"data": task.data}
    return dict(task.difficulty)


def messages(task: Task, item: Item) -> list[dict[str, str]]:
    """Return the conversation that asks an item: the system message, the examples, the prompt."""
    shown = [{"role": "system", "content": task.system}] if task.system else []
    for asked, replied in task.few_shot:
        shown += [{"role": "user", "content": asked}, {"role": "assistant", "content": replied}]
    return [*shown, {"role": "user", "content": item.prompt}]


def plain(task: Task, item: Item) -> str:
    """Return the same as one text, as `eggym.policy` shows it to a model without a chat template."""
    shown = [task.system] if task.system else []
    shown += [f"{asked}\n{replied}\n" for asked, replied in task.few_shot]
    return "\n".join([*shown, f"{item.prompt}\n"])


def judge_texts(task: Task, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
    """Return the verdicts on whole replies, each cut at the task's first stop string, as eggym's own engine cuts it."""
    states = []
    for item, reply in zip(items, replies, strict=True):
        state = task.begin(item, stream("outside", task.id, item.split, item.index))
        task.step(state, cut(reply, task.stop))
        states.append(state)
    return task.judge_all(states)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return a text up to the first of some stop strings."""
    places = [text.find(one) for one in stop if one in text]
    return text[: min(places)] if places else text
