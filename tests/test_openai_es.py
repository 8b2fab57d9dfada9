import numpy as np
import pytest
import torch

from eggym.budget import FlopModel, Meter
from eggym.counter import GRID, grid_normals, grid_variance
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch
from eggym.errors import BadValue
from eggym.es.openai_es import SPEC, OpenAIES
from eggym.es.shaping import shape
from eggym.policy import Prompting, model_sha256
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.task import Item, Verdict, VerdictState
from eggym.views import ParameterSpace

SPACE = ParameterSpace()


def learner(policy, **overrides):
    return OpenAIES(policy, SPACE, 7, SPEC.resolve("tiny", {"population": 4, "items": 2, **overrides}))


def test_a_seated_member_is_the_model_plus_its_noise_and_the_real_weights_stay(policy):
    before = model_sha256(policy.model)
    views = learner(policy, sigma=0.1).ask(2)
    real = SPACE.select(policy.model)
    with views.attach(policy.model) as attached:
        attached.take(attached.seat(torch.tensor([3, 3])))
        for name, weight in SPACE.select(policy.model).items():
            noise = grid_normals(views.keys[name][1:2], weight.numel())[0].view(weight.shape).float() / GRID
            want = real[name] - 0.1 * noise / grid_variance() ** 0.5
            assert torch.allclose(weight, want, atol=1e-6)
        with pytest.raises(ValueError, match="cannot share a batch"):
            attached.take(attached.seat(torch.tensor([0, 1])))
    assert model_sha256(policy.model) == before
    assert all(weight is real[name] for name, weight in SPACE.select(policy.model).items())


def test_the_real_weights_come_back_when_a_rollout_fails(policy):
    before = model_sha256(policy.model)
    with pytest.raises(RuntimeError), learner(policy).ask(0).attach(policy.model) as attached:
        attached.take(attached.seat(torch.tensor([1])))
        raise RuntimeError
    assert model_sha256(policy.model) == before


def test_members_answer_one_at_a_time_and_differ(policy):
    task = load_task("eggym/tiny-arithmetic-v0")
    run = Rollout(Engine(policy, Meter(FlopModel.of(policy.model))), task, Prompting.of(task, {}), 0)
    items = [task.item("train", index) for index in range(2)]
    batch = run.run(learner(policy, sigma=0.3).ask(0), items, 0)
    texts = {tuple(e.turns[0].reply for e in batch.episodes if e.member == member) for member in range(4)}
    assert len(texts) > 1
    still = run.run(learner(policy, sigma=1e-30).ask(0), items, 0)
    assert len({tuple(e.turns[0].reply for e in still.episodes if e.member == member) for member in range(4)}) == 1


def test_the_update_equals_the_explicit_sum(fresh_policy):
    subject = learner(fresh_policy)
    views = subject.ask(0)
    rewards = np.array([[1.0, 0.0], [0.0, 0.0], [0.5, 1.0], [0.25, 0.0]], dtype=np.float32)
    before = {name: weight.double().clone() for name, weight in SPACE.select(fresh_policy.model).items()}
    episodes = [
        Episode(Item("p"), m, p, 0, [], [], Verdict(float(rewards[m, p]), VerdictState.WRONG), Ending.ANSWERED)
        for m in range(4)
        for p in range(2)
    ]
    subject.tell(EpisodeBatch(0, episodes, 4, 2, 1))
    weights = shape(rewards[:, :, None]).weights_D.astype(float)
    for name, weight in SPACE.select(fresh_policy.model).items():
        noise = grid_normals(views.keys[name], weight.numel()).double() / GRID / grid_variance() ** 0.5
        total = torch.einsum("p,pn->n", torch.from_numpy(weights), noise).view(weight.shape)
        want = before[name] + 0.01 * total / np.sqrt((weights**2).sum())
        assert torch.allclose(weight.double(), want, atol=1e-7)


def test_shared_weights_are_refused_by_name(make_policy):
    policy = make_policy()
    with pytest.raises(BadValue, match=r"openai-es cannot perturb 'model\.embed_tokens\.weight'"):
        OpenAIES(policy, ParameterSpace(r".*embed_tokens\.weight"), 0, SPEC.resolve("tiny", {}))
