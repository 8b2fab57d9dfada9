import gzip
import json
from decimal import Decimal

import pytest

from eggym import registry
from eggym.dataset import DatasetTask, dataset_task, exact, last_number, number
from eggym.digest import digest
from eggym.errors import BadValue, TaskFault, UnknownName
from eggym.registry import load_task
from eggym.rows import load_rows
from eggym.splits import split_of
from eggym.task import Item, VerdictState

ROWS = [{"question": f"twice {n}?", "truth": 2 * n, "note": "x"} for n in range(200)]


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


def make(data=ROWS, score="exact", **more):
    return dataset_task("me/twice-v0", data, prompt="Q: {question}", answer="truth", score=score, **more)


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def reward(task, reply, index=0):
    item = task.item("train", index)
    state = task.begin(item, None)
    task.step(state, reply)
    return task.judge(state).reward


def prompts(task, split):
    return [task.item(split, index).prompt for index in range(task.n_items(split))]


def test_one_call_makes_a_task_that_is_known():
    make()
    task = load_task("me/twice-v0")
    item = task.item("train", 0)
    assert item.prompt.startswith("Q: twice ") and item.index == 0 and item.split == "train"
    assert reward(task, f" {item.truth}\n") == 1.0
    assert reward(task, f"it is {item.truth}") == 0.0
    assert task.oracle(item) == str(item.truth)


def test_rows_without_splits_belong_where_their_prompt_hashes_to():
    task = make()()
    for split in ("train", "validation", "test"):
        assert {split_of("me/twice-v0", prompt) for prompt in prompts(task, split)} == {split}
    assert sum(task.n_items(split) for split in ("train", "validation", "test")) == 200


def test_the_splits_of_the_source_are_kept(tmp_path):
    write(tmp_path / "train.jsonl", ROWS[:100])
    write(tmp_path / "test.jsonl", ROWS[100:130])
    task = make(str(tmp_path))()
    assert prompts(task, "test") == [f"Q: twice {n}?" for n in range(100, 130)]
    validation, train = set(prompts(task, "validation")), set(prompts(task, "train"))
    assert not validation & train and len(validation | train) == 100
    assert 2 <= len(validation) <= 22  # a tenth of a hundred by hash: 10, give or take four standard deviations of 3


def test_an_official_validation_split_is_kept_whole(tmp_path):
    for name, rows in (("train", ROWS[:50]), ("validation", ROWS[50:60]), ("test", ROWS[60:70])):
        write(tmp_path / f"{name}.jsonl", rows)
    task = make(tmp_path)()
    assert [task.n_items(split) for split in ("train", "validation", "test")] == [50, 10, 10]


def test_other_names_of_splits_are_mapped(tmp_path):
    write(tmp_path / "train.jsonl", ROWS[:50])
    write(tmp_path / "dev.jsonl", ROWS[50:60])
    task = make(tmp_path, splits={"test": "dev"})()
    assert task.n_items("test") == 10
    with pytest.raises(UnknownName, match="no split of the data of me/twice-v0 'devel'; did you mean 'dev'"):
        make(tmp_path, splits={"test": "devel"})().n_items("test")


def test_a_train_row_whose_prompt_is_tested_is_left_out(tmp_path):
    write(tmp_path / "train.jsonl", ROWS[:50])
    write(tmp_path / "test.jsonl", [{**ROWS[7], "question": "TWICE  7?"}])
    task = make(tmp_path)()
    assert task.n_items("train") + task.n_items("validation") == 49
    assert "Q: twice 7?" not in prompts(task, "train") + prompts(task, "validation")


def test_a_prompt_stands_in_one_split_and_test_wins(tmp_path):
    write(tmp_path / "train.jsonl", ROWS[:50])
    write(tmp_path / "validation.jsonl", [*ROWS[3:6], ROWS[60]])
    write(tmp_path / "test.jsonl", [{**ROWS[4], "question": "TWICE  4?"}, ROWS[70]])
    task = make(tmp_path)()
    assert prompts(task, "test") == ["Q: TWICE  4?", "Q: twice 70?"]
    assert prompts(task, "validation") == ["Q: twice 3?", "Q: twice 5?", "Q: twice 60?"]
    assert prompts(task, "train") == [f"Q: twice {n}?" for n in range(50) if n not in (3, 4, 5)]


