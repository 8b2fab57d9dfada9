"""The fitness log: the raw rewards of training, step by step, written before the learner is told.

With the seeds and the start weights it rebuilds the weights of an ES run. Layout, little endian, one entry per step:

    magic "EGFT" | version u32 | step u64 | N u32 | P u32 | G u32 | CRC-32 of these u32
    item indices int64 x P | rewards float32 x N x P x G, NaN for missing | CRC-32 of the entry so far u32

A crash can leave a torn entry at the end; it is ignored when reading and cut before the next append. Damage that is
followed by a whole entry is no crash, and is an error.
Axes in names: _N members, _P items, _G replies per item.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eggym.episode import Ending, Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.files import write_problem
from eggym.folder import FITNESS as FITNESS
from eggym.task import Item, Verdict, VerdictState

MAGIC = b"EGFT"
VERSION = 1
_HEAD = struct.Struct("<4sIQIII")
_CRC = struct.Struct("<I")
_START = _HEAD.size + _CRC.size  # bytes before the item indices


@dataclass(frozen=True, slots=True)
class FitnessStep:
    """What one step brought."""

    step: int
    item_indices_P: NDArray[np.int64]
    rewards_N_P_G: NDArray[np.float32]  # NaN: could not be judged


@dataclass(frozen=True, slots=True)
class _Entry:
    found: FitnessStep
    end: int  # offset of the byte after it


class FitnessLog:
    """An append-only file of `FitnessStep`; a missing file is an empty log."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.path = path
        self._last: int | None = None  # the last step in the file, once `append` has looked
        self._clean = False

    def append(
        self, step: int, indices_P: Sequence[int] | NDArray[np.int64], rewards_N_P_G: NDArray[np.float32]
    ) -> None:
        """Add one step; on return it is on the disk.

        Raises:
            BadValue: the shapes disagree, a reward is infinite, or ``step`` does not follow the last one.
            EggymError: the disk is full; what was written of the entry is cut by the next append.
        """
        entry = pack_step(step, np.asarray(indices_P, dtype="<i8"), np.asarray(rewards_N_P_G, dtype="<f4"))
        if not self._clean:
            self._cut_torn_tail()
        if self._last is not None and step <= self._last:
            raise BadValue(
                f"{self.path} ends with step {self._last}, got step {step}; truncate the log before a repeat"
            )
        self._clean = False  # until the entry is whole
        try:
            with self.path.open("ab") as file:
                file.write(entry)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise write_problem(self.path, problem) from problem
        self._last, self._clean = step, True

    def read(self) -> list[FitnessStep]:
        """Return all whole steps, oldest first.

        Raises:
            BadValue: an entry is damaged though a later one is whole, or the format is of an unknown version.
        """
        return [entry.found for entry in self._entries()]

    def truncate(self, n_steps: int) -> None:
        """Keep the first ``n_steps`` entries.

        Raises:
            BadValue: there are fewer.
        """
        entries = self._entries()
        if not 0 <= n_steps <= len(entries):
            raise BadValue(
                f"{self.path} holds {len(entries)} whole steps, cannot keep {n_steps}; restore it, or delete the folder"
            )
        kept = entries[:n_steps]
        self._keep(kept)

    def _cut_torn_tail(self) -> None:
        self._keep(self._entries())

    def _keep(self, entries: Sequence[_Entry]) -> None:
        end = entries[-1].end if entries else 0
        if self.path.exists() and self.path.stat().st_size != end:
            with self.path.open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
        self._last = entries[-1].found.step if entries else None
        self._clean = True

    def _entries(self) -> list[_Entry]:
        return _entries(self.path.read_bytes() if self.path.exists() else b"", self.path)


def steps_of(data: bytes) -> list[FitnessStep]:
    """Return the whole steps of a log that was sent, oldest first.

    Raises:
        BadValue: as `FitnessLog.read`.
    """
    return [entry.found for entry in _entries(data, Path("fitness log that was sent"))]


def heard(before: int, step: FitnessStep) -> int:
    """Return a number that follows from all steps so far: equal for who was told the same, from 0."""
    told = pack_step(step.step, step.item_indices_P, step.rewards_N_P_G)
    # no CRC: an entry ends with its own, and the CRC over both is the same for all entries
    return int.from_bytes(hashlib.blake2b(told, digest_size=6, key=before.to_bytes(6)).digest())


