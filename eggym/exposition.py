"""Runs as metrics in Prometheus' text format, version 0.0.4, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. All are gauges: a run that goes on from
a checkpoint takes a few steps back, which a counter must not.
"""

import math
from collections.abc import Iterator, Sequence

from eggym.glimpse import Glimpse, State

Sample = tuple[str, dict[str, str], float]
_HELP = {
    "eggym_run_state": "1 for the state that a run is in, 0 for the others.",
    "eggym_run_steps": "Steps that are done.",
    "eggym_run_budget_fraction": "Share of the budget that is spent.",
    "eggym_run_spent": "What training spent, by axis.",
    "eggym_run_last_write_timestamp_seconds": "When the run last took a step, or finished.",
    "eggym_run_steps_per_second": "Over the last steps of a run that is running.",
    "eggym_run_seconds_left": "Until the budget is spent, at the present pace.",
    "eggym_run_reward": "Mean training reward of the last step.",
    "eggym_run_score": "Mean reward on held-out items at the last evaluation, by mode.",
    "eggym_run_replies": "Training replies by verdict, up to the newest checkpoint.",
    "eggym_run_workers_replaced": "Workers that were replaced, up to the newest checkpoint.",
}


def exposition(found: Sequence[Glimpse]) -> str:
    """Return the text: every metric with its help, type and samples, each run a set of labels."""
    samples = [sample for seen in found for sample in _samples(seen)]
    lines = []
    for name, text in _HELP.items():
        own = [sample for sample in samples if sample[0] == name]
        if own:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", *map(_line, own)]
    return "".join(f"{line}\n" for line in lines)


def _samples(seen: Glimpse) -> Iterator[Sample]:
    labels = {
        "run": str(seen.folder),
        "task": seen.task,
        "learner": seen.learner,
        "seed": str(seen.config.get("seed", "")),
    }
    for state in State:
        yield "eggym_run_state", {**labels, "state": state.value}, float(seen.state is state)
    for axis, spent in seen.spent.items():
        yield "eggym_run_spent", {**labels, "axis": axis}, spent
    for mode in ("greedy", "sampled"):
        mean = seen.points[-1][mode]["mean"] if seen.points else None
        if mean is not None:
            yield "eggym_run_score", {**labels, "mode": mode}, mean
    for verdict, count in seen.states.items():
        yield "eggym_run_replies", {**labels, "verdict": verdict}, count
    single = {
        "eggym_run_steps": seen.step,
        "eggym_run_budget_fraction": seen.fraction,
        "eggym_run_last_write_timestamp_seconds": seen.last_at,
        "eggym_run_steps_per_second": seen.pace.steps_per_s if seen.pace else None,
        "eggym_run_seconds_left": seen.pace.left_s if seen.pace else None,
        "eggym_run_reward": seen.rewards[-1] if seen.rewards else None,
        "eggym_run_workers_replaced": len(seen.worker_events) if seen.workers else None,
    }
    yield from ((name, labels, value) for name, value in single.items() if value is not None)


def _line(sample: Sample) -> str:
    name, labels, value = sample
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value!r}" if math.isfinite(value) else f"{name}{{{inside}}} NaN"


def _escaped(text: str) -> str:
    # a lone surrogate, from a path that is no UTF-8, must not end the file
    whole = text.encode("utf-8", "backslashreplace").decode()
    return whole.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
