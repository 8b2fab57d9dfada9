"""The words of `programs`: a story, how the steps are told, and examples."""

from collections.abc import Callable, Sequence
from string import Template
from typing import Any, NamedTuple

from .program_steps import NUMBER, NUMBERS, TABLE, TEXT, WORDS, Op, Step

Choose = Callable[[Sequence[Any]], Any]


class Story(NamedTuple):
    """Where the values come from, and what they are called."""

    text: str
    argument: str
    them: str
    it: str


_PLAIN = {  # what a value is called once the story's own has become another
    NUMBERS: ("numbers", "number"),
    NUMBER: ("result", "result"),
    TEXT: ("text", "text"),
    WORDS: ("words", "word"),
    TABLE: ("entries", "entry"),
}
_TYPES = {
    NUMBERS: "a list of whole numbers",
    NUMBER: "a whole number",
    TEXT: "a text (`str`)",
    WORDS: "a list of words (`str`), none of them empty",
    TABLE: "a dictionary from names (`str`) to whole numbers",
}
STORIES = {
    NUMBERS: (
        Story("A weather station writes down its readings.", "readings", "readings", "reading"),
        Story("A bank clerk lists the movements of an account.", "movements", "movements", "movement"),
        Story("A diver notes by how much the depth changes every minute.", "changes", "changes", "change"),
        Story("The points of a game are kept, round by round.", "points", "points", "value"),
        Story("A lift logs how many floors it went up or down on each ride.", "rides", "rides", "ride"),
        Story("A sensor delivers a series of whole numbers.", "series", "numbers", "number"),
    ),
    NUMBER: (
        Story("A ticket carries a whole number.", "ticket", "number", "number"),
        Story("A meter shows a whole number.", "meter", "number", "number"),
        Story("A player is given a secret number.", "secret", "number", "number"),
        Story("An account has a balance in whole units.", "balance", "number", "number"),
    ),
    TEXT: (
        Story("Somebody types a line into a form.", "line", "line", "line"),
        Story("A printer is sent a heading.", "heading", "heading", "heading"),
        Story("A message arrives from another country.", "message", "message", "message"),
        Story("The title of a book is read from a card.", "title", "title", "title"),
        Story("A label has to be made from a text.", "text", "text", "text"),
    ),
    WORDS: (
        Story("A pupil has written down the words of a lesson.", "lesson", "words", "word"),
        Story("A shop keeps the tags of an article.", "tags", "tags", "tag"),
        Story("A search engine stores the terms of a query.", "terms", "terms", "term"),
        Story("The files of a folder have one-word titles.", "titles", "titles", "title"),
        Story("A game deals out words to its players.", "hand", "words", "word"),
    ),
    TABLE: (
        Story("A club keeps the points of its members.", "points", "entries", "entry"),
        Story("A canteen notes who owes how much; negative numbers are credit.", "debts", "entries", "entry"),
        Story("A greenhouse records by how much each named plant has grown.", "growth", "entries", "entry"),
        Story("A library counts the books that each reader has out.", "readers", "entries", "entry"),
        Story("A game keeps a table of players and their scores.", "scores", "entries", "entry"),
    ),
}
VERBS = ("process", "digest", "evaluate", "summarise", "work_out", "handle")
_ENDINGS = ("The function returns what the last step gives.", "Return the result of the last step.")
_ASK = "Reply with the function in a Python code block."


def clauses(ops: dict[str, Op], steps: Sequence[Step], story: Story, choose: Choose) -> list[str]:
    """Return each step in words, without a capital and a full stop."""
    told, kind = [], ops[steps[0][0]].takes
    them, it = story.them, story.it
    for name, number in steps:
        op = ops[name]
        if op.takes != kind:
            them, it = _PLAIN[op.takes]
            kind = op.takes
        told.append(Template(choose(op.words)).substitute(them=them, it=it, n=number))
    return told


def as_list(told: Sequence[str]) -> str:
    """Return the steps as a numbered list."""
    body = "\n".join(f"{place}. {clause[0].upper()}{clause[1:]}." for place, clause in enumerate(told, 1))
    return f"It takes these steps, each on what the one before it gave:\n{body}\n"


def as_prose(told: Sequence[str]) -> str:
    """Return the steps as sentences."""
    first = "First" if len(told) > 1 else "All that it does"
    openings = [first, *["Then"] * (len(told) - 2), *(["Finally"] if len(told) > 1 else [])]
    sign = "," if len(told) > 1 else ":"
    return " ".join(f"{opening}{sign} {clause}." for opening, clause in zip(openings, told, strict=True)) + " "


def as_table(told: Sequence[str]) -> str:
    """Return the steps as lines with letters."""
    body = "\n".join(f"({letter}) {clause};" for letter, clause in zip("abcdefgh", told, strict=False))
    return f"What is to be done, in this order:\n{body[:-1]}.\n"


LAYOUTS = (as_list, as_prose, as_table)


def specification(kind: str, story: Story, function: str, body: str, shown: Sequence[tuple[Any, Any]]) -> str:
    """Return the whole prompt: story, signature, the steps in words if there are any, and examples if there are any."""
    signature = f"`{function}({story.argument})`, where `{story.argument}` is {_TYPES[kind]}"
    call = f"{story.text} Write a Python function {signature}."
    if not shown:
        return f"{call} {body}\n{_ASK}"
    lines = "\n".join(f"{function}({value!r}) == {result!r}" for value, result in shown)
    how = f"{body}\nFor example:" if body else "What it does can be told from these examples:"
    return f"{call} {how}\n{lines}\n{_ASK}"


def ending(choose: Choose) -> str:
    """Return the sentence that says what is returned."""
    return str(choose(_ENDINGS))
