"""The ledger on its own: what it tells of damage, and how it grows."""

import json
import threading

import pytest

from eggym.errors import BadValue
from eggym.leaderboards import ledger as ledger_module
from eggym.leaderboards.ledger import Ledger, append

LINE = {"kind": "added", "record": "small/x/run", "manifest_sha256": "0" * 64}


@pytest.fixture
def path(tmp_path):
    """A ledger of three lines."""
    append(tmp_path / "ledger.jsonl", [{**LINE, "record": f"small/x/run-{number}"} for number in range(3)])
    return tmp_path / "ledger.jsonl"


def test_lines_follow_from_those_before_whoever_writes_them(path):
    before = path.read_bytes()
    append(path, [LINE])
    append(path, [LINE, LINE])
    assert path.read_bytes().startswith(before)
    events = Ledger(path).events
    assert [event.number for event in events] == list(range(6))
    assert [event.before for event in events[1:]] == [event.sha256 for event in events[:-1]]


def test_many_who_write_at_once_lose_no_line(path):
    writers = [threading.Thread(target=append, args=(path, [LINE] * 5)) for _ in range(8)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert len(Ledger(path).events) == 3 + 8 * 5


def test_appending_looks_at_the_last_line_and_at_no_other(path, monkeypatch):
    seen, real = [], ledger_module._parsed
    monkeypatch.setattr(ledger_module, "_parsed", lambda *words: seen.append(words[1]) or real(*words))
    append(path, [LINE])
    assert seen == [2]


CONFLICT = b"<<<<<<< HEAD\n%s\n=======\n%s\n>>>>>>> mine\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data + CONFLICT % (b"{}", b"{}"), "both sides of a git merge; take the file of the branch"),
        (lambda data: data.replace(b"\n", b"\r\n"), "other line ends"),
        (lambda data: b"\xef\xbb\xbf" + data, "a mark at its start"),
        (lambda data: data[:-20], "does not end with a whole line"),
        (lambda data: data + b"\n", "line 4, is no line of a ledger"),
        (lambda data: data + b"[" * 100_000 + b"\n", "line 4, is no line of a ledger"),
        (lambda data: data + b"1" * 5000 + b"\n", "line 4, is no line of a ledger"),
        (lambda data: data + data.splitlines(keepends=True)[-1], "line 4, was changed"),
        (lambda data: data.replace(b'"ok":true', b'"ok":false,"ok":true'), "line 1, was changed"),
        (lambda data: data.replace(b"{", b"{ ", 1), "line 1, was changed"),
    ],
    ids=["merge", "line ends", "mark", "torn", "empty line", "deep", "long", "repeated", "name twice", "spaces"],
)
def test_damage_is_told_with_the_way_out(path, change, told):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BadValue, match=told):
        Ledger(path)


def test_nothing_is_appended_to_a_damaged_end(path):
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole.replace(b"run-2", b"run-9"), whole + b"<<<<<<< HEAD\n"):
        path.write_bytes(damaged)
        with pytest.raises(BadValue):
            append(path, [LINE])
        assert path.read_bytes() == damaged


def test_a_link_is_no_ledger_even_to_nowhere(tmp_path):
    (tmp_path / "ledger.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadValue, match="is no plain file"):
        Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(BadValue, match="is no plain file"):
        append(tmp_path / "ledger.jsonl", [LINE])


def test_what_happened_to_a_record_is_found_among_others(path):
    append(path, [{**LINE, "record": "small/x/run-1", "kind": "withdrawn", "reason": "a mistake"}])
    ledger = Ledger(path)
    assert [event.kind for event in ledger.of("small/x/run-1")] == ["added", "withdrawn"]
    assert ledger.withdrawn("small/x/run-1").reason == "a mistake" and ledger.withdrawn("small/x/run-0") is None
    assert json.loads(path.read_bytes().splitlines()[-1])["number"] == 3
