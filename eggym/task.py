"""Tasks: what is asked, and how a reply is scored.

A task makes `Item`s and judges replies; both are pure functions, so that any reply can be scored again, by anyone.
Three ways to write one:

- single turn: `SingleTurnTask` with ``generate(rng) -> Item`` and ``score(item, reply)``;
- several turns: `MultiTurnTask` with ``generate``, ``start``, ``reply`` and ``score(state)``;
- rows of a data set: `eggym.dataset_task`.

What the rest of eggym calls is ``begin``, ``step`` and ``judge``, the same for all of them.
Problems belong to a split by the hash of their normalised prompt, so that no prompt stands in two splits.
"""

import inspect
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

from eggym.errors import BadValue, EggymError, TaskFault
from eggym.item import Item, item_fault
from eggym.seeding import streams
from eggym.source import told
from eggym.splits import check_split, split_of
from eggym.values import as_float, is_whole, writable
from eggym.verdict import Verdict, VerdictState, judged

__all__ = [
    "Exchange",
    "Item",
    "MultiTurnTask",
    "SingleTurnTask",
    "Task",
    "Verdict",
    "VerdictState",
    "label_of",
    "size_of",
]

MOST_TURNS = 1000
_item_streams = lru_cache(64)(partial(streams, "item"))


@dataclass(slots=True)
class Exchange:
    """The state of a single-turn episode."""

    item: Item
    reply: str | None = None


