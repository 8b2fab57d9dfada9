"""Forecasts: what a step costs by hand, the learner's own passes against the meter, and what is refused by them."""

import dataclasses
import sys

import pytest

from eggym.asking import HeldOutViews, OracleViews, PromptedViews
from eggym.budget import FlopModel, Meter
from eggym.checkpoint import Keep
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue
from eggym.forecast import Shortage, checkpoint_bytes, forecast, forwards, refuse_short, shortage
from eggym.task import Verdict, VerdictState
from eggym.train import run_plan
from eggym.views import PolicyViews

SIZES = {"items": 4, "replies": 4}


def plan(learner, budget="1e12flops", **settings):
    known = {f"{learner}.{name}": value for name, value in settings.items() if "." not in name}
    others = {name: value for name, value in settings.items() if "." in name}
    quick = {"eval.items": 8, "eval.points": 1, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0}
    return resolve(RunConfig("tiny-programs", learner, budget=budget, set={**quick, **known, **others}))


def found(asked):
    return forecast(asked, asked.spec.build(asked.policy, asked.space, 0, asked.options))


@pytest.fixture
def probed(monkeypatch):
    """Ten episodes that took 5 CPU seconds, 200 tokens and 1000 FLOPs; half a second wide, two narrow."""
    meter = Meter(FlopModel(1, 1, 1))
    meter.spend.episodes, meter.spend.prompt_tokens, meter.spend.rollout_flops = 10, 200, 1000
    monkeypatch.setattr(
        sys.modules["eggym.forecast"], "played", lambda asked, *size: (meter, 5.0, [asked.task.item("train", 0)])
    )
    monkeypatch.setattr(sys.modules["eggym.forecast"], "_narrow_s", lambda asked, width: 2.0)


@pytest.mark.parametrize(
    ("learner", "settings", "n_episodes", "n_forwards"),
    [
        ("eggroll", {"population": 4, "items": 3}, 12, 1),
        ("eggroll", {"population": 4, "items": 3, "temperature": 1.0, "reward.kl": 0.1}, 12, 2),
        ("dr_grpo", SIZES, 16, 1 + 3),
        ("dr_grpo", {**SIZES, "epochs": 2, "kl_loss": 0.1}, 16, 1 + 2 * 3 + 1),
        ("dr_grpo", {**SIZES, "gradient_checkpointing": True, "reward.kl": 0.1}, 16, 1 + 4 + 1),
        ("random-reward:dr_grpo", {}, 0, 0),
        ("sft", {"items": 8, "epochs": 2}, 8, 2 * 3),
        ("best-of-n", {"reward.kl": 0.1}, 8, 1),
    ],
)
def test_the_cost_of_a_step_by_hand(probed, learner, settings, n_episodes, n_forwards):
    if learner.startswith("random-reward:"):  # as the learner inside
        asked = plan(learner)
        assert found(asked) == found(dataclasses.replace(asked, spec=plan("dr_grpo").spec))
        return
    budget = n_episodes * 100 * n_forwards * 7
    asked = plan(learner, f"{budget}flops", **settings)
    assert (found(asked).steps, found(asked).cost_share) == (7, 7.0)
    assert found(asked).episodes == 7 * n_episodes and found(asked).tokens == 7 * n_episodes * 20


def test_ppo_reads_the_ends_too(probed):
    asked = plan("ppo", **SIZES, epochs=2)
    end = FlopModel.of(asked.policy.model).forward(1, 20, 1)  # one position that sees 20
    budget = f"{16 * (100 + (2 * 3 + 1) * (100 + end)) * 7}flops"
    assert found(plan("ppo", budget, **SIZES, epochs=2)).steps == 7


def test_steps_of_few_episodes_cost_the_seconds_of_narrow_batches(probed):
    members = {"population": 4, "items": 3}
    assert found(plan("eggroll", "12cpu-s", **members, replies=1)).steps == 2  # 12 episodes together at half a second
    assert found(plan("openai-es", "48cpu-s", **members)).steps == 2  # three at a time, at two
    kept = plan("openai-es", "54cpu-s", **members, temperature=1.0, **{"reward.kl": 0.1})
    assert found(kept).steps == 2  # the start is read in full batches: a quarter of a second more for each
    assert found(plan("best-of-n", "32cpu-s")).steps == 2  # 8 held-out items at a time


def test_a_demonstration_costs_no_sampling_on_any_axis(probed):
    assert found(plan("sft", "12cpu-s", items=8)).steps == 2  # 8 x 3 forwards at a quarter of a second
    assert found(plan("sft", f"{8 * 300 * 2}flops", items=8)).steps == 2


def test_the_most_steps_are_those_in_which_no_group_taught_anything(probed):
    assert found(plan("dr_grpo", f"{16 * 100 * 8}flops", **SIZES)).most_steps == 8
    assert found(plan("dr_grpo", f"{20 * 16 * 8}tokens", **SIZES)).most_steps == 8
    assert found(plan("dr_grpo", f"{16 * 200 * 8}flops", **SIZES, **{"reward.kl": 0.1})).most_steps == 8
    assert found(plan("sft", f"{8 * 300 * 8}flops", items=8)).most_steps == 8  # a demonstration always does