def rewards_only(entry: FitnessStep) -> EpisodeBatch:
    """Return the batch of a step in which nothing is known but the rewards."""
    n_members, n_items, n_replies = entry.rewards_N_P_G.shape
    items = [Item("", index=int(index)) for index in entry.item_indices_P]
    episodes = []
    for number, value in enumerate(entry.rewards_N_P_G.flatten().tolist()):
        member, rest = divmod(number, n_items * n_replies)
        slot, sample = divmod(rest, n_replies)
        known = value == value  # NaN: could not be judged
        verdict = Verdict(value if known else None, VerdictState.WRONG if known else VerdictState.ERROR)
        episodes.append(Episode(items[slot], member, slot, sample, [], [], verdict, Ending.ANSWERED))
    return EpisodeBatch(entry.step, episodes, n_members, n_items, n_replies)


def _entries(data: bytes, path: Path) -> list[_Entry]:
    entries: list[_Entry] = []
    offset = 0
    while offset < len(data):
        entry = _unpack(data, offset, path)
        if entry is None:
            _refuse_hole(data, offset, entries, path)
            break
        entries.append(entry)
        offset = entry.end
    return entries


def _refuse_hole(data: bytes, offset: int, before: Sequence[_Entry], path: Path) -> None:
    """Tell a torn tail from a damaged middle: after a crash, nothing whole can follow."""
    later = data.find(MAGIC, offset + 1)
    while later >= 0:
        entry = _unpack(data, later, path)
        if entry is not None:
            last = f"after step {before[-1].found.step}" if before else "at the first step"
            raise BadValue(
                f"{path} is damaged {last} (byte {offset}), before step {entry.found.step}; "
                "restore it from a copy, or delete the run folder and run again"
            )
        later = data.find(MAGIC, later + 1)


def pack_step(step: int, indices_P: NDArray[np.int64], rewards_N_P_G: NDArray[np.float32]) -> bytes:
    """Return one step as the log holds it.

    Raises:
        BadValue: the shapes disagree, or a reward is infinite.
    """
    if rewards_N_P_G.ndim != 3 or indices_P.shape != rewards_N_P_G.shape[1:2]:
        raise BadValue(
            f"rewards must be members x items x replies, got {rewards_N_P_G.shape} for {indices_P.shape} items"
        )
    if np.isinf(rewards_N_P_G).any():
        raise BadValue(f"rewards of step {step} must be finite or NaN, got an infinite one")
    # NaN has many bit patterns; one of them is written, so that equal runs give equal files.
    rewards = np.where(np.isnan(rewards_N_P_G), np.float32(np.nan), rewards_N_P_G).astype("<f4")
    head = _HEAD.pack(MAGIC, VERSION, step, *rewards.shape)
    body = head + _CRC.pack(zlib.crc32(head)) + indices_P.tobytes() + rewards.tobytes()
    return body + _CRC.pack(zlib.crc32(body))


def _unpack(data: bytes, offset: int, path: Path) -> _Entry | None:
    """Return the entry at ``offset``; None if there is no whole one."""
    head = data[offset : offset + _HEAD.size]
    start = offset + _START
    if not head.startswith(MAGIC) or len(data) < start:
        return None
    if data[offset + _HEAD.size : start] != _CRC.pack(zlib.crc32(head)):
        return None
    _, version, step, n, p, g = _HEAD.unpack(head)
    if version != VERSION:
        raise BadValue(f"{path} has format version {version}, this eggym reads {VERSION}; install a newer eggym")
    middle, end = start + 8 * p, start + 8 * p + 4 * n * p * g
    if data[end : end + _CRC.size] != _CRC.pack(zlib.crc32(data[offset:end])):
        return None
    indices = np.frombuffer(data[start:middle], dtype="<i8").astype(np.int64)
    rewards = np.frombuffer(data[middle:end], dtype="<f4").astype(np.float32).reshape(n, p, g)
    return _Entry(FitnessStep(step, indices, rewards), end + _CRC.size)
