"""What was said: evaluation replies in ``evaluations.jsonl``, training replies in one compressed shard per step.

Both are deterministic: the same run gives the same bytes. Token ids are not kept; a digest of them is.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from eggym.episode import Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.files import write_bytes, write_problem

EVALUATIONS = "evaluations.jsonl"
SHARDS = "episodes"


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


def cut_file(path: Path, length: int) -> None:
    """Cut an append-only file back to what a checkpoint remembers.

    Raises:
        BadValue: it is shorter than that.
    """
    present = path.stat().st_size if path.exists() else 0
    if present < length:
        raise BadValue(
            f"{path} has {present} bytes, its checkpoint wants {length}; delete the run folder and run again"
        )
    if present > length:
        os.truncate(path, length)


def write_shard(folder: Path, batch: EpisodeBatch) -> None:
    """Write the replies of one training step."""
    (folder / SHARDS).mkdir(exist_ok=True)
    text = "".join(_dump(shard_line(episode)) for episode in batch.episodes)
    write_bytes(folder / SHARDS / f"{batch.step:06d}.jsonl.gz", gzip.compress(text.encode(), 1, mtime=0))


def shard_line(episode: Episode) -> dict[str, Any]:
    """Return what a shard keeps of one training episode."""
    return {"member": episode.member, **_told(episode), "digest": episode_digest(episode)}


def read_shard(folder: Path, step: int) -> list[dict[str, Any]]:
    """Return the replies of one training step, ordered by member, then item, then sample.

    Raises:
        BadValue: the shard is missing or cannot be read.
    """
    path = folder / SHARDS / f"{step:06d}.jsonl.gz"
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        return [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise BadValue(f"{path} cannot be read: {problem}; restore the file, or run again") from problem


def cut_shards(folder: Path, n_steps: int) -> None:
    """Remove the shards of steps that a checkpoint does not hold.

    Raises:
        BadValue: one that it holds is missing.
    """
    wanted = {f"{step:06d}.jsonl.gz" for step in range(n_steps)}
    present = {path.name: path for path in (folder / SHARDS).glob("*.jsonl.gz")}
    missing = sorted(wanted - present.keys())
    if missing:
        raise BadValue(f"{folder / SHARDS / missing[0]} is missing; restore it, or delete the run folder and run again")
    for name in present.keys() - wanted:
        present[name].unlink()


def episode_digest(episode: Episode) -> str:
    """Return 16 bytes, in hex, that follow from the episode's token ids and reward."""
    digest = hashlib.blake2b(digest_size=16)
    for segment in episode.segments:
        digest.update(np.asarray(segment.ids, dtype="<i8").tobytes())
        digest.update(np.asarray(segment.actions, dtype="u1").tobytes())
    reward = np.nan if episode.reward is None else episode.reward
    digest.update(np.asarray(reward, dtype="<f8").tobytes())
    return digest.hexdigest()


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
