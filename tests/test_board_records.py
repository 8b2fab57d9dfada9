"""Records on a board: what gets there, and what does not."""

import shutil

import boards
import pytest
from boards import NAME, edit_record, everything, folder_of

from eggym.errors import BadValue, UnknownName
from eggym.files import sha256_file
from eggym.leaderboards.adding import add, withdraw
from eggym.leaderboards.chain import extend, first_head
from eggym.leaderboards.collecting import collect
from eggym.leaderboards.names import record_name
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import read_entry
from eggym.leaderboards.writing import Submission, make_entry
from eggym.record import load_record
from eggym.replies import read_shard


@pytest.fixture
def place(small_place, tmp_path):
    """A copy of the small place, to be changed."""
    shutil.copytree(small_place.root, tmp_path / "leaderboards")
    return Place(tmp_path / "leaderboards")


@pytest.fixture
def runs(small_place):
    """The folder of the runs that the small place was made of."""
    return small_place.root.parent / "runs"


@pytest.fixture
def empty(small_place, tmp_path):
    """A place with the small board and no records."""
    shutil.copytree(small_place.root / "boards", tmp_path / "empty" / "boards")
    return Place(tmp_path / "empty")


# -- what gets there ------------------------------------------------------------------------------------------------


def test_what_was_added_is_whole_at_l1(place):
    found = collect(place, "small", thorough=True)
    assert found.ok and len(found.found) == len(boards.TASKS) * len(boards.LEARNERS) * len(boards.SEEDS)
    assert {standing.level for _, standing in found.found} == {1}


def test_a_record_holds_what_can_be_checked_and_says_what_it_leaves_out(place, runs):
    entry = read_entry(folder_of(place))
    run = runs / "tiny-programs-v0" / "eggroll" / "seed-0"
    for name in ("record.json", "measured.json", "config.json", "curve.csv", "evaluations.jsonl", "fitness.bin"):
        assert entry.content(name) == (run / name).read_bytes(), name
    assert "weights.safetensors" in entry.manifest.left_out
    assert entry.manifest.left_out.keys() | {"config.json"} <= {*load_record(run).files, "config.json"}
    assert (entry.manifest.by, entry.manifest.note) == ("a tester", "made for tests")


def test_a_row_is_found_by_its_learners_name_as_it_is_shown(small_place, tmp_path):
    assert len(small_place.named(f"{NAME}/random-reward:eggroll")) == 6
    assert small_place.named(f"{NAME}/random-reward:eggroll") == small_place.named(f"{NAME}/random-reward-eggroll")
    with pytest.raises(UnknownName, match=f"did you mean '{NAME}/eggroll'"):
        small_place.named(f"{NAME}/egroll")
    with pytest.raises(BadValue, match=r"no records lie in .*; stand in a copy of the repository"):
        Place(tmp_path).named(NAME)


def test_adding_again_adds_nothing(place, runs):
    before = everything(place.root)
    again = add(place, "small", [runs])
    assert not any(one.new for one in again) and everything(place.root) == before


def test_the_record_is_the_same_wherever_it_is_written(place, runs, tmp_path):
    board, _ = place.board("small")
    run = runs / "tiny-programs-v0" / "eggroll" / "seed-0"
    record = load_record(run)
    target = tmp_path / "again" / record_name(board, record, sha256_file(run / "record.json"))
    make_entry(target, board, run, record, boards.SAID)
    assert everything(target) == everything(folder_of(place))


def test_what_was_stopped_before_the_ledger_is_finished_by_the_same_command(place, runs):
    whole, lines = everything(place.root), place.ledger_path.read_bytes().splitlines(keepends=True)
    place.ledger_path.write_bytes(b"".join(lines[:-3]))
    shutil.rmtree(folder_of(place, "frozen", "tiny-orders", 2))
    assert not collect(place, "small").ok
    with pytest.raises(BadValue, match="give the same --by"):
        add(place, "small", [runs])
    add(place, "small", [runs], boards.SAID)
    assert collect(place, "small", thorough=True).ok
    assert everything(place.records) == {
        name.removeprefix("records/"): data for name, data in whole.items() if name.startswith("records/")
    }


def test_the_chain_is_over_what_was_said_in_training_too(place, runs):
    entry = read_entry(folder_of(place))
    run, link = runs / "tiny-programs-v0" / "eggroll" / "seed-0", entry.links[0]
    rows = read_shard(run, 0)
    assert extend(first_head(entry.record.id), rows) == link.head and link.episodes == len(rows)
    rows[3]["reward"] = 0.5
    assert extend(first_head(entry.record.id), rows) != link.head


# -- what does not --------------------------------------------------------------------------------------------------


def refused(place, *runs):
    before = everything(place.root) if place.root.exists() else {}
    with pytest.raises(BadValue) as problem:
        add(place, "small", runs)
    assert {k: v for k, v in everything(place.root).items() if not k.endswith(".lock")} == {
        k: v for k, v in before.items() if not k.endswith(".lock")
    }, "something was written"
    return str(problem.value)


def copy_of(runs, tmp_path, *left_out):
    """Copy the runs without some of them."""
    target = shutil.copytree(runs, tmp_path / "copied")
    for name in left_out:
        shutil.rmtree(target / name)
    return target


