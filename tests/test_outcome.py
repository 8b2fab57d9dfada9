"""What came of a set of runs: verdicts, areas, times to a target, and what changed beside the reward. All made up."""

import json
import re

import pytest
from made_up import LEARNERS, TASKS, TUNING, a_duel, changed, measurement, run

from eggym.arena import arrange
from eggym.beyond_summary import note_on_many
from eggym.errors import BadValue
from eggym.files import canonical_json, sha256_json
from eggym.outcome import summary
from eggym.record import run_id
from eggym.score import Point
from eggym.stats import clustered_mean


@pytest.fixture(scope="module")
def duel():
    return a_duel()


def test_the_summary_of_a_known_duel():
    # differences 0.2, 0.25, 0.3: mean 0.25, SE 0.05/sqrt(3), half width 4.302653 * 0.028868 = 0.12421
    ends = {"eggroll": (0.5, 0.6, 0.7), "dr_grpo": (0.3, 0.35, 0.4), "frozen": (0.25, 0.25, 0.25)}
    records = [
        run(TASKS[0], name, seed, [0.25, end]) for name, row in ends.items() for seed, end in enumerate(row, start=1)
    ]
    found = summary(records, {records[0].id: measurement(records[0], 30.0)})
    (task,) = found["tasks"]
    (pair,) = task["comparisons"]
    assert (pair["es"], pair["rl"], pair["verdict"], pair["n"]) == ("eggroll", "dr_grpo", "ES ahead", 3)
    assert [pair[key] for key in ("difference", "low", "high")] == pytest.approx([0.25, 0.12579, 0.37421], abs=1e-4)
    assert pair["seeds_needed"] is None
    es = task["learners"][0]
    assert es["end"]["greedy"]["mean"] == pytest.approx(0.6)
    assert es["end"]["sampled"]["mean"] == pytest.approx(0.48)
    assert es["gain"]["greedy"]["difference"] == pytest.approx(0.35)
    assert es["area"]["mean"] == pytest.approx(0.25)  # two points, read as steps: the start counts until the end
    assert (es["cpu_s"], es["peak_rss_bytes"], es["spent"]["episodes"]) == (30.0, 400 * 2**20, 9000)
    assert task["learners"][1]["cpu_s"] is None  # nothing was measured there
    assert found["headline"] == "At 3e11 FLOPs, eggroll beats dr_grpo on tiny-arithmetic."
    assert json.loads(canonical_json(found)) == found


def test_every_verdict_is_said(duel):
    found = summary(*duel)
    assert [one["verdict"] for one in found["verdicts"]] == ["ES ahead", "not resolved", "RL ahead"]
    assert found["headline"] == (
        "At 3e11 FLOPs, eggroll is ahead on tiny-arithmetic; dr_grpo is ahead on tiny-programs; "
        "tiny-orders is not resolved."
    )
    assert re.fullmatch(
        r"not resolved: eggroll - dr_grpo = [+-]0\.\d{3}, 95 % interval .* over 3 seeds; p = .*; about \d+ seeds .*",
        found["verdicts"][1]["sentence"],
    )


def test_two_seeds_are_never_a_verdict():
    found = summary(*a_duel(seeds=2))
    assert {one["verdict"] for one in found["verdicts"]} == {"not resolved"}
    assert found["verdicts"][0]["sentence"].endswith("over 2 seeds; an interval needs at least 3")
    assert "is not resolved on all three tasks" in found["headline"]


def test_swapping_the_sides_swaps_the_verdict():
    rows = [(seed, 0.5 + 0.01 * seed, 0.3) for seed in (1, 2, 3)]
    for high, low, verdict in (("eggroll", "dr_grpo", "ES ahead"), ("dr_grpo", "eggroll", "RL ahead")):
        runs = [run(TASKS[0], name, seed, [0.2, v]) for seed, a, b in rows for name, v in ((high, a), (low, b))]
        assert summary(runs, {})["verdicts"][0]["verdict"] == verdict


def test_without_a_frozen_run_the_own_start_stands_for_it():
    runs = [run(TASKS[0], "eggroll", seed, [0.25, 0.5]) for seed in (1, 2, 3)]
    found = summary(runs, {})
    (side,) = found["tasks"][0]["learners"]
    assert (side["gain_over"], side["gain"]["greedy"]["difference"]) == ("own start", 0.25)
    assert found["headline"] == "eggroll on tiny-arithmetic: no pair of ES and RL to compare."


