"""Ranks: the processes of one run that torchrun started, and what they say to each other.

Words travel as bytes, numbers as tensors; nothing is pickled. On a CPU the group is gloo's, on GPUs NCCL's with gloo
beside it for bytes: the calls are the same. A process that torchrun did not start is `ALONE`, for which every exchange
is nothing. A rank that is lost or silent ends the run on all others; the same command goes on from its checkpoint.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from eggym.errors import EggymError
from eggym.patience import RANKS, with_ranks_s

_PIECE = 1 << 26  # bytes that one exchange of words carries at most
_BUCKET = 1 << 23  # numbers that one sum of gradients carries at most, unless one tensor alone has more


class RankLost(EggymError):
    """Another rank of the run is gone, or did not answer in time."""


class Ranks(Protocol):
    """The ranks of a run, as one of them sees them."""

    @property
    def rank(self) -> int:
        """Which one this is; 0 writes the run."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def cuts(self) -> bool:
        """Whether items and passes are cut among them. Else each makes all passes, and who has parcels plays them."""

    def gather(self, words: bytes) -> list[bytes]:
        """Return the words of all ranks, in their order."""

    def collect(self, words: bytes) -> list[bytes]:
        """Do as `gather` on rank 0; the others get nothing."""

    def add(self, tensors: Sequence[Any]) -> None:
        """Put into each float32 tensor the sum over all ranks: the same bits on each."""


@dataclass(frozen=True, slots=True)
class Alone:
    """No other rank."""

    rank: int = 0
    size: int = 1
    cuts: bool = True

    def gather(self, words: bytes) -> list[bytes]:
        """Return what was said."""
        return [words]

    def collect(self, words: bytes) -> list[bytes]:
        """Return what was said."""
        return [words]

    def add(self, tensors: Sequence[Any]) -> None:
        """Leave the tensors as they are."""


ALONE = Alone()


@dataclass(frozen=True, slots=True)
class Group:
    """The default process group of torch."""

    rank: int
    size: int
    cuts: bool = True

    def gather(self, words: bytes) -> list[bytes]:
        """Exchange lengths, then the words in pieces."""
        import torch
        import torch.distributed as dist

        with naming_loss():
            lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
            dist.all_gather(lengths, torch.tensor([len(words)]))
            found = [bytearray() for _ in range(self.size)]
            for piece, wide in _pieces(words, max(map(int, lengths))):
                parts = [torch.empty(wide, dtype=torch.uint8) for _ in range(self.size)]
                dist.all_gather(parts, piece)
                for whole, part in zip(found, parts, strict=True):
                    whole += part.numpy().tobytes()
        return [bytes(whole[: int(length)]) for whole, length in zip(found, lengths, strict=True)]

    def collect(self, words: bytes) -> list[bytes]:
        """Exchange lengths, then send the words to rank 0 in pieces."""
        import torch
        import torch.distributed as dist

        lengths = [int.from_bytes(told, "little") for told in self.gather(len(words).to_bytes(8, "little"))]
        found = [bytearray() for _ in range(self.size)]
        with naming_loss():
            for piece, wide in _pieces(words, max(lengths)):
                parts = [torch.empty(wide, dtype=torch.uint8) for _ in range(self.size)] if self.rank == 0 else None
                dist.gather(piece, parts)
                for whole, part in zip(found, parts or [], strict=self.rank == 0):
                    whole += part.numpy().tobytes()
        return [bytes(whole[:length]) for whole, length in zip(found, lengths, strict=True)] if self.rank == 0 else []

    def add(self, tensors: Sequence[Any]) -> None:
        """Sum buckets of tensors."""
        import torch
        import torch.distributed as dist

        with naming_loss():
            for bucket in _buckets(tensors):
                flat = torch.cat([one.reshape(-1) for one in bucket])
                dist.all_reduce(flat)
                for one, part in zip(bucket, torch.split(flat, [one.numel() for one in bucket]), strict=True):
                    one.copy_(part.view_as(one))


def sum_numbers(ranks: Ranks, numbers: Sequence[float]) -> list[float]:
    """Return each number's sum over ranks, in their order: the same bits on every rank."""
    form = struct.Struct(f"<{len(numbers)}d")
    rows = [form.unpack(told) for told in ranks.gather(form.pack(*numbers))]
    return [float(sum(column)) for column in zip(*rows, strict=True)]


def first_says(ranks: Ranks, yes: bool) -> bool:
    """Return what rank 0 says: of clocks, which differ."""
    return ranks.gather(b"\1" if yes else b"\0")[0] == b"\1"


@contextmanager
def naming_loss() -> Iterator[None]:
    """Turn what torch says when another rank is gone or silent into one line.

    Raises:
        RankLost: as said.
    """
    import torch.distributed as dist

    try:
        yield
    except RuntimeError as problem:
        text = str(problem)
        if not isinstance(problem, dist.DistError) and not any(word in text.lower() for word in ("gloo", "nccl")):
            raise
        silent = "timed out" in text.lower() or "timeout" in text.lower()
        what = f"did not answer within {with_ranks_s():g} s ({RANKS})" if silent else "has ended"
        raise RankLost(f"another rank {what}; the same command continues from the last checkpoint") from problem


def _pieces(words: bytes, longest: int) -> Iterator[tuple[Any, int]]:
    """Yield the words piece by piece as uint8 tensors, filled up to the longest of all ranks, with their width."""
    import torch

    for start in range(0, longest, _PIECE):
        wide = min(_PIECE, longest - start)
        padded = bytearray(words[start : start + wide].ljust(wide, b"\0"))
        yield torch.frombuffer(padded, dtype=torch.uint8), wide


def _buckets(tensors: Sequence[Any]) -> Iterator[list[Any]]:
    bucket: list[Any] = []
    for one in tensors:
        if bucket and sum(other.numel() for other in bucket) + one.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(one)
    if bucket:
        yield bucket