def test_a_missing_seed_is_refused(empty, runs, tmp_path):
    told = refused(empty, copy_of(runs, tmp_path, "tiny-orders-v0/eggroll/seed-1"))
    assert "eggroll: tiny-orders lacks seed 1" in told and "nothing was added" in told
    assert "name only the folders of runs that are meant" in told


@pytest.mark.parametrize("control", ["frozen", "random-reward-dr_grpo"])
def test_a_missing_control_is_refused(empty, runs, tmp_path, control):
    told = refused(empty, copy_of(runs, tmp_path, *(f"{task.split('/')[1]}/{control}" for task in boards.TASKS)))
    assert f"its control {control.replace('random-reward-', 'random-reward:')} is missing" in told


def test_a_missing_task_is_refused(empty, runs):
    assert "lacks seed 0, 1, 2" in refused(empty, runs / "tiny-orders-v0")


def test_a_run_that_was_changed_is_refused(empty, runs, tmp_path):
    copied = copy_of(runs, tmp_path)
    path = copied / "tiny-orders-v0" / "frozen" / "seed-0" / "evaluations.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"reward":0.0', b'"reward":1.0', 1))
    assert "was changed since the run was finished" in refused(empty, copied)


def test_a_repeat_with_another_outcome_is_refused(place, runs, tmp_path):
    """A run that was repeated until it won: one configuration and seed, and another result."""
    copied = copy_of(runs, tmp_path)
    edit_record(
        copied / "tiny-programs-v0" / "eggroll" / "seed-1", lambda record: record.update(weights_sha256="0" * 64)
    )
    told = refused(place, copied)
    assert "stands on the board with another outcome" in told and "the first time" in told


def test_two_outcomes_in_one_submission_are_refused(empty, runs, tmp_path):
    copied = copy_of(runs, tmp_path)
    again = shutil.copytree(copied / "tiny-programs-v0" / "eggroll" / "seed-1", copied / "again")
    edit_record(again, lambda record: record.update(weights_sha256="0" * 64))
    assert "another outcome" in refused(empty, copied)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: (r.update(seed=7), r["config"].update(seed=7)), "seed 7 is not one of the board's: 0, 1, 2"),
        (lambda r: r["config"]["eval"].update(items=9), "eval.items is 9, the board wants 8"),
        (lambda r: r["config"]["space"].update(targets="all"), "space.targets is 'all', the board wants"),
        (lambda r: r["config"].update(split="validation"), "split is 'validation', the board wants 'train'"),
        (lambda r: (r["model"].update(sha256="1" * 64), r["config"].update(model_sha256="1" * 64)), "model_sha256"),
        (lambda r: (r["task"].update(digest="1" * 64), r["config"].update(task_digest="1" * 64)), "task_digest"),
        (
            lambda r: (r["task"].update(id="eggym/guess-v0"), r["config"].update(task="eggym/guess-v0")),
            "task eggym/guess",
        ),
        (lambda r: r["learner"].update(kind="control"), "eggroll is of kind es, not control"),
    ],
    ids=["seed", "evaluation", "space", "split", "model", "task digest", "task", "kind"],
)
def test_what_is_not_by_the_rules_is_refused(place, runs, tmp_path, change, told):
    run = shutil.copytree(runs / "tiny-programs-v0" / "eggroll" / "seed-1", tmp_path / "run")
    edit_record(run, change)
    assert told in refused(place, run)


def test_two_records_under_one_seed_are_refused(place, runs, tmp_path):
    """Other settings of the learner make another run, of the same learner and seed."""
    run = shutil.copytree(runs / "tiny-programs-v0" / "eggroll" / "seed-1", tmp_path / "run")
    edit_record(run, lambda r: (r["learner"]["options"].update(sigma=0.5), r["config"]["options"].update(sigma=0.5)))
    told = refused(place, run)
    assert "eggroll: tiny-programs has several records of seed 1" in told


def test_a_withdrawn_row_is_not_filled_again_without_a_word(place, runs):
    gone = withdraw(place, ["small/dr_grpo"], "a mistake in the advantages")
    assert len(gone) == len(boards.TASKS) * len(boards.SEEDS)
    found = collect(place, "small")
    assert len(found.withdrawn) == len(gone) and found.withdrawn[0][1].reason == "a mistake in the advantages"
    assert all(path.exists() for path in place.named("small/dr_grpo"))
    with pytest.raises(BadValue, match="withdrawn already"):
        withdraw(place, ["small/dr_grpo"], "again")
    with pytest.raises(BadValue, match="needs a reason"):
        withdraw(place, ["small/eggroll"], " ")


def test_corrections_say_why(place, runs, tmp_path):
    withdraw(place, ["small/dr_grpo"], "a mistake in the advantages")
    copied = copy_of(runs, tmp_path)
    for task in boards.TASKS:
        for seed in boards.SEEDS:
            run = copied / task.split("/")[1] / "dr_grpo" / f"seed-{seed}"
            edit_record(run, lambda record: record.update(weights_sha256="0" * 64))
    assert "say why with --corrects" in refused(place, copied)
    add(place, "small", [copied], Submission(corrects="advantages mended"))
    found = collect(place, "small", thorough=True)
    assert found.ok and len(found.withdrawn) == 6
    assert {event.reason for event in found.ledger.events if event.kind == "added"} == {None, "advantages mended"}
