import errno
import hashlib
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.errors import BadValue, EggymError
from eggym.files import canonical_json, sha256_file, sha256_json, write_bytes, write_json

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_canonical_json_of_a_known_value():
    # keys sorted, no spaces, the float's shortest repr, non-ASCII escaped, one newline
    assert canonical_json({"b": [1, None, 0.1], "a": "é"}) == '{"a":"\\u00e9","b":[1,null,0.1]}\n'


@given(plain)
def test_canonical_json_survives_a_round_trip_and_is_stable(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
    assert text.isascii()


def test_the_order_of_keys_does_not_change_the_hash():
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_its_place(bad):
    with pytest.raises(BadValue, match=r"points\[1\]\.mean"):
        canonical_json({"points": [{"mean": 1.0}, {"mean": bad}]})


def test_what_is_not_json_is_refused_by_its_place():
    with pytest.raises(BadValue, match=r"config\.path as JSON: .* is a set"):
        canonical_json({"config": {"path": {1}}})


def test_the_hash_of_a_file_is_sha256_of_its_bytes(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    assert sha256_file(tmp_path / "x.json") == hashlib.sha256(b'{"a":1}\n').hexdigest() == sha256_json({"a": 1})


def test_a_full_disk_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_json(path, {"old": 1})

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EggymError, match=r"no space left while writing .*record\.json") as caught:
        write_json(path, {"new": 2})
    assert "\n" not in str(caught.value)
    assert path.read_text() == '{"old":1}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_a_really_full_device_is_reported_the_same_way(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    (tmp_path / ".x.part").symlink_to("/dev/full")
    with pytest.raises(EggymError, match="no space left"):
        write_bytes(tmp_path / "x", b"1" * 100_000)
    assert not (tmp_path / "x").exists()


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(EggymError, match=r"cannot write .*nowhere"):
        write_json(tmp_path / "nowhere" / "x.json", 1)


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    (tmp_path / ".x.json.part").write_text("half a fi")
    write_json(tmp_path / "x.json", [1])
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
