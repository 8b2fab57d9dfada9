"""Every item of an evaluation as a square, a line for each seed: which items a learner gets right, and how surely.

Items stand in the order of the evaluation, which is that of all learners, so strips can be laid below each other. The
rewards are those in the record; nothing is unpacked.
"""

from collections.abc import Sequence
from typing import Any

from eggym.arena import Side
from eggym.drawing import attribute, words_at
from eggym.score import Mode, Score
from eggym.wording import short

_CELL, _LINE = 7, 16  # width of an item, height of a seed
_LEFT, _TOP = 58, 4
_ROW = 100  # items in a line; more are wrapped
_LEVELS = 5  # shades, from none of the reward to all of it
_SIZES = (0.0, 2.6, 4.4, 5.8, 7.0)  # of a square: how full it is tells the reward without colour


def strip(side: Side, mode: Mode, css: str) -> dict[str, Any]:
    """Return the strip of one learner on one task: a picture, and the numbers behind it.

    Args:
        side: its runs, by seed.
        mode: of the replies.
        css: the class that colours it.
    """
    low, high = side.records[0].task.reward_range
    told = [("before", side.records[0].start(mode))]
    told += [(f"seed {record.seed}", record.final(mode)) for record in side.records]
    label = f"Reward of each of {told[0][1].n_items} items on {short(side.records[0].task.label)}: {_said(told)}."
    return {
        "svg": _svg(told, low, high, css, label),
        "rows": [{"name": name, "score": score, "states": _states(score)} for name, score in told],
    }


def level(reward: float | None, low: float, high: float) -> int | None:
    """Return the shade of a reward: 0 for the least, the last for the largest, between them for all others."""
    if reward is None:
        return None
    share = (reward - low) / (high - low)
    if share >= 1 - 1e-9:
        return _LEVELS - 1
    return 0 if share <= 1e-9 else min(_LEVELS - 2, 1 + int(share * (_LEVELS - 2)))


def _svg(told: Sequence[tuple[str, Score]], low: float, high: float, css: str, label: str) -> str:
    n = max(score.n_items for _, score in told)
    lines = -(-n // _ROW)
    width, height = _LEFT + min(n, _ROW) * _CELL + 2, _TOP + len(told) * (lines * _LINE + 4)
    parts = []
    for place, (name, score) in enumerate(told):
        top = _TOP + place * (lines * _LINE + 4)
        shade = "mute" if place == 0 else css
        parts.append(words_at(0, top + 10, name, "mute", 11))
        parts.append(_squares([level(reward, low, high) for reward in score.rewards], top, shade))
    return (
        f'<svg class="strip" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{attribute(label)}">{"".join(parts)}</svg>'
    )


def _squares(levels: Sequence[int | None], top: int, css: str) -> str:
    """Draw the items of one seed: one path for each shade, a cross for what could not be judged."""
    found: dict[int | None, list[str]] = {}
    for place, shade in enumerate(levels):
        x, y = _LEFT + place % _ROW * _CELL, top + place // _ROW * _LINE
        if shade is None:
            found.setdefault(None, []).append(f"M{x + 1} {y + 3}l4 7m0-7l-4 7")
        elif shade == 0:
            found.setdefault(0, []).append(f"M{x} {y + 12}h5")
        else:
            tall = round(_SIZES[shade] * 12 / _SIZES[-1], 1)
            found.setdefault(shade, []).append(f"M{x} {y + 12}v-{tall}h5v{tall}z")
    parts = []
    for shade, places in sorted(found.items(), key=lambda pair: -1 if pair[0] is None else pair[0]):
        how = 'fill="currentColor"' if shade else 'fill="none" stroke="currentColor"'
        parts.append(f'<path class="{css if shade else "mute"}" {how} d="{"".join(places)}"/>')
    return "".join(parts)


def _states(score: Score) -> str:
    return ", ".join(
        f"{count} {state}" for state, count in sorted(score.states.items(), key=lambda one: (-one[1], one[0]))
    )


def _said(told: Sequence[tuple[str, Score]]) -> str:
    means = [(name, score.mean) for name, score in told]
    return ", ".join(f"{name} {'unknown' if mean is None else f'{mean:.2f}'}" for name, mean in means)
