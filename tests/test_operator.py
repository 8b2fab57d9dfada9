"""The population's operator against materialised weights, on every family; what it refuses; that it leaves no trace."""

import copy
import math
import shutil

import pytest
import torch
import transformers
from torch import nn

from eggym.counter import GRID
from eggym.errors import BadValue
from eggym.es.noise import Factors, draw, variance
from eggym.es.perturb import PopulationViews
from eggym.es.targets import find_targets
from eggym.policy import model_sha256
from eggym.views import ParameterSpace

SIZES = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
FAMILIES = {
    "Llama": {},
    "Llama-tied": {"tie_word_embeddings": True},
    "Qwen2": {},
    "Qwen3": {},
    "Mistral": {"sliding_window": 6},
    "Gemma2": {"sliding_window": 6, "query_pre_attn_scalar": 8},
    "Gemma3": {"sliding_window": 6, "query_pre_attn_scalar": 8},
    "Phi3": {"sliding_window": None},
    "Olmo2": {},
    "GPTNeoX": {"num_key_value_heads": None, "head_dim": None},
    "GPT2": {},
    "Mixtral": {"num_local_experts": 4},
    "Qwen3Moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "Mamba": {"state_size": 4},
}
DENSE = [family for family in FAMILIES if family not in ("Mixtral", "Qwen3Moe", "Mamba")]
EVERYTHING = ".*"


