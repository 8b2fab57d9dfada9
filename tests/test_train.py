"""The loop: budgets, evaluation grid, records, resuming to the same bits, refusals."""

import contextlib
import dataclasses
import gzip
import json
import re
import shutil
import sys

import pytest

from eggym.budget import Budget
from eggym.checkpoint import load_checkpoint, save_checkpoint
from eggym.config import CONFIG, RunConfig, resolve
from eggym.errors import BadValue, EggymError, RunMismatch, TaskFault, UnknownName
from eggym.files import sha256_file
from eggym.fitness import FitnessLog
from eggym.forecast import forecast
from eggym.loop import Event
from eggym.record import load_measured, load_record
from eggym.replies import cut_shards
from eggym.result import deterministic_files
from eggym.train import run_plan

QUICK = {
    "eval.items": 24,
    "eval.points": 3,
    "eval.many": 2,
    "eval.many_items": 4,
    "eval.train_items": 4,
    "eggroll.population": 8,
    "eggroll.items": 4,
    "dr_grpo.items": 4,
    "dr_grpo.replies": 4,
}


def config(learner="eggroll", task="eggym/tiny-programs-v0", **fields):
    bare = learner.rpartition(":")[2]
    quick = {name: value for name, value in QUICK.items() if name.startswith(("eval.", f"{bare}."))}
    settings = {**quick, **fields.pop("set", {})}
    return RunConfig(task, learner, **{"budget": "200episodes", **fields}, set=settings)


def fingerprint(folder):
    return {name: sha256_file(folder / name) for name in [*deterministic_files(folder), "record.json"]}


def train(asked, folder, watch=lambda event: None, force=False):
    return run_plan(resolve(asked), folder, watch, force)


class Stop(Exception):
    """Stands for a power cut."""


def stop_at(number):
    seen = []

    def watch(event: Event):
        seen.append(event)
        if len(seen) == number:
            raise Stop

    return watch


