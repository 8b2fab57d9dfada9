"""Ranks and standardised rewards within the replies to one item."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eggym.digest import digest
from eggym.env import TextEnv
from eggym.envs.group import Ranked, ranks, standardised, within_groups
from eggym.envs.tiny_orders import TinyOrders
from eggym.errors import BadValue
from eggym.registry import load_task
from eggym.task import Exchange, Item, VerdictState

known = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=12)


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], []),
        ([5.0], [0.5]),
        ([None], [None]),
        ([5.0, None], [0.5, None]),  # a group of one that could be judged
        ([1.0, 2.0], [0.0, 1.0]),
        ([2.0, 2.0, 2.0], [0.5, 0.5, 0.5]),
        ([0.0, 1.0, 1.0, 7.0], [0.0, 0.5, 0.5, 1.0]),  # places 0, 1 and 2 shared, 3; over 3
        ([-1e30, 1e-30, 0.0], [0.0, 1.0, 0.5]),
    ],
)
def test_golden_ranks(values, want):
    assert ranks(values) == want


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], []),
        ([5.0], [0.0]),
        ([3.0, 3.0, None], [0.0, 0.0, None]),
        ([1.0, 3.0], [-1.0, 1.0]),
        ([0.0, 0.0, 3.0, 3.0], [-1.0, -1.0, 1.0, 1.0]),
        ([0.0] * 99 + [1.0], [-1 / math.sqrt(99)] * 99 + [3.0]),  # mean 0.01, spread sqrt(0.0099): 9.95, clipped
        ([0.1 + 0.2, 0.3], [0.0, 0.0]),  # rounding is no difference
    ],
)
def test_golden_standardised(values, want):
    assert standardised(values) == pytest.approx(want)


@given(known)
def test_ranks_average_a_half_and_keep_the_order(values):
    found = ranks(values)
    there = [rank for rank in found if rank is not None]
    assert [rank is None for rank in found] == [value is None for value in values]
    if there:
        assert sum(there) / len(there) == pytest.approx(0.5)
        assert min(there) >= 0 and max(there) <= 1
    pairs = [(value, rank) for value, rank in zip(values, found, strict=True) if value is not None]
    assert all((a < b) == (one < other) for a, one in pairs for b, other in pairs)


@given(known)
def test_standardised_values_are_bounded_and_centred(values):
    there = [value for value in standardised(values) if value is not None]
    assert all(abs(value) <= 3.0 for value in there)
    if there and max(map(abs, there)) < 3.0:
        assert sum(there) == pytest.approx(0.0, abs=1e-6)


def test_groups_are_told_by_the_item_object():
    one, other = Item("same"), Item("same")
    items = [one, other, one, other, one]
    assert within_groups(items, [1.0, 9.0, 2.0, 8.0, 3.0], ranks) == [0.0, 1.0, 0.5, 0.0, 1.0]


LENGTHS = """
import eggym

class Lengths(eggym.SingleTurnTask):
    id = "test/lengths-v0"
    max_new_tokens = 4
    stop = ("\\n",)

    def generate(self, rng, largest=1000):
        return eggym.Item(f"say {rng.randrange(largest)}")

    def score(self, item, reply):
        if reply == "fail":
            raise RuntimeError("no idea")
        return min(1.0, len(reply) / 10)
"""


@pytest.fixture
def ranked(tmp_path):
    path = tmp_path / "lengths.py"
    path.write_text(LENGTHS)
    return Ranked(str(path))


def judged(task, replies):
    item = task.item("train", 0)
    return task.judge_all([Exchange(item, reply) for reply in replies])


def test_replies_to_one_item_are_ranked_and_the_reward_is_kept_beside(ranked):
    verdicts = judged(ranked, ["a", "abc", "a", "ab"])
    # lengths 1, 3, 1, 2: places 0 and 1 shared, 3, shared, 2; over 3
    assert [one.reward for one in verdicts] == pytest.approx([1 / 6, 1.0, 1 / 6, 2 / 3])
    assert [one.parts for one in verdicts] == [{"true": each} for each in (0.1, 0.3, 0.1, 0.2)]


def test_what_cannot_be_judged_is_an_error_and_takes_no_place(ranked):
    verdicts = judged(ranked, ["a", "fail", "abc"])
    assert [one.reward for one in verdicts] == [0.0, None, 1.0]
    assert (verdicts[1].state, verdicts[1].why) == (VerdictState.ERROR, "score raised RuntimeError: no idea")


def test_a_group_of_one_is_neutral(ranked):
    assert judged(ranked, ["abc"])[0].reward == 0.5
    env = TextEnv(ranked)
    env.reset(seed=1)
    assert env.step("abc")[1] == 0.5


def test_items_settings_and_options_are_those_of_the_other_task():
    task, inner = load_task("ranked@task=tiny-orders"), TinyOrders()
    assert task.item("test", 3) == inner.item("test", 3)
    assert (task.stop, task.max_new_tokens, task.n_items("test")) == (inner.stop, inner.max_new_tokens, None)
    assert task.score(task.item("test", 3), inner.oracle(inner.item("test", 3))).parts == {"true": 1.0}
    assert task.oracle(task.item("test", 3)) == inner.oracle(inner.item("test", 3))


def test_options_go_to_the_other_task_and_into_the_digest(ranked):
    ref = ranked.difficulty["task"]
    few = Ranked(ref, largest=500)
    assert few.difficulty == {"task": ref, "largest": 500}
    assert all(int(few.item("train", index).prompt.split()[1]) < 500 for index in range(20))
    assert digest(few) != digest(ranked) == digest(Ranked(ref))
    with pytest.raises(BadValue, match="no option 'smallest'"):
        Ranked(ref, smallest=5)


@pytest.mark.parametrize("name", ["guess", "ranked"])
def test_what_cannot_be_ranked_is_refused(name):
    with pytest.raises(BadValue, match=f"task '{name}' cannot be ranked: it must have one turn"):
        Ranked(name)


def test_a_true_reward_stays_the_true_reward():
    task = load_task("ranked", task="probe-length")
    item = task.item("train", 0)
    (verdict,) = task.judge_all([Exchange(item, task.oracle(item))])
    assert verdict.parts == {"true": 1.0}
