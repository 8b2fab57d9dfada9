"""A program with several attempts: after one that fails, the model sees on what, and may correct it.

Prompt:  that of another task on programs (option ``task``; stdin-stdout, which has rows of its own, unless set).
Turns:   at most ``turns``, 2 to 8 (3 unless set). A reply holds a whole program, as the inner task reads it. If one of
         the tests that count fails, the next observation gives the first of them: the call or the standard input, cut
         to 200 characters, and what the program came to: its own exception with the lines it passed through, the limit
         that ended it, or that the result was wrong. What the test expects is never told. The episode ends early when
         every test passes.
Reward:  at the end: that of the last program, as the inner task pays it (``reward=all`` or ``share``).
Floor:   that of the inner task: a reply that ignores the prompt is no better for being said again.
Options: ``task`` and ``turns``; ``data`` and all others go to the inner task.
Source:  ours. Programs run while the episode goes on, one after the other: environments step their rows one by one.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from eggym.digest import digest
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.task import Item, MultiTurnTask, Verdict, VerdictState
from eggym.values import is_whole

from .box_terms import Outcome
from .box_terms import Verdict as Found
from .code_task import CodeTask

INNER = "eggym/stdin-stdout-v0"
FEWEST, MOST = 2, 8
_FROM_INNER = ("floor", "reward_range", "stop", "max_new_tokens", "system", "few_shot", "reads_late")
_AGAIN = "Answer with the whole corrected program, in one fenced block."
_NO_PROGRAM = "no program was found in your reply, or one that is too long."


@dataclass(slots=True)
class Attempts:
    """One problem being worked on."""

    item: Item
    n_replies: int = 0
    verdict: Verdict | None = None  # on the last program


class Repair(MultiTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/repair-v0"
    max_turns: ClassVar[int] = 3

    def __init__(self, task: str = INNER, turns: int = 3, data: Any = None, **options: Any) -> None:
        """``task`` is asked, with ``options`` and the rows of ``data``; its settings become this one's."""
        if not is_whole(turns) or not FEWEST <= turns <= MOST:
            raise BadValue(f"turns of task {self.id!r} is a whole number from {FEWEST} to {MOST}, got {turns!r:.40}")
        inner = load_task(task, **options, **({} if data is None else {"data": data}))
        if not isinstance(inner, CodeTask) or not inner.is_plain:
            raise BadValue(f"task {self.id!r} repairs programs; {inner.id!r} asks for none (mbpp, for example, does)")
        given = {"task": task, "turns": turns}
        usual = {"task": INNER, "turns": 3}
        self.difficulty = {k: v for k, v in given.items() if v != usual[k]} | options
        self.inner, self.data = inner, data
        vars(self).update({name: getattr(inner, name) for name in _FROM_INNER}, max_turns=turns)

    def identity(self) -> str:
        """Return the inner task's digest: its source, settings, items, and the sandbox's rules."""
        return digest(self.inner)

    def host(self) -> Mapping[str, str]:
        """Return the level of the sandbox."""
        return self.inner.host()

    def n_items(self, split: str) -> int | None:
        """Return how many items the inner task has."""
        return self.inner.n_items(split)

    def item(self, split: str, index: int) -> Item:
        """Return the inner task's item."""
        return self.inner.item(split, index)

    def generate(self, rng: random.Random) -> Item:
        """Return a random item of train; `item` does not need it."""
        size = self.n_items("train")
        return self.item("train", rng.randrange(10**9 if size is None else size))

    def start(self, item: Item, rng: random.Random) -> Attempts:
        """Begin, with nothing tried."""
        return Attempts(item)

    def reply(self, state: Attempts, text: str) -> tuple[str, bool]:
        """Run the program of a reply; tell the first test that it fails."""
        work = self.inner.work(state.item, text)
        (found,) = self.inner.grading.run([work])
        state.verdict = self.inner.grading.verdict(work, found)
        state.n_replies += 1
        over = state.verdict.state in (VerdictState.CORRECT, VerdictState.ERROR) or state.n_replies == self.max_turns
        return "" if over else f"{_told(found)}\n{_AGAIN}", over

    def score(self, state: Attempts) -> Verdict:
        """Return the verdict on the last program."""
        return state.verdict or self.inner.grading.verdict(None, None)

    def oracle(self, state: Attempts) -> str | None:
        """Return the inner task's best reply."""
        return self.inner.oracle(state.item)


def _told(found: Found | None) -> str:
    """Return what a model may know of a failure; `Outcome.why` is not for it, as it may tell what was expected."""
    if found is None:
        return f"The program cannot be run: {_NO_PROGRAM}"
    first: Outcome = next(test for test in found.tests if not test.passed)
    given = f"The program fails on:\n{first.given.rstrip()}" if first.given else "The program fails."
    return f"{given}\nWhat happened:\n{first.fault or 'The result was wrong.'}"
