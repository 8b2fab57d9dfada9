"""How far a policy has moved: by hand, at zero, and without cost to the run."""

import dataclasses
import json
import math
import sys

import pytest
import torch

from eggym.base_model import build_tokenizer
from eggym.budget import FlopModel, Meter
from eggym.config import RunConfig, resolve
from eggym.drift import Reference, reply_logits, start_drift
from eggym.episode import Segment
from eggym.errors import BadValue, TaskFault
from eggym.files import sha256_file
from eggym.policy import Policy
from eggym.record import load_record
from eggym.train import run_plan

# prompts of 3, 2 and 1 tokens; the last has two replies with an observation between them
SEGMENTS = [
    Segment([1, 40, 50, 60, 61, 2], [False] * 3 + [True] * 3, [0.0] * 6),
    Segment([1, 44, 71], [False, False, True], [0.0] * 3),
    Segment([1, 80, 81, 30, 31, 82], [False, True, True, False, False, True], [0.0] * 6),
]


def move(policy, by=0.05):
    with torch.no_grad():
        for number, weight in enumerate(policy.model.parameters()):
            weight.add_(torch.full_like(weight, by / (number + 1)))


def one_by_one(policy):
    """Log-probabilities before each action, (M, V), and the actions: one segment at a time, nothing padded."""
    rows, tokens = [], []
    for segment in SEGMENTS:
        with torch.no_grad():
            logits = policy.model(torch.tensor([segment.ids])).logits[0].double()
        for place, action in enumerate(segment.actions):
            if action:
                rows.append(logits[place - 1].log_softmax(-1))
                tokens.append(segment.ids[place])
    return torch.stack(rows), torch.tensor(tokens)


def plan(learner="eggroll", task="tiny-programs", **settings):
    sizes = {"eggroll": {"population": 4, "items": 3}, "dr_grpo": {"items": 3, "replies": 4}}.get(learner, {})
    given = {f"{learner}.{name}": value for name, value in sizes.items()}
    quick = {"eval.items": 8, "eval.points": 1, "eval.many": 0, "eval.train_items": 0, **given, **settings}
    return resolve(RunConfig(task, learner, budget="40episodes", set=quick))


