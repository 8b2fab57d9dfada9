import itertools

import pytest

from eggym.beyond import n_episodes
from eggym.config import RunConfig, resolve
from eggym.duel import DuelConfig
from eggym.errors import BadValue, EggymError
from eggym.learner import PROFILES
from eggym.registry import learner_table, load_learner
from eggym.score import Trial, Tuning
from eggym.trials import SEED, declared, draw, space_of, trial_settings, trials_of, winner

SPACE = {"sigma": (0.01, 0.02, 0.04, 0.08), "update_rms": (0.005, 0.01)}
START = {"sigma": 0.04, "update_rms": 0.01}


def plan(learner, **given):
    return resolve(RunConfig("tiny-programs", learner, set=given))


def test_trial_0_is_the_start_and_the_others_are_different_points():
    found = draw(SPACE, START, 8)
    assert found[0] == START and len(found) == 8
    points = [dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())]
    assert sorted(map(str, found)) == sorted(map(str, points))  # all of the grid, each once


def test_a_start_beside_the_grid_adds_one_setting():
    beside = {"sigma": 0.03, "update_rms": 0.01}
    assert len(draw(SPACE, beside, 100)) == 9 and draw(SPACE, beside, 100)[0] == beside


def test_fewer_trials_are_the_first_of_more_and_the_order_is_no_order_of_values():
    whole = draw(SPACE, START, 8)
    assert draw(SPACE, START, 3) == whole[:3]
    grid = [dict(zip(SPACE, values, strict=True)) for values in itertools.product(*SPACE.values())]
    assert whole[1:] != [point for point in grid if point != START]


@pytest.mark.parametrize(
    ("scores", "place"),
    [([0.2, 0.5, 0.3], 1), ([0.5, 0.5], 0), ([0.1, 0.4, 0.4], 1), ([None, 0.0], 1), ([-1.0, None, -2.0], 0)],
)
def test_the_highest_wins_the_earlier_of_equals_and_nothing_without_a_score(scores, place):
    assert winner(scores) == place


def test_without_any_score_there_is_no_winner():
    with pytest.raises(EggymError, match="no trial could be judged"):
        winner([None, None])


def test_what_the_user_sets_is_no_longer_tried():
    assert space_of(plan("eggroll", **{"eggroll.sigma": 0.02})) == {"update_rms": [0.005, 0.01]}
    assert space_of(plan("eggroll@t1", **{"eggroll@t1.update_rms": 0.02})) == {"sigma": [0.01, 0.02, 0.04, 0.08]}
    assert "sigma" in space_of(plan("eggroll", **{"eggroll.population": 8}))


@pytest.mark.parametrize(
    ("given", "n_trials", "message"),
    [
        ({}, 9, "eggroll has 8 settings to try, and every learner gets 9 trials; lower --tune$"),
        ({"eggroll.sigma": 0.02}, 3, "has 2 settings to try, for sigma is set, .* leave out the --set"),
        ({"eggroll.sigma": 0.02, "eggroll.update_rms": 0.1}, 2, "has 1 setting to try, for sigma, update_rms is set"),
    ],
)
def test_more_trials_than_settings_are_refused(given, n_trials, message):
    with pytest.raises(BadValue, match=message):
        trials_of(plan("eggroll", **given), n_trials)


def test_controls_and_learners_without_a_space_have_no_trials():
    assert trials_of(plan("frozen"), 4) == trials_of(plan("random-reward:eggroll"), 4) == []


