"""L2 of replies that a machine's limits had a say in, and of the parts of a reward: nothing is earned by either."""

import json
import shutil

import pytest
from boards import folder_of
from forger import forge_rows, write

from eggym.leaderboards import regrading
from eggym.leaderboards.regrading import _difference, regrade
from eggym.leaderboards.stored import read_entry
from eggym.verdict import Verdict, VerdictState


@pytest.fixture
def folder(small_place, tmp_path):
    """A copy of one record, to be changed."""
    found = folder_of(small_place, task="tiny-orders")
    return shutil.copytree(found, tmp_path.joinpath(*found.parts[-3:]))


RIGHT, WRONG = Verdict(1.0, VerdictState.CORRECT), Verdict(0.0, VerdictState.WRONG)
LATE, FAILED = Verdict(0.0, VerdictState.TIMEOUT), Verdict(None, VerdictState.ERROR)


@pytest.mark.parametrize(
    ("reward", "state", "now", "found"),
    [
        (0.0, "wrong", WRONG, "same"),
        (0.0, "timeout", LATE, "same"),
        (None, "error", FAILED, "same"),
        (0.0, "timeout", RIGHT, "unclear"),
        (0.0, "timeout", WRONG, "unclear"),
        (None, "error", WRONG, "unclear"),
        (1.0, "correct", LATE, "unclear"),
        (1.0, "timeout", WRONG, "differs"),
        (1.0, "correct", WRONG, "differs"),
        (0.0, "wrong", RIGHT, "differs"),
    ],
)
def test_a_limit_of_time_explains_a_difference_and_no_gain(reward, state, now, found):
    why = _difference({"reward": reward, "state": state, "found": None}, now)
    assert {None: "same", "": "unclear"}.get(why, "differs") == found


def test_a_few_unclear_replies_are_no_few_where_they_lie_in_one_evaluation(folder, monkeypatch):
    """Of all replies they are 1 %, and of the evaluation that counts they are an eighth."""
    entry = read_entry(folder)
    row = next(row for row in entry.rows("evaluations.jsonl") if row["point"] == 2 and row["mode"] == "greedy")
    monkeypatch.setattr(regrading, "_difference", lambda one, verdict: "" if one == row else None)
    monkeypatch.setattr(regrading, "MAX_ERROR_SHARE", 0.05)
    found = regrade(entry)
    assert (found.unclear, found.differing, found.ok) == (1, 0, False)
    assert found.replies > 1 / 0.05 and "1 of 8 replies of one evaluation could not be judged" in found.told()["why"]
    monkeypatch.setattr(regrading, "MAX_ERROR_SHARE", 0.125)
    assert regrade(entry).ok


def test_the_parts_of_a_reward_are_graded_too(folder):
    """The truth behind a proxy is such a part: a run that games its reward would be glad to tell another."""
    record = json.loads((folder / "record.json").read_text())
    assert regrade(read_entry(folder)).ok and "case" in record["points"][0]["greedy"]["parts"]
    record["points"][0]["greedy"]["parts"]["case"] = 0.99
    write(folder, record, {})
    found = regrade(read_entry(folder))
    assert not found.ok and "point 0, greedy: part 'case' is 0.99 by the record" in found.first


def test_rows_that_were_forged_everywhere_are_counted(folder):
    forge_rows(folder, lambda rows: [{**row, "reward": 1.0, "state": "timeout"} for row in rows])
    found = regrade(read_entry(folder))
    n_right = found.replies - found.differing
    assert not found.ok and found.unclear <= n_right and "by the grader" in found.first
