"""What was said: evaluation replies in ``evaluations.jsonl``, training replies in one compressed shard per step.

Both are deterministic: the same run gives the same bytes. Token ids are not kept; a digest of them is.
"""

import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eggym.episode import Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.files import sha256_file, write_bytes, write_problem
from eggym.folder import EVALUATIONS as EVALUATIONS
from eggym.folder import SHARDS as SHARDS
from eggym.folder import shard_name
from eggym.unpacking import gunzipped

PARTS = "parts"  # of shards, below it
WHOLE, DIGESTS = REPLIES = ("whole", "digests")  # what shards keep of training replies


def evaluation_lines(point: int, mode: str, batch: EpisodeBatch) -> list[dict[str, Any]]:
    """Return one JSON object for each reply of an evaluation."""
    return [{"point": point, "mode": mode, **_told(episode)} for episode in batch.episodes]


def append_lines(path: Path, lines: Iterable[dict[str, Any]]) -> int:
    """Append JSON lines, flushed to the disk; return the length of the file, which a checkpoint remembers."""
    text = "".join(_dump(line) for line in lines)
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as problem:
        raise write_problem(path, problem) from problem


def written(path: Path) -> dict[str, Any]:
    """Return length and digest of an append-only file, for a checkpoint; a missing file is an empty one."""
    return {"length": path.stat().st_size, "sha256": sha256_file(path)} if path.exists() else {"length": 0}


def change_of(path: Path, length: int, sha256: str = "") -> str | None:
    """Tell where an append-only file no longer begins with what a checkpoint remembers of it; None: it does."""
    if path.is_symlink():  # who follows it would cut off somebody else's file
        return f"{path} is a link"
    present = path.stat().st_size if path.exists() else 0
    if present < length:
        return f"{path} has {present} bytes, its checkpoint wants {length}"
    return _changed(path) if length and _start_sha256(path, length) != sha256 else None


def cut_file(path: Path, length: int) -> None:
    """Cut off what was appended after the first ``length`` bytes."""
    if path.exists() and path.stat().st_size > length:
        os.truncate(path, length)


def write_shard(folder: Path, batch: EpisodeBatch) -> str:
    """Write the replies of one training step; return the digest of the file, for a checkpoint."""
    return write_shard_text(folder, batch.step, shard_text(batch.episodes))


def write_digests(folder: Path, batch: EpisodeBatch, digests: Sequence[str]) -> str:
    """Write a shard of rewards and digests alone: the replies lie in the parts of whoever played them."""
    lines = [digest_line(episode, digest) for episode, digest in zip(batch.episodes, digests, strict=True)]
    return write_shard_text(folder, batch.step, "".join(map(_dump, lines)))


def write_part(folder: Path, step: int, first: int, episodes: Iterable[Episode]) -> None:
    """Keep the replies of a parcel.

    Raises:
        EggymError: the disk is full, or the folder cannot be written.
    """
    path = part_path(folder, step, first)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise write_problem(path, problem) from problem
    write_bytes(path, shard_text(episodes).encode())


def write_shard_text(folder: Path, step: int, text: str) -> str:
    """Do as `write_shard`, with the lines of all episodes in their order."""
    (folder / SHARDS).mkdir(exist_ok=True)
    path = folder / shard_name(step)
    write_bytes(path, gzip.compress(text.encode(), 1, mtime=0))
    return shard_digest(path)


def shard_text(episodes: Iterable[Episode]) -> str:
    """Return what a shard keeps of training episodes, a line for each."""
    return "".join(_dump(shard_line(episode)) for episode in episodes)


def part_path(folder: Path, step: int, first: int) -> Path:
    """Return where the replies of a parcel are kept, for good or until the step's shard is made of them."""
    return folder / SHARDS / PARTS / f"{step:06d}-{first:06d}.jsonl"


