"""The direct pass is the library's to the bit, or it does not run."""

from contextlib import nullcontext

import pytest
import torch
from conftest import random_policy

from eggym.bench_rl_work import RlWork, fresh_policy
from eggym.cache import SlotCache, slot_attention
from eggym.plain_pass import plain_pass, runs_plainly
from eggym.step import run_step
from eggym.views import ParameterSpace

ROWS = 16


def qwen2(dtype=None, **settings):
    """Qwen2 with biases, shared keys and, on demand, layers that slide."""
    policy = fresh_policy(RlWork(width=32, layers=2))
    if settings:
        from transformers import Qwen2Config, Qwen2ForCausalLM

        config = Qwen2Config.from_dict(policy.model.config.to_dict() | settings)
        torch.manual_seed(0)
        policy.model = Qwen2ForCausalLM(config)
    model = policy.model.eval().requires_grad_(False).to(dtype)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4).add_(0.1 * (weight.ndim < 2))  # norms and biases that do something
    model.set_attn_implementation("eager")
    return policy


def logits(policy, direct):
    """Of two texts of 16 tokens read one after the other, and of three decoded tokens."""
    model, generator = policy.model, torch.Generator().manual_seed(0)
    found = []
    with torch.inference_mode(), slot_attention(model), plain_pass(model) if direct else nullcontext():
        cache = SlotCache(model, ROWS, 64)
        for n_new in (16, 16, 1, 1, 1):
            ids = torch.randint(3, 40, (ROWS, n_new), generator=generator)
            positions = cache.length_R[:, None] + torch.arange(n_new)
            spare = cache.reserve(int(positions.max()) + 1)
            rows = None if n_new == 1 else cache.rows_R
            mask = cache.aim(rows, positions.clamp(max=spare), int(positions.max()) + 1)
            found.append(run_step(model, ids, positions, mask, cache, "", False))
            cache.length_R += n_new - torch.arange(ROWS) % 2 * (n_new == 16)  # rows of two lengths
    return torch.stack(found)


SLIDING = {"use_sliding_window": True, "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "sliding"])
def test_the_direct_pass_gives_the_bits_of_the_librarys(kind, dtype):
    made = {"llama": random_policy, "qwen2": qwen2, "sliding": lambda dtype: qwen2(dtype, **SLIDING)}[kind]
    policy = made(dtype=dtype)
    assert runs_plainly(policy.model)
    assert torch.equal(logits(policy, True), logits(policy, False))


def test_deltas_and_whatever_replaces_a_linear_map_stay_in_force():
    policy = qwen2()
    ParameterSpace("blocks", adapter_rank=2).install(policy.model)
    before = logits(policy, True)
    for name, weight in ParameterSpace("blocks", adapter_rank=2).select(policy.model).items():
        weight.data.add_(0.1 * (".up." in name))
    assert torch.equal(logits(policy, True), logits(policy, False))
    assert not torch.equal(logits(policy, True), before)


def test_the_models_own_pass_runs_where_the_direct_one_would_pass_somebody_over():
    policy = qwen2()
    layer = policy.model.base_model.layers[1]
    seen = []
    hook = layer.mlp.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    assert not runs_plainly(policy.model)
    logits(policy, True)
    assert len(seen) == 5
    hook.remove()
    assert runs_plainly(policy.model)
    layer.input_layernorm.forward = lambda hidden: hidden
    assert not runs_plainly(policy.model)


def test_a_model_of_another_kind_or_activation_is_left_alone():
    from transformers import GPT2Config, GPT2LMHeadModel

    assert not runs_plainly(GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=9)))
    assert not runs_plainly(qwen2(hidden_act="gelu").model)


def test_the_model_is_as_it_was_afterwards():
    policy = qwen2()
    with pytest.raises(ZeroDivisionError), plain_pass(policy.model):
        assert "forward" in vars(policy.model.base_model)
        raise ZeroDivisionError
    assert "forward" not in vars(policy.model.base_model)
