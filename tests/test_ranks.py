"""Runs that torchrun starts: real processes on gloo, two ranks each."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from eggym import torchrun as joined
from eggym.agents.gradients import shares
from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.enlisting import ranks_identity, refuse_few_items, refuse_unsplit
from eggym.episode import Segment
from eggym.errors import BadValue
from eggym.lock import last_driver
from eggym.patience import with_ranks_s
from eggym.ranks import ALONE, Group
from eggym.record import load_measured
from eggym.shares import pack_episodes, unpack_episodes
from eggym.train import identify, prepared, run_plan, shared_out
from eggym.views import PolicyViews

CHILD = Path(__file__).with_name("ranks_child.py")
EVALUATION = {
    "eval.items": 8,
    "eval.points": 4,
    "eval.drift": 4,
    "eval.many": 2,
    "eval.many_items": 4,
    "eval.train_items": 4,
}
# a critic, a KL to the start in the loss and in the reward, minibatches, and several passes of each rank
PPO = {
    "ppo.items": 5,
    "ppo.replies": 4,
    "ppo.kl_loss": 0.05,
    "reward.kl": 0.02,
    "ppo.minibatches": 2,
    "ppo.tokens_per_pass": 64,
}
ES = {"eggroll.population": 16, "eggroll.items": 4, "engine.parcels": 4}
PAIR = Group(0, 2)


def command(learner, out, settings, budget):
    values = [word for name, value in {**EVALUATION, **settings}.items() for word in ("--set", f"{name}={value}")]
    words = ["train", "--task", "tiny-programs", "--learner", learner, "--budget", budget, "--force", *values]
    return [*words, "--device", "cpu", "--dtype", "float32", "--out", str(out)]


def torchrun(*words, n=2):
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n), *words]


def run(words):
    return subprocess.run(words, capture_output=True, text=True, timeout=300)


def train(learner, out, settings, budget="80episodes", n=2):
    words = command(learner, out, settings, budget)
    found = run([sys.executable, "-m", "eggym", *words] if n == 1 else torchrun("-m", "eggym", *words, n=n))
    assert found.returncode == 0, found.stderr
    return found


def written(folder):
    """Return everything that a run has written, but its measurements and its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("measured.json", ".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def steps(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def apart(one, other):
    """Return by how much the final weights of two runs differ at most."""
    ours, theirs = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """PPO alone, by two ranks with whole weights, and by two with shards."""
    folder = tmp_path_factory.mktemp("runs")
    train("ppo", folder / "alone", PPO, n=1)
    train("ppo", folder / "ddp", PPO)
    train("ppo", folder / "fsdp", {**PPO, "engine.parallel": "fsdp"})
    return folder


@pytest.mark.slow
def test_ranks_of_an_es_run_write_what_one_process_writes(tmp_path):
    train("eggroll", tmp_path / "one", ES, "192episodes", n=1)
    told = train("eggroll", tmp_path / "two", ES, "192episodes")
    assert written(tmp_path / "two") == written(tmp_path / "one")
    assert load_measured(tmp_path / "two").ranks == 2
    assert told.stdout.count("updates") == 1  # rank 0 alone speaks


@pytest.mark.slow
def test_ranks_of_an_rl_run_play_the_same_replies_and_take_the_same_step(runs):
    alone, shared = steps(runs / "alone"), steps(runs / "ddp")
    first = "episodes/000000.jsonl.gz"
    assert (runs / "ddp" / first).read_bytes() == (runs / "alone" / first).read_bytes()
    assert (runs / "ddp/evaluations.jsonl").read_bytes() == (runs / "alone/evaluations.jsonl").read_bytes()
    assert [line["reward"] for line in shared] == [line["reward"] for line in alone] and len(alone) == 4
    for ours, theirs in zip(shared, alone, strict=True):
        assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=5e-6)
        for name in ("episodes", "prompt_tokens", "action_tokens", "rollout_flops", "reward_calls"):
            assert ours["spent"][name] == theirs["spent"][name]
        # a pass computes logits for its longest reply, so they depend a little on who reads what
        assert ours["spent"]["learner_flops"] == pytest.approx(theirs["spent"]["learner_flops"], rel=2e-3)
    start = load_file(runs / "alone/weights.safetensors")
    assert 0 < apart(runs / "alone", runs / "ddp") < 5e-6 < max(float(one.abs().max()) for one in start.values())


@pytest.mark.slow
def test_whole_weights_and_shards_agree(runs):
    assert 0 < apart(runs / "ddp", runs / "fsdp") < 1e-4  # of steps of up to 5e-4
    assert (runs / "fsdp/evaluations.jsonl").read_bytes() == (runs / "ddp/evaluations.jsonl").read_bytes()
    for ours, theirs in zip(steps(runs / "fsdp"), steps(runs / "ddp"), strict=True):
        assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=1e-4)


