"""Which replies the page of a row shows, chosen by rule and not by taste.

The rule: at most twenty, shared evenly by the tasks. Of each task the replies that decide, of the lowest seed, at the
point that counts. First the best, the middle and the worst by reward, ties in the order of the evaluation; then what
was not answered rightly, each state in turn (unparsed, timeout, error, refused, wrong), and so on in the order of the
evaluation. What could not be judged counts as worst.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from eggym.arena import Side
from eggym.errors import EggymError
from eggym.replies import EVALUATIONS
from eggym.score import Mode
from eggym.transcripts import clipped

from .stored import Entry

MOST = 20  # of a page
_STATES = ("unparsed", "timeout", "error", "refused", "wrong")
_PLACES = ("best", "middle", "worst")


@dataclass(frozen=True, slots=True)
class Shown:
    """One reply that is shown; all texts are untrusted."""

    why: str  # best, middle, worst, or its state
    item: int
    state: str
    reward: float | None
    prompt: str
    turns: list[tuple[str, str]]  # who, and what was said
    found: str  # what the scorer read as the answer; empty: nothing, or the last reply as it stands


def sampled(sides: Sequence[tuple[str, Side]], entries: Mapping[str, Entry], mode: Mode) -> list[tuple[str, Any]]:
    """Return the replies to show of each task, with the seed that they are of.

    Args:
        sides: tasks with the runs of the learner.
        entries: the records' folders, by id.
        mode: of the replies that decide.
    """
    each = max(1, MOST // max(1, len(sides)))
    found = []
    for task, side in sides[:MOST]:
        record = side.records[0]
        rows = _last(entries[record.id], record.points.index(record.counted), mode)
        if rows:
            found.append((task, {"seed": record.seed, "shown": [_told(why, row) for why, row in choose(rows, each)]}))
    return found


def choose(rows: Sequence[Mapping[str, Any]], most: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Return at most ``most`` rows of one evaluation, each with the reason why it is shown."""
    ordered = sorted(rows, key=lambda row: -_reward(row))
    chosen: dict[int, tuple[str, Mapping[str, Any]]] = {}
    for why, row in zip(_PLACES, (ordered[0], ordered[len(ordered) // 2], ordered[-1]), strict=True):
        chosen.setdefault(id(row), (why, row))
    for row in _failures(rows):
        if len(chosen) >= most:
            break
        chosen.setdefault(id(row), (str(row.get("state")), row))
    return list(chosen.values())[:most]


def _failures(rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    queues = [[row for row in rows if row.get("state") == state] for state in _STATES]
    for turn in zip_longest(*queues):
        yield from (row for row in turn if row is not None)


def _reward(row: Mapping[str, Any]) -> float:
    found = row.get("reward")
    return float(found) if isinstance(found, int | float) else float("-inf")


def _last(entry: Entry, point: int, mode: Mode) -> list[dict[str, Any]]:
    """Return the replies of one evaluation; only its own lines are parsed where they are as eggym writes them."""
    try:
        lines = entry.content(EVALUATIONS).decode(errors="replace").splitlines()
        wanted = f'"mode":"{mode}","point":{point},'
        rows = [json.loads(line) for line in [line for line in lines if wanted in line] or lines]
    except (EggymError, ValueError, RecursionError):  # a page is not what refuses a record
        return []
    return [row for row in rows if isinstance(row, dict) and row.get("point") == point and row.get("mode") == mode]


def _told(why: str, row: Mapping[str, Any]) -> Shown:
    turns = row.get("turns") if isinstance(row.get("turns"), list) else []
    reward, item = row.get("reward"), row.get("item")
    said: list[tuple[str, str]] = []
    found = clipped(str(row.get("found")))
    for place, turn in enumerate(turns or []):
        if isinstance(turn, dict):
            said += [("task", clipped(str(turn.get("observation", ""))))] if place else []
            said.append(("reply", clipped(str(turn.get("reply", "")))))
    return Shown(
        why,
        item if isinstance(item, int) else 0,
        str(row.get("state", "")),
        float(reward) if isinstance(reward, int | float) else None,
        clipped(str(row.get("prompt", ""))),
        said,
        "" if row.get("found") is None or said[-1:] == [("reply", found)] else found,
    )
