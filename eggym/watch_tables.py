"""Runs for the terminal: one in full, many as a table, and one line about each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eggym.columns import names_and, number, print_whole
from eggym.glimpse import Glimpse, State, age
from eggym.pace import limit_of, spent_on
from eggym.scan import Duel
from eggym.wording import amount, bar, brief, duration, parted, printable, short, sparkline

STYLES = {
    State.RUNNING: "cyan",
    State.FINISHED: "green",
    State.STOPPED: "yellow",
    State.DIVERGED: "yellow",
    State.DAMAGED: "bold red",
}
_FAILED = ("timeout", "error", "refused")  # verdicts of which a rate is told even if it is zero; refused: if it is not
_EVENTS = 3  # replaced workers that are told of one by one
_WIDTHS = (40, 28, 20, 14)  # of names, as wide as the screen allows


def print_run(console: Console, seen: Glimpse) -> None:
    """Print all that is known of one run."""
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, text in facts(seen):
            table.add_row(name, text)
        console.print(table)
    else:
        for name, text in facts(seen):
            console.print(f"{name:<12}{text}", highlight=False, markup=False, soft_wrap=True)
    if seen.points:
        console.print()
        print_points(console, seen)


def facts(seen: Glimpse) -> list[tuple[str, Text]]:
    """Return what is told of a run, line by line."""
    config = seen.config
    who = [short(seen.task), seen.learner, f"seed {config['seed']}", str(config["model"])] if config else []
    lines = [
        ("run", " ".join([*who, f"in {seen.folder}"])),
        ("state", _state(seen)),
        ("to do", way_on(seen)),
        ("budget", _budget(seen)),
        ("pace", _pace(seen)),
        ("reward", _reward(seen.rewards)),
        ("graded", _replies(seen.states, seen)),
        ("checkpoint", _checkpoint(seen)),
        ("workers", _workers(seen)),
    ]
    return [
        (name, Text(printable(text), STYLES.get(seen.state, "") if name == "state" else ""))
        for name, text in lines
        if text
    ]


def way_on(seen: Glimpse) -> str:
    """Return what goes on with a run that was stopped; empty: nothing needs to."""
    if seen.state not in (State.STOPPED, State.UNBEGUN):
        return ""
    command = seen.driver.shell if seen.driver else ""
    what = "continues" if seen.state is State.STOPPED else "begins"
    return f"{command}  (the same command {what} it)" if command else f"the command that it was given {what} it"


def print_points(console: Console, seen: Glimpse) -> None:
    """Print the evaluations of a run, the last ten of them."""
    table = names_and("budget", "greedy", "sampled", names=("evaluated at step",))
    for point in seen.points[-10:]:
        table.add_row(str(point["step"]), f"{point['fraction']:.0%}", _score(point["greedy"]), _score(point["sampled"]))
    print_whole(console, table)
    left = len(seen.points) - 10
    more = f" {left} earlier ones are not shown." if left > 0 else ""
    counts = "" if seen.chosen is None else f" Step {seen.chosen} counts."
    line = f"Mean reward on held-out items ± standard error; {seen.primary} decides.{counts}{more}"
    console.print(line, style="dim", highlight=False, soft_wrap=True)


def print_runs(console: Console, root: Path, found: Sequence[Glimpse], named: bool = True) -> None:
    """Print a row for each run; ``named``: with its folder, where task, learner and seed do not tell them apart."""
    for width in _WIDTHS:
        table = _runs(root, found, named, width if console.is_terminal else 1000)
        if console.measure(table, options=console.options.update(max_width=1 << 16)).maximum <= console.width:
            break
    print_whole(console, table)
    for seen in found:
        if seen.why:
            line = printable(f"{_name(root, seen.folder)}: {seen.why}")
            console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


def print_below(console: Console, folder: Path, found: Sequence[Glimpse], n_trials_done: int) -> None:
    """Print the runs of a folder, such as a duel's, and how far they are together."""
    duel = Duel(folder)
    keys = Counter((seen.task, seen.learner, seen.config.get("seed")) for seen in found)
    print_runs(console, folder, found, named=max(keys.values()) > 1)
    console.print(tally(found), highlight=False, soft_wrap=True)
    if duel.n_trials:
        line = f"tuning: {n_trials_done} of {duel.n_trials} trials finished"
        console.print(line, highlight=False, soft_wrap=True)
    unfinished = any(seen.state in (State.STOPPED, State.UNBEGUN) for seen in found)
    if unfinished and duel.driver and not duel.alive and duel.driver.shell:
        line = f"the same command continues: {printable(duel.driver.shell)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def tally(found: Sequence[Glimpse]) -> str:
    """Return how many runs are in which state."""
    counts = Counter(seen.state for seen in found)
    return f"{len(found)} runs: " + ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def line_of(seen: Glimpse) -> str:
    """Return one line about a run: what is followed where there is no terminal."""
    left = seen.pace.left_s if seen.pace else None
    words = [
        f"{short(seen.task)} {seen.learner} seed {seen.config['seed']}" if seen.config else str(seen.folder),
        str(seen.state),
        f"step {seen.step}",
        f"{_share(seen.fraction)} of the budget",
        f"held-out reward {number(seen.score)}",
        f"about {duration(left)} left" if left is not None else "",
    ]
    return printable(", ".join(word for word in words if word))


