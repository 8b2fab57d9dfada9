"""The rules of `eggym.check`: each looks at one thing that results rely on, and says what it saw.

A rule is a function from a `Sample` to one line; it raises `Broken` with what is wrong. `RULES` lists them by name.
Here are those about items and episodes; those about replies are in `eggym.check_replies` and `eggym.check_blind`.
"""

import pickle
import random
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import numpy as np

from eggym import check_blind, check_replies
from eggym.check_child import same_elsewhere
from eggym.check_sample import (
    PLAIN,
    Broken,
    Reply,
    Rule,
    Sample,
    best_reply,
    items_of,
    outline,
    twin_of,
)
from eggym.digest import digest
from eggym.env import TextEnv
from eggym.item import item_fault
from eggym.seeding import stream
from eggym.splits import SPLITS, normalise
from eggym.task import Item, Task

N_SPLIT = {"train": 6000, "validation": 2000, "test": 2000}  # items whose prompts are compared
SPLIT_CPU_S = 20.0  # a task that makes items slowly is compared on as many as it makes in this time
_N_COPIES = 8  # turns: an environment is played again from its beginning at each


def _gymnasium(sample: Sample) -> str:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.utils.env_checker import check_env

    split = sample.items[0].split
    env = TextEnv(sample.task, split)
    kwargs = {"task": sample.task.id, "split": split, **sample.task.difficulty}
    env.spec = EnvSpec(sample.task.id, entry_point="eggym.gymnasium_hook:make_env", kwargs=kwargs)
    EnvSpec.from_json(env.spec.to_json())
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


def _globals(sample: Sample) -> str:
    """Stir the global generators: the task must not look at them, and must leave them as they are."""
    outlines = []
    for seed in (1, 2):
        with _stirred(seed) as torch:
            before = _global_states(torch)
            outlines.append(outline(twin_of(sample.task), [sample.task.item(i.split, i.index) for i in sample.items]))
            after = _global_states(torch)
        if before != after:
            raise Broken("making or scoring items moves a global random generator")
    if outlines[0] != outlines[1]:
        raise Broken("items or rewards depend on the state of a global random generator")
    return "neither uses nor moves the global random generators"


@contextmanager
def _stirred(seed: int) -> Iterator[Any]:
    torch = sys.modules.get("torch")  # a task that draws from torch has loaded it by now
    kept = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        torch.manual_seed(seed)
    try:
        yield torch
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        if torch:
            torch.set_rng_state(kept[2])


def _global_states(torch: Any) -> tuple[Any, ...]:
    numpy_state = np.random.get_state()[1].tobytes()  # type: ignore[index]
    return random.getstate(), numpy_state, torch and torch.get_rng_state().tolist()


def _siblings(sample: Sample) -> str:
    """Play an episode alone, and beside another one of the same task, turn by turn: well, and badly."""
    task = sample.task
    for item, other in zip(sample.items[:4], reversed(sample.items), strict=False):
        for player in (lambda item: best_reply(task), _plain_player):
            alone = list(_episode(task, item, player(item)))[1:]
            beside, neighbour = _episode(task, item, player(item)), _episode(task, other, player(other))
            next(beside)
            next(neighbour)
            mixed: list[Any] = []
            while len(mixed) < len(alone):
                next(neighbour, None)
                mixed.append(next(beside, None))
            if mixed != alone:
                raise Broken(f"an episode of item {item.index} runs otherwise when another one goes on beside it")
    return "episodes that run side by side do not touch each other"


def _plain_player(item: Item) -> Reply:
    """Return the player who says numbers near those of the prompt, and plain things: wrong, but often in form."""
    numbers = re.findall(r"[0-9]{1,15}", item.prompt)[:4]
    texts = cycle([*(str(int(number) + 1) for number in numbers), *numbers, *PLAIN])
    return lambda state, observation: next(texts)


def _episode(task: Task, item: Item, player: Reply) -> Iterator[Any]:
    """Give an episode: that it has begun, each step, and its reward at the end."""
    state, done, turn = task.begin(item, stream("check", task.id, item.index)), False, 0
    yield "begun"
    while not done and turn < task.max_turns:
        observation, done = task.step(state, player(state, ""))
        turn += 1
        yield observation, done
    yield task.judge(state).reward


def _splits(sample: Sample) -> str:
    began = time.process_time()
    sides: dict[str, set[str]] = {}
    for place, split in enumerate(SPLITS, 1):
        sides[split] = set()
        for item in items_of(sample.task, split, N_SPLIT[split]):
            sides[split].add(normalise(item.prompt))
            if time.process_time() - began > SPLIT_CPU_S * place / len(SPLITS):
                break
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = sides[one] & sides[other]
        if both:
            raise Broken(f"{len(both)} prompts stand in {one} and in {other}, such as {min(both)!r:.60}")
    return "no prompt in two splits; distinct: " + ", ".join(f"{split} {len(side)}" for split, side in sides.items())


def _state(sample: Sample) -> str:
    """Read a state back after every turn: it must go on as the one that was written down does."""
    for item in sample.items[:2]:
        for player in (best_reply(sample.task), _plain_player(item)):
            _play_copies(sample.task, item, player)
    return "the state of an episode can be pickled at every turn, and goes on alike"


def _play_copies(task: Task, item: Item, player: Reply) -> None:
    state, done, turn = task.begin(item, stream("check", task.id, item.index)), False, 0
    while not done and turn < min(task.max_turns, _N_COPIES):
        copy = pickle.loads(pickle.dumps(state))  # noqa: S301 - what was pickled a moment ago
        text = player(state, "")
        turn += 1
        shown, done = task.step(state, text)
        again = task.step(copy, text)
        if again != (shown, done):
            raise Broken(f"turn {turn} of item {item.index} gives {(shown, done)!r:.70}, of a copy {again!r:.70}")
    copy = pickle.loads(pickle.dumps(state))  # noqa: S301 - what was pickled a moment ago
    if task.judge(copy).reward != task.judge(state).reward:
        raise Broken(f"item {item.index}: after {turn} turns a copy is scored otherwise")


RULES: dict[str, Rule] = {
    "is a Gymnasium environment": _gymnasium,
    "prompts say something": _prompts,
    "items are JSON": _json,
    "items repeat": _repeats,
    "digest is stable": _digest,
    "another process agrees": same_elsewhere,
    "global generators are left alone": _globals,
    "episodes do not meet": _siblings,
    "splits are disjoint": _splits,
    "state can be pickled": _state,
    **check_replies.RULES,
    **check_blind.RULES,
}
