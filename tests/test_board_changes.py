"""What a submission may change: it adds records and lines, and brings no rules of its own."""

import json
import shutil
import subprocess

import pytest
from boards import folder_of

from eggym.cli import main
from eggym.errors import BadValue
from eggym.leaderboards.adding import withdraw
from eggym.leaderboards.changes import changed_since
from eggym.leaderboards.ledger import append
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import read_entry


@pytest.fixture
def place(small_place, tmp_path):
    """A copy of the small place, to be changed."""
    shutil.copytree(small_place.root, tmp_path / "leaderboards")
    return Place(tmp_path / "leaderboards")


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def test_a_submission_may_add_and_nothing_else(place):
    git(place.root, "init", "-q")
    dropped = folder_of(place, "frozen")
    kept = shutil.move(dropped, place.root.parent / "kept")
    git(place.root, "add", ".")
    git(place.root, "commit", "-qm", "before")
    assert changed_since(place, "HEAD").records == []
    shutil.move(kept, dropped)
    assert changed_since(place, "HEAD").records == [dropped]
    ledger = place.ledger_path.read_bytes()
    place.ledger_path.write_bytes(ledger[:-10])
    with pytest.raises(BadValue, match="was not only appended to"):
        changed_since(place, "HEAD")
    place.ledger_path.write_bytes(ledger)
    (folder_of(place) / "curve.csv").write_text("")
    with pytest.raises(BadValue, match=r"curve\.csv was changed since HEAD"):
        changed_since(place, "HEAD")
    with pytest.raises(BadValue, match=r"no commit or branch 'no-such-branch' .* fetch it"):
        changed_since(place, "no-such-branch")


@pytest.fixture
def committed(place):
    """The small place as a commit."""
    git(place.root, "init", "-q")
    git(place.root, "add", ".")
    git(place.root, "commit", "-qm", "before")
    return place


@pytest.mark.parametrize("name", ["boards/small.yaml", "boards/pinned/small.json"])
def test_the_rules_of_a_board_with_records_are_not_changed_by_who_is_judged(committed, name):
    path = committed.root / name
    path.write_text(path.read_text().replace("32episodes", "9999episodes"))
    with pytest.raises(BadValue, match=rf"{name} was changed since HEAD, and records stand on that board"):
        changed_since(committed, "HEAD")
    path.unlink()
    with pytest.raises(BadValue, match=rf"{name} was taken out since HEAD"):
        changed_since(committed, "HEAD")


def test_a_board_without_records_may_be_new_or_changed(committed):
    other = committed.root / "boards" / "other.yaml"
    other.write_text("a: 1")
    git(committed.root, "add", ".")
    git(committed.root, "commit", "-qm", "another board")
    other.write_text("a: 2")
    assert changed_since(committed, "HEAD").records == [] and changed_since(committed, "HEAD~1").records == []


def test_what_the_ledger_says_of_others_is_told(committed, capsys):
    """A stranger may withdraw the rows of others, or call a row verified: the form is right, so somebody has to see."""
    withdraw(committed, ["small/eggroll"], "mine is better")
    entry = read_entry(folder_of(committed, "dr_grpo"))
    line = {"record": entry.name, "manifest_sha256": entry.manifest_sha256}
    append(committed.ledger_path, [{**line, "kind": "rerun"}, {**line, "kind": "regraded", "ok": False}])
    notes = changed_since(committed, "HEAD").notes
    assert len(notes) == 6 + 2 and "the ledger withdraws small/eggroll/" in notes[0] and notes[0].endswith("better")
    assert f"the ledger says that {entry.name} was rerun; who doubts it" in notes[6] and "did not agree" in notes[7]
    with pytest.raises(SystemExit) as stop:
        main(["board", "verify", "--changed", "HEAD", "--json", "--root", str(committed.root)])
    assert not stop.value.code
    told = capsys.readouterr()
    assert json.loads(told.out) == [] and told.err.count("note: ") == 8


def test_additions_alone_need_no_note(place):
    lines = place.ledger_path.read_bytes().splitlines(keepends=True)
    folders = sorted(place.records / json.loads(line)["record"] for line in lines[-2:])
    kept = [shutil.move(folder, place.root.parent / folder.name) for folder in folders]
    place.ledger_path.write_bytes(b"".join(lines[:-2]))
    git(place.root, "init", "-q")
    git(place.root, "add", ".")
    git(place.root, "commit", "-qm", "before")
    for one, folder in zip(kept, folders, strict=True):
        shutil.move(one, folder)
    place.ledger_path.write_bytes(b"".join(lines))
    found = changed_since(place, "HEAD")
    assert found.records == folders and found.notes == []


def test_a_ledger_that_was_damaged_behind_its_end_is_no_submission(committed):
    with committed.ledger_path.open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(BadValue, match="is no line of a ledger"):
        changed_since(committed, "HEAD")


def test_no_option_reaches_git(committed):
    with pytest.raises(BadValue, match="is an option of git"):
        changed_since(committed, f"--output={committed.root / 'pwned'}")
    assert not (committed.root / "pwned").exists()


def test_a_file_whose_name_is_no_text_is_told(committed):
    with (committed.root / "records" / "small").joinpath("a\nb\udcff").open("w") as file:
        file.write("x")
    found = changed_since(committed, "HEAD")
    assert len(found.records) == 1  # which is no record, as every way to look at it says
    with pytest.raises(BadValue, match="no folder"):
        Place(committed.root).named("small")


@pytest.mark.parametrize(
    ("words", "said"), [(["--spot", "-1"], "--spot"), (["--root", "nowhere"], "no folder 'nowhere'")]
)
def test_an_option_out_of_its_range_is_one_line(place, capsys, words, said):
    before = place.ledger_path.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["board", "verify", "small", "--root", str(place.root), *words])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and said in told and "Traceback" not in told
    assert place.ledger_path.read_bytes() == before