def test_epochs_count_in_the_refusal_of_a_short_budget(probed):
    budget = f"{16 * 100 * 4 * 5}flops"
    once, twice = (plan("dr_grpo", budget, **SIZES, epochs=epochs) for epochs in (1, 2))
    assert shortage(once, found(once), force=False) is None
    with pytest.raises(BadValue, match=r"good for about 2 updates of dr_grpo .* 5 are the least"):
        refuse_short([shortage(twice, found(twice), force=False)], force=False)


def test_all_short_budgets_are_told_in_one_line():
    refuse_short([], force=False)
    some = [Shortage("9flops", name, "me/t-v0", steps, enough)
            for name, steps, enough in (("ppo", 1, 70.0), ("sft", 2, 20.0))]  # fmt: skip
    with pytest.raises(BadValue) as told:
        refuse_short(some, force=False)
    assert str(told.value) == (
        "budget 9flops is good for about 1 update of ppo on me/t-v0, 2 of sft on me/t-v0; 5 are the least: "
        "raise --budget to about 70flops, or use --force"
    )
    with pytest.raises(BadValue, match=r"2 of sft on me/t-v0 and 2 more; 1 is the least"):
        refuse_short(some * 4, force=True)
    told_of_trials = r"^budget 9flops of a trial of tuning is good for .*: raise --tune-budget to about 70flops, or"
    with pytest.raises(BadValue, match=told_of_trials):
        refuse_short(some, force=False, trials=True)


def test_who_never_trains_makes_no_pass():
    asked = plan("dr_grpo")
    assert forwards(asked, PolicyViews(1, 1)) == forwards(asked, OracleViews(1, 1)) == 3
    assert forwards(asked, HeldOutViews(1, 1)) == forwards(asked, PromptedViews(1, 1)) == 0
    assert (
        forwards(asked, plan("eggroll").spec.build(asked.policy, asked.space, 0, plan("eggroll").options).ask(0)) == 0
    )
    assert (
        forwards(dataclasses.replace(asked, options=object()), PolicyViews(1, 1)) == 3
    )  # of a learner that says nothing


@pytest.mark.parametrize(
    ("learner", "settings"),
    [
        ("dr_grpo", SIZES),
        ("dr_grpo", {**SIZES, "epochs": 2, "kl_loss": 0.1}),
        ("dr_grpo", {**SIZES, "gradient_checkpointing": True}),
        ("ppo", {**SIZES, "epochs": 2}),
        ("sft", {"items": 16, "epochs": 2}),
    ],
)
def test_the_meter_counts_the_passes_that_were_foretold(learner, settings):
    asked = plan(learner, **settings)
    subject = asked.spec.build(asked.policy, asked.space, 0, asked.options)
    views, meter = subject.ask(0), Meter(FlopModel.of(asked.policy.model))
    batch = asked.rollout(meter).run(views, [asked.task.item("train", n) for n in range(views.n_items)], 0)
    for number, episode in enumerate(batch.episodes):  # every group is informative
        episode.verdict = Verdict(float(number % 2 or learner == "sft"), VerdictState.CORRECT)
    with meter.watch(asked.policy.model):
        subject.tell(batch)
    segments = [segment for one in batch.episodes for segment in one.segments]
    once = sum(map(meter.flop_model.segment, segments))
    if learner == "ppo":
        once += sum(meter.flop_model.forward(1, len(segment.ids), 1) for segment in segments)
    assert meter.spend.learner_flops / once == pytest.approx(forwards(asked, views), rel=0.02)


def test_narrow_steps_are_probed_in_their_own_width(monkeypatch):
    seen = []
    real = sys.modules["eggym.forecast"].played
    monkeypatch.setattr(
        sys.modules["eggym.forecast"], "played", lambda asked, *size: seen.append(size) or real(asked, *size)
    )
    assert found(plan("openai-es", population=4, items=3)).steps > 0
    assert found(plan("openai-es", population=4, items=64, replies=2)).steps > 0
    assert found(plan("eggroll", population=64, items=8)).steps > 0
    assert seen == [(32, 8), (3, 1), (32, 8), (32, 4), (32, 8)]


@pytest.mark.parametrize(
    ("learner", "settings"),
    [
        ("dr_grpo", SIZES),
        ("ppo", {**SIZES, "eval.checkpoint": "best", "eval.validation_items": 8}),
        ("eggroll", {"population": 8, "items": 2, "optimiser": "adam"}),
        ("eggroll", {"population": 8, "items": 2}),
    ],
)
def test_a_checkpoint_is_as_large_as_was_foreseen(tmp_path, learner, settings):
    asked = plan(learner, "32episodes", **settings)
    built = asked.spec.build(asked.policy, asked.space, 0, asked.options)
    foreseen = checkpoint_bytes(asked, built, built.ask(0))
    run_plan(asked, tmp_path, lambda event: None, force=True, keep=Keep(last=1))
    (made,) = tmp_path.glob("checkpoint-*/state.safetensors")
    assert made.stat().st_size == pytest.approx(foreseen, rel=0.03)
