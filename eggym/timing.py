"""Timing that can be believed: arms in rounds, in random order, beside a control that should differ by nothing.

A short kernel that is timed right after one that fills the cache runs cold, the next one runs warm; arms in a fixed
order have been seen to "win" by a quarter that way. So in every round the arms run in an order of their own, each timed
reading follows an untimed call of the same arm, and the base is measured twice, as two arms: the spread of the ratio
between those two (the A/A control) is what the machine can tell apart. A ratio that claims more is refused.

Left out: what is timed (the caller's arms), and confidence intervals; quartiles are over rounds of one process.
Axes in names: none; a reading is seconds of one call.
"""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from eggym.errors import BadValue
from eggym.seeding import stream

MIN_ROUNDS = 15  # below, no ratio is stated
Clock = Literal["cpu", "wall"]
State = Any  # what an arm prepares is the arm's own affair


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of doing the work.

    ``prepare`` makes what a call needs, untimed, and gives it up afterwards; ``run`` is what is timed. What it returns
    is put through ``fingerprint``, untimed, so that a report can say whether two arms did the same work.
    """

    name: str
    prepare: Callable[[], AbstractContextManager[State]]
    run: Callable[[State], Any]
    fingerprint: Callable[[Any], str | None] = lambda result: None
    share: float = 1.0  # of the whole work that one call does; seconds are divided by it, readings are kept as read


@dataclass(frozen=True, slots=True)
class Reading:
    """One timed call."""

    cpu_s: float  # of all threads of the process
    wall_s: float
    running: int  # processes that wanted a core just before it, this one included; 0: the system does not tell


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Median and quartiles of some readings, inclusive method: the extremes belong to the sample."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Quartiles":
        """Return the quartiles of one or more values.

        >>> Quartiles.of([1.0, 2.0, 3.0, 4.0, 5.0])
        Quartiles(q1=2.0, median=3.0, q3=4.0)
        """
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass(frozen=True, slots=True)
class Ratio:
    """How an arm compares with its base: time of the base over time of the arm, so 1 is equal and less is slower."""

    arm: str
    base: str
    clock: Clock
    claim: float | None  # what is to be shown: the ratio is at least this
    value: float | None  # median over rounds; None when refused
    quartiles: Quartiles | None
    control: Quartiles | None  # of the base over the same again
    refused: str | None  # why there is no value

    @property
    def met(self) -> bool | None:
        """Whether the claim holds; None when nothing was claimed or nothing can be said."""
        return None if self.value is None or self.claim is None else self.value >= self.claim


@dataclass(frozen=True, slots=True)
class Meters:
    """Where seconds and load come from; tests bring their own."""

    cpu: Callable[[], float] = time.process_time
    wall: Callable[[], float] = time.perf_counter
    running: Callable[[], int] = lambda: running_processes(_load_text())


@dataclass(frozen=True)
class Timing:
    """The readings of all arms, by round."""

    readings: Mapping[str, Sequence[Reading]]
    fingerprints: Mapping[str, Sequence[str]]  # the different ones that an arm's calls gave, in order of appearance
    shares: Mapping[str, float]
    cores: int = field(default_factory=lambda: usable_cores())

    def seconds(self, arm: str, clock: Clock = "cpu") -> list[float]:
        """Return what the whole work took in each round, in order of rounds."""
        if arm not in self.readings:
            raise BadValue(f"no arm {arm!r} was measured; measured: {', '.join(self.readings)}")
        read = [reading.cpu_s if clock == "cpu" else reading.wall_s for reading in self.readings[arm]]
        return [seconds / self.shares[arm] for seconds in read]

    def per_round(self, base: str, arm: str, clock: Clock = "cpu") -> list[float]:
        """Return base over arm, round by round."""
        pairs = zip(self.seconds(base, clock), self.seconds(arm, clock), strict=True)
        return [one / other for one, other in pairs]

    def crowded(self) -> bool:
        """Whether in more than a quarter of the readings more processes wanted a core than there are."""
        running = [one.running for readings in self.readings.values() for one in readings]
        return sum(n > self.cores for n in running) > len(running) / 4

    def ratio(
        self,
        arm: str,
        base: str,
        control: tuple[str, str] | None = None,
        claim: float | None = None,
        clock: Clock = "cpu",
        objection: str | None = None,
    ) -> Ratio:
        """Return base over arm as the median of the rounds, or why it is refused.

        Args:
            control: two arms that are the same: the base, measured twice.
            claim: the ratio is to be at least this; without one, the width of the control refuses nothing.
            objection: a reason of the caller's to refuse.
        """
        between = Quartiles.of(self.per_round(*control, clock)) if control is not None else None
        reason = objection or self._reason(len(self.readings[base]), between, claim, clock)
        found = None if reason else Quartiles.of(self.per_round(base, arm, clock))
        return Ratio(arm, base, clock, claim, found.median if found else None, found, between, reason)

    def _reason(self, rounds: int, control: Quartiles | None, claim: float | None, clock: Clock) -> str | None:
        if rounds < MIN_ROUNDS:
            return f"{rounds} rounds, {MIN_ROUNDS} are needed"
        if clock == "wall" and self.crowded():
            return f"more processes wanted a core than the {self.cores} there are; free the machine for wall time"
        return too_wide(control, claim) if claim is not None else None

    def as_dict(self) -> dict[str, Any]:
        """Return medians, quartiles and all readings by arm, for a file."""
        return {
            name: {
                "cpu_s": asdict(Quartiles.of(self.seconds(name, "cpu"))),
                "wall_s": asdict(Quartiles.of(self.seconds(name, "wall"))),
                "share": self.shares[name],
                "readings": [[round(one.cpu_s, 6), round(one.wall_s, 6), one.running] for one in readings],
                "fingerprints": list(self.fingerprints[name]),
            }
            for name, readings in self.readings.items()
        }


def measure(
    arms: Sequence[Arm],
    rounds: int,
    seed: int = 0,
    watch: Callable[[int], None] = lambda number: None,
    meters: Meters | None = None,
) -> Timing:
    """Time every arm once in every round, in random order, after an untimed call of the same arm.

    Args:
        seed: of the orders.
        watch: called with the number of rounds that are done.

    Raises:
        BadValue: no round, no arm, or two arms of one name.
    """
    names = [arm.name for arm in arms]
    if rounds < 1 or not names or len(set(names)) < len(names):
        raise BadValue(f"measuring takes at least 1 round and arms of different names, got {rounds} and {names}")
    meters = meters or Meters()
    readings: dict[str, list[Reading]] = {name: [] for name in names}
    fingerprints: dict[str, dict[str, None]] = {name: {} for name in names}
    for number in range(rounds):
        for arm in order(arms, seed, number):
            _read(arm, meters, [], fingerprints[arm.name])
            _read(arm, meters, readings[arm.name], fingerprints[arm.name])
        watch(number + 1)
    found = {name: list(seen) for name, seen in fingerprints.items()}
    return Timing(readings, found, {arm.name: arm.share for arm in arms})


def order(arms: Sequence[Arm], seed: int, number: int) -> list[Arm]:
    """Return the arms in the order of one round."""
    shuffled = list(arms)
    stream(seed, "timing", "round", number).shuffle(shuffled)
    return shuffled


def tolerance(claim: float) -> float:
    """Return how far the quartiles of the control may lie from 1: as far as the claim does, slower or faster.

    >>> round(tolerance(0.95), 4), tolerance(8.0)
    (0.05, 0.875)
    """
    return 1 - claim if claim < 1 else 1 - 1 / claim


def too_wide(control: Quartiles | None, claim: float) -> str | None:
    """Return why a control cannot carry a claim, or None when it can."""
    if control is None:
        return "there is no control"
    width = max(abs(control.q1 - 1), abs(control.q3 - 1))
    if width <= tolerance(claim):
        return None
    return (
        f"the control's quartiles {control.q1:.3f} to {control.q3:.3f} lie outside 1 +- {tolerance(claim):.3f}, "
        f"which a claim of {claim:g} needs"
    )


def running_processes(load: str) -> int:
    """Return how many processes want a core, from the text of /proc/loadavg; 0 when there is none.

    >>> running_processes("0.37 0.25 0.74 3/95 13800")
    3
    """
    parts = load.split()
    return int(parts[3].partition("/")[0]) if len(parts) > 3 else 0


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load_text() -> str:
    path = Path("/proc/loadavg")
    return path.read_text() if path.exists() else ""


def _read(arm: Arm, meters: Meters, into: list[Reading], seen: dict[str, None]) -> None:
    with arm.prepare() as state:
        running = meters.running()
        cpu, wall = meters.cpu(), meters.wall()
        result = arm.run(state)
        into.append(Reading(meters.cpu() - cpu, meters.wall() - wall, running))
        found = arm.fingerprint(result)
    if found is not None:
        seen[found] = None
