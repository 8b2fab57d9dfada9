"""What the rules of `eggym.check` work with: a task on trial, scripted players, and texts that break parsers."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eggym.seeding import stream
from eggym.task import Item, Task, Verdict, size_of

Reply = Callable[[Any, str], str]  # (state, observation) -> the text to answer with
Rule = Callable[["Sample"], str]  # says what it saw in one line, or raises Broken

# What a blind guesser may say beside them: the letters of a choice, truth values, small numbers.
BLIND = ("B", "C", "D", "no", "true", "false", "True", "False", *map(str, range(2, 11)))

N_HOSTILE = 3  # items that the hostile replies are tried on
PLAIN = ("0", "1", "yes", "A", "#### 0", "\\boxed{0}", "<answer>0</answer>")

_NOISE = ("", " ", "\n\n", "\0", "a\0b", "\ud800", "x\udfffy", "٣٤", "½", "²", "\uff0d\uff11", "Ⅷ", "๔๒", "一二三")
_NUMBERS = ("NaN", "inf", "-inf", "-0", "1e999999", "1/0", "0x", "1,,2", "--5", "1_000", "007", ".", "-", "+5", "1e5")
_ARABIC, _HEBREW, _ACCENTS, _FAMILY = "مرحبا ٤٢", "שלום 42", "e\u0301\u0301" * 50, "\U0001f469\u200d\U0001f467" * 50
_SCRIPTS = (_ARABIC, _HEBREW, _ACCENTS, _FAMILY, "\u202e12", "\u200f\u200e7", "\ufeff5", "\u20035\u2003")
_TAGS = ("<answer>", "</answer><answer>", "<answer></answer>", "</think>", "```", "\\boxed{", "\\boxed{}")
_MARKUP = ("####", "#", "#9#", *_TAGS, "{}", "[[]]", '{"a":', "()")
_SYNTAX = ("None", "9**9**9**9", "__import__('os')", "x.__class__", "lambda: 0", "%s%n{0}")
# What a pattern with nested repeats takes for ever over: long runs, and an end that does not fit.
_RUNS = ("1" * 40 + "!", "a" * 40 + "!", "1," * 40 + "x", "1 " * 40 + "!", "a " * 40 + "!", "((" * 20 + "!")
_DEEP = ("(" * 3000, "[" * 3000, "{" * 3000, "-" * 3000 + "1", "[" * 100_000 + "]" * 100_000, "\\boxed{" * 5000)
_FLOODS = (
    *("9" * 5000, "*" * 500, "#### " * 5000, "<answer>1</answer>" * 5000, "**" * 20_000, '"' * 20_000),
    *("a" * 1_000_000, "1 " * 20_000, "1+" * 5000 + "1", "\n" * 50_000, "1\n" * 20_000),
    "\\frac{1}{" * 3000 + "2" + "}" * 3000,
)
# Runs, depth and size, which a slow scorer must see too; then nothing, noise, other digits, numbers that are none,
# other alphabets, halves of markup, and code.
HOSTILE = (*_RUNS, *_DEEP, *_FLOODS, *_NOISE, *_NUMBERS, *_SCRIPTS, *_MARKUP, *_SYNTAX)


class Broken(Exception):
    """A rule is broken; the message is the finding."""


@dataclass(frozen=True)
class Sample:
    """The task on trial and the items of one split, train if it has any, that most rules look at."""

    task: Task
    items: list[Item]
    elsewhere: Any = None  # what another process made of it (`check_child.Elsewhere`); None: it cannot find the task


def play_through(task: Task, item: Item, reply: Reply) -> Verdict:
    """Play one episode to its end, or to the cap on turns, with a scripted player; return the verdict."""
    return task.judge(play_on(task, item, reply))


def play_on(task: Task, item: Item, reply: Reply) -> Any:
    """Play one episode to its end, or to the cap on turns, with a scripted player; return its last state."""
    state = task.begin(item, stream("check", task.id, item.split, item.index))
    observation, done, turn = item.prompt, False, 0
    while not done and turn < task.max_turns:
        observation, done = task.step(state, reply(state, observation))
        turn += 1
    return state


def items_of(task: Task, split: str, count: int) -> Iterator[Item]:
    """Give the first ``count`` items of a split, or as many as it has."""
    limit = size_of(task, split)
    for index in range(count if limit is None else min(count, limit)):
        yield task.item(split, index)


def constant(text: str) -> Reply:
    """Return the player who always says ``text``."""
    return lambda state, observation: text


def best_reply(task: Task) -> Reply:
    """Return the player who says what the oracle says, or nothing where it is silent."""
    return lambda state, observation: oracle_says(task, state) or ""


def oracle_says(task: Task, state: Any) -> str | None:
    """Return the oracle's reply up to the first stop string, where a model's would end; None where it is silent."""
    best = task.oracle_reply(state)
    return best if best is None else best[: min((best.find(stop) for stop in task.stop if stop in best), default=None)]


def worth_of(verdict: Verdict) -> float | None:
    """Return the true reward where the reward is a proxy, which an honest best reply need not max out."""
    return None if verdict.reward is None else verdict.parts.get("true", verdict.reward)


def twin_of(task: Task) -> Task:
    """Return a second instance of a task."""
    data = getattr(task, "data", None)  # of rows: not among the options, for only their content decides
    return type(task)(**copy.deepcopy(task.difficulty), **({} if data is None else {"data": data}))


def first_state(sample: Sample) -> Any:
    """Return the state of a new episode of the first item."""
    return sample.task.begin(sample.items[0], stream("check", sample.task.id))


def outline(task: Task, items: list[Item], before: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Return what must be the same wherever a task is loaded: items, and rewards of plain and best replies.

    ``before`` is told of every reply before it is scored.
    """

    def reward(item: Item, text: str | None) -> float | None:
        what = "the best reply" if text is None else shown(text)
        before(f"{what} on item {item.split}[{item.index}]")
        return play_through(task, item, best_reply(task) if text is None else constant(text)).reward

    made = [[item.prompt, item.truth, dict(item.meta)] for item in items]
    return {"items": made, "rewards": [[reward(i, text) for text in (None, "", i.prompt, *PLAIN)] for i in items[:8]]}


def shown(text: str) -> str:
    """Return a reply for a finding: its beginning, and its length."""
    return f"{text[:30]!r} ({len(text)} characters)"
