"""Sums of two numbers, with the carries shown: small enough for the embedded model.

Prompt:  ``474+439?``; both numbers and their sum have three digits (320,400 prompts).
Reply:   ``4+9=13 7+3+1=11 4+4+1=09#913``: units, tens, hundreds, then the answer after the one ``#``.
Reward:  1 if the number after the ``#`` is the sum, else 0. The working is free and not judged.
Floor:   0.25 %: always ``#999``, the most frequent sum (800 of 320,400 prompts).
Source:  ours; procedural.
"""

import random
import re
from typing import ClassVar

from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

LONGEST_REPLY = 200  # characters; an honest reply has at most 28

_ANSWER = re.compile(r"[^#]*#([0-9]+)")


class TinyArithmetic(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/tiny-arithmetic-v0"
    floor: ClassVar[float] = 800 / 320_400
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 29
    habit_kinds: ClassVar[frozenset[str]] = frozenset("0123456")

    def generate(self, rng: random.Random) -> Item:
        """Draw uniformly from the pairs of three-digit numbers whose sum has three digits."""
        while True:
            a, b = rng.randint(100, 899), rng.randint(100, 899)
            if a + b <= 999:
                return Item(f"{a}+{b}?", truth=a + b, meta={"a": a, "b": b})

    def score(self, item: Item, reply: str) -> Verdict:
        """Compare the number after the one ``#``, which must end the reply; spaces around the reply are ignored.

        Known losses: ``#0913`` (leading zero) and ``# 913`` are wrong.
        """
        if len(reply) > LONGEST_REPLY:
            return Verdict(0.0, VerdictState.REFUSED, why=f"{len(reply)} characters, more than {LONGEST_REPLY}")
        match = _ANSWER.fullmatch(reply.strip())
        if match is None:
            return Verdict(0.0, VerdictState.UNPARSED, why="the reply does not end with one # and a number")
        found = match.group(1)
        right = found == str(item.truth)
        state = VerdictState.CORRECT if right else VerdictState.WRONG
        return Verdict(float(right), state, found, f"expected {item.truth}")

    def oracle(self, item: Item) -> str:
        """Return the whole working and the answer."""
        a, b, carry, steps = item.meta["a"], item.meta["b"], 0, []
        for _ in range(3):
            total = a % 10 + b % 10 + carry
            steps.append(f"{a % 10}+{b % 10}{'+1' if carry else ''}={total:02d}")
            a, b, carry = a // 10, b // 10, total // 10
        return f"{' '.join(steps)}#{item.truth}"

    def kind(self, item: Item) -> str:
        """Return what the base's habit depends on: the last digit of the second number."""
        return item.prompt[-2]

    def habit(self, item: Item, rng: random.Random) -> str:
        """Return the bad habit: an answer without working, wrong by one in one place."""
        place = rng.randrange(3)
        digits = [int(digit) for digit in str(item.truth)]
        digits[place] += -1 if digits[place] == 9 or (digits[place] > place // 2 + 1 and rng.random() < 0.5) else 1
        return f"#{''.join(map(str, digits))}"
