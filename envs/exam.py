"""An exam: any single-turn task, asked several times, with one reward at the end.

Prompt:  the prompt of the first question, as the inner task asks it (option ``task``; tiny-arithmetic unless set).
Turns:   exactly ``turns``, 1 to 64 (4 unless set), each question in a fresh context: the model never sees more than
         one, nor how many there are. Item i holds the inner items i*turns to (i+1)*turns - 1, all of the exam's own
         split.
Reward:  of the whole exam, told at the end alone. ``mode=sum`` (the default): the mean mark. ``mode=all``: the product
         of the marks, as shares of their range, so that one wrong answer fails the exam. ``mode=needle``: the mark of
         one question, drawn once for each item and never disclosed; the others are distractors. With one turn each mode
         is the inner task, to the prompt and the reward.
Floor:   by the inner task's: the same for ``sum`` and ``needle``; for ``all`` its share to the power of ``turns``.
Source:  ours. The distance from an answer to its reward is set; what has to be learnt stays the same.
"""

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, ClassVar

from eggym.digest import digest
from eggym.errors import BadValue, unknown
from eggym.registry import load_task
from eggym.seeding import stream
from eggym.task import Exchange, Item, MultiTurnTask, SingleTurnTask, Verdict, VerdictState

from .turns import set_turns

INNER = "eggym/tiny-arithmetic-v0"
MODES = ("sum", "all", "needle")
_FROM_INNER = ("reward_range", "stop", "max_new_tokens", "system", "few_shot", "reads_late", "grouped")


@dataclass(slots=True)
class Sitting:
    """One exam being taken."""

    questions: list[Item]
    counting: list[int]  # which of them count
    replies: list[str] = field(default_factory=list)


