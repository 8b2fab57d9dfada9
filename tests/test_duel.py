import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import eggym
from eggym.duel import DuelConfig, conclude, duel
from eggym.errors import BadValue, EggymError, RunMismatch, UnknownName
from eggym.files import sha256_file
from eggym.record import find_runs
from eggym.result import deterministic_files
from eggym.wording import slug

QUICK = {
    "eval.items": 16, "eval.points": 2, "eval.many": 0, "eval.train_items": 0,
    "eggroll.population": 8, "eggroll.items": 4,
    "dr_grpo.items": 4, "dr_grpo.replies": 4,
}  # fmt: skip
CALL = {
    "task": "tiny-programs", "learner": ["eggroll", "dr_grpo", "frozen"], "seeds": 1,
    "budget": "200episodes", "set": QUICK,
}  # fmt: skip


@pytest.fixture(scope="module")
def fought(tmp_path_factory):
    out = tmp_path_factory.mktemp("duel")
    return eggym.duel(out=out, **CALL)


def records(folder):
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("record.json"))}


def test_a_duel_leaves_a_folder_for_each_run_a_summary_and_a_page(fought):
    names = sorted(records(fought.folder))
    assert names == [f"tiny-programs-v0/{one}/seed-0/record.json" for one in ("dr_grpo", "eggroll", "frozen")]
    assert json.loads((fought.folder / "summary.json").read_text()) == json.loads(json.dumps(fought.summary))
    assert fought.report.read_text().lower().startswith("<!doctype html>")
    assert fought.summary["verdicts"][0]["verdict"] == "not resolved"  # one seed resolves nothing


