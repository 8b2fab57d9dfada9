"""8-bit linear maps: golden values, what is quantised, independence of the number of rows, gradients, hashes, files."""

import hashlib

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional

from eggym.budget import FlopModel
from eggym.errors import BadValue, UnknownName
from eggym.policy import load_policy, model_sha256
from eggym.quantised import Int8Linear, block_weights, named_weights, quantise, to_int8, weights_bytes

SIZES = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def build(family, **more):
    torch.manual_seed(3)
    if family == "GPT2":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=4))
    else:
        config = getattr(transformers, f"{family}Config")(**SIZES, **more)
        model = getattr(transformers, f"{family}ForCausalLM")(config)
    return model.eval().requires_grad_(False)


def widen(model):
    """The same model with the numbers that its 8-bit weights stand for, in ordinary maps."""
    from eggym.adapters import merge

    merge(model)
    return model


def test_rows_are_scaled_by_their_largest_magnitude_and_rounded_half_to_even():
    weight = torch.tensor([[1.27, -0.635, 0.0], [0.0, 0.0, 0.0], [-254.0, 5.0, 3.0]])
    whole, scale = to_int8(weight)
    # 1.27 / 127 = .01: 127, -63.5 -> -64 (even), 0; 254 / 127 = 2: -127, 2.5 -> 2, 1.5 -> 2
    assert whole.tolist() == [[127, -64, 0], [0, 0, 0], [-127, 2, 2]]
    assert scale.tolist() == pytest.approx([0.01, 1.0, 2.0])
    assert whole.dtype == torch.int8 and scale.dtype == torch.float32


def test_no_entry_is_off_by_more_than_half_a_scale_and_rows_do_not_depend_on_their_neighbours():
    weight = torch.randn(700, 300)  # more than are quantised at once
    whole, scale = to_int8(weight)
    assert ((whole * scale[:, None] - weight).abs() <= 0.5001 * scale[:, None]).all()
    alone = [to_int8(weight[row : row + 1]) for row in (0, 436, 699)]
    assert all(torch.equal(whole[row], one[0][0]) for row, one in zip((0, 436, 699), alone, strict=True))
    assert to_int8(torch.tensor([[1e-45, -1e-45]]))[0].abs().max() <= 127  # subnormal: the scale would be 0


def test_an_8_bit_map_is_the_map_of_its_dequantised_weight():
    bias = nn.Parameter(torch.randn(24), requires_grad=False)
    module = Int8Linear(torch.randn(24, 40), bias)
    x = torch.randn(3, 5, 40)
    assert torch.allclose(module(x), functional.linear(x, module.dequantised(), bias), atol=2e-5)
    assert [name for name, _ in module.named_parameters()] == ["bias"]


@pytest.mark.parametrize(
    ("n_in", "n_out", "dtype"),  # wide products in bfloat16 depend on it, with plain weights too: docs/decisions/0001
    [(64, 192, torch.float32), (100, 36, torch.float32), (512, 1536, torch.float32), (64, 192, torch.bfloat16)],
)
def test_a_row_does_not_depend_on_how_many_others_there_are(n_in, n_out, dtype):
    module = Int8Linear(torch.randn(n_out, n_in), None)
    x = torch.randn(1024, n_in).to(dtype)
    whole = module(x)
    assert whole.dtype == dtype
    for rows in (16, 32, 48, 112, 256):
        assert torch.equal(module(x[:rows]), whole[:rows])


def test_the_gradient_is_that_of_the_dequantised_map_and_holds_no_wide_weight():
    module = Int8Linear(torch.randn(24, 40), nn.Parameter(torch.randn(24)))
    x = torch.randn(7, 40, requires_grad=True)
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t) or t, lambda t: t):
        y = module(x)
    (y**2).sum().backward()
    again = x.detach().clone().requires_grad_()
    want = functional.linear(again, module.dequantised(), module.bias.detach())
    (want**2).sum().backward()
    assert torch.allclose(x.grad, again.grad, atol=1e-3)
    assert module.bias.grad is not None
    assert [tuple(t.shape) for t in held if t.is_floating_point() and t.numel() >= 24 * 40] == []


