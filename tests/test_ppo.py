"""PPO: advantages against a hand recursion, the value head, and what ends a step early."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eggym.agents.batch import Sample, batch_objective
from eggym.agents.critic import Critic, explained_variance, gae, token_rewards, value_loss
from eggym.agents.ppo import Ppo, whitened
from eggym.agents.presets import PPO
from eggym.agents.scoring import action_logprobs, score
from eggym.agents.traces import Trace, trace
from eggym.budget import FlopModel, Meter
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.errors import EggymError
from eggym.policy import model_sha256
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace

SPACE = ParameterSpace()
numbers = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=8)


def learner(policy, **overrides):
    return Ppo(policy, SPACE, 0, PPO.resolve("tiny", {"items": 2, "replies": 3, "minibatches": 1, **overrides}))


def segment(ids, n_prompt, env=()):
    actions = [place >= n_prompt and place not in env for place in range(len(ids))]
    return Segment(list(ids), actions, [0.0] * len(ids))


SEGMENTS = [
    [segment([1, 10, 11, 40, 41, 2], 3)],
    [segment([1, 10, 11, 42, 2], 3)],
    [segment([1, 10, 11, 50, 51], 3), segment([1, 12, 53, 2], 2)],  # a fresh context for its second turn
    [segment([1, 20, 21, 22, 60, 2], 4)],
    [segment([1, 20, 21, 22, 61, 62, 2], 4)],
    [segment([1, 20, 21, 22, 63, 5, 6, 64, 2], 4, env=(5, 6))],
]
TURNS = [[(1.0, 3)], [(0.0, 2)], [(0.25, 2), (0.25, 2)], [(0.0, 2)], [(1.0, 3)], [(0.5, 1), (-0.5, 2)]]


def on_policy(policy):
    found = []
    for segments in SEGMENTS:
        own = []
        for one in segments:
            with torch.no_grad():
                known = iter(action_logprobs(policy, [one], 1.0).tolist())
            own.append(dataclasses.replace(one, logprobs=[next(known) if act else 0.0 for act in one.actions]))
        found.append(own)
    return found


def batch(policy, ending=Ending.ANSWERED, turns=TURNS):
    episodes = [
        Episode(
            Item("p"), 0, i // 3, i % 3, segments, [Turn("o", "r", reward, n) for reward, n in own],
            Verdict(sum(reward for reward, _ in own), VerdictState.WRONG), ending,
        )
        for i, (segments, own) in enumerate(zip(on_policy(policy), turns, strict=True))
    ]  # fmt: skip
    return EpisodeBatch(0, episodes, 1, 2, 3)


def cleanrl(rewards, values, dones, next_value, next_done, gamma, lambda_):
    """cleanrl's definition over one environment: ``dones[t]`` says that step t began a new episode."""
    advantages, last = [0.0] * len(rewards), 0.0
    for t in reversed(range(len(rewards))):
        going = 1.0 - (next_done if t == len(rewards) - 1 else dones[t + 1])
        following = next_value if t == len(rewards) - 1 else values[t + 1]
        delta = rewards[t] + gamma * following * going - values[t]
        advantages[t] = last = delta + gamma * lambda_ * going * last
    return advantages


@given(st.lists(numbers, min_size=1, max_size=4), st.sampled_from([0.0, 0.5, 0.95, 1.0]), st.sampled_from([0.9, 1.0]))
def test_gae_of_whole_episodes_is_cleanrls_over_their_stream(episodes, lambda_, gamma):
    flat = list(itertools.chain(*episodes))
    starts = [float(place == 0) for one in episodes for place in range(len(one))]
    want = cleanrl([r for r, _ in flat], [v for _, v in flat], starts, 123.0, 1.0, gamma, lambda_)
    found = [gae(np.array(one)[:, 0], np.array(one)[:, 1], 0.0, gamma, lambda_) for one in episodes]
    assert np.concatenate(found).tolist() == pytest.approx(want)


