"""What a run changed beside its reward: drift, skills lost elsewhere, diversity, the gap to the items it trained on.

All of it is read from records; what was not asked for (`eval.many`, `eval.retention`, ...) is None or empty, never 0.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eggym.arena import Side
from eggym.record import Measured, Record
from eggym.score import Change, Mode, Score
from eggym.stats import Value, known_values, mean_t

Pair = tuple[Value, Value]  # before and after


def beyond(side: Side, mode: Mode) -> dict[str, Any]:
    """Return what one learner changed beside its reward, each a mean over seeds with its t interval.

    ``spread``: standard deviation over seeds of the reward that counts. ``train_gap``: greedy reward on items of the
    training stream minus greedy reward on held-out ones. ``pass_at``: of `eval.many`, else of the sampled evaluation.
    ``of_model_itself``: `eval.many` asked the model without what the learner found, which was no weight.
    """
    every = side.records
    return {
        "spread": _spread(side.finals(mode).values()),
        "kl_base": _over(_kl(record) for record in every),
        "weight_change": _over(_weights(record).get("all") for record in every),
        "layers": _by_name([{k: v for k, v in _weights(record).items() if k != "all"} for record in every]),
        "train": _change([_pair(_part(record, "train"), _mean) for record in every]),
        "train_gap": _change([_train_gap(record) for record in every]),
        "distinct": _change([_diversity(record, lambda score: score.distinct) for record in every]),
        "of_model_itself": all(_part(one, "many") is not None and _keeps_weights(one) for one in every),
        "pass_at": {k: _change([_pass_at(record, k) for record in every]) for k in _ks(every)},
        "retention": {
            task: _change([_pair(_retention(record).get(task), _mean) for record in every])
            for task in dict.fromkeys(task for record in every for task in _retention(record))
        },
    }


def known(found: Mapping[str, Any]) -> bool:
    """Is there anything to tell beside the spread over seeds?"""
    told = (found["kl_base"], found["weight_change"], found["train_gap"], found["distinct"])
    return any(told) or bool(found["pass_at"]) or bool(found["retention"])


def note_on_many(tasks: Sequence[Mapping[str, Any]]) -> str:
    """Return which learners of a summary have numbers that leave out what they found; empty where none has."""
    names = [one["learner"] for task in tasks for one in task["learners"] if one["beyond"]["of_model_itself"]]
    who = ", ".join(dict.fromkeys(names))
    return f"{who}: measured on the model itself, without the prompt or choice found." if who else ""


def phases(records: Sequence[Record], measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Return where the time of one learner's runs went: mean seconds per run; None where nothing was measured."""
    found = [measured[record.id] for record in records if record.id in measured]
    return {
        "phases": _by_name([one.phases for one in found]),
        "sandbox_s": mean_t(one.sandbox_s for one in found).mean,
        "cpu_s": mean_t(one.cpu_s for one in found).mean,
        "wall_s": mean_t(one.wall_s for one in found).mean,
    }


def tunings(sides: Iterable[Side]) -> list[dict[str, Any]]:
    """Return how the options of every learner were chosen, once for each learner and choice."""
    found: dict[str, dict[str, Any]] = {}
    for side in sides:
        tuning = next((record.tuning for record in side.records if record.tuning is not None), None)
        if tuning is not None:
            told = {"learner": side.label, **tuning.model_dump()}
            found.setdefault(repr(sorted(told.items(), key=lambda pair: pair[0])), told)
    return list(found.values())


def _kl(record: Record) -> Value:
    at_end = record.beyond.kl_base if record.beyond is not None else None
    return record.counted.kl_base if at_end is None else at_end


def _weights(record: Record) -> Mapping[str, float]:
    return {} if record.beyond is None else record.beyond.weight_change


def _retention(record: Record) -> Mapping[str, Change]:
    return {} if record.beyond is None else record.beyond.retention


def _part(record: Record, name: str) -> Change | None:
    found: Change | None = getattr(record.beyond, name, None)
    return found


def _train_gap(record: Record) -> Pair:
    if _keeps_weights(record):
        return None, None  # it answers held-out items in a way of its own, and training items were only asked
    before, after = _pair(_part(record, "train"), _mean)
    return _minus(before, record.start("greedy").mean), _minus(after, record.final("greedy").mean)


def _keeps_weights(record: Record) -> bool:
    """Whether it is a baseline that found a prompt or a choice instead."""
    return record.learner.kind == "baseline" and not any(_weights(record).values())


def _diversity(record: Record, read: Callable[[Score], Value]) -> Pair:
    many = _part(record, "many")
    if many is not None:
        return read(many.start), read(many.end)
    return read(record.start("sampled")), read(record.final("sampled"))


def _pass_at(record: Record, k: str) -> Pair:
    return _diversity(record, lambda score: score.pass_at.get(k))


def _ks(records: Sequence[Record]) -> list[str]:
    found: set[str] = set()
    for record in records:
        many = _part(record, "many")
        found |= (many.end if many is not None else record.final("sampled")).pass_at.keys()
    return sorted(found, key=int)


def _pair(change: Change | None, read: Callable[[Score], Value]) -> Pair:
    return (None, None) if change is None else (read(change.start), read(change.end))


def _mean(score: Score) -> Value:
    return score.mean


def _minus(a: Value, b: Value) -> Value:
    return None if a is None or b is None else a - b


def _change(pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """Return means before and after and the change, paired by seed; None where nothing is known after."""
    if all(after is None for _, after in pairs):
        return None
    return {
        "start": asdict(mean_t(before for before, _ in pairs)),
        "end": asdict(mean_t(after for _, after in pairs)),
        "change": asdict(mean_t(_minus(after, before) for before, after in pairs)),
    }


def _over(values: Iterable[Value]) -> dict[str, Any] | None:
    found = mean_t(values)
    return None if found.n == 0 else asdict(found)


def _spread(values: Iterable[Value]) -> Value:
    there = known_values(values)
    return statistics.stdev(there) if len(there) > 1 else None


def _by_name(rows: Sequence[Mapping[str, float]]) -> dict[str, Value]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: mean_t(row.get(name) for row in rows).mean for name in names}
