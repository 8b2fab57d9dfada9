"""Writes a text as ordered: the proof that an order can be met. Plain sentences about the topic, put into the form."""

import json
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from typing import Any

from .topics import TOPICS

Orders = Mapping[str, Mapping[str, Any]]  # kind -> arguments

_SAYINGS = (
    "We often think of the {} when we talk about this",
    "Nobody who has seen a good {} will forget it",
    "You may have a favourite {} of your own",
    "Every {} looks simple but takes much work and very good care",
    "My family kept an old {} for years",
    "Give me five minutes and any {} can be explained",
    "People from far away bring back a new {} each year",
    "Perhaps the best {} is the one which you find by chance",
)
_LETTER_WORDS = {
    **{"b": "a big brown bubble", "c": "a calm circus", "f": "a fluffy muffin", "g": "a giggling gang"},
    **{"k": "a kinky kayak", "m": "a mild mummy", "p": "a happy puppet", "v": "a vivid valve"},
    **{"w": "a wild window", "y": "a yearly yoyo"},
}


def drafts(topic: str, orders: Orders) -> Iterator[str]:
    """Give texts of growing length, each in the form ordered; the caller takes the first that meets every order."""
    for n_sentences in (2, 3, 4, 6, 9, 12, 16, 22, 30):
        yield _draft(topic, orders, n_sentences)


def _draft(topic: str, orders: Orders, n_sentences: int) -> str:
    sentences = _sentences(topic, orders, n_sentences)
    if "JSON" in orders:
        return json.dumps({"topic": topic, "text": " ".join(sentences)})
    blocks = _blocks(sentences, orders)
    text = _parter(orders).join(blocks)
    if "title" in orders:
        text = f"<<About {topic}>>\n{text}"
    if "two" in orders:
        text = f"{text}\n******\n{' '.join(reversed(sentences))}"
    if "postscript" in orders:
        text += f"\nP.S. {sentences[0]}"
    if "ending" in orders:
        text += f" {orders['ending']['end_phrase']}"
    text = text.lower() if "small letters" in orders else text.upper() if "capitals" in orders else text
    return f'"{text}"' if "quotes" in orders else text


def _sentences(topic: str, orders: Orders, count: int) -> list[str]:
    """Return sentences about the topic that hold the words ordered and none of those forbidden."""
    avoided = orders.get("forbidden", {}).get("forbidden_words", ())
    wanted = list(orders.get("keywords", {}).get("keywords", ()))
    if "frequency" in orders:
        wanted += [orders["frequency"]["keyword"]] * orders["frequency"]["frequency"]
    nouns = wanted + [word for word in TOPICS[topic] if word not in avoided]
    count = max(count, len(wanted))
    pairs = zip(islice(cycle(_SAYINGS), count), islice(cycle(nouns), count), strict=True)
    said = [_dressed(saying.format(noun), place, orders) for place, (saying, noun) in enumerate(pairs)]
    return [f"{sentence}." for sentence in said]


def _dressed(sentence: str, place: int, orders: Orders) -> str:
    """Return a sentence with the marks that were ordered, one of each kind, as long as they are due."""
    if place < orders.get("placeholders", {}).get("num_placeholders", 0):
        sentence += f" says [name {place + 1}]"
    if place < orders.get("highlights", {}).get("num_highlights", 0):
        sentence += " *without any doubt*"
    if place < orders.get("capital words", {}).get("capital_frequency", 0):
        sentence += " and it is a MUST"
    if place < orders.get("letter", {}).get("let_frequency", 0):
        sentence += f" like {_LETTER_WORDS[orders['letter']['letter']]}"
    return sentence


def _blocks(sentences: list[str], orders: Orders) -> list[str]:
    """Return the paragraphs or sections, the sentences dealt out to them; bullets stand in the last."""
    count = 1
    for kind, name in (
        ("paragraphs", "num_paragraphs"),
        ("first word", "num_paragraphs"),
        ("sections", "num_sections"),
    ):
        count = orders[kind][name] if kind in orders else count
    dealt = [sentences[place::count] or sentences[:1] for place in range(count)]
    blocks = [" ".join(block) for block in dealt]
    if "first word" in orders:
        place = orders["first word"]["nth_paragraph"] - 1
        blocks[place] = f"{orders['first word']['first_word'].capitalize()} we can say this. {blocks[place]}"
    if "sections" in orders:
        splitter = orders["sections"]["section_spliter"]
        blocks = [f"{splitter} {place}\n{block}" for place, block in enumerate(blocks, 1)]
    for place in range(orders.get("bullets", {}).get("num_bullets", 0)):
        blocks[-1] += f"\n- {sentences[place % len(sentences)]}"
    return blocks


def _parter(orders: Orders) -> str:
    return "\n***\n" if "paragraphs" in orders else "\n\n"
