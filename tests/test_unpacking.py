"""A packed file from a stranger unpacks to no more than a cap, whoever reads it."""

import gzip
import json
import tracemalloc

import pytest

from eggym import unpacking
from eggym.errors import BadValue
from eggym.replies import SHARDS, read_shard
from eggym.rows import load_rows
from eggym.unpacking import gunzipped

MANY = 64 << 20  # zeros, in 64 KiB


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    path = tmp_path_factory.mktemp("bomb") / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(MANY), 9, mtime=0))
    assert path.stat().st_size < MANY // 900
    return path


def read(path, most):
    with gunzipped(path, most) as content:
        return content.read()


@pytest.mark.parametrize("size", [0, 1, 4095, 4096])
def test_what_is_within_the_cap_is_whole(tmp_path, size):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a" * size))
    assert len(read(tmp_path / "x.gz", 4096)) == size


def test_one_byte_more_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a" * 4097))
    with pytest.raises(BadValue, match=r"x\.gz unpacks to more than 4096 bytes; .*unpack it and give that file"):
        read(tmp_path / "x.gz", 4096)


def test_members_that_follow_each_other_count_together(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"a" * 3000) * 2)
    with pytest.raises(BadValue, match="more than 4096 bytes"):
        read(tmp_path / "x.gz", 4096)
    assert read(tmp_path / "x.gz", 6000) == b"a" * 6000


def test_a_bomb_takes_no_more_memory_than_the_cap(bomb):
    tracemalloc.start()
    try:
        with pytest.raises(BadValue, match="more than 4096 bytes"):
            read(bomb, 4096)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_lines_come_one_by_one(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    with gunzipped(tmp_path / "x.gz") as content:
        assert list(content) == [b"one\n", b"two\n"]


@pytest.fixture
def small_cap(monkeypatch):
    monkeypatch.setattr(unpacking.gunzipped.__wrapped__, "__defaults__", (1 << 20,))


def test_rows_of_a_bomb_are_refused(bomb, small_cap):
    with pytest.raises(BadValue, match="unpacks to more than 1048576 bytes"):
        load_rows(bomb, "me/x-v0")


def test_replies_of_a_bomb_are_refused(bomb, small_cap, tmp_path):
    shard = tmp_path / SHARDS / "000003.jsonl.gz"
    shard.parent.mkdir()
    shard.write_bytes(bomb.read_bytes())
    with pytest.raises(BadValue, match="unpacks to more than 1048576 bytes"):
        read_shard(tmp_path, 3)
    shard.write_bytes(gzip.compress(json.dumps({"member": 0}).encode()))
    assert read_shard(tmp_path, 3) == [{"member": 0}]
