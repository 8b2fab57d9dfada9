"""A share of the work for each rank, and what they tell each other of it: episodes, counts and numbers.

Everything that was exchanged is the same on all ranks, in the order of members, items and samples, and counts in the
meter of each: so whatever a run decides by it, all ranks decide alike.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eggym.budget import Meter, Spend
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import BadValue
from eggym.frames import Frame, dump, read
from eggym.ranks import Ranks
from eggym.task import Item
from eggym.usage import Sandboxed, sandboxed
from eggym.verdict import Verdict, VerdictState

Play = Callable[[Sequence[int]], EpisodeBatch]  # of the items of these numbers
_SEGMENT = (("ids", "<i8"), ("actions", "u1"), ("logprobs", "<f8"))


def dealt(ranks: Ranks, meter: Meter, items: Sequence[Item], play: Play) -> EpisodeBatch:
    """Play this rank's items, which ``meter`` counts; return the episodes of all ranks, which it then counts too.

    Where items are not cut (`Ranks.cuts`), rank 0 plays all: what has no parcels must not depend on who is there.
    """
    everything = range(len(items))
    own = everything[ranks.rank :: ranks.size] if ranks.cuts else everything if ranks.rank == 0 else range(0)
    with summed(ranks, meter):
        batch = play(own)
    batch.episodes, batch.n_items = exchanged(ranks, batch.episodes, items), len(items)
    return batch


def exchanged(ranks: Ranks, episodes: Sequence[Episode], items: Sequence[Item]) -> list[Episode]:
    """Return the episodes of all ranks in their order; their items are those that each rank has made itself."""
    found = [one for words in ranks.gather(pack_episodes(episodes)) for one in unpack_episodes(words, items)]
    return sorted(found, key=lambda one: (one.member, one.slot, one.sample))


@contextmanager
def summed(ranks: Ranks, meter: Meter) -> Iterator[None]:
    """Count what is done in this context on all ranks; the same on each. Seconds are left to `Clocks`."""
    if ranks.size == 1:
        yield
        return
    spend, row_steps, ran = asdict(meter.spend), list(meter.row_steps), sandboxed()
    yield
    names, now = list(spend), sandboxed()
    own = [getattr(meter.spend, name) - spend[name] for name in names]
    own += [now_n - before for now_n, before in zip(meter.row_steps, row_steps, strict=True)]
    head = {"n": own, "s": [now.cpu_s - ran.cpu_s, now.calls - ran.calls]}
    told = [_frame(words).header for words in ranks.gather(dump(Frame(head)))]
    totals = [sum(column) for column in zip(*(one["n"] for one in told), strict=True)]
    meter.spend = Spend(**{name: spend[name] + more for name, more in zip(names, totals, strict=False)})
    meter.row_steps[:] = [before + more for before, more in zip(row_steps, totals[len(names) :], strict=True)]
    others = [one["s"] for place, one in enumerate(told) if place != ranks.rank]  # the phase around counts its own
    meter.sandbox = Sandboxed(
        meter.sandbox.cpu_s + sum(cpu_s for cpu_s, _ in others), meter.sandbox.calls + sum(calls for _, calls in others)
    )


def summed_passes(ranks: Ranks, meter: Meter) -> AbstractContextManager[None]:
    """Do as `summed` where ranks cut a learner's passes; elsewhere each does all of them, which counts once."""
    return summed(ranks, meter) if ranks.cuts else nullcontext()


class Clocks:
    """The seconds on the meters of all ranks, which must agree: budgets may be given in them."""

    def __init__(self, ranks: Ranks, meter: Meter) -> None:
        """Begin with what rank 0 has spent."""
        self._ranks, self._meter = ranks, meter
        self._before_2 = self._told()[0]

    def agree(self) -> None:
        """Let all have spent the same since then: the CPU seconds of all, and the longest wall seconds."""
        spent_R_2 = self._told() - self._before_2
        self._before_2 = self._before_2 + np.array([spent_R_2[:, 0].sum(), spent_R_2[:, 1].max()])
        self._meter.seconds = dict(zip(("cpu-s", "s"), self._before_2.tolist(), strict=True))

    def _told(self) -> NDArray[np.float64]:
        own = np.array([self._meter.seconds[name] for name in ("cpu-s", "s")])
        return np.array([np.frombuffer(words) for words in self._ranks.gather(own.tobytes())])


