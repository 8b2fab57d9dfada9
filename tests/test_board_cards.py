"""What a row says on a model's page: read back by the hub's own library, with budget, seeds and interval."""

import copy

import pytest
import yaml

from eggym.cli import main
from eggym.errors import BadValue
from eggym.leaderboards.cards import Links, entries, eval_results_yaml, model_index
from eggym.leaderboards.collecting import collect
from eggym.leaderboards.standing import standings

LINKS = Links("some-org/boards", "https://example.org/leaderboards/records/")
HOSTILE = "a: b\n- c\t'\"# {x} %y &z *w !!python/object:os.system \x1b[2J"


@pytest.fixture(scope="module")
def small(small_place):
    found = collect(small_place, "small")
    return found.board, standings(found.tables()[0])


def row_of(table, learner):
    return next(row for row in table["rows"] if row["learner"] == learner)


def test_the_library_reads_back_what_was_written(small):
    from huggingface_hub import parse_eval_result_entries

    text = eval_results_yaml(*small, "dr_grpo", LINKS)
    found = parse_eval_result_entries(yaml.safe_load(text))
    assert found == entries(*small, "dr_grpo", LINKS)
    row = row_of(small[1], "dr_grpo")
    assert [(one.task_id, one.value) for one in found] == [
        (name.removeprefix("eggym/"), told["mean"]) for name, told in row["tasks"].items()
    ]


def test_budget_seeds_and_interval_stand_in_the_notes_and_the_records_in_the_source(small):
    board, table = small
    for one, told in zip(
        entries(board, table, "eggroll", LINKS), row_of(table, "eggroll")["tasks"].values(), strict=True
    ):
        assert "eggroll after 32episodes of training" in one.notes and "3 seeds" in one.notes
        assert f"95 % t interval over seeds {told['low']:.4g} to {told['high']:.4g}" in one.notes
        assert "greedy reward on test:small" in one.notes and "verified at level L1 of 3" in one.notes
        assert one.source_url == "https://example.org/leaderboards/records/small/eggroll"
        assert one.dataset_id == "some-org/boards"


def test_the_older_form_is_read_back_too(small):
    from huggingface_hub import ModelCard
    from huggingface_hub.repocard_data import model_index_to_eval_results

    data = model_index(*small, "dr_grpo", LINKS, "my-model")
    name, found = model_index_to_eval_results(ModelCard(f"---\n{data.to_yaml()}\n---\n").data.to_dict()["model-index"])
    assert (name, len(found)) == ("my-model", 2) and found == data.eval_results
    assert [one.metric_value for one in found] == [one.value for one in entries(*small, "dr_grpo", LINKS)]
    assert all("32episodes" in one.metric_args["notes"] and one.dataset_split == "test:small" for one in found)


def test_texts_of_strangers_stay_texts(small):
    from huggingface_hub import ModelCard, parse_eval_result_entries

    board, table = copy.deepcopy(small)
    table["rows"][0] |= {"learner": HOSTILE, "note": HOSTILE, "own_settings": [HOSTILE]}
    (first, _) = parse_eval_result_entries(yaml.safe_load(eval_results_yaml(board, table, HOSTILE, LINKS)))
    assert first.notes.count("!!python/object:os.system") == 3 and "\x1b" not in first.notes and "\n" not in first.notes
    data = model_index(board, table, HOSTILE, LINKS, "m")
    assert ModelCard(f"---\n{data.to_yaml()}\n---\n").data.eval_results == data.eval_results


def test_fewer_seeds_and_missing_numbers_are_told(small):
    board, table = copy.deepcopy(small)
    first, second = table["rows"][0]["tasks"].values()
    first |= {"low": None, "high": None}
    second["mean"] = None
    (one,) = entries(board, table, table["rows"][0]["learner"], LINKS)
    assert "no interval below 3 seeds" in one.notes


@pytest.mark.parametrize(
    ("learner", "links", "words"),
    [
        ("nobody", LINKS, "no row 'nobody'; there are "),
        ("eggroll", Links("some-org/boards", "leaderboards/records"), "no address of records"),
        ("eggroll", Links("boards", "https://x.org"), "write ORG/NAME"),
    ],
)
def test_what_cannot_be_told_is_refused(small, learner, links, words):
    with pytest.raises(BadValue, match=words):
        entries(*small, learner, links)


def test_the_verb_writes_the_same(small_place, small, capsys):
    words = ["board", "card", "small/eggroll", "--dataset", LINKS.dataset, "--records", LINKS.records]
    root = ["--root", str(small_place.root)]
    run(words + root)
    assert capsys.readouterr().out == eval_results_yaml(*small, "eggroll", LINKS)
    run([*words, *root, "--model-index", "mine"])
    assert yaml.safe_load(capsys.readouterr().out)["model-index"][0]["name"] == "mine"
    with pytest.raises(SystemExit) as stop:
        main([*words[:2], "small/nobody", *words[3:], *root])
    assert stop.value.code == 2 and "no row 'nobody'; its rows: " in capsys.readouterr().err


def run(words):
    try:
        main(words)
    except SystemExit as stop:
        assert not stop.code
