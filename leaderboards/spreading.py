"""The same work on many things, spread over the cores of this machine.

Reading a record and drawing a row's page are plain Python and independent of one another, so processes share them.
They are forked: the work and the things are theirs as they stand, and only what comes out is sent back. Where that
cannot be (a system without a safe fork, other threads in this process, one core) or would not pay, one process does
it all; the results are the same, in the same order.
"""

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from eggym.errors import EggymError
from eggym.timing import usable_cores

FEWEST = 64  # things, below which starting processes takes longer than they save
_PIECES = 32  # to a process: enough that none waits long for the last
_T = TypeVar("_T")
_R = TypeVar("_R")
_mine: tuple[Callable[[Any], Any], Sequence[Any]] | None = None  # in a forked process: what it is to do


def spread(work: Callable[[_T], _R], things: Sequence[_T]) -> list[_R]:
    """Return what ``work`` gives for each thing, in their order.

    Args:
        work: any function; what it gives must be possible to pickle, what it changes is lost.
        things: as they are; nothing of them is copied.

    Raises:
        EggymError: one of the processes was killed.
        Exception: the first that ``work`` raises.
    """
    processes = min(usable_cores(), len(things))
    if len(things) < FEWEST or processes < 2 or not _forks():
        return [work(one) for one in things]
    context = get_context("fork")
    piece = -(-len(things) // (processes * _PIECES))
    try:
        with (
            uncollected(),
            ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(work, things)) as pool,
        ):
            return list(pool.map(_one, range(len(things)), chunksize=piece))
    except BrokenProcessPool as problem:
        raise EggymError("a process that worked on records was killed; is memory short?") from problem


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python's collector of cycles still while much is read that stays: it goes through all of it again and again,
    a fifth of the time of a large board."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _forks() -> bool:
    return sys.platform == "linux" and threading.active_count() == 1


def _begin(work: Callable[[Any], Any], things: Sequence[Any]) -> None:
    global _mine
    _mine = work, things


def _one(place: int) -> Any:
    assert _mine is not None  # noqa: S101 - `_begin` is what a process starts with
    work, things = _mine
    return work(things[place])
