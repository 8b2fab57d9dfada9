"""A situation of word problems: a liquid that is pumped, mixed, drawn off and lost."""

from .tale import Situation, Tale, times


def _full_tank(t: Tale) -> bool:
    t.words.update(liquid="water", vessel="tank")
    n = t.number(120, 600, 10)
    return t.add(f"{t.name} has a tank with {n} litres of water in the garden.", n=n)


def _pumped(t: Tale) -> bool:
    t.words.update(liquid="water", vessel="tank")
    r, m = t.number(6, 25), t.number(8, 30)
    return t.add(
        f"{t.name} fills an empty tank for {m} minutes with a pump that delivers {r} litres of water a minute.",
        f"In the tank: {m} * {r} = {m * r}",
        n=m * r,
    )


def _mixed(t: Tale) -> bool:
    strong, weak, mix, vessel = t.pick(
        (("red", "white", "pink paint", "drum"), ("blue", "yellow", "green paint", "drum"))
    )
    t.words.update(liquid=mix, vessel=vessel)
    a, f = t.number(10, 60), t.number(2, 5)
    return t.add(
        f"In a large {vessel}, {t.name} mixes {a} litres of {strong} paint with {times(f)} as much {weak} paint and "
        f"gets {mix}.",
        f"{weak.title()} paint: {a} * {f} = {a * f}",
        f"{mix[0].upper()}{mix[1:]}: {a} + {a * f} = {a + a * f}",
        n=a + a * f,
    )


def _mixed_in_parts(t: Tale) -> bool:
    one, other, mix = t.pick((("syrup", "water", "lemonade"), ("apple juice", "cherry juice", "fruit punch")))
    t.words.update(liquid=mix, vessel="barrel")
    a, b, unit = *t.pick(((2, 3), (2, 5), (3, 4), (3, 7), (4, 5), (3, 8), (2, 7))), t.number(6, 30)
    return t.add(
        f"{t.name} makes {mix} in a barrel: for every {a} litres of {one} {t.he} takes {b} litres of {other}. "
        f"{t.he.title()} uses {a * unit} litres of {one}.",
        f"Portions: {a * unit} / {a} = {unit}",
        f"{other[0].upper()}{other[1:]}: {unit} * {b} = {unit * b}",
        f"{mix[0].upper()}{mix[1:]}: {a * unit} + {unit * b} = {(a + b) * unit}",
        n=(a + b) * unit,
    )


def _draws_off(t: Tale) -> bool:
    if t.n < 25:
        return False
    k = t.number(8, t.n // 2)
    return t.add(f"{t.then()} {t.he} takes out {k} litres.", f"Left: {t.n} - {k} = {t.n - k}", n=t.n - k)


def _pours_in(t: Tale) -> bool:
    k = t.number(10, 90)
    return t.add(
        f"{t.then()} {t.he} adds {k} litres of {t.words['liquid']}.", f"Now: {t.n} + {k} = {t.n + k}", n=t.n + k
    )


def _fills_cans(t: Tale) -> bool:
    k, m = t.number(3, 9), t.number(2, 12)
    if k * m > t.n - 5:
        return False
    return t.add(
        f"{t.then()} {t.he} fills {k} cans of {m} litres each from the {t.words['vessel']}.",
        f"In the cans: {k} * {m} = {k * m}",
        f"Left: {t.n} - {k * m} = {t.n - k * m}",
        n=t.n - k * m,
    )


def _leaks(t: Tale) -> bool:
    h, r = t.number(3, 9), t.number(2, 9)
    if h * r > t.n - 5 or "leak" in t.taken:
        return False
    t.taken.add("leak")
    return t.add(
        f"{t.then()} the {t.words['vessel']} leaks: it loses {r} litres an hour for {h} hours.",
        f"Lost: {h} * {r} = {h * r}",
        f"Left: {t.n} - {h * r} = {t.n - h * r}",
        n=t.n - h * r,
    )


def _draws_percent(t: Tale) -> bool:
    p = t.percent()
    part = t.n * p // 100
    return p > 0 and t.add(
        f"{t.then()} {t.he} sells {p}% of the {t.words['liquid']}.",
        f"Sold: {t.n} * {p} / 100 = {part}",
        f"Left: {t.n} - {part} = {t.n - part}",
        n=t.n - part,
    )


def _litres_left(t: Tale) -> bool:
    return t.add(f"How many litres of {t.words['liquid']} are in the {t.words['vessel']} now?", n=t.n)


def _bottles(t: Tale) -> bool:
    k = t.divisor(2, 9)
    return k > 0 and t.add(
        f"{t.name} pours all that is in the {t.words['vessel']} now into canisters of {k} litres each. How many "
        f"canisters does {t.he} fill?",
        f"Canisters: {t.n} / {k} = {t.n // k}",
        n=t.n // k,
    )


def _room_left(t: Tale) -> bool:
    size = (t.n // 50 + t.number(1, 6)) * 50
    return size - t.n > 1 and t.add(
        f"The {t.words['vessel']} holds {size} litres. How many more litres would fit in now?",
        f"Room: {size} - {t.n} = {size - t.n}",
        n=size - t.n,
    )


def _pumped_out(t: Tale) -> bool:
    r = t.divisor(2, 12)
    return r > 0 and t.add(
        f"At the end a pump empties the {t.words['vessel']} at {r} litres a minute. How many minutes does that take?",
        f"Minutes: {t.n} / {r} = {t.n // r}",
        n=t.n // r,
    )


LIQUID = Situation(
    ((0, _full_tank), (1, _pumped), (2, _mixed), (3, _mixed_in_parts)),
    ((1, _draws_off), (1, _pours_in), (2, _fills_cans), (2, _leaks), (2, _draws_percent)),
    ((0, _litres_left), (1, _bottles), (1, _room_left), (1, _pumped_out)),
    most=7,
)