def test_one_learner_with_two_settings_is_two_sides():
    runs = [run(TASKS[0], "eggroll", 1, [0.2, 0.3], options={"lr": lr, "rank": 1}) for lr in (0.1, 0.2)]
    assert [side.label for side in arrange(runs)[0].sides] == ["eggroll lr=0.1", "eggroll lr=0.2"]


def test_the_same_run_given_twice_counts_once(duel):
    records, measured = duel
    assert summary(records + records[:4], measured) == summary(records, measured)


def test_one_run_with_two_outcomes_is_refused_whoever_made_them():
    one = run(TASKS[0], "eggroll", 1, [0.2, 0.3])
    made = one.provenance.model_copy(update={"eggym": "9.9", "git_commit": "a" * 40})
    again = one.model_copy(update={"provenance": made})
    assert len(arrange([one, again])[0].sides[0].records) == 1
    other = run(TASKS[0], "eggroll", 1, [0.2, 0.4]).model_copy(update={"provenance": made})
    for runs in ([one, other], [other, one]):
        with pytest.raises(BadValue, match=rf"two outcomes of run {one.id} .* by eggym 9.9 \(aaaaaaa\)"):
            arrange(runs)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(BadValue, match="no finished run"):
        arrange([])
    one, other = (run(TASKS[0], "eggroll", 1, [0.2, 0.3], config={"x": x}, id=i, provenance=p) for x, i, p in _twins())
    told = r"two different runs of eggroll on eggym/tiny-arithmetic-v0 with seed 1 \(\w+, \w+\): x is 1 and 2; give one"
    with pytest.raises(BadValue, match=told):
        arrange([one, other])
    with pytest.raises(BadValue, match=r"\): their models have other weights; give one of them"):
        arrange([one, one.model_copy(update={"id": other.id})])
    with pytest.raises(BadValue, match="different primary metrics"):
        arrange([one, run(TASKS[0], "dr_grpo", 1, [0.2], primary="sampled")])
    asked = ({"eval": {"items": 5, "many": many}, "prompt": {"stop": []}} for many in (0, 8))
    with pytest.raises(BadValue, match=r"on eggym/tiny-arithmetic-v0 cannot be compared: eval.many is 0 and 8$"):
        arrange([run(TASKS[0], name, 1, [0.2], asked=one) for name, one in zip(LEARNERS, asked, strict=False)])
    for key in ("budget", "model", "space", "split", "prompt", "eval", "memory", "dtype"):
        with pytest.raises(BadValue, match=f"on eggym/tiny-arithmetic-v0 cannot be compared: {key} is 'a' and 'b'"):
            arrange([configured("eggroll", **{key: "a"}), configured("dr_grpo", **{key: "b"})])


def test_runs_may_differ_in_what_a_learner_is_and_in_their_seed():
    learners = {"eggroll": {"rank": 1}, "dr_grpo": {"lr": 0.1}}
    runs = [run(TASKS[0], name, seed, [0.2], options=own) for seed, (name, own) in enumerate(learners.items())]
    (arena,) = arrange(runs)
    assert [side.label for side in arena.sides] == ["eggroll", "dr_grpo"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "none"),
        ({"trials": TUNING["trials"] * 2}, "4 trials on eggym/tiny-orders-v0, validation"),
        ({"budget": "9flops"}, "2 trials of 9flops on eggym/tiny-orders-v0, validation"),
        ({"task": "eggym/guess-v0"}, "2 trials on eggym/guess-v0, validation"),
        ({"items": 60}, "2 trials on eggym/tiny-orders-v0, validation, 60 items"),
    ],
)
def test_learners_that_were_not_tuned_equally_are_not_compared(change, told):
    other = None if change is None else {**TUNING, **change}
    runs = [run(TASKS[0], "eggroll", 1, [0.2], tuning=TUNING), run(TASKS[0], "dr_grpo", 1, [0.2], tuning=other)]
    message = f"tuning is 2 trials on eggym/tiny-orders-v0, validation and {told}; tune all learners equally, or"
    for order in (runs, [*runs, run(TASKS[0], "frozen", 1, [0.2])]):
        with pytest.raises(BadValue, match=message) as caught:
            arrange(order)
        assert "\n" not in str(caught.value)


