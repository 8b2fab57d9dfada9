"""A situation of word problems: a trip of several days, its distances and its petrol."""

from .tale import Situation, Tale, times

_VEHICLES = {"by bike": (12, 22, 2), "by car": (50, 100, 10), "by motorbike": (40, 80, 10)}
_MOST_LEG = {"by bike": 130, "by car": 700, "by motorbike": 450}


def _day(t: Tale) -> str:
    """Return the next day of the trip."""
    t.numbers["days"] = t.numbers.get("days", 1) + 1
    return f"On day {t.numbers['days']}"


def _leg(t: Tale, leg: int, sentence: str, *steps: str) -> bool:
    """Tell a day's leg, unless it is too short or long to be true."""
    if not 10 <= leg <= _MOST_LEG[t.words["by"]]:
        return False
    t.numbers["leg"] = leg
    return t.add(f"{_day(t)} {sentence}", *steps, f"So far: {t.n} + {leg} = {t.n + leg}", n=t.n + leg)


def _first_leg(t: Tale) -> bool:
    by = t.words["by"] = t.pick(tuple(_VEHICLES))
    n = t.numbers["leg"] = t.number(20, _MOST_LEG[by] // 2, 2)
    return t.add(f"{t.name} goes on a trip {by}. On day 1 {t.he} covers {n} kilometres.", n=n)


def _first_ride(t: Tale) -> bool:
    by = t.words["by"] = t.pick(tuple(_VEHICLES))
    h, v = t.number(2, 5), t.number(*_VEHICLES[by])
    t.numbers["leg"] = h * v
    return t.add(
        f"{t.name} goes on a trip {by}. On day 1 {t.he} travels for {h} hours at {v} kilometres per hour.",
        f"Day 1: {h} * {v} = {h * v}",
        n=h * v,
    )


def _further(t: Tale) -> bool:
    k = t.number(10, _MOST_LEG[t.words["by"]] // 2)
    return _leg(t, k, f"{t.he} covers another {k} kilometres.")


def _rides_on(t: Tale) -> bool:
    h, v = t.number(2, 5), t.number(*_VEHICLES[t.words["by"]])
    return _leg(t, h * v, f"{t.he} travels for {h} hours at {v} kilometres per hour.", f"This day: {h} * {v} = {h * v}")


def _times_as_far(t: Tale) -> bool:
    f, last = t.number(2, 3), t.numbers["leg"]
    return _leg(
        t, last * f, f"{t.he} goes {times(f)} as far as on the day before.", f"This day: {last} * {f} = {last * f}"
    )


def _less_far(t: Tale) -> bool:
    last = t.numbers["leg"]
    if last < 24:
        return False
    k = t.number(3, last // 2)
    return _leg(
        t,
        last - k,
        f"{t.he} covers {k} kilometres less than on the day before.",
        f"This day: {last} - {k} = {last - k}",
    )


def _morning_and_afternoon(t: Tale) -> bool:
    a, b = t.number(10, 60), t.number(10, 60)
    return _leg(
        t,
        a + b,
        f"{t.he} covers {a} kilometres in the morning and {b} kilometres in the afternoon.",
        f"This day: {a} + {b} = {a + b}",
    )


def _how_far(t: Tale) -> bool:
    return t.add(f"How many kilometres has {t.name} covered in total?", n=t.n)


def _still_to_go(t: Tale) -> bool:
    goal = (t.n // 10 + t.number(3, 40)) * 10
    return t.add(
        f"The whole trip is {goal} kilometres long. How many kilometres are left?",
        f"Left: {goal} - {t.n} = {goal - t.n}",
        n=goal - t.n,
    )


def _per_day(t: Tale) -> bool:
    days = t.numbers.get("days", 1)
    if days < 2 or t.n % days:
        return False
    return t.add(
        f"How many kilometres did {t.name} cover per day on average?",
        f"Per day: {t.n} / {days} = {t.n // days}",
        n=t.n // days,
    )


def _petrol(t: Tale) -> bool:
    k = t.divisor(10, 20)
    return (
        k > 0
        and t.words["by"] != "by bike"
        and t.add(
            f"The {t.words['by'][3:]} needs one litre of petrol for every {k} kilometres. How many litres has it used "
            f"by then?",
            f"Litres: {t.n} / {k} = {t.n // k}",
            n=t.n // k,
        )
    )


def _petrol_cost(t: Tale) -> bool:
    k, p = t.divisor(10, 20), t.number(2, 3)
    return (
        k > 0
        and t.words["by"] != "by bike"
        and t.add(
            f"The {t.words['by'][3:]} needs one litre of petrol for every {k} kilometres, and a litre costs ${p}. How "
            f"many dollars has the petrol for the trip cost by then?",
            f"Litres: {t.n} / {k} = {t.n // k}",
            f"Dollars: {t.n // k} * {p} = {t.n // k * p}",
            n=t.n // k * p,
        )
    )


TRIP = Situation(
    ((0, _first_leg), (1, _first_ride)),
    ((1, _further), (2, _rides_on), (2, _times_as_far), (2, _less_far), (2, _morning_and_afternoon)),
    ((0, _how_far), (1, _still_to_go), (1, _per_day), (1, _petrol), (2, _petrol_cost)),
)
