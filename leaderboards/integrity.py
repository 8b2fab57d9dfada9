"""L1: is a record whole, unchanged, and do its numbers follow from what it keeps?

Digests of every file; the manifest's in the ledger; configuration and curve as the record has them; every score of the
curve worked out again from the replies; the rewards of training against steps and counts; the hash chain over the
evaluations. What a record says beyond that (pass@k and retention, whose replies are not kept) is recomputed from its
items where the record is read. Nothing is run, and no model is loaded.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eggym.config import CONFIG
from eggym.errors import BadValue, EggymError
from eggym.files import canonical_json
from eggym.fitness import FitnessLog, FitnessStep
from eggym.kl_reward import TOLD_REWARD
from eggym.passes import pass_at
from eggym.record import RECORD_FILE
from eggym.replies import EVALUATIONS
from eggym.result import CURVE, FITNESS, STEPS, curve_csv
from eggym.score import Mode, Point, Score, same
from eggym.stats import clustered_mean

from .chain import Row, evaluation_links, root, training_head
from .ledger import Ledger
from .stored import CHAIN, MANIFEST, Entry

_ROUNDING = 1e-6


def faults(entry: Entry, ledger: Ledger | None) -> list[str]:
    """Return what is wrong with a record, each as a sentence that names the file; none: it is at L1.

    Args:
        entry: the record, its manifest read.
        ledger: that of its board; None: it is not on a board yet.
    """
    found: list[str] = []
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _files(entry),
        lambda: _told(entry),
        lambda: _evaluations(entry),
        lambda: _training(entry),
        lambda: _chain(entry),
    )
    if ledger is not None:
        found += _in_ledger(entry, ledger)
    for check in checks:
        try:
            found += check()
        except EggymError as problem:
            found.append(str(problem))
        if found:  # what follows would only say the same in other words
            break
    return found


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
    if entry.content(CONFIG).decode() != canonical_json(record.config):
        yield f"{entry.name}/{CONFIG} is not the configuration in {RECORD_FILE}"
    if entry.content(CURVE).decode() != curve_csv(record.points):
        yield f"{entry.name}/{CURVE} is not the curve in {RECORD_FILE}"


def _evaluations(entry: Entry) -> Iterator[str]:
    record = entry.record
    by_place: dict[tuple[Any, Any], list[Row]] = {}
    for row in entry.rows(EVALUATIONS):
        by_place.setdefault((row.get("point"), row.get("mode")), []).append(row)
    modes: tuple[Mode, ...] = ("greedy", "sampled")
    wanted = {(place, mode): point for place, point in enumerate(record.points) for mode in modes}
    for place, mode in sorted(set(by_place) ^ wanted.keys(), key=repr):
        yield f"{entry.name}/{EVALUATIONS}: point {place!r}, {mode!r}, is not in both it and {RECORD_FILE}"
    for (place, mode), point in wanted.items():
        score = _of(point, mode)
        why = _score_fault(score, by_place.get((place, mode), []))
        if why:
            yield f"{entry.name}/{EVALUATIONS}: {mode} replies of point {place} do not give the record's {why}"


def _of(point: Point, mode: Mode) -> Score:
    return point.greedy if mode == "greedy" else point.sampled


def _score_fault(score: Score, rows: Sequence[Row]) -> str | None:
    """Return the first number of a score that does not follow from its replies."""
    items: dict[Any, list[Row]] = {}
    states: dict[str, int] = {}
    for row in rows:
        items.setdefault(row.get("item"), []).append(row)
        states[str(row.get("state"))] = states.get(str(row.get("state")), 0) + 1
    rewards = [[_reward(row) for row in replies] for replies in items.values()]
    means = [math.fsum(known) / len(known) if (known := [r for r in of if r is not None]) else None for of in rewards]
    mean, error = clustered_mean(rewards)
    told: list[tuple[str, Any, Any]] = [
        ("number of replies", score.n_replies, len(rows)),
        ("number of items", score.n_items, len(items)),
        ("states", score.states, states),
    ]
    wrong = next((name for name, one, other in told if one != other), None)
    if wrong is None and not all(same(*pair) for pair in zip(score.rewards, means, strict=True)):
        wrong = "rewards"
    if wrong is None and not (same(score.mean, mean) and same(score.se, error)):
        wrong = "mean"
    return wrong or _pass_fault(score, list(items.values()))


def _pass_fault(score: Score, items: Sequence[Sequence[Row]]) -> str | None:
    judged = [[row for row in replies if row.get("reward") is not None] for replies in items]
    for name, told in score.pass_at.items():
        k = int(name)
        counts = [(len(of), sum(row.get("state") == "correct" for row in of)) for of in judged if len(of) >= k]
        found = math.fsum(pass_at(n, c, k) for n, c in counts) / len(counts) if counts else None
        if not same(told, found):
            return f"pass@{k}"
    return None


def _reward(row: Row) -> float | None:
    found = row.get("reward")
    if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
        raise BadValue(f"a reward is {found!r}, which is no number")
    return found


def _training(entry: Entry) -> Iterator[str]:
    record = entry.record
    if not entry.has(FITNESS):
        if record.n_steps and record.learner.kind in ("es", "rl"):
            yield f"{entry.name}/{FITNESS} is missing, and the run has {record.n_steps} updates"
        return
    entries = read_fitness(entry)
    if [one.step for one in entries] != list(range(record.n_steps)):
        yield f"{entry.name}/{FITNESS} holds {len(entries)} whole steps, {RECORD_FILE} has {record.n_steps}"
    if sum(one.rewards_N_P_G.size for one in entries) != record.spent.episodes:
        yield f"{entry.name}/{FITNESS} does not hold the {record.spent.episodes} rewards of {RECORD_FILE}"
    if entry.has(STEPS):
        for row, one in zip(entry.rows(STEPS), entries, strict=False):
            if not _near(row, one):
                yield f"{entry.name}/{FITNESS}: the mean reward of step {one.step} is not that of {STEPS}"
                return


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


def _chain(entry: Entry) -> Iterator[str]:
    record, links = entry.record, entry.links
    training = [link for link in links if link.part == "training"]
    if [link.place for link in training] != list(range(record.n_steps)):
        yield f"{entry.name}/{CHAIN} does not link the {record.n_steps} steps of {RECORD_FILE}"
    if sum(link.episodes for link in training) != record.spent.episodes:
        yield f"{entry.name}/{CHAIN} does not count the {record.spent.episodes} training episodes of {RECORD_FILE}"
    again = list(evaluation_links(training_head(links, record.id), entry.rows(EVALUATIONS)))
    if training + again != links:
        yield f"{entry.name}/{CHAIN} does not follow from the replies in {EVALUATIONS}"
    if entry.manifest.chain_root != root(links, record.id):
        yield f"{entry.name}/{MANIFEST} names another root than {CHAIN}"
