"""What the files in a run's folder are called. Nothing heavy stands here, so that a look at a run costs little."""

import re
from collections.abc import Sequence
from pathlib import Path

CONFIG = "config.json"  # the identity of the run
RECORD_FILE = "record.json"  # the result; with it the run is finished
MEASURED_FILE = "measured.json"
DIVERGED = "diverged.json"  # in a trial's folder, in place of a record
FITNESS = "fitness.bin"
STEPS = "steps.jsonl"
EVALUATIONS = "evaluations.jsonl"
SHARDS = "episodes"  # NUMBER.jsonl.gz below it, one for each step
CHECKPOINTS = "checkpoint-*"
TRACK = "track"  # curves for other programs, which are no part of the run
TUNING = "tuning"  # in a duel's folder: TASK/LEARNER/trial-K below it
DUEL = ".duel.json"  # in a duel's folder: its runs, and the command that it was started with


def shard_name(step: int) -> str:
    """Return the path, within a run's folder, of what was said in a step."""
    return f"{SHARDS}/{step:06d}.jsonl.gz"


def is_trial(parts: Sequence[str]) -> bool:
    """Return whether these parts of a path end in a trial of a duel's tuning."""
    return len(parts) >= 4 and parts[-4] == TUNING and re.fullmatch(r"trial-\d+", parts[-1]) is not None


def by_number(path: Path) -> list[str | int]:
    """Return what paths are sorted by, 4 before 16."""
    pieces = re.split(r"([0-9]+)", str(path))  # every second piece is a number
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)]
