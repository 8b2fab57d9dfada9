"""A board that takes a user's own model has one table for each, and nothing is compared across them."""

import re

import pytest
from boards import NAME, TASKS, make_place

from eggym.leaderboards.board_site import build_site
from eggym.leaderboards.collecting import collect

pytestmark = pytest.mark.slow  # trains for half a minute
MODELS = ("embedded-v0", "embedded-v1")
LEARNERS = ("eggroll", "frozen", "random-reward:eggroll")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(
        tmp_path_factory.mktemp("models"), LEARNERS, models=MODELS, tasks=TASKS[:1], model={"name": "any"}
    )


def test_each_model_has_a_table_of_its_own(place):
    found = collect(place, NAME, thorough=True)
    assert found.ok
    tables = found.tables()
    assert [table.division.split()[0] for table in tables] == list(MODELS)
    assert [sorted(table.labels) for table in tables] == [sorted(LEARNERS)] * 2
    of = [{record.model.sha256 for label in table.labels for record in table.records(label)} for table in tables]
    assert [len(one) for one in of] == [1, 1] and of[0] != of[1]


def test_a_control_of_one_model_is_none_of_another(place):
    frozen = [entry for entry in place.entries(NAME) if entry.record.learner.name == "frozen"]
    dropped = [entry.folder for entry in frozen if entry.record.config["model"] == MODELS[1]]
    assert len(dropped) == 3
    held = [folder.rename(folder.with_name(f".{folder.name}")) for folder in dropped]  # hidden ones are no records
    try:
        found = collect(place, NAME)
        assert any(MODELS[1] in fault and "control frozen is missing" in fault for fault in found.row_faults)
    finally:
        for folder in held:
            folder.rename(folder.with_name(folder.name[1:]))


def test_a_page_of_two_tables_has_each_id_once_and_a_page_for_each_row(place, tmp_path):
    build_site(place, tmp_path / "site", [NAME])
    folder = tmp_path / "site" / NAME
    text = (folder / "index.html").read_text()
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    rows = set(re.findall(r'<th scope="row"><a href="([^"]+\.html)"', text))
    assert len(rows) == 2 * len(LEARNERS)
    assert rows == {path.name for path in folder.glob("*.html")} - {"index.html"}
    assert text.count('<table class="board">') == 2 and all(f"Standings: {model}" in text for model in MODELS)
