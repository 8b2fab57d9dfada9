"""The published settings under studies/ start as they stand, with overrides that make them small."""

import dataclasses
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from eggym.es.eggroll import Options
from eggym.registry import load_task
from eggym.settings import duel_config, gather_parts

STUDIES = Path(__file__).parent.parent / "studies"
NEEDLE = STUDIES / "exam-needle.yaml"
COUNTDOWN = STUDIES / "eggroll-countdown.yaml"
WHEN = STUDIES / "when_es_beats_rl.yaml"
SMALL = [
    "--budget", "144episodes", "--dtype", "float32", "--memory", "256MiB", "--force",
    "--set", "eggroll.population=8", "--set", "prompt.max_new_tokens=6", "--set", "eval.items=8",
    "--set", "eval.points=1", "--set", "eval.many=0", "--set", "eval.train_items=0",
]  # fmt: skip
THEIR_KNOBS = "convention" in {field.name for field in dataclasses.fields(Options)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A randomly initialised Llama with a character tokenizer, saved as people save theirs."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from eggym.base_model import build_tokenizer

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("llama")
    LlamaForCausalLM(config).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def start(file, model, tmp_path):
    words = [sys.executable, "-m", "eggym", "train", "--config", str(file), "--model", str(model), "--out", "run"]
    done = subprocess.run([*words, *SMALL], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "run" / "record.json").read_text())


@pytest.mark.slow
def test_the_settings_of_the_countdown_run_are_those_of_the_paper_and_start(model, tmp_path):
    settings = yaml.safe_load(COUNTDOWN.read_text())
    own = settings["set"]["eggroll"]
    assert settings["budget"] == f"{618 * own['population'] * own['items']}episodes"
    record = start(COUNTDOWN, model, tmp_path)
    assert record["n_steps"] == 3 and record["spent"]["episodes"] == 3 * 8 * 6
    options = record["learner"]["options"]
    assert {name: options[name] for name in ("items", "replies", "rank", "sigma", "temperature")} == {
        "items": 6, "replies": 1, "rank": 1, "sigma": 7e-4, "temperature": 0.0,
    }  # fmt: skip
    assert record["learner"]["profile"] == "pretrained"


@pytest.mark.slow
@pytest.mark.skipif(not THEIR_KNOBS, reason="the learner has no conventions of others")
def test_the_knobs_of_the_authors_give_the_same_step(model, tmp_path):
    theirs = COUNTDOWN.read_text().replace("# convention:", "convention:").replace("# lr:", "lr:")
    kept = "".join(line for line in theirs.splitlines(keepends=True) if not line.strip().startswith("update_rms"))
    (tmp_path / "theirs.yaml").write_text(kept)
    options = start(tmp_path / "theirs.yaml", model, tmp_path)["learner"]["options"]
    assert (options["convention"], options["lr"]) == ("eggroll", 0.125)
    assert options["lr"] * options["sigma"] == pytest.approx(8.75e-5)


def test_the_needle_asks_the_same_of_both_sides_at_every_horizon():
    settings = yaml.safe_load(NEEDLE.read_text())
    own = settings["set"]
    # an episode of RL costs up to four forward passes, one of ES one
    assert own["eggroll"]["population"] * own["eggroll"]["items"] == 4 * 64
    assert own["dr_grpo"]["items"] * own["dr_grpo"]["replies"] == 64
    tasks = [load_task(name) for name in settings["task"]]
    assert [(task.max_turns, task.mode) for task in tasks] == [(turns, "needle") for turns in (1, 4, 16)]
    assert {task.inner.id for task in tasks} == {"eggym/tiny-arithmetic-v0"}


