"""From a run's rewards back to its weights, and from its seeds back to its replies."""

import gzip
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file

from eggym.cli import main
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue, UnknownName
from eggym.export import export_run
from eggym.files import sha256_file, write_json
from eggym.fitness import FitnessLog, FitnessStep, rewards_only
from eggym.record import Record, load_record, sealed
from eggym.replay import replay
from eggym.spot import Place, choose
from eggym.task import VerdictState
from eggym.train import run_plan

SMALL = {
    "eggroll": {"population": 6, "items": 3},
    "openai-es": {"population": 6, "items": 3},
    "dr_grpo": {"items": 3, "replies": 4},
    "frozen": {},
}
QUICK = {"eval.items": 8, "eval.points": 1, "eval.drift": 2, "eval.many": 0, "eval.train_items": 0}
EVERY = 10**6  # places


def train(folder, learner="eggroll", task="tiny-programs", set=None, budget="70episodes", **fields):
    bare = learner.removeprefix("random-reward:")
    sizes = {f"{bare}.{name}": value for name, value in SMALL[bare].items()}
    config = RunConfig(task, learner, budget=budget, set={**QUICK, **sizes, **(set or {})}, **fields)
    run_plan(resolve(config), folder, lambda event: None, force=True)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tmp_path_factory.mktemp("replay") / "run")


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def rewrite(folder, change):
    """Write the log again, with right checksums, after ``change(steps)``."""
    log = FitnessLog(folder / "fitness.bin")
    steps = log.read()
    change(steps)
    log.path.unlink()
    fresh = FitnessLog(log.path)
    for one in steps:
        fresh.append(one.step, one.item_indices_P, one.rewards_N_P_G)


def flip(step, member, slot):
    def change(steps):
        rewards = steps[step].rewards_N_P_G
        rewards[member, slot, 0] = 1 - rewards[member, slot, 0]

    return change


def edit_shard(folder, step, number, **fields):
    path = folder / "episodes" / f"{step:06d}.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    lines[number].update(fields)
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))


def test_the_record_alone_says_what_the_rebuilt_weights_must_be(finished):
    found = replay(finished)
    record = load_record(finished)
    assert found.ok and found.n_steps == record.n_steps == 3
    assert found.rebuilt == record.weights_sha256 != record.model.sha256
    assert found.first_difference is None and found.changed == ()


@pytest.mark.parametrize(
    ("learner", "fields"),
    [
        ("openai-es", {}),
        ("random-reward:eggroll", {}),
        ("frozen", {}),
        ("eggroll", {"dtype": "bfloat16"}),
        ("eggroll", {"set": {"eggroll.shaping": "ranks", "eggroll.rank": 2, "eggroll.replies": 2}}),
        ("eggroll", {"task": "guess"}),
    ],
)
def test_every_es_run_is_rebuilt_to_the_bit_and_its_replies_repeat(tmp_path, learner, fields):
    folder = train(tmp_path / "run", learner, **fields)
    found = replay(folder, spot=4, seed=1)
    assert found.ok, found
    assert len(found.spots) == (0 if learner == "frozen" else 4)


@pytest.mark.slow
def test_a_fresh_process_prints_both_hashes_and_equal(finished):
    words = [sys.executable, "-m", "eggym", "replay", str(finished), "--spot", "3"]
    done = subprocess.run(words, capture_output=True, text=True)
    digest = load_record(finished).weights_sha256
    assert done.returncode == 0, done.stderr
    assert f"recorded {digest}\nrebuilt  {digest}\nequal after 3 updates of eggroll" in done.stdout
    assert "3 training episodes made again, 0 differ" in done.stdout


def test_log_record_and_model_are_all_it_takes(copy, tmp_path):
    (tmp_path / "bare").mkdir()
    for name in ("fitness.bin", "record.json"):
        shutil.copy(copy / name, tmp_path / "bare")
    found = replay(tmp_path / "bare")
    assert found.equal and not found.ok  # the files that are gone are said to be gone
    assert "weights.safetensors" in found.changed and "fitness.bin" not in found.changed


def test_one_altered_reward_gives_other_weights_and_its_step_is_named(copy, capsys):
    rewrite(copy, flip(1, member=4, slot=2))
    found = replay(copy)
    assert not found.equal and found.first_difference == 1 and found.changed == ("fitness.bin",)
    with pytest.raises(SystemExit) as stop:
        main(["replay", str(copy)])
    out = capsys.readouterr().out
    assert stop.value.code == 1
    assert "different after 3 updates of eggroll; step 1 is not the run's" in out
    assert found.recorded in out and found.rebuilt in out


