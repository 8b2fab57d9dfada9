"""The parts of `eggym bench envs` that judge answers: mathematics, hostile answers, and instructions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from eggym.bench_answers import HOSTILE, Pair, algebra, clean_batch, functions, hostile_batch, plain_numbers
from eggym.bench_rates import Figures, Rate, Settings, Watch, answered, rates_of, seconds
from eggym.registry import load_task
from eggym.source import named
from eggym.timing import Quartiles

HOSTILE_ROUNDS = 5  # a round takes half a minute


def _checker() -> tuple[Callable[[Sequence[Pair]], Any], Callable[[], None]]:
    """Return what judges pairs of truth and reply, and what makes it forget them."""
    place = "eggym.envs.answers"
    return named(f"{place}:judge_answers", "checker"), named(f"{place}:forget_answers", "checker")


def math_part(settings: Settings, watch: Watch) -> Figures:
    """Measure answers by what decides them: numbers, terms that are read quickly, and math-verify, beside it alone."""
    judge, forget = _checker()
    plain = plain_numbers(2000)
    rates = [Rate("numbers", len(plain), lambda: judge(plain), 20_000, forget)]
    for name, make, aims in (("algebra", algebra, (250, 90)), ("functions", functions, (None, None))):
        for kind, is_right, n, aim in (("right", True, 60, aims[0]), ("wrong", False, 40, aims[1])):
            pairs = make(is_right, n)
            rates += [
                Rate(f"{name}, {kind}", n, lambda pairs=pairs: judge(pairs), aim, forget),  # type: ignore[misc]
                Rate(f"{name}, {kind}, by math-verify alone", n, lambda pairs=pairs: _verified(pairs)),  # type: ignore[misc]
            ]
    return rates_of(rates, settings, watch)


def _verified(pairs: Sequence[Pair]) -> list[bool]:
    from math_verify import parse, verify

    return [
        bool(
            verify(parse(f"${truth}$", parsing_timeout=None), parse(reply, parsing_timeout=None), timeout_seconds=None)
        )
        for truth, reply in pairs
    ]


def hostile_part(settings: Settings, watch: Watch) -> Figures:
    """Measure a batch with one hostile answer in ten against a clean one, and the longest single answer."""
    judge, forget = _checker()
    clean, hostile = clean_batch(200), hostile_batch(200)
    judge(clean)  # workers started, grammar warm
    walls: dict[str, list[float]] = {"clean": [], "hostile": []}

    def timed(name: str, pairs: Sequence[tuple[str, str]]) -> None:
        began = time.perf_counter()
        judge(pairs)
        walls[name].append(time.perf_counter() - began)

    rates = [
        Rate("answers, clean", len(clean), lambda: timed("clean", clean), None, forget),
        Rate("answers, one in ten hostile", len(hostile), lambda: timed("hostile", hostile), None, forget),
    ]
    figures = rates_of(rates, replace(settings, rounds=min(settings.rounds, HOSTILE_ROUNDS)), watch)
    slower = figures["rates"]["answers, clean"]["median"] / figures["rates"]["answers, one in ten hostile"]["median"]
    wall = Quartiles.of(walls["hostile"]).median / Quartiles.of(walls["clean"]).median
    longest = 0.0
    for truth, reply in HOSTILE:
        forget()
        longest = max(longest, seconds(lambda pair=(truth, reply): judge([pair]), time.perf_counter))  # type: ignore[misc]
    figures["values"] = {
        "hostile over clean, CPU": {"value": slower, "beside": "aim: at most 3"},
        "hostile over clean, wall": {"value": wall, "beside": "aim: at most 3"},
        "longest single answer, wall s": {"value": longest, "beside": f"of {len(HOSTILE)}; aim: at most 2.5"},
    }
    return figures


def ifeval_part(settings: Settings, watch: Watch) -> Figures:
    """Measure instructions: every prompt of the public data set, answered by another prompt."""
    if settings.data is None:
        return {"skipped": "needs --data, a file of the public data set"}
    task = load_task("eggym/ifeval-v0", data=settings.data, rows="test")
    items = [task.item("test", index) for index in range(task.n_items("test") or 0)]
    replies = [other.prompt for other in reversed(items)]  # texts of the kind and length that models write
    states = [answered(task, item, reply) for item, reply in zip(items, replies, strict=True)]
    return rates_of(
        [Rate("replies, all types, strict", len(states), lambda: task.judge_all(states), 2000)], settings, watch
    )
