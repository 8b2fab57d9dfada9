"""`trl-grpo`: what is handed to TRL, what comes back, and in which state the model is left. Needs the extra trl."""

import gc
import importlib.util
import threading
from pathlib import Path

import pytest
import torch

from eggym.agents.presets import DR_GRPO
from eggym.agents.trl_grpo import TRL_GRPO, rollout_fields
from eggym.agents.trl_trainer import passed_by_head
from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.episode import Ending, Episode, Segment
from eggym.errors import BadValue
from eggym.policy import Prompting, model_sha256
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace, PolicyViews

SPACE = ParameterSpace()
SAME = {"loss_type": "dr_grpo", "scale_rewards": "none", "beta2": 0.95}  # as dr_grpo does it
needs_trl = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the extra trl"),
]


def with_trl(test):
    for mark in needs_trl:
        test = mark(test)
    return test


def subject(policy, **overrides):
    return TRL_GRPO.build(
        policy, SPACE, 0, TRL_GRPO.resolve("tiny", {"items": 2, "replies": 4, "lr": 1e-3, **SAME, **overrides})
    )


def ours(policy, **overrides):
    return DR_GRPO.build(
        policy, SPACE, 0, DR_GRPO.resolve("tiny", {"items": 2, "replies": 4, "lr": 1e-3, "clip_high": 0.2, **overrides})
    )


def batch(policy, step=0, rewards=(1.0, 0.0, 0.0, 0.5, 0.25, 1.0, 0.0, 0.0)):
    """Episodes of several turns that the policy itself has sampled, with rewards of ours."""
    task = load_task("eggym/guess-v0")
    run = Rollout(Engine(policy, Meter(FlopModel.of(policy.model))), task, Prompting.of(task, {}), 0)
    found = run.run(PolicyViews(2, 4, 1.0), [task.item("train", i) for i in range(2)], step)
    for episode, reward in zip(found.episodes, rewards, strict=True):
        episode.verdict = Verdict(reward, VerdictState.WRONG if reward is not None else VerdictState.ERROR)
    assert any(len(episode.turns) > 1 for episode in found.episodes)
    return found


def weights(policy):
    return {name: weight.detach().clone() for name, weight in SPACE.select(policy.model).items()}


def episode(*segments, reward=1.0):
    return Episode(Item("p"), 0, 0, 0, list(segments), [], Verdict(reward, VerdictState.WRONG), Ending.ANSWERED)


# -- without TRL ------------------------------------------------------------------------------------------------------
def test_an_episode_is_a_prompt_and_a_completion_in_which_the_environment_is_masked():
    ids, actions = [1, 7, 8, 20, 21, 9, 22, 2], [False, False, False, True, True, False, True, True]
    logprobs = [0.0, 0.0, 0.0, -0.1, -0.2, 0.0, -0.3, -0.4]
    fields = rollout_fields(
        [episode(Segment(ids, actions, logprobs)), episode(Segment([1, 2], [False, True], [0, -1]))]
    )
    assert fields["prompt_ids"] == [[1, 7, 8], [1]]
    assert fields["completion_ids"] == [[20, 21, 9, 22, 2], [2]]
    assert fields["env_mask"] == [[1, 1, 0, 1, 1], [1]]
    assert fields["logprobs"][0] == [-0.1, -0.2, 0.0, -0.3, -0.4]
    assert fields["eggym_reward"] == [1.0, 1.0]


def test_episodes_of_several_contexts_are_refused():
    one = Segment([1, 2], [False, True], [0.0, -1.0])
    with pytest.raises(BadValue, match="a fresh context at every turn; use the learner dr_grpo"):
        rollout_fields([episode(one, one)])