def forge(folder, record):
    """Write a record with a new digest, as who knows the rules would."""
    write_json(folder / "record.json", sealed(Record.model_validate_json(json.dumps(record))))


def test_an_altered_reward_is_found_even_when_the_record_was_made_to_fit(copy):
    rewrite(copy, flip(1, member=4, slot=2))
    record = json.loads((copy / "record.json").read_text())
    record["files"]["fitness.bin"] = sha256_file(copy / "fitness.bin")
    forge(copy, record)
    found = replay(copy)
    assert found.changed == () and not found.equal and not found.ok


def test_an_altered_reward_that_leads_to_the_same_weights_is_found_as_well(copy):
    # only the first twins differ in step 2: whatever the difference, their weight is 1
    def change(steps):
        rewards = steps[2].rewards_N_P_G
        rewards[:] = rewards[0].mean()
        rewards[0] += 0.5
        rewards[1] -= 0.25

    def change_again(steps):
        steps[2].rewards_N_P_G[0] += 0.25

    rewrite(copy, change)
    before = replay(copy).rebuilt
    rewrite(copy, change_again)
    record = json.loads((copy / "record.json").read_text())
    record["weights_sha256"] = before
    record["files"]["fitness.bin"] = sha256_file(copy / "fitness.bin")
    forge(copy, record)
    found = replay(copy)
    assert found.equal and found.changed == () and found.first_difference == 2 and not found.ok


def test_a_spot_check_finds_the_altered_reward_and_nothing_else(copy):
    rewrite(copy, flip(2, member=3, slot=1))  # of the last step: no weights that are sampled from depend on it
    found = replay(copy, spot=EVERY)
    assert len(found.spots) == 3 * 6 * 3
    wrong = [spot for spot in found.spots if spot.differs]
    assert [(spot.place, spot.differs) for spot in wrong] == [(Place(2, 3, 1, 0), ("reward",))]
    assert wrong[0].reward_kept == 1 - wrong[0].reward


def test_a_spot_check_finds_an_altered_reply(copy, capsys):
    edit_shard(copy, 0, 4, turns=[{"observation": "x", "reply": "y"}])  # member 1, item 1
    found = replay(copy, spot=EVERY)
    assert found.equal and not found.ok and found.changed == ("episodes/000000.jsonl.gz",)
    assert [(one.place, one.differs) for one in found.spots if one.differs] == [(Place(0, 1, 1, 0), ("turns",))]
    with pytest.raises(SystemExit) as stop:
        main(["replay", str(copy), "--spot", str(EVERY), "--json"])
    assert stop.value.code == 1
    assert json.loads(capsys.readouterr().out)["spots"][4]["differs"] == ["turns"]


def test_a_spot_check_finds_an_altered_digest(copy):
    edit_shard(copy, 2, 17, digest="0" * 32)
    (wrong,) = [one for one in replay(copy, spot=EVERY).spots if one.differs]
    assert (wrong.place, wrong.differs, wrong.digest_kept) == (Place(2, 5, 2, 0), ("digest",), "0" * 32)


def test_items_that_the_seed_does_not_give_are_found(copy):
    def change(steps):
        steps[1].item_indices_P[2] += 1

    rewrite(copy, change)
    found = replay(copy, spot=EVERY)
    assert found.equal  # the weights do not know which item it was
    assert {(one.place.step, one.place.slot) for one in found.spots if "item" in one.differs} == {(1, 2)}


@pytest.mark.parametrize("coupling", ["shared", "independent"])
def test_sampled_replies_repeat_and_only_the_members_in_question_are_asked(tmp_path, monkeypatch, coupling):
    settings = {"eggroll.temperature": 1, "eggroll.coupling": coupling}
    folder = train(tmp_path / "run", set=settings)
    module = sys.modules["eggym.spot"]
    asked, real = [], module.play
    monkeypatch.setattr(module, "play", lambda *words: asked.append(len(words[5])) or real(*words))
    found = replay(folder, spot=2, seed=3)
    assert found.ok and len(found.spots) == 2 and max(asked) <= 4  # of six members


