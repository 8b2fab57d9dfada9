"""What tuning tried, chose and cost, from the records of the runs that it was for."""

from collections.abc import Sequence
from typing import Any

from eggym.record import Record
from eggym.variant import bare_name


def tuned(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return one row for each learner and task that it was tuned on; none where no run was tuned.

    A control shares the trials of the learner inside it. A learner that could have been tuned, and was not, has a row
    with 0 trials.
    """
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    for record in records:
        if record.tuning is not None or record.learner.kind in ("es", "rl"):
            row = _row(record)
            found.setdefault((row["learner"], row["task"]), row)
    return list(found.values()) if any(row["trials"] for row in found.values()) else []


def _row(record: Record) -> dict[str, Any]:
    name, story = bare_name(record.learner.label), record.tuning
    if story is None:
        return {"learner": name, "task": None, "trials": 0, "flops": 0, "options": {}, "score": None}
    chosen = story.trials[story.chosen]
    return {
        "learner": name,
        "task": story.task,
        "trials": len(story.trials),
        "flops": story.flops,
        "options": chosen.options,
        "score": chosen.score,
    }
