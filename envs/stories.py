"""Put word problems together: a situation, an opening, events and a question, whose steps add up to what was asked."""

from collections.abc import Sequence
from typing import NamedTuple

from .situation_ages import AGES
from .situation_collection import COLLECTION
from .situation_goods import GOODS
from .situation_liquid import LIQUID
from .situation_money import MONEY
from .situation_passengers import PASSENGERS
from .situation_trip import TRIP
from .sums import Draw
from .tale import Costed, Situation, Tale

SITUATIONS: dict[str, Situation] = {
    "collection": COLLECTION,
    "money": MONEY,
    "passengers": PASSENGERS,
    "trip": TRIP,
    "liquid": LIQUID,
    "goods": GOODS,
    "ages": AGES,
}
FEWEST_STEPS, MOST_STEPS, MOST_ASIDES = 2, 8, 3
_TRIES = 8  # of an event that fits, before a story is begun anew

_ASIDES = (  # sentences with numbers that have nothing to do with the question
    "It is {5-28} degrees outside.",
    "{name} lives at number {3-98} of a quiet street.",
    "{name}'s dog weighs {4-40} kilograms.",
    "{name} got up at {5-9} o'clock that morning.",
    "A song of {2-6} minutes is playing on the radio.",
    "{name}'s favourite book has {90-600} pages.",
    "{name} is {150-190} centimetres tall.",
    "The town in which {name} lives has {3-40} bridges.",
    "{name} has known the neighbours for {2-20} years.",
)


class Story(NamedTuple):
    """A word problem, worked out."""

    text: str
    answer: int
    working: list[str]  # one line per step, each ending in a true equation
    situation: str


def story(draw: Draw, steps: int, asides: int = 0) -> Story:
    """Return a random word problem of exactly ``steps`` steps with ``asides`` sentences that do not matter."""
    names = [name for name, each in SITUATIONS.items() if each.most >= steps]
    while True:
        name = names[int(draw() * len(names))]
        tale = _told(draw, SITUATIONS[name], steps)
        if tale is not None:
            _digress(tale, asides)
            return Story(" ".join(tale.sentences), tale.n, tale.working, name)


def _told(draw: Draw, situation: Situation, steps: int) -> Tale | None:
    """Return a tale of so many steps, or None where the draws lead nowhere."""
    tale = Tale(draw)
    cost, opening = tale.pick([each for each in situation.openings if each[0] < steps])
    close, ending = tale.pick([each for each in situation.endings if each[0] < steps - cost])
    left = steps - cost - close
    opening(tale)
    last: Costed | None = None
    tries = 0
    while left:
        event = _event(tale, situation.events, left, last)
        if event is None or tries == _TRIES:
            return None
        if event[1](tale):
            left, last = left - event[0], event
        tries += 1
    return tale if ending(tale) else None


def _event(tale: Tale, events: Sequence[Costed], left: int, last: Costed | None) -> Costed | None:
    fits = [each for each in events if each[0] <= left and each is not last]
    return tale.pick(fits) if fits else None


def _digress(tale: Tale, asides: int) -> None:
    """Insert sentences that do not matter, behind the opening and before the question."""
    for _ in range(asides):
        before, _, rest = tale.fresh(_ASIDES).replace("{name}", tale.name).partition("{")
        span, _, after = rest.partition("}")
        low, _, high = span.partition("-")
        aside = f"{before}{tale.number(int(low), int(high))}{after}"
        tale.sentences.insert(1 + int(tale.draw() * (len(tale.sentences) - 1)), aside)