def train(folder, *words, **settings):
    run_plan(plan(*words, **settings), folder, lambda event: None, force=True)
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def absolute(seed=0):
    """A policy whose positions are learned vectors: it sees where a text begins."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=100, n_positions=64, n_embd=32, n_layer=2, n_head=2)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(6.0 if weight.ndim > 1 else 1.0)
    return Policy(model.requires_grad_(False), build_tokenizer(), "absolute")


@pytest.mark.parametrize("positions", ["rotary", "absolute"])
def test_reply_logits_are_those_of_each_segment_alone(policy, positions):
    policy = absolute() if positions == "absolute" else policy
    logprobs_M_V, tokens_M = one_by_one(policy)
    found_M_V, found_M = reply_logits(policy, SEGMENTS)
    assert found_M.tolist() == tokens_M.tolist() == [60, 61, 2, 71, 80, 81, 82]
    torch.testing.assert_close(found_M_V.double().log_softmax(-1), logprobs_M_V, atol=1e-5, rtol=1e-5)


def test_the_exact_kl_is_the_sum_over_the_vocabulary(fresh_policy):
    before, _ = one_by_one(fresh_policy)
    reference = Reference(fresh_policy, SEGMENTS)
    move(fresh_policy)
    after, _ = one_by_one(fresh_policy)
    by_hand = sum(float((p.exp() * (p - q)).sum()) for p, q in zip(before, after, strict=True)) / 7
    assert reference.exact and by_hand > 1e-3
    assert reference.divergence() == pytest.approx(by_hand, rel=1e-4)


def test_the_sampled_kl_is_the_mean_of_r_minus_1_minus_log_r(fresh_policy, monkeypatch):
    monkeypatch.setattr(sys.modules["eggym.drift"], "EXACT", 0)
    before, tokens_M = one_by_one(fresh_policy)
    reference = Reference(fresh_policy, SEGMENTS)
    move(fresh_policy)
    after, _ = one_by_one(fresh_policy)
    ratios = [math.exp(float(q[t] - p[t])) for p, q, t in zip(before, after, tokens_M.tolist(), strict=True)]
    by_hand = sum(r - 1 - math.log(r) for r in ratios) / 7
    assert not reference.exact and by_hand > 1e-5
    assert reference.divergence() == pytest.approx(by_hand, rel=1e-3)


def test_the_sampled_kl_agrees_with_the_exact_one_where_replies_come_from_the_start(monkeypatch):
    found = []
    for limit in (1 << 22, 0):
        monkeypatch.setattr(sys.modules["eggym.drift"], "EXACT", limit)
        asked = plan(**{"eval.drift": 400})
        drift = start_drift(asked, Meter(FlopModel.of(asked.policy.model)))
        weight = dict(asked.policy.model.named_parameters())["model.layers.1.mlp.down_proj.weight"]
        weight.data *= 0.5
        assert drift.reference.exact == bool(limit)
        found.append(drift.measure())
    assert found[0] > 0.01 and found[1] == pytest.approx(found[0], rel=0.3)


@pytest.mark.parametrize("limit", [1 << 22, 0])
def test_equal_weights_are_exactly_0_apart_and_others_never_less(fresh_policy, monkeypatch, limit):
    monkeypatch.setattr(sys.modules["eggym.drift"], "EXACT", limit)
    reference = Reference(fresh_policy, SEGMENTS)
    assert reference.divergence() == 0.0
    for size in (1e-7, 1e-5, 1e-3):
        move(fresh_policy, size)
        assert reference.divergence() >= 0.0


def test_a_large_vocabulary_is_read_in_several_passes_to_the_same_result(fresh_policy, monkeypatch):
    whole = Reference(fresh_policy, SEGMENTS)
    monkeypatch.setattr(sys.modules["eggym.drift"], "_PASS", 1)
    parts = Reference(fresh_policy, SEGMENTS)
    move(fresh_policy)
    rows = []
    assert parts.divergence(rows.append) == pytest.approx(whole.divergence(), rel=1e-4)
    assert rows == [1, 1, 1]


@pytest.mark.parametrize("words", [("eggroll",), ("dr_grpo",), ("eggroll", "guess")])
def test_every_step_says_how_far_the_policy_is_from_its_start(tmp_path, words):
    values = [line["metrics"]["kl_base"] for line in train(tmp_path / "run", *words)]
    # a first generation that says nothing leaves the policy where it is
    assert len(values) >= 2 and min(values) >= 0 and values[-1] > 0


@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo"])
def test_drift_is_evaluation_and_changes_nothing_else(tmp_path, learner):
    on, off = train(tmp_path / "on", learner), train(tmp_path / "off", learner, **{"eval.drift": 0})
    assert all("kl_base" not in line["metrics"] for line in off)
    for line in on:
        del line["metrics"]["kl_base"]
    assert on == off  # rewards, metrics and all that was spent
    with_, without = load_record(tmp_path / "on"), load_record(tmp_path / "off")
    assert with_.weights_sha256 == without.weights_sha256 and with_.spent == without.spent
    assert with_.evaluation_spent.episodes == without.evaluation_spent.episodes + 16
    assert with_.evaluation_spent.flops > without.evaluation_spent.flops


def test_a_run_resumed_after_an_update_measures_from_the_start_weights(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    def stop(event):
        if event.kind == "step" and event.step == 2:
            raise Stop

    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    train(tmp_path / "whole")
    with pytest.raises(Stop):
        run_plan(plan(), tmp_path / "broken", stop, force=True)
    train(tmp_path / "broken")
    for name in ("steps.jsonl", "record.json"):
        assert sha256_file(tmp_path / "broken" / name) == sha256_file(tmp_path / "whole" / name)


def test_its_prompts_are_held_out_from_training():
    module, seen = sys.modules["eggym.drift"], []
    for split in ("train", "validation"):
        asked = plan()
        asked = dataclasses.replace(asked, config=dataclasses.replace(asked.config, split=split))
        items = module._items(asked)
        assert len(items) == 16
        seen.append({item.split for item in items})
    assert seen == [{"validation"}, {"test"}]


def test_a_run_does_not_fail_for_want_of_prompts_to_follow(monkeypatch):
    asked = plan()
    meter = Meter(FlopModel.of(asked.policy.model))

    def refuse(split, index):
        raise TaskFault("its prompts vary too little")

    monkeypatch.setattr(asked.task, "item", refuse)
    assert start_drift(asked, meter) is None
    monkeypatch.undo()
    monkeypatch.setattr(type(asked.task), "n_items", lambda self, split: 0)
    assert start_drift(asked, meter) is None


def test_a_number_of_prompts_below_0_is_refused():
    with pytest.raises(BadValue, match=r"eval\.drift must be a whole number from 0 to 100000, got -1"):
        plan(**{"eval.drift": -1})
