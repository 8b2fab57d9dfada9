"""The JSON Schemas in the repository are those of the models, and real files are what they say."""

import copy
import json

import pytest
import yaml
from made_up import TUNING, changed, measurement, run

from eggym.files import canonical_json
from eggym.leaderboards.place import SHIPPED
from eggym.leaderboards.schemas import FOLDER, MODELS, write_schemas

jsonschema = pytest.importorskip("jsonschema")


def validator(name):
    return jsonschema.Draft202012Validator(json.loads((FOLDER / name).read_text()))


def test_the_files_are_what_the_models_give_now(tmp_path):
    made = {path.name: path.read_bytes() for path in write_schemas(tmp_path / "schema")}
    kept = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    again = "a model changed: see whether old files are still read, then give eggym.leaderboards.schemas.write_schemas"
    assert made == kept, f"{again}(leaderboards/schema)"


@pytest.mark.parametrize("name", MODELS)
def test_each_is_a_schema(name):
    jsonschema.Draft202012Validator.check_schema(json.loads((FOLDER / name).read_text()))


def test_everything_on_a_board_is_what_its_schema_says(small_place):
    found = dict.fromkeys(MODELS, 0)
    for name in ("record", "measured", "manifest"):
        for path in small_place.records.rglob(f"{name}.json"):
            validator(f"{name}-1.json").validate(json.loads(path.read_bytes()))
            found[f"{name}-1.json"] += 1
    for line in small_place.ledger_path.read_text().splitlines():
        validator("ledger-line-1.json").validate(json.loads(line))
        found["ledger-line-1.json"] += 1
    for path in [*(small_place.root / "boards").glob("*.yaml"), *SHIPPED.glob("*.yaml")]:
        validator("board-1.json").validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        found["board-1.json"] += 1
    assert all(found.values()) and found["record-1.json"] == 30, found


def test_a_record_with_everything_in_it_is_one():
    record = run("eggym/tiny-orders-v0", "eggroll", 0, [0.1, None, 0.3], beyond=changed(), chosen=2)
    validator("record-1.json").validate(json.loads(canonical_json(record)))
    validator("record-1.json").validate({**json.loads(canonical_json(record)), "tuning": {**TUNING, "budget": None}})
    validator("measured-1.json").validate(json.loads(canonical_json(measurement(record))))


def break_it(record, path, value):
    broken = copy.deepcopy(record)
    *way, last = path
    inside = broken
    for step in way:
        inside = inside[step]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    return broken


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("more",), 1),
        (("id",), ...),
        (("schema",), 2),
        (("kind",), "eggym.other"),
        (("seed",), "0"),
        (("n_steps",), -1),
        (("learner", "kind"), "es2"),
        (("points", 0, "greedy", "mean"), "high"),
        (("points", 0, "spent", "flops"), 1.5),
        (("task", "reward_range"), [0.0]),
    ],
)
def test_what_is_no_record_is_refused(path, value):
    record = json.loads(canonical_json(run("eggym/tiny-orders-v0", "eggroll", 0, [0.1, 0.3])))
    validator("record-1.json").validate(record)
    with pytest.raises(jsonschema.ValidationError):
        validator("record-1.json").validate(break_it(record, path, value))
