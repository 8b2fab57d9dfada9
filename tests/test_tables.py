"""Names in the tables of the terminal: long ones break where they have parts."""

import pytest
from made_up import TASKS, a_duel, changed, run
from rich.console import Console

from eggym.columns import interval, number
from eggym.outcome import summary
from eggym.tables import print_plan, print_summary

ROW = {"runs": 1, "steps": 5, "episodes": 10, "tokens": 10, "flops": 10, "total_seconds": 1.0, "disk_bytes": 1,
       "memory_bytes": 1, "rows": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "learner", "words"),
    [
        ("eggym/exam-v0@mode=needle,turns=16", "eggroll", ["exam@", "mode=needle,", "turns=16", "eggroll"]),
        ("eggym/tiny-programs-v0", "random-reward:eggroll", ["tiny-programs", "random-reward:", "eggroll"]),
    ],
)
def test_a_long_name_is_not_broken_within_a_word(task, learner, words):
    console = Console(width=80, record=True, file=None)
    print_plan(console, [{"task": task, "learner": learner, **ROW}], 1)
    shown = console.export_text().split()
    assert set(words) <= set(shown)


def shown(found, width=100):
    console = Console(width=width, record=True, file=None)
    print_summary(console, found)
    return console.export_text()


def test_the_summary_of_a_duel_fits_100_columns_and_tells_all_tasks():
    text = shown(summary(*a_duel()))
    tables = text[: text.index("tiny-arithmetic: ES ahead")]
    assert max(map(len, tables.splitlines())) <= 100
    assert "over 3 tasks" in text and "optimality gap" in text and "P(eggroll > dr_grpo) = 0." in text
    assert "adjusted for 3 comparisons (Holm)" in text
    assert "KL" not in text  # nothing of that was asked for


def test_what_changed_beside_the_reward_is_one_row_a_learner():
    runs = [run(TASKS[0], "eggroll", seed, [0.25, 0.5], beyond=changed(seed, 0.3)) for seed in (1, 2, 3)]
    text = shown(summary(runs, {}))
    assert max(map(len, text.splitlines())) <= 100
    row = next(line for line in text.splitlines() if "0.25→0.50" in line)
    heading = next(line for line in text.splitlines() if "KL" in line)
    assert heading.split() == ["KL", "weights", "train-test", "distinct", "pass@1", "pass@64", "forgot", "most"]
    # KL 0.02, weights 0.2, gap 0 to 0.25, distinct 0.8 to 0.5, pass@1, pass@64, other task 0.5 to 0.3
    assert row.split() == [
        "eggroll", "0.02", "0.2", "0.00→0.25", "0.80→0.50", "0.25→0.50", "0.75→0.90", "-0.20",
    ]  # fmt: skip
    assert "over 1 tasks" not in text and "model itself" not in text
    still = {**changed(1), "weight_change": {"all": 0.0}}
    text = shown(summary([run(TASKS[0], "best-of-n", 1, [0.25, 0.5], "baseline", beyond=still)], {}))
    assert "\nbest-of-n: measured on the model itself, without the prompt or choice found." in text


def test_the_table_beside_the_reward_has_no_empty_column_and_names_every_k():
    runs = [run(TASKS[0], "eggroll", seed, [0.25, 0.5], beyond={**changed(seed, 0.3), "retention": {}, "kl_base": None})
            for seed in (1, 2, 3)]  # fmt: skip
    fewer = changed(1, 0.3)
    for score in fewer["many"].values():
        del score["pass_at"]["64"]
    runs += [run(TASKS[1], "eggroll", 1, [0.25, 0.5], beyond=fewer)]
    rows = [line.split() for line in shown(summary(runs, {})).splitlines()]
    assert [cell for row in rows for cell in row if cell.startswith("@")] == ["@64", "@8"]
    heading = next(row for row in rows if "distinct" in row)
    assert heading == ["KL", "weights", "train-test", "distinct", "pass@1", "pass@most", "forgot", "most"]
    rows = [line.split() for line in shown(summary(runs[:3], {})).splitlines()]
    assert ["weights", "train-test", "distinct", "pass@1", "pass@64"] in rows


@pytest.mark.parametrize("terminal", [True, False])
def test_no_column_is_lost_where_there_is_little_room(terminal):
    runs = [run(TASKS[0], name, seed, [0.25, 0.5], beyond=changed(seed, 0.3))
            for name in ("eggroll", "dr_grpo") for seed in (1, 2, 3)]  # fmt: skip
    console = Console(width=50, record=True, file=None, force_terminal=terminal)
    print_summary(console, summary(runs, {}))
    lines = console.export_text().splitlines()
    words = " ".join(lines).split()
    for name in ("start", "end", "gain", "memory", "weights", "distinct", "pass@1", "pass@64", "forgot", "most"):
        assert name in words
    rows = [line for line in lines if line.startswith(" eggroll")]
    assert "-0.20" in " ".join(rows) and "…" not in " ".join(lines)
    # a terminal gets the rest below, what is no terminal one line a learner in each of the tables
    assert (len(rows) > 3) is terminal and (max(map(len, rows)) <= 50) is terminal


def test_the_way_to_a_target_is_printed_where_it_is_asked_for():
    ends = {"eggroll": (0.7, 0.7, 0.4), "dr_grpo": (0.4, 0.7, 0.4), "frozen": (0.3, 0.3, 0.3)}
    runs = [run(TASKS[0], name, seed, [0.3, one, one] if name != "frozen" else [0.3])
            for name, those in ends.items() for seed, one in enumerate(those)]  # fmt: skip
    console = Console(width=100, record=True, file=None)
    print_summary(console, summary(runs, {}, target=0.5), on_the_way=True)
    rows = [line.split() for line in console.export_text().splitlines()]
    assert ["target", "arrived", "FLOPs", "to", "it", "area"] in rows and ["tiny-arithmetic", "0.65"] in rows
    assert ["eggroll", "2", "of", "3", "1.5e11", "0.45"] in rows  # half of 3e11; (0.3 + 0.6) / 2
    assert ["dr_grpo", "1", "of", "3", "never", "0.40"] in rows
    assert "target" not in shown(summary(runs, {}))


def test_nothing_is_foretold_from_two_seeds_and_zero_has_no_sign():
    found = summary(*a_duel(seeds=2))
    assert {pair["seeds_needed"] for task in found["tasks"] for pair in task["comparisons"]} == {None}
    assert "P(eggroll" not in shown(found)
    assert (number(-0.001), interval({"d": -0.001, "low": None}, "d")) == ("0.00", "+0.00")


def test_a_task_on_which_nobody_came_to_the_floor_is_named():
    runs = [run(TASKS[0], name, 1, [0.0, 0.2]) for name in ("eggroll", "dr_grpo")]
    at = {floor: [one.model_copy(update={"task": one.task.model_copy(update={"floor": floor})}) for one in runs]
          for floor in (0.2, 0.3)}  # fmt: skip
    assert "floor" not in shown(summary(at[0.2], {}))
    assert "tiny-arithmetic: nobody came to its floor, 0.3" in shown(summary(at[0.3], {}))