class Exam(MultiTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/exam-v0"
    max_turns: ClassVar[int] = 4
    fresh_context: ClassVar[bool] = True

    def __init__(self, data: Any = None, **options: Any) -> None:
        """Options: ``task`` (an id, a file, or module:NAME, options behind it), ``turns`` and ``mode``.

        Args:
            data: where an inner task of rows finds them; only their content is part of what names the exam.
        """
        super().__init__(**options)
        set_turns(self, options.get("turns", self.max_turns))
        self.mode, self.data = options.get("mode", MODES[0]), data
        if self.mode not in MODES:
            raise unknown(f"mode of task {self.id}", str(self.mode), MODES)
        self.inner = load_task(options.get("task", INNER), **({} if data is None else {"data": data}))
        if not isinstance(self.inner, SingleTurnTask) or self.inner.max_turns > 1:
            raise BadValue(f"task {self.id!r} asks tasks of one turn; {self.inner.id!r} is none")
        vars(self).update({name: getattr(self.inner, name) for name in _FROM_INNER}, floor=self._floor())

    def _floor(self) -> float:
        floor, (low, high) = self.inner.floor, self.inner.reward_range
        if self.mode != "all" or self.max_turns == 1:
            return floor
        return low + (high - low) * ((floor - low) / (high - low)) ** self.max_turns

    # -- items ----------------------------------------------------------------------------------------------------
    def generate(self, rng: random.Random, task: str = INNER, turns: int = 4, mode: str = MODES[0]) -> Item:
        """Return a random item of train; `item` does not need it."""
        size = self.n_items("train")
        return self.item("train", rng.randrange(10**9 if size is None else size))

    def n_items(self, split: str) -> int | None:
        """Return how many whole exams the inner task's items give."""
        size = self.inner.n_items(split)
        return None if size is None else size // self.max_turns

    def item(self, split: str, index: int) -> Item:
        """Return one exam; its questions are of the split that is asked for, as the inner task says.

        Raises:
            BadValue: no such split, or no such index.
        """
        size = self.n_items(split)
        if index < 0 or (size is not None and index >= size):
            raise BadValue(f"task {self.id!r} has no item {index} in {split!r}; it has {size or 'endlessly many'}")
        turns = self.max_turns
        questions = [self.inner.item(split, index * turns + place) for place in range(turns)]
        needle = stream("exam", self.inner.label, turns, split, index).randrange(turns)
        counting = [needle] if self.mode == "needle" else list(range(turns))
        rows = [dataclasses.asdict(question) | {"meta": dict(question.meta)} for question in questions]
        return Item(questions[0].prompt, {"questions": rows, "counting": counting}, {}, index, split)

    def identity(self) -> str:
        """Return the inner task's digest: its source, settings, items and data."""
        return digest(self.inner)

    def host(self) -> Mapping[str, str]:
        """Return what the inner task says."""
        return self.inner.host()

    # -- one episode ----------------------------------------------------------------------------------------------
    def start(self, item: Item, rng: random.Random) -> Sitting:
        """Sit down."""
        return Sitting([Item(**row) for row in item.truth["questions"]], list(item.truth["counting"]))

    def reply(self, state: Sitting, text: str) -> tuple[str, bool]:
        """Take one answer unread and put the next question: every turn looks the same, whether it counts or not."""
        state.replies.append(text)
        done = len(state.replies) == len(state.questions)
        return ("" if done else state.questions[len(state.replies)].prompt), done

    def judge(self, state: Sitting) -> Verdict:
        """Return the verdict on one exam."""
        return self.judge_all([state])[0]

    def judge_all(self, states: Sequence[Sitting]) -> list[Verdict]:
        """Judge every question that counts, in all exams, in one call of the inner task.

        A question that was not reached is judged by an empty reply.
        """
        known: dict[tuple[str, int, str], Item] = {}  # equal questions are one object, by which the inner task groups
        asked = []
        for state in states:
            for place in state.counting:
                question = state.questions[place]
                question = known.setdefault((question.split, question.index, question.prompt), question)
                asked.append(Exchange(question, state.replies[place] if place < len(state.replies) else None))
        marks = iter(self.inner.judge_all(asked))
        return [self._guard(partial(self._sum, list(islice(marks, len(state.counting))))) for state in states]

    def score(self, state: Sitting) -> Verdict:
        """Return the verdict on one exam."""
        return self.judge(state)

    def _sum(self, marks: list[Verdict]) -> Verdict:
        """Return the verdict on an exam by those on the questions that count; one that failed fails the whole."""
        if len(marks) == 1:
            return marks[0]
        failed = next((mark for mark in marks if mark.reward is None), None)
        if failed is not None:
            return failed
        low, high = self.reward_range
        shares = [((mark.reward or 0.0) - low) / (high - low) for mark in marks]
        share = sum(shares) / len(shares) if self.mode == "sum" else _product(shares)
        reward = min(high, low + (high - low) * share)
        states = {mark.state for mark in marks}
        state = states.pop() if len(states) == 1 else VerdictState.WRONG
        n_right = sum(mark.state is VerdictState.CORRECT for mark in marks)
        return Verdict(reward, state, None, f"{n_right} of {len(marks)} right", {"right": n_right / len(marks)})

    # -- what the inner task knows --------------------------------------------------------------------------------
    def oracle(self, state: Sitting) -> str | None:
        """Return the inner task's best reply to the question at hand."""
        return self.inner.oracle_reply(Exchange(state.questions[len(state.replies)]))

    def kind(self, item: Item) -> Any:
        """Return the inner task's kind of the first question, where it has kinds."""
        return self._known("kind", Item(**item.truth["questions"][0]))

    def habit(self, state: Sitting, rng: random.Random) -> Any:
        """Return the bad habit that the inner task has on the question at hand, where it has one."""
        return self._known("habit", state.questions[len(state.replies)], rng)

    @property
    def habit_kinds(self) -> frozenset[str]:
        """The inner task's; none where it has no habit."""
        return getattr(self.inner, "habit_kinds", frozenset())

    def _known(self, name: str, *args: Any) -> Any:
        if not hasattr(self.inner, name):
            raise BadValue(f"task {self.inner.id!r} in {self.id!r} has no {name}")
        return getattr(self.inner, name)(*args)


def _product(shares: list[float]) -> float:
    product = 1.0
    for share in shares:
        product *= share
    return product
