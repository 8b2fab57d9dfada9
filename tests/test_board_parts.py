"""The parts of a board's pages, worked by hand: ranks, bars, curves that are drawn, pairs, strips, replies, names."""

import re
from types import SimpleNamespace

import pytest

from eggym.leaderboards.board_curves import drawn
from eggym.leaderboards.board_table import area, bar, marks, mean_of, ranks
from eggym.leaderboards.head_to_head import matrix
from eggym.leaderboards.heat_strip import level
from eggym.leaderboards.row_episodes import choose
from eggym.leaderboards.shown import page_names

MINUS = "\N{MINUS SIGN}"


def test_a_rank_is_a_number_or_a_range():
    assert [ranks(found) for found in ([1, 1], [2, 5], None)] == ["1", "2\N{EN DASH}5", "\N{EN DASH}"]


def test_a_bar_is_scaled_to_its_column():
    score = {"mean": 0.5, "low": 0.25, "high": 0.75}
    found = bar(score, (0.0, 1.0), "es0")
    assert 'cx="70.0"' in found and 'd="M37.5 7H102.5"' in found and "1v12" in found  # 140 wide, 5 free at each end
    assert 'cx="135.0"' in bar({**score, "low": None}, (0.25, 0.5), "es0")
    assert 'class="ci"' not in bar({**score, "low": None}, (0.25, 0.5), "es0")
    assert "1v12" not in bar(score, (0.25, 0.75), "es0")  # the floor lies outside
    assert bar({"mean": None, "low": None, "high": None}, (0.0, 1.0), "es0") == ""
    assert "nan" not in bar({"mean": 0.5, "low": 0.5, "high": 0.5}, (0.5, 0.5), "es0")


def test_marks_say_what_a_number_does_not():
    row = {"by": ["A", "B"], "own_settings": ["sigma"], "changed_code": True, "registered": False}
    assert marks(row) == [
        "by A, B", "own settings: sigma", "changed code", "not registered: its code is not known here",
    ]  # fmt: skip
    assert marks({"by": [], "own_settings": [], "changed_code": False, "registered": True}) == []


def test_areas_and_costs_are_means_over_tasks():
    numbers = [
        {"areas": {"flops": {"mean": mean}}, "spent": {"flops": spent}} for mean, spent in ((0.6, 10), (1.5, 30))
    ]
    row = {"tasks": {name: {"numbers": one} for name, one in zip("ab", numbers, strict=True)}}
    tasks = [{"task": "a", "floor": 0.2, "reward_range": [0, 1]}, {"task": "b", "floor": 1.0, "reward_range": [0, 2]}]
    shown = SimpleNamespace(found={"tasks": tasks})
    assert area(shown, row, "flops") == pytest.approx((0.5 + 0.5) / 2)
    assert mean_of(row, "spent", "flops") == 20 and mean_of(row, "cpu_s") is None
    numbers[1]["areas"]["flops"]["mean"] = None
    assert area(shown, row, "flops") is None


def listed(kinds):
    order = {"es": 0, "rl": 0, "baseline": 1, "control": 1}
    rows = [{"learner": name, "kind": kind, "rank": None if order[kind] else [1, 1]} for name, kind in kinds.items()]
    return sorted(rows, key=lambda row: row["rank"] is None)


def test_of_many_rows_the_first_the_best_baseline_and_the_hardest_control_are_drawn():
    few = listed({f"es{place}": "es" for place in range(10)})
    assert drawn(few) == [row["learner"] for row in few]
    many = listed({
        **{f"es{place}": "es" for place in range(9)},
        "best-of-n": "baseline", "sft": "baseline", "random:b": "control", "random:a": "control", "frozen": "control",
    })  # fmt: skip
    assert drawn(many) == ["es0", "es1", "es2", "es3", "es4", "best-of-n", "random:b", "frozen"]
    assert drawn([row for row in many if row["kind"] != "baseline"])[-3:] == ["es5", "random:b", "frozen"]


def pair(a, b, ahead, difference):
    return {
        "a": a, "b": b, "ahead": ahead, "difference": difference, "low": difference - 0.1, "high": difference + 0.2,
        "p": 0.01, "p_adjusted": 0.02, "n": 3, "probability_of_improvement": {"mean": 0.9, "low": 0.6, "high": 1.0},
    }  # fmt: skip


