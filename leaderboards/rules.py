"""L0: is a record what the rules of its board ask for, and is a row whole?

Of one record: task, model, budget, split and every setting that the board fixes, by the pinned configuration; a seed of
the board; the tuning that is allowed; a learner that is what its name says. Of a row, the runs of one learner: every
task with every seed, once, and the controls that belong to it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eggym.errors import EggymError
from eggym.learner import options_dict, profile_for
from eggym.record import Record
from eggym.registry import load_learner
from eggym.score import Tuning
from eggym.trials import JUDGED_ON, draw
from eggym.variant import bare_name, sections
from eggym.wording import short

from .board import FROZEN, RANDOM, Allowance, Board
from .figures import figure_faults
from .names import learner_faults, registered
from .pinned import Pinned
from .pinning import differing, division

OVERSHOOT = 0.05  # of the budget: what the last update may end above it


def record_faults(board: Board, pinned: Pinned, record: Record) -> list[str]:
    """Return what keeps one record off the board, each as a sentence; none: it is by the rules."""
    label = record.task.label
    if label not in pinned.runs:
        return [f"task {label} is not one of the board's: {', '.join(map(short, board.labels))}"]
    found = differing(board, pinned.runs[label], record)
    # of another configuration no number can be held to anything
    found = found or figure_faults(pinned.facts[label], record)
    if record.seed not in board.seeds:
        found.append(f"seed {record.seed} is not one of the board's: {', '.join(map(str, board.seeds))}")
    if record.points[-1].fraction > 1 + OVERSHOOT:
        found.append(f"it spent {record.points[-1].fraction:.2f} of the budget")
    found += _tuning_faults(board.tuning, board.budget, record)
    found += learner_faults(record)
    if board.own_settings == "refused" and (own := own_settings(board, record)):
        found.append(f"its learner has settings of its own, which the board does not take: {', '.join(own)}")
    return found


def row_faults(board: Board, records: Sequence[Record]) -> list[str]:
    """Return what the rows of a board lack, each as a sentence; controls may stand alone."""
    found: list[str] = []
    for table, runs in _grouped(records, lambda record: division(board, record)).items():
        rows = _grouped(runs, lambda record: record.learner.label)
        where = f" ({table})" * bool(table)
        for label, row in rows.items():
            found += [f"{label}{where}: {fault}" for fault in _whole(board, row)]
            if row[0].learner.kind != "control":
                missing = [name for name in controls_of(board, row[0]) if name not in rows]
                found += [f"{label}{where}: its control {name} is missing; run and add it too" for name in missing]
    return found


def controls_of(board: Board, record: Record) -> list[str]:
    """Return the names of the controls that the row of a record needs."""
    return controls_for(board, record.learner.label, record.learner.kind)


def controls_for(board: Board, label: str, kind: str) -> list[str]:
    """Return the names of the controls that a learner's row needs: of random rewards, those of ES and RL alone."""
    if kind == "control":
        return []
    named = {FROZEN: FROZEN, RANDOM: f"{RANDOM}:{label}" if kind in ("es", "rl") else None}
    return [found for name in board.controls if (found := named.get(name, name)) is not None]


def own_settings(board: Board, record: Record) -> list[str]:
    """Return the options that follow neither from the profile, nor from the board, nor from declared tuning.

    A learner that is not registered here has none that are known.
    """
    if not registered(record):
        return []
    spec = load_learner(record.learner.name)
    wanted = board.settings.get("profile") or profile_for(record.model.n_parameters)
    by_board: dict[str, Any] = {}
    for section in sections(record.learner.name, spec.name):
        by_board |= {
            name.partition(".")[2]: value for name, value in board.settings.items() if name.partition(".")[0] == section
        }
    try:
        start = expected = options_dict(spec.resolve(str(wanted), by_board))
        if record.tuning is not None:
            by_board |= record.tuning.trials[record.tuning.chosen].options
            expected = options_dict(spec.resolve(str(wanted), by_board))
    except EggymError:  # an older learner had other options
        return ["all of them, for this eggym has no such profile"]
    told = record.learner.options
    own = sorted(name for name in expected.keys() | told.keys() if expected.get(name) != told.get(name))
    return own + ["trials that were not drawn"] * (record.tuning is not None and not _drawn(record, start))


def _drawn(record: Record, start: Mapping[str, Any]) -> bool:
    """Whether the trials are those that eggym draws: a submitter who may choose them may have tried any number."""
    story = record.tuning
    search = load_learner(bare_name(record.learner.name)).search.get(record.learner.profile, {})
    if story is None or any(list(search.get(name, ())) != values for name, values in story.space.items()):
        return False
    space = {name: values for name, values in search.items() if name in story.space}  # a file has them by the alphabet
    begin = {name: start.get(name) for name in space}
    return draw(space, begin, len(story.trials)) == [trial.options for trial in story.trials]


def _whole(board: Board, row: Sequence[Record]) -> list[str]:
    found = []
    for label in board.labels:
        seeds = [record.seed for record in row if record.task.label == label]
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        missing = sorted(set(board.seeds) - set(seeds))
        if twice:
            found.append(f"{short(label)} has several records of seed {', '.join(map(str, twice))}")
        if missing:
            found.append(f"{short(label)} lacks seed {', '.join(map(str, missing))}")
    options = _grouped(row, lambda record: repr(sorted(record.learner.options.items())))
    if len(options) > 1 and not board.tuning.trials:
        found.append("its runs have different settings; give one of them a variant's name, as in eggroll@mine")
    return found


def _tuning_faults(allowed: Allowance, budget: str, record: Record) -> list[str]:
    story = record.tuning
    if not allowed.trials:
        return [] if story is None else [f"it was tuned in {len(story.trials)} trials, and the board allows none"]
    if story is None:
        able = record.learner.tunable is not False or (
            registered(record) and bool(load_learner(record.learner.name).search.get(record.learner.profile))
        )
        able = able and record.learner.kind in ("es", "rl")
        return [f"it was not tuned; the board gives every learner {allowed.trials} trials"] if able else []
    wanted: dict[str, Any] = {
        "trials": allowed.trials,
        "task": allowed.task or record.task.label,
        "budget": allowed.budget or budget,
        "items": allowed.items,
    }
    told = {"trials": len(story.trials), "task": short(story.task), "budget": story.budget, "items": story.items}
    wanted["task"] = short(wanted["task"])
    return [
        f"tuning.{name} is {told[name]!r}, the board wants {value!r}"
        for name, value in wanted.items()
        if value is not None and told[name] != value
    ] + [
        *_chosen_fault(story),
        *([] if story.split == JUDGED_ON else [f"tuning was judged on {story.split}, and not on {JUDGED_ON}"]),
    ]


def _chosen_fault(story: Tuning) -> list[str]:
    scores = [-math.inf if trial.score is None else trial.score for trial in story.trials]
    if scores[story.chosen] == -math.inf or story.chosen != scores.index(max(scores)):
        return [f"tuning chose trial {story.chosen}, which is not the first best on {story.split}"]
    return []


def _grouped(records: Iterable[Record], key: Any) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    return found
