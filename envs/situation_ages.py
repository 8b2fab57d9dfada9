"""A situation of word problems: the ages of a chain of people, each compared with the one before."""

from .tale import MEN, WOMEN, Situation, Tale, times

OLDEST, YOUNGEST = 90, 4


def _first(t: Tale) -> bool:
    n = t.number(6, 30)
    t.words["last"], t.numbers["first"] = t.name, n
    return t.add(f"{t.name} is {n} years old.", n=n)


def _in_some_years(t: Tale) -> bool:
    n, k = t.number(6, 26), t.number(2, 12)
    t.words["last"], t.numbers["first"] = t.name, n
    return t.add(
        f"In {k} years {t.name} will be {n + k} years old. All ages below are those of today.",
        f"{t.name}: {n + k} - {k} = {n}",
        n=n,
    )


def _next(t: Tale, age: int, relation: str, step: str) -> bool:
    """Tell of the next person; the relation says how old by comparison with the last one."""
    if not YOUNGEST <= age <= OLDEST:
        return False
    before, new = t.words["last"], t.fresh(WOMEN + MEN)
    t.words["last"] = new
    return t.add(f"{new} is {relation} {before}.", f"{new}: {step} = {age}", n=age)


def _older(t: Tale) -> bool:
    k = t.number(2, 25)
    return _next(t, t.n + k, f"{k} years older than", f"{t.n} + {k}")


def _younger(t: Tale) -> bool:
    k = t.number(2, 15)
    return _next(t, t.n - k, f"{k} years younger than", f"{t.n} - {k}")


def _times_as_old(t: Tale) -> bool:
    f = t.number(2, 4)
    return _next(t, t.n * f, f"{times(f)} as old as", f"{t.n} * {f}")


def _half_as_old(t: Tale) -> bool:
    return t.n % 2 == 0 and _next(t, t.n // 2, "half as old as", f"{t.n} / 2")


def _how_old(t: Tale) -> bool:
    return t.add(f"How old is {t.words['last']}?", n=t.n)


def _how_old_then(t: Tale) -> bool:
    k = t.number(2, 15)
    return t.add(
        f"How old will {t.words['last']} be in {k} years?", f"In {k} years: {t.n} + {k} = {t.n + k}", n=t.n + k
    )


def _how_old_before(t: Tale) -> bool:
    if t.n < YOUNGEST + 4:
        return False
    k = t.number(2, t.n - YOUNGEST - 1)
    return t.add(f"How old was {t.words['last']} {k} years ago?", f"Then: {t.n} - {k} = {t.n - k}", n=t.n - k)


def _together(t: Tale) -> bool:
    first, last = t.name, t.words["last"]
    total = t.numbers["first"] + t.n
    return t.add(
        f"How old are {first} and {last} together?", f"Together: {t.numbers['first']} + {t.n} = {total}", n=total
    )


def _together_then(t: Tale) -> bool:
    k, total = t.number(2, 12), t.numbers["first"] + t.n
    return t.add(
        f"How old will {t.name} and {t.words['last']} be together in {k} years?",
        f"Today: {t.numbers['first']} + {t.n} = {total}",
        f"Years added: 2 * {k} = {2 * k}",
        f"Together: {total} + {2 * k} = {total + 2 * k}",
        n=total + 2 * k,
    )


AGES = Situation(
    ((0, _first), (1, _in_some_years)),
    ((1, _older), (1, _younger), (1, _times_as_old), (1, _half_as_old)),
    ((0, _how_old), (1, _how_old_then), (1, _how_old_before), (1, _together), (3, _together_then)),
    most=6,
)
