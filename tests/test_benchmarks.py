"""The scripts in benchmarks/: what they work out, and that they run at toy size. No time is asserted."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from eggym.errors import EggymError
from eggym.views import ParameterSpace

FOLDER = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def peers():
    return script("peers")


@pytest.fixture(scope="module")
def gpu():
    return script("gpu")


def test_the_gpu_script_runs_on_a_cpu_at_toy_size(gpu, tmp_path, monkeypatch, capsys):
    file = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", "--eager-only", "--out", str(file)])
    gpu.main()
    result = json.loads(file.read_text())
    correct = result["correct"]
    assert correct["same_noise_bits"] and correct["same_updated_bits"] and correct["forward_error_float32"] < 1e-5
    assert [(case["rows"], "naive" in case["arms"]) for case in result["cases"]] == [(1, True), (2, False)]
    for case in result["cases"]:
        hashes = {name: arm["fingerprints"] for name, arm in case["arms"].items()}
        assert hashes["pure"] == hashes["pure again"]
        assert all(len(one) == 1 for one in hashes.values())
        assert all(ratio["refused"] == "1 rounds, 15 are needed" for ratio in case["ratios"])
    assert "toy, 2 rows per member, eager" in capsys.readouterr().out


def test_the_gpu_script_refuses_a_machine_without_one(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as stop:
        gpu.main()
    assert stop.value.code == 2 and "no CUDA device here" in capsys.readouterr().err


def test_nothing_is_timed_once_a_check_has_failed(gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", "--out", str(tmp_path / "x.json")])
    monkeypatch.setattr(gpu, "same_noise", lambda device: False)
    with pytest.raises(EggymError, match="noise or update on cpu has other bits"):
        gpu.main()
    monkeypatch.setattr(gpu, "forward_error", lambda device, dtype: float("nan"))
    with pytest.raises(EggymError, match=r"logits of members in torch.float32 differ"):
        gpu.main()
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_member_is_seen_by_the_forward_check(gpu, monkeypatch):
    right = gpu.materialised
    monkeypatch.setattr(gpu, "materialised", lambda policy, views, member: right(policy, views, member ^ 1))
    assert gpu.forward_error("cpu", torch.float32) > 1e-3


def test_a_case_that_cannot_be_measured_says_why(gpu):
    plan = gpu.Plan((gpu.TOY,), 4, 5, 3, 1, 1, "cpu", torch.float32)
    policy = gpu.build(gpu.TOY, "cpu", torch.float32)

    def broken(plan, work):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nmore")

    gpu.case_of, kept = broken, gpu.case_of
    try:
        assert gpu.attempt(plan, policy, 1, False) == {"skipped": "CUDA out of memory."}
    finally:
        gpu.case_of = kept


def test_a_naive_step_reads_every_weight_but_an_untied_embedding(gpu):
    tied = gpu.build(gpu.TOY, "cpu", torch.float32)
    assert gpu.weight_bytes(tied) == 4 * tied.n_parameters
    untied = gpu.build(gpu.Shape("untied", 64, 96, 2, 2, 1, 128, False), "cpu", torch.bfloat16)
    assert gpu.weight_bytes(untied) == 2 * (untied.n_parameters - 128 * 64)


def test_the_shapes_have_the_parameters_of_the_models_they_are_named_after(gpu):
    def count(shape):
        head = shape.width // shape.heads
        attention = 2 * shape.width * shape.width + 2 * shape.width * shape.kv_heads * head
        biases = shape.width + 2 * shape.kv_heads * head
        layer = attention + biases + 3 * shape.width * shape.inner + 2 * shape.width
        return shape.layers * layer + (1 if shape.tied else 2) * shape.vocabulary * shape.width + shape.width

    assert count(gpu.QWEN_1_5B) == 1_543_714_304
    assert count(gpu.QWEN_7B) == 7_615_616_512
    assert count(gpu.TOY) == gpu.build(gpu.TOY, "cpu", torch.float32).n_parameters


def test_scores_are_mean_logprobs_of_the_next_tokens(peers):
    # by hand: 4 equally likely tokens at the first place; at the second, logits 0, 0, 0, ln 3 give token 3 1/2
    logits = torch.zeros(1, 3, 4)
    logits[0, 1, 3] = torch.log(torch.tensor(3.0))
    want = (torch.log(torch.tensor(1 / 4)) + torch.log(torch.tensor(1 / 2))) / 2
    assert peers.score(logits, torch.tensor([[0, 2, 3]])).item() == pytest.approx(want.item())


def test_our_step_moves_the_blocks_and_the_model_is_the_one_of_the_claim(peers):
    model = peers.build_model()
    assert sum(weight.numel() for weight in model.parameters()) == 5_246_208
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == set(
        ParameterSpace().select(model)
    )
    peers.moving("eggym", peers.ours, model.requires_grad_(False), peers.tokens())


def test_a_step_that_moves_nothing_is_no_step(peers):
    with pytest.raises(EggymError, match="a step of idle moved 0 weights"):
        peers.moving("idle", lambda model, ids: lambda: None, peers.build_model(), peers.tokens())


def test_peers_are_compared_and_missing_ones_named(peers, capsys):
    steps = dict.fromkeys(("plain batch", "eggym", "eggym again", "torcheggroll"), lambda: sum(range(1000)))
    result = peers.compare(steps, {"eggroll-es": "not available on 2020-01-01: no"}, 15)
    assert [(one["base"], one["claim"]) for one in result["ratios"]] == [
        ("torcheggroll", 5.0), ("plain batch", None), ("eggym", None),
    ]  # fmt: skip
    assert result["packages"] == {"torcheggroll": "0.2.0"}
    peers.show(result)
    assert "eggroll-es: not available on 2020-01-01: no" in capsys.readouterr().out


def test_a_package_that_cannot_be_installed_says_so(peers, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    before = list(sys.path)
    reason = peers.install("eggroll-es", "0.0.0", tmp_path / "x", str(tmp_path))
    assert "eggroll-es==0.0.0" in reason and sys.path == before
