"""Rates: work that is done again and again, and how much of it a CPU second holds, worker processes included.

Every rate is measured twice in each round, as two arms, which shows how far to trust it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from eggym.errors import BadValue
from eggym.task import Item, Task
from eggym.timing import MIN_ROUNDS, Arm, Meters, Quartiles, Timing, measure
from eggym.usage import family_cpu_s

Figures = dict[str, Any]
Watch = Callable[[int], None]
_CONTROL = " again"


@dataclass(frozen=True, slots=True)
class Rate:
    """Some work that is done again and again, and how much of it a second is to hold."""

    name: str
    n: int  # units in one call
    run: Callable[[], Any]
    target: float | None = None  # units per CPU second
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure."""

    parts: tuple[str, ...]
    rounds: int = MIN_ROUNDS
    seed: int = 0
    data: str | None = None  # the public file of a data set

    def __post_init__(self) -> None:
        """Refuse no rounds."""
        if self.rounds < 1:
            raise BadValue(f"rounds must be at least 1, got {self.rounds}")


def rates_of(rates: Sequence[Rate], settings: Settings, watch: Watch) -> Figures:
    """Measure every rate twice a round; return units per CPU second, and all readings."""
    arms = [
        Arm(rate.name + tail, _prepared(rate), lambda state, rate=rate: rate.run())  # type: ignore[misc]
        for rate in rates
        for tail in ("", _CONTROL)
    ]
    timing = measure(arms, settings.rounds, settings.seed, watch, Meters(cpu=family_cpu_s))
    return {"arms": timing.as_dict(), "rates": {rate.name: _figure(timing, rate) for rate in rates}}


def _prepared(rate: Rate) -> Callable[[], Any]:
    def prepare() -> Any:
        rate.prepare()
        return nullcontext()

    return prepare


def _figure(timing: Timing, rate: Rate) -> Figures:
    found = Quartiles.of([rate.n / seconds for seconds in timing.seconds(rate.name)])
    again = Quartiles.of([rate.n / seconds for seconds in timing.seconds(rate.name + _CONTROL)])
    met = None if rate.target is None else found.median >= rate.target
    return asdict(found) | {"again": again.median, "target": rate.target, "met": met, "n": rate.n}


def answered(task: Task, item: Item, reply: str) -> Any:
    """Return the state of a task of one turn after its reply."""
    state = task.begin(item, None)  # type: ignore[arg-type]  # a task of one turn does not look at it
    task.step(state, reply)
    return state


def seconds(run: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Return how long a call takes: CPU seconds, or those of another clock."""
    began = clock()
    run()
    return clock() - began


def is_there(module: str) -> bool:
    """Whether a module is installed; it is not imported."""
    return find_spec(module) is not None