def test_without_trl_there_is_one_line_with_the_way_out(policy, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadValue, match=r'needs TRL, which is not installed: pip install "eggym\[trl\]"'):
        TRL_GRPO.build(policy, SPACE, 0, TRL_GRPO.resolve("tiny", {}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"replies": 1}, "replies at least 2, and both at most 1048576, got 32 and 1"),
        ({"beta1": 1.0}, "beta1 and beta2"),
        ({"temperature": 1e-40}, "trl-grpo: temperature must be at least 0.001, got 1e-40"),
        ({"items": 1 << 21}, "both at most 1048576, got 2097152 and 8"),
        ({"epsilon": 0.0}, "epsilon must be above 0, got 0.0"),
        ({"loss_type": "ppo"}, "loss_type is one of .*got 'ppo'"),
        ({"scale_rewards": "no"}, "group, batch or none; got .*'no'"),
        ({"items": 2, "replies": 4, "episodes_per_pass": 3}, "must divide items x replies = 8 .*got 3"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(BadValue, match=said):
        TRL_GRPO.resolve("tiny", options)


def test_the_head_that_is_not_called_is_counted_and_nothing_changes(policy):
    model = policy.model
    head, meter = model.get_output_embeddings(), Meter(FlopModel.of(model))
    logprobs = torch.randn(3, 4, requires_grad=True)
    with meter.watch(model):
        seen = passed_by_head(head, logprobs, 9)
        assert meter.spend.learner_flops == 2 * meter.flop_model.head * 3 * 9
        (2 * seen).sum().backward()
    assert meter.spend.learner_flops == 3 * 2 * meter.flop_model.head * 3 * 9  # backward is twice the forward
    assert seen.equal(logprobs) and logprobs.grad.equal(torch.full((3, 4), 2.0))
    assert "forward" not in head.__dict__


def test_before_the_first_batch_nothing_is_started(policy):
    learner = subject(policy)
    assert learner.ask(0) == PolicyViews(2, 4, 1.0) and learner.state_dict() == {}
    assert threads() == []


# -- with TRL ---------------------------------------------------------------------------------------------------------
def threads():
    return [thread for thread in threading.enumerate() if thread.name == "trl"]


@with_trl
@pytest.mark.parametrize("overrides", [{}, {"episodes_per_pass": 2}, {"gradient_checkpointing": True}])
def test_two_steps_equal_those_of_our_own_learner(make_policy, overrides):
    theirs, own = make_policy(), make_policy()
    before, one, two = weights(own), subject(theirs, **overrides), ours(own)
    for step in range(2):
        said, told = one.tell(batch(theirs, step)), two.tell(batch(own, step))
        assert said["grad_norm"] == pytest.approx(told["grad_norm"], rel=1e-4)
        assert said["informative"] == told["informative"] == 1.0
    for name, weight in weights(own).items():
        moved = (weight - before[name]).abs().max()
        assert moved > 1e-3 and torch.allclose(weights(theirs)[name], weight, atol=0.02 * float(moved))


@with_trl
def test_a_missing_reward_leaves_the_mean_of_its_group(make_policy):
    theirs, own = make_policy(), make_policy()
    rewards = (1.0, None, 0.0, 0.5, 0.25, 0.25, 0.25, 0.25)
    said = subject(theirs).tell(batch(theirs, 0, rewards))
    told = ours(own).tell(batch(own, 0, rewards))
    assert said["grad_norm"] == pytest.approx(told["grad_norm"], rel=1e-4)
    assert said["informative"] == told["informative"] == 0.5


@with_trl
def test_a_saved_learner_goes_on_to_the_same_bits(make_policy):
    straight, broken = make_policy(), make_policy()
    one, two = subject(straight), subject(broken)
    for step in range(3):
        one.tell(batch(straight, step))
    for step in range(2):
        two.tell(batch(broken, step))
    again = subject(broken)
    again.load_state_dict(two.state_dict())
    del two
    assert again.state_dict()["optimizer"]["state"][0]["step"] == 2  # before the trainer is there
    again.tell(batch(broken, 2))
    assert model_sha256(straight.model) == model_sha256(broken.model)


@with_trl
def test_the_model_is_given_back_and_the_thread_ends_with_the_learner(make_policy, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    policy = make_policy()
    policy.model.generation_config.eos_token_id = [2, 5]
    policy.model.config.use_cache = True
    learner = subject(policy, gradient_checkpointing=True)
    learner.tell(batch(policy))
    assert policy.eos_ids == (2, 5) and policy.model.config.use_cache is True
    assert not policy.model.training and "forward" not in policy.model.__dict__
    assert not any(weight.requires_grad or weight.grad is not None for weight in policy.model.parameters())
    assert len(threads()) == 1
    learner.tell(batch(policy, 1))  # it wakes again
    del learner
    gc.collect()
    assert threads() == [] and list(tmp_path.iterdir()) == []


@with_trl
def test_what_goes_wrong_inside_is_raised_and_leaves_no_thread(make_policy, monkeypatch):
    policy = make_policy()
    found = batch(policy)
    monkeypatch.setattr("eggym.agents.trl_trainer._echo", lambda **columns: [0.0])
    with pytest.raises(ValueError, match="returned 1 rewards"):
        subject(policy).tell(found)
    for thread in threads():
        thread.join(timeout=10)
    assert threads() == [] and not policy.model.training
    assert not any(weight.requires_grad for weight in policy.model.parameters())


@with_trl
def test_its_flops_are_those_of_all_positions_forward_and_backward(make_policy):
    policy = make_policy()
    found, meter = batch(policy), Meter(FlopModel.of(policy.model))
    with meter.watch(policy.model):
        subject(policy).tell(found)
    segments = [one.segments[0] for one in found.episodes]
    first = [segment.actions.index(True) for segment in segments]
    lengths = [len(segment.ids) for segment in segments]
    width = max(first) + max(n - at for n, at in zip(lengths, first, strict=True))
    pairs = sum(n * (n + 1) // 2 for n in lengths)
    assert meter.spend.learner_flops == 3 * meter.flop_model.forward(sum(lengths), pairs, len(lengths) * (width - 1))


@with_trl
def test_a_run_is_the_same_when_it_is_interrupted(tmp_path):
    from eggym.train import train

    settings = {"trl-grpo.items": 4, "eval.items": 8, "eval.points": 2}
    asked = {"task": "tiny-arithmetic", "learner": "trl-grpo", "budget": "160episodes", "force": True, "set": settings}
    whole = train(out=tmp_path / "whole", **asked)

    class Stop(Exception):
        pass

    def watch(event):
        if event.kind == "point" and event.step == 3:
            raise Stop

    with pytest.raises(Stop):
        train(out=tmp_path / "parts", watch=watch, **asked)
    train(out=tmp_path / "parts", **asked)
    assert whole.n_steps == 5
    one, two = (Path(tmp_path / name / "record.json").read_bytes() for name in ("whole", "parts"))
    assert one == two