def test_what_has_nothing_to_tune_stands_beside_what_was_tuned():
    runs = [run(TASKS[0], "eggroll", 1, [0.2], tuning=TUNING), run(TASKS[0], "frozen", 1, [0.2])]
    runs += [run(TASKS[0], "best-of-n", 1, [0.2], kind="baseline"), run(TASKS[0], "own", 1, [0.2], "rl")]
    with pytest.raises(BadValue, match=r"2 trials on .* and none"):
        arrange(runs)  # of an old record nobody knows
    runs[-1] = run(TASKS[0], "own", 1, [0.2], kind="rl", more={"tunable": False})
    assert len(arrange(runs)[0].sides) == 4


def test_seeds_of_one_learner_need_one_tuning():
    again = {**TUNING, "trials": [{**TUNING["trials"][0], "score": 0.1}, TUNING["trials"][1]]}
    for other in (again, None):
        runs = [run(TASKS[0], "eggroll", seed, [0.2], tuning=how) for seed, how in enumerate((TUNING, other))]
        with pytest.raises(
            BadValue, match=r"runs of eggroll on .* were not tuned alike: seeds of one learner need one"
        ):
            arrange(runs)


def test_tasks_of_one_name_that_differ_are_two():
    code = run(TASKS[0], "eggroll", 1, [0.2]).provenance.config_sha256
    runs = [
        run(TASKS[0], "eggroll", 1, [0.2, 0.3], id=run_id(code, 1, digest, "m"), task_info={"digest": digest})
        for digest in ("aaaaaaa", "bbbbbbb")
    ]
    assert [arena.task for arena in arrange(runs)] == [f"{TASKS[0]} aaaaaa", f"{TASKS[0]} bbbbbb"]


def configured(name, **config):
    """A run whose configuration is only this."""
    whole = run(TASKS[0], name, 1, [0.2])
    code, model = whole.provenance.model_dump(), whole.model.model_dump()
    digest = sha256_json(config)
    fields = {"config": config, "id": run_id(digest, 1, f"digest {TASKS[0]}", "m")}
    fields["model"] = {**model, "dtype": config.get("dtype", model["dtype"]), "name": config.get("model", "m")}
    return run(TASKS[0], name, 1, [0.2, 0.3], provenance={**code, "config_sha256": digest}, **fields)


def _twins():
    code = run(TASKS[0], "eggroll", 1, [0.2]).provenance.model_dump()
    for x in (1, 2):
        digest = sha256_json({"x": x})
        yield x, run_id(digest, 1, f"digest {TASKS[0]}", "m"), {**code, "config_sha256": digest}


def test_a_run_without_a_final_reward_is_left_out_and_counted():
    runs = [run(TASKS[0], name, seed, [0.2, 0.5]) for name in ("eggroll", "dr_grpo") for seed in (1, 2)]
    runs += [run(TASKS[0], "eggroll", 3, [0.2, None]), run(TASKS[0], "dr_grpo", 3, [0.2, 0.5])]
    (pair,) = summary(runs, {})["tasks"][0]["comparisons"]
    assert (pair["n"], pair["verdict"]) == (2, "not resolved")


# -- several pairs ----------------------------------------------------------------------------------------------------


def several(*differences):
    """One duel on as many tasks; by task the differences ES - RL of three seeds."""
    return [
        run(f"me/task-{place}", name, seed, [0.2, 0.4 + (by if name == "eggroll" else 0)])
        for place, row in enumerate(differences)
        for seed, by in enumerate(row, start=1)
        for name in ("eggroll", "dr_grpo")
    ]


def test_several_pairs_are_held_against_holms_level():
    # paired t with 2 degrees: p = 1 - t / sqrt(t^2 + 2). First: mean 0.2, SE 0.01/sqrt(3), t = 34.64, p = 0.00083;
    # second: mean 0.2, SE 0.05/sqrt(3), t = 6.928, p = 0.02020: alone it would be resolved, as one of two it still is
    clear, near = (0.19, 0.2, 0.21), (0.15, 0.2, 0.25)
    found = summary(several(clear, near), {})["tasks"]
    first, second = (task["comparisons"][0] for task in found)
    assert [one["p"] for one in (first, second)] == pytest.approx([0.000832, 0.020204], rel=1e-3)
    assert [one["p_adjusted"] for one in (first, second)] == pytest.approx([0.001664, 0.020204], rel=1e-3)
    assert [one["verdict"] for one in (first, second)] == ["ES ahead", "ES ahead"]
    assert first["sentence"].endswith("over 3 seeds; p < 0.001, adjusted for 2 comparisons (Holm) p = 0.002")


