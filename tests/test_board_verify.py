"""What a verification does beyond L1, and what it never does."""

import hashlib
import json
import shutil
import zlib

import numpy as np
import pytest
from boards import edit_record, folder_of, forge, reseal

from eggym.cli import main
from eggym.errors import BadValue, UnknownName
from eggym.leaderboards import rebuilding, regrading, rerunning
from eggym.leaderboards.integrity import faults
from eggym.leaderboards.ledger import Event, append
from eggym.leaderboards.levels import level_of, row_level
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import read_entry
from eggym.leaderboards.verifying import Asked, verify
from eggym.record import load_record


@pytest.fixture
def place(small_place, tmp_path):
    """A copy of the small place, to be changed."""
    shutil.copytree(small_place.root, tmp_path / "leaderboards")
    return Place(tmp_path / "leaderboards")


def entry_of(place, learner="eggroll", **which):
    return read_entry(folder_of(place, learner, **which))


# -- L2 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo", "frozen"])
def test_every_kept_reply_earns_again_what_it_earned(small_place, learner):
    found = regrading.regrade(entry_of(small_place, learner))
    n_points = len(entry_of(small_place, learner).record.points)
    assert found.ok and found.replies == n_points * 2 * 8 and not found.unclear


def forge_reward(folder):
    """Make a wrong reply right, with every number and digest of the folder made to follow from it; not the chain's."""

    def change(data):
        rows = [json.loads(line) for line in data.decode().splitlines()]
        row = next(row for row in rows if row["state"] == "wrong" and row["mode"] == "sampled")
        row.update(reward=1.0, state="correct")
        return "".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows).encode()

    forge(folder, "evaluations.jsonl", change)


def test_an_edited_reward_that_fools_every_digest_is_found_by_the_grader(place):
    folder = folder_of(place)
    forge_reward(folder)
    found = regrading.regrade(read_entry(folder))
    assert not found.ok and found.differing == 1
    assert "by the record, 0.0 (wrong) by the grader" in found.first


def test_an_edited_prompt_or_turn_is_found_by_the_task(place):
    folder = folder_of(place)
    forge(folder, "evaluations.jsonl", lambda data: data.replace(b'"prompt":"', b'"prompt":"x', 1))
    assert "its prompt is not the task's" in regrading.regrade(read_entry(folder)).first
    forge(folder, "evaluations.jsonl", lambda data: data.replace(b'"item":0', b'"item":9999', 1))
    found = regrading.regrade(read_entry(folder))
    assert found.differing == 1 and "item 9999 is none of the board's split" in found.first


def test_a_task_that_was_changed_since_is_not_taken_for_the_records(place):
    folder = folder_of(place)
    edit(folder, lambda r: (r["task"].update(digest="1" * 64), r["config"].update(task_digest="1" * 64)))
    with pytest.raises(BadValue, match=r"its digest is .*, not 111111111111; install eggym"):
        regrading.regrade(read_entry(folder))


def test_weights_of_an_es_run_are_rebuilt_from_its_rewards_and_score_the_same(small_place):
    entry = entry_of(small_place)
    found = rebuilding.rebuild(entry, spot=3)
    assert found.ok and found.equal_scores and found.difference == 0
    assert found.told()["weights_sha256"] == entry.record.weights_sha256
    assert [spot.differs for spot in found.replayed.spots] == [(), (), ()]
    assert [spot.digest_kept for spot in found.replayed.spots] == [None] * 3  # training replies are not kept


def test_the_control_of_an_es_learner_is_rebuilt_too(small_place):
    assert rebuilding.rebuild(entry_of(small_place, "random-reward-eggroll")).ok


def test_a_fitness_edited_in_the_log_gives_other_weights(place):
    folder = folder_of(place)
    forge(folder, "fitness.bin", reversed_rewards)
    found = rebuilding.rebuild(read_entry(folder))
    assert not found.ok and not found.replayed.equal and "the rewards give weights" in found.told()["why"]


