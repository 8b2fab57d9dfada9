"""Edited records and what strangers send: no byte can be changed unseen, and nothing harms whoever looks."""

import json
import os
import random
import shutil
import zlib

import pytest
from boards import folder_of, forge, reseal
from forger import write

from eggym.cli import main
from eggym.errors import BadValue
from eggym.files import canonical_json
from eggym.leaderboards.integrity import faults
from eggym.leaderboards.ledger import append
from eggym.leaderboards.packing import pack, read_plain, unpack
from eggym.leaderboards.place import Place
from eggym.leaderboards.stored import MANIFEST, read_entry
from eggym.leaderboards.verifying import verify


@pytest.fixture
def place(small_place, tmp_path):
    """A copy of the small place, to be changed."""
    shutil.copytree(small_place.root, tmp_path / "leaderboards")
    return Place(tmp_path / "leaderboards")


# -- what strangers send --------------------------------------------------------------------------------------------


def told_of(place, name="small"):
    found = verify(place, [name])
    assert not found[0].ok
    return "\n".join(found[0].faults)


def test_a_link_in_a_record_is_refused(place):
    folder = folder_of(place)
    (folder / "curve.csv").unlink()
    (folder / "curve.csv").symlink_to("/etc/passwd")
    assert "curve.csv is no plain file" in told_of(place)


def test_no_link_or_pipe_is_read_through(tmp_path):
    (tmp_path / "file").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")  # who opened it would wait for ever
    for name in ("link", "pipe"):
        with pytest.raises(BadValue, match=f"{name} is no plain file"):
            read_plain(tmp_path / name, name)
    assert read_plain(tmp_path / "file", "file") == b"secret"


def test_a_linked_record_is_refused(place, tmp_path):
    folder = folder_of(place)
    shutil.move(folder, tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadValue, match="is no folder"):
        verify(place, ["small"])


@pytest.mark.parametrize("name", ["../../../evil.py", "evil.py", "weights.pt", "record.json/../x"])
def test_a_manifest_with_a_strange_name_is_refused(place, name):
    folder = folder_of(place)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    reseal(folder, files={**files, name: files["record.json"]})
    assert "is no file of a record" in told_of(place)


def test_a_file_that_nobody_expects_is_refused(place):
    (folder_of(place) / "run.py").write_text("print('hello')")
    assert "run.py is no file of a record; take it away" in told_of(place)


def test_a_folder_in_a_record_is_refused(place):
    (folder_of(place) / "episodes").mkdir()
    assert "episodes is no plain file" in told_of(place)


def test_a_missing_file_is_refused(place):
    (folder_of(place) / "fitness.bin.xz").unlink()
    assert "fitness.bin.xz is missing" in told_of(place)


def test_a_training_episode_that_the_chain_does_not_count_is_missed(place):
    folder = folder_of(place)
    links = [json.loads(line) for line in (folder / "chain.jsonl").read_text().splitlines()]
    links[0]["episodes"] -= 1  # no head depends on it
    record = json.loads((folder / "record.json").read_text())
    write(folder, record, {"chain.jsonl": "".join(map(canonical_json, links)).encode()})
    assert "does not count the 32 training episodes" in faults(read_entry(folder), None)[0]


def test_a_bomb_is_not_unpacked():
    bomb = pack(b"0" * (16 << 20))
    assert len(bomb) < 20_000
    with pytest.raises(BadValue, match="does not hold the 1000 bytes"):
        unpack(bomb, 1000, "a bomb")
    with pytest.raises(BadValue, match="holds at most"):
        unpack(bomb, 1 << 40, "a bomb")
    with pytest.raises(BadValue, match="cannot be unpacked"):
        unpack(b"x" * 100, 1000, "noise")
    with pytest.raises(BadValue, match="does not hold"):
        unpack(pack(b"12") + b"tail", 2, "with a tail")


def test_a_file_that_is_too_large_is_not_read(place):
    with (folder_of(place) / "measured.json").open("r+b") as file:
        file.truncate(65 << 20)
    assert "measured.json has 68157440 bytes" in told_of(place)


def test_json_that_is_nested_too_deeply_is_refused(place):
    (folder_of(place) / MANIFEST).write_text("[" * 100_000)
    assert "manifest.json is not JSON" in told_of(place)


def test_a_newer_schema_is_refused_with_the_way_to_upgrade(place):
    reseal(folder_of(place), schema=2)
    assert "schema version 2, this eggym reads 1; install a newer eggym" in told_of(place)