def spread(
    ranks: Ranks, n: int, compute: Callable[[Sequence[int]], Sequence[NDArray[np.float64]]]
) -> list[NDArray[np.float64]]:
    """Return ``compute(range(n))``, an array for each of n things, of which each rank computes its share.

    What is computed for one must not depend on the others, but for rounding.
    """
    if ranks.size == 1 or not ranks.cuts:
        return list(compute(range(n)))
    own = range(ranks.rank, n, ranks.size)
    arrays = list(compute(own)) if own else []
    words = dump(Frame({"n": [len(one) for one in arrays]}, np.concatenate([*arrays, np.zeros(0)]).tobytes()))
    found: dict[int, NDArray[np.float64]] = {}
    for rank, told in enumerate(ranks.gather(words)):
        frame = _frame(told)
        parts = np.split(np.frombuffer(frame.blob), np.cumsum(frame.header["n"])[:-1]) if frame.header["n"] else []
        found |= dict(zip(range(rank, n, ranks.size), parts, strict=True))
    return [found[place] for place in range(n)]


# -- episodes as bytes ------------------------------------------------------------------------------------------------
def pack_episodes(episodes: Sequence[Episode]) -> bytes:
    """Return episodes as one frame: words in its head, numbers of tokens in its blob."""
    segments = [segment for one in episodes for segment in one.segments]
    columns = [
        np.array([value for segment in segments for value in getattr(segment, name)], dtype=form).tobytes()
        for name, form in _SEGMENT
    ]
    return dump(Frame({"e": [_told(one) for one in episodes]}, b"".join(columns)))


def unpack_episodes(words: bytes, items: Sequence[Item]) -> list[Episode]:
    """Return what `pack_episodes` was given, to the bit; the items are those of the step.

    Raises:
        BadValue: it was damaged on its way.
    """
    frame = _frame(words)
    lengths = [length for told in frame.header["e"] for length in told["l"]]
    columns, start = [], 0
    for _, form in _SEGMENT:
        column = np.frombuffer(frame.blob, form, sum(lengths), start)
        start += column.nbytes
        columns.append(column)
    segments = iter(_segments(lengths, columns))
    return [_episode(told, items, [next(segments) for _ in told["l"]]) for told in frame.header["e"]]


def _told(one: Episode) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "p": [one.member, one.slot, one.sample],
        "l": [len(segment.ids) for segment in one.segments],
        "t": [[turn.observation, turn.reply, _written(turn.reward), turn.n_tokens] for turn in one.turns],
        "v": [verdict.reward, verdict.state.value, verdict.found, verdict.why, dict(verdict.parts)],
        "e": one.ending.value,
    }


def _episode(told: dict[str, Any], items: Sequence[Item], segments: list[Segment]) -> Episode:
    member, slot, sample = told["p"]
    turns = [Turn(seen, reply, _read(reward), n) for seen, reply, reward, n in told["t"]]
    reward, state, found, why, parts = told["v"]
    verdict = Verdict(reward, VerdictState(state), found, why, parts)
    return Episode(items[slot], member, slot, sample, segments, turns, verdict, Ending(told["e"]))


def _segments(lengths: Sequence[int], columns: Sequence[NDArray[np.generic]]) -> list[Segment]:
    stops = np.cumsum([0, *lengths]).tolist()
    return [
        Segment(ids.tolist(), actions.astype(bool).tolist(), logprobs.tolist())
        for ids, actions, logprobs in ([column[start:stop] for column in columns] for start, stop in pairwise(stops))
    ]


def _written(number: float) -> float | str:
    return number if np.isfinite(number) else str(number)  # JSON has no NaN: the reward of what could not be judged


def _read(told: float | str) -> float:
    return float(told) if isinstance(told, str) else told


def _frame(words: bytes) -> Frame:
    frame = read(io.BytesIO(words))
    if frame is None:
        raise BadValue("another rank said nothing where something was due")
    return frame