def test_a_pair_that_does_not_pass_the_adjustment_is_not_resolved():
    # three pairs with p = 0.0202 each: 0.0606 adjusted. Intervals exclude zero, and yet nothing is claimed
    found = summary(several(*[(0.15, 0.2, 0.25)] * 3), {})["tasks"]
    for task in found:
        (pair,) = task["comparisons"]
        assert pair["low"] > 0 and pair["p_adjusted"] == pytest.approx(0.0606, abs=1e-4)
        assert (pair["verdict"], pair["compared"]) == ("not resolved", 3)
        # t(3 degrees, 1 - 0.05/6) = 4.857 > 4 seeds: half width 4.857 * 0.05 / 2 = 0.121 < 0.2
        assert pair["seeds_needed"] == 4
        assert (
            "p = 0.020, adjusted for 3 comparisons (Holm) p = 0.061; about 4 seeds would resolve it" in pair["sentence"]
        )
    assert summary(several((0.15, 0.2, 0.25)), {})["verdicts"][0]["verdict"] == "ES ahead"


def test_one_item_more_in_every_seed_is_no_verdict():
    # one of forty items in each of three seeds: no spread. Over items: mean 1/40, SE 1/40: t(39) = 1, p = 0.323
    (pair,) = summary(several((0.025, 0.025, 0.025)), {})["tasks"][0]["comparisons"]
    assert (pair["p"], pair["p_over"]) == (pytest.approx(0.3235, abs=1e-4), "items")
    assert pair["low"] == pytest.approx(0.025)
    assert pair["items"]["low"] == pytest.approx(0.025 - 2.0227 * 0.025, abs=1e-5)
    assert (pair["verdict"], pair["seeds_needed"]) == ("not resolved", None)
    assert pair["sentence"].endswith("over 3 seeds; the same in every seed, so judged over items: p = 0.323")
    # ten of forty items are another matter: mean 1/4, SE sqrt(1/4 3/4 / 39) = 0.0693, t = 3.61
    (verdict,) = summary(several((0.25, 0.25, 0.25)), {})["verdicts"]
    assert verdict["verdict"] == "ES ahead"
    assert verdict["sentence"].endswith("the same in every seed, so judged over items: p < 0.001")


def test_seeds_without_spread_get_no_place_before_the_others_in_the_adjustment():
    # five of forty items in each seed: SE sqrt(1/8 7/8 / 39) = 0.0530, t = 2.36, p = 0.0234; the others 0.0202, 0.0742
    (pair, _) = (task["comparisons"][0] for task in summary(several((0.125,) * 3, (0.15, 0.2, 0.25)), {})["tasks"])
    assert pair["p"] == pytest.approx(0.0234, abs=1e-4) and pair["verdict"] == "ES ahead"
    (pair, *_) = (
        task["comparisons"][0] for task in summary(several((0.125,) * 3, *[(0.1, 0.2, 0.3)] * 2), {})["tasks"]
    )
    assert (pair["p_adjusted"], pair["verdict"]) == (pytest.approx(3 * pair["p"]), "not resolved")
    assert "judged over items: p = 0.023, adjusted for 3 comparisons (Holm) p = 0.070" in pair["sentence"]


def test_seeds_without_spread_and_with_items_of_their_own_are_no_verdict():
    runs = several((0.25, 0.25, 0.25))
    points = [point.model_dump() for point in runs[-1].points]
    for score in (points[-1]["greedy"], points[-1]["sampled"]):
        score |= {"n_items": 80, "n_replies": 80, "states": {"correct": 80}, "rewards": score["rewards"] * 2}
        score["mean"], score["se"] = clustered_mean(score["rewards"])
    runs[-1] = runs[-1].model_copy(update={"points": [Point.model_validate(point) for point in points]})
    (pair,) = summary(runs, {})["tasks"][0]["comparisons"]
    assert (pair["p"], pair["items"], pair["verdict"]) == (None, None, "not resolved")
    assert pair["sentence"].endswith("the same in every seed, and no items to judge it by")