def test_terminal_escapes_are_not_obeyed(place, capsys):
    reseal(folder_of(place), by="\x1b[2Jhello", files={"\x1b[2Jx": {"bytes": 1, "sha256": "0" * 64}})
    with pytest.raises(SystemExit) as stop:
        main(["board", "verify", "small", "--root", str(place.root)])
    out = capsys.readouterr()
    assert stop.value.code == 1 and "\x1b" not in out.out + out.err and "x1b[2J" in out.out


# -- edits ----------------------------------------------------------------------------------------------------------


def one_right(data):
    return data.replace(b'"reward":0.0', b'"reward":1.0', 1)


def last_reward(data):
    return data[:-5] + bytes([data[-5] ^ 0x3F]) + data[-4:]


@pytest.mark.parametrize(("name", "change"), [("evaluations.jsonl", one_right), ("fitness.bin", last_reward)])
def test_an_edit_is_found_though_the_manifest_was_made_right(place, name, change):
    """Without the ledger, too."""
    folder = folder_of(place)
    forge(folder, name, change, also_record=False)
    assert f"{name} is not the file that record.json names" in faults(read_entry(folder), None)[0]


def test_a_reward_edited_in_the_items_is_found_though_every_digest_was_made_right(place):
    folder = folder_of(place)
    forge(folder, "evaluations.jsonl", one_right)
    assert (
        "evaluations.jsonl: greedy replies of point 0 do not give the record's" in faults(read_entry(folder), None)[0]
    )


def test_a_reply_edited_in_the_items_is_found_though_every_digest_was_made_right(place):
    folder = folder_of(place)
    forge(folder, "evaluations.jsonl", lambda data: data.replace(b'"reply":"', b'"reply":"x', 1))
    assert "chain.jsonl does not follow from the replies" in faults(read_entry(folder), None)[0]


def test_a_fitness_edited_in_the_log_is_found_though_every_digest_was_made_right(place):
    folder = folder_of(place)

    def crc_too(data):
        body = last_reward(data)[:-4]
        start = body.rindex(b"EGFT")
        return body + zlib.crc32(body[start:]).to_bytes(4, "little")

    forge(folder, "fitness.bin", crc_too)
    assert "fitness.bin: the mean reward of step" in faults(read_entry(folder), None)[0]


def test_a_record_that_was_made_right_everywhere_is_still_not_the_one_that_was_added(place):
    folder = folder_of(place)
    reseal(folder, note="better than it is")
    assert "manifest.json is not the one that was added" in told_of(place)


def test_lines_of_the_ledger_cannot_be_changed_or_taken_out(place):
    whole = place.ledger_path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for broken in (
        b"".join(lines[1:]),
        b"".join(lines[:3] + lines[4:]),
        b"".join([lines[1], lines[0], *lines[2:]]),
        whole[:-1],
        whole.replace(b'"ok":true', b'"ok":false', 1),
        whole + b"{}\n",
    ):
        place.ledger_path.write_bytes(broken)
        with pytest.raises(BadValue, match=r"was changed|whole line|no line"):
            place.ledger()
    place.ledger_path.write_bytes(b"".join(lines[:-1]))  # the last may be missing: then its record is not in it
    assert "is not in the ledger" in told_of(place)


def test_a_check_counts_only_for_what_was_checked(place):
    folder = folder_of(place)
    entry = read_entry(folder)
    line = {"kind": "regraded", "record": entry.name, "manifest_sha256": entry.manifest_sha256}
    append(place.ledger_path, [{**line, "manifest_sha256": "0" * 64}])
    assert place.ledger().checked(entry.name, entry.manifest_sha256) == {}
    append(place.ledger_path, [line])
    assert set(place.ledger().checked(entry.name, entry.manifest_sha256)) == {"regraded"}


def test_every_single_byte_edit_is_caught_at_l1(place):
    """At least 500 edits over all files of three records, the first and last bytes of each file among them."""
    rng, n_edits = random.Random(0), 0
    ledger = place.ledger()
    for learner in ("eggroll", "dr_grpo", "frozen"):
        folder = folder_of(place, learner)
        for path in sorted(folder.iterdir()):
            whole = path.read_bytes()
            at = {0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(19))}
            for offset in sorted(at):
                data = bytearray(whole)
                data[offset] ^= 1 << rng.randrange(8)
                path.write_bytes(data)
                n_edits += 1
                assert caught(folder, ledger), f"{path.name}, byte {offset}: {whole[offset]} -> {data[offset]}"
            path.write_bytes(whole)
        assert not caught(folder, ledger)
    assert n_edits >= 500


def caught(folder, ledger):
    try:
        return faults(read_entry(folder), ledger)
    except BadValue as problem:
        return [str(problem)]