@pytest.mark.parametrize("name", ["eggroll", "openai-es", "dr_grpo", "rloo", "ppo", "sft"])
def test_every_side_has_as_many_trials_and_the_first_is_the_run_without_tuning(name):
    asked = plan(name)
    found = trials_of(asked, 4)
    assert len(found) == 4 and found[0].keys() == declared(asked).keys()
    assert found[0] == {option: getattr(asked.options, option) for option in found[0]}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_declared_setting_can_be_built(profile):
    for name in learner_table():
        spec = load_learner(name) if name != "random-reward" else load_learner("random-reward:eggroll")
        space = spec.search.get(profile, {})
        for values in itertools.product(*space.values()):
            spec.resolve(profile, dict(zip(space, values, strict=True)))
        if spec.kind == "es":  # as many as RL has, the default among them
            assert len(list(itertools.product(*space.values()))) == 8
            default = spec.resolve(profile, {})
            assert all(getattr(default, option) in values for option, values in space.items())


def test_a_trial_is_a_run_of_its_own_seed_that_is_judged_once_on_validation():
    asked = {
        "eggroll.population": 8, "eval.items": 50, "eval.points": 4, "eval.primary": "sampled", "eval.many": 4,
        "eval.retention": "tiny-orders", "eval.checkpoint": "best",
    }  # fmt: skip
    config = DuelConfig(("tiny-programs",), set=asked, tune=4, tune_budget="1e9flops", tune_items=30)
    trial = config.trial("tiny-programs", "eggroll")
    assert (trial.seed, trial.budget, trial.split) == (SEED, "1e9flops", "train")
    assert trial.set == {
        "eggroll.population": 8, "eval.items": 30, "eval.primary": "sampled", "eval.split": "validation",
        "eval.points": 1, "eval.drift": 0, "eval.many": 0, "eval.train_items": 0,
    }  # fmt: skip
    assert config.trial("tiny-programs", "dr_grpo").seed == trial.seed  # the same items for all
    assert DuelConfig(tune=4).trial("tiny-orders", "eggroll").budget == DuelConfig().budget
    assert trial_settings({"eval.items": 50}, None)["eval.items"] == 50


def test_a_trial_pays_for_no_evaluation_beside_its_score():
    config = DuelConfig(("tiny-programs", "tiny-orders"), set={"eval.retention": "others"}, tune=4)
    trial = resolve(config.trial("tiny-programs", "eggroll"))
    assert n_episodes(resolve(config.run("tiny-programs", "eggroll", 0))) > n_episodes(trial) == 0
    assert (trial.evaluation.drift, trial.evaluation.points, trial.evaluation.checkpoint) == (0, 1, "last")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tune": 1}, "tune must be 0, or from 2 to 1000 trials"),
        ({"tune": -1}, "tune must be 0"),
        ({"tune_task": "tiny-orders"}, "tune_task says how to tune: give tune"),
        ({"tune_budget": "1e9flops"}, "tune_budget says how to tune"),
        ({"tune": 2, "tune_budget": "1e9"}, "is not a number and a unit"),
        ({"tune": 2, "tune_items": 0}, "tune_items must be at least 1"),
        ({"tune": 2, "split": "validation"}, "split is validation, and trials are judged on validation"),
        ({"tune": 2, "set": {"eval.split": "validation"}}, "eval.split is validation"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused(settings, message):
    with pytest.raises(BadValue, match=message):
        DuelConfig(**settings)


def test_a_story_is_known_by_a_few_facts_and_a_hash_of_the_rest():
    trials = [Trial(options={"sigma": s}, score=s, run="x", flops=5) for s in (0.1, 0.2)]
    story = Tuning(task="t", split="validation", budget="1flops", space={"sigma": [0.1, 0.2]}, trials=trials, chosen=1)
    assert story.flops == 10
    brief = story.brief()
    assert {key: brief[key] for key in ("task", "split", "budget", "trials", "chosen")} == {
        "task": "t", "split": "validation", "budget": "1flops", "trials": 2, "chosen": 1,
    }  # fmt: skip
    other = story.model_copy(update={"trials": [trials[0], trials[1].model_copy(update={"score": 0.3})]})
    assert other.brief()["sha256"] != brief["sha256"]
    with pytest.raises(ValueError, match="chosen is 2, but there are 2 trials"):
        Tuning(**{**story.model_dump(), "chosen": 2})
