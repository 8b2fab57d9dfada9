import json

import pytest

from eggym.cli import main
from eggym.errors import BadValue, UnknownName
from eggym.settings import duel_config, gather, gather_parts, run_config

FILE = """
learner: [eggroll, frozen]
model: embedded-v0
seeds: 2
tune: 2
workers: 1
set:
  eval: {items: 8, points: 1, drift: 0}
  eggroll: {population: 4, items: 2}
parts:
  small: {task: tiny-programs, budget: 40episodes}
  large:
    task: [exam@turns=2]
    budget: 24episodes
    seeds: [5]
    set: {eggroll.items: 1, eval.items: 4}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(FILE)
    return path


def test_a_part_overrides_what_is_shared_and_flags_override_both(file):
    found = gather_parts(file, {"budget": "60episodes", "set": {"eval.points": 2}})
    assert list(found) == ["small", "large"]
    small, large = (duel_config(settings) for settings in found.values())
    assert (small.task, large.task) == (("tiny-programs",), ("exam@turns=2",))
    assert (small.seeds, large.seeds) == ((0, 1), (5,)) and small.tune == large.tune == 2
    assert small.budget == large.budget == "60episodes"
    assert small.set["eggroll.items"] == 2 and large.set["eggroll.items"] == 1 and large.set["eggroll.population"] == 4
    assert small.set["eval.items"] == 8 and large.set["eval.items"] == 4
    assert small.set["eval.points"] == large.set["eval.points"] == 2


def test_each_part_has_a_folder_below_that_of_the_whole(file):
    assert [one["out"] for one in gather_parts(file, {"out": "here"}).values()] == ["here/small", "here/large"]
    assert gather_parts(file, {}, ["large"])["large"]["out"] == "runs/study/large"


def test_a_flag_may_set_only_who_takes_part_in_some_part_and_a_file_whom_it_likes(file):
    file.write_text(
        FILE.replace("set:\n", "set:\n  ppo.lr: 0.1\n", 1).replace("{task: tiny-programs,", "{learner: sft,")
    )
    assert gather_parts(file, {"set": {"sft.lr": 0.1, "eggroll.sigma": 0.1}})["small"]["set"]["ppo.lr"] == 0.1
    with pytest.raises(BadValue, match=r"ppo.lr sets ppo, which takes no part: the learners here are sft, eggroll"):
        gather_parts(file, {"set": {"ppo.lr": 0.1}})
    assert gather_parts(file, {"set": {"mine.lr": 0.1}, "learner": ["mine.py"]})  # its name is known when it is loaded


def test_a_file_without_parts_is_one_duel(tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text("budget: 40episodes\n")
    assert gather_parts(file, {}) == {None: gather(file, {})}
    with pytest.raises(BadValue, match="--part small goes with a --config file that has parts"):
        gather_parts(file, {}, ["small"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: {}", "parts in .* must hold names and settings"),
        ("parts: [a, b]", "parts in .* must hold names and settings"),
        ("parts: {a: 5}", "parts in .* must hold names and settings"),
        ("parts: {a: {out: x}}", "part a in .* has no out of its own"),
        ("parts: {a: {set: 5}}", "set in part a in .* must hold names and values"),
        ("parts: {a: {parts: {}}}", "holds parts, which only eggym duel runs"),
        ("parts: {a: {budgt: 1flops}}", "did you mean 'budget'"),
        ("parts: {a b: {}, other: {}, a-b: {}}", "parts 'a b' and 'a-b' in .* would share the folder a-b; rename one"),
        ("tune: many", "tune must be a whole number"),
    ],
)
def test_parts_that_say_nothing_usable_are_refused(tmp_path, text, message):
    (tmp_path / "bad.yaml").write_text(text + "\n")
    with pytest.raises((BadValue, UnknownName), match=message):
        gather_parts(tmp_path / "bad.yaml", {})


def test_a_part_that_is_not_there_and_a_run_of_many_are_refused(file):
    with pytest.raises(UnknownName, match=r"no part in .*: 'smal'; did you mean 'small'"):
        gather_parts(file, {}, ["smal"])
    with pytest.raises(BadValue, match="holds parts, which only eggym duel runs"):
        gather(file, {})


def test_train_does_not_tune():

    with pytest.raises(BadValue, match="tune is of no use to train, which runs once; use eggym duel"):
        run_config({"task": ["guess"], "learner": ["eggroll"], "tune": 4})


@pytest.mark.slow
def test_a_dry_run_shows_every_part_with_its_trials_and_writes_nothing(file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["duel", "--config", str(file), "--dry-run", "--json"])
    assert not stop.value.code
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert [(one["task"], one["learner"], one["runs"]) for one in parts["small"]["trials"]] == [
        ("eggym/tiny-programs-v0", "eggroll", 2)
    ]
    assert [one["runs"] for one in parts["large"]["runs"]] == [1, 1]
    assert parts["small"]["tuning"][0]["space"]["update_rms"] == [0.005, 0.01]
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