def test_places_are_chosen_by_the_seed_and_counted_by_step_member_item_sample():
    entries = [
        FitnessStep(0, np.zeros(2, np.int64), np.zeros((2, 2, 2), np.float32)),  # 8 places
        FitnessStep(1, np.zeros(3, np.int64), np.zeros((2, 3, 1), np.float32)),  # 6 more
    ]
    every = choose(entries, 99, 0)
    assert len(set(every)) == 14 and every == sorted(every)
    # by hand: 5 = member 1, then 1 = item 0, sample 1; the second step begins at 8, and 12 is its 4 = member 1, item 1
    assert every[5] == Place(0, 1, 0, 1) and every[12] == Place(1, 1, 1, 0)
    some = choose(entries, 5, 7)
    assert some == choose(entries, 5, 7) and some != choose(entries, 5, 8) and len(set(some)) == 5


def test_a_batch_of_rewards_alone_gives_the_rewards_back():
    rewards = np.array([[[0.1], [np.nan]], [[1.0], [0.25]]], dtype=np.float32)
    batch = rewards_only(FitnessStep(4, np.array([7, 9]), rewards))
    np.testing.assert_array_equal(batch.rewards_N_P_G(), rewards)
    assert [(one.member, one.slot, one.item.index) for one in batch.episodes] == [
        (0, 0, 7), (0, 1, 9), (1, 0, 7), (1, 1, 9),
    ]  # fmt: skip
    assert batch.episodes[1].reward is None and batch.episodes[1].verdict.state is VerdictState.ERROR


def test_the_rebuilt_weights_are_kept_where_asked(finished, tmp_path):
    replay(finished, out=tmp_path / "new")
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (tmp_path / "new", finished))
    assert ours.keys() == theirs.keys() and all(bool((ours[name] == theirs[name]).all()) for name in ours)
    with pytest.raises(BadValue, match="exists already; choose another folder with --out"):
        replay(finished, out=tmp_path / "new")


@pytest.mark.parametrize("learner", ["dr_grpo", "random-reward:dr_grpo"])
def test_rl_runs_are_refused_in_one_line(tmp_path, capsys, learner):
    train(tmp_path / "run", learner, budget="40episodes")
    with pytest.raises(SystemExit) as stop:
        main(["replay", str(tmp_path / "run")])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1
    assert f"is a run of {learner}: only ES runs can be replayed" in err


def test_what_cannot_be_replayed_is_said_in_one_line(finished, copy, tmp_path):
    with pytest.raises(UnknownName, match=r"no record\.json in .*is the run finished\?"):
        replay(tmp_path / "nothing")
    with pytest.raises(BadValue, match="holds 1 runs; give one of them"):
        replay(finished.parent)
    with pytest.raises(BadValue, match="spot must be at least 0, got -1"):
        replay(finished, spot=-1)
    with pytest.raises(BadValue, match=r"learner 'openai-es' is not that of .*, 'eggroll'; give another --learner"):
        replay(finished, learner="openai-es")
    with pytest.raises(
        BadValue,
        match=r"differ: task 'eggym/tiny-programs-v0' -> 'eggym/tiny-orders-v0', task_digest .*; give the run's own",
    ):
        replay(finished, spot=1, task="tiny-orders")
    rewrite(copy, list.pop)
    with pytest.raises(BadValue, match=r"fitness\.bin holds 2 whole steps, the record 3; restore the file"):
        replay(copy)


def test_a_log_of_another_population_is_refused(copy):
    def change(steps):
        steps[1] = FitnessStep(1, steps[1].item_indices_P, steps[1].rewards_N_P_G[:4])

    rewrite(copy, change)
    with pytest.raises(BadValue, match=r"rewards of shape \(4, 3, 1\) for step 1, its learner asks for \(6, 3, 1\)"):
        replay(copy)


def test_another_start_model_is_refused(finished, tmp_path):
    trained = export_run(finished, tmp_path / "model")
    with pytest.raises(BadValue, match=r"is not the one that .* started from; give the right one with --model"):
        replay(finished, model=str(trained))


def test_a_damaged_shard_is_named(copy):
    path = copy / "episodes" / "000001.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    assert replay(copy).changed == ("episodes/000001.jsonl.gz",)
    with pytest.raises(BadValue, match=r"000001\.jsonl\.gz cannot be read: .*restore the file"):
        replay(copy, spot=EVERY)
    path.unlink()
    with pytest.raises(BadValue, match=r"000001\.jsonl\.gz cannot be read: .*No such file"):
        replay(copy, spot=EVERY)
