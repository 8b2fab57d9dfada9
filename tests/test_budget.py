import subprocess
import sys
import threading

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from eggym.budget import Budget, FlopModel, Meter
from eggym.episode import Ending, Episode, Segment
from eggym.errors import BadValue
from eggym.task import Item, Verdict, VerdictState
from eggym.usage import count_sandboxed, sandboxed


@pytest.mark.parametrize(
    ("text", "axis", "limit"),
    [
        ("512episodes", "episodes", 512),
        ("2e6tokens", "tokens", 2e6),
        ("1e18flops", "flops", 1e18),
        ("60cpu-s", "cpu-s", 60),
        ("10min", "s", 600),
        ("2h", "s", 7200),
        (" 1.5e3 tokens ", "tokens", 1500),
    ],
)
def test_budgets_are_read(text, axis, limit):
    budget = Budget.parse(text)
    assert (budget.axis, budget.limit) == (axis, limit)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "10", "flops", "5 parsecs", "1e18 FLOPS", "1.2.3s", "-5s", "1e999flops"])
def test_what_is_no_budget_is_refused_with_the_way_out(text):
    with pytest.raises(BadValue, match=r"512episodes|above 0 and finite"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0flops", "0.0min"])
def test_a_budget_of_nothing_is_refused(text):
    with pytest.raises(BadValue, match=f"must be above 0 and finite, got '{text}'"):
        Budget.parse(text)


def segment(n_prompt, n_actions, n_env=0, n_more=0):
    actions = [False] * n_prompt + [True] * n_actions + [False] * n_env + [True] * n_more
    return Segment(list(range(len(actions))), actions, [0.0] * len(actions))


def episode(*segments):
    return Episode(Item("p"), 0, 0, 0, list(segments), [], Verdict(1.0, VerdictState.CORRECT), Ending.ANSWERED)


def test_flops_of_a_segment_worked_by_hand():
    # body 10, head 3, attention 2; 3 prompt tokens, 2 actions: positions 0..3 are computed (the last action never is),
    # they see 1+2+3+4 = 10 positions, two of them need logits: 2*10*4 + 4*2*10 + 2*3*2 = 80 + 80 + 12
    assert FlopModel(10, 3, 2).segment(segment(3, 2)) == 172


def test_tokens_are_told_apart():
    meter = Meter(FlopModel(1, 1, 1))
    meter.episode(episode(segment(3, 2, 4, 1)))
    assert (meter.spend.prompt_tokens, meter.spend.action_tokens, meter.spend.env_tokens) == (3, 3, 4)
    assert meter.spend.tokens == 10 and meter.spend.episodes == 1


def test_the_formula_agrees_with_torchs_counter_on_a_learners_passes(fresh_policy):
    model = fresh_policy.model
    meter = Meter(FlopModel.of(model))
    for name, weight in model.named_parameters():
        weight.requires_grad_("layers" in name and weight.ndim == 2)
    ids = torch.randint(4, 90, (3, 24))
    with meter.watch(model), FlopCounterMode(display=False) as counter:
        loss = model(ids, attention_mask=torch.ones_like(ids), use_cache=False).logits.logsumexp(-1).sum()
        forward = meter.spend.learner_flops
        loss.backward()
    # torch counts full squares in attention and skips gradients that nobody needs: the formula is causal and does not
    assert meter.spend.learner_flops == 3 * forward and meter.spend.backward_flops == 2 * forward
    assert counter.get_total_flops() == pytest.approx(meter.spend.learner_flops, rel=0.12)


def test_padding_of_a_learners_batch_is_not_counted(policy):
    meter = Meter(FlopModel.of(policy.model))
    ids = torch.randint(4, 90, (2, 10))
    mask = torch.ones_like(ids)
    mask[1, :6] = 0  # lengths 10 and 4
    with meter.watch(policy.model), torch.no_grad():
        policy.model(ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
    # 14 positions; pairs 55 + 10; one logit for each row
    assert meter.spend.learner_flops == meter.flop_model.forward(14, 65, 2)


def test_the_model_is_no_longer_watched_after_the_context(policy):
    meter = Meter(FlopModel.of(policy.model))
    with meter.watch(policy.model):
        pass
    policy.model(torch.tensor([[5, 6]]))
    assert meter.spend.flops == 0


def test_flop_model_counts_a_tied_head_once_and_leaves_embeddings_out(policy):
    found = FlopModel.of(policy.model)
    # width 32, inner 48, 2 layers: 4 * 32 * 32 + 3 * 32 * 48 = 8704 each; head 100 x 32; 2 layers x 2 heads x 16
    assert (found.body, found.head, found.attention) == (17408, 3200, 64)


def test_a_meter_continues_from_its_state(policy):
    meter = Meter(FlopModel.of(policy.model))
    meter.episode(episode(segment(3, 2)))
    with meter.phase("x"):
        sum(range(10_000))
        count_sandboxed(0.25)
    other = Meter(meter.flop_model)
    other.load_state_dict(meter.state_dict())
    assert other.spend == meter.spend and other.phases == meter.phases and other.seconds == meter.seconds
    assert other.sandbox == meter.sandbox == (0.25, 1)


def test_uncounted_phases_stay_out_of_the_budget():
    meter = Meter(FlopModel(1, 1, 1))
    with meter.phase("evaluation", counted=False):
        sum(range(200_000))
    assert meter.on("cpu-s") == 0 and meter.phases["evaluation"] > 0


def test_cpu_seconds_of_a_phase_include_those_of_processes_that_it_started():
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    meter = Meter(FlopModel(1, 1, 1))
    with meter.phase("rollout"):
        subprocess.run([sys.executable, "-c", busy], check=True)
    assert meter.seconds["cpu-s"] >= 0.4


def test_a_phase_within_another_has_its_seconds_to_itself(monkeypatch):
    clock = iter([0.0, 1.0, 4.0, 10.0, 20.0, 21.0])  # outer 0 to 10, inner 1 to 4; then outer once more
    monkeypatch.setattr(sys.modules["eggym.budget"], "family_cpu_s", lambda: next(clock))
    meter = Meter(FlopModel(1, 1, 1))
    with meter.phase("rollout"), meter.phase("grading", counted=False):
        pass
    with meter.phase("rollout"):
        pass
    assert meter.phases == {"rollout": 8.0, "grading": 3.0}
    assert meter.seconds["cpu-s"] == 11.0  # grading is part of what the budget pays


def test_programs_are_counted_by_every_thread_and_only_in_phases_of_training():
    meter, before = Meter(FlopModel(1, 1, 1)), sandboxed()

    def many():
        for _ in range(2000):
            count_sandboxed(0.5)

    with meter.phase("rollout"):
        threads = [threading.Thread(target=many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with meter.phase("evaluation", counted=False):
        many()
    assert meter.sandbox == (pytest.approx(4000.0), 8000)
    assert sandboxed().calls - before.calls == 10_000
