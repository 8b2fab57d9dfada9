"""Find a hidden number, asked in a sentence: halving, for models that can read.

Prompt:  the range, such as "from 4172 to 4271"; its lower end is drawn from 1 to 10,000, so that splits share no range.
Turns:   as many as halving needs, and ``slack`` (1) more: 8 for 100 numbers. A guess is ``<guess>4200</guess>``, read
         as `eggym.envs.guessing` says: ASCII digits alone. The answer, ``Higher`` or ``Lower``, repeats the guess.
Reward:  1 if the number was named within the turns, else 0; ``reward="faster"`` pays less for more turns than halving
         takes. No credit for coming near: it would pay for not finishing.
Floor:   0.1 %: eight fixed numbers in the middle. (Halving 1 to 10,099 without reading the range: 2.5 %.)
Options: ``numbers`` (100), how many there are in the range; ``slack``; ``reward``.
Source:  ours; procedural. `eggym.envs.guess` is the same game for the embedded model.
"""

import random
import re
from typing import Any, ClassVar

from eggym.task import Item

from .guessing import GuessingGame, Hunt

LARGEST_START = 10_000
_NUMBER = re.compile(r"[0-9]{1,9}")


class GuessNumber(GuessingGame):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/guess-number-v0"
    floor: ClassVar[float] = 8 / LARGEST_START
    max_new_tokens: ClassVar[int] = 256
    max_turns: ClassVar[int] = 8

    def __init__(self, **options: Any) -> None:
        """Set the floor of these options."""
        super().__init__(**options)
        # A fixed guess in the middle is in a range by numbers / 10,000, and then right by 1 / numbers.
        vars(self)["floor"] = min(0.99, self.max_turns / max(LARGEST_START, self.options["numbers"]))

    def n_turns(self) -> int:
        """Return what halving needs at most, and the slack."""
        return self.within("numbers", 2, 10**6).bit_length() + self.within("slack", 0, 100)

    def generate(self, rng: random.Random, numbers: int = 100, slack: int = 1, reward: str = "solved") -> Item:
        """Draw a range, then a number in it."""
        low = rng.randint(1, LARGEST_START)
        high = low + numbers - 1
        prompt = (
            f"I have thought of a whole number from {low} to {high}. Find it within {numbers.bit_length() + slack} "
            "guesses; I answer each guess with Higher, if my number is higher than it, or Lower.\n"
            f"End every reply with one guess, in this form: <guess>{low}</guess>"
        )
        return self.with_par(Item(prompt, rng.randint(low, high), {"low": low, "high": high}))

    def read(self, state: Hunt, text: str) -> str | None:
        """Read a whole number; one outside the range is a guess too."""
        return str(int(text)) if _NUMBER.fullmatch(text) else None

    def answer(self, state: Hunt, guess: str) -> str:
        """Point from the guess to the number."""
        return f"{'Higher' if state.secret > int(guess) else 'Lower'} than {guess}."

    def oracle(self, state: Hunt) -> str:
        """Halve what is left."""
        low, high = state.meta["low"], state.meta["high"]
        for guess, answer in state.known():
            if answer.startswith("Higher"):
                low = max(low, int(guess) + 1)
            else:
                high = min(high, int(guess) - 1)
        return str((low + high) // 2)
