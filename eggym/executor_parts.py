"""What an executor knows of its workers: how they look, how they end, what came of them."""

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from eggym.errors import EggymError
from eggym.frames import Frame


class Hand(Protocol):
    """One worker, as the executor sees it. What it says arrives in the inbox, with itself."""

    name: str

    def send(self, data: bytes) -> None:
        """Hand over a frame as bytes, without waiting for anybody."""

    def stop(self) -> None:
        """End it, whatever it does."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, or can no longer be understood."""

    why: str
    trace: str = ""  # of its code, where that raised what it should not: for want of memory, say


MOST_WORKERS = 1024
Inbox = queue.Queue[tuple[Hand, Frame | Lost]]
Start = Callable[[int, Inbox], Hand]  # a new worker, by its number


@dataclass
class Tally:
    """What an executor has done. Bytes are of frames, in either direction."""

    begun_bytes: int = 0  # sent to workers that joined
    sent_bytes: int = 0  # afterwards
    received_bytes: int = 0
    items: int = 0
    busy_s: float = 0.0  # of workers, with an item in hand
    tail_s: float = 0.0  # wall seconds in which no item waited any more and some were not done, times workers
    tail_idle_s: float = 0.0  # of these, what workers waited
    items_of: dict[str, int] = field(default_factory=dict)  # by the workers' names, as `kept` has them
    events: list[dict[str, Any]] = field(default_factory=list)  # workers that were replaced, and why


def kept(name: str) -> str:
    """Return a worker's name without that of its machine: what is kept of a run may be published."""
    place, on_machine, _ = name.partition(" on ")
    return f"{place})" if on_machine else name


class WorkerCrash(EggymError):
    """A worker process met a bug, or was killed. ``trace`` is its traceback; ``--debug`` shows it."""

    def __init__(self, message: str, trace: str = "") -> None:
        """Keep the traceback beside the message."""
        super().__init__(message)
        self.trace = trace


class WorkersLost(WorkerCrash):
    """Workers end one after the other, so it is not their fault."""
