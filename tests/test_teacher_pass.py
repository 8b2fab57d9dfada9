"""The direct pass over whole texts says what the library's says, gradients too, or it does not run."""

from contextlib import nullcontext

import pytest
import torch
from conftest import random_policy
from test_plain_pass import SLIDING, qwen2

from eggym.agents import scoring
from eggym.agents.checkpointing import checkpointing
from eggym.agents.scoring import score
from eggym.episode import Segment
from eggym.pass_attention import Attention, Places, SharedAttention
from eggym.pass_parts import GatedMlp, Norm, Swiglu
from eggym.prefixes import find_prefixes
from eggym.start_model import StartModel
from eggym.teacher_pass import runs_directly, teacher_pass
from eggym.views import ParameterSpace

CLOSE = 3e-5  # float32 sums in another order; 1.03e-5 was seen, on an Intel CPU


def text(n_prompt, *turns, first=3):
    """A prompt, then replies and what the environment said between them, of these lengths by turns."""
    actions = [False] * n_prompt
    for number, n in enumerate(turns):
        actions += [number % 2 == 0] * n
    return Segment([first + 7 * place % 37 for place in range(len(actions))], actions, [0.0] * len(actions))


EVEN = [text(3, 9), text(5, 7)]
PADDED = [text(3, 9), text(2, 2, 3, 4), text(6, 1), text(1, 30)]
SHARED = [
    text(13, 9),
    text(9, 8, first=7),
    text(13, 2, 3, 4),
    text(9, 1, first=7),
    text(13, 1),
    text(12, 3, first=9),
]


def tame(**settings):
    """Smaller weights: in a model of large ones rounding grows from layer to layer."""
    policy = qwen2(**settings)
    for weight in policy.model.parameters():
        weight.data.mul_(0.4)
    return policy


def found(policy, parameters, segments, hidden=False, direct=True, recompute=False):
    """Values and gradients of a pass, by name."""
    with pytest.MonkeyPatch.context() as patch, checkpointing(policy.model, recompute):
        if not direct:
            patch.setattr(scoring, "teacher_pass", lambda *given: nullcontext())
        for weight in parameters.values():
            weight.requires_grad_(True)
        scores = score(policy, segments, 0.7, hidden=hidden)
        read = [scores.hidden_M_D, scores.last_R_D] if hidden else []
        total = (scores.logprobs_M * torch.linspace(-1, 1, len(scores.logprobs_M))).sum()
        gradients = torch.autograd.grad(
            total + sum((one * torch.linspace(0, 1, one.shape[1])).sum() for one in read), list(parameters.values())
        )
        for weight in parameters.values():
            weight.requires_grad_(False)
    values = {"logprobs": scores.logprobs_M, "entropy": scores.entropy_M} | dict(zip("hl", read, strict=False))
    return values | dict(zip(parameters, gradients, strict=True))


def assert_close(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        error = (value - two[name]).abs().max() / two[name].abs().max()
        assert error <= CLOSE, (name, float(error))


@pytest.mark.parametrize("segments", [EVEN, PADDED, SHARED], ids=["even", "padded", "shared"])
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "sliding", "lora", "hooked", "frozen", "hidden"])
def test_values_and_gradients_are_the_librarys(kind, recompute, segments):
    policy = {"llama": random_policy, "sliding": lambda: tame(**SLIDING)}.get(kind, tame)()
    space = {"lora": ParameterSpace(adapter_rank=2), "frozen": ParameterSpace("blocks")}.get(kind, ParameterSpace(".*"))
    space.install(policy.model)
    for name, weight in space.select(policy.model).items():
        weight.data.add_(0.1 * (".up." in name))
    seen = []
    if kind == "hooked":
        policy.model.base_model.layers[0].mlp.up_proj.register_forward_hook(lambda *call: seen.append(1))
    assert runs_directly(policy.model)
    arguments = (policy, space.select(policy.model), segments, kind == "hidden")
    library = found(*arguments, direct=False)
    assert_close(found(*arguments, recompute=recompute), library)
    assert bool(seen) == (kind == "hooked")


def test_a_prompt_of_several_texts_is_computed_once():
    policy, seen = qwen2(), []
    policy.model.base_model.embed_tokens.register_forward_hook(
        lambda module, args, output: seen.append(args[0].numel())
    )
    score(policy, SHARED, 1.0)
    score(policy, PADDED, 1.0)
    assert seen == [3 * 13 + 6 * 8, 4 * 30]  # prompts x the longest + texts x the longest rest but its last token