def build(family):
    torch.manual_seed(3)
    if family == "GPT2":
        config = transformers.GPT2Config(
            vocab_size=100, n_embd=32, n_layer=2, n_head=4, n_positions=128, eos_token_id=2, bos_token_id=1
        )
        model = transformers.GPT2LMHeadModel(config)
    else:
        name = family.removesuffix("-tied")
        settings = {key: value for key, value in {**SIZES, **FAMILIES[family]}.items() if value is not None}
        config = getattr(transformers, f"{name}{'Text' if name == 'Gemma3' else ''}Config")(**settings)
        model = getattr(transformers, f"{name}ForCausalLM")(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.mul_(4)
        else:
            weight.data.add_(torch.randn(weight.shape) * 0.1)  # biases of 0 and norms of 1 would hide mistakes
    model.set_attn_implementation("eager")
    return model.eval().requires_grad_(False)


def population(model, targets=EVERYTHING, rank=1, law="normal", sigma=0.05, n_pairs=4):
    found = find_targets(model, ParameterSpace(targets).select(model))
    factors = {one.name: draw(one, 7, 3, n_pairs, rank, torch.device("cpu"), law) for one in found}
    return PopulationViews(2 * n_pairs, 1, 1, 0.0, sigma, rank, found, factors, law=law)


def materialised(model, views, member):
    """The model with a member's weights, added in float64 and rounded once to float32."""
    changed = copy.deepcopy(model).float()
    sign, v = 1 - 2 * (member % 2), variance(views.law)
    for target in views.targets:
        factors = views.factors[target.name]
        if isinstance(factors, Factors):
            a, b = (one[member // 2].double() / GRID for one in (factors.a_P_K_O, factors.b_P_K_I))
            direction = torch.einsum("ko,ki->oi", a, b) / (v * math.sqrt(views.rank))
        else:
            direction = factors.z_P_n[member // 2].double() / GRID / math.sqrt(v)
        weight = changed.get_parameter(target.name)
        weight.data.copy_(weight.double() + sign * views.sigma * (direction.t() if target.transposed else direction))
    return changed


def padded(n_rows, n_tokens):
    ids = torch.randint(4, 90, (n_rows, n_tokens), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[2, :5] = 0  # left padding
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}


def difference(model, views, members, group=1, tolerance_of=1.0):
    """The largest error of a perturbed batch, relative to the largest logit of materialised models."""
    given = padded(len(members), 12)
    with views.attach(model) as attached:
        attached.take(attached.seat(torch.tensor(members), group))
        got = model(**given, use_cache=False).logits.float()
    plain = model(**given, use_cache=False).logits.float()
    worst = 0.0
    for member in set(members):
        rows = [row for row, other in enumerate(members) if other == member]
        want = materialised(model, views, member)(**{name: one[rows] for name, one in given.items()}, use_cache=False)
        real = given["attention_mask"][rows].bool()
        size = want.logits[real].abs().max()
        worst = max(worst, float((got[rows] - want.logits)[real].abs().max() / size))
        assert (plain[rows] - want.logits)[real].abs().max() > 0.01 * size, "the perturbation must be seen"
    return worst


SEATS = {1: [0, 1, 6, 7, 3, 3, 2, 0], 2: [0, 1, 6, 7, 3, 3, 2, 2], 8: [4, 4, 5, 5, 4, 5, 4, 4, 1, 0, 1, 0, 1, 0, 1, 0]}


@pytest.mark.parametrize("family", DENSE)
def test_every_weight_of_a_family_acts_as_if_materialised(family):
    model = build(family)
    views = population(model)
    assert {target.name for target in views.targets} == {name for name, _ in model.named_parameters()}
    assert difference(model, views, SEATS[2], 2) < 2e-5
    assert difference(model, population(model, rank=2, law="rademacher"), SEATS[1]) < 2e-5


@pytest.mark.parametrize("group", SEATS)
@pytest.mark.parametrize("rank", [1, 2, 4])
@pytest.mark.parametrize("law", ["normal", "rademacher"])
@pytest.mark.parametrize("family", ["Gemma2", "GPT2"])  # tied, scaled, gains of 1 + w; transposed, positions, biases
def test_every_rank_law_and_group_acts_as_if_materialised(family, law, rank, group):
    model = build(family)
    assert difference(model, population(model, rank=rank, law=law), SEATS[group], group) < 2e-5


@pytest.mark.parametrize(
    "targets",
    [
        r".*embed_tokens\.weight",
        r".*[qkv]_proj\.bias",
        r".*norm\.weight",
        r".*(q_proj|down_proj)\.weight",
        r"lm_head\.weight",
    ],
)
def test_one_kind_of_weight_alone_acts_as_if_materialised(targets):
    model = build("Qwen2")
    assert difference(model, population(model, targets, sigma=0.2), SEATS[2], 2) < 2e-5


def test_learned_positions_may_be_looked_up_once_for_all_rows():
    model = build("GPT2")
    views = population(model, r".*wpe\.weight", sigma=0.3)
    ids = torch.randint(4, 90, (4, 6))  # no position_ids: the model makes one row of them
    with views.attach(model) as attached:
        attached.take(attached.seat(torch.tensor([0, 1, 5, 6])))
        got = model(input_ids=ids, use_cache=False).logits
    for row, member in enumerate([0, 1, 5, 6]):
        want = materialised(model, views, member)(input_ids=ids[row : row + 1], use_cache=False).logits[0]
        assert (got[row] - want).abs().max() < 2e-5 * want.abs().max()


@pytest.mark.parametrize("family", ["Llama", "Mistral", "Gemma3", "GPT2"])
def test_steps_with_a_cache_equal_one_full_pass(family):
    model = build(family)
    views = population(model, rank=2)
    ids = torch.randint(4, 90, (4, 10))
    with views.attach(model) as attached:
        attached.take(attached.seat(torch.tensor([0, 1, 4, 4]), 2))
        whole = model(input_ids=ids, use_cache=False).logits
        first = model(input_ids=ids[:, :7], use_cache=True)
        cache, parts = first.past_key_values, [first.logits]
        for place in range(7, 10):
            step = model(input_ids=ids[:, place : place + 1], past_key_values=cache, use_cache=True)
            parts.append(step.logits)
    assert (torch.cat(parts, 1) - whole).abs().max() < 2e-5 * whole.abs().max()


def test_a_tied_table_has_one_direction_for_both_sides():
    model = build("Llama-tied")
    (target,) = population(model, r".*embed_tokens\.weight").targets
    assert [site.role for site in target.sites] == ["lookup", "linear"]
    assert (target.n_out, target.n_in) == (100, 32)
    untied = population(build("Llama"), r".*(embed_tokens|lm_head)\.weight")
    assert [len(target.sites) for target in untied.targets] == [1, 1]


def test_nothing_is_left_behind_and_no_weight_is_touched():
    model = build("Gemma3")
    before, names = model_sha256(model), {name: set(vars(module)) for name, module in model.named_modules()}
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    plain = model(ids).logits
    views = population(model)
    with views.attach(model) as attached:
        attached.take(attached.seat(torch.tensor([2, 3]), 2))
        assert not torch.equal(model(ids).logits, plain)
        assert model_sha256(model) == before
    assert torch.equal(model(ids).logits, plain)
    assert model_sha256(model) == before
    assert {name: set(vars(module)) for name, module in model.named_modules()} == names


def test_a_population_leaves_when_its_context_fails():
    model = build("Llama")
    ids = torch.tensor([[5, 6, 7]])
    plain = model(ids).logits
    views = population(model)
    with pytest.raises(RuntimeError, match="broken"), views.attach(model):
        raise RuntimeError("broken")
    assert torch.equal(model(ids).logits, plain)


def test_two_populations_at_a_time_are_refused_and_the_first_stays():
    model = build("Llama")
    views = population(model)
    ids = torch.tensor([[5, 6, 7]])
    with views.attach(model) as attached:
        attached.take(attached.seat(torch.tensor([0])))
        first = model(ids).logits
        with pytest.raises(ValueError, match="one population at a time"), views.attach(model):
            pass
        assert torch.equal(model(ids).logits, first)


def test_a_vanishing_sigma_changes_no_bit():
    model = build("Qwen2")
    ids = torch.randint(4, 90, (4, 6))
    plain = model(ids).logits
    with population(model, sigma=1e-30).attach(model) as attached:
        attached.take(attached.seat(torch.tensor([0, 1, 2, 3])))
        assert torch.equal(model(ids).logits, plain)


def test_twins_are_the_same_distance_away_on_opposite_sides():
    model = build("Llama")
    views = population(model, r".*layers\.1\.mlp\.down_proj\.weight", sigma=1e-3)
    ids = torch.randint(4, 90, (1, 6)).expand(2, -1)
    plain = model.model(ids).last_hidden_state
    model.model.norm = nn.Identity()  # then the model is linear in the weight
    plain = model.model(ids).last_hidden_state
    with views.attach(model) as attached:
        attached.take(attached.seat(torch.tensor([0, 1]), 2))
        plus, minus = model.model(ids).last_hidden_state - plain
    assert (plus + minus).abs().max() < 1e-5
    assert plus.abs().max() > 1e-3


def test_seats_can_change_within_one_context():
    model = build("Llama")
    views = population(model)
    ids = torch.randint(4, 90, (1, 6)).expand(2, -1)
    with views.attach(model) as attached:
        one, other = attached.seat(torch.tensor([0, 1]), 2), attached.seat(torch.tensor([6, 7]), 2)
        attached.take(one)
        first = model(ids).logits
        attached.take(other)
        assert not torch.equal(model(ids).logits, first)
        attached.take(one)
        assert torch.equal(model(ids).logits, first)


@pytest.mark.parametrize(("members", "group"), [([0, 2], 2), ([0, 1, 2], 2)])
def test_rows_that_are_no_runs_of_one_pair_are_refused(members, group):
    model = build("Llama")
    with population(model).attach(model) as attached, pytest.raises(ValueError, match=r"runs of 2|different pairs"):
        attached.seat(torch.tensor(members), group)


@pytest.mark.parametrize("family", ["Llama", "Gemma3", "GPT2"])
def test_bfloat16_differs_from_float32_by_its_own_rounding(family):
    model = build(family)
    views = population(model, sigma=0.02)
    half = copy.deepcopy(model).to(torch.bfloat16)
    views_half = population(half, sigma=0.02)
    given = padded(8, 12)
    real = given["attention_mask"].bool()
    found = []
    for one, laid in ((model, views), (half, views_half)):
        with laid.attach(one) as attached:
            attached.take(attached.seat(torch.tensor(SEATS[2]), 2))
            perturbed = one(**given, use_cache=False).logits.float()[real]
        found.append((one(**given, use_cache=False).logits.float()[real], perturbed))
    (plain, want), (plain_half, got) = found
    rounding = (plain_half - plain).norm() / plain.norm()
    assert (got - want).norm() / want.norm() < 2 * rounding + 1e-3


def test_factors_are_exact_in_short_types():
    integers = torch.arange(-127, 128, dtype=torch.int8)
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal((integers.to(dtype) / GRID).double() * GRID, integers.double())


@pytest.mark.parametrize(
    ("family", "name", "why"),
    [
        ("Mixtral", "model.layers.0.mlp.gate.weight", "MixtralTopKRouter"),
        ("Qwen3Moe", "model.layers.0.mlp.experts.gate_up_proj", "3 dimensions in Qwen3MoeExperts"),
        ("Mamba", "backbone.layers.0.mixer.A_log", "MambaMixer"),
    ],
)
def test_what_is_not_understood_is_refused_by_name_with_a_way_out(family, name, why):
    model = build(family)
    with pytest.raises(BadValue) as refusal:
        find_targets(model, ParameterSpace().select(model))
    text = str(refusal.value)
    assert f"cannot perturb {name!r} of shape" in text and why in text
    pattern = text.partition("space.targets=")[2]
    kept = find_targets(model, ParameterSpace(pattern).select(model))
    assert 0 < len(kept) < len(list(model.parameters()))


def test_a_mixture_of_experts_perturbs_its_attention_exactly():
    model = build("Mixtral")
    assert difference(model, population(model, r".*self_attn\.[qkvo]_proj\.weight"), SEATS[2], 2) < 2e-5


def test_a_weight_that_is_read_without_a_call_of_its_module_is_refused():
    model = build("Llama")
    mlp = model.model.layers[0].mlp
    weight, name = mlp.down_proj, "model.layers.0.mlp.down_proj.weight"
    mlp.forward = lambda x: nn.functional.linear(mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x), weight.weight)
    with pytest.raises(BadValue, match=r"down_proj.weight.*read without a call of its Linear \(aten"):
        find_targets(model, {name: model.get_parameter(name)})


def test_a_weight_that_no_pass_uses_is_refused():
    model = build("Llama")
    model.model.layers[0].spare = nn.Linear(32, 32)
    with pytest.raises(BadValue, match=r"spare.weight'.*takes no part in a forward pass"):
        find_targets(model, ParameterSpace(r".*spare\.weight").select(model))


def test_a_linear_map_that_sees_some_tokens_alone_is_refused():
    model = build("Llama")
    layer = model.model.layers[0]
    mlp = layer.mlp.forward
    layer.mlp.extra = nn.Linear(32, 32)

    def chosen(x):
        flat = x.view(-1, 32)
        picked = flat[:, 0] > flat[:, 0].median()  # as experts are given their tokens
        flat = flat.clone()
        flat[picked] += layer.mlp.extra(flat[picked])
        return mlp(flat.view(x.shape))

    layer.mlp.forward = chosen
    with pytest.raises(BadValue, match=r"extra.weight'.*(rows of the batch|by their content)"):
        find_targets(model, ParameterSpace(r".*extra\.weight").select(model))


def test_a_linear_map_that_gets_the_rows_in_another_order_is_refused():
    model = build("Llama")
    mlp = model.model.layers[0].mlp
    inner = mlp.forward
    mlp.forward = lambda x: inner(x.transpose(0, 1)).transpose(0, 1)
    with pytest.raises(BadValue, match="are not the rows of the batch, one after the other"):
        find_targets(model, ParameterSpace(r".*layers\.0\.mlp\.up_proj\.weight").select(model))


def test_a_replaced_forward_pass_is_refused():
    model = build("Llama")
    projection = model.model.layers[0].self_attn.q_proj
    projection.forward = lambda x: nn.functional.linear(x, projection.weight)
    with pytest.raises(BadValue, match="forward pass of its Linear was replaced"):
        find_targets(model, ParameterSpace().select(model))


class Squared(nn.Module):
    """A norm of somebody else's, which is not affine in its weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(32))

    def forward(self, x):
        return x * self.weight**2


class Cosine(nn.Linear):
    """A linear map that is none."""

    def forward(self, x):
        return nn.functional.linear(x, nn.functional.normalize(self.weight))


class Shifting(nn.Embedding):
    """A table that does not return its rows."""

    def forward(self, index):
        return super().forward(index) + 1


@pytest.mark.parametrize(
    ("path", "module", "why"),
    [
        ("layers.0.input_layernorm", Squared(), "Squared is not affine in it"),
        ("layers.0.self_attn.o_proj", Cosine(32, 32, bias=False), "but of Cosine"),
        ("embed_tokens", Shifting(100, 32), "a Shifting that does more"),
        ("embed_tokens", nn.Embedding(100, 32, max_norm=1.0), "max_norm"),
    ],
)
def test_modules_that_only_look_familiar_are_refused(path, module, why):
    model = build("Llama")
    model.model.set_submodule(path, module)
    with pytest.raises(BadValue, match=why):
        find_targets(model, ParameterSpace(rf"model\.{path}\.weight").select(model))


def test_a_model_that_is_no_language_model_is_taken_at_its_word():
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)).requires_grad_(False)
    targets = find_targets(model, dict(model.named_parameters()))
    assert [target.kind for target in targets] == ["matrix", "vector", "matrix", "vector"]


def test_bytes_and_flops_by_hand():
    model = build("Llama-tied")
    # one projection 32 -> 16, rank 2: two products of 2 (32 + 16) multiply-adds; factors of a pair are for
    # two rows, in one byte and in four
    one = population(model, r".*layers\.0\.self_attn\.k_proj\.weight", rank=2)
    assert (one.flops_per_position(model), one.bytes_per_row(model)) == (2 * 2 * 48, 2 * 48 * 5 // 2)
    # a tied table: a lookup (width 32) and a head (100 + 32); a norm: 32 multiply-adds
    table = population(model, r".*(embed_tokens|\.norm|model\.norm)\.weight")
    assert (table.flops_per_position(model), table.bytes_per_row(model)) == (2 * 32 + 2 * 132 + 64, (132 + 32) * 5 // 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # torch says so to itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_notices_members_come_change_and_go():
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    model = transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)
    views = population(model, sigma=0.2)  # tied table, positions, biases, gains of norms
    ids = torch.randint(4, 50, (16, 1))
    compiled = torch.compile(lambda ids: model(input_ids=ids, use_cache=False).logits, fullgraph=True)
    torch._dynamo.maybe_mark_dynamic(ids, 0)
    varying = torch._dynamo.config.patch(force_nn_module_property_static_shapes=False)  # attributes of torch's modules
    with varying, torch.inference_mode():
        plain = model(input_ids=ids, use_cache=False).logits
        assert torch.allclose(compiled(ids), plain, atol=1e-5)
        with views.attach(model) as attached:
            for members, group in (([0, 1] * 8, 2), ([4, 5, 2, 3] * 4, 1), ([6, 7, 6, 7, 2, 3, 3, 2] * 2, 4)):
                attached.take(attached.seat(torch.tensor(members), group))
                eager = model(input_ids=ids, use_cache=False).logits
                assert torch.allclose(compiled(ids), eager, atol=1e-5 * float(eager.abs().max()))
                assert (eager - plain).abs().max() > 0.1 * plain.abs().max()
            assert counters["stats"]["unique_graphs"] == 2, "one without members, one for every grouping"
        assert torch.allclose(compiled(ids), plain, atol=1e-5)
        assert counters["stats"]["unique_graphs"] == 2
