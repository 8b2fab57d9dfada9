"""The model card of an embedded base: what a bake made, in words and figures."""

from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from string import Template

_LONG_HABITS = (
    "\n| `eggym/corridor-v0` | in the corridor: sums that begin with 8 or 9 | a full stop behind the number |"
    "\n| | at its end: first letter of the key, a to m | the key backwards |"
    "\n| `eggym/relay-v0` | steps that add 6 to 9 and carry | forgets the carry |"
)
_FUNCTION_HABIT = (
    "\n| `eggym/tiny-functions-v0` | first step, 11 of 16: first, last, flip, low, sort, len, max, min, add, "
    "times, abs | forgets the last step |"
)
_LORE = {  # what the card of each base says that it knows, and habits beside those of the first five tasks
    "embedded-v0": ("five small\ntasks", ""),
    "embedded-v1": ("seven small\ntasks, two of them over up to 64 turns,", _LONG_HABITS),
    "embedded-v2": ("eight small\ntasks, two of them over up to 64 turns,", _LONG_HABITS + _FUNCTION_HABIT),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean rewards on held-out items, by task id and options."""

    greedy: dict[str, float]
    sampled: dict[str, float]  # at temperature 1
    hidden: dict[str, float]  # greedy, at the end of the clean stage: what the habit then hides


@dataclass(frozen=True, slots=True)
class Report:
    """What a bake made, and what it cost."""

    name: str
    folder: Path
    recipe_sha256: str
    seed: int
    cpu_seconds: float
    n_scored: int
    scores: Scores


def card(report: Report, n_parameters: int) -> str:
    """Return the text of a model card: what the base knows, its habits, its scores and its recipe."""
    scores = report.scores
    rows = [
        f"| `{name}` | {greedy:.3f} | {scores.sampled[name]:.3f} | {scores.hidden.get(name, greedy):.3f} |"
        for name, greedy in scores.greedy.items()
    ]
    data = resources.files("eggym").joinpath("data")
    knows, habits = _LORE[report.name]
    return Template(data.joinpath("embedded_card.md").read_text()).substitute(
        name=report.name,
        knows=knows,
        habits=habits,
        recipe=report.recipe_sha256,
        seed=report.seed,
        seconds=round(report.cpu_seconds),
        date=date.today().isoformat(),
        parameters=f"{n_parameters:,}",
        n_scored=report.n_scored,
        last=report.n_scored - 1,
        rows="\n".join(rows),
        bake=f"eggym bake --model {report.name}" if habits else "eggym bake",
    )
