"""Which replies a report shows: the same item before and after training, chosen by rule and not by taste.

The rule: twelve examples to a report. Tasks take turns, in their order; a task offers greedy replies of the lowest seed
that its contenders (ES and RL; without them baselines) share. Each of its turns goes to the next kind in this order;
within a kind, each group of contenders that did it has its turn, and items come in the order of the evaluation:

1. lost: some contender answers worse than the base did;
2. learned: all contenders, or some, answer better;
3. still wrong: none answers better, and none earns the largest reward that was seen.

So the worst cases are never left out in favour of the best. What is missing is skipped: a report never fails for want
of a reply.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from eggym.arena import Arena, Side
from eggym.replies import EVALUATIONS

MOST = 12  # examples of a report
_LONGEST = 700  # characters of a text that are shown

Kind = Literal["lost", "learned", "wrong", "kept"]
_IN_TURN: tuple[Kind, ...] = ("lost", "learned", "wrong")  # what was right before and after teaches nothing
_KINDS: tuple[Kind, ...] = ("learned", "lost", "wrong", "kept")  # as they are shown


@dataclass(frozen=True, slots=True)
class Reply:
    """One judged episode, as text."""

    text: str
    reward: float | None
    state: str


@dataclass(frozen=True, slots=True)
class Example:
    """One item: what the base said, and what each contender says after training."""

    kind: Kind
    why: str
    prompt: str
    before: Reply
    after: tuple[tuple[str, Reply], ...]  # label of the learner, its reply


@dataclass(frozen=True, slots=True)
class _Pair:
    prompt: str
    before: Reply
    after: Reply


def examples(arenas: Sequence[Arena], folders: Mapping[str, Path], most: int = MOST) -> list[tuple[str, list[Example]]]:
    """Return the examples of every task that has some, at most ``most`` together.

    Args:
        arenas: the tasks and their runs.
        folders: the run folder of each record, by id.
        most: over all tasks.
    """
    queues = [list(_in_turn(_told(arena, folders))) for arena in arenas]
    numbered = [[(place, one) for one in queue] for place, queue in enumerate(queues)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*numbered))
    chosen = list(itertools.islice((one for one in turns if one is not None), most))
    found = [(arena.task, [shown for task, shown in chosen if task == place]) for place, arena in enumerate(arenas)]
    return [(task, sorted(shown, key=lambda one: _KINDS.index(one.kind))) for task, shown in found if shown]


def _told(arena: Arena, folders: Mapping[str, Path]) -> list[Example]:
    """Return an example of every item that all contenders answered, in the order of the evaluation."""
    contenders = _contenders(arena)
    shared = set.intersection(*({r.seed for r in side.records} for side in contenders)) if contenders else set()
    if not shared:
        return []
    pairs = {side.label: _pairs(side, min(shared), folders) for side in contenders}
    others = [side for side in arena.sides if side.kind == "baseline" and side not in contenders]
    beside = {side.label: _pairs(side, min(shared), folders) for side in others if min(shared) in side.finals("greedy")}
    common = [item for item in next(iter(pairs.values())) if all(item in found for found in pairs.values())]
    rewards = [pair.after.reward or 0 for found in pairs.values() for pair in found.values()]
    best = max(rewards, default=0)
    return [
        _example(
            {label: found[item] for label, found in pairs.items()},
            {label: found[item] for label, found in beside.items() if item in found},
            best,
        )
        for item in common
    ]


def _contenders(arena: Arena) -> list[Side]:
    for kinds in (("es", "rl"), ("baseline",)):
        found = [side for side in arena.sides if side.kind in kinds]
        if found:
            return found
    return []


def _example(here: Mapping[str, _Pair], beside: Mapping[str, _Pair], best: float) -> Example:
    kind, why = _why(here, best)
    first = next(iter(here.values()))
    after = tuple((label, pair.after) for label, pair in {**here, **beside}.items())
    return Example(kind, why, first.prompt, first.before, after)


def _in_turn(told: Sequence[Example]) -> Iterator[Example]:
    """Give the kinds turns; within a kind, what was learned by all, by some or by others has turns too."""
    found: dict[str, dict[str, list[Example]]] = {}
    for one in told:
        found.setdefault(one.kind, {}).setdefault(one.why, []).append(one)
    by_kind = [list(_round(list(found.get(kind, {}).values()))) for kind in _IN_TURN]
    yield from _round(by_kind)


def _round(queues: Sequence[Sequence[Example]]) -> Iterator[Example]:
    for row in itertools.zip_longest(*queues):
        yield from (one for one in row if one is not None)


def _why(here: Mapping[str, _Pair], best: float) -> tuple[Kind, str]:
    change = {label: (pair.after.reward or 0) - (pair.before.reward or 0) for label, pair in here.items()}
    up = [label for label, by in change.items() if by > 0]
    down = [label for label, by in change.items() if by < 0]
    if down:
        return "lost", f"lost by {', '.join(down)}"
    if len(up) == len(here):
        return "learned", "all learned it" if len(up) > 1 else f"learned by {up[0]}"
    if up:
        return "learned", f"learned only by {', '.join(up)}"
    solved = all((pair.after.reward or 0) >= best for pair in here.values())
    return ("kept", "right before and after") if solved else ("wrong", "still wrong for all")


def _pairs(side: Side, seed: int, folders: Mapping[str, Path]) -> dict[Any, _Pair]:
    """Return the first greedy reply per item and the one that counts, in the order of the evaluation."""
    record = next(record for record in side.records if record.seed == seed)
    chosen = None if record.chosen is None else record.points.index(record.counted)
    path = folders[record.id] / EVALUATIONS if record.id in folders else None
    if path is None or not path.exists():
        return {}
    first: dict[Any, dict[str, Any]] = {}
    last: dict[Any, dict[str, Any]] = {}
    with path.open(encoding="utf-8") as lines:  # line by line: a large model's file may not fit in memory
        for row in _rows(lines):
            if row.get("mode") == "greedy" and row.get("sample", 0) == 0:
                first.setdefault(row.get("item"), row)
                if chosen is None or row.get("point") == chosen:
                    last[row.get("item")] = row
    moved = {
        item: (first[item], last[item])
        for item in first
        if item in last and first[item].get("point") != last[item].get("point")
    }
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
