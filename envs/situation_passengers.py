"""A situation of word problems: passengers of a bus or train, who get on and off."""

from .tale import FRACTIONS, Situation, Tale, times

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_MOST = {"bus": 80, "train": 900}


def _stop(t: Tale) -> str:
    t.numbers["stops"] = t.numbers.get("stops", 0) + 1
    return f"At the {_ORDINALS[t.numbers['stops'] - 1]} stop"


def _rides(t: Tale, sentence: str, *steps: str, n: int) -> bool:
    """Tell what happens at a stop, unless the vehicle would be empty or too full."""
    if not 3 <= n <= _MOST[t.words["vehicle"]]:
        return False
    return t.add(f"{_stop(t)} {sentence}", *steps, n=n)


def _bus_leaves(t: Tale) -> bool:
    t.words["vehicle"], n = "bus", t.number(18, 60)
    return t.add(f"{t.name} drives a bus, which leaves the station with {n} passengers.", n=n)


def _bus_of_two_kinds(t: Tale) -> bool:
    t.words["vehicle"] = "bus"
    a, b = t.number(12, 35), t.number(6, 24)
    return t.add(
        f"{t.name} drives a bus, which leaves the station with {a} adults and {b} children as passengers.",
        f"At the start: {a} + {b} = {a + b}",
        n=a + b,
    )


def _train_leaves(t: Tale) -> bool:
    t.words["vehicle"] = "train"
    k, m = t.number(3, 9), t.number(20, 64)
    return t.add(
        f"{t.name} drives a train, which leaves the station with {k} coaches and {m} passengers in each coach.",
        f"At the start: {k} * {m} = {k * m}",
        n=k * m,
    )


def _get_off(t: Tale) -> bool:
    k = t.number(3, max(3, t.n // 2))
    return _rides(t, f"{k} passengers get off.", f"Now: {t.n} - {k} = {t.n - k}", n=t.n - k)


def _get_on(t: Tale) -> bool:
    k = t.number(3, 30)
    return _rides(t, f"{k} passengers get on.", f"Now: {t.n} + {k} = {t.n + k}", n=t.n + k)


def _half_get_off(t: Tale) -> bool:
    if t.n % 2:
        return False
    return _rides(t, "half of the passengers get off.", f"Now: {t.n} / 2 = {t.n // 2}", n=t.n // 2)


def _part_gets_off(t: Tale) -> bool:
    fits = [each for each in FRACTIONS if t.n % each == 0 and t.n // each >= 2]
    if not fits:
        return False
    f = t.pick(fits)
    part = t.n // f
    return _rides(
        t,
        f"{FRACTIONS[f]} of the passengers get off.",
        f"Getting off: {t.n} / {f} = {part}",
        f"Now: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _off_and_on(t: Tale) -> bool:
    a, b = t.number(3, max(3, t.n // 2)), t.number(3, 25)
    return _rides(
        t,
        f"{a} passengers get off and {b} get on.",
        f"After getting off: {t.n} - {a} = {t.n - a}",
        f"Now: {t.n - a} + {b} = {t.n - a + b}",
        n=t.n - a + b,
    )


def _off_and_more_on(t: Tale) -> bool:
    a, f = t.number(3, 9), t.number(2, 4)
    if a > t.n:
        return False
    return _rides(
        t,
        f"{a} passengers get off and {times(f)} as many get on.",
        f"Getting on: {a} * {f} = {a * f}",
        f"After getting off: {t.n} - {a} = {t.n - a}",
        f"Now: {t.n - a} + {a * f} = {t.n - a + a * f}",
        n=t.n - a + a * f,
    )


def _on_board(t: Tale) -> bool:
    return t.add(f"How many passengers are on the {t.words['vehicle']} now?", n=t.n)


def _free_seats(t: Tale) -> bool:
    seats = max(_MOST[t.words["vehicle"]] // 8, t.n // 5 + t.number(1, 8)) * 5
    return seats > t.n and t.add(
        f"The {t.words['vehicle']} has {seats} seats, and every passenger now sits on one. How many seats are free?",
        f"Free: {seats} - {t.n} = {seats - t.n}",
        n=seats - t.n,
    )


def _fares(t: Tale) -> bool:
    p = t.number(2, 9)
    return t.add(
        f"Everyone who is on the {t.words['vehicle']} now has paid ${p} for the ticket. How many dollars have these "
        f"passengers paid in total?",
        f"Dollars: {t.n} * {p} = {t.n * p}",
        n=t.n * p,
    )


def _rest_of_percent(t: Tale) -> bool:
    p = t.percent()
    part = t.n * p // 100
    return p > 0 and t.add(
        f"Of the passengers who are on the {t.words['vehicle']} now, {p}% have a season ticket. How many have none?",
        f"With a season ticket: {t.n} * {p} / 100 = {part}",
        f"Without: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


PASSENGERS = Situation(
    ((0, _bus_leaves), (1, _bus_of_two_kinds), (1, _train_leaves)),
    (
        (1, _get_off),
        (1, _get_on),
        (1, _half_get_off),
        (2, _part_gets_off),
        (2, _off_and_on),
        (3, _off_and_more_on),
    ),
    ((0, _on_board), (1, _free_seats), (1, _fares), (2, _rest_of_percent)),
)
