import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from eggym.duel import DuelConfig, duel, plan_duel
from eggym.errors import BadValue, RunMismatch
from eggym.files import read_json, sha256_file
from eggym.record import find_runs, load_record
from eggym.reopen import Whereabouts, reopen
from eggym.trials import winner
from eggym.tuned import tuned as tuned_rows
from eggym.worker import Worker, _do

SMALL = {
    "eval.items": 8, "eval.points": 1, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0,
    "eggroll.population": 4, "eggroll.items": 2, "openai-es.population": 4, "openai-es.items": 2,
}  # fmt: skip
LEARNERS = ["eggroll", "openai-es", "random-reward:eggroll", "frozen"]
CALL = {
    "task": "tiny-programs",
    "learner": LEARNERS,
    "seeds": 1,
    "budget": "16episodes",  # two updates
    "force": True,
    "set": SMALL,
    "tune": 3,
    "workers": 1,
}
TWIN = {"twin.population": 4, "twin.items": 2}
WILD = """
import dataclasses
from eggym.es import eggroll
TWIN = dataclasses.replace(eggroll.SPEC, name="twin", search={"tiny": {"update_rms": (0.01, 1e38), "sigma": (0.04,)}})
"""


class Inline:
    """A worker without a process of its own: the same jobs and answers, as JSON."""

    def __init__(self, inbox):
        self.inbox = inbox

    def send(self, job):
        def answer(message):
            self.inbox.put((self, json.loads(json.dumps({"id": job["id"], **message}))))

        job = json.loads(json.dumps(job))
        answer(_do(job, answer))

    def stop(self):
        pass


