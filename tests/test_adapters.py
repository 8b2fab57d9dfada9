"""Low-rank deltas: where they stand, how they start, that they train, and runs on a frozen 8-bit base end to end."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from eggym.adapters import adapter_parameters, install, merge
from eggym.checkpoint import load_checkpoint
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue
from eggym.export import export_run
from eggym.files import sha256_file
from eggym.policy import load_policy, model_sha256
from eggym.quantised import quantise
from eggym.record import load_measured
from eggym.result import deterministic_files
from eggym.train import run_plan
from eggym.views import ParameterSpace

LORA = ParameterSpace(adapter_rank=4)
QUICK = {
    "space.adapter_rank": 4,
    "eval.items": 24,
    "eval.points": 2,
    "eval.many": 0,
    "eval.train_items": 0,
    "eggroll.population": 8,
    "eggroll.items": 4,
    "dr_grpo.items": 4,
    "dr_grpo.replies": 4,
    "openai-es.population": 8,
    "openai-es.items": 4,
}


def train(learner, folder, watch=lambda event: None, task="tiny-programs", budget="200episodes", **settings):
    found = {name: value for name, value in QUICK.items() if name.startswith(("eval.", "space.", f"{learner}."))}
    config = RunConfig(task, learner, budget=budget, dtype="int8", set={**found, **settings})
    return run_plan(resolve(config), folder, watch, force=True)


def fingerprint(folder):
    return {name: sha256_file(folder / name) for name in [*deterministic_files(folder), "record.json"]}


def shuffled(model):
    """Deltas that say something."""
    torch.manual_seed(1)
    for weight in adapter_parameters(model).values():
        weight.data.copy_(torch.randn_like(weight) * 0.1)


def test_a_delta_is_up_after_down_beside_the_weight():
    model = nn.Sequential(nn.Linear(3, 2))
    install(model, ["0.weight"], 1)
    model[0].up.weight.data.copy_(torch.tensor([[2.0], [-1.0]]))
    model[0].down.weight.data.copy_(torch.tensor([[1.0, 0.0, 3.0]]))
    x = torch.tensor([[1.0, 5.0, 2.0]])  # down x = 7
    plain = nn.functional.linear(x, model[0].weight, model[0].bias)
    assert torch.allclose(model(x) - plain, torch.tensor([[14.0, -7.0]]), atol=1e-6)


def test_a_model_with_fresh_deltas_is_the_model_and_its_names_stay(fresh_policy):
    model = fresh_policy.model
    ids = torch.randint(4, 99, (3, 12))
    before, names = model(ids).logits, [name for name, _ in model.named_parameters()]
    LORA.install(model)
    assert torch.equal(model(ids).logits, before)
    chosen = LORA.select(model)
    assert [name for name, _ in model.named_parameters() if name not in chosen] == names
    assert len(chosen) == 2 * len(ParameterSpace().select(model))
    assert chosen["model.layers.1.mlp.up_proj.up.weight"].shape == (48, 4)
    assert chosen["model.layers.1.mlp.up_proj.down.weight"].shape == (4, 32)
    assert {weight.dtype for weight in chosen.values()} == {torch.float32}
    shuffled(model)
    assert not torch.allclose(model(ids).logits, before, atol=1e-2)


def test_every_model_starts_with_the_same_deltas_and_no_two_weights_share_one(make_policy):
    one, two = make_policy(), make_policy()
    state = torch.random.get_rng_state()
    for policy in (one, two):
        LORA.install(policy.model)
    assert torch.equal(torch.random.get_rng_state(), state)  # nothing is drawn from a global generator
    assert model_sha256(one.model) == model_sha256(two.model)
    downs = [weight for name, weight in LORA.select(one.model).items() if name.endswith("down.weight")]
    ups = [weight for name, weight in LORA.select(one.model).items() if name.endswith("up.weight")]
    assert not any(weight.any() for weight in ups)
    firsts = {tuple(weight[0, :8].tolist()) for weight in downs}
    assert len(firsts) == len(downs)
    values = torch.cat([weight.flatten() for weight in downs])
    assert float(values.var()) == pytest.approx(1 / 4, rel=0.1)  # 1 / rank


def test_a_step_of_up_moves_the_weights_as_much_as_the_same_step_of_theirs():
    model = nn.Sequential(nn.Linear(400, 300))
    for rank in (1, 8, 64):
        model = nn.Sequential(nn.Linear(400, 300))
        install(model, ["0.weight"], rank)
        moved = (0.01 * torch.randn(300, rank)) @ model[0].down.weight
        assert float(moved.square().mean().sqrt()) == pytest.approx(0.01, rel=0.15)


def test_installing_twice_changes_nothing(fresh_policy):
    LORA.install(fresh_policy.model)
    shuffled(fresh_policy.model)
    before = model_sha256(fresh_policy.model)
    logits = fresh_policy.model(torch.arange(4, 20)[None]).logits
    LORA.install(fresh_policy.model)
    assert model_sha256(fresh_policy.model) == before
    assert torch.equal(fresh_policy.model(torch.arange(4, 20)[None]).logits, logits)
    with pytest.raises(BadValue, match="has a delta of rank 4 already, not 2"):
        ParameterSpace(adapter_rank=2).install(fresh_policy.model)


def test_deltas_are_counted_as_trainable_and_in_the_cost_but_not_as_the_size_of_the_model(fresh_policy):
    from eggym.budget import FlopModel

    size, cost = fresh_policy.n_parameters, FlopModel.of(fresh_policy.model).body
    LORA.install(fresh_policy.model)
    extra = sum(weight.numel() for weight in LORA.select(fresh_policy.model).values())
    assert extra == 2 * 4 * (4 * (32 + 32) + 3 * (32 + 48))  # layers x rank x (in + out)
    assert fresh_policy.n_parameters == size
    assert FlopModel.of(fresh_policy.model).body == cost + extra
    assert LORA.share(fresh_policy.model) == extra / (size + extra)


def test_a_pattern_chooses_by_the_names_of_the_weights(fresh_policy):
    space = ParameterSpace(r".*(q_proj|down_proj)\.weight", 2)
    for _ in range(2):  # the second time the deltas' own names are there
        space.install(fresh_policy.model)
        assert len(space.select(fresh_policy.model)) == 2 * 2 * 2


def test_what_can_have_no_delta_is_refused_by_name(fresh_policy):
    with pytest.raises(BadValue, match=r"delta cannot stand beside 'model.embed_tokens.weight' \(Embedding\)"):
        ParameterSpace(".*", 2).install(fresh_policy.model)
    with pytest.raises(BadValue, match=r"'model.layers.0.self_attn.q_proj.weight' has no delta of rank 4; call space"):
        LORA.select(fresh_policy.model)
    with pytest.raises(BadValue, match=r"space.adapter_rank must lie from 0 .* to 1024, got -1"):
        ParameterSpace(adapter_rank=-1)


def test_8_bit_weights_are_refused_without_deltas_and_the_way_out_is_named(fresh_policy):
    quantise(fresh_policy.model, torch.float32)
    with pytest.raises(BadValue, match=r"is frozen in 8 bits .* --set space.adapter_rank=8"):
        ParameterSpace().install(fresh_policy.model)
    norms = ParameterSpace(r".*norm\.weight").select(fresh_policy.model)
    assert len(norms) == 5
    with pytest.raises(BadValue, match="frozen in 8 bits"):
        resolve(RunConfig("tiny-programs", "eggroll", dtype="int8"))


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_merging_gives_a_plain_model_that_says_the_same(family, quantised, make_policy):
    import transformers

    if family == "GPT2":  # keeps its weights as (in, out)
        torch.manual_seed(3)
        config = transformers.GPT2Config(vocab_size=100, n_embd=32, n_layer=2, n_head=4)
        model = transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)
    else:
        model = make_policy().model
    shapes = {name: (tuple(weight.shape), weight.dtype) for name, weight in model.named_parameters()}
    kinds = {name: type(module) for name, module in model.named_modules()}
    if quantised:
        quantise(model, torch.float32)
    LORA.install(model)
    shuffled(model)
    ids = torch.randint(4, 99, (3, 12))
    want = model(ids).logits
    merge(model)
    assert {name: (tuple(weight.shape), weight.dtype) for name, weight in model.named_parameters()} == shapes
    assert {name: type(module) for name, module in model.named_modules()} == kinds
    assert torch.allclose(model(ids).logits, want, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_a_map_with_a_delta_do_not_depend_on_each_other(dtype):
    model = nn.Sequential(nn.Linear(64, 192, bias=False)).to(dtype).requires_grad_(False)
    install(model, ["0.weight"], 8)
    shuffled(model)
    x = torch.randn(1024, 64).to(dtype)
    whole = model(x)
    assert whole.dtype == dtype
    for rows in (16, 48, 256):
        assert torch.equal(model(x[:rows]), whole[:rows])


def test_a_member_of_a_population_is_the_model_with_perturbed_factors(fresh_policy):
    from eggym.counter import GRID, grid_variance
    from eggym.es.eggroll import SPEC, Eggroll

    quantise(fresh_policy.model, torch.float32)
    LORA.install(fresh_policy.model)
    shuffled(fresh_policy.model)
    learner = Eggroll(fresh_policy, LORA, 5, SPEC.resolve("tiny", {"population": 4, "sigma": 0.05}))
    views = learner.ask(0)
    ids = torch.randint(4, 99, (16, 10))
    members = torch.arange(16) % 4
    model = fresh_policy.model
    with views.attach(model) as attached, torch.inference_mode():
        attached.take(attached.seat(members))
        got = model(ids).logits
    chosen = LORA.select(model)
    base = {name: weight.clone() for name, weight in chosen.items()}
    for member in range(4):
        for name, weight in chosen.items():
            factors = views.factors[name]
            noise = factors.a_P_K_O[member // 2].float().t() @ factors.b_P_K_I[member // 2].float()
            scale = 0.05 * (1 - 2 * (member % 2)) / (GRID**2 * grid_variance())
            weight.data.copy_(base[name] + noise * scale)
        want = model(ids[members == member]).logits
        assert torch.allclose(got[members == member], want, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo", "openai-es"])
def test_a_run_on_a_frozen_base_changes_the_deltas_alone_and_resumes_to_the_same_bytes(learner, tmp_path, monkeypatch):
    record = train(learner, tmp_path / "whole")
    assert record.model.dtype == "int8" and record.config["space"] == {"targets": "blocks", "adapter_rank": 4}
    assert record.learner.profile == "tiny" and record.model.n_parameters == 219_968
    assert record.weights_sha256 != record.model.sha256
    from safetensors.torch import load_file

    saved = load_file(tmp_path / "whole" / "weights.safetensors")
    assert sum(weight.numel() for weight in saved.values()) == record.model.n_trainable
    assert all(name.endswith((".up.weight", ".down.weight")) for name in saved)
    assert any(weight.any() for name, weight in saved.items() if name.endswith(".up.weight"))
    measured = load_measured(tmp_path / "whole")
    assert measured.weights_bytes < 0.6 * measured.weights_bytes_unquantised == 0.6 * 4 * 219_968

    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)

    class Stop(Exception):
        pass

    def stop_at_second_step(event):
        if event.kind == "step" and event.step == 2:
            raise Stop

    with pytest.raises(Stop):
        train(learner, tmp_path / "broken", stop_at_second_step)
    assert load_checkpoint(tmp_path / "broken") is not None
    train(learner, tmp_path / "broken")
    assert fingerprint(tmp_path / "broken") == fingerprint(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("learner", "budget"), [("eggroll", "6e10flops"), ("dr_grpo", "4e10flops")])
def test_deltas_on_a_frozen_8_bit_base_lift_it(learner, budget, tmp_path):
    more = {
        "eggroll": {"eggroll.population": 64, "eggroll.items": 8},
        "dr_grpo": {"dr_grpo.items": 32, "dr_grpo.replies": 8, "dr_grpo.lr": 2e-3},
    }[learner]
    settings = {"space.adapter_rank": 8, "eval.items": 200, "eval.points": 1, **more}
    record = train(learner, tmp_path, budget=budget, **settings)
    # measured: .34 to .92 with eggroll, whose defaults are those of full weights, and to .99 with dr_grpo
    assert record.final("greedy").mean - record.start("greedy").mean > 0.2


@pytest.mark.slow
def test_an_exported_run_is_a_plain_float_model_that_replies_as_the_trained_one(tmp_path):
    folder, to = tmp_path / "run", tmp_path / "model"
    train("eggroll", folder, budget="2000episodes", **{"eggroll.population": 32})
    export_run(folder, to)
    assert json.loads((to / "config.json").read_text())["dtype"] == "float32"
    trained = resolve(RunConfig("tiny-programs", "frozen", dtype="int8", set={"space.adapter_rank": 4})).policy
    from safetensors.torch import load_file

    parameters = dict(trained.model.named_parameters())
    for name, weight in load_file(folder / "weights.safetensors").items():
        parameters[name].data.copy_(weight)
    plain = load_policy(str(to))
    assert plain.dtype_name == "float32" and plain.n_parameters == trained.n_parameters
    ids = torch.tensor([trained.tokenizer.encode("add 3, times 2:\n"), trained.tokenizer.encode("add 7, times 5:\n")])
    assert torch.allclose(trained.model(ids).logits, plain.model(ids).logits, atol=1e-4)
    replies = [
        policy.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        for policy in (trained, plain)
    ]
    assert torch.equal(*replies)
    program = f"from transformers import AutoModelForCausalLM as M; print(M.from_pretrained({str(to)!r}).dtype)"
    alone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert alone.stdout.strip() == "torch.float32", alone.stderr
