"""The checkpoint rule: chosen on validation, kept over stops, written, hashed and replayed."""

import sys

import pytest
from safetensors.torch import load_file

from eggym.budget import FlopModel, Meter
from eggym.choice import Choice
from eggym.config import RunConfig, resolve
from eggym.errors import BadValue
from eggym.evaluate import first_items, score_of
from eggym.files import sha256_file
from eggym.policy import model_sha256
from eggym.record import load_record
from eggym.replay import replay
from eggym.result import deterministic_files
from eggym.train import run_plan
from eggym.views import PolicyViews

QUICK = {
    "eval.items": 6, "eval.points": 4, "eval.drift": 2, "eval.many": 0, "eval.train_items": 0,
    "eval.validation_items": 8,
}  # fmt: skip
SIZES = {
    "eggroll": {"eggroll.population": 6, "eggroll.items": 3},
    "dr_grpo": {"dr_grpo.items": 3, "dr_grpo.replies": 6},
    "frozen": {},
}


def plan(learner="eggroll", rule="best", task="tiny-programs", set=None, **fields):
    settings = {**QUICK, **SIZES[learner], "eval.checkpoint": rule, **(set or {})}
    return resolve(RunConfig(task, learner, **{"budget": "72episodes", **fields}, set=settings))


def train(folder, *words, watch=lambda event: None, **fields):
    return run_plan(plan(*words, **fields), folder, watch, force=True)


def score_as(monkeypatch, means):
    """Let the validation scores be these, one for each evaluation."""
    module, found = sys.modules["eggym.choice"], iter(means)
    real = module.score_of

    def said(*given):
        score, mean = real(*given), next(found)
        told = {"mean": mean, "se": None if mean is None else 0.0, "rewards": [mean] * score.n_items}
        return score.model_copy(update=told)

    monkeypatch.setattr(module, "score_of", said)


@pytest.fixture(scope="module")
def shared():
    """A plan whose weights are whatever the test before left."""
    return plan()


@pytest.mark.parametrize(
    ("means", "place"),
    [
        ([0.2, 0.5, 0.5, 0.4, 0.1], 1),  # the first of equals
        ([0.2, 0.1, 0.1, 0.1, 0.3], 4),
        ([0.2, 0.2, 0.1, 0.2, 0.2], 0),  # nothing was better than the start
        ([None, None, 0.0, 0.0, None], 2),  # what could not be judged is never the best
        ([None] * 5, 0),
    ],
)
def test_the_weights_of_the_first_best_point_count(shared, monkeypatch, means, place):
    asked = shared  # its weights are moved below, whatever they were
    score_as(monkeypatch, means)
    parameters, held = asked.space.select(asked.policy.model), []
    choice = Choice(asked, Meter(FlopModel.of(asked.policy.model)), parameters)
    for number, mean in enumerate(means):
        for weight in parameters.values():
            weight.data += number
        held.append(model_sha256(asked.policy.model))
        assert choice.look(10 * number).mean == mean
        again = Choice(asked, Meter(FlopModel.of(asked.policy.model)), parameters)  # as after a stop
        again.load_state_dict(choice.state_dict())
        choice = again
    choice.take()
    assert choice.step == 10 * place
    assert model_sha256(asked.policy.model) == held[place] and len(set(held)) == 5


def test_it_is_chosen_by_greedy_replies_to_validation_items():
    asked = plan(set={"eval.validation_items": 40})
    meter = Meter(FlopModel.of(asked.policy.model))
    found = Choice(asked, meter, {}).look(0)
    items = first_items(asked.task, "validation", 40)
    by_greed, by_luck = (
        score_of(0.0, asked.rollout(meter, "elsewhere").run(PolicyViews(40, 1, temperature), items, step=3))
        for temperature in (0.0, 1.0)
    )
    assert found == by_greed and found.rewards != by_luck.rewards


