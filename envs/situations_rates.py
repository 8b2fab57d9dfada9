"""Situations of word problems: trips, liquids that are mixed and drawn off, goods that are made by the hour."""

from .tale import FRACTIONS, Situation, Tale, times

# -- trips ----------------------------------------------------------------------------------------------------------
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
            f"The {t.words['by'][3:]} needs one litre of petrol for every {k} kilometres. How many litres has it used by "
            f"then?",
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
            f"The {t.words['by'][3:]} needs one litre of petrol for every {k} kilometres, and a litre costs ${p}. How many "
            f"dollars has the petrol for the trip cost by then?",
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

# -- liquids --------------------------------------------------------------------------------------------------------


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
        f"In a large {vessel}, {t.name} mixes {a} litres of {strong} paint with {times(f)} as much {weak} paint and gets "
        f"{mix}.",
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
        f"{t.name} pours all that is in the {t.words['vessel']} now into canisters of {k} litres each. How many canisters "
        f"does {t.he} fill?",
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

# -- goods ----------------------------------------------------------------------------------------------------------
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
        f"In {t.name}'s {place} {k} people work, and each of them can {verb} {r} {goods} an hour. On Monday all of them work "
        f"for {h} hours.",
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
        f"{t.name} packs what is there now into {packs} of {k} and sells all the {packs} for ${p} each. How many dollars does "
        f"{t.he} get for them?",
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
