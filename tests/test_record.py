import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from eggym.errors import BadValue, UnknownName
from eggym.files import sha256_json, write_json
from eggym.origin import git_state
from eggym.record import Measured, Record, find_runs, load_measured, load_record, provenance, run_id, sealed
from eggym.score import Score, Spent

CONFIG = {"learner": "eggroll", "lr": 0.1, "seed": 3}


def spent(episodes=0, **other):
    fields = dict.fromkeys(Spent.model_fields, 0)
    return Spent(**{**fields, "episodes": episodes, "rollout_flops": 10 * episodes, "flops": 10 * episodes, **other})


def score(mean, temperature=0.0):
    return {
        "temperature": temperature,
        "mean": mean,
        "se": None,
        "n_items": 2,
        "n_replies": 2,
        "states": {"correct": 1, "wrong": 1},
        "rewards": [mean, None],
    }


def raw_record(**changes):
    points = [
        {
            "step": step,
            "fraction": step / 4,
            "spent": spent(step, prompt_tokens=3 * step, action_tokens=2 * step, env_tokens=step).model_dump(),
            "greedy": score(mean),
            "sampled": score(mean, 1.0),
        }
        for step, mean in [(0, 0.25), (2, None), (4, 0.75)]
    ]
    code = provenance(CONFIG).model_dump()
    return {
        "schema": 1,
        "kind": "eggym.run",
        "id": run_id(code["config_sha256"], 3, "d1", "m1"),
        "config": CONFIG,
        "seed": 3,
        "learner": {"name": "eggroll", "kind": "es", "profile": "tiny", "options": {"sigma": 0.02}},
        "task": {
            "id": "eggym/guess-v0",
            "difficulty": {},
            "digest": "d1",
            "floor": 0.0,
            "reward_range": [0.0, 1.0],
            "data": None,
        },
        "model": {"name": "m", "sha256": "m1", "n_parameters": 9, "n_trainable": 5, "dtype": "float32"},
        "budget": {"axis": "flops", "limit": 40.0},
        "spent": points[-1]["spent"],
        "evaluation_spent": spent(6).model_dump(),
        "n_steps": 4,
        "training_states": {"correct": 4},
        "primary": "greedy",
        "points": points,
        "weights_sha256": "w1",
        "files": {"fitness.bin": "f1"},
        "provenance": code,
        **changes,
    }


def with_greedy(**changes):
    """The points of a record whose last greedy score was edited."""
    *points, last = raw_record()["points"]
    return [*points, {**last, "greedy": {**last["greedy"], **changes}}]


def save(folder, raw):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(raw))
    return folder


def test_a_record_is_the_same_bytes_after_reading_and_writing_again(tmp_path):
    record = load_record(save(tmp_path / "a", raw_record()))
    write_json(tmp_path / "record.json", record)
    first = (tmp_path / "record.json").read_bytes()
    write_json(tmp_path / "record.json", load_record(tmp_path))
    assert (tmp_path / "record.json").read_bytes() == first
    assert first.startswith(b'{"beyond":null,"budget":{"axis":"flops"') and b'"schema":1' in first
    assert first.endswith(b"}\n")


def test_the_curve_gives_every_axis_and_nan_for_missing():
    curve = Record.model_validate_json(json.dumps(raw_record())).curve("greedy")
    assert curve["step"].tolist() == [0, 2, 4]
    assert curve["fraction"].tolist() == [0, 0.5, 1]
    assert curve["flops"].tolist() == [0, 20, 40]
    assert curve["tokens"].tolist() == [0, 12, 24]  # 3 + 2 + 1 tokens a step
    assert curve["mean"].tolist() == pytest.approx([0.25, float("nan"), 0.75], nan_ok=True)


def test_records_are_equal_by_their_fields_whether_a_curve_was_asked_for_or_not():
    one, two, other = (Record.model_validate_json(json.dumps(raw_record())) for _ in range(3))
    one.curve("greedy")
    assert one == two
    two.curve("greedy")
    assert one == two and one != other.model_copy(update={"n_steps": 9})


