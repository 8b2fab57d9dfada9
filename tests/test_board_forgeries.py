"""Forged numbers: what an author may write into a record with every digest right, and what L0 says of it."""

import copy
import json

import pytest
from boards import folder_of

from eggym.files import sha256_json
from eggym.leaderboards.names import note_of
from eggym.leaderboards.pinned import read_pinned
from eggym.leaderboards.rules import record_faults
from eggym.leaderboards.stored import read_entry
from eggym.record import Record
from eggym.stats import clustered_mean


@pytest.fixture(scope="module")
def judge(small_place):
    """Return what the rules of the small board say of a record that was changed."""
    board, path = small_place.board("small")
    pinned = read_pinned(path, board)

    def look(change, learner="eggroll"):
        told = json.loads((folder_of(small_place, learner) / "record.json").read_text())
        change(told)
        told.pop("content_sha256")
        return record_faults(board, pinned, Record.model_validate_json(json.dumps(told)))

    return look


def scored(score, rewards, n_replies=None):
    """Give an evaluation other rewards, with everything that follows from them."""
    mean, error = clustered_mean(rewards)
    n = len(rewards) if n_replies is None else n_replies
    score.update(rewards=rewards, mean=mean, se=error, n_items=len(rewards), n_replies=n, states={"correct": n})


def wider(told):
    """Twice the budget was spent, and is said to be the limit."""
    told["budget"]["limit"] *= 2
    for point in told["points"]:
        point["fraction"] /= 2


def without(place):
    def change(told):
        del told["points"][place]

    return change


def chosen(told):
    told["chosen"] = told["points"][1]["step"]


def fewer(told):
    for point in told["points"]:
        scored(point["greedy"], [1.0] * 4)


def unjudged(told):
    for point in told["points"]:
        scored(point["greedy"], [1.0, *[None] * 7], 8)


def many(told):
    return told["beyond"]["many"]["end"]


FORGED = {
    "floor": (lambda told: told["task"].update(floor=-1.0), "task.floor is -1.0, the board wants 0.0006"),
    "range": (lambda told: told["task"].update(reward_range=[0.0, 0.5]), "task.reward_range is (0.0, 0.5)"),
    "budget": (wider, "budget.limit is 64.0, the board wants 32.0"),
    "axis": (lambda told: told.update(budget={"axis": "s", "limit": 9.0}), "budget.axis is 's'"),
    "primary": (lambda told: told.update(primary="sampled"), "primary is 'sampled', the board wants 'greedy'"),
    "size": (lambda told: told["model"].update(n_parameters=10**9), "model.n_parameters is 1000000000"),
    "start": (without(0), "its curve does not begin before training"),
    "chosen": (chosen, "is said to count, and by the board the last one does"),
    "items": (fewer, "the greedy evaluation of point 0 has 4 items, the board wants 8"),
    "replies": (lambda told: scored(told["points"][0]["sampled"], [1.0] * 8, 16), "has 16 replies to 8 items"),
    "unjudged": (unjudged, "the greedy evaluation of point 0 has 7 items without a reward"),
    "rewards": (
        lambda told: scored(told["points"][1]["greedy"], [2.0] * 8),
        "rewards outside those of the task, 0 to 1",
    ),
    "temperature": (lambda told: told["points"][0]["sampled"].update(temperature=0.0), "has temperature 0"),
    "beyond": (lambda told: told.update(beyond=None), "it tells nothing of what else changed"),
    "pass@k": (lambda told: told["beyond"].update(many=None), "does not tell what the board asks for: many replies"),
    "pass@k above one": (lambda told: many(told)["pass_at"].update({"2": 7.0}), "that were asked for"),
    "pass@k of more replies": (lambda told: scored(many(told), [1.0, 1.0], 8), "that were asked for"),
    "pass@k, greedy": (lambda told: many(told).update(temperature=0.0), "that were asked for"),
    "weight change": (lambda told: told["beyond"]["weight_change"].update(all=-1.0), "change of weights is below zero"),
    "kl": (lambda told: told["beyond"].update(kl_base=0.5), "its KL is not that of the point that counts"),
    "weights": (lambda told: told.update(weights_sha256="best"), "weights_sha256 is 'best'"),
    "an endless part": (lambda told: told["points"][0]["greedy"]["parts"].update(x=1e300), "holds the number"),
    "an endless count": (lambda told: told["evaluation_spent"].update(reward_calls=10**400), "beyond 1e300"),
    "spent": (lambda told: told["spent"].update(computed_flops=1), "it spent less than its last evaluation says"),
}