def test_texts_that_share_too_little_stay_whole():
    ids, mask = torch.arange(40).reshape(2, 20), torch.ones(2, 20, dtype=torch.int64)
    positions = mask.cumsum(1) - 1
    assert find_prefixes(ids, mask, positions, [19, 19]) is None  # two prompts
    alike = ids[:1].expand(2, 20)
    assert find_prefixes(alike, mask, positions, [1, 1]) is None  # of one token
    assert find_prefixes(alike, mask, positions, [20, 20]) is None  # and nothing after them
    found = find_prefixes(alike, mask, positions, [19, 19])
    assert found.ids_N.tolist() == [[*range(20), 19]]
    assert found.positions_N.tolist() == [[*range(20), 19]]


def test_the_start_model_is_read_with_its_own_weights():
    policy = qwen2()
    parameters = ParameterSpace(".*").select(policy.model)
    start, before = StartModel(policy.model, parameters), score(policy, PADDED, 1.0).logprobs_M
    for weight in parameters.values():
        weight.data.add_(0.05)
    assert torch.allclose(score(policy, PADDED, 1.0, model=start).logprobs_M, before, atol=1e-5)
    assert not torch.allclose(score(policy, PADDED, 1.0).logprobs_M, before, atol=1e-3)


def test_the_models_own_pass_runs_where_the_direct_one_would_pass_somebody_over():
    policy = qwen2()
    layer = policy.model.base_model.layers[1]
    for watch in (layer.mlp.register_forward_hook, layer.input_layernorm.register_full_backward_hook):
        hook = watch(lambda *call: None)
        assert not runs_directly(policy.model)
        hook.remove()
    layer.self_attn.training = True  # its dropout would be on
    assert not runs_directly(policy.model)
    assert not runs_directly(qwen2(torch.bfloat16).model)


def test_the_model_is_as_it_was_afterwards():
    policy = qwen2()
    with pytest.raises(ZeroDivisionError), teacher_pass(policy.model):
        assert "forward" in vars(policy.model.base_model)
        raise ZeroDivisionError
    assert "forward" not in vars(policy.model.base_model)


# -- the parts, in float64 -------------------------------------------------------------------------------------------
def normals(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=GENERATOR, requires_grad=True)


GENERATOR = torch.Generator().manual_seed(0)


def norm(hidden, weight):
    return Norm.apply(hidden, weight, 1e-5)


def places(n_rows, n_new, n_before=0):
    """Of texts with ``n_before`` positions before their own; what stands first in the second row is a pad."""
    angle = torch.arange(3.0 * n_new, dtype=torch.float64).reshape(1, n_new, 1, 3).expand(n_rows, n_new, 1, 3)
    mask = torch.full((n_rows, 1, n_new, n_before + n_new), -1e3, dtype=torch.float64).triu(1 + n_before)
    mask[1, :, :, 0] = -1e3
    return Places(n_rows, n_new, mask, torch.cat((angle, angle), -1).cos(), angle.sin())


def attention(query, key, value):
    return Attention.apply(query, key, value, places(2, 5), 0.4)


def shared_attention(query, key, value):
    """Two prompts of 2 tokens; of four texts of 3, the first and the last go on from the second prompt."""
    prompts, texts = places(2, 2), places(4, 3, n_before=2)
    return SharedAttention.apply(query, key, value, prompts, texts, torch.tensor([1, 0, 0, 1]), 0.4)


PARTS = {
    "norm": (norm, (2, 3, 6), (6,)),
    "swiglu": (Swiglu.apply, (2, 3, 6), (2, 3, 6)),
    "mlp": (GatedMlp.apply, (2, 5, 3), (4, 3), (4, 3), (3, 4)),
    "attention": (attention, (2, 5, 24), (2, 5, 12), (2, 5, 12)),
    "shared": (shared_attention, (1, 16, 24), (1, 16, 12), (1, 16, 12)),
}


@pytest.mark.parametrize("frozen", [None, 0, 1])
@pytest.mark.parametrize("name", PARTS)
def test_each_gradient_is_the_derivative(name, frozen, monkeypatch):
    monkeypatch.setattr("eggym.pass_parts._LEAST_ROWS", 4)  # of 10 rows: blocks of unequal size
    monkeypatch.setattr("eggym.pass_parts._BLOCK", 1)
    part, *shapes = PARTS[name]
    given = [normals(*shape) for shape in shapes]
    if frozen is not None:
        given[frozen].requires_grad_(False)
    assert torch.autograd.gradcheck(part, given)
