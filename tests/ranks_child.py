"""What a test lets every rank do, started by torchrun: ``ranks_child.py NAME WORDS...``."""

import dataclasses
import json
import os
import sys

import numpy as np
import torch

from eggym import cli, gang, ranks, torchrun
from eggym.agents.sharded import ShardedWeights
from eggym.budget import FlopModel, Meter
from eggym.policy import load_policy, model_sha256
from eggym.shards import Shards
from eggym.shares import Clocks, spread, summed, summed_passes
from eggym.views import ParameterSpace

RANK = int(os.environ["RANK"])


def exchange():
    """Words of unequal length in several pieces, none at all, and sums of tensors in several buckets; then the rest."""
    ranks._PIECE, ranks._BUCKET = 7, 10
    group = torchrun.form("cpu")
    words = bytes(range(5 + 20 * RANK))
    assert group.gather(words) == [bytes(range(5)), bytes(range(25))]
    assert group.gather(b"") == [b"", b""]
    assert group.collect(words) == ([bytes(range(5)), bytes(range(25))] if RANK == 0 else [])
    tensors = [torch.full((2, 3), RANK + 1.0), torch.arange(20.0) * (1 - RANK), torch.full((), 0.25)]
    group.add(tensors)
    assert [one.tolist() for one in tensors] == [[[3.0] * 3] * 2, list(range(20)), 0.5]
    assert ranks.sum_numbers(group, [1.0, RANK]) == [2.0, 1.0]
    assert ranks.first_says(group, RANK == 0) is True
    count(group)
    hold()
    torchrun.leave()
    print("as it should be")


def count(group):
    """What is spent on one rank is spent on all; arrays of which a rank has none; seconds."""
    meter = Meter(FlopModel(1, 1, 1), seconds={"cpu-s": 10.0, "s": 1.0})
    clocks = Clocks(group, meter)
    with summed(group, meter):
        meter.spend.episodes += 1 + RANK
        meter.seated(10, 4 * RANK)
    assert (meter.spend.episodes, meter.row_steps) == (3, [20, 4])
    with summed_passes(dataclasses.replace(group, cuts=False), meter):
        meter.spend.episodes += 5
    assert meter.spend.episodes == 8
    meter.seconds = {"cpu-s": 12.0 + RANK, "s": 4.0 - RANK}
    clocks.agree()
    assert meter.seconds == {"cpu-s": 15.0, "s": 4.0}
    for n in (1, 5):
        found = spread(group, n, lambda places: [np.arange(place, 2.0 * place) for place in places])
        assert [one.tolist() for one in found] == [list(range(place, 2 * place)) for place in range(n)]


def hold():
    """In shards a rank holds half of what is trained, and follows what is written into the whole."""
    policy = load_policy("embedded-v0", "cpu", "float32")
    before = model_sha256(policy.model)
    policy.shards = Shards(policy.model)
    space = ParameterSpace()
    weights = ShardedWeights(policy.model, space, policy.shards)
    held = sum(one.to_local().numel() for one in weights.masters.values())
    assert held * 2 == sum(one.numel() for one in weights.parameters.values())
    assert model_sha256(policy.model) == before
    name, whole = next(iter(weights.parameters.items()))
    with torch.no_grad():
        whole.fill_(0.5)
    weights.load_state_dict(weights.state_dict())
    weights.publish()
    assert bool((whole == 0.5).all()) and bool((weights.masters[name].to_local() == 0.5).all())
    assert model_sha256(policy.model) != before


def otherwise(*words):
    """Run the command, of which rank 1 has another seed."""
    cli.main([*words, "--seed", str(RANK)])


def astray(*words):
    """Run the command; rank 1 believes that its weights are others."""
    real = gang.model_sha256
    gang.model_sha256 = lambda model: "?" if RANK else real(model)
    gang.CHECK_EVERY = 1
    cli.main(list(words))


if __name__ == "__main__":
    name, *words = sys.argv[1:]
    {"exchange": exchange, "otherwise": otherwise, "astray": astray}[name](*json.loads(words[0] if words else "[]"))