def test_the_ends_of_a_pair_are_those_of_the_seeds_it_shares():
    runs = [run(TASKS[0], "eggroll", seed, [0.2, end]) for seed, end in ((1, 0.5), (2, 0.7), (3, 1.0))]
    runs += [run(TASKS[0], "dr_grpo", seed, [0.2, end]) for seed, end in ((1, 0.4), (2, 0.4), (4, 0.1))]
    (pair,) = summary(runs, {})["tasks"][0]["comparisons"]
    assert (pair["es_end"], pair["rl_end"]) == (pytest.approx(0.6), pytest.approx(0.4))
    assert pair["es_end"] - pair["rl_end"] == pytest.approx(pair["difference"])


def test_the_primary_metric_decides():
    # sampled replies earn 0.8 of greedy ones
    runs = several((0.1, 0.2, 0.3))
    greedy, sampled = (
        summary([one.model_copy(update={"primary": primary}) for one in runs], {})["tasks"][0]["comparisons"][0]
        for primary in ("greedy", "sampled")
    )
    assert (greedy["difference"], sampled["difference"]) == (pytest.approx(0.2), pytest.approx(0.16))


def test_seeds_are_paired_whatever_order_they_come_in_and_those_of_one_side_left_out():
    # one seed of dr_grpo ended without a reward: that seed of eggroll goes with it, and no other
    ends = {1: 0.3, 2: 0.5, 3: 0.8}
    es = [run(TASKS[0], "eggroll", seed, [0.2, end + 0.1]) for seed, end in ends.items()]
    rl = [run(TASKS[0], "dr_grpo", seed, [0.2, end]) for seed, end in {**ends, 1: None, 4: 0.6}.items()]
    es.append(run(TASKS[0], "eggroll", 4, [0.2, 0.7]))
    asked = [es + rl, es + rl[::-1], [*es, *rl, run(TASKS[0], "dr_grpo", 9, [0.2, 0.9])]]
    asked.append([*es, run(TASKS[0], "eggroll", 9, [0.2, 0.9]), *rl])
    first, *others = (summary(runs, {})["tasks"][0]["comparisons"][0] for runs in asked)
    assert first["difference"] == pytest.approx(0.1) and first["items"]["mean"] == pytest.approx(0.1)
    for other in others:
        for key in ("difference", "low", "high", "per_seed", "items", "verdict"):
            assert other[key] == first[key], key


def test_pairs_without_a_test_do_not_count_among_the_comparisons():
    runs = several((0.15, 0.2, 0.25), (0.1, 0.2))
    first, second = (task["comparisons"][0] for task in summary(runs, {})["tasks"])
    assert (first["verdict"], first["compared"], second["p_adjusted"]) == ("ES ahead", 1, None)


def test_a_baseline_has_a_row_and_no_side():
    runs = several((0.1, 0.2, 0.3))
    runs += [run("me/task-0", "best-of-n", seed, [0.2, 0.5], kind="baseline") for seed in (1, 2, 3)]
    (task,) = summary(runs, {})["tasks"]
    assert [one["kind"] for one in task["learners"]] == ["es", "rl", "baseline"]
    assert len(task["comparisons"]) == 1


# -- axes -------------------------------------------------------------------------------------------------------------


def test_areas_run_to_the_place_that_all_reached():
    # FLOPs: both go to the budget; steps 0.2 and 0.4 over equal halves. Episodes: ES ends at 9000, RL at 2400, and ES
    # was not evaluated before that but at its start: 0.2 would be no height of a curve
    runs = [run(TASKS[0], name, seed, [0.2, 0.4, 0.9]) for name in ("eggroll", "dr_grpo") for seed in (1, 2, 3)]
    es, rl = summary(runs, {})["tasks"][0]["learners"]
    assert es["areas"]["flops"]["mean"] == pytest.approx(0.3)
    assert (es["areas"]["episodes"]["to"], rl["areas"]["episodes"]["to"]) == (2400, 2400)
    assert es["areas"]["episodes"]["mean"] is None
    assert rl["areas"]["episodes"]["mean"] == pytest.approx(0.3)
    assert set(es["areas"]) == {"flops", "episodes", "tokens"}  # nothing was measured


