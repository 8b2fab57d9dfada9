"""What a worker tells of the episodes that it played: a reward, a state and a digest each, and sums of what they took.

25 bytes an episode, in the order of members, items and samples. The replies themselves stay in the worker's part of
the step's shard.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from eggym.budget import Meter, Spend
from eggym.episode import Ending, Episode
from eggym.errors import BadValue
from eggym.frames import Frame
from eggym.replies import episode_digest
from eggym.task import Item
from eggym.usage import Sandboxed, sandboxed
from eggym.verdict import Verdict, VerdictState

_TOLD = np.dtype([("reward", "<f8"), ("state", "u1"), ("digest", "V16")])
_STATES = tuple(VerdictState)
_SPENT = tuple(one.name for one in fields(Spend))


@dataclass(frozen=True, slots=True)
class Gist:
    """The episodes of one parcel, without their words."""

    episodes: list[Episode]  # no segments, no turns
    digests: list[str]
    spend: Spend
    row_steps: tuple[int, int]
    sandbox: Sandboxed

    def charge(self, meter: Meter) -> None:
        """Add what the parcel took to what a run has spent."""
        meter.add(self.spend, self.row_steps)
        meter.sandbox = Sandboxed(meter.sandbox.cpu_s + self.sandbox.cpu_s, meter.sandbox.calls + self.sandbox.calls)


def told(episodes: Sequence[Episode], meter: Meter, before: Sandboxed) -> Frame:
    """Return the answer of a worker: ``meter`` counted these episodes alone, ``before`` is what had run earlier."""
    rows = np.zeros(len(episodes), _TOLD)
    rows["reward"] = [np.nan if one.verdict.reward is None else one.verdict.reward for one in episodes]
    rows["state"] = [_STATES.index(one.verdict.state) for one in episodes]
    rows["digest"] = [np.void(bytes.fromhex(episode_digest(one))) for one in episodes]
    why = next((one.verdict.why for one in episodes if one.verdict.reward is None), None)
    ran = sandboxed()
    header: dict[str, Any] = {"n": list(asdict(meter.spend).values()), "r": meter.row_steps}
    header |= {"why": why} if why else {}
    if ran.calls > before.calls:
        header["s"] = [round(ran.cpu_s - before.cpu_s, 6), ran.calls - before.calls]
    return Frame(header, rows.tobytes())


def read_gist(frame: Frame, items: Sequence[Item], members: range, n_replies: int) -> Gist:
    """Return what a worker told of some members.

    Raises:
        BadValue: it is not of these members, or no answer of this kind.
    """
    rows = np.frombuffer(frame.blob, _TOLD) if len(frame.blob) % _TOLD.itemsize == 0 else np.zeros(0, _TOLD)
    places = [(member, slot, sample) for member in members for slot in range(len(items)) for sample in range(n_replies)]
    try:
        spend = Spend(**dict(zip(_SPENT, map(int, frame.header["n"]), strict=True)))
        row_steps = tuple(map(int, frame.header["r"]))
        cpu_s, calls = frame.header.get("s", (0.0, 0))
        sandbox = Sandboxed(float(cpu_s), int(calls))
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        raise BadValue(f"a worker's answer lacks what was spent: {problem}") from problem
    if len(rows) != len(places) or len(row_steps) != 2 or (rows["state"] >= len(_STATES)).any():
        raise BadValue(f"a worker told of {len(rows)} episodes, and was asked for {len(places)}")
    refuse_odd(spend, row_steps, sandbox, len(places))
    if np.isinf(rows["reward"]).any():
        raise BadValue("a worker told of rewards without end")
    why = str(frame.header.get("why", ""))
    episodes = []
    for (member, slot, sample), (reward, state, _) in zip(places, rows.tolist(), strict=True):
        known = reward == reward  # NaN: could not be judged
        verdict = Verdict(reward if known else None, _STATES[state], why="" if known else why)
        episodes.append(Episode(items[slot], member, slot, sample, [], [], verdict, Ending.ANSWERED))
    digests = [digest.hex() for _, _, digest in rows.tolist()]
    return Gist(episodes, digests, spend, row_steps, sandbox)


def refuse_odd(spend: Spend, row_steps: Sequence[int], sandbox: Sandboxed, n_episodes: int) -> None:
    """Refuse what no episodes can have taken: it would be charged to the budget.

    Raises:
        BadValue: something is negative, no number, or of another number of episodes.
    """
    told = (*asdict(spend).values(), *row_steps, *sandbox)
    if spend.episodes != n_episodes or not all(0 <= value < 2**63 for value in told):
        raise BadValue(f"a worker told of {spend.episodes} episodes that took {told}, and was asked for {n_episodes}")
