"""Tables for the terminal: what the command prints at its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eggym.columns import broken, by_learner, interval, learner_cell, names_and, number, print_whole, task_cell
from eggym.wording import amount, notes_of, printable, short, size

_BEYOND = ("KL", "weights", "train-test", "distinct", "pass@1", "forgot most")  # pass@k stands before the last
_BEYOND_LEGEND = (
    "KL to the base per token; relative change of the weights; reward on training minus held-out items; distinct "
    "answers; pass@k, most: at the largest k; the largest loss on another task. Before→after."
)


def print_summary(console: Console, summary: Mapping[str, Any], on_the_way: bool = False) -> None:
    """Print every learner of every task, the paired differences and the verdicts.

    ``on_the_way``: the areas and the times to the target too.
    """
    primary = summary["primary"]
    other, label = ("sampled", "T=1") if primary == "greedy" else ("greedy", "greedy")
    table = by_learner("start", "end", label, "gain", "episodes", "tokens", "FLOPs", "CPU s", "memory")
    for task in summary["tasks"]:
        table.add_row(task_cell(task["task"]))
        for one in task["learners"]:
            table.add_row(*_row(one, primary, other))
    print_whole(console, table)
    console.print(_legend(summary, label), style="dim", highlight=False)
    for line in notes_of(summary):
        console.print(printable(line), style="dim", highlight=False, markup=False)
    _print_truths(console, summary)
    if on_the_way:
        _print_way(console, summary)
    _print_tuning(console, summary["tuned"])
    _print_beyond(console, summary)
    _print_overall(console, summary)
    for verdict in summary["verdicts"]:
        console.print(_verdict(verdict), soft_wrap=True, highlight=False)


def _print_way(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the height of every curve, and when it came to the target, on the axis of the budget."""
    moving = [one for task in summary["tasks"] for one in task["learners"] if one["learner"] != "frozen"]
    axis = summary["budget"]["axis"]
    axis = axis if all(axis in one["areas"] for one in moving) else "flops"  # seconds that were not kept
    unit = "FLOPs" if axis == "flops" else axis
    table = by_learner("target", "arrived", f"{unit} to it", "area")
    for task in summary["tasks"]:
        table.add_row(task_cell(task["task"]), number(task["target"]))
        for one in task["learners"]:
            if one["learner"] != "frozen":
                table.add_row(learner_cell(one), *_way(one, axis))
    print_whole(console, table)
    console.print(
        f"Target: {summary['target']:g} of the way from the frozen base to the largest reward, at an evaluation; "
        "arrived: how many seeds; then their median, and never where half or more did not arrive. Area: mean height "
        "of the curve up to the place that all of ES and RL reached; - where no evaluation but the first lies before "
        "it.\n",
        style="dim",
        highlight=False,
    )


def _way(one: Mapping[str, Any], axis: str) -> list[str]:
    times, area = one["time_to_target"], number(one["areas"][axis]["mean"])
    if times is None:
        return ["", "-", "-", area]
    found = times[axis]
    median = "never" if found["median"] is None else amount(found["median"])
    return ["", f"{found['reached']} of {found['n']}", median, area]


def _print_truths(console: Console, summary: Mapping[str, Any]) -> None:
    """Print true rewards and gaps, if a task tells them."""
    mode = summary["primary"]
    table = by_learner("reward", "at end", "true", "at end", "gap", "at end", "change")
    for task in summary["tasks"]:
        told = [one for one in task["learners"] if "gap" in one]
        if told:
            table.add_row(task_cell(task["task"]))
        for one in told:
            table.add_row(*_truth_row(one, mode))
    if table.row_count:
        print_whole(console, table)
        console.print("The reward is a proxy; gap: reward minus true reward, with its change.\n", style="dim")