@pytest.mark.parametrize("learner", ["eggroll", pytest.param("dr_grpo", marks=pytest.mark.slow)])
def test_choosing_is_evaluation_and_training_is_the_same(tmp_path, learner):
    best, last = (train(tmp_path / rule, learner, rule) for rule in ("best", "last"))
    assert sha256_file(tmp_path / "best" / "steps.jsonl") == sha256_file(tmp_path / "last" / "steps.jsonl")
    assert best.spent == last.spent and last.chosen is None
    assert [one.greedy for one in best.points] == [one.greedy for one in last.points]
    assert all(one.validation is None for one in last.points)
    assert best.evaluation_spent.episodes == last.evaluation_spent.episodes + 8 * len(best.points)


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["eggroll", "dr_grpo"])
def test_a_run_stopped_anywhere_chooses_the_same(tmp_path, learner, monkeypatch):
    class Stop(Exception):
        pass

    def stop_at(number):
        seen = []

        def watch(event):
            seen.append(event)
            if len(seen) == number:
                raise Stop

        return watch

    whole = train(tmp_path / "whole", learner)
    monkeypatch.setattr(sys.modules["eggym.loop"], "CHECKPOINT_EVERY_S", 0.0)
    for number in (2, 4, 3, 2):
        with pytest.raises(Stop):
            train(tmp_path / "broken", learner, watch=stop_at(number))
    assert train(tmp_path / "broken", learner) == whole
    for name in [*deterministic_files(tmp_path / "whole"), "record.json"]:
        assert sha256_file(tmp_path / "broken" / name) == sha256_file(tmp_path / "whole" / name)


@pytest.mark.parametrize("fields", [{}, pytest.param({"dtype": "bfloat16"}, marks=pytest.mark.slow)])
def test_a_replay_rebuilds_the_weights_of_the_chosen_step(tmp_path, monkeypatch, fields):
    score_as(monkeypatch, [0.1, 0.2, 0.9, 0.3, 0.3])
    record = train(tmp_path / "run", **fields)
    assert 0 < record.chosen < record.n_steps and record.chosen == record.points[2].step
    assert record.final("greedy") == record.points[2].greedy
    assert record.beyond.kl_base == record.points[2].kl_base and record.beyond.weight_change["all"] > 0
    found = replay(tmp_path / "run", spot=12, out=tmp_path / "rebuilt")
    assert found.ok and found.n_steps == record.chosen
    assert {spot.place.step >= record.chosen for spot in found.spots} == {True, False}  # later steps are looked at too
    ours, theirs = (load_file(tmp_path / place / "weights.safetensors") for place in ("rebuilt", "run"))
    assert ours.keys() == theirs.keys() and all(bool((ours[name] == theirs[name]).all()) for name in ours)


def test_nobody_moves_and_the_start_is_chosen(tmp_path):
    record = train(tmp_path / "run", "frozen")
    assert record.chosen == 0 and record.weights_sha256 == record.model.sha256
    assert load_record(tmp_path / "run") == record


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"set": {"eval.split": "validation"}}, "on which this run is evaluated"),
        ({"split": "validation"}, "on which this run is trained"),
        ({"set": {"eval.checkpoint": "first"}}, r"eval\.checkpoint must be last or best, got 'first'"),
        ({"set": {"eval.validation_items": 0}}, r"eval\.validation_items must be a whole number from 1 to 100000"),
    ],
)
def test_what_cannot_choose_is_refused_before_anything_is_written(tmp_path, fields, message):
    with pytest.raises(BadValue, match=message):
        train(tmp_path / "run", **fields)
    assert not (tmp_path / "run").exists()


def test_a_task_without_validation_items_is_refused(tmp_path, monkeypatch):
    asked = plan()
    sizes = {"train": None, "test": None, "validation": 0}
    monkeypatch.setattr(type(asked.task), "n_items", lambda self, split: sizes[split])
    with pytest.raises(BadValue, match="of which task 'eggym/tiny-programs-v0' has no items"):
        run_plan(asked, tmp_path / "run", lambda event: None, force=True)
    assert not (tmp_path / "run").exists()