def test_a_salted_test_is_test_in_another_order():
    task = make()()
    salted = [task.item("test:pepper", index) for index in range(task.n_items("test:pepper"))]
    assert sorted(item.prompt for item in salted) == sorted(prompts(task, "test"))
    assert [item.prompt for item in salted] != prompts(task, "test")
    assert salted[3].split == "test:pepper" and salted[3].index == 3


@pytest.mark.parametrize("index", [-1, 10**6])
def test_an_index_outside_the_split_is_refused(index):
    with pytest.raises(BadValue, match=rf"task 'me/twice-v0' has \d+ items in 'test'; there is no index {index}"):
        make()().item("test", index)


def test_other_data_of_the_same_form_may_be_given(tmp_path):
    make()
    file = write(tmp_path / "more.jsonl", [{"question": f"{n}?", "truth": n} for n in range(50)])
    task = load_task("me/twice-v0", data=str(file))
    assert {len(prompt) for prompt in prompts(task, "train")} <= {5, 6}


def test_the_digest_sees_every_row_prompt_and_scorer():
    base = digest(make()())
    assert digest(make()()) == base
    assert digest(make([*ROWS[:-1], {**ROWS[-1], "truth": 7}])()) != base
    assert digest(make(score="number")()) != base


def test_settings_become_attributes():
    assert make(max_new_tokens=7, floor=0.1)().max_new_tokens == 7
    with pytest.raises(UnknownName, match="no setting of a task 'max_tokens'; did you mean 'max_new_tokens'"):
        make(max_tokens=7)


# -- scorers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "truth", "expected"),
    [
        ("52", 52, 1.0),
        ("17 + 5 is 22, plus 30 makes 52.", 52, 1.0),
        ("52.0", "52", 1.0),
        ("1,204.50", "1204.5", 1.0),
        ("-3", -3, 1.0),
        ("520", 52, 0.0),  # contains the answer
        ("52 or 53", 52, 0.0),  # hedges
        ("", 52, 0.0),
        ("fifty-two", 52, 0.0),  # a known loss: words are not read
    ],
)
def test_golden_replies_of_number(reply, truth, expected):
    assert number(Item("", truth), reply).reward == expected


@pytest.mark.parametrize(
    ("reply", "expected", "state"),
    [
        ("Paris", 1.0, VerdictState.CORRECT),
        (" Paris\n", 1.0, VerdictState.CORRECT),
        ("paris", 0.0, VerdictState.WRONG),
        ("It is Paris", 0.0, VerdictState.WRONG),
        (" ", 0.0, VerdictState.UNPARSED),
    ],
)
def test_golden_replies_of_exact(reply, expected, state):
    verdict = exact(Item("", "Paris"), reply)
    assert (verdict.reward, verdict.state) == (expected, state)


def test_the_last_number_wins():
    assert last_number("first 3, so the total is 1,204.50.") == Decimal("1204.50")
    assert last_number("none") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10-3", "3"),  # a range or a difference
        ("10 - 3", "3"),
        ("A-3", "3"),
        ("v1.-3", "3"),
        ("x = -3", "-3"),
        ("(-3)", "-3"),
        ("**-3**", "-3"),
        ("=-3", "-3"),
        ("+3", "3"),
        ("$-3", "-3"),
        ("1,2,3", "3"),
        ("1,23", "23"),
        ("1,2345", "2345"),
        ("1234,567", "567"),
        ("1,234", "1234"),
        ("-1,234,567.5", "-1234567.5"),
        ("12,345", "12345"),
        ("7,", "7"),
        ("1,,2", "2"),
        ("2-1,000", "1000"),
    ],
)
def test_golden_readings_of_signs_and_separators(text, value):
    assert str(last_number(text)) == value


