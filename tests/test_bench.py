import json
import math

import pytest
import torch

from eggym import bench_arms as arms
from eggym import bench_naive as naive
from eggym.bench import PARTS, Settings, claim_of, lines, run
from eggym.bench_parts import agreement, naive_sample, told
from eggym.cli import main
from eggym.errors import BadValue, UnknownName
from eggym.views import ParameterSpace

TOY = {"population": 4, "rows": 2, "prompt": 5, "steps": 4}


@pytest.fixture(scope="module")
def work():
    return arms.Work(arms.random_policy(64, 2, 100), **TOY)


@pytest.fixture(scope="module")
def views(work):
    return arms.population(work.policy, work.population)


def tokens(work, views):
    with arms.prefilled(work, views) as session:
        return arms.decode(session)


def test_pure_decoding_is_generate(work):
    with arms.stock(work.policy) as model:
        theirs = arms.generate(model, work)
    assert tokens(work, arms.nobody()) == theirs
    with arms.opened(work, arms.nobody()) as session:
        assert arms.whole(session, work) == theirs


def test_no_arm_stops_at_an_end_token(work, views):
    model = work.policy.model
    assert work.policy.eos_ids == () and model.config.eos_token_id is None
    assert {len(row) for row in tokens(work, views)} == {work.steps}
    loaded = arms.named_policy("embedded-v0")
    assert loaded.eos_ids == () and loaded.tokenizer.eos_token_id is not None


def test_naive_members_decode_what_the_population_does(work, views):
    ours = tokens(work, views)
    with naive.Naive(work, [0, 3]).prepared(views) as members:
        assert members.decode() == ours[0:2] + ours[6:8]
    assert ours[0:2] != ours[6:8]


def test_naive_members_leave_the_model_as_it_was(work, views):
    before = {name: weight.data.clone() for name, weight in work.policy.model.named_parameters()}
    where = {name: weight.data_ptr() for name, weight in work.policy.model.named_parameters()}
    with naive.Naive(work, [1]).prepared(views):
        pass
    for name, weight in work.policy.model.named_parameters():
        assert torch.equal(weight, before[name]) and weight.data_ptr() == where[name]
    assert work.policy.model.config._attn_implementation == "eager"


def test_materialised_weights_move_by_sigma(work, views):
    own = ParameterSpace().select(work.policy.model)
    found = naive.materialised(work.policy, views, 2)
    assert found.keys() == own.keys()
    moved = torch.cat([(found[name] - own[name]).flatten() for name in own])
    assert moved.square().mean().sqrt().item() == pytest.approx(arms.SIGMA, rel=0.2)
    twin = naive.materialised(work.policy, views, 3)
    for name, weight in own.items():
        assert torch.allclose(found[name] - weight, weight - twin[name], atol=1e-5)


def test_a_pretended_context_is_as_long_as_the_prompts(work):
    seen = []
    model = work.policy.model
    note = lambda module, args, kwargs: seen.append(kwargs["position_ids"][:8].unique().tolist())  # noqa: E731
    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    with arms.pretended(work, arms.nobody()) as session:
        arms.decode(session)
    hook.remove()
    assert seen == [[work.prompt], [work.prompt + 1], [work.prompt + 2]]  # steps - 1: the first token was drawn


def test_rows_of_a_member_answer_different_prompts_and_members_the_same(work):
    first, second = work.prompts[:2]
    assert first != second and work.prompts == [first, second] * 4
    assert work.members == [0, 0, 1, 1, 2, 2, 3, 3]


def test_agreement_counts_rows_and_tokens_before_the_first_difference():
    # by hand: rows equal to places 3 of 3 and 1 of 3
    assert agreement([[1, 2, 3], [1, 2, 3]], [[1, 2, 3], [1, 9, 3]]) == {"rows": 0.5, "tokens": 4 / 6}


def test_the_naive_sample_is_spread_over_the_population():
    assert naive_sample(4) == [0, 1, 2, 3]
    assert naive_sample(256) == [0, 32, 64, 96, 128, 160, 192, 224]


def test_a_batch_to_tell_holds_every_member_and_item():
    rewards = told(6, 3).rewards_N_P_G()
    assert rewards.shape == (6, 3, 1) and set(rewards.flat) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("width", "dtype", "rows", "claim"),
    [(64, "float32", 1, 0.90), (512, "float32", 1, 0.95), (512, "bfloat16", 1, 0.92), (512, "bfloat16", 4, 0.95)],
)
def test_the_claim_follows_width_type_and_rows(width, dtype, rows, claim):
    policy = arms.random_policy(width, 1, 100, dtype)
    assert claim_of(policy, Settings(width, rows=rows, dtype=dtype)) == claim


