"""The end of a run: trained weights, curve, record and measurements are written, in this order, the record last.

A folder with ``record.json`` is a finished run. Everything but ``measured.json`` is deterministic, and the record
holds the SHA-256 of each such file.
"""

import csv
import io
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from eggym.budget import Meter
from eggym.checkpoint import remove_checkpoints
from eggym.choice import Choice
from eggym.config import CONFIG, Plan
from eggym.errors import BadValue
from eggym.files import sha256_file, write_bytes, write_json
from eggym.fitness import FITNESS
from eggym.folder import STEPS as STEPS
from eggym.learner import options_dict
from eggym.policy import model_sha256 as hash_model
from eggym.record import (
    MEASURED_FILE,
    RECORD_FILE,
    BudgetInfo,
    LearnerInfo,
    Measured,
    ModelInfo,
    Record,
    TaskInfo,
    load_record,
    provenance,
    run_id,
    sealed,
)
from eggym.replies import EVALUATIONS, SHARDS
from eggym.score import Beyond, Point, Spent
from eggym.trials import declared
from eggym.usage import peak_memory

CURVE = "curve.csv"
WEIGHTS = "weights.safetensors"
PROMPT = "prompt.json"  # of a learner that looked for one


class Finished(Protocol):
    """What the loop hands over."""

    plan: Plan
    folder: Path
    identity: dict[str, Any]
    step: int
    points: list[Point]
    point_cpu_s: list[float]
    point_wall_s: list[float]
    states: dict[str, int]
    meter: Meter
    evaluation_meter: Meter
    parameters: dict[str, nn.Parameter]  # as they count: of the last point, or of the chosen one
    choice: Choice
    beyond: Beyond | None

    def measured_so_far(self) -> dict[str, Any]:
        """Return started, wall, cpu and n of all sessions, and what workers and checkpoints came to."""

    def lasting(self) -> list[str]:
        """Return the names of the checkpoints that stay."""


def finish(run: Finished) -> Record:
    """Write everything, the record last; then the checkpoints go that nobody asked for."""
    write_weights(run.folder / WEIGHTS, run.parameters)
    write_bytes(run.folder / CURVE, curve_csv(run.points).encode())
    record = sealed(_record(run))
    stay = run.lasting()
    write_json(run.folder / MEASURED_FILE, _measured(run, stay))
    write_json(run.folder / RECORD_FILE, record)
    remove_checkpoints(run.folder, stay)
    return record


def finished_record(folder: Path, whole: bool = True) -> Record:
    """Return the record of a finished run, after looking at every file that it names.

    Args:
        folder: of the run.
        whole: every file must be there; else those that are there must be as they were.

    Raises:
        BadValue: a file is missing or was changed.
    """
    record = load_record(folder)
    for name, expected in record.files.items():
        path = folder / name
        if not whole and not path.exists():
            continue
        if not path.is_file() or sha256_file(path) != expected:
            state = "was changed" if path.is_file() else "is missing"
            raise BadValue(f"{path} {state} since the run was finished; restore it, or delete {folder} and run again")
    return record


def write_weights(path: Path, parameters: Mapping[str, torch.Tensor]) -> None:
    """Write the trained parameters, by name, as safetensors."""
    from safetensors.torch import save

    tensors = {name: weight.detach().cpu().contiguous() for name, weight in parameters.items()}
    write_bytes(path, save(tensors))