def test_the_curve_is_made_once_and_a_copy_makes_its_own():
    record, other = (Record.model_validate_json(json.dumps(raw_record())) for _ in range(2))
    before = record.model_dump()
    assert record.curve("greedy")["flops"] is record.curve("greedy")["flops"]
    assert record == other and record.model_dump() == before
    with pytest.raises(ValueError, match="read-only"):
        record.curve("sampled")["mean"][0] = 1.0
    assert record.model_copy(update={"points": record.points[:2]}).curve("greedy")["step"].tolist() == [0, 2]


def test_start_and_final_are_the_ends_of_the_curve():
    record = Record.model_validate_json(json.dumps(raw_record()))
    assert (record.start("greedy").mean, record.final("sampled").mean) == (0.25, 0.75)
    assert (record.final("greedy").temperature, record.final("sampled").temperature) == (0.0, 1.0)


def test_a_record_cannot_be_edited():
    record = Record.model_validate_json(json.dumps(raw_record()))
    with pytest.raises(ValidationError, match="frozen"):
        record.seed = 4


def test_an_unknown_schema_version_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(BadValue, match=r"has schema version 2, this eggym \(.+\) reads version 1; install") as caught:
        load_record(save(tmp_path, {**raw_record(), "schema": 2, "of the": "future"}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"n_steps": "4"}, "n_steps: Input should be a valid integer"),
        ({"n_steps": -1}, "n_steps: Input should be greater than or equal to 0"),
        ({"primary": "best"}, "primary: Input should be 'greedy' or 'sampled'"),
        ({"points": []}, "points: List should have at least 1 item"),
        ({"config": {"lr": 0.2}}, "config_sha256 is not the hash of config"),
        ({"seed": 4}, "id '.*' does not follow from config, seed, task and model"),
        ({"points": raw_record()["points"][::-1]}, r"the steps of the points must increase, got \[4, 2, 0\]"),
        ({"spent": {**spent(4).model_dump(), "flops": 1}}, "spent: .*flops is 1, not rollout_flops"),
        ({"spent": spent(5).model_dump()}, "spent.episodes is 5, but the last point says 4"),
        ({"spent": spent(4, action_tokens=25).model_dump()}, "spent.tokens is 25, but the last point says 24"),
        ({"n_steps": 5}, "n_steps is 5, but the last point says 4"),
        ({"training_states": {"correct": 5}}, "training_states count 5 episodes, but 4 were spent"),
        ({"budget": {"axis": "flops", "limit": 50.0}}, "fraction of step 2 is 0.5, not its share of the budget"),
        ({"learner": {**raw_record()["learner"], "name": "ppo"}}, "config says learner is 'eggroll', .* 'ppo'"),
        ({"points": with_greedy(mean=0.85)}, r"points\.2\.greedy: .*mean is 0\.85, but the rewards give 0\.75"),
        ({"points": with_greedy(se=0.01)}, r"points\.2\.greedy: .*se is 0\.01, but the rewards give None"),
        ({"points": with_greedy(rewards=[0.5, None])}, "mean is 0.75, but the rewards give 0.5"),
    ],
)
def test_an_edited_record_is_refused_by_the_field(tmp_path, changes, message):
    with pytest.raises(BadValue, match=message) as caught:
        load_record(save(tmp_path, raw_record(**changes)))
    assert "\n" not in str(caught.value)


def test_a_sealed_record_is_refused_when_anything_in_it_was_edited(tmp_path):
    write_json(tmp_path / "record.json", sealed(Record.model_validate_json(json.dumps(raw_record()))))
    whole = json.loads((tmp_path / "record.json").read_text())
    assert load_record(save(tmp_path, whole)).content_sha256 == whole["content_sha256"]
    for name, value in (("weights_sha256", "w2"), ("files", {"fitness.bin": "f2"}), ("chosen", 2)):
        with pytest.raises(BadValue, match=r"was changed since it was written: content_sha256 is not its") as caught:
            load_record(save(tmp_path, {**whole, name: value}))
        assert "\n" not in str(caught.value)