@pytest.mark.slow
def test_an_rl_run_says_how_many_ranks_it_had(runs):
    assert json.loads((runs / "ddp/config.json").read_text())["ranks"] == {"size": 2, "parallel": "ddp"}
    assert "ranks" not in json.loads((runs / "alone/config.json").read_text())


def ranks_of(process):
    """Return the processes that torchrun has started, by rank."""
    found = {}
    for child in subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split():
        words = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        found |= {int(word[5:]): int(child) for word in words if word.startswith(b"RANK=")}
    return found


def after_step(folder, step, process):
    """Wait until a run has a checkpoint of at least this step; return its ranks."""
    deadline = time.monotonic() + 120
    while not any(int(path.name[11:19]) >= step for path in folder.glob("checkpoint-????????")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return ranks_of(process)


@pytest.mark.slow
@pytest.mark.parametrize(("parallel", "rank"), [("ddp", 1), ("fsdp", 0)])
def test_a_run_of_which_a_rank_was_killed_ends_in_the_bytes_of_another_that_was_not(runs, tmp_path, parallel, rank):
    settings, out = {**PPO, "engine.parallel": parallel}, tmp_path / "run"
    words = torchrun("-m", "eggym", *command("ppo", out, settings, "80episodes"))
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    os.kill(after_step(out, 2, process)[rank], signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode != 0 and not (out / "record.json").exists()
    assert "[rank" not in told  # torchrun's own traceback has no such mark
    train("ppo", out, settings)
    assert written(out) == written(runs / parallel)
    assert load_measured(out).sessions == 2


@pytest.mark.slow
def test_a_silent_rank_ends_the_run_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("EGGYM_RANKS_PATIENCE", "4")
    out = tmp_path / "run"
    words = torchrun("-m", "eggym", *command("dr_grpo", out, {"dr_grpo.items": 4}, "4000episodes"))
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    silent = after_step(out, 0, process)[1]
    os.kill(silent, signal.SIGSTOP)
    told = next(line for line in process.stderr if line.startswith("eggym:"))
    os.kill(silent, signal.SIGKILL)  # torchrun would give it half a minute to end
    process.communicate(timeout=60)
    assert last_driver(out).command == (Path(words[0]).name, *words[1:])  # torchrun's, and not that of a rank
    assert "rank 0: another rank did not answer within 4 s" in told and "continues from the last checkpoint" in told


@pytest.mark.slow
def test_words_sums_and_shards_come_to_all_ranks():
    found = run(torchrun(str(CHILD), "exchange"))
    assert found.stdout.count("as it should be") == 2, found.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("otherwise", "rank 0: rank 1 is asked for another run than rank 0"),
        ("astray", "rank 0: after step 1 rank 1 holds other weights than rank 0"),
    ],
)
def test_ranks_that_differ_are_refused(tmp_path, how, line):
    words = command("dr_grpo", tmp_path / "run", {"dr_grpo.items": 2, "dr_grpo.replies": 2}, "8episodes")
    found = run(torchrun(str(CHILD), how, json.dumps(words)))
    said = [one for one in found.stderr.splitlines() if one.startswith("eggym:")]
    assert found.returncode != 0 and len(said) == 1 and line in said[0], found.stderr


def asked(learner, **settings):
    named = {name.replace("__", "."): value for name, value in settings.items()}
    return resolve(RunConfig("tiny-programs", learner, device="cpu", dtype="float32", set=named))


@pytest.mark.parametrize(
    ("learner", "settings", "there", "line"),
    [
        ("dr_grpo", {"engine__parallel": "fsdp"}, ALONE, "there is one rank"),
        ("eggroll", {}, PAIR, "2 ranks cannot share 1 parcels"),
        ("eggroll", {"engine__parcels": 2, "engine__parallel": "fsdp"}, PAIR, "has no gradient"),
        ("eggroll", {"engine__parcels": 2, "reward__kl": 0.1}, PAIR, "in one process; start it without torchrun"),
        ("random-reward:eggroll", {}, PAIR, "2 ranks cannot share 1 parcels"),
        ("best-of-n", {}, PAIR, "best-of-n does not share its passes"),
        ("dr_grpo", {"engine__parcels": 2}, PAIR, "ranks cut the items of dr_grpo"),
        ("dr_grpo", {"engine__parallel": "fsdp", "space__adapter_rank": 2}, PAIR, "too small to put in shards"),
        ("dr_grpo", {"engine__parallel": "fsdp", "engine__compile": True}, PAIR, "layers in shards call back"),
        ("dr_grpo", {"engine__replies": "digests"}, PAIR, "rank 0 keeps whole replies"),
    ],
)
def test_what_ranks_cannot_share_is_refused_in_one_line(learner, settings, there, line):
    with pytest.raises(BadValue, match=line):
        refuse_unsplit(asked(learner, **settings), there)


