"""Mastermind in words: find a code of colours from how many pegs are right.

Prompt:  the rules, the colours of this game (drawn from twelve), and an opening guess with its answer. The opening is
         drawn with the code, so that prompts, and with them splits, differ in what they ask; it never tells the code.
Turns:   at most ``turns`` (8). A guess is ``<guess>red blue blue green</guess>``, read as `eggym.envs.guessing` says;
         commas between colours are fine. Black: right colour, right place. White: right colour, wrong place; each peg
         of the code counts once, so white is the overlap of the two multisets of colours less the black.
Reward:  1 if the code was named within the turns, else 0. ``reward="faster"`` pays less for more turns than our solver
         takes; ``reward="partial"`` pays a lost game half the share of black pegs in its last guess.
Floor:   at most 0.3 %: eight fixed guesses of one colour each, which need not know the colours of the game (0.15 %
         measured: the openings rule more of these codes out). With ``partial``, 4 % more.
Options: ``pegs`` (4), ``colours`` (6), ``turns`` (8), ``reward``; at most 8,000 codes of at most 9 colours. Our solver
         found each of 1,500 codes within 5 turns, and of the larger games within 7.
Source:  ours; procedural. The solver guesses what is left and splits it best in the worst case (Knuth 1977).
"""

import itertools
import random
from collections import Counter
from operator import eq
from typing import Any, ClassVar

from eggym.errors import BadValue
from eggym.task import Item

from .guessing import GuessingGame, Hunt

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey", "gold")
MOST_CODES = 8_000  # the solver lists them all
MOST_COLOURS = 9  # with more, eight guesses are too few for some codes
_TRIED, _AGAINST = 24, 240  # guesses that the solver weighs, and codes that it weighs them by

Code = tuple[str, ...]


class Mastermind(GuessingGame):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/mastermind-v0"
    floor: ClassVar[float] = 8 / (2 * 6**4)
    max_new_tokens: ClassVar[int] = 512
    max_turns: ClassVar[int] = 8
    rewards: ClassVar[tuple[str, ...]] = ("solved", "faster", "partial")

    def __init__(self, **options: Any) -> None:
        """Refuse sizes that are no game, or too large for the solver."""
        super().__init__(**options)
        pegs, colours = self.within("pegs", 3, 8), self.within("colours", 3, MOST_COLOURS)
        if colours**pegs > MOST_CODES:
            raise BadValue(f"task {self.id!r}: {colours} colours on {pegs} pegs are more than {MOST_CODES:,} codes")
        vars(self)["floor"] = self._floor(pegs, colours)

    def _floor(self, pegs: int, colours: int) -> float:
        """Return a bound on what fixed guesses of one colour earn: a colour is in the game by colours / 12."""
        found: float = min(self.max_turns, len(COLOURS)) * colours / len(COLOURS) / colours**pegs
        near = 1 / len(COLOURS) / 2  # half the share of one colour among the pegs
        return found + (near if self.options["reward"] == "partial" else 0.0)

    def generate(
        self, rng: random.Random, pegs: int = 4, colours: int = 6, turns: int = 8, reward: str = "solved"
    ) -> Item:
        """Draw the colours of the game, and a code with an opening guess that leaves much open."""
        palette = rng.sample(COLOURS, colours)
        while True:
            code, opening = (tuple(rng.choices(palette, k=pegs)) for _ in range(2))
            black, white = pegs_of(opening, code)
            if 0 < black + white < pegs and black < pegs - 1:  # else few codes are left, or one
                break
        first = " ".join(opening)
        prompt = (
            f"Mastermind. I have hidden a code of {pegs} pegs. Each peg is one of {colours} colours: "
            f"{', '.join(palette)}. A colour may occur more than once, or not at all.\n"
            "I answer a guess with two numbers. Black: pegs of the right colour in the right place. White: further "
            "pegs of a right colour, but in a wrong place. Each peg of the code counts once.\n"
            f"An opening guess was made for you: {first}. {_said(black, white)}\n"
            f"Find the code within {turns} guesses. "
            f"End every reply with one guess, in this form: <guess>{first}</guess>"
        )
        return self.with_par(Item(prompt, " ".join(code), {"colours": palette, "opening": [first, black, white]}))

    def read(self, state: Hunt, text: str) -> str | None:
        """Read as many colours of the game as the code has pegs."""
        guess = text.replace(",", " ").split()
        fits = len(guess) == len(state.secret.split()) and set(guess) <= set(state.meta["colours"])
        return " ".join(guess) if fits else None

    def answer(self, state: Hunt, guess: str) -> str:
        """Return the two numbers."""
        return _said(*pegs_of(tuple(guess.split()), tuple(state.secret.split())))

    def nearness(self, state: Hunt, guess: str) -> float:
        """Return the share of black pegs."""
        code = tuple(state.secret.split())
        return pegs_of(tuple(guess.split()), code)[0] / len(code)

    def oracle(self, state: Hunt) -> str:
        """Return the guess, among the codes that are left, that leaves fewest in the worst case."""
        left = remaining(state)
        tried, against = left[:: len(left) // _TRIED + 1], left[:: len(left) // _AGAINST + 1]
        worst: dict[Code, int] = {
            guess: max(Counter(pegs_of(guess, code) for code in against).values()) for guess in tried
        }
        fewest = min(worst.values())
        return " ".join(next(guess for guess in tried if worst[guess] == fewest))


def pegs_of(guess: Code, code: Code) -> tuple[int, int]:
    """Return (black, white).

    >>> pegs_of(("red", "red", "blue"), ("blue", "red", "gold"))
    (1, 1)
    """
    black = sum(map(eq, guess, code))
    return black, sum(min(guess.count(colour), code.count(colour)) for colour in set(guess)) - black


def remaining(state: Hunt) -> list[Code]:
    """Return the codes that agree with the opening and all answers."""
    first, black, white = state.meta["opening"]
    known = [(tuple(first.split()), _said(black, white))]
    known += [(tuple(guess.split()), answer) for guess, answer in state.known() if answer]
    codes = itertools.product(state.meta["colours"], repeat=len(known[0][0]))
    return [code for code in codes if all(_said(*pegs_of(guess, code)) == answer for guess, answer in known)]


def _said(black: int, white: int) -> str:
    return f"Black {black}, white {white}."
