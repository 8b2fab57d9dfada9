"""A situation of word problems: money that is earned, spent, lent and saved."""

from .tale import Situation, Tale

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
_USES = ("rent", "a short trip", "a present", "new tools")
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
        f"{t.then()} {t.he} spends {p}% of {t.his} money on {t.fresh(_USES)}.",
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
        f"With all the money that {t.he} has now, {t.name} buys {goods} at ${p} each. How many {goods} does {t.he} "
        f"get?",
        f"{goods[0].upper()}{goods[1:]}: {t.n} / {p} = {t.n // p}",
        n=t.n // p,
    )


def _divides(t: Tale) -> bool:
    k = t.divisor(2, 9)
    return k > 0 and t.add(
        f"{t.he.title()} divides all the money that {t.he} has now equally among {t.his} {k} nieces. How many dollars "
        f"does each niece get?",
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