@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Gemma3", "Phi3", "GPT2"])
def test_the_blocks_of_a_model_are_quantised_and_nothing_else(family):
    if family == "Gemma3":
        torch.manual_seed(3)
        config = transformers.Gemma3TextConfig(**SIZES, query_pre_attn_scalar=8)
        model = transformers.Gemma3ForCausalLM(config).eval().requires_grad_(False)
    else:
        model = build(family)
    before = [(name, tuple(weight.shape)) for name, weight in named_weights(model)]
    chosen = block_weights(model).keys()
    count, size, flops = sum(w.numel() for _, w in named_weights(model)), weights_bytes(model), FlopModel.of(model)
    quantise(model, torch.float32)
    after = {name: weight for name, weight in named_weights(model)}
    assert list(after) == [name for name, _ in before]  # names and order stay
    assert {name for name, weight in after.items() if weight.dtype == torch.int8} == set(chosen)
    assert sum(weight.numel() for weight in after.values()) == count
    assert FlopModel.of(model) == flops
    assert weights_bytes(model) < size
    ids = torch.randint(4, 99, (3, 12))
    logits = model(ids).logits
    assert torch.allclose(logits, widen(model)(ids).logits, atol=1e-4)
    assert [(name, tuple(weight.shape)) for name, weight in named_weights(model)] == before


def test_the_bytes_are_counted_by_hand():
    model = nn.Sequential(nn.Linear(10, 20))
    assert weights_bytes(model) == 4 * (200 + 20)
    quantise(model, torch.float32)
    assert weights_bytes(model) == 200 + 4 * 20 + 4 * 20  # whole numbers, scales, bias


def test_experts_in_one_tensor_are_refused_by_name():
    model = build("Mixtral", num_local_experts=2, num_experts_per_tok=1)
    with pytest.raises(BadValue, match=r"int8 cannot hold 'model.layers.0.mlp.*' of shape \(2, .*use --dtype bfloat16"):
        quantise(model, torch.float32)


def test_a_weight_that_two_maps_share_is_refused():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[1].weight = model[0].weight
    with pytest.raises(BadValue, match=r"int8 cannot hold '0.weight'"):
        quantise(model, torch.float32)


def test_the_hash_of_a_float_model_is_what_it_was_before_8_bit_weights_existed(policy):
    digest = hashlib.sha256()
    for name, weight in policy.model.named_parameters():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().numpy().tobytes())
    assert model_sha256(policy.model) == digest.hexdigest()


@pytest.mark.parametrize("part", ["weight", "scale"])
def test_the_hash_sees_every_bit_of_an_8_bit_model(part):
    model = build("Llama")
    quantise(model, torch.float32)
    before = model_sha256(model)
    getattr(model.model.layers[1].mlp.up_proj, part).view(torch.uint8).view(-1)[3] ^= 1
    assert model_sha256(model) != before


def test_int8_is_loaded_by_its_name_and_keeps_size_and_profile():
    wide, narrow = load_policy("embedded-v0"), load_policy("embedded-v0", dtype="int8")
    assert (wide.dtype_name, narrow.dtype_name) == ("float32", "int8")
    assert narrow.dtype == torch.float32 and narrow.n_parameters == wide.n_parameters
    assert narrow.weights_bytes < 0.5 * wide.weights_bytes
    short = load_policy("embedded-v0", dtype="int8-bfloat16")
    assert short.dtype_name == "int8-bfloat16" and short.dtype == torch.bfloat16
    assert short.model.model.layers[0].mlp.up_proj.scale.dtype == torch.float32
    with pytest.raises(UnknownName, match="no dtype 'int4'; did you mean 'int8'"):
        load_policy("embedded-v0", dtype="int4")


@pytest.mark.parametrize("family", ["Llama", "Gemma3"])
def test_a_checkpoint_is_quantised_equally_from_the_type_it_is_stored_in(family, tmp_path):
    from eggym.base_model import build_tokenizer

    torch.manual_seed(3)
    if family == "Gemma3":  # computes a buffer in the type it is loaded in
        model = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**SIZES, query_pre_attn_scalar=8))
    else:
        model = build("Llama")
    model = model.to(torch.bfloat16)
    for name, kind in (("short", torch.bfloat16), ("wide", torch.float32)):
        model.to(kind).save_pretrained(tmp_path / name)
        build_tokenizer().save_pretrained(tmp_path / name)
    short, wide = (load_policy(str(tmp_path / name), "cpu", "int8") for name in ("short", "wide"))
    assert short.dtype == wide.dtype == torch.float32
    assert model_sha256(short.model) == model_sha256(wide.model)
    ids = torch.randint(4, 99, (2, 12))
    assert torch.equal(short.model(ids).logits, wide.model(ids).logits)
