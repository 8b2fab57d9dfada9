"""L1: is a record whole, unchanged, and do its numbers follow from what it keeps?

Digests of every file; the manifest's in the ledger; configuration and curve as the record has them; every score of the
curve worked out again from the replies; the rewards of training against steps and counts; the hash chain over the
evaluations. What a record says beyond that (pass@k and retention, whose replies are not kept) is recomputed from its
items where the record is read. Nothing is run, and no model is loaded.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from eggym.config import CONFIG
from eggym.drift import KL_BASE
from eggym.errors import EggymError
from eggym.files import canonical_json
from eggym.fitness import FITNESS, FitnessLog, FitnessStep
from eggym.kl_reward import TOLD_REWARD
from eggym.record import MEASURED_FILE, RECORD_FILE
from eggym.replies import EVALUATIONS
from eggym.result import CURVE, STEPS, curve_csv
from eggym.score import Spent

from .chain import Row, evaluation_links, root, training_head
from .evaluations import evaluation_faults
from .figures import too_large
from .ledger import Ledger
from .stored import CHAIN, MANIFEST, Entry

_ROUNDING = 1e-6
# what a file from a stranger may raise wherever it has the right digests and an unforeseen form
_ODD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def faults(entry: Entry, ledger: Ledger | None) -> list[str]:
    """Return what is wrong with a record, each as a sentence that names the file; none: it is at L1.

    Args:
        entry: the record, its manifest read.
        ledger: that of its board; None: it is not on a board yet.
    """
    found = _in_ledger(entry, ledger) if ledger is not None else []
    try:
        for check in _checks(entry) if not found else ():
            found += check
            if found:  # what follows would only say the same in other words
                break
    except EggymError as problem:
        found.append(str(problem))
    except _ODD as problem:
        found.append(f"{entry.name} holds what no run writes: {type(problem).__name__}: {problem}")
    return found


def _checks(entry: Entry) -> Iterator[Iterator[str]]:
    yield _files(entry)
    yield _told(entry)
    rows = entry.rows(EVALUATIONS)  # once: they are most of a record
    yield evaluation_faults(entry, rows)
    yield _training(entry)
    yield _chain(entry, rows)


def unchanged_faults(entry: Entry, ledger: Ledger) -> list[str]:
    """Return which files of a record are not what they were when it was added, without looking into them."""
    found = _in_ledger(entry, ledger)
    for name in entry.manifest.files if not found else ():
        try:
            entry.raw(name)
        except EggymError as problem:
            found.append(str(problem))
    return found


def _in_ledger(entry: Entry, ledger: Ledger) -> list[str]:
    line = ledger.added(entry.name)
    if line is None:
        return [f"{entry.name} is not in the ledger; add the run with eggym board add"]
    if line.manifest_sha256 != entry.manifest_sha256:
        return [f"{entry.name}/{MANIFEST} is not the one that was added; restore it"]
    return []


def _files(entry: Entry) -> Iterator[str]:
    for name in sorted(entry.manifest.files):
        entry.content(name.removesuffix(".xz"))
    record = entry.record
    if entry.manifest.run != record.id:
        yield f"{entry.name}/{MANIFEST} is of run {entry.manifest.run}, {RECORD_FILE} of {record.id}"
    for name, digest in record.files.items():
        told = entry.manifest.left_out.get(name) or _content_sha256(entry, name)
        if told != digest:
            yield f"{entry.name}/{name} is not the file that {RECORD_FILE} names"
    unknown = entry.manifest.left_out.keys() - record.files.keys()
    if unknown:
        yield f"{entry.name}/{MANIFEST} leaves out {min(unknown)}, which {RECORD_FILE} does not name"
    if entry.measured is None:
        yield f"{entry.name}/measured.json is missing"


def _content_sha256(entry: Entry, name: str) -> str | None:
    file = entry.manifest.files.get(name) or entry.manifest.files.get(f"{name}.xz")
    return None if file is None else file.content_sha256 or file.sha256


def _told(entry: Entry) -> Iterator[str]:
    record = entry.record
    for name in (RECORD_FILE, MEASURED_FILE):
        # a name given twice would be read otherwise by another reader
        content = entry.content(name)
        plain = json.loads(content)
        if content.decode() != canonical_json(plain):
            yield f"{entry.name}/{name} is not in the form in which it is written"
        elif too_large(plain) is not None:
            yield f"{entry.name}/{name} holds a number that no run has"
    if entry.content(CONFIG).decode() != canonical_json(record.config):
        yield f"{entry.name}/{CONFIG} is not the configuration in {RECORD_FILE}"
    if entry.content(CURVE).decode() != curve_csv(record.points):
        yield f"{entry.name}/{CURVE} is not the curve in {RECORD_FILE}"


def _training(entry: Entry) -> Iterator[str]:
    record = entry.record
    for name in (FITNESS, STEPS):
        if record.n_steps and not entry.has(name):
            yield f"{entry.name}/{name} is missing, and the run has {record.n_steps} updates"
            return
    if not record.n_steps:
        return
    entries, rows = read_fitness(entry), entry.rows(STEPS)
    if [one.step for one in entries] != list(range(record.n_steps)):
        yield f"{entry.name}/{FITNESS} holds {len(entries)} whole steps, {RECORD_FILE} has {record.n_steps}"
    if sum(one.rewards_N_P_G.size for one in entries) != record.spent.episodes:
        yield f"{entry.name}/{FITNESS} does not hold the {record.spent.episodes} rewards of {RECORD_FILE}"
    if [row.get("step") for row in rows] != list(range(record.n_steps)):
        yield f"{entry.name}/{STEPS} does not hold the {record.n_steps} steps of {RECORD_FILE}"
        return
    for row, one in zip(rows, entries, strict=False):
        if not _near(row, one):
            yield f"{entry.name}/{FITNESS}: the mean reward of step {one.step} is not that of {STEPS}"
            return
    yield from _curve(entry, rows)


def _curve(entry: Entry, rows: Sequence[Row]) -> Iterator[str]:
    """The points of the curve lie where the settings ask for them, and cost what the steps before them did."""
    record = entry.record
    n_points = record.config["eval"]["points"]
    spent = [Spent.model_validate(row.get("spent")) for row in rows]
    before, due = 0.0, [0]
    for step, one in enumerate(spent, 1):
        now = getattr(one, record.budget.axis) / record.budget.limit
        if int(now * n_points) > int(before * n_points) or step == record.n_steps:
            due.append(step)
            before = now
    if [point.step for point in record.points] != due:
        yield f"{entry.name}/{RECORD_FILE} has points at steps other than {due}, where {STEPS} has them due"
    elif any(point.spent != spent[point.step - 1] for point in record.points if point.step):
        yield f"{entry.name}/{RECORD_FILE}: what was spent up to a point is not what {STEPS} says"
    elif any(point.kl_base != rows[point.step - 1]["metrics"].get(KL_BASE) for point in record.points if point.step):
        yield f"{entry.name}/{RECORD_FILE}: the KL of a point is not what {STEPS} says"


def read_fitness(entry: Entry) -> list[FitnessStep]:
    """Return the rewards of training; `eggym.fitness` reads them from a file, so they are unpacked into one."""
    content = entry.content(FITNESS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FITNESS
        path.write_bytes(content)
        return FitnessLog(path).read()


def _near(row: Row, one: FitnessStep) -> bool:
    known = one.rewards_N_P_G[np.isfinite(one.rewards_N_P_G)].astype(np.float64)
    mean = float(known.mean()) if known.size else None
    metrics = row.get("metrics")
    told = (metrics if isinstance(metrics, dict) else {}).get(TOLD_REWARD, row.get("reward"))
    if mean is None or not isinstance(told, int | float):
        return mean is told
    return abs(mean - told) <= _ROUNDING * max(1.0, abs(mean))  # the log holds float32


def _chain(entry: Entry, rows: Sequence[Row]) -> Iterator[str]:
    record, links = entry.record, entry.links
    training = [link for link in links if link.part == "training"]
    if [link.place for link in training] != list(range(record.n_steps)):
        yield f"{entry.name}/{CHAIN} does not link the {record.n_steps} steps of {RECORD_FILE}"
    if sum(link.episodes for link in training) != record.spent.episodes:
        yield f"{entry.name}/{CHAIN} does not count the {record.spent.episodes} training episodes of {RECORD_FILE}"
    again = list(evaluation_links(training_head(links, record.id), rows))
    if training + again != links:
        yield f"{entry.name}/{CHAIN} does not follow from the replies in {EVALUATIONS}"
    if entry.manifest.chain_root != root(links, record.id):
        yield f"{entry.name}/{MANIFEST} names another root than {CHAIN}"
