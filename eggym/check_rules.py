"""The rules of `eggym.check`: each looks at one thing that results rely on, and says what it saw.

A rule is a function from a `Sample` to one line; it raises `Broken` with what is wrong. `RULES` lists them by name.
"""

import copy
import math
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eggym.digest import digest
from eggym.env import TextEnv
from eggym.seeding import stream
from eggym.task import SPLITS, Item, Task, Verdict, item_fault, normalise, size_of

Reply = Callable[[Any, str], str]  # (state, observation) -> the text to answer with

SCORING_LIMIT_S = 1.0  # CPU seconds for one reply, however hostile
_N_HOSTILE = 3  # items that the hostile replies are tried on
# What breaks parsers: nothing, noise, depth, size, other digits, halves of markup, code, numbers that are none.
HOSTILE = (
    *(
        "",
        " ",
        "\n\n",
        "\0",
        "\ud800",
        "٣٤",
        "½",
        "\uff0d\uff11",
        "NaN",
        "inf",
        "-0",
        "1e999999",
        "1/0",
        "0x",
        "1,,2",
        "--5",
    ),
    *(
        "####",
        "#",
        "#9#",
        "<answer>",
        "</answer><answer>",
        "\\boxed{",
        "\\boxed{}",
        "{}",
        "[[]]",
        '{"a":',
        "None",
        "()",
    ),
    *("(" * 3000, "[" * 3000, "-" * 3000 + "1", "9" * 5000, "a" * 100_000, "1 " * 20_000, "1+" * 5000 + "1"),
    *("9**9**9**9", "__import__('os')", "x.__class__", "lambda: 0", "*" * 500, "%s%n{0}", "\u202e12"),
)
_GUESSES = ("0", "1", "yes", "A", "#### 0")


class Broken(Exception):
    """A rule is broken; the message is the finding."""


@dataclass(frozen=True)
class Sample:
    """The task on trial and the items of train that most rules look at."""

    task: Task
    items: list[Item]


def play_through(task: Task, item: Item, reply: Reply) -> Verdict:
    """Play one episode to its end, or to the cap on turns, with a scripted player; return the verdict."""
    state = task.begin(item, stream("check", task.id, item.split, item.index))
    observation, done, turn = item.prompt, False, 0
    while not done and turn < task.max_turns:
        observation, done = task.step(state, reply(state, observation))
        turn += 1
    return task.judge(state)


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
    return lambda state, observation: task.oracle_reply(state) or ""


def twin_of(task: Task) -> Task:
    """Return a second instance of a task."""
    data = getattr(task, "data", None)  # of rows: not among the options, for only their content decides
    return type(task)(**copy.deepcopy(task.difficulty), **({} if data is None else {"data": data}))


def _gymnasium(sample: Sample) -> str:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.utils.env_checker import check_env

    env = TextEnv(sample.task)
    env.spec = EnvSpec(sample.task.id, entry_point="eggym.gymnasium_hook:make_env")  # without one, half is skipped
    env.action_space.seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True, skip_close_check=True)  # closing would build it from the spec
    if caught:
        raise Broken(f"check_env warns: {' '.join(str(caught[0].message).split())}")
    return "check_env passes without a warning"


def _prompts(sample: Sample) -> str:
    for item in sample.items:
        if not item.prompt.strip():
            raise Broken(f"the prompt of item {item.index} is empty")
    return f"{len(sample.items)} prompts, the longest of {max(len(item.prompt) for item in sample.items)} characters"


def _json(sample: Sample) -> str:
    for item in sample.items:  # `Task.item` refuses such an item; a task may have an `item` of its own
        fault = item_fault(item)
        if fault:
            raise Broken(f"item {item.index}: {fault}")
    return "truth and meta survive JSON"


def _repeats(sample: Sample) -> str:
    twin = twin_of(sample.task)
    for item in reversed(sample.items):  # in another order, by another instance
        again = twin.item(item.split, item.index)
        if (again.prompt, again.truth, again.meta) != (item.prompt, item.truth, item.meta):
            raise Broken(f"item {item.index} is {item.prompt!r:.60} once and {again.prompt!r:.60} another time")
    return "items are the same in any order and any instance"


def _digest(sample: Sample) -> str:
    first, second = digest(sample.task), digest(twin_of(sample.task))
    if first != second:
        raise Broken("two instances have different digests; is something without a stable repr among the settings?")
    return first[:16]


