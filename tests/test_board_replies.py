"""L1 of forged evaluations: replies that were dropped, doubled or said to be unjudged, and rows of no known form."""

import json
import shutil

import pytest
from boards import folder_of, forge, reseal
from forger import digest, forge_rows, write

from eggym.leaderboards.integrity import faults
from eggym.leaderboards.regrading import regrade
from eggym.leaderboards.stored import read_entry


@pytest.fixture
def folder(small_place, tmp_path):
    """A copy of one record, to be changed."""
    found = folder_of(small_place, task="tiny-orders")
    return shutil.copytree(found, tmp_path.joinpath(*found.parts[-3:]))


def wrong(row):
    return row["reward"] == 0.0


def kept(*, unless):
    return lambda rows: [row for row in rows if not unless(row)]


def each(change):
    """Change every row by itself."""
    return lambda rows: [{**row, **change(row)} for row in rows]


def unjudged(row):
    return {"reward": None, "state": "error"} if wrong(row) and row["mode"] == "greedy" else {}


def doubled(rows):
    """Every item a second time in the first one's place."""
    return [{**row, "item": 0} if row["item"] == 1 else row for row in rows]


def twice(rows):
    return [row for row in rows for _ in range(2)]


def turned(rows):
    return sorted(rows, key=lambda row: (row["point"], row["mode"], -row["item"]))


FORGED = {
    "worst items left out of one evaluation": (
        kept(unless=lambda row: wrong(row) and row["point"] == 1 and row["mode"] == "greedy"),
        "greedy replies of point 1 are not of the same items, each as often, as those of point 0",
    ),
    "wrong replies without a reward": (each(unjudged), "a run stops above 1%"),
    "an item in another's place": (doubled, "are not of the same items, each as often"),
    "every item twice": (twice, "are not of the same items, each as often"),
    "in another order": (turned, "are not of items in their order"),
    "a reward where the grader failed": (
        each(lambda row: {"state": "error"} if row["item"] == 0 else {}),
        "have a reward where the grader failed",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_mean_is_not_raised_by_which_replies_are_in_it(folder, name):
    change, told = FORGED[name]
    forge_rows(folder, change)
    found = faults(read_entry(folder), None)
    assert found and told in found[0], found


def right(row):
    return {"reward": 1.0, "state": "correct"} if row["mode"] == "greedy" else {}


def test_a_forger_who_makes_everything_follow_is_at_l1_and_found_at_l2(folder):
    """What L1 does not say, as the manual has it: nothing against the record's own author."""
    forge_rows(folder, each(right))
    entry = read_entry(folder)
    assert faults(entry, None) == [] and entry.record.final("greedy").mean == 1.0
    found = regrade(entry)
    assert not found.ok and "by the grader" in found.first


ODD = {
    "an item that is a list": {"item": [1]},
    "a point that is a list": {"point": [0]},
    "a mode that is none": {"mode": "lucky"},
    "a reward beyond every float": {"reward": 10**400},
    "a reward that is true": {"reward": True},
    "turns that are none": {"turns": 5},
    "a turn that is none": {"turns": ["hello"]},
    "a state that is none": {"state": "splendid"},
    "more than there is": {"verdict": "good"},
}


@pytest.mark.parametrize("name", ODD)
def test_a_row_of_another_form_is_told_by_its_line(folder, name):
    def change(data):
        rows = [json.loads(line) for line in data.decode().splitlines()]
        rows[3].update(ODD[name])
        return "".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows).encode()

    forge(folder, "evaluations.jsonl", change)
    found = faults(read_entry(folder), None)
    assert len(found) == 1 and "evaluations.jsonl, line 4: " in found[0], found


@pytest.mark.parametrize("name", ["evaluations.jsonl", "steps.jsonl"])
def test_a_name_that_is_given_twice_is_not_read(folder, name):
    """Another reader would take the first of the two."""
    forge(folder, name, lambda data: data.replace(b'"reward":', b'"reward":1.0,"reward":', 1))
    assert "a line that is not in the form in which it is written" in faults(read_entry(folder), None)[0]


def test_a_record_with_a_name_twice_is_not_read(folder):
    path = folder / "record.json"
    write(folder, json.loads(path.read_text()), {})
    text = path.read_text().replace('"seed":0,', '"seed":1,"seed":0,')
    other = json.loads((folder / "manifest.json").read_text())["files"]
    path.write_text(text)
    other["record.json"].update(digest(text.encode()))
    reseal(folder, files=other)
    assert "record.json is not in the form in which it is written" in faults(read_entry(folder), None)[0]


@pytest.mark.parametrize("name", ["chain.jsonl", "config.json", "curve.csv", "measured.json"])
def test_bytes_that_are_no_text_are_told_and_stop_nobody(folder, name):
    record = json.loads((folder / "record.json").read_text())
    write(folder, record, {name: b"\xff\xfe" + (folder / name).read_bytes()})
    assert len(faults(read_entry(folder), None)) == 1


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"cpu_s":1' + b"0" * 5000 + b"}"])
def test_a_measurement_that_is_too_deep_or_too_long_stops_nobody(folder, text):
    write(folder, json.loads((folder / "record.json").read_text()), {"measured.json": text})
    assert len(faults(read_entry(folder), None)) == 1


# -- the curve ------------------------------------------------------------------------------------------------------


def without_point(folder, place):
    """Leave a point out of the curve, with everything that follows."""
    record = json.loads((folder / "record.json").read_text())
    del record["points"][place]
    write(folder, record, {})

    def change(rows):
        left = [row for row in rows if row["point"] != place]
        return [{**row, "point": row["point"] - (row["point"] > place)} for row in left]

    forge_rows(folder, change)


def test_a_point_of_the_curve_cannot_be_left_out(folder):
    assert len(read_entry(folder).record.points) > 2
    without_point(folder, 1)
    assert "where steps.jsonl has them due" in faults(read_entry(folder), None)[0]


def test_what_a_point_cost_is_what_the_steps_say(folder):
    record = json.loads((folder / "record.json").read_text())
    for spent in (record["points"][-1]["spent"], record["spent"]):
        spent.update(computed_flops=1)
    write(folder, record, {})
    assert "what was spent up to a point is not what steps.jsonl says" in faults(read_entry(folder), None)[0]


@pytest.mark.parametrize("name", ["steps.jsonl", "fitness.bin"])
def test_the_log_of_training_cannot_be_left_out(folder, name):
    record = json.loads((folder / "record.json").read_text())
    (folder / f"{name}.xz").unlink()
    files = json.loads((folder / "manifest.json").read_text())["files"]
    del files[f"{name}.xz"], record["files"][name]
    reseal(folder, files=files)
    write(folder, record, {})
    assert f"{name} is missing, and the run has" in faults(read_entry(folder), None)[0]
