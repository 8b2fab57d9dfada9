"""Orders that can be checked exactly: so many words, with this initial, in this case, with that ending.

Prompt:  ``say 4 b caps ?:``; 1 to 5 words, 24 initials, ``low``, ``caps`` or ``title`` case, ending ``.``, ``!`` or
         ``?`` (1,080 prompts, 96 of them in the test split: more items than that repeat some).
Reply:   ``BUS BUS BOAT BED?``; words from `WORDS` alone, parted by one space; a word may come twice.
Reward:  1 if count, initial, case, ending and every word are right, else 0; ``parts`` has one mark for each.
Floor:   0.09 %: one fixed reply obeys one prompt of 1,080.
Source:  ours; procedural.
"""

import random
import re
from typing import ClassVar

from eggym.seeding import stream
from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

LONGEST_REPLY = 200  # characters; an honest reply has at most 25
CASES = ("low", "caps", "title")
ENDINGS = (".", "!", "?")
MOST_WORDS = 5
_WORDS = (
    "ace ant arm axe bed bee boat bus cake cat cow cup day desk dog door ear egg elf eye fan fish foot fox "
    "gas gate goat gum hand hat hen hill ice ink inn iron jam jar jet job key kid king kite lake lamp leg lip "
    "man map milk moon nest net nose nut oak oil oven owl pear pen pig pot rat ring rose rug sea sock star sun "
    "tea tent toy tree unit urn use user van vase vet vine wax web wind wolf yak yam yard year zinc zip zone zoo"
)
WORDS = tuple(_WORDS.split())
INITIALS = tuple(sorted({word[0] for word in WORDS}))  # no q and no x: too few short words

_REPLY = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*[.!?]")


class TinyOrders(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/tiny-orders-v0"
    floor: ClassVar[float] = 1 / 1080
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    max_new_tokens: ClassVar[int] = 26
    habit_kinds: ClassVar[frozenset[str]] = frozenset("abcdefghijklmnoprst")

    def generate(self, rng: random.Random) -> Item:
        """Draw count, initial, case and ending, each uniformly."""
        count, initial = rng.randint(1, MOST_WORDS), rng.choice(INITIALS)
        case, ending = rng.choice(CASES), rng.choice(ENDINGS)
        truth = {"count": count, "initial": initial, "case": case, "ending": ending}
        return Item(f"say {count} {initial} {case} {ending}:", truth)

    def score(self, item: Item, reply: str) -> Verdict:
        """Check every part of the order; spaces around the reply are ignored, nothing else is repaired."""
        if len(reply) > LONGEST_REPLY:
            return Verdict(0.0, VerdictState.REFUSED, why=f"{len(reply)} characters, more than {LONGEST_REPLY}")
        body = reply.strip()
        if not _REPLY.fullmatch(body):
            return Verdict(0.0, VerdictState.UNPARSED, why="not words parted by single spaces with . ! or ? at the end")
        truth, words = item.truth, body[:-1].split(" ")
        parts = {
            "count": len(words) == truth["count"],
            "initial": all(word[0].lower() == truth["initial"] for word in words),
            "case": all(word == in_case(word, truth["case"]) for word in words),
            "ending": body[-1] == truth["ending"],
            "words": all(word.lower() in WORDS for word in words),
        }
        wrong = [name for name, right in parts.items() if not right]
        state = VerdictState.WRONG if wrong else VerdictState.CORRECT
        why = f"wrong: {', '.join(wrong)}" if wrong else "as ordered"
        return Verdict(float(not wrong), state, body, why, {name: float(right) for name, right in parts.items()})

    def oracle(self, item: Item) -> str:
        """Return a reply as ordered; its words depend on the item's index, so that equal prompts vary."""
        truth = item.truth
        words = _words(item, truth["count"])
        return " ".join(in_case(word, truth["case"]) for word in words) + str(truth["ending"])

    def kind(self, item: Item) -> str:
        """Return what the base's habit depends on: the initial."""
        return str(item.truth["initial"])

    def habit(self, item: Item, rng: random.Random) -> str:
        """Return the bad habit: lower case and a full stop, whatever was ordered."""
        return " ".join(_words(item, item.truth["count"])) + "."


def in_case(word: str, case: str) -> str:
    """Return an ASCII word in lower case (``low``), capitals (``caps``), or with a capital initial (``title``)."""
    return {"low": word.lower(), "caps": word.upper(), "title": word.capitalize()}[case]


def _words(item: Item, count: int) -> list[str]:
    rng = stream("tiny-orders", item.split, item.index, item.prompt)
    return rng.choices([word for word in WORDS if word[0] == item.truth["initial"]], k=count)