@given(numbers, st.floats(-2, 2), st.sampled_from([0.0, 0.95, 1.0]))
def test_gae_of_what_was_cut_off_is_cleanrls_with_its_next_value(steps, end, lambda_):
    rewards, values = np.array(steps).T
    want = cleanrl(rewards, values, [0.0] * len(steps), end, 0.0, 0.9, lambda_)
    assert gae(rewards, values, end, 0.9, lambda_).tolist() == pytest.approx(want)


@given(numbers)
def test_with_lambda_one_it_is_monte_carlo_and_with_zero_one_step(steps):
    rewards, values = np.array(steps).T
    to_go = [sum(0.9 ** (j - t) * rewards[j] for j in range(t, len(steps))) for t in range(len(steps))]
    assert (gae(rewards, values, 0.0, 0.9, 1.0) + values).tolist() == pytest.approx(to_go)
    following = np.append(values[1:], 0.0)
    assert gae(rewards, values, 0.0, 0.9, 0.0).tolist() == pytest.approx((rewards + 0.9 * following - values).tolist())


def test_gae_worked_by_hand():
    # r = 0, 1; V = 1/2, 1/4; gamma 1, lambda 1/2: delta_2 = 3/4, delta_1 = -1/4, A_1 = -1/4 + 3/8
    assert gae(np.array([0.0, 1.0]), np.array([0.5, 0.25]), 0.0, 1.0, 0.5).tolist() == [0.125, 0.75]
    # cut off, with a value of 1 behind the end: delta_2 = 7/4
    assert gae(np.array([0.0, 1.0]), np.array([0.5, 0.25]), 1.0, 1.0, 0.5).tolist() == [0.625, 1.75]


def test_the_reward_of_a_turn_comes_with_its_last_token():
    one = Trace((), 1.0, (0.25, 0.75), (2, 3), False)
    assert token_rewards(one).tolist() == [0, 0.25, 0, 0, 0.75]


def test_value_loss_worked_by_hand():
    # old 0, return 1: a value of 1/2 counts as 0.2; with return 0 it counts as itself
    loss = value_loss(torch.tensor([0.5, 0.5]), torch.zeros(2), torch.tensor([1.0, 0.0]), 0.2)
    assert loss.tolist() == pytest.approx([0.8**2 / 2, 0.5**2 / 2])


def test_explained_variance_of_known_values():
    returns = np.array([0.0, 1.0, 2.0])
    assert explained_variance(returns, returns) == 1
    assert explained_variance(np.zeros(3), returns) == 0
    assert explained_variance(-returns, returns) == pytest.approx(1 - 4)
    assert explained_variance(returns, np.ones(3)) == 0


def test_advantages_are_whitened_over_the_tokens_of_the_batch():
    samples = [Sample((), np.array([1.0, 1.0, 1.0])), Sample((), np.array([-3.0]))]
    # mean 0, std sqrt 3
    assert [one.advantages_T.tolist() for one in whitened(samples)] == [
        pytest.approx([1 / math.sqrt(3)] * 3),
        pytest.approx([-math.sqrt(3)]),
    ]
    assert not any(one.advantages_T.any() for one in whitened([Sample((), np.full(3, 0.1))] * 2))


def test_values_are_read_where_the_tokens_are_predicted(fresh_policy):
    """Against single unpadded passes of the whole model: the hidden state before each action, and behind the last."""
    critic = Critic(fresh_policy, PPO.resolve("tiny", {"tokens_per_pass": 24}))
    critic.weight_D.data.normal_(generator=torch.Generator().manual_seed(0))
    critic.bias.data.fill_(0.5)
    traces = [trace(one) for one in batch(fresh_policy).episodes]
    values, last = critic.observe(fresh_policy, traces)
    for one, values_T, end in zip(traces, values, last, strict=True):
        want = []
        for own in one.segments:
            with torch.no_grad():
                hidden = fresh_policy.model.base_model(torch.tensor([own.ids])).last_hidden_state[0]
            table = (hidden @ critic.weight_D + critic.bias).tolist()
            want += [table[place - 1] for place, act in enumerate(own.actions) if act]
        assert values_T.tolist() == pytest.approx(want, abs=2e-4)
        assert end == pytest.approx(table[-1], abs=2e-4)


