"""Supervised fine-tuning: the loss by hand, what it drops, that it learns, and what it refuses."""

import json
import sys

import pytest
import torch

from eggym.agents.sft import SPEC, Sft
from eggym.config import RunConfig, resolve
from eggym.episode import Ending, Episode, EpisodeBatch, Segment
from eggym.errors import BadValue
from eggym.files import sha256_file
from eggym.forecast import forecast
from eggym.policy import model_sha256
from eggym.replay import replay
from eggym.result import deterministic_files
from eggym.task import Item, Verdict, VerdictState
from eggym.train import look_ahead, run_plan
from eggym.views import ParameterSpace

SPACE = ParameterSpace()
ROWS = [([1, 10, 11, 40, 41, 2], 3), ([1, 10, 50, 2], 2), ([1, 20, 21, 22, 60, 61, 62, 2], 4)]
QUICK = {"eval.items": 24, "eval.points": 2, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0, "sft.items": 16}

ODD = """
from eggym import Item, SingleTurnTask

class Odd(SingleTurnTask):
    id = "test/odd-oracle-v0"
    max_new_tokens = 4

    def generate(self, rng):
        a = rng.randrange(90)
        return Item(f"{a}+1=", a + 1)

    def score(self, item, reply):
        return 1.0 if reply == str(item.truth) else 0.5

    def oracle(self, item):
        return ORACLE
"""


def segments():
    return [Segment(list(ids), [place >= n for place in range(len(ids))], [0.0] * len(ids)) for ids, n in ROWS]


def batch(states, step=0):
    episodes = [
        Episode(Item("p"), 0, slot, 0, [segment], [], Verdict(0.7, state), Ending.ANSWERED)
        for slot, (segment, state) in enumerate(zip(segments(), states, strict=True))
    ]
    return EpisodeBatch(step, episodes, 1, len(episodes), 1)


def learner(policy, **options):
    return Sft(policy, SPACE, 0, SPEC.resolve("tiny", options))


def by_hand(policy, rows):
    total, n = torch.zeros(()), 0
    for ids, start in rows:
        logprobs = policy.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        for place in range(start, len(ids)):
            total, n = total - logprobs[place - 1, ids[place]], n + 1
    return total / n


@pytest.mark.parametrize("tokens_per_pass", [8, 10_000])
def test_loss_and_gradient_are_the_token_mean_of_a_plain_loop_whatever_the_micro_batches(fresh_policy, tokens_per_pass):
    parameters = SPACE.select(fresh_policy.model)
    for weight in parameters.values():
        weight.requires_grad_(True)
    want = by_hand(fresh_policy, ROWS)
    want.backward()
    gradients = {name: weight.grad.clone() for name, weight in parameters.items()}
    fresh_policy.model.zero_grad()
    found, gradient = learner(fresh_policy, tokens_per_pass=tokens_per_pass).gradient(segments())
    assert found == pytest.approx(float(want.detach()), rel=1e-5)
    for name in parameters:
        assert torch.allclose(gradient[name], gradients[name], atol=1e-5 * float(gradients[name].abs().max()))


def test_what_is_not_correct_is_dropped_and_counted(fresh_policy):
    before = model_sha256(fresh_policy.model)
    found = learner(fresh_policy).tell(batch([VerdictState.WRONG] * 3))
    assert found == {"dropped": 3.0, "loss": 0.0, "grad_norm": 0.0} and model_sha256(fresh_policy.model) == before
    want = float(by_hand(fresh_policy, [ROWS[0], ROWS[2]]))
    found = learner(fresh_policy).tell(batch([VerdictState.CORRECT, VerdictState.WRONG, VerdictState.CORRECT]))
    assert found["dropped"] == 1.0 and found["loss"] == pytest.approx(want, rel=1e-5)
    assert model_sha256(fresh_policy.model) != before
    assert not any(weight.requires_grad for weight in fresh_policy.model.parameters())


def test_an_epoch_more_is_a_step_more(make_policy):
    twice, one = make_policy(), make_policy()
    good = batch([VerdictState.CORRECT] * 3)
    learner(twice, epochs=2).tell(good)
    single = learner(one)
    single.tell(good)
    single.tell(good)
    assert model_sha256(twice.model) == model_sha256(one.model)