@pytest.fixture(scope="module", autouse=True)
def inline():
    """Spare the duels of this file the start of processes, which takes seconds each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eggym.pool.Worker", Inline)
        yield patch


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return duel(out=tmp_path_factory.mktemp("tuned"), **CALL)


def files(folder):
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("record.json"))}


def started(out, **call):
    seen = []

    def watch(what, entry, message):
        if message.get("kind") == "start":
            seen.append(entry)

    return duel(out=out, watch=watch, **call), seen


def test_every_learner_has_the_same_number_of_trials_and_controls_follow(tuned):
    stories = {record.learner.label: record.tuning for record in tuned.records}
    assert [len(stories[name].trials) for name in ("eggroll", "openai-es")] == [3, 3]
    assert stories["random-reward:eggroll"] == stories["eggroll"] and stories["frozen"] is None
    folders = {str(path.parent.relative_to(tuned.folder)) for path in (tuned.folder / "tuning").rglob("record.json")}
    assert folders == {
        f"tuning/tiny-programs-v0/{name}/trial-{k}" for name, k in itertools.product(("eggroll", "openai-es"), range(3))
    }


def test_a_record_says_whether_its_learner_could_be_tuned(tuned):
    able = {record.learner.label: record.learner.tunable for record in tuned.records}
    assert able == {"eggroll": True, "openai-es": True, "random-reward:eggroll": False, "frozen": False}


def test_a_tuning_of_learners_that_have_nothing_to_tune_is_refused(tmp_path):
    with pytest.raises(BadValue, match="tune is 3, and frozen, best-of-n declare nothing that tuning may try; leave"):
        duel(out=tmp_path / "new", **{**CALL, "learner": ["frozen", "best-of-n"]})
    assert not (tmp_path / "new").exists()


def test_trials_are_judged_on_validation_alone_and_share_a_seed_that_no_run_has(tuned):
    trials = [load_record(path.parent) for path in (tuned.folder / "tuning").rglob("record.json")]
    assert {trial.config["eval"]["split"] for trial in trials} == {"validation"}
    assert len({trial.seed for trial in trials}) == 1 and trials[0].seed not in {run.seed for run in tuned.records}
    assert {run.config["eval"]["split"] for run in tuned.records} == {"test"}


def test_the_record_tells_the_story_and_the_options_are_those_that_were_chosen(tuned):
    for record in tuned.records:
        if record.tuning is None:
            continue
        story = record.tuning
        assert (story.task, story.split, story.budget) == ("eggym/tiny-programs-v0", "validation", "16episodes")
        place = tuned.folder / "tuning" / "tiny-programs-v0" / record.learner.label.split(":")[-1]
        for number, told in enumerate(story.trials):
            trial = load_record(place / f"trial-{number}")
            assert told.run == trial.id and told.flops == trial.spent.flops
            assert told.score == trial.final(trial.primary).mean
            assert told.options.items() <= trial.learner.options.items()
        best = max(trial.score for trial in story.trials)
        assert story.chosen == [trial.score for trial in story.trials].index(best)
        assert story.trials[story.chosen].options.items() <= record.learner.options.items()
        assert record.config["tuning"] == story.brief()


def test_a_run_and_its_control_have_the_options_of_the_trial_that_won(tuned, tmp_path, monkeypatch):
    # the last trial wins, whose options no run has of itself
    shutil.copytree(tuned.folder / "tuning", tmp_path / "tuning")
    monkeypatch.setattr("eggym.tune.winner", lambda scores: len(scores) - 1)
    done, seen = started(tmp_path, **{**CALL, "learner": ["eggroll", "random-reward:eggroll"]})
    assert [entry.trial for entry in seen] == [None, None]  # the trials are those of the copy
    first, *_, last = done.records[0].tuning.trials
    assert first.options != last.options
    for record in done.records:
        assert record.tuning.chosen == 2 and last.options.items() <= record.learner.options.items()


def test_a_run_that_was_tuned_to_something_else_is_refused(tuned, monkeypatch):
    before = files(tuned.folder)
    monkeypatch.setattr("eggym.tune.winner", lambda scores: (winner(scores) + 1) % len(scores))
    with pytest.raises(RunMismatch, match=r"tuning.chosen \d -> \d"):
        duel(out=tuned.folder, **CALL)
    assert files(tuned.folder) == before


def test_trials_are_no_runs_of_the_duel(tuned):
    inside = [path.relative_to(tuned.folder).parts[0] for path in find_runs(tuned.folder)]
    assert inside == ["tiny-programs-v0"] * 4
    assert len(find_runs(tuned.folder / "tuning")) == 6  # who asks for them gets them
    trial = tuned.folder / "tuning" / "tiny-programs-v0" / "eggroll" / "trial-1"
    assert find_runs(trial) == [trial]
    assert {one["learner"] for one in tuned.summary["tasks"][0]["learners"]} == set(LEARNERS)


def test_the_summary_has_trials_and_cost(tuned):
    rows = {row["learner"]: row for row in tuned.summary["tuned"]}
    assert set(rows) == {"eggroll", "openai-es"}  # the control's trials are those of eggroll: counted once
    for name, row in rows.items():
        story = next(record.tuning for record in tuned.records if record.learner.label == name)
        assert (row["trials"], row["flops"]) == (3, sum(trial.flops for trial in story.trials)) and row["flops"] > 0
    untuned = [record.model_copy(update={"tuning": None}) for record in tuned.records]
    assert tuned_rows(untuned) == []
    assert [row["trials"] for row in tuned_rows([*tuned.records[:1], untuned[1]])] == [3, 0]


def test_a_tuned_run_can_be_reopened(tuned):
    reopen(tuned.folder / "tiny-programs-v0" / "eggroll" / "seed-0", Whereabouts()).plan()


def test_the_same_command_starts_nothing(tuned):
    before = files(tuned.folder)
    again, seen = started(tuned.folder, **CALL)
    assert seen == [] and files(again.folder) == before


@pytest.mark.slow
def test_one_more_seed_and_learner_reuse_the_trials(tuned):
    more = {**CALL, "seeds": 2, "learner": [*LEARNERS, "eggroll@t1"]}
    _, seen = started(tuned.folder, **{**more, "set": {**SMALL, "eggroll@t1.temperature": 1.0}})
    names = sorted((entry.learner, entry.name) for entry in seen)
    assert names == sorted(
        [(name, "seed 1") for name in LEARNERS] + [("eggroll@t1", f"seed {seed}") for seed in (0, 1)]
        + [("eggroll@t1", f"trial {number}") for number in range(3)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tune": 0}, r"tuning.budget '16episodes' -> None"),
        ({"tune": 4}, r"tuning.trials 3 -> 4"),
        ({"tune_budget": "24episodes"}, r"budget '16episodes' -> '24episodes'"),
        ({"tune_task": "tiny-orders"}, r"tuning.task 'eggym/tiny-programs-v0' -> 'eggym/tiny-orders-v0'"),
    ],
)
def test_runs_of_another_tuning_are_refused_before_a_trial_is_run(tuned, change, message):
    before = files(tuned.folder)
    with pytest.raises(RunMismatch, match=message):
        duel(out=tuned.folder, **{**CALL, **change})
    assert files(tuned.folder) == before


def test_untuned_runs_are_no_runs_of_a_tuned_duel(tmp_path):
    call = {**CALL, "learner": "eggroll"}
    duel(out=tmp_path, **{**call, "tune": 0})
    with pytest.raises(RunMismatch, match=r"tuning.task None -> 'eggym/tiny-programs-v0'"):
        duel(out=tmp_path, **call)
    assert not (tmp_path / "tuning").exists()


@pytest.mark.slow
def test_another_folder_has_the_same_bits_whatever_the_workers(tuned, tmp_path, monkeypatch):
    monkeypatch.setattr("eggym.pool.Worker", Worker)
    alone = duel(out=tmp_path, **{**CALL, "learner": ["eggroll", "frozen"], "workers": 2})
    names = [name for name in files(alone.folder)]
    assert len(names) == 5
    assert files(alone.folder) == {name: files(tuned.folder)[name] for name in names}


def test_what_is_too_much_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(BadValue, match="eggroll has 8 settings to try, and every learner gets 9 trials"):
        duel(out=tmp_path / "duel", **{**CALL, "tune": 9})
    # the budget of the runs would do
    with pytest.raises(BadValue, match=r"^budget 9episodes of a trial of tuning .* raise --tune-budget to about"):
        duel(out=tmp_path / "duel", **{**CALL, "budget": "64episodes", "tune_budget": "9episodes", "force": False})
    assert not (tmp_path / "duel").exists()


@pytest.mark.slow
def test_one_task_tunes_for_all_and_the_learner_inside_a_control_is_tuned_for_it(tmp_path):
    call = {**CALL, "task": ["tiny-programs", "tiny-orders"], "learner": "random-reward:eggroll", "tune": 2}
    done = duel(out=tmp_path, tune_task="tiny-arithmetic", **call)
    assert {record.tuning.task for record in done.records} == {"eggym/tiny-arithmetic-v0"}
    assert len({record.tuning.brief()["sha256"] for record in done.records}) == 1 and len(done.records) == 2
    places = sorted(str(path.parent.relative_to(tmp_path)) for path in (tmp_path / "tuning").rglob("record.json"))
    assert places == [f"tuning/tiny-arithmetic-v0/eggroll/trial-{number}" for number in (0, 1)]


def test_each_task_tunes_for_itself_and_a_dry_run_shows_it(tmp_path):
    config = DuelConfig(
        ("tiny-programs", "tiny-orders"), ("eggroll",), (0,), budget="40episodes", set=SMALL, tune=2, workers=1
    )
    plan = plan_duel(config, tmp_path / "duel", False)
    assert [(trial.task, trial.name) for trial in plan.trials] == [
        (f"eggym/{task}-v0", f"trial {number}") for task in ("tiny-programs", "tiny-orders") for number in (0, 1)
    ]
    assert all(trial.forecast["flops"] > 0 for trial in plan.trials)
    assert not (tmp_path / "duel").exists()


def test_a_variant_is_tuned_in_a_folder_of_its_own(tmp_path):
    settings = {**SMALL, "eggroll@t1.temperature": 1.0}
    config = DuelConfig(
        ("tiny-programs",), ("eggroll", "eggroll@t1"), (0,), budget="40episodes", set=settings, tune=2, workers=1
    )
    plan = plan_duel(config, tmp_path, False)
    trials = plan.trials
    assert [plan.tuner_of(run).label for run in plan.runs] == ["eggroll", "eggroll@t1"]
    assert [(trial.learner, str(trial.folder.relative_to(tmp_path))) for trial in trials] == [
        (learner, f"tuning/tiny-programs-v0/{folder}/trial-{number}")
        for learner, folder in (("eggroll", "eggroll"), ("eggroll@t1", "eggroll-t1"))
        for number in (0, 1)
    ]
    assert [trial.identity["options"]["temperature"] for trial in trials] == [0.0, 0.0, 1.0, 1.0]


def test_a_trial_that_diverges_has_no_score_and_is_not_tried_again(tmp_path):
    (tmp_path / "wild.py").write_text(WILD)
    call = {**CALL, "learner": f"{tmp_path}/wild.py", "tune": 2, "set": {**SMALL, **TWIN}}
    done, seen = started(tmp_path / "out", **call)
    assert len(seen) == 3
    story = done.records[0].tuning
    assert story.chosen == 0 and story.trials[1].options["update_rms"] == 1e38
    assert story.trials[1].score is None and "diverged at step" in story.trials[1].run and story.trials[1].flops > 0
    place = tmp_path / "out" / "tuning" / "tiny-programs-v0" / "twin" / "trial-1"
    assert read_json(place / "diverged.json")["flops"] == story.trials[1].flops and not (place / "record.json").exists()
    assert started(tmp_path / "out", **call)[1] == []
    (place / "diverged.json").write_text("{}")
    with pytest.raises(BadValue, match=r"diverged\.json is damaged; delete it"):
        started(tmp_path / "out", **call)


@pytest.mark.slow
def test_a_duel_that_is_killed_while_it_tunes_goes_on_to_the_same_bits(tuned, tmp_path):
    words = [sys.executable, "-m", "eggym", "duel", "--task", "tiny-programs", "--seeds", "1", "--budget", "16episodes"]
    words += ["--force", "--tune", "3", "--out", str(tmp_path / "out"), *(f"--learner={name}" for name in LEARNERS)]
    words += [f"--set={name}={value}" for name, value in SMALL.items()]
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while "trial 1" not in process.stderr.readline():
            pass
        os.kill(process.pid, signal.SIGKILL)
    finished = files(tmp_path / "out")
    assert all(name.startswith("tuning/") for name in finished)
    time.sleep(1)  # its workers end when their input closes
    done = subprocess.run([*words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tuned"][0]["trials"] == 3
    found = files(tmp_path / "out")
    assert len(found) == 10 and found == {name: files(tuned.folder)[name] for name in found}