def test_seconds_are_axes_where_they_were_measured():
    runs = [run(TASKS[0], name, 1, [0.2, 0.4, 0.9]) for name in ("eggroll", "dr_grpo")]
    timed = {one.id: measurement(one, 12.0).model_copy(update={"wall_s_at_points": [0.0, 3.0, 8.0]}) for one in runs}
    es = summary(runs, timed)["tasks"][0]["learners"][0]
    assert es["areas"]["cpu-s"]["to"] == 12.0
    assert es["areas"]["s"]["mean"] == pytest.approx((3 * 0.2 + 5 * 0.4) / 8)


def test_the_target_lies_halfway_from_the_frozen_base_to_the_top():
    ends = {1: [0.3, 0.7, 0.6], 2: [0.3, 0.5, 0.65], 3: [0.3, 0.4, 0.5]}
    runs = [run(TASKS[0], "eggroll", seed, means) for seed, means in ends.items()]
    runs += [run(TASKS[0], "frozen", seed, [0.3]) for seed in ends]
    (task,) = summary(runs, {})["tasks"]
    assert task["target"] == pytest.approx(0.65)  # 0.3 + (1 - 0.3) / 2
    episodes = task["learners"][0]["time_to_target"]["episodes"]
    # seed 1 is there at its second evaluation, seed 2 at its third, seed 3 never: the median is seed 2's
    assert episodes == {"per_seed": {"1": 4500, "2": 9000, "3": None}, "reached": 2, "n": 3, "median": 9000}
    (hard,) = summary(runs, {}, target=1.0)["tasks"]
    assert hard["learners"][0]["time_to_target"]["flops"]["median"] is None
    with pytest.raises(BadValue, match="above 0 and at most 1, got 0"):
        summary(runs, {}, target=0)


# -- over tasks -------------------------------------------------------------------------------------------------------


def test_aggregates_over_tasks_of_a_known_duel():
    ends = {
        "eggroll": {TASKS[0]: (0.5, 0.6, 0.7), TASKS[1]: (0.9, 0.9, 0.9)},
        "dr_grpo": {TASKS[0]: (0.4, 0.5, 0.6), TASKS[1]: (0.8, 0.9, 1.0)},
    }
    runs = [
        run(task, name, seed, [0.2, end])
        for name, tasks in ends.items()
        for task, row in tasks.items()
        for seed, end in enumerate(row, start=1)
    ]
    runs += [run(TASKS[0], "frozen", 1, [0.2])]  # not on both tasks: no place over tasks
    found = summary(runs, {})["overall"]
    es, rl = found["learners"]
    # of 6 runs one at each end goes: (0.6 + 0.7 + 0.9 + 0.9) / 4; (0.5 + 0.6 + 0.8 + 0.9) / 4
    assert (es["iqm"], rl["iqm"]) == (pytest.approx(0.775), pytest.approx(0.7))
    assert es["optimality_gap"]["mean"] == pytest.approx(1 - 0.75)
    (pair,) = found["pairs"]
    # first task: of 9 pairs 6 are won and 2 tied: 7 / 9; second: 3 won, 3 tied: 4.5 / 9
    assert pair["probability_of_improvement"]["mean"] == pytest.approx((7 / 9 + 4.5 / 9) / 2)
    assert pair["probability_of_improvement"]["low"] < 0.5 < pair["probability_of_improvement"]["high"]
    # by seed, mean of both tasks: (0.1 + 0.1) / 2, (0.1 + 0) / 2, (0.1 - 0.1) / 2
    assert pair["difference"]["mean"] == pytest.approx(0.05)
    shares = dict(zip(found["taus"], [one["share"] for one in es["profile"]], strict=True))
    assert (shares[0.0], shares[0.64], shares[0.9]) == (1.0, pytest.approx(4 / 6), 0.0)


def test_rewards_of_another_range_come_to_one_scale():
    runs = [run(TASKS[0], "eggroll", seed, [0.0, 0.5], task_info={"reward_range": [-1.0, 1.0]}) for seed in (1, 2, 3)]
    (es,) = summary(runs, {})["overall"]["learners"]
    assert es["iqm"] == pytest.approx(0.75)


# -- beyond the reward ------------------------------------------------------------------------------------------------