@pytest.mark.parametrize(
    ("reply", "truth", "expected"),
    [
        ("10-3", -3, 0.0),
        ("1,2,3", 123, 0.0),
        ("1,2,3", 3, 1.0),
        ("0.0000001", 1e-07, 1.0),  # written 1e-07, whose last number would be 7
        ("7", 1e-07, 0.0),
        ("123", "1,2,3", 0.0),  # a truth of text is read by the same rule
    ],
)
def test_signs_and_separators_decide_a_score(reply, truth, expected):
    assert number(Item("", truth), reply).reward == expected


def test_a_truth_without_a_number_is_an_error_and_no_zero():
    task = make([{"question": f"{n}?", "truth": "many"} for n in range(20)], score="number")()
    assert reward(task, "3") is None


def test_a_scorer_may_be_a_function_or_its_name():
    assert reward(make(score=lambda item, reply: 0.5)(), "x") == 0.5
    assert reward(make(score="eggym.dataset:exact")(), "x") == 0.0
    with pytest.raises(UnknownName, match="no scorer 'exakt'; did you mean 'exact'"):
        make(score="exakt")
    assert reward(make(score="nowhere:f")(), "x") is None  # found when a reply is judged: an error, and no zero


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "x?"}, "task 'me/twice-v0': row 1 has no field 'truth'; its fields: question"),
        ({"truth": 3}, "row 1 has no field 'question'; its fields: truth"),
        ({"question": "x", "truth": 3}, None),
        ("x?", "row 1 of task 'me/twice-v0' is no object with named fields: 'x"),
    ],
)
def test_a_row_that_does_not_fit_is_named(row, message):
    task = make([ROWS[0], row])()
    if message is None:
        assert task.n_items("train") + task.n_items("validation") + task.n_items("test") == 2
        return
    with pytest.raises(BadValue, match=message):
        task.n_items("train")


def test_an_empty_prompt_is_named():
    task = dataset_task("me/blank-v0", [{"q": " ", "a": 1}], prompt="{q}", answer="a")()
    with pytest.raises(BadValue, match="task 'me/blank-v0': row 0: it asks nothing: q is empty"):
        task.item("train", 0)


def test_an_empty_prompt_of_a_reader_of_its_own_is_named():
    class Blank(DatasetTask):
        id = "me/blank-v0"

        def read(self, row):
            return Item(row["q"])

    with pytest.raises(BadValue, match="task 'me/blank-v0': row 1 gives an empty prompt"):
        Blank([{"q": "x"}, {"q": " "}]).item("train", 0)


def test_a_context_may_be_empty_where_another_field_asks():
    task = dataset_task("me/context-v0", [{"c": "", "q": "x?", "a": 1}], prompt="{c}\n{q}", answer="a")()
    assert sum(map(task.n_items, ("train", "validation", "test"))) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": None, "truth": 1}, "row 1: its field 'question' is null"),
        ({"question": "x", "truth": None}, "row 1: its field 'truth' is null"),
        ({"question": "\ud800", "truth": 1}, "row 1: its prompt holds a lone surrogate, which no file can"),
        ({"question": "x", "truth": "\ud800"}, r"row 1: its truth is no JSON value \(UnicodeEncodeError"),
        ({"question": "x", "truth": (1, 2)}, "row 1: its truth changes on its way through JSON"),
        ({"question": "x", "truth": float("nan")}, r"row 1: its truth is no JSON value \(ValueError: Out of range"),
    ],
)
def test_a_field_that_cannot_be_asked_or_kept_is_named(row, message):
    with pytest.raises(BadValue, match=f"task 'me/twice-v0': {message}"):
        make([ROWS[0], row])().n_items("train")


@pytest.mark.parametrize("problem", [SystemExit(0), ValueError("odd")])
def test_a_reader_that_raises_is_named_by_row(problem):
    class Odd(DatasetTask):
        id = "me/odd-v0"

        def read(self, row):
            raise problem

    with pytest.raises(TaskFault, match=f"task 'me/odd-v0': row 0: read raised {type(problem).__name__}"):
        Odd(ROWS).n_items("train")