@pytest.fixture(scope="module", params=["eggroll", "dr_grpo"])
def finished(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "whole"
    train(config(request.param), folder)
    return request.param, folder


def test_a_run_twice_gives_the_same_bytes(finished, tmp_path):
    learner, folder = finished
    train(config(learner), tmp_path / "again")
    assert fingerprint(tmp_path / "again") == fingerprint(folder)


def test_a_run_stopped_anywhere_continues_to_the_same_bytes(finished, tmp_path, monkeypatch):
    learner, folder = finished
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    broken = tmp_path / "broken"
    for number in (1, 2, 3, 5, 4, 2):  # events after each new start: in the middle of steps and evaluations
        with pytest.raises(Stop):
            train(config(learner), broken, stop_at(number))
    train(config(learner), broken)
    assert fingerprint(broken) == fingerprint(folder)
    assert load_measured(broken).sessions >= 3


def test_what_was_torn_by_a_crash_is_cut_off(finished, tmp_path):
    learner, folder = finished
    broken = tmp_path / "broken"
    with pytest.raises(Stop):
        train(config(learner), broken, stop_at(5))
    for name in ("fitness.bin", "steps.jsonl", "evaluations.jsonl"):
        with (broken / name).open("ab") as file:
            file.write(b'{"torn": ')
    (broken / "checkpoint.part").mkdir()
    (broken / "episodes" / ".000099.jsonl.gz.part").write_bytes(b"x")
    train(config(learner), broken)
    assert fingerprint(broken) == fingerprint(folder)


def test_shards_after_a_checkpoint_are_removed(tmp_path):
    # a budget in seconds may buy fewer steps the second time
    (tmp_path / "episodes").mkdir()
    for step in range(4):
        (tmp_path / "episodes" / f"{step:06d}.jsonl.gz").write_bytes(b"x")
    cut_shards(tmp_path, 2)
    assert sorted(path.name[:6] for path in (tmp_path / "episodes").iterdir()) == ["000000", "000001"]


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_refused_and_not_begun_anew_unseen(finished, tmp_path, name):
    learner, folder = finished
    broken = tmp_path / "broken"
    with pytest.raises(Stop):
        train(config(learner), broken, stop_at(5))
    (state,) = broken.glob("checkpoint-*")
    whole = (state / name).read_bytes()
    (state / name).write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    with pytest.raises(BadValue, match=rf"{state.name} is damaged; restore it, or delete .*broken and run again"):
        train(config(learner), broken)
    (state / name).write_bytes(whole)
    train(config(learner), broken)
    assert fingerprint(broken) == fingerprint(folder)


def test_an_older_checkpoint_that_is_whole_stands_in_for_a_damaged_one(tmp_path):
    save_checkpoint(tmp_path, 5, {"x": 1})
    (tmp_path / "checkpoint-00000006").mkdir()  # as if a disk had lost what is in it
    assert load_checkpoint(tmp_path) == {"x": 1}


def test_the_record_tells_the_whole_story(finished):
    learner, folder = finished
    record = load_record(folder)
    assert record.budget.axis == "episodes" and record.spent.episodes <= 200 < record.spent.episodes * 1.3
    assert record.points[0].step == 0 and record.points[-1].step == record.n_steps
    assert [round(point.fraction * 3) for point in record.points] == [0, 1, 2, 3]
    assert record.files == {name: sha256_file(folder / name) for name in deterministic_files(folder)}
    assert record.spent.flops == record.spent.rollout_flops + record.spent.learner_flops
    assert (record.spent.learner_flops > 0) == (learner == "dr_grpo")
    beside = 16 + 2 * (2 * 4 + 4)  # the replies on which drift is followed; several replies and training items, twice
    assert record.evaluation_spent.episodes == 2 * 24 * 4 + beside
    assert record.model.n_trainable < record.model.n_parameters
    assert record.task.digest and record.learner.options
    lines = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 24 * 4
    first = [line["reward"] for line in lines if line["point"] == 0 and line["mode"] == "greedy"]
    assert first == record.points[0].greedy.rewards
    assert not list(folder.glob("checkpoint*"))


def test_the_fitness_log_and_the_shards_hold_every_reward(finished):
    _, folder = finished
    record = load_record(folder)
    steps = FitnessLog(folder / "fitness.bin").read()
    assert [one.step for one in steps] == list(range(record.n_steps))
    for one in steps:
        with gzip.open(folder / "episodes" / f"{one.step:06d}.jsonl.gz", "rt") as file:
            told = [json.loads(line) for line in file]
        assert [line["reward"] for line in told] == one.rewards_N_P_G.flatten().tolist()
        n_replies = one.rewards_N_P_G.shape[2]
        assert [line["item"] for line in told[::n_replies]][: len(one.item_indices_P)] == one.item_indices_P.tolist()


def test_learners_of_one_seed_see_one_stream_of_items(tmp_path):
    seen = {}
    for learner in ("eggroll", "dr_grpo"):
        train(config(learner), tmp_path / learner)
        steps = FitnessLog(tmp_path / learner / "fitness.bin").read()
        seen[learner] = [index for one in steps for index in one.item_indices_P.tolist()]
    n = min(map(len, seen.values()))
    assert n > 10 and seen["eggroll"][:n] == seen["dr_grpo"][:n]
    train(config("eggroll", seed=1), tmp_path / "other")
    other = FitnessLog(tmp_path / "other" / "fitness.bin").read()[0].item_indices_P.tolist()
    assert not set(other) & set(seen["eggroll"])


def test_all_learners_start_from_the_same_evaluation(tmp_path):
    starts = []
    for learner in ("frozen", "eggroll", "random-reward:dr_grpo"):
        record = train(config(learner), tmp_path / learner.replace(":", "-"))
        starts.append((record.points[0].greedy, record.points[0].sampled))
    assert starts[0] == starts[1] == starts[2]


def test_the_frozen_control_never_moves(tmp_path):
    record = train(config("frozen"), tmp_path / "run")
    assert record.n_steps == 0 and record.spent.episodes == 0
    assert record.weights_sha256 == record.model.sha256


def test_a_finished_run_is_read_and_not_run_again(finished):
    learner, folder = finished
    before = fingerprint(folder)
    events = []
    assert train(config(learner), folder, events.append) == load_record(folder)
    assert events == [] and fingerprint(folder) == before


def test_a_folder_of_another_configuration_is_refused_by_the_keys_that_differ(finished):
    learner, folder = finished
    with pytest.raises(RunMismatch, match=r"budget '200episodes' -> '300episodes', seed 0 -> 5"):
        train(config(learner, budget="300episodes", seed=5), folder)


def test_a_step_that_would_not_fit_is_not_started(tmp_path):
    record = train(config(budget="199episodes", set={"eggroll.population": 10}), tmp_path / "run", force=True)
    assert record.spent.episodes == 160  # four steps of 40; a fifth would end at 200


def test_a_first_update_that_would_go_beyond_the_budget_is_not_started(tmp_path):
    settings = {"dapo.items": 1, "dapo.replies": 8, "eval.items": 1}
    record = train(config("dapo", "tiny-countdown", budget="2.5e8flops", seed=5, set=settings), tmp_path, force=True)
    first = json.loads((tmp_path / "steps.jsonl").read_text().splitlines()[0])
    assert first["metrics"]["updated"] == first["metrics"]["held"] == 0  # a second step would have ended at 2.5
    assert record.points[-1].fraction < 1


def test_a_step_that_would_update_on_all_that_is_held_beyond_the_budget_is_not_started(tmp_path):
    settings = {"dapo.items": 4, "dapo.replies": 4}
    record = train(config("dapo", "tiny-arithmetic", budget="8e8flops", set=settings), tmp_path, force=True)
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert lines and lines[-1]["metrics"]["held"] > 0  # the first update would have ended at 1.3 of the budget
    assert record.points[-1].fraction < 1


def test_a_budget_in_seconds_ends_in_time(tmp_path):
    record = train(config(budget="2cpu-s"), tmp_path / "run", force=True)
    assert record.n_steps >= 1 and record.points[-1].fraction <= 1.5


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"budget": "64episodes"},
            BadValue,
            r"good for about 2 updates of eggroll .* raise --budget to about \d+episodes",
        ),
        ({"task": "eggym/tiny-program-v0"}, UnknownName, "did you mean 'eggym/tiny-programs-v0'"),
        ({"learner": "egroll"}, UnknownName, "did you mean 'eggroll'"),
        ({"set": {"eggroll.population": 7}}, BadValue, "population must be even"),
        ({"set": {"egroll.sigma": 1.0}}, UnknownName, "no setting 'egroll.sigma'"),
        ({"set": {"eval.item": 3}}, UnknownName, "did you mean 'items'"),
        ({"set": {"space.targets": "nothing"}}, BadValue, "match no weight of the model"),
        ({"set": {"prompt.max_new_tokens": 900}, "memory": "1MiB"}, BadValue, "raise --memory"),
        ({"set": {"dr_grpo.lrr": 1.0}}, UnknownName, r"no option of dr_grpo 'lrr'; did you mean 'lr'"),
        ({"set": {"dr_grpo.learning_rate": 1.0}}, UnknownName, r"no option of dr_grpo .*; did you mean 'lr'\?"),
        ({"set": {"dr_grpo.batch_size": 1}}, UnknownName, r"did you mean 'items'\?"),
        ({"set": {"dr_grpo.group_size": 1}}, UnknownName, r"did you mean 'replies'\?"),
        ({"set": {"dr_grpo.beta": 1}}, UnknownName, r"did you mean 'kl_loss'\?"),
        ({"set": {"eggroll.epsilon": 1}}, UnknownName, r"no option of eggroll 'epsilon'; (?!did you mean 'clip_low')"),
        ({"set": {"eggroll.max_tokens": 1}}, UnknownName, r"did you mean 'prompt.max_new_tokens'\?"),
        ({"set": {"sigma": 1}}, UnknownName, r"no setting 'sigma'; did you mean 'eggroll.sigma'\?"),
        ({"set": {"num_generations": 8}}, UnknownName, r"did you mean 'eggroll.replies'\?"),
        ({"set": {"kl_loss": 8}}, UnknownName, r"no setting 'kl_loss'; known: "),
        ({"set": {"eggroll.sigma": float("nan")}}, BadValue, r"eggroll\.sigma must be finite"),
        ({"set": {"eggroll.population": 10**26}}, BadValue, "within 31 bits"),
        ({"set": {"prompt.max_new_tokens": 1.5}}, BadValue, r"prompt\.max_new_tokens must be a whole number"),
        ({"set": {"prompt.stop": 5}}, BadValue, r"prompt\.stop must be a list of texts"),
        ({"set": {"prompt.few_shot": ["ab"]}}, BadValue, r"prompt\.few_shot must be pairs"),
        ({"set": {"prompt.system": 5}}, BadValue, r"prompt\.system must be a text"),
        ({"set": {"eval.split": 5}}, BadValue, r"eval\.split must be of type str"),
        ({"set": {"eval.items": True}}, BadValue, r"eval\.items must be of type int"),
        ({"set": {"space.targets": None}}, BadValue, r"space\.targets must be of type str"),
        ({"set": {"prompt.max_new_tokens": 1500}}, BadValue, "its reply up to 1500, but model 'embedded-v0' sees 1024"),
        ({"memory": "lots"}, BadValue, "is not an amount"),
        ({"split": "training"}, BadValue, "no split 'training'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, change, error, message):
    settings = {**change.pop("set", {})}
    with pytest.raises(error, match=message):
        train(config(**change, set=settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return float('nan')", "nan"),
        ("return 'good'", "good"),
        ("raise KeyError('answer')", "KeyError"),
        ("return 7.0", "outside its reward_range"),
    ],
)
def test_a_task_file_that_cannot_score_is_refused_before_anything_is_written(tmp_path, body, message):
    file = tmp_path / "mine.py"
    file.write_text(
        "from eggym import Item, SingleTurnTask\n"
        "class Mine(SingleTurnTask):\n"
        "    id = 'me/mine-v0'\n"
        "    def generate(self, rng):\n"
        "        return Item(str(rng.randrange(10**6)))\n"
        f"    def score(self, item, reply):\n        {body}\n"
    )
    with pytest.raises(TaskFault, match=message):
        train(config(task=str(file)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_space_left_is_one_line_and_the_run_continues_afterwards(finished, tmp_path, monkeypatch):
    import errno
    import os

    learner, folder = finished
    calls = []

    def full(handle, real=os.fsync):
        calls.append(handle)
        if len(calls) == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    from eggym.errors import EggymError

    with pytest.raises(EggymError, match="no space left while writing"):
        train(config(learner), tmp_path / "run")
    monkeypatch.undo()
    train(config(learner), tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(folder)


def test_what_is_missing_or_changed_in_a_finished_run_is_named(finished, tmp_path):
    learner, folder = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "fitness.bin").unlink()
    with pytest.raises(BadValue, match=r"fitness\.bin is missing since the run was finished"):
        train(config(learner), copy)
    shutil.copy(folder / "fitness.bin", copy)
    with (copy / "evaluations.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(BadValue, match=r"evaluations\.jsonl was changed since the run was finished"):
        train(config(learner), copy)


def test_a_record_is_written_with_its_digest_and_refused_when_edited(finished, tmp_path):
    learner, folder = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    text = (copy / "record.json").read_text()
    edited = text.replace('"note":""', '"note":"better"')
    assert edited != text
    (copy / "record.json").write_text(edited)
    with pytest.raises(BadValue, match="content_sha256 is not its digest; restore it, or run again"):
        train(config(learner), copy)


@pytest.mark.parametrize("name", ["steps.jsonl", "evaluations.jsonl", "episodes/000000.jsonl.gz"])
def test_what_a_checkpoint_needs_and_is_gone_is_named(finished, tmp_path, name, monkeypatch):
    learner, _ = finished
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(Stop):
        train(config(learner), tmp_path, stop_at(5))
    (tmp_path / name).unlink()
    with pytest.raises(BadValue, match=r"delete the run folder and run again"):
        train(config(learner), tmp_path)


@pytest.mark.parametrize("name", ["fitness.bin", "steps.jsonl", "evaluations.jsonl", "episodes/000000.jsonl.gz"])
def test_what_was_changed_before_a_checkpoint_is_named(finished, tmp_path, name, monkeypatch):
    learner, _ = finished
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(Stop):
        train(config(learner), tmp_path, stop_at(5))
    if name == "fitness.bin":  # as somebody would who knows its checksums
        log = FitnessLog(tmp_path / name)
        first, *others = log.read()
        log.truncate(0)
        for one in (dataclasses.replace(first, rewards_N_P_G=1 - first.rewards_N_P_G), *others):
            log.append(one.step, one.item_indices_P, one.rewards_N_P_G)
    else:
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    message = rf"{re.escape(name)} was changed since its checkpoint was written; restore it, or delete the run folder"
    with pytest.raises(BadValue, match=message):
        train(config(learner), tmp_path)


def test_a_checkpoint_of_an_older_version_is_refused_in_one_line(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr("eggym.run_state.written", lambda path: {"length": 0})
        older.setattr(
            "eggym.run_state.save_checkpoint", lambda folder, step, state, *_: save_old(folder, step, dict(state))
        )
        with pytest.raises(Stop):
            train(config(), tmp_path, stop_at(3))
    with pytest.raises(RunMismatch, match="holds a checkpoint of an older eggym"):
        train(config(), tmp_path)


def save_old(folder, step, state):
    del state["written"]
    save_checkpoint(folder, step, state)


def test_a_run_that_another_process_finished_meanwhile_is_read_and_left_alone(finished, tmp_path, monkeypatch):
    learner, folder = finished
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "record.json").rename(tmp_path / "record.json")
    real = sys.modules["eggym.train"].alone

    @contextlib.contextmanager
    def late(place):
        with real(place):
            (tmp_path / "record.json").rename(place / "record.json")  # the other one was quicker
            yield

    monkeypatch.setattr(sys.modules["eggym.train"], "alone", late)
    train(config(learner), copy)
    assert fingerprint(copy) == fingerprint(folder)


def test_a_learner_that_diverges_stops_with_one_line(tmp_path):
    with pytest.raises(EggymError, match="eggroll diverged at step 0"):
        train(config(set={"eggroll.update_rms": 1e38}), tmp_path / "run")


def test_a_changed_task_is_another_run(tmp_path):
    file = tmp_path / "mine.py"
    body = (
        "from eggym import Item, SingleTurnTask\n"
        "class Mine(SingleTurnTask):\n    id = 'me/mine-v0'\n    max_new_tokens = 4\n"
        "    def generate(self, rng):\n        return Item(str(rng.randrange(10**6)))\n"
        "    def score(self, item, reply):\n        return 0.25\n"
    )
    file.write_text(body)
    train(config("frozen", task=str(file)), tmp_path / "run")
    file.write_text(body.replace("0.25", "0.75"))
    with pytest.raises(RunMismatch, match="task_digest"):
        train(config("frozen", task=str(file)), tmp_path / "run")


def test_budgets_that_look_alike_are_told_apart(finished):
    learner, folder = finished
    with pytest.raises(RunMismatch, match=r"budget '12345678.0tokens' -> |budget '200episodes' -> '12345678.0tokens'"):
        train(config(learner, budget="12345678tokens"), folder)
    assert str(Budget.parse("12345678tokens")) != str(Budget.parse("12345699tokens"))


def test_a_budget_below_one_update_is_refused_even_by_force(tmp_path):
    with pytest.raises(BadValue, match=r"good for about 0 updates .* 1 is the least"):
        train(config(budget="1episodes"), tmp_path / "run", force=True)
    assert not (tmp_path / "run").exists()


def test_a_forecast_plays_once_for_all_learners_and_seeds_and_anew_where_episodes_differ(monkeypatch):
    cost, played = sys.modules["eggym.sample_cost"], []
    play = cost._play
    monkeypatch.setattr(cost, "_KNOWN", {})
    monkeypatch.setattr(cost, "_play", lambda plan, *sizes: played.append(plan.task.label) or play(plan, *sizes))
    short = {"prompt.max_new_tokens": 2}
    for task, learner, seed, given in (
        ("tiny-programs", "eggroll", 0, {}), ("tiny-programs", "frozen", 1, {}), ("tiny-programs", "frozen", 1, short),
        ("tiny-orders", "eggroll", 0, {}), ("tiny-orders", "dr_grpo", 2, {"eval.items": 3}),
    ):  # fmt: skip
        cost.played(resolve(RunConfig(task, learner, seed=seed, set=given)), 2, 4)
    assert played == ["eggym/tiny-programs-v0"] * 2 + ["eggym/tiny-orders-v0"]


OWN_TASK = """
from eggym.task import Item, Task

class One(Task):
    id = "me/one-v0"
    def generate(self, rng):
        return Item(str(rng.randrange(10**{digits})), truth="1")
    def score(self, item, reply):
        return float(reply == item.truth)
"""


def test_a_forecast_is_played_anew_for_whatever_its_cost_depends_on(monkeypatch, tmp_path):
    cost, played = sys.modules["eggym.sample_cost"], []
    monkeypatch.setattr(cost, "_KNOWN", {})
    monkeypatch.setattr(cost, "_play", lambda plan, *sizes: played.append(sizes))
    for digits in (4, 5):  # edited under the same id
        (tmp_path / f"{digits}.py").write_text(OWN_TASK.replace("{digits}", str(digits)))
    base = ("tiny-programs", "eggroll")
    asked = [
        {}, {"split": "validation"}, {"model": "embedded-v1"}, {"memory": "1GiB"}, {"dtype": "bfloat16"},
        {"set": {"space.targets": ".*"}}, {"set": {"engine.compile": True}}, {"set": {"prompt.stop": ["?"]}},
    ]  # fmt: skip
    plans = [resolve(RunConfig(*base, **fields)) for fields in asked]
    plans += [resolve(RunConfig(f"{tmp_path}/{digits}.py", "eggroll")) for digits in (4, 5)]
    for plan in plans + plans:
        cost.played(plan, 2, 4)
    for sizes in ((2, 5), (3, 4)):
        cost.played(plans[0], *sizes)
    assert played == [(2, 4)] * len(plans) + [(2, 5), (3, 4)]


def test_the_forecast_of_a_control_is_that_of_its_learner():
    steps = []
    for learner in ("dr_grpo", "random-reward:dr_grpo"):
        plan = resolve(config(learner, budget="5e10flops"))
        steps.append(forecast(plan, plan.spec.build(plan.policy, plan.space, 0, plan.options)).steps)
    assert steps[0] == steps[1]
    plan = resolve(config("frozen"))
    assert forecast(plan, plan.spec.build(plan.policy, plan.space, 0, plan.options)).steps is None


def test_the_forecast_says_how_many_rows_the_memory_is_good_for():
    rows = []
    for memory in ("2GiB", "8MiB"):
        plan = resolve(config("eggroll", budget="5e10flops", memory=memory))
        rows.append(forecast(plan, plan.spec.build(plan.policy, plan.space, 0, plan.options)).rows)
    assert rows[0] == 512 and rows[1] % 16 == 0 and 16 <= rows[1] < 128


def test_an_evaluation_asks_no_problem_twice(tmp_path):
    record = train(config("frozen", task="eggym/tiny-orders-v0", set={"eval.items": 200}), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "evaluations.jsonl").read_text().splitlines()]
    prompts = [line["prompt"] for line in lines if line["mode"] == "greedy"]
    assert len(set(prompts)) == len(prompts) == record.points[0].greedy.n_items < 200


def test_the_forecast_is_near_what_comes(finished):
    learner, folder = finished
    plan = resolve(config(learner))
    found = forecast(plan, plan.spec.build(plan.policy, plan.space, 0, plan.options))
    record = load_record(folder)
    assert found.steps == record.n_steps and found.episodes == record.spent.episodes
    assert 0.4 < found.tokens / record.spent.tokens < 2.5


def test_the_config_file_is_written_first_and_names_everything(finished):
    _, folder = finished
    found = json.loads((folder / CONFIG).read_text())
    assert found["options"] and found["model_sha256"] and found["prompt"]["max_new_tokens"]
    assert json.loads((folder / "record.json").read_text())["config"] == found
    shutil.rmtree(folder.parent / "nothing", ignore_errors=True)


@pytest.mark.parametrize("change", [{"seed": 1}, {"set": {"dr_grpo.lr": 2e-3}}])
def test_a_checkpoint_of_another_run_is_not_continued_where_the_config_file_is_lost(tmp_path, change):
    with pytest.raises(Stop):
        train(config("dr_grpo"), tmp_path / "run", stop_at(5))
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(RunMismatch, match="holds a checkpoint of another configuration"):
        train(config("dr_grpo", **change), tmp_path / "run")


def test_a_run_that_began_while_another_looked_ahead_is_not_overwritten(tmp_path, monkeypatch):
    module = sys.modules["eggym.train"]
    look = module.look_ahead

    def meanwhile(plan, force):
        monkeypatch.setattr(module, "look_ahead", look)
        with pytest.raises(Stop):
            train(config("dr_grpo"), tmp_path / "run", stop_at(5))
        return look(plan, force)

    monkeypatch.setattr(module, "look_ahead", meanwhile)
    with pytest.raises(RunMismatch, match="seed 0 -> 1"):
        train(config("dr_grpo", seed=1), tmp_path / "run")


@pytest.mark.parametrize("split", ["test", "test:other"])
def test_what_is_judged_is_not_trained_on(tmp_path, split):
    with pytest.raises(BadValue, match="a run would be judged on what it was trained on"):
        train(config(split=split), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_kill_between_two_checkpoints_of_one_step_leaves_a_whole_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 5, {"x": 1})
    with monkeypatch.context() as killed:
        killed.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, 5, {"x": 2})
    assert load_checkpoint(tmp_path) == {"x": 1}
    save_checkpoint(tmp_path, 5, {"x": 3})
    assert load_checkpoint(tmp_path) == {"x": 3} and len(list(tmp_path.glob("checkpoint-*"))) == 1
    save_checkpoint(tmp_path, 6, {"x": 4})
    assert load_checkpoint(tmp_path) == {"x": 4}


def test_a_checkpoint_takes_the_place_of_a_damaged_one_of_a_later_step(tmp_path):
    save_checkpoint(tmp_path, 5, {"x": 1})
    damaged = tmp_path / "checkpoint-00000010"
    damaged.mkdir()
    (damaged / "state.json").write_text("{")
    assert load_checkpoint(tmp_path) == {"x": 1}
    save_checkpoint(tmp_path, 7, {"x": 2})
    assert load_checkpoint(tmp_path) == {"x": 2} and not damaged.exists()
