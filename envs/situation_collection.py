"""A situation of word problems: a collection that grows, shrinks and is shared."""

from .tale import FRACTIONS, RELATIVES, Situation, Tale, times

_THINGS = (
    ("stickers", "pack"),
    ("marbles", "bag"),
    ("trading cards", "pack"),
    ("glass beads", "box"),
    ("stamps", "packet"),
    ("toy cars", "box"),
    ("postcards", "packet"),
    ("badges", "bag"),
)


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith("x") else f"{word}s"


def _choose_things(t: Tale) -> tuple[str, str]:
    things, pack = t.pick(_THINGS)
    t.words.update(things=things, pack=pack)
    return things, pack


def _has(t: Tale) -> bool:
    things, _ = _choose_things(t)
    n = t.number(18, 120)
    return t.add(f"{t.name} has {n} {things}.", n=n)


def _has_packs(t: Tale) -> bool:
    things, pack = _choose_things(t)
    k, m = t.number(3, 12), t.number(4, 20)
    return t.add(
        f"{t.name} has {k} {_plural(pack)} of {things}, with {m} in each {pack}.",
        f"At the start: {k} * {m} = {k * m}",
        n=k * m,
    )


def _has_in_two_places(t: Tale) -> bool:
    things, _ = _choose_things(t)
    a, b = t.number(12, 70), t.number(12, 70)
    one, other = t.pick((("a tin", "a drawer"), ("an album", "a box"), ("a jar", "a bag")))
    return t.add(
        f"{t.name} collects {things}. {t.he.title()} keeps {a} of them in {one} and {b} in {other}.",
        f"At the start: {a} + {b} = {a + b}",
        n=a + b,
    )


def _has_two_colours(t: Tale) -> bool:
    things, _ = _choose_things(t)
    a, f = t.number(8, 40), t.number(2, 5)
    return t.add(
        f"{t.name} has {a} old {things} and {times(f)} as many new ones.",
        f"New ones: {a} * {f} = {a * f}",
        f"At the start: {a} + {a * f} = {a + a * f}",
        n=a + a * f,
    )