def reversed_rewards(data):
    """Turn the rewards of the first step around, members and all: their mean stays as it is."""
    size = 8 * 2 * 4  # members, items, bytes of a reward
    start = 28 + 4 + 8 * 2  # head, its CRC, the indices of two items
    rewards = np.frombuffer(data[start : start + size], dtype="<f4")[::-1].tobytes()
    body = data[:start] + rewards
    return body + zlib.crc32(body).to_bytes(4, "little") + data[len(body) + 4 :]


def test_rl_runs_do_not_follow_from_rewards(small_place):
    with pytest.raises(BadValue, match="only ES runs follow from their rewards"):
        rebuilding.rebuild(entry_of(small_place, "dr_grpo"))


# -- L3 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo", "frozen", "random-reward-dr_grpo"])
def test_a_run_is_made_again_to_the_bit(small_place, learner):
    entry = entry_of(small_place, learner)
    row = [entry_of(small_place, learner, seed=seed).record for seed in (0, 1, 2)]
    found = rerunning.rerun(entry, row)
    assert found.ok and found.weights and found.found == found.recorded and found.n_seeds == 3


@pytest.mark.parametrize("learner", ["dr_grpo", "random-reward-dr_grpo", "frozen"])
def test_a_named_file_is_for_its_learner_and_its_control_and_for_nobody_else(
    small_place, learner, tmp_path, monkeypatch
):
    file = tmp_path / "mine.py"
    file.write_text("from eggym.agents.presets import DR_GRPO as SPEC\n")
    monkeypatch.setattr(rebuilding, "registered", lambda record: record.learner.name == "frozen")
    entry = entry_of(small_place, learner)
    assert rerunning.rerun(entry, [entry.record], rebuilding.Whereabouts(learner=str(file))).weights


def test_another_result_agrees_only_inside_the_interval():
    def of(found):
        return rerunning.Rerun(0.5, found, False, 0.4, 0.6, 5).ok

    assert of(0.41) and of(0.6) and not of(0.61) and not of(None)
    assert not rerunning.Rerun(0.5, 0.5, False, None, None, 2).ok  # fewer than 3 seeds tell nothing
    assert not rerunning.Rerun(0.5, 0.4, True, 0.0, 1.0, 5).ok  # equal weights cannot score otherwise


def test_the_interval_is_that_of_one_more_run(small_place):
    row = [entry_of(small_place, seed=seed).record for seed in (0, 1, 2)]
    ends = [record.final("greedy").mean for record in row]
    mean = sum(ends) / 3
    spread = (sum((end - mean) ** 2 for end in ends) / 2) ** 0.5
    half = 4.302652729911275 * spread * (1 + 1 / 3) ** 0.5 + 2 * row[0].final("greedy").se
    low, high = rerunning._expected(row[0], row)
    assert (low, high) == pytest.approx((mean - half, mean + half))


# -- what is noted, and for how long it counts ----------------------------------------------------------------------


@pytest.mark.slow
def test_levels_are_earned_by_checks_and_noted_in_the_ledger(place):
    names = ["small/eggroll"]
    assert {standing.level for _, standing in verify(place, names)[0].found} == {1}
    found = verify(place, names, Asked(regrade=True, replay=True))[0]
    assert found.ok and len(found.new) == 12
    assert {standing.level for _, standing in found.found} == {2}
    assert verify(place, names, Asked(regrade=True, replay=True))[0].new == []  # the ledger knows
    again = verify(place, names, Asked(rerun=True))[0]
    assert again.ok and [event.kind for event in again.new] == ["rerun"] * 2  # one seed of each task
    row = [(entry.record.task.label, standing) for entry, standing in again.found]
    assert row_level(row) == 3 and sorted(standing.level for _, standing in row) == [2, 2, 2, 2, 3, 3]
    assert verify(place, ["small"])[0].ok


def test_a_failed_check_keeps_a_record_at_l1(place):
    entry = entry_of(place)
    line = {"record": entry.name, "manifest_sha256": entry.manifest_sha256}
    append(place.ledger_path, [{**line, "kind": "regraded"}, {**line, "kind": "replayed"}])
    checks = place.ledger().checked(entry.name, entry.manifest_sha256)
    assert level_of(entry.record, (), checks).level == 2
    append(place.ledger_path, [{**line, "kind": "replayed", "ok": False, "found": {"why": "other weights"}}])
    standing = level_of(entry.record, (), place.ledger().checked(entry.name, entry.manifest_sha256))
    assert standing.level == 1 and standing.faults == ("replayed: other weights",)
    assert level_of(entry.record, ["damaged"], checks).level is None


