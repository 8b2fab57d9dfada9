"""RL and ES, stopped after every step: the same bytes as if nothing had happened."""

import json
import sys

import pytest

from eggym.config import RunConfig, resolve
from eggym.files import sha256_file
from eggym.result import deterministic_files
from eggym.train import run_plan

CASES = {
    "dr_grpo": {"items": 4, "replies": 4, "credit": "turn"},
    "grpo": {"items": 4, "replies": 4, "kl_loss": 0.1, "minibatches": 2, "epochs": 2},
    "dapo": {"items": 4, "replies": 4, "refills": 3},
    "gspo": {"items": 4, "replies": 4},
    "ppo": {"items": 4, "replies": 4, "critic_warmup": 1},
    "eggroll": {"items": 2, "population": 8, "optimiser": "adam"},
    "openai-es": {"items": 2, "population": 8},
}


class Stop(Exception):
    """Stands for a power cut."""


def train(learner, folder, watch=lambda event: None):
    options = {f"{learner}.{name}": value for name, value in CASES[learner].items()}
    settings = {"eval.items": 8, "eval.points": 1, "eval.drift": 4, **options}
    run_plan(resolve(RunConfig("tiny-programs", learner, budget="112episodes", set=settings)), folder, watch, True)


@pytest.mark.slow
@pytest.mark.parametrize("learner", sorted(CASES))
def test_a_run_stopped_after_every_step_ends_in_the_same_bytes(tmp_path, monkeypatch, learner):
    train(learner, tmp_path / "whole")
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    # the checkpoint of a step is written after its event: let one more begin
    n_stops = 0
    while not (tmp_path / "broken" / "record.json").exists():
        steps = []

        def watch(event, steps=steps):
            steps.append(event.kind)
            if steps.count("step") == 2:
                raise Stop

        try:
            train(learner, tmp_path / "broken", watch)
        except Stop:
            n_stops += 1
    names = [*deterministic_files(tmp_path / "whole"), "record.json"]
    for name in names:
        assert sha256_file(tmp_path / "broken" / name) == sha256_file(tmp_path / "whole" / name), name
    lines = [json.loads(line) for line in (tmp_path / "whole" / "steps.jsonl").read_text().splitlines()]
    assert n_stops == len(lines) - 1
    if learner == "dapo":  # some stops found groups that waited
        assert {0.0, 1.0} == {line["metrics"]["updated"] for line in lines}
        assert any(line["metrics"]["held"] > 0 for line in lines)