@pytest.mark.parametrize(
    ("wrong", "error", "line"),
    [
        ({"population": 7}, BadValue, "population must be even for antithetic pairs, got 7"),
        ({"steps": 1}, BadValue, "steps must lie from 2 to 1048576, got 1"),
        ({"rounds": 0}, BadValue, "rounds must lie from 1 to 1048576, got 0"),
        ({"dtype": "float33"}, UnknownName, "no dtype 'float33'; did you mean 'float32'"),
        ({"parts": ("refil",)}, UnknownName, "no part 'refil'; did you mean 'refill'"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, line):
    with pytest.raises(error, match=line):
        Settings(**wrong)


def test_a_width_without_whole_heads_is_refused():
    with pytest.raises(BadValue, match="width must be a multiple of 64, got 100"):
        arms.random_policy(100)


@pytest.mark.slow
def test_a_toy_benchmark_runs_end_to_end_and_states_no_ratio(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("eggym.bench_parts.NORMALS", (2, 64))
    file = tmp_path / "toy.json"
    words = ["--rounds", "2", "--population", "4", "--prompt", "4", "--steps", "3", "--out", str(file)]
    main_quietly("bench", "engine", *words)
    shown = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert set(result["parts"]) == set(PARTS) and result["settings"]["population"] == 4
    for part in ("decode", "step", "update", "noise", "generation"):
        for arm in result["parts"][part]["arms"].values():
            assert len(arm["readings"]) == 2 and len(arm["fingerprints"]) <= 1
            assert 0 < arm["cpu_s"]["q1"] <= arm["cpu_s"]["median"] <= arm["cpu_s"]["q3"]
    decode = result["parts"]["decode"]
    assert decode["tokens"]["pure equals pure again"] is True
    assert decode["tokens"]["pure agrees with generate"] == {"rows": 1.0, "tokens": 1.0}
    assert decode["tokens"]["eggroll agrees with naive"] == {"rows": 1.0, "tokens": 1.0}
    hashes = {name: arm["fingerprints"] for name, arm in decode["arms"].items()}
    assert hashes["pure"] == hashes["pure again"] == hashes["generate"] != hashes["eggroll"]
    ratios = [one for part in result["parts"].values() for one in part.get("ratios", [])]
    assert len(ratios) == 16 and all(one["value"] is None and one["refused"] for one in ratios)
    refill = result["parts"]["refill"]
    assert refill["requests"] == 32 and 0 < refill["useful_share"] <= 1 and math.isfinite(refill["mean_length"])
    assert refill["longest"] > 2 * refill["mean_length"] and refill["lock_step_share"] < 0.9  # lengths are skewed
    assert result["parts"]["memory"]["peak_bytes"].keys() == {"pure", "eggroll"}
    assert "2 rounds, 15 are needed" in shown or "straw man" in shown
    assert "refill: useful share" in shown and str(tmp_path) not in file.read_text()


def test_a_pure_arm_slower_than_generate_refuses_every_ratio_to_it(monkeypatch):
    monkeypatch.setattr("eggym.bench_parts.GENERATE_AT_LEAST", 1e9)
    ratios = run(Settings(rounds=1, population=4, prompt=4, steps=3, parts=("decode",)))["parts"]["decode"]["ratios"]
    guarded = [one for one in ratios if one["base"] != "generate"]
    assert len(guarded) == 8 and all("the base would be a straw man" in one["refused"] for one in guarded)


def test_lines_tell_value_control_and_claim():
    ratio = {"arm": "eggroll", "base": "pure", "clock": "cpu", "claim": 0.9, "value": 0.93, "refused": None,
             "quartiles": {"q1": 0.92, "median": 0.93, "q3": 0.95},
             "control": {"q1": 0.99, "median": 1.0, "q3": 1.01}, "met": True}  # fmt: skip
    result = run(Settings(rounds=1, population=4, prompt=4, steps=3, parts=()))
    result["parts"] = {"decode": {"ratios": [ratio, ratio | {"met": False}], "tokens": {}}}
    shown = list(lines(result))
    assert shown[2] == (
        "decode: eggroll / pure, cpu", "0.930", "0.920 to 0.950, control 0.990 to 1.010, claim 0.9 met",
    )  # fmt: skip
    assert shown[3][2].endswith("claim 0.9 MISSED")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["bench", "engin"], "no benchmark 'engin'; did you mean 'engine'?"),
        (["bench", "--part", "decod"], "no part of the benchmark 'engine' 'decod'; did you mean 'decode'?"),
        (["bench", "--population", "3"], "population must be even"),
        (["bench", "--out", "/nonexistent/x.json"], "cannot write into folder '/nonexistent'"),
    ],
)
def test_bad_input_is_one_line(capfd, words, line):
    with pytest.raises(SystemExit) as stop:
        main(words)
    out, err = capfd.readouterr()
    assert stop.value.code == 2 and out == "" and line in err and err.count("\n") == 1


def main_quietly(*words):
    try:
        main(list(words))
    except SystemExit as stop:
        assert not stop.code
