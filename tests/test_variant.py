import json

import pytest

from eggym.config import RunConfig, resolve
from eggym.duel import DuelConfig, duel
from eggym.errors import UnknownName
from eggym.outcome import arrange
from eggym.registry import load_learner
from eggym.reopen import Whereabouts, reopen
from eggym.train import train
from eggym.variant import bare_name, sections, split_variant

QUICK = {
    "eval.items": 8, "eval.points": 1, "eval.drift": 0, "eggroll.population": 8, "eggroll.items": 4,
    "eggroll@t1.temperature": 1.0,
}  # fmt: skip
HALF = {"set": {"eggroll.sigma": 0.02, "eggroll.population": 8, "eggroll@t1.population": 4}}


@pytest.mark.parametrize(
    ("learner", "ref", "variant"),
    [
        ("eggroll", "eggroll", None),
        ("eggroll@t1", "eggroll", "t1"),
        ("random-reward:eggroll@t1", "random-reward:eggroll", "t1"),
        ("mine.py:SPEC@hot-2", "mine.py:SPEC", "hot-2"),
        ("/home/me@here/mine.py", "/home/me@here/mine.py", None),  # an address, no variant
        ("eggroll@", "eggroll@", None),
        ("@t1", "@t1", None),
    ],
)
def test_a_variant_stands_behind_the_last_at(learner, ref, variant):
    assert split_variant(learner) == (ref, variant)


def test_a_variant_is_set_by_the_learner_then_by_its_own_name():
    assert sections("eggroll@t1") == ("eggroll", "eggroll@t1")
    assert sections("random-reward:eggroll@t1", "random-reward:eggroll") == ("eggroll", "eggroll@t1")
    assert sections("mine.py@a", "mine") == ("mine.py", "mine", "mine.py@a", "mine@a")
    assert bare_name("random-reward:eggroll@t1") == "eggroll@t1"


@pytest.mark.parametrize("order", [1, -1])
def test_settings_are_inherited_and_overridden_whatever_their_order(order):
    given = dict(list(HALF["set"].items())[::order])
    options = {
        name: resolve(RunConfig("tiny-programs", name, set=given)).options
        for name in ("eggroll@t1", "random-reward:eggroll@t1")
    }
    for found in options.values():
        assert (found.sigma, found.population) == (0.02, 4)


def test_a_variant_leaves_the_learner_itself_alone():
    config = DuelConfig(("tiny-programs",), ("eggroll", "eggroll@t1", "random-reward:eggroll"), set=HALF["set"])
    populations = [resolve(config.run("tiny-programs", one, 0)).options.population for one in config.learner]
    assert populations == [8, 4, 8]


def test_a_variant_that_nobody_has_is_refused_with_the_sections_that_there_are():
    with pytest.raises(UnknownName, match=r"no setting 'eggroll@t2.sigma'; did you mean 'eggroll"):
        resolve(RunConfig("tiny-programs", "eggroll@t1", set={"eggroll@t2.sigma": 0.1}))
    absent = {"eggroll@t1.sigma": 0.1}  # a file for many, of which few take part
    assert resolve(RunConfig("tiny-programs", "eggroll", set=absent)).options.sigma == 0.04
    with pytest.raises(UnknownName, match="no option of eggroll 'sgma'; did you mean 'sigma'"):
        resolve(RunConfig("tiny-programs", "frozen", set={"eggroll@t1.sgma": 0.1}))
    with pytest.raises(UnknownName, match="no learner 'egroll'; did you mean 'eggroll'"):
        load_learner("egroll@t1")


def test_the_record_has_the_registered_name_and_the_variant_and_can_be_reopened(tmp_path):
    record = train("tiny-programs", "eggroll@t1", tmp_path / "run", budget="200episodes", set=QUICK)
    assert (record.learner.name, record.learner.variant, record.learner.label) == ("eggroll", "t1", "eggroll@t1")
    assert record.learner.options["temperature"] == 1.0 and record.config["variant"] == "t1"
    plan = reopen(tmp_path / "run", Whereabouts()).plan()  # refuses if the identity is another
    assert plan.label == "eggroll@t1"


@pytest.mark.slow
def test_two_variants_are_two_sides_of_one_duel(tmp_path):
    learners = ["eggroll", "eggroll@t1", "frozen"]
    done = duel("tiny-programs", learners, 1, tmp_path, budget="200episodes", set=QUICK)
    assert [side.label for side in arrange(done.records)[0].sides] == ["eggroll", "eggroll@t1", "frozen"]
    folders = sorted(path.parent.parent.name for path in tmp_path.rglob("record.json"))
    assert folders == ["eggroll", "eggroll-t1", "frozen"]
    assert "eggroll@t1" in done.report.read_text()
    temperatures = [record.learner.options.get("temperature") for record in done.records]
    assert temperatures == [0.0, 1.0, None]
    assert json.loads((tmp_path / "summary.json").read_text())["tasks"][0]["learners"][1]["learner"] == "eggroll@t1"