@pytest.mark.slow
def test_again_with_one_more_seed_and_learner_reuses_what_is_finished(fought):
    before = records(fought.folder)
    started = []
    more = duel(
        out=fought.folder,
        watch=lambda what, entry, message: started.append(entry.folder) if message.get("kind") == "start" else None,
        **{**CALL, "seeds": 2, "learner": [*CALL["learner"], "random-reward:eggroll"]},
    )
    after = records(more.folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == 8 and len(set(started)) == 5


@pytest.mark.slow
def test_a_finished_duel_is_read_without_another_process(fought, monkeypatch):
    monkeypatch.setattr("eggym.pool.Worker", None)
    before = records(fought.folder)
    assert duel(out=fought.folder, **CALL).records == fought.records and records(fought.folder) == before


@pytest.mark.slow
def test_another_worker_count_gives_the_same_records(fought, tmp_path):
    alone = duel(out=tmp_path, workers=1, **CALL)
    assert records(alone.folder) == {n: h for n, h in records(fought.folder).items() if n in records(alone.folder)}


@pytest.mark.parametrize("learner", CALL["learner"])
def test_a_run_in_this_process_leaves_the_record_of_one_in_a_worker(fought, tmp_path, learner):
    eggym.train(CALL["task"], learner, seed=0, budget=CALL["budget"], set=QUICK, out=tmp_path)
    there = fought.folder / "tiny-programs-v0" / learner / "seed-0"
    names = ["record.json", *deterministic_files(there)]
    assert len(names) > 2
    assert [sha256_file(tmp_path / name) for name in names] == [sha256_file(there / name) for name in names]


def test_a_folder_of_another_budget_is_refused_and_left_alone(fought):
    before = records(fought.folder)
    with pytest.raises(RunMismatch, match=r"budget '200episodes' -> '400episodes'"):
        duel(out=fought.folder, **{**CALL, "budget": "400episodes"})
    assert records(fought.folder) == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": ["tiny-programs", "tiny-order"]}, UnknownName, "did you mean 'tiny-orders'"),
        pytest.param({"learner": ["eggroll", "ppoo"]}, UnknownName, "no learner 'ppoo'", marks=pytest.mark.slow),
        ({"set": {"beta": 1}}, UnknownName, r"no setting 'beta'; did you mean 'dr_grpo.kl_loss'\?"),
        ({"set": {"lr": 1}}, UnknownName, r"did you mean 'eggroll.lr' or 'dr_grpo.lr'\?"),
        pytest.param({"model": "embeded-v0"}, UnknownName, "did you mean 'embedded-v0'", marks=pytest.mark.slow),
        pytest.param({"budget": "40episodes"}, BadValue, "use --force", marks=pytest.mark.slow),
        ({"learner": ["eggroll", "eggroll"]}, BadValue, "learner 'eggroll' is given twice"),
        ({"seeds": []}, BadValue, "at least one seed"),
    ],
)
def test_one_bad_part_refuses_the_whole_before_anything_is_written(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        duel(out=tmp_path / "duel", **{**CALL, **change})
    assert not (tmp_path / "duel").exists()


def test_budgets_too_small_are_refused_for_all_learners_at_once(tmp_path):
    with pytest.raises(
        BadValue, match=r"of eggroll on eggym/tiny-programs-v0, \d of dr_grpo on eggym/tiny-programs-v0; 5"
    ):
        duel(out=tmp_path / "duel", **{**CALL, "budget": "50episodes", "learner": ["eggroll", "dr_grpo", "frozen"]})


def test_one_task_under_two_names_is_refused(tmp_path):
    with pytest.raises(BadValue, match="eggroll on eggym/tiny-programs-v0 is asked for twice"):
        duel(out=tmp_path / "duel", **{**CALL, "task": ["tiny-programs", "eggym/tiny-programs-v0"]})


@pytest.mark.slow
def test_runs_that_differ_in_more_than_learner_and_seed_are_not_compared(fought, tmp_path):
    other = duel(out=tmp_path, **{**CALL, "learner": "dr_grpo", "budget": "300episodes"})
    with pytest.raises(BadValue, match=r"cannot be compared: budget is '200episodes' and '300episodes'"):
        conclude(tmp_path, [fought.folder / "tiny-programs-v0" / "eggroll" / "seed-0", *find_runs(other.folder)])


@pytest.mark.slow
def test_a_killed_worker_is_one_line(tmp_path):
    def kill(what, entry, message):
        if message.get("kind") == "step":
            workers = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split()
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    with pytest.raises(EggymError, match="a worker process ended with code -9"):
        duel(out=tmp_path / "duel", watch=kill, **CALL)
    assert duel(out=tmp_path / "duel", **CALL).records


def test_a_task_that_only_this_process_knows_is_refused_with_the_way_out(tmp_path):
    @eggym.register
    class Here(eggym.SingleTurnTask):
        id = "test/here-v0"

        def generate(self, rng):
            return eggym.Item(str(rng.random()))

    for task in ("test/here-v0", Here):
        with pytest.raises(BadValue, match=r"known to this process only; put it into a file"):
            duel(out=tmp_path / "duel", **{**CALL, "task": task})


def test_an_unknown_setting_names_its_neighbour():
    with pytest.raises(UnknownName, match="did you mean 'budget'"):
        duel(budgt="1e9flops")
    with pytest.raises(UnknownName, match="did you mean 'model'"):
        eggym.train("guess", "eggroll", modle="x")
    with pytest.raises(BadValue, match="seeds must be a count from 1 to 1000"):
        duel(seeds=3_000_000_000)


def test_the_default_folder_holds_what_can_be_compared():
    base = DuelConfig()
    assert base.folder() == DuelConfig(seeds=(0, 1, 2, 3, 4), learner=("eggroll",)).folder()
    assert base.folder() != DuelConfig(budget="1e12flops").folder()
    assert base.folder() != DuelConfig(task=("guess",)).folder()  # its report would take the place of this one's
    assert base.folder().parent == Path("runs")


def test_names_become_paths():
    assert slug("eggym/tiny-orders-v0") == "tiny-orders-v0"
    assert slug("random-reward:eggroll") == "random-reward-eggroll"
    assert slug("me/x-v0") == "me-x-v0"
    assert slug("../..") == "x"
