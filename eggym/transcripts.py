"""Which replies a report shows: the same item before and after training, chosen by rule and not by taste.

The rule: of the lowest seed that all contenders share, greedy replies to the first item, in the order of the
evaluation, of each kind: all learned it, only some did, one lost it. What is missing is skipped: a report never
fails for want of a reply.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eggym.arena import Arena, Side
from eggym.replies import EVALUATIONS

_LONGEST = 700  # characters of a text that are shown


@dataclass(frozen=True, slots=True)
class Reply:
    """One judged episode, as text."""

    text: str
    reward: float | None
    state: str


@dataclass(frozen=True, slots=True)
class Example:
    """One item: what the base said, and what each contender says after training."""

    why: str
    prompt: str
    before: Reply
    after: tuple[tuple[str, Reply], ...]  # label of the learner, its reply


@dataclass(frozen=True, slots=True)
class _Pair:
    prompt: str
    before: Reply
    after: Reply


def examples(arena: Arena, folders: Mapping[str, Path]) -> list[Example]:
    """Return up to four examples of one task; none where there are no contenders or no stored replies.

    Args:
        arena: the task and its runs.
        folders: the run folder of each record, by id.
    """
    sides = [side for side in arena.sides if side.kind != "control"]
    shared = set.intersection(*({r.seed for r in side.records} for side in sides)) if sides else set()
    if not shared:
        return []
    pairs = {side.label: _pairs(side, min(shared), folders) for side in sides}
    common = [item for item in next(iter(pairs.values())) if all(item in found for found in pairs.values())]
    chosen: dict[str, Example] = {}
    for item in common:
        here = {label: found[item] for label, found in pairs.items()}
        why = _why(here)
        if why is not None and why not in chosen:
            first = next(iter(here.values()))
            after = tuple((label, pair.after) for label, pair in here.items())
            chosen[why] = Example(why, first.prompt, first.before, after)
    return [chosen[why] for why in sorted(chosen, key=lambda why: (not why.startswith("all"), why.startswith("lost")))][
        :4
    ]


def _why(here: Mapping[str, _Pair]) -> str | None:
    change = {label: (pair.after.reward or 0) - (pair.before.reward or 0) for label, pair in here.items()}
    up = [label for label, by in change.items() if by > 0]
    down = [label for label, by in change.items() if by < 0]
    if down:
        return f"lost by {' and '.join(down)}"
    if len(up) == len(here):
        return "all learned it" if len(up) > 1 else f"learned by {up[0]}"
    return f"learned only by {' and '.join(up)}" if up else None


def _pairs(side: Side, seed: int, folders: Mapping[str, Path]) -> dict[Any, _Pair]:
    """Return first and last greedy reply per item, in the order of the evaluation."""
    record = next(record for record in side.records if record.seed == seed)
    path = folders[record.id] / EVALUATIONS if record.id in folders else None
    if path is None or not path.exists():
        return {}
    first: dict[Any, dict[str, Any]] = {}
    last: dict[Any, dict[str, Any]] = {}
    with path.open(encoding="utf-8") as lines:  # line by line: a large model's file may not fit in memory
        for row in _rows(lines):
            if row.get("mode") == "greedy" and row.get("sample", 0) == 0:
                first.setdefault(row.get("item"), row)
                last[row.get("item")] = row
    moved = {item: (first[item], last[item]) for item in first if first[item].get("point") != last[item].get("point")}
    return {
        item: _Pair(clipped(str(one.get("prompt", ""))), _reply(one), _reply(two)) for item, (one, two) in moved.items()
    }


def _rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # torn by a crash: what stood before it is still worth showing
            return
        if isinstance(row, dict):
            yield row


def _reply(row: Mapping[str, Any]) -> Reply:
    turns = row.get("turns") or []
    parts = []
    for index, turn in enumerate(turns):
        if index > 0:  # the first observation is the prompt
            parts.append(f"> {turn.get('observation', '')}")
        parts.append(str(turn.get("reply", "")))
    reward = row.get("reward")
    return Reply(
        clipped("\n".join(parts)), reward if isinstance(reward, int | float) else None, str(row.get("state", ""))
    )


def clipped(text: str) -> str:
    """Return a text short enough to show, with what was left out counted."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text) - _LONGEST} more characters)"
