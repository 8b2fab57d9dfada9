"""Evaluation of a model behind a server: the same items, prompting and scores as for a model in memory.

What differs: replies arrive as text and are never tokenised here, tokens are counted by the server, random numbers at
temperature 1 are the server's own (each request carries a seed, which a server may ignore), and the server renders its
own chat template. A request that finally fails leaves an episode without a reward, never one of 0; more than 1 % of
them end the evaluation, after what there is was written.

In a folder: ``requests.jsonl`` (`eggym.recording`), and for each task and setting a folder of its own with
``config.json``, ``replies.jsonl``, ``evaluation.json`` and ``measured.json``.
"""

import dataclasses
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eggym.config import CONFIG, fields_of
from eggym.digest import digest
from eggym.endpoint import Endpoint, EndpointOptions, Spent
from eggym.errors import BadValue, unknown
from eggym.evaluate import SAMPLED_TEMPERATURE, first_items, score_of
from eggym.evaluation import Evaluation
from eggym.files import canonical_json, sha256_json, unwritable, write_bytes, write_json
from eggym.policy import Prompting
from eggym.record import provenance
from eggym.recording import Recording
from eggym.registry import load_task
from eggym.score import Score
from eggym.talks import Mode, Talks, Watch
from eggym.task import Task
from eggym.wording import short

REQUESTS = "requests.jsonl"
SECTIONS = ("task", "prompt", "eval", "endpoint")  # what --set may begin with


@dataclass(frozen=True)
class ServedPlan:
    """An evaluation with every name looked up and every default written out."""

    task: Task
    url: str
    model: str
    seed: int
    prompting: Prompting
    evaluation: Evaluation
    options: EndpointOptions

    def identity(self) -> dict[str, Any]:
        """Return what decides the scores, as plain JSON values; how patiently the server is asked is not part of it."""
        prompting = dataclasses.asdict(self.prompting)
        return {
            "task": self.task.id,
            "difficulty": dict(self.task.difficulty),
            "digest": digest(self.task),
            "prompt": {**prompting, "few_shot": [list(p) for p in prompting["few_shot"]], "stop": [*prompting["stop"]]},
            "endpoint": self.url,
            "model": self.model,
            "fields": {"limit": self.options.limit, "seed": self.options.send_seed, **self.options.fields()},
            "seed": self.seed,
            "eval": {name: getattr(self.evaluation, name) for name in ("split", "items", "replies")},
        }


@dataclass(frozen=True)
class Served:
    """One evaluation of one model behind a server."""

    greedy: Score
    sampled: Score
    lines: list[dict[str, Any]]  # every reply, as `eggym.replies` keeps it
    tokens: dict[str, dict[str, int]]  # by mode: those of prompts and of replies, by the server's count
    spent: Spent  # of this session: what was found in the recording cost nothing
    folder: Path | None  # where it was written

    @property
    def ignores_temperature(self) -> bool:
        """Whether all replies at temperature 1, and at least 8, are the greedy ones: then the server hardly sampled."""
        said = {mode: [line for line in self.lines if line["mode"] == mode] for mode in ("greedy", "sampled")}
        greedy = {line["item"]: line["turns"] for line in said["greedy"]}
        same = [line["turns"] == greedy.get(line["item"]) for line in said["sampled"]]
        return len(same) >= 8 and all(same)


