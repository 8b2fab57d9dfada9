"""An executor: work items dealt out to workers that may die, hang or lie, each item done exactly once as far as anyone
can tell.

A work item is a frame whose answer follows from it and from the notes before it, so it may be given to anybody, and
again. Notes go to every worker in order: they are how replicas stay equal. A worker that joins late is begun with
what all notes so far come to (``begin``).

Who is free gets the next item. A worker that dies, does not answer within its deadline or sends a damaged frame is
replaced, and its item is dealt anew; an item that ends several workers ends the run. Where workers live and how frames
reach them is the transport's business (`eggym.local_workers`).
"""

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eggym import errors
from eggym.errors import BadValue, EggymError
from eggym.executor_parts import Hand, Inbox, Lost, Start, Tally, WorkersLost, kept
from eggym.frames import Frame, dump
from eggym.patience import WORKERS, Patience, with_workers

_T = TypeVar("_T")
MOST_LOST = 3  # workers that one item may end, or that may fail to begin one after the other


@dataclass
class _Seat:
    """A worker with what it has in hand."""

    hand: Hand
    since: float  # when it was started, or given its item
    ready: bool = False
    item: int | None = None
    asked: str = ""  # what the item asks for


class Executor:
    """Some workers and the items that they do."""

    def __init__(
        self, start: Start, n_workers: int, begin: Callable[[], Frame], patience: Patience | None = None
    ) -> None:
        """Prepare; workers are started when there is an item for them.

        Args:
            start: makes one.
            n_workers: how many there are to be.
            begin: returns the first frame of a worker that joins now: all notes so far are part of it.
            patience: with each of them; None: what the environment says (`with_workers`).
        """
        self._start, self._n_workers, self._begin = start, n_workers, begin
        self._patience = patience or with_workers()
        self._inbox: Inbox = queue.Queue()
        self._seats: dict[int, _Seat] = {}  # by id of the hand
        self._n_started = 0
        self._n_failed = 0  # workers in a row that never became ready
        self._longest_s: dict[str, float] = {}  # by what items ask for: an evaluation says nothing of a parcel
        self.tally = Tally()
        self.heed: Callable[[str, str], None] = lambda name, why: None  # told of a worker that is let go, and why

    def note(self, frame: Frame) -> None:
        """Tell every worker; those that join later hear of it from ``begin``."""
        for seat in self._seats.values():
            self._send(seat, frame)

    def map(self, items: Sequence[Frame], accept: Callable[[int, Frame], _T]) -> Iterator[tuple[int, _T]]:
        """Yield each item's number with what ``accept`` makes of its answer, in any order.

        ``accept`` raises BadValue where an answer cannot be one to that item: then its worker is replaced too.

        Raises:
            EggymError: as the worker's code raised it.
            WorkersLost: an item ended several workers, or none can be begun.
        """
        waiting, losses, left = deque(range(len(items))), [0] * len(items), set(range(len(items)))

        def lost(number: int | None, how: Lost) -> None:
            if number is not None:
                losses[number] += 1
                _refuse_deadly(items[number], losses[number], how)
                waiting.appendleft(number)

        while left:
            self._staff()
            self._deal(items, waiting)
            before = time.monotonic()
            found = self._next()
            self._count_tail(bool(waiting), before)
            for seat, message in found:
                if isinstance(message, Lost):
                    self._drop(seat, message)
                    lost(seat.item, message)
                elif message.header.get("type") == "ready":
                    seat.ready, self._n_failed = True, 0
                else:
                    number = self._answered(seat, message)
                    try:
                        accepted = accept(number, message)
                    except BadValue as problem:
                        self._drop(seat, Lost(str(problem)))
                        lost(number, Lost(str(problem)))
                        continue
                    left.discard(number)
                    yield number, accepted

    def _deal(self, items: Sequence[Frame], waiting: deque[int]) -> None:
        """Give every free worker the next item."""
        for seat in self._seats.values():
            if seat.ready and seat.item is None and waiting:
                self._give(seat, items[number := waiting.popleft()], number)

    def _give(self, seat: _Seat, frame: Frame, number: int) -> None:
        seat.item, seat.asked, seat.since = number, str(frame.header["do"]), time.monotonic()
        self._send(seat, Frame({**frame.header, "item": number}, frame.blob))

    def survey(self, frame: Frame) -> dict[str, Frame]:
        """Ask every worker the same, and return the answers by the workers' names; who is lost is left out."""
        asked = [seat for seat in self._seats.values() if seat.ready]
        for seat in asked:
            self._give(seat, frame, 0)
        told: dict[str, Frame] = {}
        while any(seat.item is not None for seat in self._seats.values()):
            for seat, message in self._next():
                if isinstance(message, Lost):
                    self._drop(seat, message)
                elif message.header.get("type") == "ready":
                    seat.ready = True
                else:
                    self._answered(seat, message)
                    told[seat.hand.name] = message
        return told

    def replace(self, name: str, why: str) -> None:
        """Stop a worker; another takes its place when there is work."""
        for seat in [seat for seat in self._seats.values() if seat.hand.name == name]:
            self._drop(seat, Lost(why))

    def stop(self) -> None:
        """End all workers, whatever they do."""
        for seat in self._seats.values():
            seat.hand.stop()
        self._seats.clear()

    def _staff(self) -> None:
        """Start workers until there are enough."""
        while len(self._seats) < self._n_workers:
            hand = self._start(self._n_started, self._inbox)
            self._n_started += 1
            self._seats[id(hand)] = _Seat(hand, time.monotonic())
            data = dump(self._begin())
            self.tally.begun_bytes += len(data)
            hand.send(data)

    def _send(self, seat: _Seat, frame: Frame) -> None:
        data = dump(frame)
        self.tally.sent_bytes += len(data)
        seat.hand.send(data)

    def _next(self) -> list[tuple[_Seat, Frame | Lost]]:
        """Wait for a message or a deadline; return what workers said, or who is overdue."""
        now = time.monotonic()
        due = {id(seat.hand): seat.since + self._allowed(seat) for seat in self._seats.values() if self._allowed(seat)}
        try:
            hand, message = self._inbox.get(timeout=max(0.0, min(due.values(), default=now + 1.0) - now))
        except queue.Empty:
            now = time.monotonic()
            late = [self._seats[key] for key, when in due.items() if when <= now]
            longer = f"{WORKERS}=4 waits four times as long"
            return [(seat, Lost(f"no answer within {now - seat.since:.0f} s ({longer})")) for seat in late]
        seat = self._seats.get(id(hand))
        if seat is None or seat.hand is not hand:  # a worker that was replaced
            return []
        if isinstance(message, Frame):
            self.tally.received_bytes += message.size
            said = message.header.get("type")
            if said in ("astray", "crashed"):
                message = Lost(str(message.header.get("message")), str(message.header.get("trace", "")))
            elif said == "answer" and (seat.item is None or message.header.get("item") != seat.item):
                message = Lost("it answered what it was not asked")
        return [(seat, message)]

    def _allowed(self, seat: _Seat) -> float:
        """Return how long a worker may take for what it does now; 0: it does nothing."""
        if not seat.ready:
            return self._patience.begin_s
        return 0.0 if seat.item is None else self._patience.of_item(self._longest_s.get(seat.asked))

    def _answered(self, seat: _Seat, message: Frame) -> int:
        """Take the answer to a worker's item; return the item's number."""
        _raise_trouble(message)
        number, took = seat.item, time.monotonic() - seat.since
        if number is None:
            raise WorkersLost(f"worker {seat.hand.name} says {message.header.get('type')!r}; this is a bug")
        self._longest_s[seat.asked] = max(took, self._longest_s.get(seat.asked, 0.0))
        self.tally.items += 1
        name = kept(seat.hand.name)
        self.tally.items_of[name] = self.tally.items_of.get(name, 0) + 1
        self.tally.busy_s += took
        seat.item = None
        return number

    def _drop(self, seat: _Seat, how: Lost) -> None:
        """Let a worker go; another takes its place when there is work."""
        self._seats.pop(id(seat.hand), None)
        seat.hand.stop()
        self.tally.events.append({"worker": kept(seat.hand.name), "why": how.why})
        self.heed(seat.hand.name, how.why)
        self._n_failed += not seat.ready
        if self._n_failed < MOST_LOST:
            return
        if not self._seats:
            raise WorkersLost(f"{self._n_failed} workers in a row could not be begun; the last: {how.why}", how.trace)
        self._n_workers, self._n_failed = self._n_workers - 1, 0  # those that are there do the rest
        why = f"not replaced: {MOST_LOST} could not be begun"
        self.tally.events.append({"worker": kept(seat.hand.name), "why": why})
        self.heed(seat.hand.name, why)

    def _count_tail(self, waits: bool, since: float) -> None:
        if waits:
            return
        seconds = time.monotonic() - since
        idle = sum(seat.ready and seat.item is None for seat in self._seats.values())
        self.tally.tail_s += seconds * len(self._seats)
        self.tally.tail_idle_s += seconds * idle


def _refuse_deadly(item: Frame, n: int, how: Lost) -> None:
    if n >= MOST_LOST:
        raise WorkersLost(
            f"work item {item.header} ended {n} workers; the last: {how.why}. What is finished is kept: the same "
            "command continues where it was",
            how.trace,
        )


def _raise_trouble(message: Frame) -> None:
    told = message.header
    if told.get("type") == "refused":
        kind = getattr(errors, str(told.get("error")), EggymError)
        ours = isinstance(kind, type) and issubclass(kind, EggymError)
        raise (kind if ours else EggymError)(str(told.get("message")))
