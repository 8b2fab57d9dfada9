"""A situation of word problems: goods that are made by the hour, spoilt, ordered and packed."""

from .tale import FRACTIONS, Situation, Tale

_TRADES = (  # workplace, goods, what is wrong with some, what they are packed into
    ("bakery", "bread rolls", "burnt", "bags"),
    ("pottery", "bowls", "cracked", "boxes"),
    ("workshop", "candles", "bent", "boxes"),
    ("orchard", "apples", "bruised", "crates"),
    ("printing shop", "calendars", "smudged", "parcels"),
)


def _trade(t: Tale) -> tuple[str, str]:
    place, goods, bad, pack = t.pick(_TRADES)
    t.words.update(place=place, goods=goods, bad=bad, pack=pack)
    return place, goods


def _makes(t: Tale) -> str:
    return "picks" if t.words["goods"] == "apples" else "makes"


def _in_stock(t: Tale) -> bool:
    place, goods = _trade(t)
    n = t.number(80, 480, 4)
    return t.add(f"{t.name} has a small {place} and begins the week with {n} {goods} in stock.", n=n)


def _by_the_hour(t: Tale) -> bool:
    place, goods = _trade(t)
    r, h = t.number(12, 60), t.number(3, 9)
    return t.add(
        f"{t.name} has a small {place} and {_makes(t)} {r} {goods} an hour. On Monday {t.he} works for {h} hours.",
        f"Made on Monday: {r} * {h} = {r * h}",
        n=r * h,
    )


def _team(t: Tale) -> bool:
    place, goods = _trade(t)
    k, r, h = t.number(2, 6), t.number(8, 30), t.number(3, 8)
    verb = _makes(t)[:-1]
    return t.add(
        f"In {t.name}'s {place} {k} people work, and each of them can {verb} {r} {goods} an hour. On Monday all of "
        f"them work for {h} hours.",
        f"In an hour: {k} * {r} = {k * r}",
        f"On Monday: {k * r} * {h} = {k * r * h}",
        n=k * r * h,
    )


def _spoilt(t: Tale) -> bool:
    if t.n < 20 or "spoilt" in t.taken:
        return False
    t.taken.add("spoilt")
    k = t.number(2, max(2, t.n // 8))
    return t.add(
        f"{k} of the {t.words['goods']} are {t.words['bad']} and have to be thrown away.",
        f"Left: {t.n} - {k} = {t.n - k}",
        n=t.n - k,
    )


def _orders(t: Tale) -> bool:
    k, m = t.number(3, 12), t.number(2, 12)
    if k * m > t.n - 5:
        return False
    return t.add(
        f"{t.then()} {k} customers buy {m} {t.words['goods']} each.",
        f"Sold: {k} * {m} = {k * m}",
        f"Left: {t.n} - {k * m} = {t.n - k * m}",
        n=t.n - k * m,
    )


def _sells_part(t: Tale) -> bool:
    fits = [each for each in FRACTIONS if t.n % each == 0 and t.n // each >= 2]
    if not fits:
        return False
    f = t.pick(fits)
    part = t.n // f
    return t.add(
        f"{t.then()} a market takes {FRACTIONS[f]} of the {t.words['goods']}.",
        f"Sold: {t.n} / {f} = {part}",
        f"Left: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _hotel(t: Tale) -> bool:
    p = t.percent()
    part = t.n * p // 100
    return p > 0 and t.add(
        f"{t.then()} a hotel orders {p}% of the {t.words['goods']}.",
        f"Ordered: {t.n} * {p} / 100 = {part}",
        f"Left: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _makes_more(t: Tale) -> bool:
    k = t.number(15, 90)
    return t.add(
        f"{t.then()} {t.he} {_makes(t)} another {k} {t.words['goods']}.", f"Now: {t.n} + {k} = {t.n + k}", n=t.n + k
    )


def _works_on(t: Tale) -> bool:
    r, h = t.number(10, 40), t.number(2, 6)
    return t.add(
        f"{t.then()} {t.he} {_makes(t)} {r} {t.words['goods']} an hour for {h} hours.",
        f"Made: {r} * {h} = {r * h}",
        f"Now: {t.n} + {r * h} = {t.n + r * h}",
        n=t.n + r * h,
    )


def _goods_left(t: Tale) -> bool:
    return t.add(f"How many {t.words['goods']} does {t.name} have now?", n=t.n)


def _packed(t: Tale) -> bool:
    k, packs = t.divisor(4, 24), t.words["pack"]
    return k > 0 and t.add(
        f"{t.name} packs what is there now into {packs} of {k}. How many {packs} are there?",
        f"{packs.title()}: {t.n} / {k} = {t.n // k}",
        n=t.n // k,
    )


def _packed_and_sold(t: Tale) -> bool:
    k, p, packs = t.divisor(4, 24), t.number(4, 30), t.words["pack"]
    return k > 0 and t.add(
        f"{t.name} packs what is there now into {packs} of {k} and sells all the {packs} for ${p} each. How many "
        f"dollars does {t.he} get for them?",
        f"{packs.title()}: {t.n} / {k} = {t.n // k}",
        f"Dollars: {t.n // k} * {p} = {t.n // k * p}",
        n=t.n // k * p,
    )


def _sold_singly(t: Tale) -> bool:
    p = t.number(2, 4)
    return t.add(
        f"{t.name} sells what is there now for ${p} apiece. How many dollars does {t.he} get for that?",
        f"Dollars: {t.n} * {p} = {t.n * p}",
        n=t.n * p,
    )


GOODS = Situation(
    ((0, _in_stock), (1, _by_the_hour), (2, _team)),
    ((1, _spoilt), (2, _orders), (2, _sells_part), (2, _hotel), (1, _makes_more), (2, _works_on)),
    ((0, _goods_left), (1, _packed), (2, _packed_and_sold), (1, _sold_singly)),
)