def plan_served(
    task: str, url: str, model: str, seed: int = 0, data: str | None = None, settings: Mapping[str, Any] | None = None
) -> ServedPlan:
    """Look everything up; nothing is asked yet.

    Args:
        task: id, ``module:name`` or file.
        url: base address of the server, such as ``http://localhost:8000/v1``.
        model: as the server calls it.
        seed: of the environment's random numbers, and of those sent at temperature 1.
        data: where a data-set task finds its rows.
        settings: "section.name" -> value; the sections are `SECTIONS`.

    Raises:
        EggymError: whatever does not exist, does not fit or is out of range, in one line.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for name, value in (settings or {}).items():
        section, _, rest = name.partition(".")
        if section not in sections or not rest:
            raise unknown("setting of a served evaluation", name, [f"{section}." for section in SECTIONS])
        sections[section][rest] = json.dumps(value) if (section, rest) == ("endpoint", "extra") else value
    found = load_task(task, **sections["task"], **({} if data is None else {"data": data}))
    prompting = Prompting.of(found, sections["prompt"])
    if prompting.chat == "off":
        raise BadValue("prompt.chat=off cannot be had from a server of chat completions; leave prompt.chat away")
    evaluation = fields_of(Evaluation, "eval", sections["eval"])
    options = fields_of(EndpointOptions, "endpoint", sections["endpoint"])
    return ServedPlan(found, url, model, seed, prompting, evaluation, options)


def evaluate_served(
    plan: ServedPlan, out: Path | None = None, offline: bool = False, watch: Watch = lambda mode, done, total: None
) -> Served:
    """Evaluate greedily and at temperature 1.

    Args:
        plan: what is asked, of whom.
        out: folder for the result and the recording of requests; the same call continues what was stopped.
        offline: answer from that recording alone.
        watch: called whenever an episode is over.

    Raises:
        BadValue: no items, or a server that refuses the key or knows no such model.
        EggymError: more than 1 % of the episodes were lost or could not be judged.
    """
    split = plan.evaluation.split
    items = first_items(plan.task, split, plan.evaluation.items)
    if not items:
        raise BadValue(
            f"task {plan.task.id!r} has no items in split {split!r}; choose another with --set eval.split=..."
        )
    place = None if out is None else _Folder(out, plan)
    clock = _Clock()
    recording = Recording(None if out is None else out / REQUESTS)
    modes = (Mode("greedy", 0.0, 1), Mode("sampled", SAMPLED_TEMPERATURE, plan.evaluation.replies))
    with Endpoint(plan.url, plan.model, plan.options, recording, offline) as server:
        talks = [Talks(server, plan.task, plan.prompting, plan.seed, items, mode, watch) for mode in modes]
        try:
            for each in talks:
                each.run()
        finally:
            lines = [line for each in talks for line in each.lines()]
            if place is not None:
                place.save_replies(lines)
                place.save_measured({**clock.read(), **dataclasses.asdict(server.spent)})
    greedy, sampled = (score_of(each.mode.temperature, each.batch()) for each in talks)
    tokens = {each.mode.name: each.tokens() for each in talks}
    if place is not None:
        place.save_scores(greedy, sampled, tokens)
    return Served(greedy, sampled, lines, tokens, server.spent, None if place is None else place.path)


class _Folder:
    """Where one evaluation is written. Other settings have another folder, so nothing is overwritten by another."""

    def __init__(self, out: Path, plan: ServedPlan) -> None:
        self._config = plan.identity()
        self._task = plan.task
        slug = re.sub(r"[^A-Za-z0-9.-]+", "-", short(plan.task.id))
        self.path = out / f"{slug}-{sha256_json(self._config)[:8]}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise unwritable(out, problem) from problem
        write_json(self.path / CONFIG, self._config)

    def save_replies(self, lines: Sequence[dict[str, Any]]) -> None:
        write_bytes(self.path / "replies.jsonl", "".join(map(canonical_json, lines)).encode())

    def save_measured(self, measured: Mapping[str, Any]) -> None:
        write_json(self.path / "measured.json", measured)

    def save_scores(self, greedy: Score, sampled: Score, tokens: Mapping[str, Any]) -> None:
        body = {
            "schema": 1,
            "kind": "eggym.served",
            "config": self._config,
            "floor": self._task.floor,
            "reward_range": list(self._task.reward_range),
            "greedy": greedy.model_dump(),
            "sampled": sampled.model_dump(),
            "tokens": tokens,
            "provenance": provenance(self._config).model_dump(),
        }
        write_json(self.path / "evaluation.json", body)


class _Clock:
    def __init__(self) -> None:
        self._started, self._wall, self._cpu = _now(), time.monotonic(), time.process_time()

    def read(self) -> dict[str, Any]:
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        return {"started": self._started, "finished": _now(), "wall_s": wall, "cpu_s": cpu}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