def _record(run: Finished) -> Record:
    plan, made = run.plan, provenance(run.identity)
    task_digest, model_sha256 = run.identity["task_digest"], run.identity["model_sha256"]
    return Record(
        id=run_id(made.config_sha256, plan.config.seed, task_digest, model_sha256),
        config=run.identity,
        seed=plan.config.seed,
        learner=LearnerInfo(
            name=plan.spec.name,
            kind=plan.spec.kind,
            profile=plan.profile,
            options=options_dict(plan.options),
            tunable=bool(declared(plan)),
            variant=plan.variant,
            note=plan.spec.note,
        ),
        task=TaskInfo(
            id=plan.task.id,
            difficulty=dict(plan.task.difficulty),
            digest=task_digest,
            floor=plan.task.floor,
            reward_range=plan.task.reward_range,
            data=_source(getattr(plan.task, "data", None)),
            host=dict(plan.task.host()),
        ),
        model=ModelInfo(
            name=plan.config.model,
            sha256=model_sha256,
            n_parameters=plan.policy.n_parameters,
            n_trainable=sum(weight.numel() for weight in run.parameters.values()),
            dtype=run.identity["dtype"],
        ),
        budget=BudgetInfo(axis=plan.budget.axis, limit=plan.budget.limit),
        spent=Spent(**run.meter.spend.as_dict()),
        evaluation_spent=Spent(**run.evaluation_meter.spend.as_dict()),
        n_steps=run.step,
        training_states=run.states,
        primary="greedy" if plan.evaluation.primary == "greedy" else "sampled",
        points=run.points,
        chosen=run.choice.step,
        beyond=run.beyond,
        tuning=plan.tuning,
        weights_sha256=hash_model(plan.policy.model),
        files={name: sha256_file(run.folder / name) for name in deterministic_files(run.folder)},
        provenance=made,
    )


def _source(data: Any) -> str | None:
    """Where a task's rows came from: a hub id, or the last part of a path; the digest says what was in it."""
    if not isinstance(data, str | Path):
        return None
    return Path(data).name if Path(data).exists() else str(data)


def deterministic_files(folder: Path) -> list[str]:
    """Return the names, relative to a run folder, of the files that repeat byte for byte, the record left out."""
    single = [
        name for name in (CONFIG, CURVE, EVALUATIONS, FITNESS, PROMPT, STEPS, WEIGHTS) if (folder / name).exists()
    ]
    shards = [f"{SHARDS}/{path.name}" for path in (folder / SHARDS).glob("*.jsonl.gz")]
    return sorted([*single, *shards])


def _measured(run: Finished, checkpoints: list[str]) -> Measured:
    so_far = run.measured_so_far()
    return Measured(
        started=so_far["started"],
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu_s=so_far["cpu"],
        wall_s=so_far["wall"],
        phases=run.meter.phases,
        peak_rss_bytes=peak_memory(),
        weights_bytes=run.plan.policy.weights_bytes,
        weights_bytes_unquantised=run.plan.policy.n_parameters * run.plan.policy.dtype.itemsize,
        sandbox_s=run.meter.sandbox.cpu_s,
        sandbox_calls=run.meter.sandbox.calls,
        sessions=so_far["n"],
        workers=so_far.get("workers", 0),
        ranks=so_far.get("ranks", 0),
        reward_workers=so_far.get("reward_workers", 0),
        worker_items=so_far.get("worker_items", {}),
        worker_events=so_far["worker_events"],
        tail_idle_share=so_far.get("tail_idle_share"),
        checkpoint_events=so_far.get("checkpoint_events", []),
        checkpoint_s=so_far["saving"],
        checkpoints=checkpoints,
        host=_host(),
        cpu_s_at_points=run.point_cpu_s,
        wall_s_at_points=run.point_wall_s,
    )


def _host() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "cpu": cpu,
        "gpu": gpu,
        "system": platform.system(),
        "threads": str(torch.get_num_threads()),
        "clock": time.tzname[0],
    }


def curve_csv(points: Sequence[Point]) -> str:
    """The learning curve as CSV, one row for each evaluation."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    scored = ["greedy", "greedy_se", "sampled", "sampled_se"]
    table.writerow(["step", "fraction", "episodes", "tokens", "flops", *scored, "kl_base"])
    for point in points:
        spent = point.spent
        scores = [point.greedy.mean, point.greedy.se, point.sampled.mean, point.sampled.se]
        table.writerow([point.step, point.fraction, spent.episodes, spent.tokens, spent.flops, *scores, point.kl_base])
    return text.getvalue()
