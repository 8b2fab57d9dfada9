import json
from pathlib import Path

import pytest

import eggym
from eggym.duel import DuelConfig, duel, slug
from eggym.errors import BadValue, RunMismatch, UnknownName
from eggym.files import sha256_file

QUICK = {
    "eval.items": 16, "eval.points": 2, "eggroll.population": 8, "eggroll.items": 4,
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


def test_another_worker_count_gives_the_same_records(fought, tmp_path):
    alone = duel(out=tmp_path, workers=1, **CALL)
    assert records(alone.folder) == {n: h for n, h in records(fought.folder).items() if n in records(alone.folder)}


def test_a_folder_of_another_budget_is_refused_and_left_alone(fought):
    before = records(fought.folder)
    with pytest.raises(RunMismatch, match=r"budget '200episodes' -> '400episodes'"):
        duel(out=fought.folder, **{**CALL, "budget": "400episodes"})
    assert records(fought.folder) == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": ["tiny-programs", "tiny-order"]}, UnknownName, "did you mean 'tiny-orders'"),
        ({"learner": ["eggroll", "ppoo"]}, UnknownName, "no learner 'ppoo'"),
        ({"model": "embedded-v1"}, UnknownName, "did you mean 'embedded-v0'"),
        ({"budget": "40episodes"}, BadValue, "use --force"),
        ({"learner": ["eggroll", "eggroll"]}, BadValue, "learner 'eggroll' is given twice"),
        ({"seeds": []}, BadValue, "at least one seed"),
    ],
)
def test_one_bad_part_refuses_the_whole_before_anything_is_written(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        duel(out=tmp_path / "duel", **{**CALL, **change})
    assert not (tmp_path / "duel").exists()


def test_the_default_folder_holds_what_can_be_compared():
    base = DuelConfig()
    assert base.folder() == DuelConfig(seeds=(0, 1, 2, 3, 4), learner=("eggroll",)).folder()
    assert base.folder() != DuelConfig(budget="1e12flops").folder()
    assert base.folder().parent == Path("runs")


def test_names_become_paths():
    assert slug("eggym/tiny-orders-v0") == "tiny-orders-v0"
    assert slug("random-reward:eggroll") == "random-reward-eggroll"
    assert slug("me/x-v0") == "me-x-v0"
    assert slug("../..") == "x"