def _runs(root: Path, found: Sequence[Glimpse], named: bool, width: int) -> Table:
    names = ("run", "task", "learner") if named else ("task", "learner")
    table = names_and("seed", "state", "step", "budget", "score", "age", names=names)
    for seen in found:
        shown = (_name(root, seen.folder), short(seen.task), seen.learner)
        table.add_row(
            *(Text(parted(printable(name), width)) for name in shown[0 if named else 1 :]),
            str(seen.config.get("seed", "-")),
            Text(str(seen.state), STYLES.get(seen.state, "")),
            str(seen.step),
            _share(seen.fraction),
            number(seen.score),
            brief(age(seen.last_at)),
        )
    return table


def _name(root: Path, folder: Path) -> str:
    return str(folder.relative_to(root)) if folder != root and folder.is_relative_to(root) else folder.name or "."


def _share(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.0%}"


def _state(seen: Glimpse) -> str:
    text = str(seen.state)
    if seen.state is State.RUNNING and seen.driver:
        since = duration(age(seen.driver.started) or 0.0)
        text += f", for {since}, by process {seen.driver.pid} on {seen.driver.host}"
    elif seen.state is State.FINISHED and seen.wall_s is not None:
        text += f" {duration(age(seen.last_at) or 0.0)} ago, after {duration(seen.wall_s)}"
    elif seen.state is State.STOPPED:
        text += f" {duration(age(seen.last_at) or 0.0)} ago"
    return f"{text}; {seen.why}" if seen.why else text


def _budget(seen: Glimpse) -> str:
    if seen.fraction is None:
        return f"step {seen.step}" if seen.config else ""
    found = limit_of(seen.config["budget"])
    spent = spent_on(found[0], seen.spent) if found and seen.spent else None
    of = f", {_count(spent)} of {_count(found[1])} {found[0]}" if found and spent is not None else ""
    return f"{bar(seen.fraction)} {seen.fraction:.0%} at step {seen.step}{of}"


def _pace(seen: Glimpse) -> str:
    if seen.state is not State.RUNNING:
        return ""
    last = age(seen.last_at)
    words = [f"last step {duration(last)} ago"] if last is not None and seen.step else ["no step yet"]
    if seen.pace:
        words += [f"{amount(seen.pace.steps_per_s)} steps/s, {amount(seen.pace.episodes_per_s)} episodes/s"]
        words += [f"about {duration(seen.pace.left_s)} left"] if seen.pace.left_s is not None else []
    return "; ".join(words)


def _reward(rewards: Sequence[float | None]) -> str:
    known = [reward for reward in rewards if reward is not None]
    if not known:
        return ""
    half = len(known) // 2
    if half < 2:
        return sparkline(known)
    now, before = sum(known[-half:]) / half, sum(known[-2 * half : -half]) / half
    return f"{sparkline(known)} in training; mean of the last {half} steps {now:.3f}, of the {half} before {before:.3f}"


def _replies(states: Mapping[str, int], seen: Glimpse) -> str:
    total = sum(states.values())
    if not total:
        return ""
    order = [*sorted(states, key=lambda name: -states[name]), *(name for name in _FAILED[:2] if name not in states)]
    told = ", ".join(f"{name} {_rate(states.get(name, 0), total)}" for name in order)
    upto = "" if seen.told_at in (None, seen.step) else f", up to step {seen.told_at}"
    return f"{told} of {_count(total)} replies{upto}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value < 1e6 else amount(value)


def _rate(count: int, total: int) -> str:
    share = 100 * count / total
    return "0 %" if not count else f"{share:.1f} %" if share >= 0.1 else "below 0.1 %"


def _checkpoint(seen: Glimpse) -> str:
    if seen.state not in (State.RUNNING, State.STOPPED):
        return ""
    if seen.told_at is None or seen.checkpoint_at is None:
        return "none yet" if seen.state is State.RUNNING else "none: it begins again"
    lost = seen.step - seen.told_at
    what = "step after it is" if lost == 1 else f"{lost} steps after it are"
    again = f"; the {what} made again" if lost > 0 and seen.state is State.STOPPED else ""
    return f"step {seen.told_at}, {duration(age(seen.checkpoint_at) or 0.0)} old{again}"


def _workers(seen: Glimpse) -> str:
    if not seen.workers:
        return ""
    events: Sequence[Mapping[str, Any]] = seen.worker_events
    told = [f"{one.get('worker')}: {one.get('why')}" for one in events[-_EVENTS:]]
    more = f" (the last {_EVENTS}: " if len(events) > _EVENTS else " ("
    return f"{seen.workers}, {len(events)} replaced" + (f"{more}{'; '.join(told)})" if told else "")


def _score(score: Mapping[str, Any]) -> str:
    if score["mean"] is None:
        return "-"
    return f"{score['mean']:.3f}" + ("" if score.get("se") is None else f" ±{score['se']:.3f}")