def test_the_digest_is_of_the_file_so_that_fields_may_be_added_later(tmp_path):
    body = raw_record()  # has none of the fields that came with a default
    assert load_record(save(tmp_path, {**body, "content_sha256": sha256_json(body)})).chosen is None


def test_a_score_whose_counts_disagree_is_refused():
    with pytest.raises(ValidationError, match="n_items is 2, but there are 1 rewards"):
        Score(**{**score(1.0), "rewards": [1.0]})
    with pytest.raises(ValidationError, match="n_replies is 2, but the states count 3"):
        Score(**{**score(1.0), "states": {"correct": 3}})


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(ValidationError, match="finite"):
        Score(**{**score(1.0), "mean": float("nan")})


def test_a_missing_or_broken_record_is_one_line(tmp_path):
    with pytest.raises(UnknownName, match=r"no record\.json in .*; is the run finished\?"):
        load_record(tmp_path)
    (tmp_path / "record.json").write_text('{"schema": 1,')
    with pytest.raises(BadValue, match=r"record\.json is not JSON"):
        load_record(tmp_path)
    (tmp_path / "record.json").write_text("[]")
    with pytest.raises(BadValue, match="schema version None"):
        load_record(tmp_path)


def test_runs_are_found_at_any_depth_in_the_order_of_their_paths(tmp_path):
    for name in ("b/2", "a/10", "b"):
        save(tmp_path / name, raw_record())
    assert [str(run.relative_to(tmp_path)) for run in find_runs(tmp_path)] == ["a/10", "b", "b/2"]
    assert find_runs(tmp_path / "a" / "10") == [tmp_path / "a" / "10"]
    assert find_runs(tmp_path / "nowhere") == []


def test_runs_are_ordered_by_the_numbers_in_their_names(tmp_path):
    for name in ("turns=16", "turns=4", "turns=1,x=10", "turns=1,x=9"):
        save(tmp_path / name, raw_record())
    assert [run.name for run in find_runs(tmp_path)] == ["turns=1,x=9", "turns=1,x=10", "turns=4", "turns=16"]


def test_measured_is_optional_and_read_back(tmp_path):
    assert load_measured(tmp_path) is None
    measured = Measured(
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
        cpu_s=50.0,
        wall_s=60.0,
        phases={"rollout": 40.0},
        peak_rss_bytes=10,
        sessions=1,
        host={"cpu": "x"},
    )
    write_json(tmp_path / "measured.json", measured)
    assert load_measured(tmp_path) == measured


def test_the_id_depends_on_each_of_its_four_parts():
    base = ("c", 1, "t", "m")
    assert run_id(*base) == sha256_json(["c", 1, "t", "m"])[:16]
    others = {run_id("x", 1, "t", "m"), run_id("c", 2, "t", "m"), run_id("c", 1, "x", "m"), run_id("c", 1, "t", "x")}
    assert len(others | {run_id(*base)}) == 5


def test_provenance_names_versions_and_hashes_the_configuration():
    code = provenance(CONFIG)
    assert code.config_sha256 == sha256_json(CONFIG)
    assert code.libraries["torch"].startswith("2.")
    assert code.python == sys.version.split()[0]
    assert provenance({**CONFIG, "seed": 4}).config_sha256 != code.config_sha256


def test_a_commit_is_named_only_for_a_file_that_its_checkout_tracks(tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    monkeypatch.setenv("GIT_DIR", "/somewhere/else")  # as inside a git hook
    tracked, stranger = tmp_path / "a.py", tmp_path / "site-packages.py"
    tracked.write_text("1")
    stranger.write_text("1")
    assert git_state(tracked) == (None, None)
    monkeypatch.delenv("GIT_DIR")
    git("init", "-q")
    git("add", "a.py")
    git("commit", "-q", "-m", "x")
    monkeypatch.setenv("GIT_DIR", "/somewhere/else")
    commit, dirty = git_state(tracked)
    assert len(commit) == 40 and dirty is False
    assert git_state(stranger) == (None, None)
    tracked.write_text("2")
    assert git_state(tracked) == (commit, True)
