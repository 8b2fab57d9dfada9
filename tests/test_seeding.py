import random

import pytest

from eggym.seeding import key, keys, stream, streams


def test_a_prepared_prefix_changes_nothing():
    assert streams("item", "a/b", 3)("train", 5).random() == stream("item", "a/b", 3, "train", 5).random()
    assert keys("split", "ü")("say ü") == key("split", "ü", "say ü")
    assert streams("a")(12).random() != streams("a", 1)(2).random()


def test_names_are_not_joined():
    assert key("a", "b") != key("a/b")
    assert key(1) != key("1")
    assert key("a", 12) != key("a1", 2)


def test_streams_are_the_same_for_ever():
    # blake2b of "s4:itemi1:7" with 32 bytes, read as a little-endian number, seeds CPython's generator
    assert stream("item", 7).random() == 0.3071953385885908
    assert key("item", 7) == 977826896890093347


def test_the_global_generator_is_left_alone():
    before = random.getstate()
    stream("x").random()
    assert random.getstate() == before


def test_a_stream_needs_a_name():
    with pytest.raises(ValueError, match="at least one name"):
        stream()
