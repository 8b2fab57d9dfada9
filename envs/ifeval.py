"""Instructions that can be verified: 541 prompts with 1 to 3 constraints each, of 25 types (IFEval).

Prompt:  as published.
Reward:  option ``reward``: ``all`` (the default: 1 if every constraint is followed, the published prompt-level figure)
         or ``mean`` (the share followed; smoother, for training). ``mode``: ``strict`` (the reply as it is) or
         ``loose`` (ends and stars forgiven). ``profile``: ``official``, or ``fixed`` with the repairs of
         `eggym.envs.constraint_repairs`. ``gate=true``, for training: a reply that says next to nothing earns 0
         (`eggym.envs.content`). ``parts`` hold the official-style figures whatever the reward: ``strict_all`` and
         ``strict_share``; with ``show_loose`` (the default) ``loose_all`` and ``loose_share``; ``content``, the gate.
         Published figures are ``reward=all,mode=strict,profile=official,gate=false,rows=test,parity=true``.
Rows:    the source has one split. ``rows=divided`` (the default) divides it by the hash of the prompts, 80/10/10, so
         that one can train; ``rows=test`` makes all 541 test, as published figures have it, and nothing is left to
         train on.
Floor:   0.353 (``all``) or 0.494 (``mean``), official and strict: `STUFFED`, one constant reply in small letters and
         quotes with a title, stars, brackets and a postscript. "1" earns 0.177, "." 0.150, an echo of the prompt 0.248
         of ``all``. The gate takes the pay from those three, not from the stuffed one: read scores against the floor.
Parity:  the number of sentences needs NLTK's ``punkt_tab`` for the published verdicts; without it an untrained
         splitter nearly always agrees, and ``why`` says so. ``parity=true`` refuses to score without it. The language
         is langdetect's with seed 0. Thinking is not cut off the reply.
Source:  Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models"; data by Google Research,
         CC BY 4.0, hub id ``google/IFEval``. ``data=`` takes a local JSONL file with the same four fields.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from eggym.dataset import DatasetTask
from eggym.errors import BadValue
from eggym.rows import Row, Source, value_of
from eggym.task import Item, Verdict, VerdictState

from .constraints import MODES, PROFILES, Constraint, read_constraints
from .content import emptiness, texts_of
from .sentences import TRAINED, splitter_name

# What may be chosen; the first is the default.
OPTIONS: dict[str, tuple[str | bool, ...]] = {
    "reward": ("all", "mean"),
    "mode": MODES,
    "profile": tuple(PROFILES),
    "rows": ("divided", "test"),
    "gate": (False, True),
    "show_loose": (True, False),
    "parity": (False, True),
}
LONGEST_REPLY = 100_000  # characters; a longer reply is refused
_SAID = "there is more to say about this and we will say it in a simple way"
_FORMS = (
    f'"<<notes>> {_SAID} *one* *two* *three* *four* *five* [name] [date] [place] [time] [item] [note] [code] [city] '
    "[town] [road] [size] [kind] "
)
# The best replies known that ignore the prompt: as many forms at once as fit together.
STUFFED = (
    f'{_FORMS}{" ".join([_SAID] * 45)} p.p.s. p.s. {_SAID}"',
    f'{_FORMS}{". ".join([_SAID] * 40)}\np.s. we will say it\np.p.s. we will say it"',
)
# What the better of them earns on the 541 prompts, by profile and mode: (all, mean).
FLOORS = {
    ("official", "strict"): (0.3530, 0.4935),
    ("official", "loose"): (0.3882, 0.5259),
    ("fixed", "strict"): (0.3235, 0.4643),
    ("fixed", "loose"): (0.3882, 0.5259),
}
_SENTENCES = "length_constraints:number_sentences"


class IfEval(DatasetTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/ifeval-v0"
    source: ClassVar[Source] = "google/IFEval"
    floor: ClassVar[float] = FLOORS["official", "strict"][0]
    max_new_tokens: ClassVar[int] = 1024
    free_form: ClassVar[bool] = True  # one text may meet several orders

    def __init__(self, data: Source | None = None, **options: Any) -> None:
        """Keep the options; see the module's docstring.

        Raises:
            BadValue: no such option or value; or parity is asked for where ``punkt_tab`` is not installed.
        """
        super().__init__(data)
        for name, value in options.items():
            _check_option(name, value)
        self.difficulty = options
        self.options = {name: choices[0] for name, choices in OPTIONS.items()} | options
        floors = FLOORS[str(self.options["profile"]), str(self.options["mode"])]
        vars(self)["floor"] = floors[self.options["reward"] == "mean"]  # of the class for the default options
        if self.options["parity"] and splitter_name() != TRAINED:
            raise BadValue(
                f"task {self.id!r} with parity=true needs NLTK's data set punkt_tab, which is not installed here; "
                "install it, or leave parity out"
            )

    def rows(self) -> Mapping[str, Sequence[Row]]:
        """Return all rows in one heap: to be divided by hash, or as test."""
        heap = [row for rows in super().rows().values() for row in rows]
        return {"test" if self.options["rows"] == "test" else "": heap}

    def read(self, row: Row) -> Item:
        """Return the prompt, and its constraints as a list of [id, arguments]; an odd one is refused here."""
        ids, kwargs = value_of(row, "instruction_id_list"), value_of(row, "kwargs")
        if not isinstance(ids, list) or not isinstance(kwargs, list) or len(ids) != len(kwargs) or not ids:
            raise BadValue("instruction_id_list and kwargs are two lists of the same length, at least 1")
        if not all(isinstance(each, Mapping) for each in kwargs):
            raise BadValue(f"kwargs is a list of objects, got {kwargs!r:.60}")
        given = [{name: value for name, value in each.items() if value is not None} for each in kwargs]
        truth = [list(pair) for pair in zip(ids, given, strict=True)]
        self._constraints(truth)
        return Item(str(value_of(row, "prompt")), truth, {"key": row.get("key")})

    def score(self, item: Item, reply: str) -> Verdict:
        """Check every constraint; the reward, the parts and the reasons follow from them."""
        if len(reply) > LONGEST_REPLY:
            return Verdict(0.0, VerdictState.REFUSED, why=f"{len(reply)} characters, more than {LONGEST_REPLY}")
        constraints = self._constraints(item.truth)
        strict = [each.passes(reply) for each in constraints]
        parts = _shares("strict", strict)
        followed = strict
        if self.options["show_loose"] or self.options["mode"] == "loose":
            loose = [ok or each.passes_loosely(reply) for ok, each in zip(strict, constraints, strict=True)]
            parts |= _shares("loose", loose)
            followed = loose if self.options["mode"] == "loose" else strict
        empty = emptiness(reply, item.prompt, (text for each in constraints for text in texts_of(each.arguments)))
        parts["content"] = float(not empty)
        if empty and self.options["gate"]:
            return Verdict(0.0, VerdictState.WRONG, None, f"says too little: {empty}", parts)
        state = VerdictState.CORRECT if all(followed) else VerdictState.WRONG
        reward = parts[f"{self.options['mode']}_{'all' if self.options['reward'] == 'all' else 'share'}"]
        return Verdict(reward, state, None, _reasons(constraints, followed), parts)

    def identity(self) -> str:
        """Return what the rows are, and the versions and data of the libraries that verdicts depend on."""
        versions = " ".join(f"{name} {version(name)}" for name in ("nltk", "langdetect"))
        return f"{super().identity()} {versions} {splitter_name()}"

    def _constraints(self, truth: list[Any]) -> tuple[Constraint, ...]:
        return read_constraints(truth, str(self.options["profile"]))


def _check_option(name: str, value: Any) -> None:
    if name not in OPTIONS:
        raise BadValue(f"task 'eggym/ifeval-v0' has no option {name!r}; its options: {', '.join(OPTIONS)}")
    if not any(type(value) is type(each) and value == each for each in OPTIONS[name]):
        known = " or ".join(json.dumps(each) for each in OPTIONS[name])
        raise BadValue(f"option {name!r} of task 'eggym/ifeval-v0' is {known}, got {value!r:.60}")


def _shares(name: str, followed: Sequence[bool]) -> dict[str, float]:
    return {f"{name}_all": float(all(followed)), f"{name}_share": sum(followed) / len(followed)}


def _reasons(constraints: Sequence[Constraint], followed: Sequence[bool]) -> str:
    """Return which constraints were not followed, and how sentences were parted if that matters."""
    broken = [each.id for each, ok in zip(constraints, followed, strict=True) if not ok]
    line = f"not followed: {', '.join(broken)}" if broken else "all followed"
    if any(each.id == _SENTENCES for each in constraints):
        line += f"; sentences by Punkt, {splitter_name()}"
    return line
