"""The critic-free learner: what it does with a batch, and what must not move it."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from eggym.agents.policy_gradient import PolicyGradient, minibatches
from eggym.agents.presets import DAPO, DR_GRPO, GRPO, GSPO, REINFORCE_PP
from eggym.agents.scoring import action_logprobs
from eggym.budget import FlopModel, Meter
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import EggymError
from eggym.policy import Prompting, model_sha256
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace, PolicyViews

SPACE = ParameterSpace()


def learner(policy, spec=DR_GRPO, **overrides):
    return PolicyGradient(policy, SPACE, 0, spec.resolve("tiny", {"items": 2, "replies": 3, **overrides}))


def segment(ids, n_prompt, env=()):
    actions = [place >= n_prompt and place not in env for place in range(len(ids))]
    return Segment(list(ids), actions, [0.0] * len(ids))


def batch(segments, rewards, endings=None):
    endings = endings or [Ending.ANSWERED] * len(segments)
    episodes = [
        Episode(Item("p"), 0, i // 3, i % 3, [s], [], Verdict(r, VerdictState.WRONG), end)
        for i, (s, r, end) in enumerate(zip(segments, rewards, endings, strict=True))
    ]
    return EpisodeBatch(0, episodes, 1, len(segments) // 3, 3)


SEGMENTS = [
    segment([1, 10, 11, 40, 41, 2], 3), segment([1, 10, 11, 42, 2], 3), segment([1, 10, 11, 50, 51, 52, 53, 2], 3),
    segment([1, 20, 21, 22, 60, 2], 4), segment([1, 20, 21, 22, 61, 62, 2], 4),
    segment([1, 20, 21, 22, 63, 5, 6, 64, 2], 4, env=(5, 6)),
]  # fmt: skip
REWARDS = [1.0, 0.0, 0.5, 0.0, 1.0, 0.0]


def on_policy(policy, temperature=1.0):
    """The segments with the log-probabilities of the policy itself, each scored alone."""
    found = []
    for one in SEGMENTS:
        with torch.no_grad():
            logprobs = iter(action_logprobs(policy, [one], temperature).tolist())
        found.append(dataclasses.replace(one, logprobs=[next(logprobs) if act else 0.0 for act in one.actions]))
    return found


def weights_of(policy):
    return {name: weight.clone() for name, weight in SPACE.select(policy.model).items()}


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_where_sampler_and_scorer_are_one_the_ratio_is_exactly_one(fresh_policy, temperature):
    subject = learner(fresh_policy, temperature=temperature, tokens_per_pass=1)
    metrics = subject.tell(batch(on_policy(fresh_policy, temperature), REWARDS))
    assert metrics["max_dlogp"] == metrics["kl_old"] == metrics["clip_fraction"] == 0


def test_a_temperature_that_is_not_that_of_sampling_shows(fresh_policy):
    metrics = learner(fresh_policy, temperature=0.7).tell(batch(on_policy(fresh_policy, 1.0), REWARDS))
    assert metrics["max_dlogp"] > 0.01


@pytest.mark.parametrize("task_id", ["eggym/guess-v0", "eggym/tiny-programs-v0"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_logprobs_are_those_that_are_trained(policy, task_id, temperature):
    task = load_task(task_id)
    meter = Meter(FlopModel.of(policy.model))
    run = Rollout(Engine(policy, meter), task, Prompting.of(task, {}), 0)
    found = run.run(PolicyViews(2, 8, temperature), [task.item("train", i) for i in range(2)], 0)
    segments = [e.segments[0] for e in found.episodes]
    with torch.no_grad():
        new = action_logprobs(policy, segments, temperature)
    old = [p for s in segments for p, action in zip(s.logprobs, s.actions, strict=True) if action]
    assert new.tolist() == pytest.approx(old, rel=0, abs=1e-5)
    assert task_id != "eggym/guess-v0" or any(len(e.turns) > 1 for e in found.episodes)


def test_positions_of_a_padded_row_begin_at_its_first_token():
    # with learnt positions a shift shows, which rotations of queries and keys would hide
    from types import SimpleNamespace

    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=100, n_positions=32, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(50)
        policy = SimpleNamespace(model=model, pad_id=0, device=torch.device("cpu"))
        alone = torch.cat([action_logprobs(policy, [one], 1.0) for one in SEGMENTS])
        assert torch.allclose(action_logprobs(policy, SEGMENTS, 1.0), alone, atol=1e-5)


def test_an_end_of_sequence_that_was_sampled_is_an_action_with_a_gradient(fresh_policy):
    # one action: the end itself. What was better becomes more probable.
    ends = [segment([1, 10, 11, 2], 3), segment([1, 10, 11, 40], 3), segment([1, 10, 11, 41], 3)]
    subject = learner(fresh_policy, items=1)
    before = action_logprobs(fresh_policy, ends, 1.0)
    subject.tell(batch(ends, [1.0, 0.0, 0.0]))
    after = action_logprobs(fresh_policy, ends, 1.0)
    assert after[0] > before[0] and after[1] < before[1]


def test_groups_that_agree_cost_nothing_and_move_nothing(fresh_policy):
    meter = Meter(FlopModel.of(fresh_policy.model))
    before = model_sha256(fresh_policy.model)
    with meter.watch(fresh_policy.model):
        metrics = learner(fresh_policy).tell(batch(SEGMENTS, [1.0] * 3 + [0.0] * 3))
    assert meter.spend.learner_flops == 0 and metrics["informative"] == 0
    assert model_sha256(fresh_policy.model) == before


def test_a_step_raises_the_probability_of_what_was_better(fresh_policy):
    subject = learner(fresh_policy, lr=1e-3)
    old = on_policy(fresh_policy)
    before = [sum(one.logprobs) for one in old]
    subject.tell(batch(old, [1.0, 0.0, 0.5, 0.0, 1.0, 0.0]))
    after = [sum(one.logprobs) for one in on_policy(fresh_policy)]
    assert after[0] > before[0] and after[1] < before[1]
    assert not any(weight.requires_grad for weight in fresh_policy.model.parameters())


def test_bf16_weights_follow_their_float32_masters(make_policy):
    policy = make_policy(dtype=torch.bfloat16)
    before = weights_of(policy)
    subject = learner(policy, lr=1e-5)  # below the last bit of most weights
    for _ in range(3):
        subject.tell(batch(SEGMENTS, REWARDS))
    masters = subject._descent.masters
    moved = {name: master - before[name].float() for name, master in masters.items()}
    assert all(change.abs().max() > 5e-6 for change in moved.values())
    for name, weight in SPACE.select(policy.model).items():
        assert torch.equal(weight, masters[name].bfloat16())
    assert any(not torch.equal(weight, before[name]) for name, weight in SPACE.select(policy.model).items())


def moved_by(make_policy, told, **options):
    policy = make_policy()
    before = weights_of(policy)
    metrics = learner(policy, **options).tell(told)
    return {name: weight - before[name] for name, weight in SPACE.select(policy.model).items()}, metrics


TRUNCATED = [Ending.ANSWERED, Ending.OUT_OF_TOKENS, Ending.ANSWERED] * 2


@pytest.mark.parametrize("ending", list(Ending))
def test_truncated_is_what_a_limit_ended(ending):
    one = Episode(Item("p"), 0, 0, 0, [], [], Verdict(1.0, VerdictState.WRONG), ending)
    assert one.truncated == (ending.value in ("out_of_tokens", "out_of_turns", "out_of_context"))


def test_a_dropped_episode_leaves_the_loss_and_its_denominators_but_not_the_baseline(make_policy):
    # by hand: without the second of each group, n is 4, and the advantages are those of groups of three
    subject = learner(make_policy(), truncated="drop", reduction="token_mean")
    from eggym.agents.traces import groups

    samples = subject._samples(groups(batch(SEGMENTS, REWARDS, TRUNCATED), "drop", 1.0, 32, 0))
    assert [one.advantages_T[0] for one in samples] == pytest.approx([0.5, 0.0, -1 / 3, -1 / 3])
    assert [one.n_tokens for one in samples] == [3, 5, 2, 3]
    metrics = subject.tell(batch(SEGMENTS, REWARDS, TRUNCATED))
    # ratio r: the sum over the tokens of episodes 0, 3 and 5, over 13 tokens
    policy = make_policy()
    terms = [
        (action_logprobs(policy, [SEGMENTS[i]], 1.0).exp() * a).detach()
        for i, a in ((0, 0.5), (3, -1 / 3), (5, -1 / 3))
    ]
    clipped = [torch.minimum(t, t.sign() * t.abs().clamp(0.8 * abs(a), 1.28 * abs(a)))
               for t, a in zip(terms, (0.5, -1 / 3, -1 / 3), strict=True)]  # fmt: skip
    assert metrics["objective"] == pytest.approx(float(sum(one.sum() for one in clipped)) / 13, rel=1e-5)


def test_kept_truncated_episodes_change_nothing(make_policy):
    one, _ = moved_by(make_policy, batch(SEGMENTS, REWARDS))
    two, _ = moved_by(make_policy, batch(SEGMENTS, REWARDS, TRUNCATED), truncated="keep")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_penalty_is_taken_off_the_reward_of_what_was_truncated(make_policy):
    punished = [r - 0.25 * (end is Ending.OUT_OF_TOKENS) for r, end in zip(REWARDS, TRUNCATED, strict=True)]
    one, _ = moved_by(make_policy, batch(SEGMENTS, punished))
    two, _ = moved_by(make_policy, batch(SEGMENTS, REWARDS, TRUNCATED), truncated="penalise", penalty=0.25)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_long_episodes_lose_as_much_as_declared(make_policy):
    # 3, 2, 5, 2, 3 and 3 action tokens; from 2 to 4 the penalty grows from 0 to 1
    lost = [0.5, 0.0, 1.0, 0.0, 0.5, 0.5]
    one, _ = moved_by(make_policy, batch(SEGMENTS, [r - p for r, p in zip(REWARDS, lost, strict=True)]), length=4)
    two, _ = moved_by(make_policy, batch(SEGMENTS, REWARDS), length=4, overlong=2)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_episode_that_could_not_be_judged_moves_nothing_but_stays_in_the_denominators(make_policy):
    one, first = moved_by(make_policy, batch(SEGMENTS, [1.0, 0.0, None, 0.0, 1.0, 0.0]))
    longer = [*SEGMENTS[:2], segment([1, 10, 11, 77, 2], 3), *SEGMENTS[3:]]
    two, second = moved_by(make_policy, batch(longer, [1.0, 0.0, None, 0.0, 1.0, 0.0]))
    assert first == second and all(torch.equal(one[name], two[name]) for name in one)


def turns(rewards, tokens):
    return [Turn("o", "r", reward, n) for reward, n in zip(rewards, tokens, strict=True)]


def told_by_turn(rewards, tokens):
    """The batch with turns: rewards and action tokens of each turn of each episode."""
    found = batch(SEGMENTS, [sum(one) for one in rewards])
    for episode, r, n in zip(found.episodes, rewards, tokens, strict=True):
        episode.turns = turns(r, n)
    return found


TOKENS = [(1, 2), (2,), (2, 3), (2,), (1, 1, 1), (1, 2)]


def test_credit_by_turn_and_by_episode_agree_where_only_the_end_is_rewarded(make_policy):
    rewards = [(0.0,) * (len(n) - 1) + (r,) for n, r in zip(TOKENS, REWARDS, strict=True)]
    one, _ = moved_by(make_policy, told_by_turn(rewards, TOKENS), credit="episode")
    two, _ = moved_by(make_policy, told_by_turn(rewards, TOKENS), credit="turn")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_tokens_get_the_advantage_of_their_turn(policy):
    from eggym.agents.traces import groups

    rewards = [(1.0, 0.0), (0.0,), (0.0, 2.0), (0.0,), (1.0, 0.0, 1.0), (0.0, 0.0)]
    subject = learner(policy, credit="turn", advantage="leave_one_out")
    samples = subject._samples(groups(told_by_turn(rewards, TOKENS), "keep", 0.0, 32, 0))
    # returns-to-go (1, 0), (0), (2, 2) against the others' 1, 3/2, 1/2; then (0), (2, 1, 1), (0, 0) against 1, 0, 1
    assert [one.advantages_T.tolist() for one in samples] == [
        [0.0, -1.0, -1.0], [-1.5] * 2, [1.5] * 5, [-1.0] * 2, [2.0, 1.0, 1.0], [-1.0] * 3,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "share"),
    [({"advantage": "zscore"}, 0.0), ({"advantage": "mean"}, 0.5), ({"advantage": "zscore", "gamma": 0.5}, 0.5)],
)
def test_groups_whose_whole_returns_agree_are_informative_only_where_turns_alone_count(fresh_policy, options, share):
    from eggym.agents.traces import groups

    rewards = [(1.0, 0.0), (1.0,), (0.0, 1.0), (0.0,), (0.0, 0.0, 0.0), (0.0, 0.0)]
    subject = learner(fresh_policy, credit="turn", **options)
    samples = subject._samples(groups(told_by_turn(rewards, TOKENS), "keep", 0.0, 32, 0))
    assert any(one.advantages_T.any() for one in samples) == (share > 0)
    assert subject.tell(told_by_turn(rewards, TOKENS))["informative"] == share


def test_turns_that_do_not_add_up_are_refused(policy):
    with pytest.raises(EggymError, match="the turns of an episode have 4 action tokens, its segments 3"):
        learner(policy).tell(
            told_by_turn([(0.0, r) for r in REWARDS], [(2, 2), (1, 1), (2, 3), (1, 1), (1, 2), (1, 2)])
        )


@pytest.mark.parametrize("preset", [GSPO, GRPO])
def test_minibatches_take_their_own_steps_and_say_how_far_they_went(fresh_policy, preset):
    subject = learner(fresh_policy, preset, minibatches=3, epochs=2, lr=1e-2)
    metrics = subject.tell(batch(on_policy(fresh_policy), REWARDS))
    state = subject.state_dict()["optimizer"]["state"]
    assert {float(one["step"]) for one in state.values()} <= {4.0, 5.0, 6.0}  # parts without a signal take none
    assert metrics["kl_old"] > 0 and metrics["max_dlogp"] < 1e-4  # of sampling to scoring, before any step
    assert preset is not GSPO or metrics["clip_fraction"] > 0


def test_minibatches_deal_out_every_episode_once_an_epoch_in_an_order_of_their_own():
    parts = minibatches(10, 2, 3, seed=0, step=5)
    epochs = [list(itertools.chain(*parts[:3])), list(itertools.chain(*parts[3:]))]
    assert [len(part) for part in parts] == [3, 3, 4] * 2
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs) and epochs[0] != epochs[1]
    assert parts == minibatches(10, 2, 3, 0, 5) != minibatches(10, 2, 3, 0, 6)
    assert minibatches(2, 1, 4, 0, 0) and minibatches(3, 1, 1, 0, 0) == [[0, 1, 2]]


def test_without_a_second_step_epochs_of_one_batch_are_what_they_are_one_after_the_other(make_policy):
    told = batch(on_policy(make_policy()), REWARDS)
    one, _ = moved_by(make_policy, told, epochs=2)
    policy = make_policy()
    before, subject = weights_of(policy), learner(policy)
    subject.tell(told)
    subject.tell(told)
    two = {name: weight - before[name] for name, weight in SPACE.select(policy.model).items()}
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_groups_that_say_something_wait_until_there_are_enough(fresh_policy):
    subject = learner(fresh_policy, DAPO, refills=3)
    before = model_sha256(fresh_policy.model)
    flat, half = batch(SEGMENTS, [0.0] * 6), batch(SEGMENTS, [0.0] * 3 + REWARDS[3:])
    assert subject.ask(0).n_items == 2
    metrics = subject.tell(half)
    assert (metrics["held"], metrics["updated"], subject.ask(1).n_items) == (1.0, 0.0, 1)
    missing = EpisodeBatch(1, flat.episodes[:3], 1, 1, 3)
    assert subject.tell(missing)["held"] == 1.0 and model_sha256(fresh_policy.model) == before
    metrics = subject.tell(EpisodeBatch(2, batch(SEGMENTS, REWARDS).episodes[:3], 1, 1, 3))
    assert (metrics["held"], metrics["updated"], subject.ask(3).n_items) == (0.0, 1.0, 2)
    assert model_sha256(fresh_policy.model) != before


def test_groups_that_waited_are_one_batch_with_those_that_came_later(make_policy):
    # held groups are updated on exactly as if they had come together
    together, apart = make_policy(), make_policy()
    learner(together, DAPO).tell(batch(SEGMENTS, REWARDS))
    subject = learner(apart, DAPO)
    subject.tell(batch([*SEGMENTS[:3], *SEGMENTS[:3]], REWARDS[:3] + [0.0] * 3))
    subject.tell(EpisodeBatch(1, batch(SEGMENTS, REWARDS).episodes[3:], 1, 1, 3))
    assert model_sha256(together.model) == model_sha256(apart.model)


@pytest.mark.parametrize(("rewards", "updated"), [([0.0] * 6, 0.0), ([0.0] * 3 + REWARDS[3:], 1.0)])
def test_when_the_refills_are_used_up_what_there_is_must_do(fresh_policy, rewards, updated):
    subject = learner(fresh_policy, DAPO, refills=0)
    metrics = subject.tell(batch(SEGMENTS, rewards))
    assert metrics["updated"] == updated and subject.ask(1).n_items == 2
    assert all(math.isfinite(value) for value in metrics.values())


def test_whitening_is_over_the_whole_batch_also_when_groups_waited(make_policy):
    # advantages are not kept but made when the batch is whole
    together, apart = make_policy(), make_policy()
    learner(together, REINFORCE_PP, dynamic=True).tell(batch(SEGMENTS, REWARDS))
    subject = learner(apart, REINFORCE_PP, dynamic=True)
    subject.tell(batch([*SEGMENTS[:3], *SEGMENTS[:3]], REWARDS[:3] + [0.0] * 3))
    subject.tell(EpisodeBatch(1, batch(SEGMENTS, REWARDS).episodes[3:], 1, 1, 3))
    assert model_sha256(together.model) == model_sha256(apart.model)


@pytest.mark.parametrize("preset", [DR_GRPO, DAPO, GSPO])
def test_a_learner_continues_from_its_state(make_policy, preset):
    straight, broken = make_policy(), make_policy()
    one, two = learner(straight, preset), learner(broken, preset)
    told = [batch(SEGMENTS, REWARDS), batch(SEGMENTS, [0.0] * 3 + REWARDS[3:]), batch(SEGMENTS, REWARDS)]
    for each in told:
        one.tell(each)
    for each in told[:2]:
        two.tell(each)
    again = learner(broken, preset)
    again.load_state_dict(two.state_dict())
    again.tell(told[2])
    assert model_sha256(straight.model) == model_sha256(broken.model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replies": 1}, "replies must be at least 2"),
        ({"items": 0}, "items must be at least 1"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"temperature": -1.0}, "temperature must be at least 0.001, got -1"),
        ({"temperature": 1e-40}, r"dr_grpo: temperature must be at least 0.001, got 1e-40"),
        ({"items": 1 << 21}, r"items must be at most 1048576, got 2097152"),
        ({"replies": 1 << 21}, r"replies must be at most 1048576, got 2097152"),
        ({"kl_loss": -1.0}, "kl_loss must be at least 0"),
        ({"beta1": 1.0}, "beta1 must lie from 0 to below 1"),
        ({"gamma": 1.5}, "gamma must lie from 0 to 1"),
        ({"refills": -1}, "refills must be at least 0"),
        ({"overlong": 64}, "overlong must be at most length, got 64 and 32"),
        ({"advantage": "median"}, "no advantage 'median'"),
        ({"objective": "clib"}, "no objective 'clib'; did you mean 'clip'"),
        ({"reduction": "sum"}, "no reduction 'sum'"),
        ({"credit": "token"}, "no credit 'token'"),
        ({"truncated": "dropped"}, "no truncated 'dropped'; did you mean 'drop'"),
        ({"kl_estimator": "k1"}, "no kl_estimator 'k1'"),
        ({"credit": "turn", "objective": "gspo"}, "credit=turn needs an objective of tokens; gspo has one ratio"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(EggymError, match=message):
        DR_GRPO.resolve("tiny", options)


def test_advantages_are_shared_by_all_tokens_of_an_episode(policy):
    from eggym.agents.traces import groups

    samples = learner(policy)._samples(groups(batch(SEGMENTS, REWARDS), "keep", 0.0, 32, 0))
    assert all(len(np.unique(one.advantages_T)) == 1 for one in samples)