def test_bf16_weights_follow_their_float32_masters(make_policy):
    policy = make_policy(dtype=torch.bfloat16)
    subject = learner(policy, lr=1e-5)
    for _ in range(2):
        subject.tell(batch([VerdictState.CORRECT] * 3))
    for name, weight in SPACE.select(policy.model).items():
        assert torch.equal(weight, subject._descent.masters[name].bfloat16())


def config(task="tiny-programs", budget="6e9flops", **settings):
    return RunConfig(task, "sft", budget=budget, set={**QUICK, **settings})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sft") / "run"
    return folder, run_plan(resolve(config()), folder, lambda event: None, force=True)


def test_it_lifts_the_embedded_base(finished):
    folder, record = finished
    assert record.learner.kind == "baseline"
    assert record.start("greedy").mean < 0.5 and record.final("greedy").mean > 0.8
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    assert lines[-1]["metrics"]["loss"] < 0.3 * lines[0]["metrics"]["loss"]
    assert all(line["metrics"]["dropped"] == 0 for line in lines)


def test_the_meter_counts_episodes_and_passes_of_training_and_no_sampling(finished):
    _, record = finished
    assert record.spent.episodes == 16 * record.n_steps and record.spent.rollout_flops == 0
    assert 0 < record.spent.learner_flops <= min(6e9, record.spent.computed_flops)


def test_the_forecast_is_near_what_comes(finished):
    _, record = finished
    plan = resolve(config())
    found = forecast(plan, SPEC.build(plan.policy, plan.space, 0, plan.options))
    assert 0.5 < found.steps / record.n_steps < 2


def test_a_run_stopped_anywhere_continues_to_the_same_bytes(finished, tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    seen = []

    def watch(event):
        seen.append(event)
        if len(seen) in (3, 7):
            raise Stop

    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    for _ in range(2):
        with pytest.raises(Stop):
            run_plan(resolve(config()), tmp_path / "run", watch, force=True)
    run_plan(resolve(config()), tmp_path / "run", watch, force=True)
    for name in [*deterministic_files(finished[0]), "record.json"]:
        assert sha256_file(tmp_path / "run" / name) == sha256_file(finished[0] / name), name


def test_it_cannot_be_replayed_and_has_no_control(finished, tmp_path):
    with pytest.raises(BadValue, match=r"is a run of sft: only ES runs can be replayed"):
        replay(finished[0])
    with pytest.raises(BadValue, match=r"sft is a baseline and has no control"):
        resolve(RunConfig("tiny-programs", "random-reward:sft"))


@pytest.mark.parametrize(
    ("oracle", "message"),
    [
        ("None", r"sft needs the best replies .* 'test/odd-oracle-v0' has no oracle .* choose another learner"),
        ("'7'", r"of 4 replies of the oracle of 'test/odd-oracle-v0' none is correct .* \(the first, '7', is wrong\)"),
        ("str(item.truth) + '    '", r"none is correct as model 'embedded-v0' would write it"),
    ],
)
def test_a_task_whose_oracle_is_no_use_is_refused_before_anything_is_written(tmp_path, oracle, message):
    file = tmp_path / "odd.py"
    file.write_text(ODD.replace("ORACLE", oracle))
    with pytest.raises(BadValue, match=message):
        run_plan(resolve(config(f"{file}:Odd")), tmp_path / "run", lambda event: None, force=True)
    assert not (tmp_path / "run").exists()


def test_an_oracle_that_is_right_now_and_then_will_do(tmp_path):
    file = tmp_path / "odd.py"
    file.write_text(ODD.replace("ORACLE", "str(item.truth) if item.truth % 2 else 'no'"))
    plan = resolve(config(f"{file}:Odd", budget="64episodes", **{"eval.items": 8, "eval.points": 1}))
    look_ahead(plan, force=True)
    record = run_plan(plan, tmp_path / "run", lambda event: None, force=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert 0 < sum(line["metrics"]["dropped"] for line in lines) < record.spent.episodes
    assert record.training_states["wrong"] == sum(line["metrics"]["dropped"] for line in lines)


@pytest.mark.parametrize("options", [{"items": 0}, {"lr": 0.0}, {"epochs": 0}, {"beta2": 1.0}, {"weight_decay": -1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(BadValue):
        SPEC.resolve("tiny", options)


def test_every_setting_that_tuning_may_try_is_one():
    for profile, space in SPEC.search.items():
        for name, values in space.items():
            assert all(SPEC.resolve(profile, {name: value}) for value in values)
