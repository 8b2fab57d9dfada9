"""Topics to write about, each with words that belong to it alone, and which topic a text speaks of most."""

import re
from collections import Counter

_TOPICS = """
rain: umbrella puddle cloud drizzle raincoat thunder
bread: flour yeast dough oven crust baker
football: goalkeeper stadium referee striker penalty kickoff
gardening: seed shovel soil weed compost greenhouse
chess: pawn bishop rook checkmate queen gambit
coffee: espresso barista caffeine roast mug latte
sailing: anchor mast harbour captain keel rudder
astronomy: telescope planet galaxy comet orbit eclipse
painting: canvas brush easel palette portrait pigment
cycling: pedal helmet saddle handlebar chain tyre
camping: tent campfire lantern backpack marshmallow hammock
dentistry: tooth cavity toothbrush filling molar enamel
beekeeping: hive honey pollen swarm beeswax nectar
trains: locomotive railway carriage conductor platform tunnel
photography: camera lens tripod shutter flash negative
winter: snow icicle frost mitten blizzard sledge
libraries: librarian bookshelf novel catalogue borrower paperback
volcanoes: lava crater eruption magma ash basalt
cats: kitten whisker purr paw litter catnip
dogs: puppy leash bark kennel collar terrier
music: melody guitar piano concert rhythm violin
swimming: pool goggles diver backstroke lifeguard lane
farming: tractor harvest barn cattle wheat plough
robots: sensor android circuit gripper battery automaton
pizza: mozzarella topping pepperoni basil slice pizzeria
sleep: pillow dream mattress blanket nap insomnia
money: coin banknote wallet budget savings loan
schools: teacher pupil homework classroom blackboard exam
hospitals: nurse surgeon ward ambulance stretcher bandage
forests: oak pine squirrel trail moss woodpecker
beaches: sand seashell wave towel sunscreen sandcastle
cinema: director actor screen popcorn trailer sequel
cheese: cheddar rind brie dairy goat fondue
clocks: pendulum dial alarm minute hourglass watchmaker
castles: moat drawbridge knight turret dungeon battlement
bridges: arch cable pillar girder suspension span
dancing: waltz tango ballet choreographer ballroom twirl
maps: compass atlas latitude border legend cartographer
weddings: bride groom veil bouquet confetti vow
birthdays: candle cake balloon present guest wish
"""
TOPICS: dict[str, tuple[str, ...]] = {
    topic: tuple(words.split()) for topic, words in (line.split(": ") for line in _TOPICS.strip().split("\n"))
}
# A word, or its plural, and the topic it speaks of.
_SPEAKS_OF = {
    form: topic
    for topic, relatives in TOPICS.items()
    for word in (topic, topic.removesuffix("s"), *relatives)
    for form in (word, word + "s")
}
_WORD = re.compile(r"[a-z]+")


def mentions(text: str) -> Counter[str]:
    """Return how often a text speaks of each topic, by its name or one of its words, in any case."""
    return Counter(topic for word in _WORD.findall(text.lower()) if (topic := _SPEAKS_OF.get(word)))


def is_about(text: str, topic: str) -> bool:
    """Return whether a text speaks of the topic, and of no other as often.

    >>> is_about("An umbrella keeps off the drizzle.", "rain"), is_about("Rain, bread, chess.", "rain")
    (True, False)
    """
    counted = mentions(text)
    own = counted.pop(topic, 0)
    return own > max(counted.values(), default=0)
