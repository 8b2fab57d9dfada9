"""Plausible mistakes in a function of `programs`, and hidden inputs on which each of them shows.

A mutant forgets a step, puts two neighbours in the wrong order, is off by one in a number, or has a slip of `Op`.
Hidden inputs are chosen so that every mutant which differs at all on the drawn inputs differs on one that is hidden.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from .program_steps import Op, Step, fit_together, value_of

_FAILED = "failed"  # stands for the value of a mutant that raises
N_HIDDEN = 12


def mutants(ops: dict[str, Op], steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Yield the mutants of some steps whose steps still fit together."""
    found = [*_without(steps), *_swapped(steps), *_off_by_one(steps), *_slips(ops, steps)]
    takes, gives = ops[steps[0][0]].takes, ops[steps[-1][0]].gives
    for one in found:
        if one and fit_together(ops, one) and ops[one[0][0]].takes == takes and ops[one[-1][0]].gives == gives:
            yield one


def says_enough(ops: dict[str, Op], steps: Sequence[Step], inputs: list[Any]) -> bool:
    """Say whether every step matters on some inputs, and no more than half of the results are equal."""
    right = [value_of(ops, steps, value) for value in inputs]
    if max(map(right.count, right)) > len(right) // 2:
        return False
    return all(
        any(_outcome(ops, fewer, value) != result for value, result in zip(inputs, right, strict=True))
        for fewer in _without(steps)
        if fewer and fit_together(ops, fewer) and ops[fewer[0][0]].takes == ops[steps[0][0]].takes
    )


def choose_hidden(ops: dict[str, Op], steps: Sequence[Step], edges: list[Any], drawn: list[Any]) -> list[Any]:
    """Return the edge cases and those drawn inputs that show the mutants, filled up to `N_HIDDEN`."""
    pool = edges + drawn
    right = [_outcome(ops, steps, value) for value in pool]
    chosen = list(range(len(edges)))
    for mutant in mutants(ops, steps):
        shows = (place for place, value in enumerate(pool) if _outcome(ops, mutant, value) != right[place])
        first = next(shows, None)
        if first is not None and first not in chosen:
            chosen.append(first)
    spare = (place for place in range(len(edges), len(pool)) if place not in chosen)
    return [pool[place] for place in [*chosen, *islice(spare, max(0, N_HIDDEN - len(chosen)))]]


def _outcome(ops: dict[str, Op], steps: Sequence[Step], value: Any) -> Any:
    try:
        return value_of(ops, steps, value)
    except (AttributeError, IndexError, TypeError, ValueError):  # what a slip has made may not suit the next step
        return _FAILED


def _without(steps: Sequence[Step]) -> Iterator[list[Step]]:
    for place in range(len(steps)):
        yield [*steps[:place], *steps[place + 1 :]]


def _swapped(steps: Sequence[Step]) -> Iterator[list[Step]]:
    for place in range(len(steps) - 1):
        yield [*steps[:place], steps[place + 1], steps[place], *steps[place + 2 :]]


def _off_by_one(steps: Sequence[Step]) -> Iterator[list[Step]]:
    for place, (name, number) in enumerate(steps):
        if number is not None:
            for shift in (-1, 1):
                yield [*steps[:place], [name, number + shift], *steps[place + 1 :]]


def _slips(ops: dict[str, Op], steps: Sequence[Step]) -> Iterator[list[Step]]:
    for place, (name, number) in enumerate(steps):
        for slip in range(len(ops[name].slips)):
            yield [*steps[:place], [name, number, slip], *steps[place + 1 :]]
