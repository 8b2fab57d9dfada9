"""`eggym bench rl`: that both sides do the work that is named, and what the rows say. No time is asserted."""

import gc
import json
import threading

import pytest
import torch

from eggym import bench_rl
from eggym.bench_rates import Settings
from eggym.bench_rl import lines, run
from eggym.bench_rl_work import Checksums, Ours, RlWork, Theirs, checksum, fresh_policy, has_trl
from eggym.cli import main

TOY = RlWork(items=2, replies=4, tokens=5, width=32, layers=1)
needs_trl = pytest.mark.skipif(not has_trl(), reason="needs the extra trl")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(bench_rl, "WORK", TOY)


def test_the_model_and_its_prompts_are_those_that_are_named():
    policy = fresh_policy(RlWork())
    assert policy.n_parameters == 991_360 and len(policy.tokenizer) == 48
    ids = policy.tokenizer(f"{Checksums().item('train', 0).prompt}\n")["input_ids"]
    assert len(ids) == 7 and policy.tokenizer.unk_token_id not in ids
    again = fresh_policy(RlWork())
    assert all(map(torch.equal, policy.model.parameters(), again.model.parameters()))


def test_our_step_trains_all_weights_on_episodes_of_one_length():
    ours = Ours(TOY)
    assert ours.policy.eos_ids == ()  # or a reply might end early, if not one of these few
    before = {name: weight.clone() for name, weight in ours.policy.model.named_parameters()}
    batch = ours.step()
    assert {len(one.segments[0].ids) for one in batch.episodes} == {7 + 5}
    assert {one.n_action_tokens for one in batch.episodes} == {5}
    assert len({one.reward for one in batch.episodes}) == 8  # nobody's advantage is 0
    assert all(not torch.equal(weight, before[name]) for name, weight in ours.policy.model.named_parameters())
    assert ours.step().episodes[0].item.prompt != batch.episodes[0].item.prompt


def test_a_checksum_tells_texts_apart():
    assert checksum("ab") == (97 + 2 * 98) / 9973 and checksum("ba") != checksum("ab") and 0 <= checksum("z" * 32) <= 1


@needs_trl
@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [True, False])
def test_their_step_is_one_optimizer_step_on_as_many_tokens_and_the_thread_ends(checkpointing):
    theirs = Theirs(TOY, checkpointing)
    assert theirs.step() == [5] * 8 and theirs.step() == [5] * 8
    theirs.close()
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "bench-trl"]


def test_without_trl_our_side_is_measured_alone(monkeypatch):
    monkeypatch.setattr(bench_rl, "has_trl", lambda: False)
    result = run(Settings(("step", "split"), rounds=2))
    assert result["parts"]["step"] == bench_rl.MISSING and result["machine"]["trl"] is None
    split = result["parts"]["split"]["cpu_s"]
    assert list(split) == ["sampling", "forward", "backward", "optimizer", "rest"]
    assert all(one["median"] > 0 for one in split.values())
    shown = list(lines(result))
    assert ("step", "not measured", "needs TRL: pip install 'eggym[trl]'") in shown
    assert sum("of our step" in beside for _, _, beside in shown) == 5


def test_the_clock_of_the_phases_leaves_torch_as_it_was():
    backward = torch.autograd.backward
    ours = Ours(TOY)
    bench_rl._phases(ours)
    assert torch.autograd.backward is backward and not ours.policy.model._forward_hooks


@needs_trl
@pytest.mark.slow
def test_every_part_is_in_the_file_and_few_rounds_state_no_ratio(tmp_path, capsys):
    file = tmp_path / "rl.json"
    with pytest.raises(SystemExit) as stop:
        main(["bench", "rl", "--rounds", "2", "--out", str(file)])
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    parts = result["parts"]
    assert result["benchmark"] == "rl" and set(parts) == set(bench_rl.PARTS) and result["work"]["tokens"] == 5
    assert {tuple(arm["fingerprints"]) for arm in parts["step"]["arms"].values()} == {("8 episodes of 5 to 5 tokens",)}
    assert [(one["base"], one["claim"]) for one in parts["step"]["ratios"]] == list(bench_rl.CLAIMS.items())
    assert all(one["value"] is None and "15 are needed" in one["refused"] for one in parts["step"]["ratios"])
    assert set(parts["memory"]["peaks"]) == {"eggym", *bench_rl.CLAIMS}
    assert all(peak["process_bytes"] > 1 << 26 for peak in parts["memory"]["peaks"].values())
    shown = capsys.readouterr().out
    assert "step: trl again" in shown and "a further step" in shown and "backward" in shown
