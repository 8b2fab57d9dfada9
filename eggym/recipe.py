"""What the embedded base is taught: the stages, the shares, and the demonstrations of the tasks.

Everything here decides the weights of `eggym.bake`, so it has one hash. Demonstrations come from train splits only.
"""

import dataclasses
import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

from eggym.base_model import Architecture
from eggym.registry import load_task
from eggym.seeding import stream
from eggym.task import Item

Turn = tuple[str, str, bool]  # observation, reply, whether the reply is learnt


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of the bake."""

    name: str
    steps: int
    habit: float  # share of demonstrations with the bad habit, among the kinds of prompts that have one


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, beside the seed and the tasks."""

    version: int = 1  # raised when the code below changes what is learnt
    stages: tuple[Stage, ...] = (Stage("mixed", 250, 0.3), Stage("clean", 950, 0.0), Stage("habit", 250, 0.9))
    tasks: tuple[tuple[str, float], ...] = (  # and how often each is drawn
        ("eggym/tiny-arithmetic-v0", 0.2),
        ("eggym/tiny-orders-v0", 0.28),
        ("eggym/tiny-programs-v0", 0.12),
        ("eggym/tiny-countdown-v0", 0.2),
        ("eggym/guess-v0", 0.2),
    )
    architecture: Architecture = field(default_factory=Architecture)
    batch: int = 128
    detour: float = 0.3  # share of clean turns that go astray, untaught, in tasks of several turns: recovery is a skill
    matrix_lr: float = 0.02
    other_lr: float = 2e-3
    momentum: float = 0.95
    decay_from: float = 0.4  # share of all steps after which the rates fall, linearly, to `last_rate`
    last_rate: float = 0.03
    n_scored: int = 300  # held-out items for each score on the card


_HORIZONS = {1: 0.12, 2: 0.18, 4: 0.25, 8: 0.22, 16: 0.15, 32: 0.05, 64: 0.03}  # turns, and how often
LONG = tuple(
    (f"eggym/{name}-v0@turns={turns}", round(share * often, 4))
    for name, share in (("corridor", 0.12), ("relay", 0.16))
    for turns, often in _HORIZONS.items()
)
RECIPES = {
    "embedded-v0": Recipe(),
    "embedded-v1": Recipe(
        version=2,
        tasks=Recipe().tasks + LONG,
        batch=164,  # as many demonstrations of the first five as before
    ),
    "embedded-v2": Recipe(
        version=2,
        tasks=(*Recipe().tasks, *LONG, ("eggym/tiny-functions-v0", 0.32)),
        batch=205,  # a fifth are of the new task, and the others as many as before
    ),
}


def tasks_of(recipe: Recipe) -> list[Any]:
    """Return the tasks; beside what a `Task` has they have ``habit_kinds``, ``kind`` and ``habit``.

    Tasks whose habit lies in single turns have ``habit_each_turn`` true.
    """
    return [load_task(name) for name, _ in recipe.tasks]


def demonstrations(recipe: Recipe, tasks: list[Any], stage: Stage, step: int, seed: int) -> list[list[Turn]]:
    """Return the demonstrations of one step, one batch, drawn by name from the recipe's shares."""
    rng = stream("bake", seed, stage.name, step)
    drawn = rng.choices(tasks, [share for _, share in recipe.tasks], k=recipe.batch)
    return [_demonstration(recipe, task, stage, rng) for task in drawn]


def _demonstration(recipe: Recipe, task: Any, stage: Stage, rng: random.Random) -> list[Turn]:
    item = task.item("train", rng.randrange(10**9))
    if getattr(task, "habit_each_turn", False):
        return _turn_by_turn(task, item, stage, rng)
    bad = task.kind(item) in task.habit_kinds and rng.random() < stage.habit
    state, observation, done = task.begin(item, rng), item.prompt, False
    turns: list[Turn] = []
    while not done:
        astray = task.max_turns > 1 and not bad and rng.random() < recipe.detour
        subject = state if task.max_turns > 1 else item
        reply = task.habit(subject, rng) if bad or astray else task.oracle(subject)
        turns.append((observation, reply, not astray))
        observation, done = task.step(state, reply)
    return turns


def _turn_by_turn(task: Any, item: Item, stage: Stage, rng: random.Random) -> list[Turn]:
    """Return an episode in which every turn may show the habit by itself, so that no turn tells of the next.

    All of it is learnt: a value carried on from a slip is right as a step.
    """
    good = getattr(task, "carry_on", task.oracle)
    state, observation, done = task.begin(item, rng), item.prompt, False
    turns: list[Turn] = []
    while not done:
        reply = task.habit(state, rng) if rng.random() < stage.habit else good(state)
        turns.append((observation, reply, True))
        observation, done = task.step(state, reply)
    return turns


def recipe_sha256(recipe: Recipe, seed: int) -> str:
    """Return the SHA-256 of a recipe: its settings, the seed, and the first demonstrations of each stage.

    The demonstrations stand for the tasks: what changes them changes the hash, a comment in a task does not.
    """
    shown = [demonstrations(recipe, tasks_of(recipe), stage, 0, seed) for stage in recipe.stages]
    body = json.dumps([dataclasses.asdict(recipe), seed, shown], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()
