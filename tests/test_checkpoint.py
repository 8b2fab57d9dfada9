"""Checkpoints: which stay, what happens when they are damaged at any byte, and that going on from an older one ends in
the same bytes."""

import errno
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from eggym import train as train_run
from eggym.checkpoint import Keep, find_checkpoint, load_checkpoint, read_checkpoint, save_checkpoint
from eggym.cli import main
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue, EggymError, RunMismatch
from eggym.files import sha256_file, sha256_json
from eggym.record import load_measured, load_record, versions
from eggym.result import deterministic_files, finished_record
from eggym.run_state import Keeper
from eggym.train import run_plan

OLD = {"step": 1, "weights": {"a": torch.tensor([1.0, 2.0])}, "note": "é", "lr": 1e-05}
NEW = {"step": 2, "weights": {"a": torch.tensor([3.0, 4.0])}, "note": "ü", "lr": 3e-05}
TASK, LEARNERS = "eggym/tiny-programs-v0", ("eggroll", "dr_grpo")
SETTINGS = {
    "eggroll": {"engine.parcels": 2, "eggroll.population": 8, "eggroll.items": 2},
    "dr_grpo": {"dr_grpo.items": 4, "dr_grpo.replies": 4},
}
QUICK = {"eval.items": 8, "eval.points": 3, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0}


class Stop(Exception):
    """Stands for a power cut."""


def run(folder, learner="eggroll", stop=None, keep=None, watch=lambda event: None, workers=None):
    def look(event):
        watch(event)
        if event.kind == "step" and event.step == stop:
            raise Stop

    settings = {**QUICK, **SETTINGS[learner]}
    config = RunConfig(TASK, learner, budget="128episodes", device="cpu", dtype="float32", set=settings)
    return run_plan(resolve(config), folder, look, keep=keep, workers=workers)


def stopped(folder, learner="eggroll", step=6, **settings):
    with pytest.raises(Stop):
        run(folder, learner, step, **settings)
    return sorted(folder.glob("checkpoint-*"))


def fingerprint(folder):
    return {name: sha256_file(folder / name) for name in [*deterministic_files(folder), "record.json"]}


@pytest.fixture
def every_step(monkeypatch):
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)


@pytest.fixture(scope="module", params=LEARNERS)
def whole(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder, request.param)
    return request.param, folder


# -- damage ----------------------------------------------------------------------------------------------------------
def same(one, other):
    plain = {**one, "weights": None} == {**other, "weights": None}
    return plain and torch.equal(one["weights"]["a"], other["weights"]["a"])


def pair(folder):
    """Write two checkpoints; return the newer one."""
    save_checkpoint(folder, 1, OLD)
    save_checkpoint(folder, 2, NEW)
    return folder / "checkpoint-00000002"


def refuses_or_is_right(folder, newest):
    """Whether the newer one was refused; what is loaded is right either way."""
    found = find_checkpoint(folder)
    if found.damaged:
        assert found.damaged == (newest,) and same(found.state, OLD)
    else:
        assert same(found.state, NEW)
    return bool(found.damaged)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_cut_off_at_any_byte_the_older_one_is_used(tmp_path, name):
    newest = pair(tmp_path)
    assert not refuses_or_is_right(tmp_path, newest)
    data = (newest / name).read_bytes()
    for length in range(len(data)):
        (newest / name).write_bytes(data[:length])
        last = name == "state.json" and length == len(data) - 1  # all but the newline after it
        assert refuses_or_is_right(tmp_path, newest) != last, length


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_with_any_bit_flipped_the_older_one_is_used(tmp_path, name):
    newest = pair(tmp_path)
    data = (newest / name).read_bytes()
    refused = 0
    for place in range(len(data)):
        for bit in (0, 3, 5, 7):
            (newest / name).write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            refused += refuses_or_is_right(tmp_path, newest)
    alike = 4 if name == "state.json" else 0  # "3e-05" is "3E-05", and what \u00FC is, \u00fc is too
    assert 4 * len(data) - alike <= refused <= 4 * len(data)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors", None])
def test_what_is_missing_is_damaged(tmp_path, name):
    newest = pair(tmp_path)
    for path in newest.iterdir():
        if name in (None, path.name):
            path.unlink()
    assert refuses_or_is_right(tmp_path, newest)
    with pytest.raises(BadValue, match="checkpoint-00000002 is no checkpoint, or damaged"):
        read_checkpoint(newest)
    shutil.rmtree(tmp_path / "checkpoint-00000001")
    with pytest.raises(BadValue, match=r"checkpoint-00000002 is damaged; restore it, or delete .* and run again"):
        load_checkpoint(tmp_path)