@pytest.mark.slow
def test_the_needle_starts(tmp_path):
    words = [sys.executable, "-m", "eggym", "duel", "--config", str(NEEDLE), "--out", "run", "--seeds", "1", "--force"]
    small = [
        "--budget", "256episodes", "--set", "eval.items=2", "--set", "eval.points=1", "--set", "eval.drift=0",
        "--set", "eval.many=0", "--set", "eval.train_items=0",
    ]  # fmt: skip
    done = subprocess.run([*words, *small], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "run").rglob("record.json")]
    found = {(one["task"]["difficulty"]["turns"], one["learner"]["name"]): one for one in records}
    assert len(found) == len(records) == 9
    for turns in (1, 4, 16):
        for name, n_steps in (("eggroll", 1), ("dr_grpo", 4)):
            assert (found[turns, name]["n_steps"], found[turns, name]["spent"]["episodes"]) == (n_steps, 256)


def test_the_curve_beside_trl_gives_both_learners_equal_options():
    from eggym.registry import load_learner

    settings = yaml.safe_load((STUDIES / "trl-curve.yaml").read_text())
    ours, theirs = (load_learner(name).resolve("tiny", settings["set"][name]) for name in ("dr_grpo", "trl-grpo"))
    same = ["items", "replies", "lr", "temperature", "length", "max_grad_norm", "beta1", "beta2", "weight_decay"]
    assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
    assert (ours.clip_low, ours.clip_high) == (theirs.epsilon, theirs.epsilon_high)
    assert (ours.advantage, ours.reduction) == ("mean", "constant")
    assert (theirs.scale_rewards, theirs.loss_type) == ("none", "dr_grpo")
    found = json.loads((STUDIES / "trl-curve.json").read_text())["curves"]
    assert [run["training_reward"] for run in found["dr_grpo"]] == [run["training_reward"] for run in found["trl-grpo"]]


def test_the_study_has_the_same_learners_and_trials_on_every_task():
    parts = {name: duel_config(settings) for name, settings in gather_parts(WHEN, {}).items()}
    assert list(parts) == ["small", "untuned", "horizon"]
    for name, part in parts.items():
        assert {"eggroll", "eggroll@t1", "openai-es", "dr_grpo", "ppo", "frozen"} <= set(part.learner)
        assert part.seeds == tuple(range(5)) and part.set["eggroll@t1.temperature"] == 1.0
        assert (part.tune, part.tune_task) == ((0, None) if name == "untuned" else (8, "tiny-arithmetic"))
        assert name == "untuned" or {"random-reward:eggroll", "random-reward:dr_grpo"} <= set(part.learner)
    small = [f"eggym/tiny-{name}-v0" for name in ("arithmetic", "orders", "programs", "countdown")]
    exams = [f"eggym/exam-v0@mode=needle,turns={turns}" for turns in (1, 4, 16)]
    found = {name: [load_task(one).label for one in part.task] for name, part in parts.items()}
    assert found == {"small": small, "untuned": small, "horizon": exams}
    own = parts["horizon"].set
    es = {own[f"{name}.population"] * own[f"{name}.items"] for name in ("eggroll", "openai-es")}
    rl = [own[f"{name}.items"] * own[f"{name}.replies"] for name in ("dr_grpo", "ppo")]
    # an episode of RL costs up to four forward passes, one of ES one; one of PPO is passed four times more
    assert (es, rl) == ({256}, [64, 32])


@pytest.mark.slow
@pytest.mark.parametrize(("part", "n_runs"), [("small", 220), ("untuned", 120), ("horizon", 165)])
def test_the_records_of_the_study_say_what_its_summary_says(part, n_runs, tmp_path):
    from eggym.outcome import summary
    from eggym.record import find_runs, load_record

    folder = STUDIES / "when_es_beats_rl"
    with tarfile.open(folder / "records.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    records = [load_record(path) for path in find_runs(tmp_path / part) if "tuning" not in path.parts]
    assert len(records) == n_runs
    kept = json.loads((folder / f"{part}.json").read_text())
    found = summary(records, {})
    assert found["headline"] == kept["headline"]

    def pairs(numbers):
        return {
            (task["task"], one["es"], one["rl"]): (one["difference"], one["verdict"])
            for task in numbers["tasks"]
            for one in task["comparisons"]
        }

    assert pairs(found) == pairs(kept)
