"""Ways to put a task to a model: examples of best replies before the prompt, and system prompts that a user gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eggym.episode import Episode
from eggym.errors import BadValue
from eggym.policy import Prompting
from eggym.verdict import VerdictState

SEPARATOR = "|||"  # between system prompts
Example = tuple[tuple[str, str], ...]  # what was shown and said, turn by turn


def read_systems(given: str) -> tuple[str, ...]:
    """Return the system prompts of an option: texts separated by ``|||``, or ``@FILE`` that holds them.

    Raises:
        BadValue: the file cannot be read, or a text in it begins with ``@``.
    """
    if given.startswith("@"):
        try:
            text = Path(given[1:]).expanduser().read_text(encoding="utf-8")
        except (OSError, ValueError) as problem:
            raise BadValue(f"systems {given!r} cannot be read: {problem}; give a file, or texts") from problem
    else:
        text = given
    found = tuple(dict.fromkeys(part.strip() for part in text.split(SEPARATOR) if part.strip()))
    odd = next((one for one in found if one.startswith("@")), None)
    if odd is not None:
        raise BadValue(f"a system prompt of {given!r} begins with @, which names a file: {odd[:40]!r}; begin otherwise")
    return found


def shot_counts(most: int) -> list[int]:
    """Return the numbers of examples that are tried: powers of two up to the largest."""
    return [count for count in (1, 2, 4, 8, 16, 32) if count <= most]


def examples_of(episodes: Sequence[Episode]) -> list[Example | None]:
    """Return each demonstration as examples, one pair for each turn; None where the scorer does not call it correct."""
    return [
        tuple((turn.observation, turn.reply) for turn in one.turns)
        if one.verdict.state is VerdictState.CORRECT
        else None
        for one in episodes
    ]


def candidates(
    own: Prompting,
    best: Prompting,
    systems: Sequence[str],
    sets: Sequence[Sequence[Example | None]],
    most_shots: int,
    fits: Callable[[Prompting], bool],
) -> tuple[list[Prompting], int]:
    """Return what one round of the search tries, the run's own prompting first, and how many were left out.

    Args:
        own: how the run prompts.
        best: the best so far; it is tried again.
        systems: besides the run's own.
        sets: demonstrations, ``most_shots`` in each set; the first k of a set are the examples of k shots.
        most_shots: the largest k; 0: no examples but the task's own.
        fits: whether the model can read the task so; what it cannot is left out, and so is k with an example missing.
    """
    found, left_out = {own: None}, 0
    if best != own:
        found[best] = None
    for one in _made(own, systems, sets, most_shots):
        if one is None or (one not in found and not fits(one)):
            left_out += 1
        else:
            found[one] = None
    return list(found), left_out


def _made(
    own: Prompting, systems: Sequence[str], sets: Sequence[Sequence[Example | None]], most_shots: int
) -> Iterator[Prompting | None]:
    for system in (own.system, *systems):
        base = replace(own, system=system)
        if system != own.system:
            yield base
        for count in shot_counts(most_shots):
            for examples in sets:
                pairs = [pair for one in examples[:count] for pair in one or ()]
                whole = len(examples) >= count and all(one is not None for one in examples[:count])
                yield replace(base, few_shot=tuple(pairs)) if whole else None


def packed(prompting: Prompting) -> dict[str, Any]:
    """Return what a candidate changes, as plain values, for a checkpoint."""
    return {"system": prompting.system, "few_shot": [list(pair) for pair in prompting.few_shot]}


def unpacked(own: Prompting, state: dict[str, Any]) -> Prompting:
    """Return a candidate from what it changes."""
    pairs = tuple((question, reply) for question, reply in state["few_shot"])
    return replace(own, system=state["system"], few_shot=pairs)