@pytest.mark.parametrize("learner", ["ppo", "dr_grpo", "dapo", "sft", "random-reward:grpo", "frozen"])
def test_learners_that_share_their_passes_are_not(learner):
    refuse_unsplit(asked(learner), PAIR)


def test_workers_beside_ranks_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(joined, "_here", [PAIR])
    plan = asked("eggroll", engine__parcels=2)
    with pytest.raises(BadValue, match="leave --workers out, or torchrun"):
        run_plan(plan, tmp_path / "run", lambda event: None, workers=2)
    assert not (tmp_path / "run").exists()


def test_an_es_run_of_ranks_is_cut_as_with_workers(monkeypatch):
    monkeypatch.setattr(joined, "_here", [PAIR])
    assert shared_out(RunConfig("tiny-programs", "random-reward:eggroll"), None).set == {"engine.parcels": 4}
    assert shared_out(RunConfig("tiny-programs", "ppo"), None).set == {}


def test_an_unknown_way_of_holding_weights_is_refused():
    with pytest.raises(BadValue, match=r"engine.parallel must be one of ddp, fsdp, got 'zero'"):
        asked("ppo", engine__parallel="zero")


def test_more_ranks_than_items_are_refused():
    plan = asked("dr_grpo", dr_grpo__items=2)
    refuse_few_items(prepared(plan), plan, PAIR)
    with pytest.raises(BadValue, match=r"3 ranks cannot share a step of 2 items; give --set dr_grpo.items=3"):
        refuse_few_items(prepared(plan), plan, Group(0, 3))


def test_ranks_belong_to_the_identity_of_rl_runs_alone():
    assert ranks_identity(asked("ppo"), PAIR) == {"ranks": {"size": 2, "parallel": "ddp"}}
    assert ranks_identity(asked("ppo"), ALONE) == ranks_identity(asked("eggroll"), PAIR) == {}
    fsdp = asked("ppo", engine__parallel="fsdp")
    assert identify(fsdp) == identify(asked("ppo"))  # without ranks it is nothing


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf"])
def test_patience_must_be_a_number_of_seconds(text):
    with pytest.raises(BadValue, match="EGGYM_RANKS_PATIENCE must be a number of seconds above 0"):
        with_ranks_s({"EGGYM_RANKS_PATIENCE": text})


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["duel", "--task", "guess"], "duel shares no work among them"),
        (["train", "--task", "guess", "--learner", "eggroll", "--device", "cuda:1"], "give cpu, or cuda: each takes"),
    ],
)
def test_the_command_refuses_what_ranks_do_not_do(monkeypatch, capsys, words, line):
    from eggym.cli import main

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert line in capsys.readouterr().err


def test_episodes_come_back_from_bytes_as_they_were():
    plan = asked("dr_grpo")
    meter = Meter(FlopModel.of(plan.policy.model))
    items = [plan.task.item("train", index) for index in range(3)]
    episodes = plan.rollout(meter).play(PolicyViews(3, 2), items, 0).episodes
    episodes[0].turns[0].reward = float("nan")
    back = unpack_episodes(pack_episodes(episodes), items)
    assert np.isnan(back[0].turns[0].reward)
    episodes[0].turns[0].reward = back[0].turns[0].reward = 0.0
    assert back == episodes and back[0].item is items[0]
    with pytest.raises(BadValue, match="damaged"):
        unpack_episodes(pack_episodes(episodes)[:-1], items)


def test_units_of_one_prompt_stay_together_and_ranks_have_about_as_much():
    def unit(prompt, n):
        return [Segment([prompt, 9, *[5] * n], [False, False, *[True] * n], [0.0] * (n + 2))]

    # tokens: prompt 1 has 6 + 8, prompt 2 has 5, prompt 3 has 7
    units = [unit(1, 4), unit(2, 3), unit(1, 6), unit(3, 5)]
    assert shares(units, 2) == [[0, 2], [3, 1]]
    assert shares(units[::2], 2) == [[1], [0]]  # fewer prompts than ranks


def test_items_played_apart_are_what_they_are_together():
    plan = asked("dr_grpo")
    meter = Meter(FlopModel.of(plan.policy.model))
    items = [plan.task.item("train", index) for index in range(5)]
    views, rollout = PolicyViews(5, 3), plan.rollout(meter)
    whole = rollout.play(views, items, 2).episodes
    parts = [one for slots in ([0, 2, 4], [1, 3], []) for one in rollout.play(views, items, 2, None, slots).episodes]
    assert sorted(parts, key=lambda one: (one.slot, one.sample)) == whole
