"""KL in the reward: by hand, at zero, the same for ES and RL, and no obstacle to replay or resuming."""

import json
import re
import sys

import numpy as np
import pytest
import torch

from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import BadValue
from eggym.files import sha256_file
from eggym.fitness import FitnessLog
from eggym.kl_reward import KlReward, log_ratios
from eggym.record import load_record
from eggym.replay import replay
from eggym.replies import read_shard
from eggym.result import deterministic_files
from eggym.start_model import StartModel
from eggym.task import Item, Verdict, VerdictState
from eggym.train import run_plan
from eggym.views import ParameterSpace, PolicyViews

SIZES = {
    "eggroll": {"population": 4, "items": 3, "temperature": 1.0},
    "openai-es": {"population": 4, "items": 3, "temperature": 1.0},
    "dr_grpo": {"items": 3, "replies": 4},
}
QUICK = {"eval.items": 8, "eval.points": 1, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0, "reward.kl": 0.5}


def asked(learner="eggroll", **settings):
    bare = learner.removeprefix("random-reward:")
    own = {f"{bare}.{name}": value for name, value in SIZES.get(bare, {}).items()}
    return resolve(RunConfig("tiny-programs", learner, budget="36episodes", set={**QUICK, **own, **settings}))


def train(folder, learner="eggroll", watch=lambda event: None, **settings):
    return run_plan(asked(learner, **settings), folder, watch, force=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run of a learner, which nobody changes."""
    place = tmp_path_factory.mktemp("kl")

    def folder(learner="eggroll", kl=0.5):
        found = place / f"{learner}-{kl}".replace(":", "-")
        if not found.exists():
            train(found, learner, **{"reward.kl": kl})
        return found

    return folder


def steps(folder):
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def move(policy, by=0.05):
    with torch.no_grad():
        for weight in ParameterSpace().select(policy.model).values():
            weight.add_(by * weight.sign())


def segment(ids, n_prompt, logprobs):
    actions = [place >= n_prompt for place in range(len(ids))]
    return Segment(ids, actions, [0.0] * n_prompt + logprobs)


def batch_of(segments, reward=1.0):
    verdict = Verdict(reward, VerdictState.CORRECT)
    episodes = [
        Episode(Item("p"), 0, 0, number, [one], [Turn("p", "r", reward, sum(one.actions))], verdict, END)
        for number, one in enumerate(segments)
    ]
    return EpisodeBatch(0, episodes, 1, 1, len(segments))


END = Ending.ANSWERED


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_ratio_is_that_of_a_plain_loop_at_the_temperature_of_sampling(fresh_policy, temperature):
    start = StartModel(fresh_policy.model, ParameterSpace().select(fresh_policy.model))
    rows = [([1, 40, 50, 60, 61, 2], 3, [-0.5, -0.25, -1.0]), ([1, 44, 71], 2, [-2.0])]
    by_hand = []
    for ids, n_prompt, logprobs in rows:
        with torch.no_grad():
            then = (fresh_policy.model(torch.tensor([ids])).logits[0] / temperature).log_softmax(-1)
        by_hand.append(sum(p - float(then[n_prompt + i - 1, ids[n_prompt + i]]) for i, p in enumerate(logprobs)))
    move(fresh_policy)  # the present weights play no part: what was drawn was kept
    episodes = batch_of([segment(*row) for row in rows]).episodes
    episodes[1].segments.append(segment(*rows[0]))  # a second context of the same episode
    by_hand[1] += by_hand[0]
    assert log_ratios(fresh_policy, start, episodes, temperature) == pytest.approx(by_hand, abs=1e-4)


def test_the_penalty_is_beta_times_the_ratio_and_comes_off_the_last_turn(fresh_policy):
    plan = asked()
    rule = KlReward(plan)
    batch = batch_of([segment([1, 40, 50, 60, 61, 2], 3, [-0.5, -0.25, -1.0])])
    (nats,) = log_ratios(plan.policy, rule._start, batch.episodes, 1.0)
    metrics = rule.apply(PolicyViews(1, 1), batch)
    (episode,) = batch.episodes
    assert abs(nats) > 1 and episode.penalty == 0.5 * nats and episode.reward == 1.0
    assert episode.told == episode.turns[-1].reward == 1.0 - 0.5 * nats
    assert batch.rewards_N_P_G()[0, 0, 0] == np.float32(episode.told)
    assert metrics == {"kl_reward": nats, "told_reward": episode.told}


def test_replies_of_the_start_itself_cost_nothing_and_others_do():
    plan = asked("dr_grpo")
    task, rule = plan.task, KlReward(plan)
    roll = plan.rollout(Meter(FlopModel.of(plan.policy.model)))
    items = [task.item("train", index) for index in range(8)]
    for temperature in (1.0, 0.7):
        batch = roll.run(PolicyViews(8, 4, temperature), items, 0)
        rule.apply(PolicyViews(8, 4, temperature), batch)
        assert max(abs(episode.penalty) for episode in batch.episodes) < 1e-4
    move(plan.policy)
    batch = roll.run(PolicyViews(8, 4), items, 0)
    assert rule.apply(PolicyViews(8, 4), batch)["kl_reward"] > 0.1


def test_es_and_rl_are_told_the_same_of_the_same_episode():
    rules = [KlReward(asked(learner)) for learner in ("eggroll", "openai-es", "dr_grpo")]
    found = []
    for rule in rules:
        batch = batch_of([segment([1, 40, 50, 60, 61, 2], 3, [-0.5, -0.25, -1.0])])
        rule.apply(PolicyViews(1, 1), batch)
        found.append(batch.episodes[0].told)
    assert found[0] == found[1] == found[2] != 1.0


def test_a_policy_gradient_learns_from_what_is_told_per_turn_too():
    from eggym.agents.traces import trace

    rule, batch = KlReward(asked("dr_grpo")), batch_of([segment([1, 40, 50, 60, 61, 2], 3, [-0.5, -0.25, -1.0])])
    rule.apply(PolicyViews(1, 1), batch)
    (episode,) = batch.episodes
    found = trace(episode)
    assert found.reward == np.float32(episode.told) and sum(found.turn_rewards) == pytest.approx(episode.told)


def test_the_pass_over_the_start_is_counted_as_the_learners():
    plan = asked()
    meter = Meter(FlopModel.of(plan.policy.model))
    with meter.watch(plan.policy.model):
        KlReward(plan).apply(PolicyViews(1, 1), batch_of([segment([1, 40, 50, 60, 61, 2], 3, [0.0] * 3)]))
    model = meter.flop_model
    assert meter.spend.learner_flops == model.forward(6, 21, 4)  # logits at the three actions, and one before


@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo"])
def test_the_log_holds_what_was_told_and_the_shard_what_was_judged(finished, learner):
    folder = finished(learner)
    record = load_record(folder)
    assert record.config["reward"] == {"kl": 0.5} and record.spent.learner_flops > 0
    for entry, line in zip(FitnessLog(folder / "fitness.bin").read(), steps(folder), strict=True):
        judged = [one["reward"] for one in read_shard(folder, entry.step)]
        assert set(judged) <= {0.0, 1.0} and np.mean(judged) == line["reward"]
        told = entry.rewards_N_P_G.astype(np.float64)
        assert told.mean() == pytest.approx(line["metrics"]["told_reward"], abs=1e-6)
        assert told.mean() == pytest.approx(line["reward"] - 0.5 * line["metrics"]["kl_reward"], abs=1e-6)
    assert any(abs(line["metrics"]["kl_reward"]) > 1e-3 for line in steps(folder))


@pytest.mark.parametrize("learner", ["eggroll", "random-reward:eggroll"])
def test_an_es_run_is_rebuilt_from_what_it_was_told(finished, learner):
    found = replay(finished(learner), spot=2)
    assert found.ok and found.n_steps == 3 and len(found.spots) == 2


@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo"])
def test_a_run_that_was_stopped_measures_from_the_start_weights(finished, tmp_path, learner, monkeypatch):
    class Stop(Exception):
        pass

    def stop(event):
        if event.kind == "step" and event.step == 2:
            raise Stop

    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    with pytest.raises(Stop):  # after the first update was saved: the weights have moved
        train(tmp_path / "broken", learner, stop)
    train(tmp_path / "broken", learner)
    for name in deterministic_files(finished(learner)):
        assert sha256_file(tmp_path / "broken" / name) == sha256_file(finished(learner) / name), name


def test_greedy_members_are_refused_by_name_before_anything_is_written(tmp_path):
    with pytest.raises(BadValue, match=r"random-reward:eggroll asks for greedy .* --set eggroll\.temperature=1"):
        train(tmp_path / "run", "random-reward:eggroll", **{"eggroll.temperature": 0.0})
    assert not (tmp_path / "run").exists()
    for value in (-1, 1e300):
        with pytest.raises(
            BadValue, match=rf"reward\.kl must lie from 0 to 1e\+06, got {re.escape(repr(float(value)))}"
        ):
            asked(**{"reward.kl": value})


def test_low_rank_deltas_are_left_out_at_the_start():
    plan = asked("dr_grpo", **{"space.adapter_rank": 2})
    rule, batch = KlReward(plan), batch_of([segment([1, 40, 50, 60, 61, 2], 3, [-0.5, -0.25, -1.0])])
    before = log_ratios(plan.policy, rule._start, batch.episodes, 1.0)
    with torch.no_grad():
        for weight in plan.space.select(plan.policy.model).values():
            weight.add_(0.1)
    assert log_ratios(plan.policy, rule._start, batch.episodes, 1.0) == before


def test_without_it_nothing_is_computed(finished):
    record = load_record(finished(kl=0.0))
    assert record.spent.learner_flops == 0 and record.weights_sha256 != load_record(finished()).weights_sha256
    assert all("kl_reward" not in line["metrics"] for line in steps(finished(kl=0.0)))