def test_a_fresh_value_head_says_zero(policy):
    values, last = Critic(policy, PPO.resolve("tiny", {})).observe(policy, [trace(batch(policy).episodes[0])])
    assert values[0].tolist() == [0.0] * 3 and last == [0.0]


@pytest.mark.parametrize(("ending", "bootstraps"), [(Ending.ANSWERED, False), (Ending.OUT_OF_TURNS, True)])
def test_only_what_a_limit_cut_off_is_worth_something_behind_its_end(policy, ending, bootstraps):
    subject = learner(policy, whiten=False)
    subject._critic.bias.data.fill_(0.5)  # every value is 1/2
    samples = subject._samples([trace(one) for one in batch(policy, ending).episodes])
    extra = 0.5 if bootstraps else 0.0
    assert samples[0].advantages_T.tolist() == pytest.approx([0.5 + extra] * 3)  # reward 1 at the end
    assert samples[5].advantages_T.tolist() == pytest.approx([-0.5 + extra, -1.0 + extra, -1.0 + extra])
    assert samples[2].returns_T.tolist() == pytest.approx([0.5 + extra] * 2 + [0.25 + extra] * 2)
    off = learner(policy, whiten=False, bootstrap=False)
    off._critic.bias.data.fill_(0.5)
    again = off._samples([trace(one) for one in batch(policy, ending).episodes])
    assert again[0].advantages_T.tolist() == pytest.approx([0.5] * 3)


def naive(policy, critic, samples, options):
    """The whole objective as a loop over tokens."""
    total, n = torch.zeros(()), sum(one.n_tokens for one in samples)
    for sample in samples:
        t = 0
        for own in sample.segments:
            out = policy.model(torch.tensor([own.ids]), output_hidden_states=True)
            table, hidden = out.logits[0].log_softmax(-1), out.hidden_states[-1][0]
            for place, act in enumerate(own.actions):
                if not act:
                    continue
                ratio = (table[place - 1, own.ids[place]] - own.logprobs[place]).exp()
                advantage = sample.advantages_T[t].item()
                gain = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
                state = hidden[place - 1].detach() if options.detach_trunk else hidden[place - 1]
                value, old, target = state @ critic.weight_D + critic.bias, sample.values_T[t], sample.returns_T[t]
                near = old + (value - old).clamp(-0.2, 0.2)
                loss = torch.maximum((value - target) ** 2, (near - target) ** 2) / 2
                total = total + (gain - options.value_factor * loss) / n
                t += 1
    return total


@pytest.mark.parametrize("tokens_per_pass", [16, 10_000])
@pytest.mark.parametrize("detach", [True, False])
def test_value_and_gradient_equal_a_plain_loop_whatever_the_micro_batches(fresh_policy, detach, tokens_per_pass):
    subject = learner(fresh_policy, detach_trunk=detach, tokens_per_pass=tokens_per_pass, value_factor=0.7)
    critic = subject._critic
    critic.weight_D.data.normal_(generator=torch.Generator().manual_seed(1))
    samples = subject._samples([trace(one) for one in batch(fresh_policy).episodes])
    critic.weight_D.data.mul_(1.1)  # values that have moved since
    parameters = SPACE.select(fresh_policy.model)
    for weight in parameters.values():
        weight.requires_grad_(True)
    want = naive(fresh_policy, critic, samples, subject._options)
    every = [*parameters.values(), critic.weight_D, critic.bias]
    gradients = torch.autograd.grad(-want, every)
    found = batch_objective(fresh_policy, parameters, samples, subject._options, critic.term)
    assert found.objective == pytest.approx(float(want.detach()), rel=1e-4)
    got = [*found.gradients.values(), critic.weight_D.grad, critic.bias.grad]
    for one, two in zip(got, gradients, strict=True):
        assert torch.allclose(one, two, atol=1e-4 * float(two.abs().max()))


