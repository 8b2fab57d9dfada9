"""Wordle: find an English word of five letters from the colours of the letters guessed so far.

Prompt:  the rules, and a first guess that was made for the player, with its colours. It is drawn with the word, so that
         prompts differ in what they ask; at least ten words of our list agree with it. No word is hidden in two splits.
Turns:   at most ``turns`` (6). A guess is ``<guess>crane</guess>``, read as `eggym.envs.guessing` says. Any five ASCII
         letters are a guess; with ``listed=true`` only words of our list are, which holds fewer words than people know.
Colours: as in the game. A letter in its right place is green. Of the other letters, from the left, each is yellow while
         the word has more of that letter than were green or yellow already; the rest are grey.
Reward:  1 if the word was named within the turns, else 0; ``reward="faster"`` pays less for more turns than our solver
         takes, ``reward="partial"`` pays a lost game half the share of green letters in its last guess.
Floor:   0.5 %: six fixed words, all being equally likely. With ``partial``, 8 % more: a last guess of ``soaee``, which
         are the commonest letters of the five places.
Options: ``turns``, ``listed``, ``reward``. With fewer turns even our solver may lose.
Source:  ours; the words of `eggym.envs.wordle_words`. The solver guesses the word of the list that parts the words left
         into most classes; it found every word from every opening that was tried.
"""

import random
import re
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eggym.splits import split_of
from eggym.task import Item

from .guessing import GuessingGame, Hunt
from .wordle_words import WORDS

FEWEST_LEFT = 10  # words that agree with the opening
_LETTERS = re.compile(r"[a-z]{5}")
_COLOURS = ("grey", "yellow", "green")


class Wordle(GuessingGame):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/wordle-v0"
    floor: ClassVar[float] = 6 / len(WORDS)
    max_new_tokens: ClassVar[int] = 512
    max_turns: ClassVar[int] = 6
    rewards: ClassVar[tuple[str, ...]] = ("solved", "faster", "partial")

    def __init__(self, **options: Any) -> None:
        """Set the floor of these options."""
        super().__init__(**options)
        part = 0.08 if self.options["reward"] == "partial" else 0.0
        vars(self)["floor"] = min(0.99, self.floor * self.max_turns / 6 + part)

    def generate(self, rng: random.Random, turns: int = 6, listed: bool = False, reward: str = "solved") -> Item:
        """Draw a word, and an opening that leaves much open and whose prompt belongs to the split of the word."""
        word = rng.choice(WORDS)
        side = split_of(self.id, word)
        while True:
            opening = rng.choice(WORDS)
            colours = colours_of(opening, word)
            prompt = _prompt(opening, _said(opening, colours), turns, listed)
            if split_of(self.id, prompt) == side and len(_agreeing(opening, colours)) >= FEWEST_LEFT:
                return self.with_par(Item(prompt, word, {"opening": opening}))

    def read(self, state: Hunt, text: str) -> str | None:
        """Read five letters."""
        known = WORDS if self.options["listed"] else (text,)
        return text if _LETTERS.fullmatch(text) and text in known else None

    def answer(self, state: Hunt, guess: str) -> str:
        """Return the colour of each letter."""
        return _said(guess, colours_of(guess, state.secret))

    def nearness(self, state: Hunt, guess: str) -> float:
        """Return the share of green letters."""
        return colours_of(guess, state.secret).count(2) / 5

    def oracle(self, state: Hunt) -> str:
        """Return the word that parts the words left into most classes; of equals one that may be it."""
        left = remaining(state)
        if len(left) <= 2:
            return WORDS[left[0]]
        classes = np.sort(_table()[:, left], axis=1)
        n_classes = 2 * (1 + (classes[:, 1:] != classes[:, :-1]).sum(axis=1))
        n_classes[left] += 1
        return WORDS[int(n_classes.argmax())]


def colours_of(guess: str, word: str) -> tuple[int, ...]:
    """Return the colour of each letter: 2 green, 1 yellow, 0 grey.

    >>> colours_of("eerie", "crepe")
    (1, 0, 1, 0, 2)
    """
    colours = [2 * (mine == its) for mine, its in zip(guess, word, strict=True)]
    free = [its for mine, its in zip(guess, word, strict=True) if mine != its]
    for place, letter in enumerate(guess):
        if not colours[place] and letter in free:
            colours[place] = 1
            free.remove(letter)
    return tuple(colours)


def remaining(state: Hunt) -> list[int]:
    """Return the places in the list of the words that agree with the opening and all answers."""
    left = _agreeing(state.meta["opening"], colours_of(state.meta["opening"], state.secret))
    for guess, answer in state.known():
        left = [place for place in left if _said(guess, colours_of(guess, WORDS[place])) == answer]
    return left


def _prompt(opening: str, colours: str, turns: int, listed: bool) -> str:
    return (
        "Wordle. I have hidden an English word of five letters. I answer a guess with a colour for each letter. Green: "
        "the word has it in this place. Yellow: the word has it, in another place. Grey: the word does not have it, or "
        "not once more.\n"
        f"A first guess was made for you: {opening}. {colours}\n"
        f"Find the word within {turns} more guesses. {'Only common words are guesses. ' if listed else ''}"
        f"End every reply with one guess, in this form: <guess>{opening}</guess>"
    )


def _said(guess: str, colours: tuple[int, ...]) -> str:
    marked = (f"{letter} {_COLOURS[colour]}" for letter, colour in zip(guess, colours, strict=True))
    return f"{', '.join(marked)}."


def _agreeing(guess: str, colours: tuple[int, ...]) -> list[int]:
    row = _table()[_places()[guess]]
    code = sum(colour * 3**place for place, colour in enumerate(colours))
    return np.flatnonzero(row == code).tolist()


@cache
def _places() -> dict[str, int]:
    return {word: place for place, word in enumerate(WORDS)}


@cache
def _table() -> NDArray[np.uint8]:
    """Return the colours of every word guessed for every word hidden, in base 3: shape (guesses, words)."""
    letters = np.array([list(word.encode()) for word in WORDS], dtype=np.uint8)
    return np.stack([_row(letters, guess) for guess in letters])


def _row(letters: NDArray[np.uint8], guess: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours of one guess for all words; `colours_of` for many."""
    green = letters == guess
    code = (green * (2 * 3 ** np.arange(5))).sum(axis=1)
    for place in range(5):
        free = ((letters == guess[place]) & ~green).sum(axis=1)
        before = ((guess[:place] == guess[place]) & ~green[:, :place]).sum(axis=1)  # those took theirs first
        code += 3**place * (~green[:, place] & (before < free))
    colours: NDArray[np.uint8] = code.astype(np.uint8)
    return colours
