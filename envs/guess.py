"""Find a hidden number: the smallest task of several turns.

Prompt:  ``guess 20-34:``; a range of 12 to 15 numbers between 0 and 99 (350 prompts; splits share none).
Turns:   at most 4. The reply is a number; the answer is ``high`` (the guess is above the number), ``low`` (below it)
         or ``number?`` (nothing could be read), and each costs a turn.
Reward:  1 if the number was named within the 4 turns, else 0. No part credit for coming near: halving always wins in 4,
         so every better guess raises the chance to win, and credit for nearness would pay for not finishing.
Floor:   17 %: halving a fixed set of 15 numbers, without looking at the range.
Source:  ours; procedural.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from eggym.task import Item, MultiTurnTask, Verdict, VerdictState

LARGEST = 99
SIZES = (12, 15)  # smallest and largest range, in numbers; 15 is what four halvings can part
_NUMBER = re.compile(r"[0-9]{1,3}")


@dataclass(slots=True)
class Search:
    """What is known so far. ``guesses`` holds None where no number could be read."""

    secret: int
    low: int  # lowest number still possible, by the range and the answers
    high: int
    kind: str = ""
    guesses: list[int | None] = field(default_factory=list)


class Guess(MultiTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/guess-v0"
    floor: ClassVar[float] = 0.17
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 3
    max_turns: ClassVar[int] = 4
    habit_kinds: ClassVar[frozenset[str]] = frozenset("01234567")

    def generate(self, rng: random.Random) -> Item:
        """Draw a range, then a number in it."""
        size = rng.randint(*SIZES)
        low = rng.randint(0, LARGEST + 1 - size)
        high = low + size - 1
        meta: Mapping[str, Any] = {"low": low, "high": high}
        return Item(f"guess {low}-{high}:", truth=rng.randint(low, high), meta=meta)

    def start(self, item: Item, rng: random.Random) -> Search:
        """Begin with the whole range."""
        return Search(item.truth, item.meta["low"], item.meta["high"], self.kind(item))

    def reply(self, state: Search, text: str) -> tuple[str, bool]:
        """Answer a guess. Exactly one number, spaces around it ignored, is read; behind the end nothing is."""
        if state.secret in state.guesses or len(state.guesses) >= self.max_turns:
            return "", True
        match = _NUMBER.fullmatch(text.strip())
        guess = int(match[0]) if match else None
        state.guesses.append(guess)
        done = guess == state.secret or len(state.guesses) >= self.max_turns
        if guess is None:
            return "number?", done
        if guess < state.secret:
            state.low = max(state.low, guess + 1)
            return "low", done
        if guess > state.secret:
            state.high = min(state.high, guess - 1)
            return "high", done
        return "", done

    def score(self, state: Search) -> Verdict:
        """Judge by the last guess."""
        read = [guess for guess in state.guesses if guess is not None]
        if not read:
            return Verdict(0.0, VerdictState.UNPARSED, why="no number in any reply")
        found = ",".join("?" if guess is None else str(guess) for guess in state.guesses)
        if state.secret in read:
            return Verdict(1.0, VerdictState.CORRECT, found, f"found in {len(state.guesses)} turns")
        return Verdict(0.0, VerdictState.WRONG, found, f"the number was {state.secret}")

    def oracle(self, state: Search) -> str:
        """Halve what is left; wins within 4 turns if asked from the start."""
        return str((state.low + state.high) // 2)

    def kind(self, item: Item) -> str:
        """Return what the base's habit depends on: the last digit of the range's lower end."""
        return str(item.meta["low"])[-1]

    def habit(self, state: Search, rng: random.Random) -> str:
        """Return the bad habit: after a first guess in the middle, count upwards, whatever the answers."""
        last = next((guess for guess in reversed(state.guesses) if guess is not None), None)
        return self.oracle(state) if last is None else str(min(LARGEST, last + 1))
