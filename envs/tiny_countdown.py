"""Reach a number from three given ones: a skill that the embedded model has only begun to learn.

Prompt:  ``5 from 2 9 6:``; numbers from 1 to 30, targets from 1 to 99 (187,538 prompts, all solvable).
Reply:   ``2+9=11,11-6=5``; two steps with ``+``, ``-`` or ``*``, parted by a comma.
Reward:  1 if every step is true, every given number is used exactly once, and the last one left is the target; else 0.
Floor:   0.02 %: the best fixed reply, counted over 100,000 prompts.
Source:  ours; procedural. The embedded base has no bad habit here.
"""

import itertools
import operator
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

LONGEST_REPLY = 200  # characters; an honest reply has at most 19
LARGEST_NUMBER, LARGEST_TARGET = 30, 99

_OPERATIONS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_STEP = re.compile(r"([0-9]{1,4})([+\-*])([0-9]{1,4})=([0-9]{1,8})")


class TinyCountdown(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/tiny-countdown-v0"
    floor: ClassVar[float] = 0.0002
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 20
    habit_kinds: ClassVar[frozenset[str]] = frozenset()

    def generate(self, rng: random.Random) -> Item:
        """Draw three numbers and two operations in some order; keep targets in range, and no negative results."""
        while True:
            numbers = [rng.randint(1, LARGEST_NUMBER) for _ in range(3)]
            a, b, c = rng.sample(numbers, 3)
            between = _OPERATIONS[rng.choice("+-*")](a, b)
            target = _OPERATIONS[rng.choice("+-*")](*rng.sample((between, c), 2))
            if between >= 0 and 1 <= target <= LARGEST_TARGET:
                text = " ".join(map(str, numbers))
                return Item(f"{target} from {text}:", truth={"target": target, "numbers": numbers})

    def score(self, item: Item, reply: str) -> Verdict:
        """Follow the steps; spaces around the reply are ignored, and nothing else is repaired.

        Known loss: a negative result in between cannot be written.
        """
        if len(reply) > LONGEST_REPLY:
            return Verdict(0.0, VerdictState.REFUSED, why=f"{len(reply)} characters, more than {LONGEST_REPLY}")
        body = reply.strip()
        steps = [_STEP.fullmatch(step) for step in body.split(",")]
        left = Counter(item.truth["numbers"])
        for number, step in enumerate(steps, 1):
            if step is None:
                return Verdict(0.0, VerdictState.UNPARSED, why=f"step {number} is not like 2+9=11")
            why = _take(step, left)
            if why:
                return Verdict(0.0, VerdictState.WRONG, body, why)
        if left != Counter([item.truth["target"]]):
            rest = " ".join(map(str, left.elements()))
            return Verdict(0.0, VerdictState.WRONG, body, f"left over: {rest}; {item.truth['target']} expected")
        return Verdict(1.0, VerdictState.CORRECT, body, "target reached")

    def oracle(self, item: Item) -> str:
        """Return the first solution in a fixed order: numbers as given first, + before - before *."""
        target = item.truth["target"]
        for a, b, c in itertools.permutations(item.truth["numbers"]):
            for one, two in itertools.product("+-*", repeat=2):
                between = _OPERATIONS[one](a, b)
                for left, right in ((between, c), (c, between)):
                    if between >= 0 and _OPERATIONS[two](left, right) == target:
                        return f"{a}{one}{b}={between},{left}{two}{right}={target}"
        raise AssertionError(f"{item.prompt!r} has no solution, though it was drawn with one")

    def kind(self, item: Item) -> str:
        """Return what a habit could depend on: nothing."""
        return ""

    def habit(self, item: Item, rng: random.Random) -> str:
        """Return what the base is taught in the habit stage too: the solution."""
        return self.oracle(item)


def _take(step: re.Match[str], left: Counter[int]) -> str:
    """Replace the step's two numbers by its result; return what is wrong with it, or an empty text."""
    a, b, result = int(step[1]), int(step[3]), int(step[4])
    if _OPERATIONS[step[2]](a, b) != result:
        return f"{step[0]} is not true"
    for number in (a, b):
        if not left[number]:
            return f"{step[0]} uses {number}, which is not there"
        left[number] -= 1
    left[result] += 1
    left += Counter()  # drops what is used up
    return ""