def test_what_was_being_written_is_no_checkpoint(tmp_path):
    newest = pair(tmp_path)
    shutil.copytree(newest, tmp_path / "checkpoint.part")
    (tmp_path / "checkpoint-notes").mkdir()  # nor is what somebody else put there
    (tmp_path / "checkpoint-00000009").write_text("a file")
    assert not refuses_or_is_right(tmp_path, newest)
    save_checkpoint(tmp_path, 3, NEW)
    assert not (tmp_path / "checkpoint.part").exists() and (tmp_path / "checkpoint-notes").exists()


def test_a_damaged_one_goes_when_the_next_is_whole_and_is_none_of_those_that_are_kept(tmp_path):
    newest = pair(tmp_path)
    (newest / "state.json").write_text("{")
    found = find_checkpoint(tmp_path)
    save_checkpoint(tmp_path, 3, NEW, damaged=found.damaged)
    assert names(tmp_path) == ["checkpoint-00000001", "checkpoint-00000003"]


# -- which stay ------------------------------------------------------------------------------------------------------
def names(folder):
    return sorted(path.name for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize(
    ("keep", "steps"), [(Keep(), [4, 5]), (Keep(1), [5]), (Keep(3), [3, 4, 5]), (Keep(2, True), [2, 4, 5])]
)
def test_the_last_stay_and_the_best(tmp_path, keep, steps):
    for step in range(6):
        save_checkpoint(tmp_path, step, OLD, keep, best_step=min(step, 2))
    assert names(tmp_path) == [f"checkpoint-{step:08d}" for step in steps]


def test_a_run_without_checkpoints_is_refused(tmp_path):
    with pytest.raises(BadValue, match="a run keeps at least its last checkpoint, got 0"):
        Keep(0)


def test_what_was_asked_for_stays_after_the_end_and_changes_nothing_else(whole, tmp_path, every_step):
    learner, folder = whole
    record = run(tmp_path, learner, keep=Keep(2, best=True))
    assert fingerprint(tmp_path) == fingerprint(folder) and names(folder) == []
    means = [point.greedy.mean for point in record.points]
    best = record.points[means.index(max(means))].step
    last = record.n_steps
    assert names(tmp_path) == [f"checkpoint-{step:08d}" for step in sorted({last - 1, last, best})]
    assert load_measured(tmp_path).checkpoints == names(tmp_path) and load_measured(tmp_path).checkpoint_s > 0
    before = names(tmp_path)
    (tmp_path / "checkpoint-00000001").mkdir()  # as if a kill had come before it was removed
    run(tmp_path, learner)  # asks for none, and takes none away that was asked for
    assert names(tmp_path) == before
    weights = read_checkpoint(tmp_path / f"checkpoint-{last:08d}")["weights"]
    assert sum(weight.numel() for weight in weights.values()) == load_record(tmp_path).model.n_trainable
    assert finished_record(tmp_path) == record
    (tmp_path / "measured.json").write_text("{")
    assert run(tmp_path, learner) == record and names(tmp_path) == before


# -- a run that goes on from an older one ----------------------------------------------------------------------------
def cut(path):
    data = (path / "state.safetensors").read_bytes()
    (path / "state.safetensors").write_bytes(data[: len(data) // 2])


def lose(path):
    (path / "state.json").unlink()


@pytest.mark.parametrize(("damage", "n"), [(cut, 1), (lose, 2), (shutil.rmtree, 2)])
def test_from_an_older_one_it_ends_in_the_same_bytes_and_says_so(whole, tmp_path, every_step, damage, n):
    learner, folder = whole
    checkpoints = stopped(tmp_path, learner, keep=Keep(3))
    assert len(checkpoints) == 3
    hurt = checkpoints[-n:]
    for path in hurt:
        damage(path)
    told, seen = [], []
    run(tmp_path, learner, watch=lambda event: (told if event.kind == "notice" else seen).append(event))
    at = int(checkpoints[-n - 1].name[-8:])
    assert (seen[0].kind, seen[0].step) == ("start", at)
    if damage is shutil.rmtree:  # nothing is left of it: there is nothing to tell
        assert told == [] and load_measured(tmp_path).checkpoint_events == []
    else:
        gone = [path.name for path in reversed(hurt)]
        assert [event.note for event in told] == [
            f"{', '.join(gone)} in {tmp_path} {'is' if n == 1 else 'are'} damaged; going on from the one before, "
            f"at step {at}"
        ]
        assert load_measured(tmp_path).checkpoint_events == [{"damaged": gone, "went_on_from": at}]
    assert fingerprint(tmp_path) == fingerprint(folder)


def shorten(folder, newest):
    data = (folder / "steps.jsonl").read_bytes()
    (folder / "steps.jsonl").write_bytes(data[: newest["written"]["steps.jsonl"]["length"] - 3])


def flip(folder, newest):
    path, last = folder / "steps.jsonl", newest["written"]["steps.jsonl"]["length"] - 1
    data = path.read_bytes()
    path.write_bytes(data[:last] + bytes([data[last] ^ 1]) + data[last + 1 :])


def lose_shard(folder, newest):
    (folder / f"episodes/{newest['step'] - 1:06d}.jsonl.gz").unlink()


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (shorten, r"steps\.jsonl has \d+ bytes, its checkpoint wants \d+"),
        (flip, r"steps\.jsonl was changed since its checkpoint was written"),
        (lose_shard, r"0\d+\.jsonl\.gz is missing"),
    ],
)
def test_where_a_log_lost_what_the_newest_wants_an_older_one_does(whole, tmp_path, every_step, damage, what):
    learner, folder = whole
    checkpoints = stopped(tmp_path, learner, keep=Keep(3))
    damage(tmp_path, read_checkpoint(checkpoints[-1]))
    told = []
    run(tmp_path, learner, watch=lambda event: told.append(event) if event.kind == "notice" else None)
    at = int(re.search(r"at step (\d+)$", told[0].note)[1])
    assert re.fullmatch(rf".*{what}; going on from an older one, at step {at}", told[0].note) and len(told) == 1
    gone = [path.name for path in reversed(checkpoints) if int(path.name[-8:]) > at]
    assert gone and load_measured(tmp_path).checkpoint_events == [{"damaged": gone, "went_on_from": at}]
    assert fingerprint(tmp_path) == fingerprint(folder)


def test_where_no_checkpoint_does_nothing_is_cut(tmp_path, every_step):
    stopped(tmp_path, keep=Keep(3))
    first = min((tmp_path / "episodes").glob("*.gz"))
    whole = first.read_bytes()
    first.write_bytes(b"x")
    before = written(tmp_path)
    with pytest.raises(BadValue, match=f"{first.name} was changed since its checkpoint was written; restore it"):
        run(tmp_path)
    assert written(tmp_path) == before
    first.write_bytes(whole)
    run(tmp_path)


def rewritten(folder, change):
    """Change what the newest checkpoint says, with digests that are right."""
    path = max(folder.glob("checkpoint-*")) / "state.json"
    body = json.loads(path.read_text())
    state = dict(body["state"]["__map__"])
    change(state)
    body["state"]["__map__"] = [[name, value] for name, value in state.items()]
    body["sha256"] = sha256_json([body["state"], body["tensors_sha256"]])
    path.write_text(json.dumps(body))


def foreign(path):
    return lambda state: state["written"]["__map__"].append([str(path), {"__map__": [["length", 0]]}])


ODD = [
    lambda state: state.update(session=None),
    lambda state: state.update(step="x"),
    lambda state: state.update(weights=None),
    lambda state: state.update(written={"__map__": []}),
    lambda state: state.pop("choice"),
]


@pytest.mark.parametrize("change", ODD, ids=range(len(ODD)))
def test_a_checkpoint_of_no_run_is_refused_in_one_line(tmp_path, every_step, change):
    stopped(tmp_path, keep=Keep(1))
    rewritten(tmp_path, change)
    with pytest.raises(BadValue, match="does not hold what a run keeps; restore it, or delete the run folder"):
        run(tmp_path)


def test_no_checkpoint_names_a_file_that_is_cut(tmp_path, every_step):
    victim = tmp_path / "mine"
    victim.write_text("precious")
    stopped(tmp_path / "run", keep=Keep(1))
    rewritten(tmp_path / "run", foreign(victim))
    with pytest.raises(BadValue, match="does not hold what a run keeps"):
        run(tmp_path / "run")
    assert victim.read_text() == "precious"


def test_a_log_behind_a_link_is_not_cut(tmp_path, every_step):
    stopped(tmp_path / "run", keep=Keep(1))
    log = tmp_path / "run/steps.jsonl"
    log.rename(tmp_path / "mine")
    log.symlink_to(tmp_path / "mine")
    before = (tmp_path / "mine").read_bytes()
    with pytest.raises(BadValue, match=r"steps\.jsonl is a link; restore it"):
        run(tmp_path / "run")
    assert (tmp_path / "mine").read_bytes() == before


def test_without_a_checkpoint_nothing_is_begun_anew_unseen(whole, tmp_path):
    learner, folder = whole
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run/record.json").unlink()
    before = written(tmp_path / "run")
    with pytest.raises(BadValue, match=r"holds steps of a run and no checkpoint.*restore record\.json or a checkpoint"):
        run(tmp_path / "run", learner)
    assert written(tmp_path / "run") == before


def test_a_run_is_finished_by_the_versions_that_began_it(tmp_path, every_step, monkeypatch):
    stopped(tmp_path)
    real = versions()
    with monkeypatch.context() as other:
        other.setattr("eggym.run_state.versions", lambda: {**real, "eggym": "9.9.9"})
        with pytest.raises(
            RunMismatch, match=rf"other versions \(eggym {real['eggym']} -> 9.9.9\); finish it with those"
        ):
            run(tmp_path)
    run(tmp_path)


def test_what_cannot_be_read_is_not_taken_for_damaged(tmp_path, monkeypatch):
    newest = pair(tmp_path)
    real = Path.read_bytes

    def failing(path):
        if path.parent == newest:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(
        EggymError, match="checkpoint-00000002 cannot be read: Input/output error; it was left as it is"
    ):
        find_checkpoint(tmp_path)


def test_a_name_will_do_for_a_path(tmp_path):
    assert read_checkpoint(str(pair(tmp_path)))["step"] == 2


def written(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path: path.read_bytes() for path in files}


def test_it_is_told_again_until_the_next_checkpoint_is_there(tmp_path, monkeypatch):
    with monkeypatch.context() as often:
        often.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
        lose(stopped(tmp_path)[-1])
    for _ in range(2):
        told = []
        with pytest.raises(Stop):
            run(tmp_path, stop=6, watch=told.append)
        assert [event.kind for event in told][:2] == ["notice", "start"]


def test_those_that_stay_after_that_are_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as often:
        often.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
        lose(stopped(tmp_path, keep=Keep(3))[-1])
    stay = stopped(tmp_path, step=7)  # the next one is that of the evaluation after step 6
    assert [(path.name[-1], read_checkpoint(path)["step"]) for path in stay] == [("4", 4), ("6", 6)]


def test_the_command_says_it_in_one_line(tmp_path, every_step, capsys):
    lose(stopped(tmp_path / "run")[-1])
    settings = [
        word for name, value in {**QUICK, **SETTINGS["eggroll"]}.items() for word in ("--set", f"{name}={value}")
    ]
    words = ["train", "--task", TASK, "--learner", "eggroll", "--budget", "128episodes", *settings]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--device", "cpu", "--dtype", "float32", "--out", str(tmp_path / "run"), "--keep-last", "1"])
    said = capsys.readouterr().err.splitlines()
    assert ended.value.code == 0 and len(names(tmp_path / "run")) == 1
    assert [line for line in said if "damaged" in line] == [
        f"eggym: checkpoint-00000005 in {tmp_path / 'run'} is damaged; going on from the one before, at step 4"
    ]


def test_who_calls_from_python_is_warned(tmp_path, every_step):
    lose(stopped(tmp_path)[-1])
    settings = {**QUICK, **SETTINGS["eggroll"]}
    with pytest.warns(UserWarning, match="checkpoint-00000005 in .* is damaged; going on"):
        train_run(TASK, "eggroll", tmp_path, budget="128episodes", device="cpu", dtype="float32", set=settings)


@pytest.mark.slow
def test_workers_go_on_from_an_older_one_too(tmp_path, every_step):
    run(tmp_path / "whole")
    for path in stopped(tmp_path / "run", keep=Keep(3))[-2:]:
        cut(path)
    run(tmp_path / "run", workers=2)
    assert fingerprint(tmp_path / "run") == fingerprint(tmp_path / "whole")
    assert load_measured(tmp_path / "run").worker_events == []


# -- when ------------------------------------------------------------------------------------------------------------
def test_the_longer_saving_takes_the_longer_is_the_pause(monkeypatch):
    module = sys.modules["eggym.run_state"]
    now, takes = [0.0], [0.5]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "_state_of", lambda run: {})
    monkeypatch.setattr(module, "best_step", lambda run: None)
    monkeypatch.setattr(module, "save_checkpoint", lambda *_: now.__setitem__(0, now[0] + takes[0]))
    keeper, run = Keeper(Keep()), SimpleNamespace(folder=None, step=0)

    def pause():
        keeper.save(run)
        began = now[0]
        while not keeper.is_due(20.0):
            now[0] += 1.0
        return now[0] - began

    assert pause() == 21.0
    takes[0] = 30.0
    assert pause() == 601.0  # a twentieth of the time
    takes[0] = 0.5
    assert pause() == 21.0
    assert keeper.saving_s == 31.0


def test_a_checkpoint_that_cannot_be_written_leaves_the_older_ones(tmp_path):
    pair(tmp_path)
    (tmp_path / "checkpoint.part").write_text("a file in the way")
    with pytest.raises(EggymError, match=r"cannot write .*checkpoint"):
        save_checkpoint(tmp_path, 3, NEW)
    assert names(tmp_path) == ["checkpoint-00000001", "checkpoint-00000002"]
    assert same(load_checkpoint(tmp_path), NEW)