def table_of(labels, pairs):
    rows = [
        {"learner": label, "kind": "es" if place % 2 == 0 else "rl", "rank": [1, 2]}
        for place, label in enumerate(labels)
    ]
    return SimpleNamespace(rows=rows, pages={label: label for label in labels}, found={"pairs": pairs})


def test_a_pair_is_read_from_both_sides():
    found = matrix(table_of(["x", "y"], [pair("x", "y", "x", 0.3)]))
    (_, (none, above)), (_, (below, _)) = found["rows"]
    assert none["mark"] == "" and found["resolved"] == found["pairs"] == 1
    assert (above["mark"], above["text"], above["interval"], above["css"]) == ("▲", "+0.30", "+0.20 to +0.50", "es0")
    assert (below["mark"], below["text"], below["interval"], below["css"]) == (
        "▼",
        f"{MINUS}0.30",
        f"{MINUS}0.50 to {MINUS}0.20",
        "es0",
    )
    assert above["title"] == "p 0.020; P(x > y) 0.90" and below["title"] == "p 0.020; P(y > x) 0.10"
    (open_,) = [
        cell for _, cells in matrix(table_of(["x", "y"], [pair("x", "y", None, 0.0)]))["rows"][:1] for cell in cells[1:]
    ]
    assert (open_["mark"], open_["css"]) == ("=", "mute")


def test_a_matrix_has_at_most_thirty_rows():
    labels = [f"l{place:02d}" for place in range(33)]
    pairs = [pair(a, b, None, 0.0) for place, a in enumerate(labels) for b in labels[place + 1 :]]
    found = matrix(table_of(labels, pairs))
    assert len(found["rows"]) == 30 and found["left_out"] == 3 and found["pairs"] == 30 * 29 // 2
    assert found["listed"] == [] and matrix(table_of(["x"], [])) is None


@pytest.mark.parametrize(
    ("reward", "shade"), [(None, None), (0.0, 0), (1e-12, 0), (0.01, 1), (0.5, 2), (0.99, 3), (1.0, 4), (2.0, 4)]
)
def test_a_square_is_as_full_as_its_reward(reward, shade):
    assert level(reward, 0.0, 1.0) == shade
    assert level(None if reward is None else 2 * reward - 1, -1.0, 1.0) == shade


def said(*rewards, state=None):
    return [
        {"item": place, "reward": one, "state": state or ("correct" if one == 1 else "wrong")}
        for place, one in enumerate(rewards)
    ]


def test_best_middle_and_worst_are_shown_then_what_failed():
    rows = said(0.5, 1.0, 0.0, 1.0, 0.25)
    assert [(why, row["item"]) for why, row in choose(rows, 4)] == [
        ("best", 1),
        ("middle", 0),
        ("worst", 2),
        ("wrong", 4),
    ]
    rows[4] |= {"reward": None, "state": "error"}
    rows[0]["state"] = "unparsed"
    found = [(why, row["item"]) for why, row in choose(rows, 9)]
    assert found == [("best", 1), ("middle", 0), ("worst", 4), ("wrong", 2)]  # what could not be judged is worst
    assert [row["item"] for _, row in choose(said(1.0), 5)] == [0]
    assert len(choose(said(*[0.0] * 50), 6)) == 6


def test_states_take_turns_among_the_failures():
    rows = [{"item": place, "reward": 0.0, "state": "wrong"} for place in range(5)]
    rows += [{"item": 5, "reward": 0.0, "state": "timeout"}, {"item": 6, "reward": 0.0, "state": "unparsed"}]
    rows.append({"item": 7, "reward": 0.0, "state": "unparsed"})
    assert [row["item"] for _, row in choose(rows, 7)] == [0, 4, 7, 6, 5, 1, 2]
    assert [row["item"] for _, row in choose(rows[::-1], 6)] == [7, 3, 0, 5, 4, 6]


def test_no_two_rows_share_a_page_on_any_file_system():
    rows = [("", "a:b"), ("", "a/b"), ("", "A-B"), ("m", "c"), ("n", "c"), ("", "d"), ("", "index"), ("", "///")]
    found = page_names(rows)
    assert len({name.lower() for name in found.values()}) == len(rows)
    assert found["", "d"] == "d" and found["", "///"] == "x" and found["", "index"] != "index"
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]+", name) for name in found.values())
    assert page_names(rows[::-1]) == found
