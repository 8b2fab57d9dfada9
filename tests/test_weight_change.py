"""How far weights have moved: by hand, by layer, and of low-rank deltas."""

import math

import pytest
import torch

from eggym.views import ParameterSpace
from eggym.weight_change import StartWeights, layer_of

DOWN = "model.layers.1.mlp.down_proj"


def noted(policy, **space):
    found = ParameterSpace(**space)
    found.install(policy.model)
    return StartWeights(policy.model, found.select(policy.model)), found.select(policy.model)


def test_nothing_has_moved_at_the_start(policy):
    weights, _ = noted(policy)
    assert weights.change() == {"model.layers.0": 0.0, "model.layers.1": 0.0, "all": 0.0}


def test_the_change_of_a_layer_is_norm_over_norm(fresh_policy):
    weights, parameters = noted(fresh_policy)
    norms = {n: sum(float(w.double().square().sum()) for name, w in parameters.items() if n in name) for n in "01"}
    parameters[f"{DOWN}.weight"].data[0, :2] += torch.tensor([3.0, 4.0])  # by 5 in all
    found = weights.change()
    assert found["model.layers.0"] == 0.0
    assert found["model.layers.1"] == pytest.approx(5 / math.sqrt(norms["1"]), rel=1e-6)
    assert found["all"] == pytest.approx(5 / math.sqrt(norms["0"] + norms["1"]), rel=1e-6)


def test_a_delta_counts_by_what_it_adds_to_the_frozen_weight(fresh_policy):
    weights, parameters = noted(fresh_policy, targets=f"{DOWN}.weight", adapter_rank=2)
    parameters[f"{DOWN}.down.weight"].data *= 2  # moves nothing, as long as up is zero
    assert weights.change() == {"model.layers.1": 0.0, "all": 0.0}
    up, down = (parameters[f"{DOWN}.{factor}.weight"] for factor in ("up", "down"))
    up.data[0, 0], up.data[1, 1] = 1.0, 2.0
    added = math.sqrt(float(down[0].double().square().sum() + 4 * down[1].double().square().sum()))
    frozen = float(fresh_policy.model.get_submodule(DOWN).weight.double().norm())
    assert weights.change()["model.layers.1"] == pytest.approx(added / frozen, rel=1e-9)
    assert weights.change()["all"] == weights.change()["model.layers.1"]


def test_vectors_count_and_what_was_zero_has_no_ratio(fresh_policy):
    norm = "model.norm.weight"
    fresh_policy.model.get_parameter(norm).data.zero_()
    weights, parameters = noted(fresh_policy, targets=rf"{norm}|model\.layers\.0\.input_layernorm\.weight")
    before = float(parameters["model.layers.0.input_layernorm.weight"].double().norm())
    parameters["model.layers.0.input_layernorm.weight"].data[5] += 0.5
    parameters[norm].data[0] = 1.2
    found = weights.change()
    assert found["model.layers.0"] == pytest.approx(0.5 / before)
    assert "model.norm" not in found and found["all"] == pytest.approx(1.3 / before)


def test_many_rows_at_a_time_or_few_give_the_same_bits(fresh_policy, monkeypatch):
    weights, parameters = noted(fresh_policy)
    for number, weight in enumerate(parameters.values()):
        weight.data += 1e-3 * (number + 1)
    whole = weights.change()
    monkeypatch.setattr("eggym.weight_change._AT_ONCE", 64)
    assert weights.change() == whole


@pytest.mark.parametrize(
    ("path", "layer"),
    [
        ("model.layers.12.self_attn.q_proj", "model.layers.12"),
        ("transformer.h.0.attn.c_attn", "transformer.h.0"),
        ("model.layers.3.mlp.experts.7.up_proj", "model.layers.3"),
        ("model.embed_tokens", "model.embed_tokens"),
        ("layers.4", "layers.4"),
    ],
)
def test_layers_have_the_models_own_names(path, layer):
    assert layer_of(path) == layer