def test_a_reader_must_return_an_item():
    class Odd(DatasetTask):
        id = "me/odd-v0"

        def read(self, row):
            return "a text"

    with pytest.raises(TaskFault, match="row 0: read must return an Item, got 'a text'"):
        Odd(ROWS).n_items("train")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{question", "'{question' cannot be read: expected '}'"),
        ("always", "must name fields, such as {question}"),
        ("{}", "must name fields"),
    ],
)
def test_a_template_that_names_no_field_is_refused(template, message):
    with pytest.raises(BadValue, match=f"task 'me/odd-v0': the prompt template .*{message}"):
        dataset_task("me/odd-v0", ROWS, prompt=template, answer="truth")


def test_an_id_that_is_no_text_is_refused():
    with pytest.raises(BadValue, match="task id 5 of a task of rows is not of the form namespace/name-vN"):
        dataset_task(5, ROWS, prompt="{question}", answer="truth")


GOOD = b'{"question": "x", "truth": 1}\n'
PACKED = gzip.compress(GOOD, mtime=0)  # a name of a test that changes with the clock stops pytest-xdist


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (GOOD + b'{"question": ', "line 2 of .*rows.jsonl is no JSON"),
        (b"[1, 2]\n", "line 1 of .*rows.jsonl is no object with named fields"),
        (
            GOOD + b"\n" + '{"question": "é"}'.encode("latin-1"),
            "line 3 of .*rows.jsonl is not UTF-8: byte 0xe9 at column 15",
        ),
        (b"\x1f\x8b\x08\x00", "line 1 of .*rows.jsonl is not UTF-8: byte 0x8b at column 2"),
        ('{"question": "x"}'.encode("utf-16"), "line 1 of .*rows.jsonl is not UTF-8: byte 0xff at column 1"),
        (b"\x00\x01\x02", "line 1 of .*rows.jsonl is no JSON"),
        (GOOD + b'{"question": ' + b"[" * 100_000, "line 2 of .*rows.jsonl is nested too deeply"),
        (GOOD + b'{"truth": ' + b"9" * 5000 + b"}", "line 2 of .*rows.jsonl cannot be read: Exceeds the limit"),
        (b"", "rows.jsonl holds no rows; it needs one JSON object per line"),
        (b"\n \n", "rows.jsonl holds no rows"),
    ],
    ids=str,
)
def test_a_file_that_does_not_hold_rows_is_refused_by_line(tmp_path, body, message):
    (tmp_path / "rows.jsonl").write_bytes(body)
    with pytest.raises(BadValue, match=message) as caught:
        load_rows(tmp_path / "rows.jsonl", "me/x-v0")
    assert "\n" not in str(caught.value)


def test_a_row_of_a_file_is_named_by_its_line_blank_ones_counted(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(GOOD + b"\n\n" + b'{"question": null, "truth": 1}\n')
    with pytest.raises(BadValue, match=r"'me/twice-v0': line 4 of .*rows.jsonl: its field 'question' is null"):
        make(tmp_path / "rows.jsonl")().n_items("train")


def test_a_surrogate_in_a_file_is_named_by_its_line(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(GOOD + b'{"question": "\\ud800", "truth": 1}\n')
    with pytest.raises(BadValue, match=r"line 2 of .*rows.jsonl: its prompt holds a lone surrogate"):
        make(tmp_path / "rows.jsonl")().n_items("train")


def test_packed_files_and_lists_are_read_as_the_plain_ones(tmp_path):
    rows = [{"question": "x", "truth": 1}, {"question": "y", "truth": 2}]
    lines = "\n".join(map(json.dumps, rows)).encode()
    for name, body in (("a.jsonl", lines), ("b.jsonl.gz", gzip.compress(lines)), ("c.json", json.dumps(rows).encode())):
        (tmp_path / name).write_bytes(body)
        assert load_rows(tmp_path / name, "me/x-v0") == {"": rows}
    (tmp_path / "d.json").write_bytes(lines)
    assert load_rows(tmp_path / "d.json", "me/x-v0") == {"": rows}
    assert load_rows(tmp_path, "me/x-v0") == {"a": rows, "b": rows}


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("x.jsonl.gz", GOOD, "x.jsonl.gz cannot be read as a file of rows: Not a gzipped file"),
        ("x.jsonl.gz", PACKED[:-9], "x.jsonl.gz cannot be read as a file of rows: Compressed file ended"),
        ("x.json", b"[1, 2", "x.json cannot be read as a list of rows"),
        ("x.json", b"[]", "x.json holds no rows"),
        ("x.json", b"[" + GOOD + b", 3]", "row 1 of .*x.json is no object with named fields: 3"),
        ("x.json", b'["\xe9"]', "x.json cannot be read as a list of rows: .*utf-8"),
    ],
)
def test_a_packed_file_or_list_that_holds_no_rows_is_refused(tmp_path, name, body, message):
    (tmp_path / name).write_bytes(body)
    with pytest.raises(BadValue, match=message) as caught:
        load_rows(tmp_path / name, "me/x-v0")
    assert "\n" not in str(caught.value)