def join_parts(folder: Path, step: int, firsts: Sequence[int], digests: Sequence[str]) -> str:
    """Make the shard of a step of its parts, which go; return its digest.

    Args:
        folder: of the run.
        step: its number.
        firsts: the first member of each parcel, in order.
        digests: of the episodes, as the workers told them.

    Raises:
        BadValue: a part is missing, or does not hold these episodes.
    """
    paths = [part_path(folder, step, first) for first in firsts]
    try:
        lines = "".join(path.read_text(encoding="utf-8") for path in paths).splitlines(keepends=True)
    except (OSError, ValueError) as problem:
        raise BadValue(f"replies of step {step} cannot be read: {problem}; give the same command again") from problem
    right = len(lines) == len(digests) and all(
        f'"digest":"{digest}"' in line for line, digest in zip(lines, digests, strict=True)
    )
    if not right:
        raise BadValue(f"the parts of step {step} in {folder} are not what was told of them; give the command again")
    digest = write_shard_text(folder, step, "".join(lines))
    for path in paths:
        path.unlink()
    return digest


def shard_digest(path: Path) -> str:
    """Return 16 hex digits that follow from a shard: a checkpoint remembers one for every step."""
    return sha256_file(path)[:16]


def shard_line(episode: Episode) -> dict[str, Any]:
    """Return what a shard keeps of one training episode."""
    return {"member": episode.member, **_told(episode), "digest": episode_digest(episode)}


def digest_line(episode: Episode, digest: str) -> dict[str, Any]:
    """Return what a shard keeps of one training episode whose words lie elsewhere."""
    verdict = episode.verdict
    place = {"member": episode.member, "item": episode.item.index, "sample": episode.sample}
    return {**place, "reward": verdict.reward, "state": verdict.state.value, "digest": digest}


def read_shard(folder: Path, step: int) -> list[dict[str, Any]]:
    """Return the replies of one training step, ordered by member, then item, then sample.

    Raises:
        BadValue: the shard is missing or cannot be read.
    """
    path = folder / shard_name(step)
    try:
        with gunzipped(path) as content:
            lines = content.read().decode().splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise BadValue(f"{path} cannot be read: {problem}; restore the file, or run again") from problem


def change_of_shards(folder: Path, digests: Sequence[str]) -> str | None:
    """Tell where shards are no longer those that a checkpoint holds; ``digests`` are of each step's, in order."""
    for step, digest in enumerate(digests):
        path = folder / shard_name(step)
        if not path.is_file():
            return f"{path} is missing"
        if shard_digest(path) != digest:
            return _changed(path)
    return None


def cut_shards(folder: Path, n_steps: int) -> None:
    """Remove the shards of all steps but the first so many."""
    for path in (folder / SHARDS / PARTS).glob("*.jsonl"):  # of a step that was not finished
        if path.name[:6].isdecimal() and int(path.name[:6]) >= n_steps:
            path.unlink()
    kept = {folder / shard_name(step) for step in range(n_steps)}
    for path in (folder / SHARDS).glob("*.jsonl.gz"):
        if path not in kept:
            path.unlink()


def remove_parts(folder: Path) -> None:
    """Remove what is left of shards that workers were writing; only who holds the folder may."""
    shutil.rmtree(folder / SHARDS / PARTS, ignore_errors=True)


def episode_digest(episode: Episode) -> str:
    """Return 16 bytes, in hex, that follow from the episode's token ids and reward."""
    digest = hashlib.blake2b(digest_size=16)
    for segment in episode.segments:
        digest.update(np.asarray(segment.ids, dtype="<i8").tobytes())
        digest.update(np.asarray(segment.actions, dtype="u1").tobytes())
    reward = np.nan if episode.reward is None else episode.reward
    digest.update(np.asarray(reward, dtype="<f8").tobytes())
    return digest.hexdigest()


def _start_sha256(path: Path, length: int) -> str:
    digest, left = hashlib.sha256(), length
    with path.open("rb") as file:
        while piece := file.read(min(left, 1 << 20)):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def _changed(path: Path) -> str:
    return f"{path} was changed since its checkpoint was written"


def _told(episode: Episode) -> dict[str, Any]:
    verdict = episode.verdict
    return {
        "item": episode.item.index,
        "sample": episode.sample,
        "prompt": episode.item.prompt,
        "turns": [{"observation": turn.observation, "reply": turn.reply} for turn in episode.turns],
        "reward": verdict.reward,
        "state": verdict.state.value,
        "found": verdict.found,
        "ending": episode.ending.value,
        "tokens": episode.n_action_tokens,
    }


def _dump(line: dict[str, Any]) -> str:
    return json.dumps(line, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