def test_what_a_run_changed_beside_its_reward():
    runs = [
        run(TASKS[0], "eggroll", seed, [0.25, 0.5], beyond=changed(seed, retained=0.4 - 0.1 * seed))
        for seed in (1, 2, 3)
    ]
    (side,) = summary(runs, {})["tasks"][0]["learners"]
    found = side["beyond"]
    assert found["kl_base"]["mean"] == pytest.approx(0.02)
    assert found["weight_change"]["mean"] == pytest.approx(0.2)
    assert found["layers"] == {"layers.0": pytest.approx(0.4)}
    assert found["retention"]["eggym/tiny-orders-v0"]["change"]["mean"] == pytest.approx(-0.3)  # 0.5 to 0.2 on average
    # on its own items 0.25 to 0.75, on held-out ones 0.25 to 0.5: the gap goes from 0 to 0.25
    assert found["train_gap"]["start"]["mean"] == 0 and found["train_gap"]["end"]["mean"] == pytest.approx(0.25)
    assert [found["pass_at"][k]["end"]["mean"] for k in ("1", "8", "64")] == pytest.approx([0.5, 0.7, 0.9])
    assert list(found["pass_at"]) == ["1", "8", "64"]  # as numbers
    assert found["distinct"]["change"]["mean"] == pytest.approx(-0.3)
    assert found["spread"] == 0


def test_a_baseline_that_answers_in_its_own_way_has_no_gap_to_training_items():
    still = {**changed(1, retained=0.4), "weight_change": {"all": 0.0}}
    gaps = [
        summary([run(TASKS[0], name, 1, [0.25, 0.5], kind, beyond=still)], {})["tasks"][0]["learners"][0]["beyond"][
            "train_gap"
        ]
        for name, kind in (("eggroll", "es"), ("best-of-n", "baseline"))
    ]
    assert gaps[0] is not None and gaps[1] is None


def test_numbers_that_leave_out_what_a_baseline_found_are_noted():
    still = {**changed(1), "weight_change": {"all": 0.0}}
    kinds = {"eggroll": "es", "best-prompt": "baseline", "sft": "baseline", "best-of-n": "baseline"}
    those = {"eggroll": still, "best-prompt": still, "sft": changed(1), "best-of-n": {**still, "many": None}}
    runs = [run(TASKS[0], name, 1, [0.25, 0.5], kinds[name], beyond=those[name]) for name in kinds]
    found = note_on_many(summary(runs, {})["tasks"])
    assert found == "best-prompt: measured on the model itself, without the prompt or choice found."
    assert note_on_many(summary([runs[0], *runs[2:]], {})["tasks"]) == ""


def test_what_was_not_asked_for_is_none_and_not_zero(duel):
    found = summary(*duel)["tasks"][0]["learners"][0]["beyond"]
    assert [found[name] for name in ("kl_base", "weight_change", "train", "train_gap", "distinct")] == [None] * 5
    assert (found["pass_at"], found["retention"], found["layers"]) == ({}, {}, {})
    assert found["spread"] == pytest.approx(0.02, abs=0.001)  # 0.72, 0.70, 0.74 in 40ths


def test_the_chosen_checkpoint_is_what_counts():
    runs = [run(TASKS[0], "eggroll", seed, [0.2, 0.9, 0.4], chosen=1) for seed in (1, 2, 3)]
    (side,) = summary(runs, {})["tasks"][0]["learners"]
    assert (side["end"]["greedy"]["mean"], side["chosen_step"]) == (pytest.approx(0.9), 1)


def test_how_options_were_chosen_is_told_once_for_each_learner():
    runs = [run(TASKS[0], "eggroll", seed, [0.2, 0.9], tuning=TUNING) for seed in (1, 2, 3)]
    runs += [run(TASKS[1], "eggroll", seed, [0.2, 0.9], tuning=TUNING) for seed in (1, 2, 3)]
    (told,) = summary(runs, {})["tuning"]
    assert (told["learner"], told["chosen"], len(told["trials"])) == ("eggroll", 1, 2)


def test_the_time_of_a_run_is_told_by_phase():
    one = run(TASKS[0], "eggroll", 1, [0.2, 0.9])
    timed = measurement(one).model_copy(update={"phases": {"rollout": 9.0, "tell": 2.0}, "sandbox_s": 1.5})
    (side,) = summary([one], {one.id: timed})["tasks"][0]["learners"]
    assert (side["phases"], side["sandbox_s"], side["wall_s"]) == ({"rollout": 9.0, "tell": 2.0}, 1.5, 20.0)
    (side,) = summary([one], {})["tasks"][0]["learners"]
    assert (side["phases"], side["sandbox_s"], side["cpu_s"]) == ({}, None, None)
