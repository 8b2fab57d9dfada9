"""Adding that is stopped, doubled or done by two at once, and folders that lie where they should not."""

import os
import shutil
from pathlib import Path

import boards
import pytest
from boards import everything, folder_of, reseal

from eggym import lock
from eggym.cli import main
from eggym.errors import BadValue
from eggym.leaderboards import writing
from eggym.leaderboards.adding import add, withdraw
from eggym.leaderboards.collecting import collect
from eggym.leaderboards.place import Place
from eggym.lock import alone


@pytest.fixture
def empty(small_place, tmp_path):
    """A place with the small board and no records."""
    shutil.copytree(small_place.root / "boards", tmp_path / "leaderboards" / "boards")
    return Place(tmp_path / "leaderboards")


@pytest.fixture
def frozen(small_place, tmp_path):
    """Runs of the control that may stand alone."""
    found = [small_place.root.parent / "runs" / task.partition("/")[2] / "frozen" for task in boards.TASKS]
    return [Path(shutil.copytree(path, tmp_path / "runs" / path.parts[-2])) for path in found]


@pytest.fixture
def whole(small_place, tmp_path):
    """A copy of the small place, to be changed."""
    shutil.copytree(small_place.root, tmp_path / "whole")
    return Place(tmp_path / "whole")


class Killed(BaseException):
    """What no handler of errors sees."""


@pytest.mark.slow
def test_adding_that_is_killed_at_any_write_is_finished_by_the_same_command(empty, frozen, monkeypatch):
    add(empty, "small", frozen)
    wanted = everything(empty.records)
    n_writes = 0
    for n_before in range(0, 60, 7):
        shutil.rmtree(empty.records)
        empty.ledger_path.unlink()
        n_writes += kill_at(n_before, monkeypatch, lambda: add(empty, "small", frozen))
        add(empty, "small", frozen)
        assert everything(empty.records) == wanted
        assert collect(empty, "small", thorough=True).ok
    assert n_writes >= 6  # else nothing was killed


def kill_at(n_before, monkeypatch, act):
    """Act, and die at the write after ``n_before``; return whether it came to that."""
    seen, replace, rename = [], os.replace, Path.rename

    def counted(real):
        def call(*words):
            seen.append(words)
            if len(seen) > n_before:
                raise Killed
            return real(*words)

        return call

    monkeypatch.setattr(os, "replace", counted(replace))
    monkeypatch.setattr(Path, "rename", counted(rename))
    monkeypatch.setattr(shutil, "rmtree", lambda *words, **named: None)  # a killed process clears nothing up
    try:
        act()
    except Killed:
        return 1
    finally:
        monkeypatch.undo()
    return 0


def test_of_two_who_add_at_once_one_waits(empty, frozen, monkeypatch):
    monkeypatch.setattr(lock, "_LOCK_TRIES", 1)
    with alone(empty.records), pytest.raises(BadValue, match="another process"):
        add(empty, "small", frozen)
    assert not empty.ledger_path.exists()


def test_a_run_that_is_given_twice_is_one_record_and_one_line(empty, frozen, tmp_path):
    again = shutil.copytree(frozen[0], tmp_path / "again")
    add(empty, "small", [*frozen, again, tmp_path / "runs" / ".." / "again"])
    lines = [event.record for event in empty.ledger().events]
    assert len(lines) == len(set(lines)) == len(boards.TASKS) * len(boards.SEEDS)


@pytest.mark.slow
def test_a_folder_that_lies_there_is_taken_only_if_it_is_the_one(whole, small_place):
    runs = small_place.root.parent / "runs"
    whole.ledger_path.unlink()
    folder = folder_of(whole, "frozen", "tiny-orders", 2)
    reseal(folder, note="better than it is")
    with pytest.raises(BadValue, match="is not what this run makes"):
        add(whole, "small", [runs], boards.SAID)
    assert not whole.ledger_path.exists()
    shutil.rmtree(folder)
    add(whole, "small", [runs], boards.SAID)
    assert collect(whole, "small", thorough=True).ok


def test_what_was_withdrawn_does_not_come_back(whole, small_place):
    withdraw(whole, ["small/dr_grpo"], "trained on test items")
    with pytest.raises(BadValue, match=r"was withdrawn \(trained on test items\) and does not come back"):
        add(whole, "small", [small_place.root.parent / "runs"], writing.Submission(corrects="it was fine"))


def test_a_board_of_the_same_name_elsewhere_is_not_this_one(empty, frozen, tmp_path):
    other = shutil.copytree(empty.root / "boards", tmp_path / "other")
    with pytest.raises(BadValue, match=r"small.yaml is not the board 'small' of .*, which is"):
        add(empty, str(other / "small.yaml"), frozen)
    (empty.root / "boards" / "small.yaml").unlink()
    with pytest.raises(BadValue, match="put it and what is pinned into"):
        add(empty, str(other / "small.yaml"), frozen)
    assert not empty.records.exists()


def test_a_record_lies_in_the_folder_that_is_named_for_it(whole):
    folder = folder_of(whole)
    folder.rename(folder.parent / "tiny-programs-v0-seed-0-000000000000")
    found = collect(whole, "small", thorough=True)
    assert not found.ok and any("is not in the ledger" in fault for one in found.refused for fault in one.faults)
    line = {"kind": "added", "record": found.refused[0].name}
    from eggym.leaderboards.ledger import append
    from eggym.leaderboards.stored import read_entry

    sha256 = read_entry(whole.records / found.refused[0].name).manifest_sha256
    append(whole.ledger_path, [{**line, "manifest_sha256": sha256}])
    found = collect(whole, "small", thorough=True)
    assert "by what it holds its folder is small/eggroll/tiny-programs-v0-seed-0-" in found.refused[0].faults[0]


def test_a_record_of_a_board_is_no_run(whole):
    """What is said of a run that lacks a file, to delete its folder, would be bad advice here."""
    with pytest.raises(BadValue, match="is a record of a board, and no run"):
        add(whole, "small", [whole.records / "small" / "frozen"])


def test_a_misspelt_folder_is_not_one_in_which_nothing_is_wrong(tmp_path, capsys):
    for words in (["--root", str(tmp_path / "leaderbords")], ["--root", str(tmp_path), "--spot", "-1"]):
        with pytest.raises(SystemExit) as stop:
            main(["board", "verify", *words])
        assert stop.value.code == 2
    assert "there is no folder" in capsys.readouterr().err
