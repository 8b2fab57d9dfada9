import errno
import os
import struct
import zlib

import numpy as np
import pytest

from eggym.errors import BadValue, EggymError
from eggym.fitness import FitnessLog

NAN = float("nan")


def rewards(*values, shape):
    return np.array(values, dtype=np.float32).reshape(shape)


@pytest.fixture
def log(tmp_path):
    log = FitnessLog(tmp_path / "fitness.bin")
    log.append(0, [7, 9], rewards(0, 1, 0.5, NAN, shape=(2, 2, 1)))
    log.append(1, [2], rewards(1, 0, 1, 1, shape=(2, 1, 2)))
    log.append(2, [3, 4], rewards(0, 0, 0, 1, shape=(2, 2, 1)))
    return log


def steps(log):
    return [found.step for found in log.read()]


def test_the_bytes_of_a_known_entry(tmp_path):
    log = FitnessLog(tmp_path / "f")
    log.append(5, [258], rewards(1.0, shape=(1, 1, 1)))
    data = log.path.read_bytes()
    # magic, version 1, step 5, N = P = G = 1
    assert data[:28] == b"EGFT" + struct.pack("<IQIII", 1, 5, 1, 1, 1)
    # then 4 bytes of CRC, item 258 = 0x0102 in 8 bytes, 1.0 = 0x3f800000 in 4, and 4 bytes of CRC
    assert data[32:44] == bytes([2, 1, 0, 0, 0, 0, 0, 0]) + bytes([0, 0, 0x80, 0x3F])
    assert len(data) == 48


def test_what_was_appended_is_read_back(log):
    first, second, _ = log.read()
    assert (first.step, first.item_indices_P.tolist()) == (0, [7, 9])
    np.testing.assert_array_equal(first.rewards_N_P_G, rewards(0, 1, 0.5, NAN, shape=(2, 2, 1)))
    assert second.rewards_N_P_G.shape == (2, 1, 2)
    assert second.rewards_N_P_G.dtype == np.float32


def test_a_missing_file_is_an_empty_log(tmp_path):
    assert FitnessLog(tmp_path / "none").read() == []


def test_every_nan_is_written_as_the_same_bits(tmp_path):
    odd = np.array([0x7FC00123], dtype=np.uint32).view(np.float32).reshape(1, 1, 1)
    FitnessLog(tmp_path / "a").append(0, [1], odd)
    FitnessLog(tmp_path / "b").append(0, [1], rewards(NAN, shape=(1, 1, 1)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_log_cut_at_any_byte_gives_the_whole_steps_before_and_goes_on(log, tmp_path):
    data = log.path.read_bytes()
    ends = [0, 28 + 4 + 2 * 8 + 4 * 4 + 4, 0, len(data)]
    ends[2] = ends[1] + 28 + 4 + 8 + 4 * 4 + 4
    for length in range(len(data) + 1):
        torn = FitnessLog(tmp_path / "torn.bin")
        torn.path.write_bytes(data[:length])
        whole = sum(length >= end for end in ends[1:])
        assert steps(torn) == list(range(whole)), length
        torn.append(9, [1], rewards(1, shape=(1, 1, 1)))
        assert steps(torn) == [*range(whole), 9], length


def test_a_tail_of_zeros_is_a_torn_tail(log):
    # what some file systems leave when the size reached the disk and the data did not
    with log.path.open("ab") as file:
        file.write(bytes(57))
    assert steps(log) == [0, 1, 2]


def test_any_flipped_byte_before_the_last_entry_is_an_error_that_names_the_step(log):
    data = log.path.read_bytes()
    last = len(data) - (28 + 4 + 2 * 8 + 4 * 4 + 4)
    for place in range(last):
        broken = bytearray(data)
        broken[place] ^= 0x40
        log.path.write_bytes(broken)
        with pytest.raises(BadValue, match=r"damaged (after step 0|at the first step)|damaged .*before step"):
            log.read()


def test_damage_in_the_second_step_is_said_to_follow_the_first(log):
    data = bytearray(log.path.read_bytes())
    data[68 + 45] ^= 1
    log.path.write_bytes(data)
    with pytest.raises(BadValue, match=r"damaged after step 0 \(byte 68\), before step 2; restore it"):
        FitnessLog(log.path).append(3, [1], rewards(1, shape=(1, 1, 1)))


def test_an_unknown_format_version_is_refused(log):
    head = struct.pack("<4sIQIII", b"EGFT", 2, 0, 0, 0, 0)
    log.path.write_bytes(head + struct.pack("<I", zlib.crc32(head)))
    with pytest.raises(BadValue, match="format version 2, this eggym reads 1"):
        log.read()


def test_truncating_keeps_the_first_steps_and_allows_them_again(log):
    before = log.path.read_bytes()
    log.truncate(1)
    assert steps(log) == [0]
    log.append(1, [2], rewards(1, 0, 1, 1, shape=(2, 1, 2)))
    log.append(2, [3, 4], rewards(0, 0, 0, 1, shape=(2, 2, 1)))
    assert log.path.read_bytes() == before
    log.truncate(0)
    assert log.path.read_bytes() == b""


def test_keeping_more_steps_than_there_are_is_refused(log):
    with pytest.raises(BadValue, match="holds 3 whole steps, cannot keep 4"):
        log.truncate(4)


def test_a_step_cannot_be_written_twice(log):
    for same in (log, FitnessLog(log.path)):
        with pytest.raises(BadValue, match="ends with step 2, got step 2"):
            same.append(2, [1], rewards(1, shape=(1, 1, 1)))


@pytest.mark.parametrize(
    ("indices", "values", "message"),
    [
        ([1, 2], rewards(1, shape=(1, 1, 1)), r"got \(1, 1, 1\) for \(2,\) items"),
        ([1], rewards(1, shape=(1, 1)), "members x items x replies"),
        ([1], rewards(np.inf, shape=(1, 1, 1)), "rewards of step 3 must be finite"),
    ],
)
def test_what_cannot_be_a_step_is_refused(log, indices, values, message):
    with pytest.raises(BadValue, match=message):
        log.append(3, indices, values)
    assert steps(log) == [0, 1, 2]


def test_a_full_disk_is_one_line_and_the_next_append_mends_the_tail(log, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    size = log.path.stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(EggymError, match="no space left while writing"):
            log.append(3, [1], rewards(1, shape=(1, 1, 1)))
    with log.path.open("r+b") as file:  # only a part of it reached the disk
        file.truncate(size + 20)
    log.append(3, [1], rewards(1, shape=(1, 1, 1)))
    assert steps(log) == [0, 1, 2, 3]