class Task:
    """What single-turn and multi-turn tasks share; set the attributes that differ."""

    id: ClassVar[str] = ""  # "namespace/name-vN"; set by registration
    floor: ClassVar[float] = 0.0  # expected reward of the best guesser that ignores the prompt
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    stop: ClassVar[tuple[str, ...]] = ()  # a reply ends at the first of these; the text itself is cut off
    max_new_tokens: ClassVar[int] = 256  # per reply
    max_turns: ClassVar[int] = 1
    system: ClassVar[str | None] = None
    few_shot: ClassVar[tuple[tuple[str, str], ...]] = ()
    reads_late: ClassVar[bool] = False  # counting its items may need data, and waits until they are wanted
    fresh_context: ClassVar[bool] = False  # every observation opens a context of its own: nothing before it is seen
    free_form: ClassVar[bool] = False  # a reply may hold more than its answer: several at once are no fault
    grouped: ClassVar[bool] = False  # replies to one item are judged against each other, so equal ones all count

    def __init__(self, **difficulty: Any) -> None:
        """Keep the difficulty: keyword arguments of `generate`."""
        allowed = list(inspect.signature(self.generate).parameters)[1:]
        for name in difficulty:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise BadValue(f"task {self.id!r} has no option {name!r}; its options: {known}")
        try:
            json.dumps(difficulty)
        except (
            TypeError,
            ValueError,
            RecursionError,
        ) as problem:  # they are part of what names an item, and of records
            raise BadValue(f"options of task {self.id!r} must be JSON values: {problem}") from problem
        self.difficulty = difficulty

    @property
    def label(self) -> str:
        """The id, with the options that were given: ``me/sums-v0@level=2``, as `load_task` reads it."""
        return label_of(self.id, self.difficulty)

    # -- what an author writes ------------------------------------------------------------------------------------
    def generate(self, rng: random.Random) -> Item:
        """Return one random problem, drawing from ``rng`` alone."""
        raise NotImplementedError(f"task {self.id!r} must define generate(rng)")

    # -- items ----------------------------------------------------------------------------------------------------
    def n_items(self, split: str) -> int | None:
        """Return how many items a split has; None: endless (drawn by index)."""
        return None

    def item(self, split: str, index: int) -> Item:
        """Return item ``index`` of a split (train, validation, test, or test:SALT): the same for ever.

        Raises:
            BadValue: no such split, or a negative index.
            TaskFault: `generate` raised, or returned something else than an `Item` that can be written down.
        """
        side = check_split(split)
        if index < 0:
            raise BadValue(f"an index of task {self.id!r} is at least 0, got {index}")
        options = json.dumps(self.difficulty, sort_keys=True) if self.difficulty else "{}"
        draw = _item_streams(self.id, options, split)
        for attempt in range(1000):
            found = self._generate(draw(index, attempt))
            fault = item_fault(found)
            if fault:
                raise TaskFault(f"task {self.id!r}, item {split}[{index}]: {fault}")
            if split_of(self.id, found.prompt) == side:
                return Item(found.prompt, found.truth, found.meta, index, split)
        raise TaskFault(
            f"task {self.id!r}: none of 1000 drawn prompts belongs to {side!r}; its prompts vary too little"
        )

    def identity(self) -> str:
        """Return what else decides items and scores and stands neither in the source nor in the settings: data, say."""
        return ""

    def host(self) -> Mapping[str, str]:
        """Return what of this machine is to stand in records and decides no verdict: the level of a sandbox, say."""
        return {}

    def _own(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call what the author wrote under ``name``; what it raises becomes a `TaskFault` in one line."""
        try:
            return getattr(self, name)(*args, **kwargs)
        except (EggymError, KeyboardInterrupt):
            raise
        except BaseException as problem:  # a user's code may raise anything, and sys.exit() is no way out of a run
            raise TaskFault(f"task {self.id!r}: {name} raised {told(problem)}") from problem

    def _generate(self, rng: random.Random) -> Item:
        found = self._own("generate", rng, **self.difficulty)
        if not isinstance(found, Item) or not isinstance(found.prompt, str):
            raise TaskFault(f"task {self.id!r}: generate must return an Item whose prompt is a str, got {found!r:.80}")
        return found

    def _best(self, state: Any) -> str | None:
        """Return what the author's ``oracle`` says: a text or None."""
        best = self._own("oracle", state)
        if best is None or isinstance(best, str):
            return best
        raise TaskFault(f"task {self.id!r}: oracle must return a str or None, got {best!r:.60}")

    # -- one episode ----------------------------------------------------------------------------------------------
    def begin(self, item: Item, rng: random.Random) -> Any:
        """Return the state of a new episode, plain and picklable; the first observation is ``item.prompt``."""
        raise NotImplementedError("subclass SingleTurnTask or MultiTurnTask")

    def step(self, state: Any, text: str) -> tuple[str, bool]:
        """Take one reply; return the next observation and whether the episode is over."""
        raise NotImplementedError("subclass SingleTurnTask or MultiTurnTask")

    def judge(self, state: Any) -> Verdict:
        """Return the verdict on a finished (or cut) episode. Never raises: a failing grader is state ``error``."""
        raise NotImplementedError("subclass SingleTurnTask or MultiTurnTask")

    def judge_all(self, states: Sequence[Any]) -> list[Verdict]:
        """Return the verdicts on many episodes, in their order, as `judge` would."""
        return [self.judge(state) for state in states]

    def earned(self, state: Any) -> float:
        """Return how much of the episode's return has been earned so far; 0 where a task does not say."""
        return 0.0

    def oracle_reply(self, state: Any) -> str | None:
        """Return the best next reply in this state, or None where none is known."""
        return None

    def _guard(self, score: Callable[[], Any]) -> Verdict:
        return judged(self.id, self.reward_range, score)


class SingleTurnTask(Task):
    """One prompt, one reply: override `generate` and `score`, and `oracle` if you can."""

    def score(self, item: Item, reply: str) -> float | Verdict:
        """Judge a reply; a pure function. A number in ``reward_range``, or a whole `Verdict`."""
        if not self._has_batch_scorer:
            raise NotImplementedError(f"task {self.id!r} must define score(item, reply)")
        found: float | Verdict = self._batch([item], [reply])[0]
        return found

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> Sequence[float | Verdict]:
        """Judge many replies in one call, each with its item: for scorers that batch, such as a reward model.

        Override it instead of `score`, or beside it. What is returned for a reply must not depend on the others, unless
        the class says ``grouped = True``: then replies whose item is the same object are one group.
        """
        return [self.score(item, reply) for item, reply in zip(items, replies, strict=True)]

    def oracle(self, item: Item) -> str | None:
        """Return a reply of the highest reward, or None where none is known."""
        return None

    def begin(self, item: Item, rng: random.Random) -> Exchange:
        """Start an episode."""
        return Exchange(item)

    def step(self, state: Exchange, text: str) -> tuple[str, bool]:
        """Take the reply; the episode is over."""
        state.reply = text
        return "", True

    def judge(self, state: Exchange) -> Verdict:
        """Return the verdict; a scorer that raises gives state ``error``."""
        return self._guard(lambda: self.score(state.item, state.reply or ""))

    def judge_all(self, states: Sequence[Exchange]) -> list[Verdict]:
        """Return the verdicts; equal replies to one item object are judged once, unless they are ``grouped``."""
        if not self.is_plain:
            return super().judge_all(states)
        if self.grouped:
            return self._judge_batch(states)
        distinct: dict[tuple[int, str | None], Exchange] = {}
        places = [(id(state.item), state.reply) for state in states]
        for place, state in zip(places, states, strict=True):
            distinct.setdefault(place, state)
        asked = list(distinct.values())
        verdicts = self._judge_batch(asked) if self._has_batch_scorer else [self.judge(state) for state in asked]
        known = dict(zip(distinct, verdicts, strict=True))
        return [known[place] for place in places]

    @property
    def is_plain(self) -> bool:
        """Whether a verdict depends on item and reply alone: by the house's own begin, step and judge."""
        kind = type(self)
        return all(getattr(kind, name) is getattr(SingleTurnTask, name) for name in ("begin", "step", "judge"))

    @property
    def _has_batch_scorer(self) -> bool:
        return type(self).score_all is not SingleTurnTask.score_all

    def _judge_batch(self, states: Sequence[Exchange]) -> list[Verdict]:
        items, replies = [state.item for state in states], [state.reply or "" for state in states]
        try:
            found = self._batch(items, replies)
        except EggymError as problem:
            if len(states) == 1 or self.grouped:
                return [Verdict(None, VerdictState.ERROR, why=writable(str(problem)))] * len(states)
            return [self._judge_batch([state])[0] for state in states]  # one that fails takes no other along
        return [self._guard(lambda one=one: one) for one in found]  # type: ignore[misc]  # a default binds the value

    def _batch(self, items: Sequence[Item], replies: Sequence[str]) -> list[Any]:
        found = self._own("score_all", items, replies)
        if isinstance(found, str) or not hasattr(found, "__len__") or not hasattr(found, "__iter__"):
            raise TaskFault(f"task {self.id!r}: score_all must return a list, one entry per reply; got {found!r:.60}")
        if len(found) != len(replies):
            raise TaskFault(f"task {self.id!r}: score_all gave {len(found)} verdicts on {len(replies)} replies")
        return list(found)

    def oracle_reply(self, state: Exchange) -> str | None:
        """Return the best reply."""
        return self._best(state.item)


class MultiTurnTask(Task):
    """Several turns: override `generate`, `start`, `reply` and `score`, and `oracle` if you can.

    The state is a plain picklable object that `start` returns and `reply` changes in place.
    """

    max_turns: ClassVar[int] = 8

    def start(self, item: Item, rng: random.Random) -> Any:
        """Return the state of a new episode. ``rng`` is equal for all members that answer the same item."""
        raise NotImplementedError(f"task {self.id!r} must define start(item, rng)")

    def reply(self, state: Any, text: str) -> tuple[str, bool]:
        """Take the model's text; return the environment's answer and whether the episode is over."""
        raise NotImplementedError(f"task {self.id!r} must define reply(state, text)")

    def score(self, state: Any) -> float | Verdict:
        """Judge an episode by its last state, also one that was cut short: its whole return."""
        raise NotImplementedError(f"task {self.id!r} must define score(state)")

    def so_far(self, state: Any) -> float:
        """Return how much of the return has been earned so far: the reward of a turn is what it adds to this.

        Optional. The last turn gets what `score` has beyond it, so that the turns always sum to the return.
        """
        return 0.0

    def oracle(self, state: Any) -> str | None:
        """Return the best next reply in this state, or None where none is known."""
        return None

    def begin(self, item: Item, rng: random.Random) -> Any:
        """Start an episode; a failure of the author's code is a `TaskFault`."""
        return self._own("start", item, rng)

    def step(self, state: Any, text: str) -> tuple[str, bool]:
        """Take one reply; a failure of the author's code is a `TaskFault`."""
        answer = self._own("reply", state, text)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], str)):
            raise TaskFault(f"task {self.id!r}: reply must return (text, whether it is over), got {answer!r:.60}")
        return writable(answer[0]), bool(answer[1])

    def judge(self, state: Any) -> Verdict:
        """Return the verdict; a scorer that raises gives state ``error``."""
        return self._guard(lambda: self.score(state))

    def earned(self, state: Any) -> float:
        """Return `so_far`, checked; a failure of the author's code is a `TaskFault`."""
        if type(self).so_far is MultiTurnTask.so_far:
            return 0.0
        found = as_float(self._own("so_far", state))
        if not math.isfinite(found):
            raise TaskFault(f"task {self.id!r}: so_far must return a finite number, got {found!r}")
        return found

    def oracle_reply(self, state: Any) -> str | None:
        """Return the best next reply."""
        return self._best(state)


def label_of(task_id: str, difficulty: Mapping[str, Any]) -> str:
    """Return an id with its options: ``me/sums-v0@level=2,mode=all``."""
    options = ",".join(f"{name}={_short(value)}" for name, value in sorted(difficulty.items()))
    return f"{task_id}@{options}" if options else task_id


def _short(value: Any) -> str:
    """Return an option's value as `load_task` would read it behind ``@``."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def size_of(task: Task, split: str) -> int | None:
    """Return `Task.n_items`: how many items a split has, or None for endless.

    Raises:
        TaskFault: it raised, or returned something else.
    """
    size = task._own("n_items", split)
    if size is None or (is_whole(size) and size >= 0):
        return None if size is None else int(size)
    raise TaskFault(f"task {task.id!r}: n_items({split!r}) must return a whole number or None, got {size!r:.60}")