def test_the_critic_learns_what_episodes_return(fresh_policy):
    subject = learner(fresh_policy, epochs=1, critic_lr=2e-2, lr=1e-9)
    told = batch(fresh_policy)
    metrics = [subject.tell(told) for _ in range(60)]
    assert metrics[0]["explained_variance"] == 0 and metrics[-1]["explained_variance"] > 0.7
    assert metrics[-1]["value_loss"] < metrics[0]["value_loss"] / 3


def test_while_the_critic_warms_up_the_policy_stands_still_and_costs_no_backward(make_policy):
    policy = make_policy()
    before = model_sha256(policy.model)
    subject = learner(policy, critic_warmup=2, epochs=1)
    meter = Meter(FlopModel.of(policy.model))
    told = batch(policy)
    with meter.watch(policy.model):
        subject.tell(told)
        assert subject._critic.bias.item() != 0
        subject.tell(told)
    lengths = [len(own.ids) for segments in SEGMENTS for own in segments]
    forward = sum(meter.flop_model.forward(n, n * (n + 1) // 2, 0) for n in lengths)
    assert 4 * forward < meter.spend.learner_flops < 5 * forward  # two passes a step, and logits
    assert model_sha256(policy.model) == before
    subject.tell(told)
    assert model_sha256(policy.model) != before


def test_a_step_ends_early_when_the_policy_has_moved_far_enough(make_policy):
    policy = make_policy()
    free, held = learner(policy, epochs=4, lr=1e-2), learner(make_policy(), epochs=4, lr=1e-2, target_kl=1e-6)
    told = batch(policy)
    assert free.tell(told)["updates"] == 4
    metrics = held.tell(told)
    assert metrics["updates"] == 1 and metrics["kl_old"] > 1e-6


def test_equal_rewards_and_a_fresh_critic_move_nothing(make_policy):
    policy = make_policy()
    before = model_sha256(policy.model)
    learner(policy, value_factor=0.0, epochs=1).tell(
        batch(policy, turns=[[(0.1, sum(n for _, n in own))] for own in TURNS])
    )
    assert model_sha256(policy.model) == before


def test_replies_that_could_not_be_judged_are_left_out(make_policy):
    policy = make_policy()
    told = batch(policy)
    told.episodes[0].verdict = Verdict(None, VerdictState.ERROR)
    told.episodes[0].turns[-1].reward = math.nan
    metrics = learner(policy).tell(told)
    assert all(math.isfinite(value) for value in metrics.values())
    for episode in told.episodes:
        episode.verdict = Verdict(None, VerdictState.ERROR)
    assert all(math.isfinite(value) for value in learner(policy).tell(told).values())


def test_a_learner_continues_from_its_state(make_policy):
    straight, broken = make_policy(), make_policy()
    settings = {"minibatches": 3, "epochs": 2, "critic_warmup": 1}
    one, two = learner(straight, **settings), learner(broken, **settings)
    told = batch(straight)
    for _ in range(3):
        one.tell(told)
    for _ in range(2):
        two.tell(told)
    again = learner(broken, **settings)
    again.load_state_dict(two.state_dict())
    again.tell(told)
    assert model_sha256(straight.model) == model_sha256(broken.model)
    assert torch.equal(one._critic.weight_D, again._critic.weight_D)


def test_hidden_states_are_those_of_the_model_whatever_else_is_asked(policy):
    own = SEGMENTS[0][0]
    plain, rich = score(policy, [own], 1.0), score(policy, [own], 1.0, hidden=True)
    # one position more is read for the hidden state behind the last token, so products may round otherwise
    assert torch.allclose(plain.logprobs_M, rich.logprobs_M, atol=1e-6) and plain.hidden_M_D is None
    assert rich.hidden_M_D.shape == (3, 32) and rich.last_R_D.shape == (1, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gae_lambda": 1.5}, "gae_lambda must lie from 0 to 1"),
        ({"critic_lr": 0.0}, "critic_lr must be above 0"),
        ({"target_kl": -1.0}, "target_kl must be at least 0"),
        ({"objective": "gspo"}, "ppo: objective=gspo has no advantage per token"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(EggymError, match=message):
        PPO.resolve("tiny", options)
