"""Situations of word problems: money that is earned and spent, passengers who come and go."""

from .tale import FRACTIONS, Situation, Tale, times

# -- money ----------------------------------------------------------------------------------------------------------
_GOODS = (
    ("notebooks", 2, 6),
    ("books", 6, 18),
    ("T-shirts", 9, 25),
    ("cinema tickets", 8, 15),
    ("plants", 4, 14),
    ("mugs", 3, 11),
    ("puzzles", 7, 16),
)
_SINGLE = ("a lamp", "a kettle", "a rucksack", "a board game", "a radio", "a haircut", "a pair of gloves", "a clock")
_DEAR = ("a jacket", "a desk", "a suitcase", "a bookcase", "a tent", "a coat")
_GOALS = ("a camera", "a bicycle", "a guitar", "a telescope", "a sewing machine")
_JOBS = (("mows", "lawns"), ("walks", "dogs"), ("washes", "cars"), ("repairs", "bicycles"), ("cleans", "windows"))
_WORK = ("in a café", "in a library", "on a farm", "in a shop", "at a museum")
_GIVERS = ("grandmother", "uncle", "aunt", "godfather", "grandfather")


def _has_money(t: Tale) -> bool:
    n = t.number(60, 400, 5)
    return t.add(f"{t.name} has ${n}.", n=n)


def _earns(t: Tale) -> bool:
    h, r = t.number(4, 30), t.number(11, 24)
    return t.add(
        f"{t.name} works {h} hours {t.pick(_WORK)} and is paid ${r} an hour.", f"Pay: {h} * {r} = {h * r}", n=h * r
    )


def _has_and_earns(t: Tale) -> bool:
    a, h, r = t.number(20, 150, 5), t.number(4, 20), t.number(11, 24)
    return t.add(
        f"{t.name} has ${a} and earns ${r} an hour for {h} hours of work {t.pick(_WORK)}.",
        f"Pay: {h} * {r} = {h * r}",
        f"At the start: {a} + {h * r} = {a + h * r}",
        n=a + h * r,
    )


def _buys_several(t: Tale) -> bool:
    goods, low, high = t.pick([each for each in _GOODS if each[0] not in t.taken] or _GOODS)
    k, p = t.number(2, 8), t.number(low, high)
    if k * p > t.n - 5:
        return False
    t.taken.add(goods)
    return t.add(
        f"{t.then()} {t.he} buys {k} {goods} at ${p} each.",
        f"Cost of the {goods}: {k} * {p} = {k * p}",
        f"Left: {t.n} - {k * p} = {t.n - k * p}",
        n=t.n - k * p,
    )


def _buys_one(t: Tale) -> bool:
    p = t.number(12, 48)
    if p > t.n - 5:
        return False
    return t.add(f"{t.then()} {t.he} pays ${p} for {t.fresh(_SINGLE)}.", f"Left: {t.n} - {p} = {t.n - p}", n=t.n - p)


def _buys_cheaper(t: Tale) -> bool:
    cost, p = t.number(40, 160, 20), t.pick((5, 10, 15, 20, 25, 30, 40, 50))
    off = cost * p // 100
    if t.n - (cost - off) < 5:
        return False
    return t.add(
        f"{t.then()} {t.he} buys {t.fresh(_DEAR)} that usually costs ${cost}, at {p}% off.",
        f"Reduction: {cost} * {p} / 100 = {off}",
        f"Price paid: {cost} - {off} = {cost - off}",
        f"Left: {t.n} - {cost - off} = {t.n - cost + off}",
        n=t.n - cost + off,
    )


def _earns_more(t: Tale) -> bool:
    does, things = t.pick([each for each in _JOBS if each[1] not in t.taken] or _JOBS)
    t.taken.add(things)
    k, p = t.number(2, 9), t.number(6, 20)
    return t.add(
        f"{t.then()} {t.he} {does} {k} {things} for ${p} each.",
        f"Earned: {k} * {p} = {k * p}",
        f"Now: {t.n} + {k * p} = {t.n + k * p}",
        n=t.n + k * p,
    )


def _is_given(t: Tale) -> bool:
    k = t.number(10, 80, 5)
    return t.add(
        f"{t.then()} {t.his} {t.fresh(_GIVERS)} gives {t.him} ${k}.", f"Now: {t.n} + {k} = {t.n + k}", n=t.n + k
    )


def _spends_percent(t: Tale) -> bool:
    p = t.percent()
    part = t.n * p // 100
    return p > 0 and t.add(
        f"{t.then()} {t.he} spends {p}% of {t.his} money on {t.fresh(('rent', 'a short trip', 'a present', 'new tools'))}.",
        f"Spent: {t.n} * {p} / 100 = {part}",
        f"Left: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _lends_half(t: Tale) -> bool:
    if t.n % 2 or t.n < 20 or "lent" in t.taken:
        return False
    t.taken.add("lent")
    return t.add(
        f"{t.then()} {t.he} lends half of {t.his} money to a friend.", f"Left: {t.n} / 2 = {t.n // 2}", n=t.n // 2
    )


def _how_much(t: Tale) -> bool:
    return t.add(f"How many dollars does {t.name} have now?", n=t.n)


def _lacks(t: Tale) -> bool:
    goal = (t.n // 10 + t.number(3, 25)) * 10
    return t.add(
        f"{t.name} wants to buy {t.pick(_GOALS)} that costs ${goal}. How many more dollars does {t.he} need?",
        f"Missing: {goal} - {t.n} = {goal - t.n}",
        n=goal - t.n,
    )


def _saves(t: Tale) -> bool:
    weekly, weeks = t.number(5, 40), t.number(3, 20)
    goal = t.n + weekly * weeks
    return t.add(
        f"{t.name} wants to buy {t.pick(_GOALS)} that costs ${goal}, and from now on saves ${weekly} a week. After how "
        f"many weeks does {t.he} have enough?",
        f"Missing: {goal} - {t.n} = {weekly * weeks}",
        f"Weeks: {weekly * weeks} / {weekly} = {weeks}",
        n=weeks,
    )


def _spends_all(t: Tale) -> bool:
    p = t.divisor(3, 15)
    goods = t.pick([each[0] for each in _GOODS if each[0] not in t.taken])
    return p > 0 and t.add(
        f"With all the money that {t.he} has now, {t.name} buys {goods} at ${p} each. How many {goods} does {t.he} get?",
        f"{goods[0].upper()}{goods[1:]}: {t.n} / {p} = {t.n // p}",
        n=t.n // p,
    )


def _divides(t: Tale) -> bool:
    k = t.divisor(2, 9)
    return k > 0 and t.add(
        f"{t.he.title()} divides all the money that {t.he} has now equally among {t.his} {k} nieces. How many dollars does "
        f"each niece get?",
        f"Each: {t.n} / {k} = {t.n // k}",
        n=t.n // k,
    )


MONEY = Situation(
    ((0, _has_money), (1, _earns), (2, _has_and_earns)),
    (
        (2, _buys_several),
        (1, _buys_one),
        (3, _buys_cheaper),
        (2, _earns_more),
        (1, _is_given),
        (2, _spends_percent),
        (1, _lends_half),
    ),
    ((0, _how_much), (1, _lacks), (2, _saves), (1, _spends_all), (1, _divides)),
)

# -- passengers -----------------------------------------------------------------------------------------------------
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
