"""What each sigma would do, and which one is proposed."""

import json
import math

import numpy as np
import pytest
import torch

from eggym.cli import main
from eggym.config import RunConfig
from eggym.errors import BadValue
from eggym.files import sha256_json
from eggym.policy import model_sha256
from eggym.probe import probe, run_probe
from eggym.sigma import KEEP, MOST_KL, Row, propose, spread, varied

NAN = float("nan")


def rows(*told):
    return [Row(0.01 * 2**k, reward, kept, kl, 0.1, items) for k, (reward, kept, kl, items) in enumerate(told)]


def members(*values):
    """One item or several, one reply: members x items x 1."""
    return np.array(values, dtype=np.float32).reshape(len(values), -1, 1)


def test_the_largest_sigma_that_keeps_the_reward_is_proposed():
    grid = rows((0.5, 1.0, 0.01, 0.1), (0.45, 0.9, 0.2, 0.5), (0.44, 0.88, 0.3, 0.9))
    sigma, why = propose(grid, base=0.5, told=True)
    assert sigma == 0.02
    assert why == "sigma 0.02 is the largest at which members keep 90% of the base's reward (0.450 of 0.500)"


def test_a_grid_that_ends_too_early_or_varies_nowhere_is_said_to():
    _, why = propose(rows((0.5, 1.0, 0.0, 0.0), (0.5, 1.0, 0.0, 0.0)), base=0.5, told=True)
    assert "the grid ends there" in why and "nothing could be learned" in why


def test_without_a_reward_to_lose_the_kl_decides():
    grid = rows((0.0, None, 0.01, 0.1), (0.0, None, MOST_KL, 0.1), (0.1, None, 0.11, 0.5))
    sigma, why = propose(grid, base=0.0, told=False)
    assert sigma == 0.02
    assert why.startswith(
        "the base's reward 0.000 is too small to lose anything, so sigma 0.02 is taken as the largest"
    )


def test_where_nothing_keeps_the_reward_the_kl_decides_and_the_smallest_is_the_last_resort():
    sigma, why = propose(rows((0.4, 0.8, 0.05, 1), (0.1, 0.2, 0.5, 1)), base=0.5, told=True)
    assert sigma == 0.01 and why.startswith("no sigma of the grid keeps 90% of the base's reward 0.500")
    sigma, why = propose(rows((0.1, 0.2, 0.5, 1), (0.0, 0.0, 2.0, 1)), base=0.5, told=True)
    assert sigma == 0.01 and "probe smaller ones with --sigma" in why


def test_the_spread_of_known_twins():
    # by hand: twins differ by 1, 0 and -1/2; mean 1/6, squares (25 + 1 + 16) / 36, over 2
    rewards = members([1, 1], [0, 0], [0.5, 0], [0, 0.5], [0, 0], [1, 0])
    assert spread(rewards) == pytest.approx(math.sqrt(42 / 36 / 2))


def test_a_missing_reward_is_no_zero():
    assert spread(members([1, NAN], [0, 0], [1, 1], [0, 0])) == 0.0
    assert varied(members([1, NAN, 0], [1, 0, 1])) == pytest.approx(1 / 3)


def test_the_grid_falls_off_as_sigma_grows():
    found = probe("tiny-programs", items=16, members=16, sigmas=[0.0025, 0.04, 0.3])
    small, middle, large = found.rows
    assert small.kl < 1e-3 < middle.kl < 0.2 < large.kl
    assert small.kept == pytest.approx(1, abs=0.05) and large.kept < 0.2
    assert small.varied <= middle.varied and middle.spread > small.spread
    assert found.sigma == max(row.sigma for row in found.rows if row.kept >= KEEP)
    assert found.floor == 0.0  # greedy


def test_the_kl_grows_with_the_square_of_a_small_sigma():
    one, two = probe("tiny-orders", items=8, members=8, sigmas=[0.002, 0.004]).rows
    assert two.kl / one.kl == pytest.approx(4, rel=0.1)


def test_the_same_seed_gives_the_same_answer_and_another_one_another():
    asked = {"items": 6, "members": 4, "sigmas": [0.03]}
    hashes = [sha256_json(probe("tiny-programs", seed=seed, **asked).as_dict() | {"seed": 0}) for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("learner", "task"),
    [("openai-es", "tiny-programs"), ("eggroll", "guess"), ("random-reward:eggroll", "tiny-orders")],
)
def test_any_learner_with_a_sigma_and_any_task_can_be_probed(learner, task):
    found = probe(task, learner, items=6, members=4, sigmas=[0.01, 0.1])
    assert found.learner == learner and 0 < found.rows[0].kl < found.rows[1].kl


def test_members_with_numbers_of_their_own_spread_by_sampling_alone():
    free = {"eggroll.temperature": 1, "eggroll.coupling": "independent"}
    found = probe("tiny-programs", items=24, members=64, sigmas=[1e-6], set=free)
    # members that do not differ: their spread is an estimate of the floor, from 32 pairs
    assert found.rows[0].kl < 1e-9
    assert found.rows[0].spread == pytest.approx(found.floor, rel=0.4)
    shared = probe("tiny-programs", items=8, members=8, sigmas=[1e-6], set={"eggroll.temperature": 1})
    assert shared.floor == 0 and shared.rows[0].spread == 0 and shared.rows[0].kept == 1


def test_a_probe_trains_nothing(monkeypatch):
    import eggym.probe

    plans, real = [], eggym.probe.__globals__["resolve"]

    def keep(config):
        plans.append(real(config))
        plans.append(model_sha256(plans[0].policy.model))
        return plans[0]

    monkeypatch.setitem(eggym.probe.__globals__, "resolve", keep)
    probe("tiny-programs", "openai-es", items=4, members=4, sigmas=[0.1])
    assert model_sha256(plans[0].policy.model) == plans[1]
    assert not any(module._forward_hooks for module in plans[0].policy.model.modules())
    assert not torch.is_inference_mode_enabled()


def test_the_default_grid_is_spaced_around_the_profile():
    found = run_probe(RunConfig("tiny-programs", "eggroll", set={"eggroll.sigma": 0.016}), 2, 4)
    assert [row.sigma for row in found.rows] == pytest.approx([0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"learner": "dr_grpo"}, "dr_grpo has no sigma to probe; give an ES learner such as --learner eggroll"),
        ({"members": 5}, "an even number of members from 4, got 32 and 5"),
        ({"items": 0}, "at least 1 item and an even number of members from 4, got 0 and 32"),
        ({"sigmas": [0.0]}, "sigma and update_rms must be above 0"),
    ],
)
def test_what_cannot_be_probed_is_refused(words, message):
    with pytest.raises(BadValue, match=message):
        probe("tiny-programs", **words)


def test_the_command_prints_a_table_and_a_setting(capsys):
    words = ["probe", "--task", "tiny-programs", "--items", "12", "--members", "4", "--sigma", "0.01", "--sigma", "0.3"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    out = capsys.readouterr().out
    assert not stop.value.code
    assert "KL per token" in out and "--set eggroll.sigma=0.01: sigma 0.01 is the largest" in out
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["sigma"] == 0.01 and [row["sigma"] for row in found["rows"]] == [0.01, 0.3]
    assert found["rows"][1]["drop"] == pytest.approx(found["base"] - found["rows"][1]["reward"])