def _print_tuning(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print how many trials each learner had, what they cost and what was chosen, if anything was tuned."""
    if not rows:
        return
    table = by_learner("trials", "FLOPs", "validation")
    table.add_column("chosen")
    for task in dict.fromkeys(row["task"] for row in rows):
        table.add_row(Text("not tuned" if task is None else broken(f"tuned on {short(task)}"), "bold"))
        for row in (one for one in rows if one["task"] == task):
            chosen = ", ".join(f"{name}={value}" for name, value in row["options"].items())
            score = "" if task is None else number(row["score"])
            table.add_row(
                Text(broken(" " + row["learner"])), str(row["trials"]), amount(row["flops"]), score, Text(chosen)
            )
    console.print(table)
    console.print("Trials before the runs, judged on validation items; on top of each learner's budget.\n", style="dim")


def _truth_row(one: Mapping[str, Any], mode: str) -> list[Text | str]:
    places = [kind[when][mode]["mean"] for kind in (one, one["true"], one["gap"]) for when in ("start", "end")]
    change = "" if one["learner"] == "frozen" else interval(one["gap"]["change"][mode], "mean")
    return [learner_cell(one), *map(number, places), change]


def _print_beyond(console: Console, summary: Mapping[str, Any]) -> None:
    """Print what the runs changed beside their reward, if it was asked for."""
    from eggym.beyond_summary import known, note_on_many  # with numpy, which a listing does without

    told = [
        (task["task"], [one for one in task["learners"] if known(one["beyond"]) and one["learner"] != "frozen"])
        for task in summary["tasks"]
    ]
    most = {_most(one["beyond"]) for _, learners in told for one in learners} - {None}
    cells = {id(one): _beyond(one["beyond"], len(most) == 1) for _, learners in told for one in learners}
    names = (*_BEYOND[:-1], f"pass@{most.pop()}" if len(most) == 1 else "pass@most", _BEYOND[-1])
    kept = [place for place in range(len(names)) if any(row[place] != "-" for row in cells.values())]
    table = by_learner(*(names[place] for place in kept))
    for task, learners in told:
        if learners:
            table.add_row(task_cell(task))
        for one in learners:
            table.add_row(learner_cell(one), *(cells[id(one)][place] for place in kept))
    if table.row_count:
        print_whole(console, table)
        for line in filter(None, (_BEYOND_LEGEND, note_on_many(summary["tasks"]))):
            console.print(line, style="dim", highlight=False)
        console.print()


def _beyond(found: Mapping[str, Any], one_k: bool) -> list[str]:
    """Return the cells of a learner, a dash for what is not known; ``one_k``: the heading has the largest k."""
    k = _most(found)
    changes = [one["change"]["mean"] for one in found["retention"].values() if one is not None]
    least = min((value for value in changes if value is not None), default=None)
    return [
        *("-" if found[name] is None else f"{found[name]['mean']:.3g}" for name in ("kl_base", "weight_change")),
        *map(_arrow, (found["train_gap"], found["distinct"])),
        _arrow(found["pass_at"].get("1")),
        "-" if k is None else f"{_arrow(found['pass_at'][k])}{'' if one_k else f' @{k}'}",
        "-" if least is None else f"{least:+z.2f}",
    ]


def _most(found: Mapping[str, Any]) -> str | None:
    """Return the largest k of pass@k, where there is one beside 1."""
    ks = list(found["pass_at"])
    return ks[-1] if len(ks) > 1 else None


def _arrow(found: Mapping[str, Any] | None) -> str:
    return "-" if found is None else f"{number(found['start']['mean'])}→{number(found['end']['mean'])}"


def _print_overall(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the aggregates over two or more tasks."""
    found = summary["overall"]
    if found["tasks"] < 2 or not found["learners"]:
        return
    table = by_learner("runs", "IQM", "optimality gap")
    for one in found["learners"]:
        gap = one["optimality_gap"]
        half = "" if gap["low"] is None else f" ±{(gap['high'] - gap['low']) / 2:.2f}"
        cells = (str(one["runs"]), number(one["iqm"]), f"{number(gap['mean'])}{half}")
        table.add_row(learner_cell(one), *cells)
    console.print(Text(f"over {found['tasks']} tasks", "bold"))
    print_whole(console, table)
    for pair in found["pairs"]:
        chance = pair["probability_of_improvement"]
        if chance["low"] is None:  # one or two runs of each give no chance
            continue
        sure = f", 95 % interval {chance['low']:.2f} to {chance['high']:.2f}"
        text = f"P({pair['es']} > {pair['rl']}) = {number(chance['mean'])}{sure}"
        console.print(text, style="dim", highlight=False)
    console.print()


def print_plan(console: Console, rows: Sequence[Mapping[str, Any]], n_workers: int) -> None:
    """Print the forecast of a dry run."""
    numbers = ("runs", "steps", "episodes", "tokens", "FLOPs", "time")
    table = names_and(*numbers, names=("task", "learner"))
    for row in rows:
        counts = ["-" if row[name] is None else amount(row[name]) for name in ("steps", "episodes", "tokens", "flops")]
        time = f"{row['total_seconds']:.0f} s"
        table.add_row(Text(broken(short(row["task"]))), Text(broken(row["learner"])), str(row["runs"]), *counts, time)
    print_whole(console, table)
    seconds = sum(row["runs"] * row["total_seconds"] for row in rows)
    disk = sum(row["runs"] * row["disk_bytes"] for row in rows)
    memory = max(row["memory_bytes"] for row in rows)
    processes = "1 process" if n_workers == 1 else f"{n_workers} processes"
    console.print(
        f"Each run; all runs together about {seconds:.0f} CPU-seconds, {seconds / n_workers:.0f} s in {processes}, "
        f"{size(disk)} on disk, at most {size(memory)} of memory for a process, in which up to "
        f"{_rows(rows)} rows decode together. Estimated from a short probe of the untrained policy; nothing was "
        "written.",
        highlight=False,
    )


def _rows(rows: Sequence[Mapping[str, Any]]) -> str:
    counts = [row["rows"] for row in rows]
    return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def print_rows(console: Console, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table."""
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=name == names[0])
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _row(one: Mapping[str, Any], primary: str, other: str) -> list[Text | str]:
    spent = one["spent"]
    return [
        learner_cell(one),
        number(one["start"][primary]["mean"]),
        number(one["end"][primary]["mean"]),
        number(one["end"][other]["mean"]),
        "" if one["learner"] == "frozen" else interval(one["gain"][primary], "difference"),
        *(amount(spent[name]) for name in ("episodes", "tokens", "flops")),
        "-" if one["cpu_s"] is None else amount(round(one["cpu_s"])),
        size(one["peak_rss_bytes"]).replace(" ", "").removesuffix("iB"),
    ]


def _verdict(verdict: Mapping[str, Any]) -> Text:
    style = {"ES ahead": "bold cyan", "RL ahead": "bold yellow"}.get(verdict["verdict"], "bold")
    text = Text(f"{short(verdict['task'])}: ")
    text.append(verdict["verdict"], style)
    return text.append(verdict["sentence"].removeprefix(verdict["verdict"]))


def _legend(summary: Mapping[str, Any], label: str) -> str:
    over = {one["gain_over"] for task in summary["tasks"] for one in task["learners"]}
    base = "the frozen base" if over == {"frozen"} else "the frozen base, or each run's own start where there is none"
    n = len(summary["seeds"])
    interval = "with a 95 % t interval" if n > 2 else "without an interval, which needs 3 seeds"
    main = "greedy reward" if summary["primary"] == "greedy" else "reward at temperature 1"
    end = "reward at temperature 1 at the end" if label == "T=1" else "greedy reward at the end"
    return (
        f"Means over {n} seed{'s' * (n > 1)} on held-out items. start, end: {main}; {label}: {end}; "
        f"gain: over {base}, {interval}.\n"
    )