def test_a_mark_before_the_first_line_is_no_part_of_it(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + GOOD)
    assert load_rows(tmp_path / "rows.jsonl", "me/x-v0") == {"": [{"question": "x", "truth": 1}]}


def test_a_folder_where_a_file_should_be_is_named(tmp_path):
    (tmp_path / "train.jsonl").mkdir()
    with pytest.raises(BadValue, match=r"train\.jsonl cannot be read as a file of rows: Is a directory"):
        load_rows(tmp_path, "me/x-v0")


def test_splits_without_test_rows_are_refused(tmp_path):
    write(tmp_path / "train.jsonl", ROWS)
    message = rf"the data of task 'me/twice-v0' at {tmp_path} have no rows for test; their splits: train \(dataset_task"
    with pytest.raises(BadValue, match=message):
        make(tmp_path)().n_items("train")


@pytest.mark.parametrize("place", ["a\0b.jsonl", "x" * 10_000, "/" + "x" * 300 + ".jsonl", "~nobody_here/rows.jsonl"])
def test_a_place_that_no_file_can_have_is_refused(place):
    with pytest.raises(BadValue, match=r"no data at '.* for task 'me/x-v0'[:;] \S") as caught:
        load_rows(place, "me/x-v0")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the data of task 'me/x-v0' hold no rows"),
        (5, "data of task 'me/x-v0' are a path, a hub id or a list of rows, got 5"),
        ({"train": ROWS}, "are a path, a hub id or a list of rows"),
        (b"rows.jsonl", "are a path, a hub id or a list of rows"),
    ],
)
def test_data_of_another_kind_are_refused(data, message):
    with pytest.raises(BadValue, match=message):
        load_rows(data, "me/x-v0")


@pytest.mark.parametrize("place", ["rows.jsonl", "some/rows.jsonl", "../rows", "/no/such/folder"])
def test_data_that_is_not_there_is_named(place):
    with pytest.raises(BadValue, match=f"no data at '{place}' for task 'me/x-v0'; give a JSONL file, a folder"):
        load_rows(place, "me/x-v0")


def test_a_folder_without_rows_is_named(tmp_path):
    with pytest.raises(BadValue, match=r"no \*.jsonl file in folder"):
        load_rows(tmp_path, "me/x-v0")


def test_rows_come_from_the_hub(monkeypatch):
    import datasets

    asked = []

    def load(name, config):
        asked.append((name, config))
        return {"train": [{"a": 1}], "test": [{"a": 2}]}

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert load_rows("some/rows:main", "me/x-v0") == {"train": [{"a": 1}], "test": [{"a": 2}]}
    load_rows("some/rows", "me/x-v0")
    assert asked == [("some/rows", "main"), ("some/rows", None)]


def test_a_hub_that_cannot_be_reached_is_one_line_that_names_the_way_out(monkeypatch):
    import datasets

    def load(name, config):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(BadValue, match=r"cannot load 'some/rows' from the hub \(ConnectionError: no network\).*--data"):
        load_rows("some/rows", "me/x-v0")


def test_nothing_is_read_before_it_is_needed():
    task = make("nowhere/rows.jsonl")()
    with pytest.raises(BadValue, match=r"no data at 'nowhere/rows\.jsonl'"):
        task.item("train", 0)


def test_a_fault_of_a_function_that_scores_is_an_error():
    assert reward(make(score=lambda item, reply: 1 / 0)(), "x") is None
    assert issubclass(TaskFault, Exception)
