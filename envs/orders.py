"""Write about a topic as ordered: one to four constraints that can be checked exactly, and something to say.

Prompt:  ``Write a note about rain, in exactly 3 paragraphs parted by *** and without any comma.`` 40 topics, 24 kinds
         of constraint (`eggym.envs.order_kinds`); option ``constraints``, 1 to 4 of them (default 2), of kinds that go
         together. Every order has been met by a text before it is given: `oracle` writes it.
Reply:   the text, up to 100,000 characters; read strictly, as IFEval does (`eggym.envs.constraints`).
Reward:  0 without content: at least 8 different words that the prompt does not hold, none of them more than 0.4 of all,
         and words of the topic, more of them than of any other topic. With content, by option ``reward``: ``all`` (1
         if every constraint is met, the default) or ``mean`` (the share met). ``parts``: ``content``, ``strict_all``,
         ``strict_share``.
Floor:   `FLOORS`, by option: `constant`, a text about one topic in many forms at once, which a fortieth of the prompts
         ask for; measured on 2,000 prompts of train. Blank texts, echoes of the prompt and keyword lists earn 0.
Source:  ours; procedural. Types of constraint: Zhou et al. 2023.
"""

import random
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar

from eggym.errors import BadValue
from eggym.task import Item, SingleTurnTask, Verdict, VerdictState

from .constraints import Constraint, read_constraints
from .content import emptiness
from .order_kinds import KINDS, go_together, worded
from .order_writer import drafts
from .sentences import splitter_name
from .topics import TOPICS, is_about

LONGEST_REPLY = 100_000  # characters
LEAST_WORDS = 8  # different ones that the prompt does not hold
MOST_CONSTRAINTS = 4
REWARDS = ("all", "mean")
FORMS = ("a short text", "a note", "a message to a friend", "a little story", "a description", "a few lines")
# What `constant` earns on average over prompts, were its topic drawn anew each time; by the number of constraints.
FLOORS = {"all": (0.0136, 0.0073, 0.0043, 0.0025), "mean": (0.0136, 0.0136, 0.0144, 0.0145)}


class Orders(SingleTurnTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/orders-v0"
    floor: ClassVar[float] = FLOORS["all"][1]
    max_new_tokens: ClassVar[int] = 512
    free_form: ClassVar[bool] = True  # one text may meet several orders

    def __init__(self, **options: Any) -> None:
        """Keep the options.

        Raises:
            BadValue: no such option, or a value outside what is allowed.
        """
        super().__init__(**options)
        count, reward = options.get("constraints", 2), options.get("reward", "all")
        if type(count) is not int or not 1 <= count <= MOST_CONSTRAINTS:
            raise BadValue(f"option 'constraints' of task {self.id!r} is 1 to {MOST_CONSTRAINTS}, got {count!r:.60}")
        if reward not in REWARDS:
            raise BadValue(f"option 'reward' of task {self.id!r} is all or mean, got {reward!r:.60}")
        self.by_share = reward == "mean"
        vars(self)["floor"] = FLOORS[reward][count - 1]  # of the class for the default options

    def generate(self, rng: random.Random, constraints: int = 2, reward: str = "all") -> Item:
        """Draw topic, form and kinds that go together; again until a text meets them."""
        while True:
            topic, form, names = rng.choice(list(TOPICS)), rng.choice(FORMS), _draw_kinds(rng, constraints)
            orders = {name: KINDS[name].draw(rng, topic) for name in names}
            item = _item(topic, form, orders)
            if self.oracle(item) is not None:
                return item

    def score(self, item: Item, reply: str) -> Verdict:
        """Check content and every constraint."""
        if len(reply) > LONGEST_REPLY:
            return Verdict(0.0, VerdictState.REFUSED, why=f"{len(reply)} characters, more than {LONGEST_REPLY}")
        constraints = read_constraints(item.truth["constraints"])
        met = [each.passes(reply) for each in constraints]
        silent = _silence(item, reply)
        share = sum(met) / len(met)
        parts = {"content": float(not silent), "strict_all": float(all(met)), "strict_share": share}
        good = all(met) and not silent
        reward = 0.0 if silent else share if self.by_share else float(good)
        state = VerdictState.CORRECT if good else VerdictState.WRONG
        return Verdict(reward, state, None, _reasons(constraints, met, silent), parts)

    def oracle(self, item: Item) -> str | None:
        """Return a text that meets the order; None for an order that none of the drafts meets, which is never given."""
        constraints = read_constraints(item.truth["constraints"])
        for draft in drafts(item.truth["topic"], item.meta["orders"]):
            if all(each.passes(draft) for each in constraints) and not _silence(item, draft):
                return draft
        return None

    def identity(self) -> str:
        """Return the versions and data of the libraries that verdicts depend on."""
        return " ".join(f"{name} {version(name)}" for name in ("nltk", "langdetect")) + f" {splitter_name()}"


def constant(topic: str) -> str:
    """Return the best reply known that looks at nothing but the topic: as many forms at once as fit together."""
    words = " and ".join(TOPICS[topic])
    said = f"we often speak of the {words} that it brings to us by vivid grumpy mummy kayak fluffy window way back"
    forms = "*one* *two* *three* *four* *five* [a] [b] [c] [d] [e]"
    return f'"<<about {topic}>> {said} {forms}. {". ".join([said] * 8)}. p.s. {said}"'


def _item(topic: str, form: str, orders: Mapping[str, Mapping[str, Any]]) -> Item:
    *first, last = (worded(name, arguments) for name, arguments in orders.items())
    said = f"{', '.join(first)} and {last}" if first else last
    truth = {"topic": topic, "constraints": [[KINDS[name].id, arguments] for name, arguments in orders.items()]}
    return Item(f"Write {form} about {topic}, {said}.", truth, {"orders": orders})


def _draw_kinds(rng: random.Random, count: int) -> list[str]:
    """Return kinds that go together, the first drawn uniformly."""
    names: list[str] = []
    while len(names) < count:
        left = [name for name in KINDS if all(go_together(name, other) for other in names)]
        names = [*names, rng.choice(left)] if left else []
    return names


def _silence(item: Item, reply: str) -> str:
    """Return why a reply has no content, or "" if it has."""
    if not is_about(reply, item.truth["topic"]):
        return f"it is not about {item.truth['topic']}"
    return emptiness(reply, given=(item.prompt,), least=LEAST_WORDS)


def _reasons(constraints: tuple[Constraint, ...], met: list[bool], silent: str) -> str:
    broken = [each.id for each, ok in zip(constraints, met, strict=True) if not ok]
    lines = [f"no content: {silent}"] if silent else []
    lines += [f"not met: {', '.join(broken)}"] if broken else []
    return "; ".join(lines) or "as ordered"
