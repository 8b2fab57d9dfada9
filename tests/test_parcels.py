"""Parcels: a step in pieces is the step, whoever plays which."""

from types import SimpleNamespace

import numpy as np
import pytest

from eggym.askable import prepared
from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue
from eggym.frames import Frame
from eggym.gist import read_gist, told
from eggym.parcels import cut, joined, play
from eggym.replies import shard_text
from eggym.training_items import training_item
from eggym.usage import sandboxed


@pytest.mark.parametrize(
    ("n_members", "together", "n", "sizes"),
    [(64, 2, 8, [8] * 8), (10, 2, 3, [2, 4, 4]), (6, 2, 100, [2, 2, 2]), (5, 1, 2, [2, 3]), (1, 1, 8, [1])],
)
def test_parcels_are_as_equal_as_can_be_and_twins_stay_together(n_members, together, n, sizes):
    parcels = cut(SimpleNamespace(n_members=n_members, n_together=together), n)
    assert [len(one) for one in parcels] == sizes
    assert [member for one in parcels for member in one] == list(range(n_members))
    assert all(one.start % together == 0 for one in parcels)


def plan_of(coupling="shared", temperature=1.0, **more):
    settings = {"eggroll.population": 12, "eggroll.items": 3, "eggroll.replies": 2, "eggroll.coupling": coupling}
    settings |= {"eggroll.temperature": temperature, **more}
    return resolve(RunConfig("tiny-programs", "eggroll", device="cpu", dtype="float32", set=settings))


def played(plan, members=None):
    views, meter = prepared(plan).ask(0), Meter(FlopModel.of(plan.policy.model))
    items = [training_item(plan, slot) for slot in range(views.n_items)]
    with meter.watch(plan.policy.model):
        return play(plan, meter, views, items, 0, members), meter, items


@pytest.mark.parametrize("coupling", ["shared", "independent"])
def test_members_say_the_same_alone_as_among_all(coupling):
    plan = plan_of(coupling)
    whole, meter, _ = played(plan)
    parts = [played(plan, members) for members in (range(4), range(4, 6), range(6, 12))]
    again = joined(0, [batch for batch, _, _ in parts])
    assert shard_text(again.episodes) == shard_text(whole.episodes)
    assert np.array_equal(again.rewards_N_P_G(), whole.rewards_N_P_G(), equal_nan=True)
    for name in ("episodes", "prompt_tokens", "action_tokens", "rollout_flops", "reward_calls"):
        assert sum(getattr(part.spend, name) for _, part, _ in parts) == getattr(meter.spend, name)
    assert len({line.split('"turns":')[1] for line in shard_text(whole.episodes).splitlines()}) > 6  # they differ


def test_a_gist_is_what_was_played_without_its_words():
    batch, meter, items = played(plan_of(), range(4, 8))
    frame = told(batch.episodes, meter, sandboxed())
    gist = read_gist(frame, items, range(4, 8), 2)
    assert len(frame.blob) == 25 * 24
    for one, other in zip(gist.episodes, batch.episodes, strict=True):
        assert (one.member, one.slot, one.sample, one.item) == (other.member, other.slot, other.sample, other.item)
        assert (one.reward, one.verdict.state) == (other.reward, other.verdict.state) and not one.turns
    lines = shard_text(batch.episodes).splitlines()
    assert all(f'"digest":"{digest}"' in line for digest, line in zip(gist.digests, lines, strict=True))
    charged = Meter(meter.flop_model)
    gist.charge(charged)
    gist.charge(charged)
    assert charged.spend.flops == 2 * meter.spend.flops and charged.row_steps == [2 * n for n in meter.row_steps]


def test_an_answer_to_another_question_is_none():
    batch, meter, items = played(plan_of(), range(4, 8))
    frame = told(batch.episodes, meter, sandboxed())
    for header, blob in (
        (frame.header, frame.blob[:-25]),
        (frame.header, frame.blob[:-1]),
        (frame.header, frame.blob[:8] + b"\xff" + frame.blob[9:]),
        ({**frame.header, "n": [1, 2]}, frame.blob),
        ({**frame.header, "r": None}, frame.blob),
        ({}, frame.blob),
    ):
        with pytest.raises(BadValue, match="a worker"):
            read_gist(Frame(header, blob), items, range(4, 8), 2)


def test_parcels_have_bounds_and_one_is_as_if_there_were_none():
    with pytest.raises(BadValue, match=r"engine\.parcels must lie from 1"):
        plan_of(**{"engine.parcels": 0})
    assert plan_of().identity()["engine"] == {"compile": False}
    assert plan_of(**{"engine.parcels": 2}).identity()["engine"] == {"compile": False, "parcels": 2}
