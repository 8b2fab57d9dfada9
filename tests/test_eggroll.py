"""The first invariants of EGGROLL: forward, off, update, antithesis, noise, common random numbers."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eggym.budget import FlopModel, Meter
from eggym.counter import GRID, as_key, grid_variance
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.es.eggroll import SPEC, Eggroll
from eggym.es.noise import draw_factors
from eggym.es.shaping import centred_ranks, pooled, quantise, shape
from eggym.es.targets import find_targets
from eggym.es.update import MAX_TERMS, full_rank_sum, low_rank_sum, low_rank_unit, norm, scaled
from eggym.policy import Prompting, model_sha256
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.sampling import Draw
from eggym.seeding import key
from eggym.session import Sampling, Turn
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace

SPACE = ParameterSpace()


def learner(policy, **overrides):
    return Eggroll(policy, SPACE, 7, SPEC.resolve("tiny", {"population": 8, "items": 3, **overrides}))


def batch(rewards_N_P, step=0):
    n_members, n_items = len(rewards_N_P), len(rewards_N_P[0])
    episodes = [
        Episode(Item("p"), m, p, 0, [], [], Verdict(float(rewards_N_P[m][p]), VerdictState.WRONG), Ending.ANSWERED)
        for m in range(n_members)
        for p in range(n_items)
    ]
    return EpisodeBatch(step, episodes, n_members, n_items, 1)


def directions(policy, views, member):
    """The member's perturbation of every weight, materialised in float64."""
    sign = 1 - 2 * (member % 2)
    found = {}
    for linear in views.targets:
        factors = views.factors[linear.name]
        a, b = (one[member // 2].double() / GRID for one in (factors.a_P_K_O, factors.b_P_K_I))
        e = torch.einsum("ko,ki->oi", a, b) / (grid_variance() * math.sqrt(views.rank))
        found[linear.name] = sign * (e.t() if linear.transposed else e)
    return found


def materialised(policy, views, member):
    model = copy.deepcopy(policy.model)
    with torch.no_grad():
        for name, e in directions(policy, views, member).items():
            weight = model.get_parameter(name)
            weight.copy_((weight.double() + views.sigma * e).float())
    return model


def wrap(model, policy):
    from eggym.policy import Policy

    return Policy(model.eval().requires_grad_(False), policy.tokenizer, "other")


def rollout(policy, temperature=1.0):
    task = load_task("eggym/tiny-arithmetic-v0")
    engine = Engine(policy, Meter(FlopModel.of(policy.model)))
    return Rollout(engine, task, Prompting.of(task, {}), seed=5), [task.item("train", index) for index in range(3)]


def test_generation_by_members_equals_generation_by_materialised_models(policy):
    run, items = rollout(policy)
    views = learner(policy, sigma=0.05, temperature=1.0).ask(0)
    found = run.run(views, items, 0).episodes
    for member in (0, 5):
        alone, _ = rollout(wrap(materialised(policy, views, member), policy))
        plain = type("Alone", (), {})()
        from eggym.views import PolicyViews

        plain = PolicyViews(3, 1, 1.0, coupling="shared")
        want = alone.run(plain, items, 0).episodes
        got = [episode for episode in found if episode.member == member]
        assert [e.segments[0].ids for e in got] == [e.segments[0].ids for e in want]


@pytest.mark.parametrize("rank", [1, 2, 16])
def test_replies_of_members_do_not_depend_on_how_many_rows_sit_together(policy, rank):
    def replies(n_rows, group):
        """Rows 16 m to 16 m + 15 are member m's; the first ``n_rows`` of them, in runs of ``group``."""
        turns = [
            Turn(row, policy.tokenizer(f"{row}+" * (1 + row % 5)).input_ids, as_key(key("row", row)))
            for row in range(n_rows)
        ]
        views = learner(policy, sigma=0.05, rank=rank).ask(0)
        engine = Engine(policy, Meter(FlopModel.of(policy.model)))
        members, sampling, found = [row // 16 for row in range(n_rows)], Sampling(Draw(1.0, False), 12), {}
        with views.attach(policy.model) as attached, engine.open(attached, members, sampling, 64, group) as session:
            session.begin(turns)
            while session.busy:
                rows = session.decode()
                found |= {row: session.reply(row) for row in rows}
                session.release(rows)
        return [found[row] for row in range(16)]

    many = replies(64, 32)
    assert many == replies(16, 16) == replies(16, 2) == replies(64, 2)


def test_the_model_is_untouched_while_and_after_members_are_laid_over_it(policy):
    before = model_sha256(policy.model)
    ids = torch.tensor([[5, 6, 7]])
    plain = policy.model(ids).logits
    views = learner(policy).ask(0)
    with views.attach(policy.model) as attached:
        attached.take(attached.seat(torch.tensor([2])))
        assert model_sha256(policy.model) == before
        assert not torch.equal(policy.model(ids).logits, plain)
    assert torch.equal(policy.model(ids).logits, plain)
    assert model_sha256(policy.model) == before


def test_members_without_perturbation_give_identical_transcripts(policy):
    run, items = rollout(policy)
    views = learner(policy, sigma=1e-30, temperature=1.0).ask(0)
    episodes = run.run(views, items, 0).episodes
    for slot in range(3):
        assert len({tuple(e.segments[0].ids) for e in episodes if e.slot == slot}) == 1
    independent = learner(policy, sigma=1e-30, temperature=1.0, coupling="independent").ask(0)
    assert len({tuple(e.segments[0].ids) for e in run.run(independent, items, 0).episodes if e.slot == 0}) > 1


def test_the_update_equals_the_explicit_sum(fresh_policy):
    subject = learner(fresh_policy, rank=2)
    views = subject.ask(4)
    rewards = np.random.default_rng(0).random((8, 3)).astype(np.float32)
    before = {name: weight.double().clone() for name, weight in SPACE.select(fresh_policy.model).items()}
    metrics = subject.tell(batch(rewards, 4))
    # the formula, in float64: update_rms * sum w E / sqrt(sum w^2), w of the pairs
    weights = shape(rewards[:, :, None]).weights_D.astype(float)
    plus = [directions(fresh_policy, views, 2 * pair) for pair in range(4)]
    for name, weight in SPACE.select(fresh_policy.model).items():
        total = sum(w * e[name] for w, e in zip(weights, plus, strict=True))
        want = before[name] + 0.01 * total / math.sqrt((weights**2).sum())
        assert torch.allclose(weight.double(), want, rtol=0, atol=1e-7)
    assert metrics["update_rms"] == pytest.approx(0.01, rel=0.1)


def test_the_update_is_the_authors_when_twins_are_uncorrelated():
    # fact 2 of the paper's code: dW = lr sqrt(N) mean_i(f_i s_i sigma / sqrt r A_i B_i^T); with update_rms =
    # lr sigma 2 sqrt(sum w^2) / sqrt N both are the same vector
    rng = np.random.default_rng(1)
    n, lr, sigma = 6, 0.3, 0.02
    f = rng.standard_normal(n)
    e = rng.standard_normal((n // 2, 5, 4))
    sign = np.array([1, -1] * (n // 2))
    authors = lr * math.sqrt(n) * sigma * np.mean([f[i] * sign[i] * e[i // 2] for i in range(n)], axis=0)
    w = (f[0::2] - f[1::2]) / 2
    ours = (
        (2 * lr * sigma / math.sqrt(n))
        * math.sqrt((w**2).sum())
        * np.einsum("p,poi->oi", w, e)
        / math.sqrt((w**2).sum())
    )
    assert np.allclose(authors, ours, atol=1e-15)


def test_the_sum_is_exact_in_any_order_and_chunk(policy):
    linear = find_targets(policy.model, SPACE.select(policy.model))[0]
    factors = draw_factors(linear, 3, 0, 50, 2, torch.device("cpu"))
    weights = quantise(np.random.default_rng(2).standard_normal(50))
    whole = low_rank_sum(factors, weights)
    assert torch.equal(whole, whole.round())
    order = np.random.default_rng(3).permutation(50)
    shuffled = type(factors)(factors.a_P_K_O[order], factors.b_P_K_I[order])
    for chunk in (1, 7, 50):
        assert torch.equal(low_rank_sum(shuffled, weights[order], chunk), whole)
    by_hand = sum(
        int(w) * (a.long().t() @ b.long()) for w, a, b in zip(weights, factors.a_P_K_O, factors.b_P_K_I, strict=True)
    )
    assert torch.equal(whole.long(), by_hand)
    assert 127 * 127 * 32767 * MAX_TERMS < 2**53


def test_swapping_twins_turns_the_update_round(make_policy):
    rewards = np.random.default_rng(0).random((8, 3)).astype(np.float32)
    swapped = rewards.reshape(4, 2, 3)[:, ::-1].reshape(8, 3)
    moved = []
    for told in (rewards, swapped):
        policy = make_policy()
        before = {name: weight.clone() for name, weight in SPACE.select(policy.model).items()}
        subject = learner(policy)
        subject.ask(0)
        weights = shape(told[:, :, None]).weights_D
        factor = 0.01 / (low_rank_unit(1, grid_variance()) * norm(weights))
        moved.append(
            {
                linear.name: scaled(low_rank_sum(subject._factors[linear.name], weights), factor)
                for linear in subject._targets
            }
        )
        subject.tell(batch(told))
        assert any(not torch.equal(weight, before[name]) for name, weight in SPACE.select(policy.model).items())
    assert all(torch.equal(moved[0][name], -moved[1][name]) for name in moved[0])


def test_rewards_that_agree_move_nothing(fresh_policy):
    before = model_sha256(fresh_policy.model)
    subject = learner(fresh_policy)
    subject.ask(0)
    metrics = subject.tell(batch([[0.5, 1.0, 0.0]] * 8))
    assert model_sha256(fresh_policy.model) == before
    assert metrics["informative"] == 0 and metrics["update_rms"] == 0


def test_golden_fitness():
    # by hand: two prompts, rewards 0 1 0 1 and 10 10 10 11; within-prompt means 1/2 and 41/4; squares 4 * 1/4 and
    # 3 * 1/16 + 9/16; pooled variance (1 + 3/4) / 8 = 7/32
    centred = np.array([[-0.5, -0.25], [0.5, -0.25], [-0.5, -0.25], [0.5, 0.75]])
    want = [(a / math.sqrt(7 / 32) + b / math.sqrt(7 / 32)) / 2 for a, b in centred]
    assert pooled(centred).tolist() == pytest.approx(want)
    assert centred[:, 0] / math.sqrt(7 / 32) == pytest.approx([-1.06904, 1.06904, -1.06904, 1.06904], abs=1e-5)
    assert centred[:, 1] / math.sqrt(7 / 32) == pytest.approx([-0.53452, -0.53452, -0.53452, 1.60357], abs=1e-5)


def test_ranks_of_a_known_population():
    # by hand: 0 is below three, the two 1s share the top two places
    assert centred_ranks([0.0, 1.0, 0.5, 1.0]).tolist() == pytest.approx([-1 / 2, 1 / 3, -1 / 6, 1 / 3])


rewards_of = st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=8, max_size=8)


@given(rewards_of, rewards_of)
def test_pair_weights_ignore_shift_and_scale_and_turn_with_the_twins(a, b):
    rewards = np.array([a, b], dtype=np.float32).T[:, :, None]
    for shaping in ("pooled", "ranks"):
        weights = shape(rewards, shaping).weights_D
        assert np.array_equal(shape(4 * rewards + 8, shaping).weights_D, weights)
        twins = rewards.reshape(4, 2, 2, 1)[:, ::-1].reshape(8, 2, 1)
        assert np.array_equal(shape(twins, shaping).weights_D, -weights)
        order = [2, 3, 0, 1, 6, 7, 4, 5]
        assert np.array_equal(shape(rewards[order], shaping).weights_D, weights[[1, 0, 3, 2]])


def test_a_missing_reward_says_nothing():
    rewards = np.array([[1.0], [0.0], [np.nan], [np.nan]], dtype=np.float32)[:, :, None]
    assert shape(rewards).weights_D.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 7}, "population must be even"),
        ({"population": 0}, "population must be even"),
        ({"sigma": 0.0}, "sigma and update_rms must be above 0"),
        ({"temperature": 1e-40}, r"eggroll: temperature must be 0 \(greedy\) or at least 0.001, got 1e-40"),
        ({"items": 0}, "eggroll: items must lie from 1 to 1048576, got 0"),
        ({"rank": 0}, "rank must lie from 1 to 64"),
        ({"sigma": "big"}, "eggroll.sigma must be of type float"),
        ({"sgma": 0.1}, "did you mean 'sigma'"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises((BadValue, KeyError), match=message):
        SPEC.resolve("tiny", options)


def test_bf16_weights_lose_no_update(make_policy):
    policy = make_policy(dtype=torch.bfloat16, sharpness=1.0)
    subject = learner(policy, update_rms=1e-6)
    start = {name: weight.float().clone() for name, weight in SPACE.select(policy.model).items()}
    name = "model.layers.0.self_attn.q_proj.weight"
    for _ in range(100):
        subject._ascent.weights.add(name, torch.full_like(start[name], 1e-6))
    assert torch.allclose(subject._ascent.weights.masters[name] - start[name], torch.tensor(1e-4), rtol=0.02)
    moved = (SPACE.select(policy.model)[name].float() - start[name]).mean()
    assert moved == pytest.approx(1e-4, rel=0.2)
    naive = start[name].bfloat16()
    for _ in range(100):
        naive += 1e-6
    assert (naive.float() - start[name]).mean() < 0.2e-4  # what rounding to nearest loses


def test_full_rank_sums_are_exact_and_redrawn(policy):
    from eggym.es.noise import pair_keys

    keys = pair_keys("w", 0, 0, 6, torch.device("cpu"))
    weights = quantise(np.random.default_rng(0).standard_normal(6))
    whole = full_rank_sum(keys, weights, 1000)
    order = [3, 1, 5, 0, 2, 4]
    assert torch.equal(full_rank_sum(keys[order], weights[order], 1000), whole)