def _splits(sample: Sample) -> str:
    size = max(len(sample.items), 200)
    sides = {split: {normalise(item.prompt) for item in items_of(sample.task, split, size)} for split in SPLITS}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sides[one] & sides[other]
        if both:
            raise Broken(f"{len(both)} prompts stand in {one} and in {other}, such as {min(both)!r:.60}")
    return "no prompt in two splits; distinct: " + ", ".join(f"{split} {len(side)}" for split, side in sides.items())


def _state(sample: Sample) -> str:
    item = sample.items[0]
    state = sample.task.begin(item, stream("check", sample.task.id))
    pickle.loads(pickle.dumps(state))
    return "the state of an episode can be pickled"


def _best(sample: Sample) -> str:
    task, best = sample.task, sample.task.reward_range[1]
    if task.oracle_reply(task.begin(sample.items[0], stream("check", task.id))) is None:
        return "no oracle: the best reward is not known to be reachable"
    for item in sample.items:
        verdict = play_through(task, item, best_reply(task))
        if verdict.reward is None or not math.isclose(verdict.reward, best, abs_tol=1e-9):
            raise Broken(f"the oracle gets {verdict.reward} on item {item.index}, not {best:g}; {verdict.why}")
    return f"the oracle gets {best:g} on all items"


def _judges(sample: Sample) -> str:
    for item in sample.items:
        for reply in ("", item.prompt, *_GUESSES):
            first, second = (play_through(sample.task, item, constant(reply)) for _ in range(2))
            if first.reward is None:
                raise Broken(f"cannot judge {reply!r:.40} on item {item.index}: {first.why}")
            if first.reward != second.reward:
                raise Broken(f"scores {reply!r:.40} on item {item.index} as {first.reward} and {second.reward}")
    low, high = sample.task.reward_range
    return f"plain replies are judged, twice alike, within [{low:g}, {high:g}]"


def _hostile(sample: Sample) -> str:
    slowest = 0.0
    for item in sample.items[:_N_HOSTILE]:
        for reply in HOSTILE:
            start = time.process_time()
            verdict = play_through(sample.task, item, constant(reply))
            taken = time.process_time() - start
            slowest = max(slowest, taken)
            if verdict.reward is None:
                raise Broken(f"cannot judge {reply!r:.40} ({len(reply)} characters): {verdict.why}")
            if taken > SCORING_LIMIT_S * sample.task.max_turns:
                raise Broken(f"takes {taken:.1f} CPU seconds over {reply!r:.40} ({len(reply)} characters)")
    return f"{len(HOSTILE)} hostile replies are judged, none in more than {slowest:.2g} CPU seconds"


def _floor(sample: Sample) -> str:
    task, items = sample.task, sample.items
    copied = task.oracle_reply(task.begin(items[-1], stream("check", task.id)))
    guesses: dict[str, Reply] = {repr(text): constant(text) for text in ("", *_GUESSES)}
    guesses["the prompt itself"] = lambda state, observation: observation
    if copied is not None:
        guesses["another item's answer"] = constant(copied)
    others = [item for item in items if normalise(item.prompt) != normalise(items[-1].prompt)] or items
    best_name, best_mean = "", -math.inf
    for name, guess in guesses.items():
        rewards = [play_through(task, item, guess).reward or 0.0 for item in others]
        mean = sum(rewards) / len(rewards)
        error = math.sqrt(sum((reward - mean) ** 2 for reward in rewards)) / len(rewards)
        if mean > task.floor + 3 * error + 0.02 * (task.reward_range[1] - task.reward_range[0]):
            raise Broken(f"replying {name} earns {mean:.3f} on average, above the declared floor {task.floor:g}")
        best_name, best_mean = max((best_mean, best_name), (mean, name))[::-1]
    return f"the best blind guess, {best_name}, earns {best_mean:.3f}; declared floor {task.floor:g}"


RULES: dict[str, Callable[[Sample], str]] = {
    "is a Gymnasium environment": _gymnasium,
    "prompts say something": _prompts,
    "items are JSON": _json,
    "items repeat": _repeats,
    "digest is stable": _digest,
    "splits are disjoint": _splits,
    "state can be pickled": _state,
    "oracle gets the best reward": _best,
    "plain replies are judged": _judges,
    "hostile replies are judged": _hostile,
    "guessing earns the floor": _floor,
}