def test_what_was_not_forged_is_by_the_rules(judge):
    for learner in ("eggroll", "dr_grpo", "frozen", "random-reward-eggroll"):
        assert judge(lambda told: None, learner) == []


@pytest.mark.parametrize("name", FORGED)
def test_a_number_that_the_board_has_fixed_or_that_follows_is_not_the_submitters(judge, name):
    change, told = FORGED[name]
    found = judge(change)
    assert any(told in fault for fault in found), found


def test_a_frozen_model_is_the_one_that_everyone_starts_from(judge):
    found = judge(lambda told: told.update(weights_sha256="0" * 64), "frozen")
    assert found == ["it is said to be frozen, and has 0 updates or other weights than the model"]


@pytest.mark.parametrize(("counts", "ok"), [(0, False), (1, True), (2, False), (None, False)])
def test_by_the_rule_best_the_first_best_point_on_validation_counts(judge, counts, ok):
    """The rule is the board's; here the record is looked at alone."""
    from eggym.leaderboards.figures import _counting

    def change(told):
        told["config"]["eval"]["checkpoint"] = "best"
        told["points"] = [*told["points"], copy.deepcopy(told["points"][-1])][:3]
        told["points"][2]["step"] += 1

    found = made(judge, change, counts)
    assert (list(_counting(found)) == []) is ok


def made(judge, change, counts):
    """Return a record with three points, of which the second is the first best on validation."""
    kept = {}

    def keep(told):
        change(told)
        for point, mean in zip(told["points"], (0.25, 0.5, 0.5), strict=True):
            point["validation"] = copy.deepcopy(point["greedy"])
            scored(point["validation"], [mean] * 8)
        kept["chosen"] = None if counts is None else told["points"][counts]["step"]
        kept["told"] = copy.deepcopy(told)

    with pytest.raises(ValueError, match="config_sha256"):  # it is not to be read, only to be looked at
        judge(keep)
    told = kept["told"]
    told["chosen"] = kept["chosen"]
    plain = Record.model_construct(**{**told, "schema_version": 1})
    return plain.model_copy(update={"points": [_point(point) for point in told["points"]]})


def _point(point):
    from eggym.score import Point

    return Point.model_validate_json(json.dumps(point))


# -- who learned ----------------------------------------------------------------------------------------------------


def renamed(name, variant=None, **learner):
    def change(told):
        told["learner"].update(name=name, variant=variant, **learner)
        told["config"].update(learner=name, variant=variant)
        told["provenance"]["config_sha256"] = sha256_json(told["config"])
        ids = [told["provenance"]["config_sha256"], told["seed"], told["task"]["digest"], told["model"]["sha256"]]
        told["id"] = sha256_json(ids)[:16]

    return change


@pytest.mark.parametrize(
    "name", ["eggroll ", " eggroll", "\u0435ggroll", "eggroll\u200b", "egg\u202eroll", "\x1b[2Jx", "x" * 101]
)
def test_a_name_is_plain(judge, name):
    assert any("is not plain" in fault for fault in judge(renamed(name)))


@pytest.mark.parametrize(
    "name", ["EGGROLL", "Eggroll", "egg-roll", "dr-grpo", "DrGRPO", "best_of_n", "random-reward:PPO"]
)
def test_a_name_is_no_other_learners_in_other_letters(judge, name):
    assert any("would be taken for" in fault for fault in judge(renamed(name)))


@pytest.mark.parametrize(("name", "variant"), [("eggroll@t1", None), ("eggroll", "t1 (official)"), ("eggroll", "")])
def test_a_variant_is_told_apart_from_its_learner(judge, name, variant):
    assert any("is no name of a learner" in fault for fault in judge(renamed(name, variant)))


@pytest.mark.parametrize(("name", "variant"), [("my_learner", None), ("Mine, 2nd try", None), ("eggroll", "mine")])
def test_any_other_name_may_stand(judge, name, variant):
    assert judge(renamed(name, variant)) == []


def test_an_upper_bound_says_that_it_is_one_whatever_its_record_says(small_place):
    record = read_entry(folder_of(small_place)).record
    learner = record.learner.model_copy(update={"name": "best-of-n", "note": ""})
    assert "upper bound" in note_of(record.model_copy(update={"learner": learner}))
    own = learner.model_copy(update={"name": "mine", "note": "uses a calculator"})
    assert note_of(record.model_copy(update={"learner": own})) == "uses a calculator"
