"""Progress of a duel: a live table on a terminal, plain lines elsewhere. Goes to standard error."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from eggym.pool import Entry, Tried
from eggym.wording import bar, duration, printable, short, sparkline
from eggym.worker import Message

_STARTING = "starting the workers; trying every task and learner before anything is written ..."
_EVERY_S = 5.0  # between two lines on what was tried, where there is no terminal
_COLOURS = {"es": "cyan", "rl": "yellow", "baseline": "green", "control": "bright_black"}


@dataclass
class _Seed:
    """One run, as far as it got."""

    entry: Entry
    fraction: float = 0.0
    began: float | None = None
    rewards: list[float] = field(default_factory=list)  # training
    scores: list[float] = field(default_factory=list)  # evaluations, primary metric


class Progress:
    """Shows what a duel is doing. Use it as a context, and as the ``watch`` of the duel."""

    def __init__(self, n_workers: int, console: Console | None = None) -> None:
        """Prepare; nothing is shown before the context begins."""
        self._console = console or Console(stderr=True)
        self._n_workers = n_workers
        self._runs: dict[str, _Seed] = {}
        self._began: float | None = None  # of the first run: what came before says nothing about runs
        self._live = Live(console=self._console, refresh_per_second=4, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        """Start showing."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing; the live table goes."""
        self._live.stop()

    def __call__(self, what: str, entry: Entry, message: Message) -> None:
        """Take note of what happened."""
        run = self._runs.setdefault(str(entry.folder), _Seed(entry, 1.0 if entry.finished else 0.0))
        if what == "finished":
            run.fraction = 1.0
        elif what == "event":
            self._note(run, message)
        if not self._console.is_terminal or message.get("kind") == "notice":
            self._line(run, what, message)

    def _note(self, run: _Seed, message: Message) -> None:
        run.began = run.began or time.monotonic()
        self._began = self._began or run.began
        run.fraction = min(message["fraction"], 0.999)
        if message["reward"] is not None:
            (run.scores if message["kind"] == "point" else run.rewards).append(message["reward"])

    def _line(self, run: _Seed, what: str, message: Message) -> None:
        kind, words = message.get("kind"), ""
        if kind == "start":  # the first point may be minutes away
            words = "begins" if message["step"] == 0 else f"goes on at step {message['step']}"
        elif kind == "point":
            score = "-" if message["reward"] is None else f"{message['reward']:.3f}"
            words = f"{message['fraction']:4.0%} of the budget, step {message['step']}, held-out reward {score}"
        elif kind == "notice":
            words = message["note"]
        if words:
            name = f"{short(run.entry.task)} {run.entry.learner} {run.entry.name}"
            self._console.print(f"{name}: {words}; {self._left()}", highlight=False, soft_wrap=True)

    def _table(self) -> Group:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for name in ("task", "learner", "runs", "budget", "training reward", "held-out"):
            table.add_column(name, no_wrap=True)
        for (task, learner), runs in self._grouped().items():
            done = sum(run.fraction == 1.0 for run in runs)
            active = [run for run in runs if run.rewards or run.scores]
            latest = active[-1] if active else runs[0]
            colour = _COLOURS.get(runs[0].entry.kind, "white")
            scores = [run.scores[-1] for run in runs if run.scores]
            table.add_row(
                short(task),
                Text(learner, colour),
                f"{done}/{len(runs)}",
                Text(bar(sum(run.fraction for run in runs) / len(runs)), colour),
                Text(sparkline(latest.rewards), colour),
                f"{sum(scores) / len(scores):.2f}" if scores else "",
            )
        if not self._runs:
            return Group(Text(_STARTING, "dim"))
        return Group(table, Text(self._left(), "dim"))

    def _grouped(self) -> dict[tuple[str, str], list[_Seed]]:
        groups: dict[tuple[str, str], list[_Seed]] = {}
        for run in self._runs.values():
            shown = run.entry.learner if run.entry.trial is None else f"{run.entry.learner}, trials"
            groups.setdefault((run.entry.task, shown), []).append(run)
        return groups

    def _left(self) -> str:
        """Time left: the forecasts, scaled by how they fared so far."""
        runs = [run for run in self._runs.values() if not run.entry.finished or run.began]
        total = sum(run.entry.forecast["total_seconds"] for run in runs)
        done = sum(run.entry.forecast["total_seconds"] * run.fraction for run in runs)
        if self._began is None or done <= 0.02 * total:
            return f"about {duration(total / self._n_workers)} in all"
        spent = time.monotonic() - self._began
        return f"{duration(spent)} so far, about {duration(spent * (total - done) / done)} left"


@contextmanager
def show_trying(console: Console) -> Iterator[Tried]:
    """Show, on a terminal or now and then in a line, how many learners on tasks have been tried.

    Gives what is told of them.
    """
    said = time.monotonic()
    with console.status(_STARTING) as status:

        def tried(done: int, total: int) -> None:
            nonlocal said
            line = f"tried {done} of {total} learners on tasks"
            status.update(line)
            if not console.is_terminal and time.monotonic() - said > _EVERY_S:
                said = time.monotonic()
                console.print(line, highlight=False)

        yield tried


def show_events(console: Console) -> Any:
    """Return a watcher of a single run that prints a line for each evaluation, each worker replaced, each notice."""

    def watch(event: Any) -> None:
        if event.kind == "worker":
            console.print(f"step {event.step}: {printable(event.note)}", highlight=False, markup=False, soft_wrap=True)
        elif event.kind == "notice":
            console.print(f"eggym: {printable(event.note)}", highlight=False, markup=False, soft_wrap=True)
        elif event.kind == "point":
            score = "-" if event.reward is None else f"{event.reward:.3f}"
            console.print(
                f"{event.fraction:4.0%} of the budget, step {event.step}, held-out reward {score}", highlight=False
            )

    return watch