def _gives_some(t: Tale) -> bool:
    if t.n < 8:
        return False
    k = t.number(3, t.n // 2)
    return t.add(
        f"{t.then()} {t.he} gives {k} {t.words['things']} to {t.his} {t.fresh(RELATIVES)}.",
        f"Left: {t.n} - {k} = {t.n - k}",
        n=t.n - k,
    )


def _gets_some(t: Tale) -> bool:
    k = t.number(5, 60)
    return t.add(
        f"{t.then()} {t.his} {t.fresh(RELATIVES)} gives {t.him} {k} more.", f"Now: {t.n} + {k} = {t.n + k}", n=t.n + k
    )


def _buys_packs(t: Tale) -> bool:
    k, m = t.number(2, 9), t.number(3, 15)
    packs = _plural(t.words["pack"])
    return t.add(
        f"{t.then()} {t.he} buys {k} {packs} with {m} {t.words['things']} each.",
        f"In the {packs}: {k} * {m} = {k * m}",
        f"Now: {t.n} + {k * m} = {t.n + k * m}",
        n=t.n + k * m,
    )


def _gives_half(t: Tale) -> bool:
    if t.n % 2 or t.n < 12:
        return False
    return t.add(
        f"{t.then()} {t.he} gives half of {t.his} {t.words['things']} to {t.his} {t.fresh(RELATIVES)}.",
        f"Left: {t.n} / 2 = {t.n // 2}",
        n=t.n // 2,
    )


def _gives_part(t: Tale) -> bool:
    fits = [each for each in FRACTIONS if t.n % each == 0 and t.n // each >= 2]
    if not fits:
        return False
    f = t.pick(fits)
    part = t.n // f
    return t.add(
        f"{t.then()} {t.he} gives {FRACTIONS[f]} of {t.his} {t.words['things']} to {t.his} {t.fresh(RELATIVES)}.",
        f"Given away: {t.n} / {f} = {part}",
        f"Left: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _sells_percent(t: Tale) -> bool:
    p = t.percent()
    part = t.n * p // 100
    return p > 0 and t.add(
        f"{t.then()} {t.he} sells {p}% of {t.his} {t.words['things']}.",
        f"Sold: {t.n} * {p} / 100 = {part}",
        f"Left: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _doubles(t: Tale) -> bool:
    if t.n > 150 or "doubled" in t.taken:
        return False
    t.taken.add("doubled")
    return t.add(
        f"{t.then()} {t.he} finds so many more at a flea market that {t.he} has twice as many as before.",
        f"Now: {t.n} * 2 = {t.n * 2}",
        n=t.n * 2,
    )


def _day_by_day(t: Tale) -> bool:
    k, lost = t.number(3, 9), t.number(2, 6)
    got = lost + t.number(2, 9)
    return t.add(
        f"For the following {k} days {t.he} gets {got} new {t.words['things']} and gives away {lost} every day.",
        f"More each day: {got} - {lost} = {got - lost}",
        f"In {k} days: {k} * {got - lost} = {k * (got - lost)}",
        f"Now: {t.n} + {k * (got - lost)} = {t.n + k * (got - lost)}",
        n=t.n + k * (got - lost),
    )


def _how_many(t: Tale) -> bool:
    return t.add(f"How many {t.words['things']} does {t.name} have now?", n=t.n)


def _shared(t: Tale) -> bool:
    k = t.divisor(3, 12)
    return k > 0 and t.add(
        f"In the end {t.he} shares all of them equally among {k} friends. How many {t.words['things']} does each "
        f"friend get?",
        f"Each: {t.n} / {k} = {t.n // k}",
        n=t.n // k,
    )


def _sold(t: Tale) -> bool:
    p = t.number(2, 9)
    return t.add(
        f"In the end {t.he} sells all that {t.he} has for ${p} each. How many dollars does {t.he} get?",
        f"Dollars: {t.n} * {p} = {t.n * p}",
        n=t.n * p,
    )


def _wanted(t: Tale) -> bool:
    goal = (t.n // 10 + t.number(2, 12)) * 10
    return t.add(
        f"{t.name} wants to have {goal} {t.words['things']}. How many more does {t.he} need?",
        f"Missing: {goal} - {t.n} = {goal - t.n}",
        n=goal - t.n,
    )


def _together_times(t: Tale) -> bool:
    f, friend = t.number(2, 4), t.fresh(("Iris", "Victor", "Dana", "Felix"))
    return t.add(
        f"{friend} has {times(f)} as many {t.words['things']} as {t.name} has now. How many do they have together?",
        f"{friend}: {t.n} * {f} = {t.n * f}",
        f"Together: {t.n} + {t.n * f} = {t.n + t.n * f}",
        n=t.n + t.n * f,
    )


def _together_fewer(t: Tale) -> bool:
    if t.n < 8:
        return False
    k, friend = t.number(2, t.n - 4), t.fresh(("Iris", "Victor", "Dana", "Felix"))
    return t.add(
        f"{friend} has {k} fewer {t.words['things']} than {t.name} has now. How many do they have together?",
        f"{friend}: {t.n} - {k} = {t.n - k}",
        f"Together: {t.n} + {t.n - k} = {t.n + t.n - k}",
        n=t.n + t.n - k,
    )


COLLECTION = Situation(
    ((0, _has), (1, _has_packs), (1, _has_in_two_places), (2, _has_two_colours)),
    (
        (1, _gives_some),
        (1, _gets_some),
        (2, _buys_packs),
        (1, _gives_half),
        (2, _gives_part),
        (2, _sells_percent),
        (1, _doubles),
        (3, _day_by_day),
    ),
    ((0, _how_many), (1, _shared), (1, _sold), (1, _wanted), (2, _together_times), (2, _together_fewer)),
)
