"""What a record names is looked up, and never run on its word."""

import pytest
from boards import edit_record
from test_replay import train

from eggym.errors import BadValue, UnknownName
from eggym.recorded import recorded_learner, recorded_task
from eggym.replay import replay

TRAP = "from pathlib import Path\nPath({!r}).touch()\n"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A file and module that leave a mark when they are run."""
    mark = tmp_path / "mark"
    (tmp_path / "trap.py").write_text(TRAP.format(str(mark)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield mark
    assert not mark.exists()


REFERENCES = ("trap.py", "./trap.py", "trap.py:T", "trap:T", "trap.py@x=1", "eggym/exam-v0@task=trap.py")


@pytest.mark.parametrize("ref", REFERENCES)
def test_a_record_names_no_code_of_a_task(trap, ref):
    with pytest.raises(UnknownName, match="no task"):
        recorded_task(ref, {})


@pytest.mark.parametrize("ref", [*REFERENCES, "exam@task=a@task=trap.py", "./a@b/trap.py@task=1"])
@pytest.mark.parametrize("wrap", [lambda ref: ref, lambda ref: [ref], lambda ref: {"deep": [ref]}])
def test_nor_does_an_option(trap, ref, wrap):
    with pytest.raises(BadValue, match=r"the record's option task of task 'eggym/exam-v0' names code.*--task"):
        recorded_task("eggym/exam-v0", {"task": wrap(ref)})


def test_plain_options_are_those_of_the_record():
    task = recorded_task("eggym/exam-v0", {"turns": 3, "task": "eggym/tiny-arithmetic-v0"})
    assert task.difficulty == {"turns": 3, "task": "eggym/tiny-arithmetic-v0"}


def test_what_the_person_who_looks_gives_is_run(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from eggym import Item, SingleTurnTask\n"
        "class Mine(SingleTurnTask):\n"
        "    id = 'me/mine-v0'\n"
        "    def generate(self, rng):\n        return Item(str(rng.random()), truth='1')\n"
        "    def score(self, item, reply):\n        return 0.0\n"
    )
    assert recorded_task("me/mine-v0", {}, str(file)).id == "me/mine-v0"
    code = {"task": str(file)}
    given = recorded_task("eggym/exam-v0", code, f"exam@task={file}")  # an option of one's own goes before
    assert given.inner.id == "me/mine-v0"


@pytest.mark.parametrize("wrapper", ["", "random-reward:"])
@pytest.mark.parametrize("ref", ["trap.py", "trap.py:SPEC", "trap:SPEC", "trap.py@eggroll"])
def test_a_record_names_no_code_of_a_learner(trap, wrapper, ref):
    with pytest.raises(UnknownName, match="no learner"):
        recorded_learner(wrapper + ref)


def test_a_learner_is_known_by_its_name_and_variant():
    assert recorded_learner("eggroll@mine").name == "eggroll"
    assert recorded_learner("random-reward:eggroll").name == "random-reward:eggroll"


def test_replay_runs_no_file_that_a_record_names(trap, tmp_path):
    def forge(record):
        record["config"]["learner"] = record["learner"]["name"] = "trap.py"

    edit_record(train(tmp_path / "run"), forge)
    with pytest.raises(UnknownName, match=r"no learner 'trap\.py'.*say where it is with --learner FILE"):
        replay(tmp_path / "run")


def test_spot_checks_run_no_file_that_a_record_names(trap, tmp_path):
    def forge(record):
        record["config"]["difficulty"] = record["task"]["difficulty"] = {"task": "trap.py"}

    edit_record(train(tmp_path / "run"), forge)
    with pytest.raises(BadValue, match=r"names code, 'trap\.py'"):
        replay(tmp_path / "run", spot=1)
