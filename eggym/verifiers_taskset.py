"""The taskset that exported packages stand on: eggym's items, scorer and oracle in the v1 API of verifiers 0.4.

Imports verifiers, so nothing of eggym imports this file; `eggym.to_verifiers` writes what does.
"""

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

import verifiers.v1 as vf

from eggym.digest import digest
from eggym.errors import BadValue, EggymError
from eggym.outside import judge_texts, messages
from eggym.registry import load_task
from eggym.splits import normalise
from eggym.task import Item, Task, size_of


class EggymConfig(vf.TasksetConfig):
    """Which items are asked."""

    split: str = "train"
    items: int = 0  # how many, from the first; 0: all


class EggymData(vf.TaskData):
    """One item: enough to find it again."""

    task: str
    split: str
    index: int
    content: str  # hash of the normalised prompt


class EggymTask(vf.Task[EggymData]):
    """One item with eggym's scorer."""

    def __init__(self, data: EggymData, config: Any = None, source: Task | None = None) -> None:
        """Keep the task that judges; without one it is loaded by the label in the data."""
        super().__init__(data, config)
        self.source = source or load_task(data.task)

    @property
    def key(self) -> str:
        """Task, split, place and content: the same wherever and in whatever order it is loaded."""
        return f"{self.data.task}/{self.data.split}/{self.data.index}/{self.data.content}"

    @property
    def item(self) -> Item:
        """The item, made again."""
        return self.source.item(self.data.split, self.data.index)

    @vf.reward(weight=1.0)
    async def reward(self, trace: vf.Trace) -> float:
        """Judge the last reply."""
        return self._judge(trace.last_reply or "")

    async def validate(self, runtime: vf.Runtime) -> bool | None:
        """Say whether the oracle's reply earns the best reward; None where there is no oracle."""
        best = self.source.oracle_reply(self.source.begin(self.item, None))  # type: ignore[arg-type]
        return None if best is None else self._judge(best) >= self.source.reward_range[1] - 1e-9

    def _judge(self, reply: str) -> float:
        (verdict,) = judge_texts(self.source, [self.item], [reply])
        if verdict.reward is None:  # a failure of the grader is no zero: verifiers records an error
            raise EggymError(f"task {self.source.label} could not judge a reply: {verdict.why}")
        return verdict.reward


class EggymTaskset(vf.Taskset[EggymTask, EggymConfig]):
    """All items of a split, lazily; an exported package names the task."""

    reference: ClassVar[str] = ""
    options: ClassVar[dict[str, Any]] = {}
    digest: ClassVar[str] = ""  # of the task when the package was written

    def __init__(self, config: EggymConfig) -> None:
        """Load the task, or refuse one that has changed; an endless split is endless here too."""
        super().__init__(config)
        self.source = load_task(self.reference, **self.options)
        if digest(self.source) != self.digest:
            raise BadValue(
                f"task {self.source.label} is not what it was when this package was written; export it again"
            )
        size = size_of(self.source, config.split)
        wanted = [one for one in (size, config.items or None) if one is not None]
        self.size = min(wanted, default=None)
        self.INFINITE = self.size is None

    def load(self) -> Iterator[EggymTask]:
        """Yield the items in their order."""
        for index in itertools.count() if self.size is None else range(self.size):
            yield EggymTask(self._data(self.source.item(self.config.split, index)), self.config.task, self.source)

    def _data(self, item: Item) -> EggymData:
        *before, _ = asked = messages(self.source, item)
        talk = len(before) > bool(self.source.system)  # examples need the whole conversation
        return EggymData(
            name=f"{item.split}[{item.index}]",
            prompt=asked[bool(self.source.system) :] if talk else item.prompt,
            system_prompt=self.source.system,
            task=self.source.label,
            split=item.split,
            index=item.index,
            content=hashlib.sha256(normalise(item.prompt).encode()).hexdigest()[:32],
        )