def test_an_rl_record_needs_no_replay(small_place):
    entry = entry_of(small_place, "dr_grpo")
    digests = dict.fromkeys(("manifest_sha256", "before", "sha256"), "0" * 64)
    line = {"number": 0, "at": "", "record": entry.name, **digests}
    assert level_of(entry.record, (), {"regraded": Event(kind="regraded", **line)}).level == 2


def test_the_command_says_what_is_wrong_and_ends_with_1(place, capsys):
    root = ["--root", str(place.root)]
    main_ok(["board", "verify", "small", *root])
    assert "everything is as it should be" in capsys.readouterr().out
    forge_reward(folder_of(place))
    with pytest.raises(SystemExit) as stop:
        main(["board", "verify", "small/dr_grpo", *root])  # rows stand together: its neighbour is damaged
    told = capsys.readouterr().out
    assert stop.value.code == 1 and "NOT everything" in told
    with pytest.raises(SystemExit) as stop:
        main(["board", "verify", "small", "--json", *root])
    found = json.loads(capsys.readouterr().out)
    assert stop.value.code == 1 and not found[0]["ok"]
    assert any("manifest.json is not the one that was added" in fault for fault in found[0]["faults"])


def main_ok(words):
    try:
        main(words)
    except SystemExit as stop:
        assert not stop.code


# -- nothing from a record is run -----------------------------------------------------------------------------------


def edit(folder, change):
    """Change a record on the board, its manifest too."""
    record = edit_record(folder, change)
    manifest = json.loads((folder / "manifest.json").read_text())
    data = (folder / "record.json").read_bytes()
    told = {**manifest["files"]["record.json"], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    reseal(folder, files={**manifest["files"], "record.json": told}, run=record["id"])


@pytest.mark.slow
def test_code_that_a_record_names_is_not_loaded(place, tmp_path):
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'harm')!r}, 'w')\n")
    folder = folder_of(place)
    edit(folder, lambda r: (r["learner"].update(name=str(evil)), r["config"].update(learner=str(evil))))
    entry = read_entry(folder)
    for check in (rebuilding.rebuild, lambda one: rerunning.rerun(one, [one.record])):
        with pytest.raises(BadValue, match="no code is taken from a record; give its file with --learner"):
            check(entry)
    edit(folder, lambda r: (r["task"].update(id=str(evil)), r["config"].update(task=str(evil))))
    verify(place, ["small"], Asked(regrade=True))
    assert not (tmp_path / "harm").exists()


def test_code_that_a_record_names_as_its_task_is_not_loaded(place, tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "trap.py").write_text(f"open({str(mark)!r}, 'w')\n")
    trap = str(tmp_path / "trap.py")
    edit(folder_of(place), lambda r: (r["task"].update(id=trap), r["config"].update(task=trap)))
    entry = read_entry(folder_of(place))
    for check in (regrading.regrade, lambda one: rerunning.rerun(one, [one.record])):
        with pytest.raises(UnknownName, match="no task"):
            check(entry)
    assert not mark.exists()


def test_a_model_is_not_fetched_on_a_records_word(place):
    folder = folder_of(place)
    edit(folder, lambda r: (r["model"].update(name="org/model"), r["config"].update(model="org/model")))
    entry = read_entry(folder)
    for check in (rebuilding.rebuild, lambda one: rerunning.rerun(one, [one.record])):
        with pytest.raises(BadValue, match="no model is fetched on a record's word; give it with --model"):
            check(entry)
    assert rebuilding.rebuild(entry, where=rebuilding.Whereabouts(model="embedded-v0")).replayed.equal


def test_the_record_of_the_tests_is_that_of_its_run(small_place):
    run = small_place.root.parent / "runs" / "tiny-programs-v0" / "eggroll" / "seed-0"
    entry = entry_of(small_place)
    assert entry.record == load_record(run) and faults(entry, small_place.ledger()) == []
