"""L2, all learners: every kept reply of every evaluation is put to the task again, and must earn what it earned.

The items are drawn anew from the board's split, so prompts that were edited show too; turns of the environment are
played again from the replies. A reply that either then or now ran into a limit of time, or could not be judged, depends
on the machine: it is counted apart, and no more than 1 % of an evaluation may be. The named parts of the rewards must
have the means that the record tells.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eggym.digest import digest
from eggym.errors import BadValue
from eggym.evaluate import first_items
from eggym.recorded import recorded_task
from eggym.replies import EVALUATIONS
from eggym.rollout import MAX_ERROR_SHARE
from eggym.score import Score, same
from eggym.seeding import stream
from eggym.task import Item, Task
from eggym.verdict import Verdict, VerdictState

from .chain import Row
from .stored import Entry

_BY_MACHINE = (VerdictState.TIMEOUT.value, VerdictState.ERROR.value)
_PURPOSE = "evaluation"  # of the stream of random numbers, as the run had it


@dataclass(frozen=True, slots=True)
class Regraded:
    """What grading again found."""

    replies: int
    unclear: int  # timed out or failed, then or now
    differing: int
    first: str | None  # the first thing that is wrong, in words

    @property
    def ok(self) -> bool:
        """Whether every reply that is clear earns what the record says, and few of any evaluation are not."""
        return self.first is None

    def told(self) -> dict[str, Any]:
        """Return it for the ledger."""
        why = {} if self.ok else {"why": self.first}
        return {"replies": self.replies, "unclear": self.unclear, "differing": self.differing, **why}


def regrade(entry: Entry, data: str | None = None) -> Regraded:
    """Grade every kept reply of a record again.

    Args:
        entry: at L1.
        data: where the rows of a data-set task lie.

    Raises:
        EggymError: the task does not exist here, or is not the one of the record any more.
    """
    record = entry.record
    task = recorded_task(record.task.id, {**record.task.difficulty, **({"data": data} if data else {})})
    now = digest(task)
    if now != record.task.digest:
        raise BadValue(
            f"task {record.task.label} is not the one of {entry.name}: its digest is {now[:12]}, not "
            f"{record.task.digest[:12]}; install eggym {record.provenance.eggym}, or give its rows with --data"
        )
    settings = record.config["eval"]
    items = {
        item.index: (slot, item) for slot, item in enumerate(first_items(task, settings["split"], settings["items"]))
    }
    batches: dict[tuple[Any, Any], list[Row]] = {}
    for row in entry.rows(EVALUATIONS):
        batches.setdefault((row.get("point"), row.get("mode")), []).append(row)
    found = Regraded(0, 0, 0, None)
    for (place, mode), rows in batches.items():
        point = record.points[place]
        score = point.greedy if mode == "greedy" else point.sampled
        found = _sum(found, *_batch(task, record.seed, items, rows, score))
    return found


def _sum(before: Regraded, whys: Sequence[str | None], wrong: str | None) -> Regraded:
    """Return the findings with those of one more evaluation.

    How many may be unclear is counted by evaluation: a forger would have them all in the one that counts.
    """
    differing = [why for why in whys if why]
    unclear = sum(why == "" for why in whys)
    if not wrong and unclear > MAX_ERROR_SHARE * len(whys):
        wrong = f"{unclear} of {len(whys)} replies of one evaluation could not be judged, then or now"
    return Regraded(
        before.replies + len(whys),
        before.unclear + unclear,
        before.differing + len(differing),
        before.first or next(iter(differing), None) or wrong,
    )


def _batch(
    task: Task, seed: int, items: Mapping[int, tuple[int, Item]], rows: Sequence[Row], score: Score
) -> tuple[list[str | None], str | None]:
    """Return, for each reply of one evaluation, None: the same; empty: unclear; else what differs; and of the whole."""
    played = [_play(task, seed, items, row) for row in rows]
    verdicts = task.judge_all([state for state, why in played if why is None])
    judged = iter(verdicts)
    found = [
        why if why is not None else _difference(row, next(judged)) for row, (_, why) in zip(rows, played, strict=True)
    ]
    return found, None if any(found) or "" in found else _parts_fault(verdicts, score, rows[0])


def _parts_fault(verdicts: Sequence[Verdict], score: Score, row: Row) -> str | None:
    """Return whether the named parts of the rewards, such as the truth behind a proxy, are others."""
    by_name: dict[str, list[float]] = {}
    for verdict in verdicts:
        for name, value in verdict.parts.items() if verdict.reward is not None else ():
            by_name.setdefault(name, []).append(value)
    means = {name: math.fsum(values) / len(values) for name, values in by_name.items()}
    wrong = [name for name in means.keys() | score.parts.keys() if not same(score.parts.get(name), means.get(name))]
    if not wrong:
        return None
    name = min(wrong)
    return (
        f"point {row.get('point')}, {row.get('mode')}: part {name!r} is {score.parts.get(name)} by the record, "
        f"{means.get(name)} by the grader"
    )


def _play(task: Task, seed: int, items: Mapping[int, tuple[int, Item]], row: Row) -> tuple[Any, str | None]:
    """Return the state after all turns of a kept episode, or why it cannot be one of this task."""
    if row.get("item") not in items:
        return None, f"item {row.get('item')!r} is none of the board's split"
    slot, item = items[row["item"]]
    where = f"item {item.index}, point {row.get('point')}, {row.get('mode')}"
    if row.get("prompt") != item.prompt:
        return None, f"{where}: its prompt is not the task's"
    state = task.begin(item, stream(seed, _PURPOSE, "episode", 0, slot, row.get("sample", 0)))
    observation, over = item.prompt, False
    for turn in row.get("turns") or []:
        if over or turn.get("observation") != observation:
            return None, f"{where}: the task says something else between its turns"
        observation, over = task.step(state, str(turn.get("reply")))
    return state, None


def _difference(row: Row, verdict: Verdict) -> str | None:
    told = (row.get("reward"), row.get("state"), row.get("found"))
    found = (verdict.reward, verdict.state.value, verdict.found)
    if same(told[0], found[0]) and told[1:] == found[1:]:
        return None
    # what ran into a limit may be judged now, or the other way round; but then it earned no more than it does now
    gained = told[0] is not None and found[0] is not None and told[0] > found[0]
    if (found[1] in _BY_MACHINE) or (told[1] in _BY_MACHINE and not gained):
        return ""
    where = f"item {row.get('item')}, point {row.get('point')}, {row.get('mode')}"
    return f"{where}: reward {told[0]} ({told[1]}) by the record, {found[0]} ({found[1]}) by the grader"
