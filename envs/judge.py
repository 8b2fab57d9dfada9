"""Tasks whose replies a language model judges, behind any server of chat completions.

Prompt:  a template over the fields of a row. `judged_task` makes such a task from rows, a prompt and a rubric.
Reward:  the mean grade of ``votes`` answers of the judge, scaled to 0..1; with ``compare=True`` the share that a reply
         wins of its comparisons with other replies to the same item, each asked in both orders (ties count half). A
         judge that cannot be asked or read gives no reward, never 0. A reply without a letter or digit is 0 unasked,
         in a group too, and whoever meets it wins. Shares are for training: within a group without such replies they
         average one half. A reply alone, as in an evaluation with one reply to each item, is graded.
Floor:   not known beforehand: what a fixed reply earns depends on judge and rubric. Measure it and pass ``floor=``.
Source:  ours. Length, flattery and openers without content do move judges (arXiv 2507.08794): try yours with them.

What is done against replies that talk to the judge: a reply stands between marks that follow from a hash of the whole
question, so that it cannot hold its own; the judge is told that it is data; and only one form of answer is read, the
line ``Grade: N``, never a word somewhere. The judge answers at temperature 0 in a few tokens; answers are recorded by
model and question, so that a run can be scored again without a server.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from eggym.completion import Answer
from eggym.dataset import SETTINGS, DatasetTask, template_fields
from eggym.endpoint import Endpoint, EndpointOptions, Spent
from eggym.errors import BadValue, EggymError, unknown
from eggym.files import sha256_json
from eggym.plugins import check_id
from eggym.recording import Recording
from eggym.registry import register
from eggym.rows import Row, Source, value_of
from eggym.splits import check_split
from eggym.task import Item, Verdict, VerdictState

from .judge_forms import COMPARE, GRADE, MOST_TOKENS, PROTOCOL, Question, read_grade, read_preference

LONGEST = 20_000  # characters of a reply that a judge is shown
_ATTEMPTS = 2  # at an answer that can be read, for each vote
Read = Callable[[Answer], float | None]


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges, and how it is asked."""

    url: str
    model: str
    record: str = ""  # file of its answers; "": in memory
    offline: bool = False  # answer from that file alone
    options: EndpointOptions = field(default_factory=EndpointOptions)

    @classmethod
    def from_environment(cls) -> "Judge":
        """Return the judge that EGGYM_JUDGE_URL, _MODEL, _RECORD and _OFFLINE name; the key is in OPENAI_API_KEY."""
        url, model, record, offline = (
            os.environ.get(f"EGGYM_JUDGE_{name}", "") for name in ("URL", "MODEL", "RECORD", "OFFLINE")
        )
        return cls(url, model, record, offline not in ("", "0"))


class JudgedTask(DatasetTask):
    """Rows whose replies a model judges; made by `judged_task`."""

    template: ClassVar[str] = ""
    rubric: ClassVar[str] = ""
    answer: ClassVar[str | None] = None  # the field with a reference answer, if there is one
    grades: ClassVar[tuple[int, int]] = (1, 5)
    opponents: ClassVar[int] = 4  # with `grouped`: each reply meets so many on either side, or all in a small group
    judged_by: ClassVar[Judge | None] = None  # None: from the environment

    def __init__(self, data: Source | None = None, votes: int = 1, model: str = "") -> None:
        """``votes`` answers are averaged; ``model`` replaces the judge's."""
        super().__init__(data)
        if type(votes) is not int or not 1 <= votes <= 99:
            raise BadValue(f"votes of task {self.id!r} must be a whole number from 1 to 99, got {votes!r}")
        if not isinstance(model, str):
            raise BadValue(f"model of task {self.id!r} must be a text, got {model!r}")
        self.votes, self.model = votes, model
        self.difficulty = {**({"votes": votes} if votes != 1 else {}), **({"model": model} if model else {})}
        self.spent = Spent()  # what judging has cost so far
        self._recordings: dict[str, Recording] = {}

    def read(self, row: Row) -> Item:
        """Return the prompt, with the reference answer as truth where there is one."""
        asked = [str(value_of(row, name)).strip() for name in template_fields(self.id, self.template)]
        if not any(asked):
            raise BadValue("it asks nothing: every field of the prompt is empty")
        return Item(self.template.format_map(row), value_of(row, self.answer) if self.answer else None)

    def identity(self) -> str:
        """Return what decides a reward: rows, wording, rubric, judge and votes; not where the judge is."""
        parts = [super().identity(), self.template, self.rubric, self.answer, list(self.grades), self.opponents]
        return sha256_json([*parts, self._who().model, self.votes, PROTOCOL])

    def score_all(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        """Judge replies, all at once; with `grouped` those to one item object against each other."""
        try:
            return self._ranked(items, replies) if self.grouped else self._graded(items, replies)
        except EggymError as problem:  # one for all: a missing judge is not asked reply by reply
            return [Verdict(None, VerdictState.ERROR, why=str(problem))] * len(items)

    def _graded(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        verdicts = {place: found for place, reply in enumerate(replies) if (found := _unasked(reply)) is not None}
        open_ = [place for place in range(len(replies)) if place not in verdicts]
        low, high = self.grades
        questions = [self._question(GRADE, items[place], reply=replies[place], low=low, high=high) for place in open_]
        answers = self._ask(questions, lambda answer: read_grade(answer, low, high))
        for place, (grades, why) in zip(open_, answers, strict=True):
            verdicts[place] = why
            if grades:
                mean, told = _mean(grades), ",".join(f"{grade:g}" for grade in grades)
                verdicts[place] = _verdict((mean - low) / (high - low), told, {"grade": mean})
        return [verdicts[place] for place in range(len(replies))]

    def _ranked(self, items: Sequence[Item], replies: Sequence[str]) -> list[Verdict]:
        groups: dict[int, list[int]] = {}
        for place, item in enumerate(items):
            groups.setdefault(id(item), []).append(place)
        alone = [group[0] for group in groups.values() if len(group) == 1]  # there is nothing to compare: graded
        graded = self._graded([items[place] for place in alone], [replies[place] for place in alone])
        verdicts = dict(zip(alone, graded, strict=True))
        pairs = [pair for group in groups.values() for pair in _pairs(group, self.opponents)]
        won: dict[int, list[float]] = {}
        failed: dict[int, Verdict] = {}
        for (one, other), (share, why) in zip(pairs, self._compared(pairs, items, replies), strict=True):
            if share is None:
                failed[one] = failed[other] = why
            else:
                won.setdefault(one, []).append(share)
                won.setdefault(other, []).append(1 - share)
        verdicts |= failed  # and over it whoever was compared at least once
        for place, shares in won.items():
            mean = _mean(shares)
            verdicts[place] = _verdict(mean, f"{mean:.3f}", {"comparisons": float(len(shares))})
        verdicts |= {place: found for place, reply in enumerate(replies) if (found := _unasked(reply)) is not None}
        return [verdicts[place] for place in range(len(items))]

    def _compared(
        self, pairs: Sequence[tuple[int, int]], items: Sequence[Item], replies: Sequence[str]
    ) -> list[tuple[float | None, Verdict]]:
        """Return for each pair the first one's share, or None and why; the judge sees both orders."""
        known = [_unasked_share(replies[one], replies[other]) for one, other in pairs]
        open_ = [pair for pair, share in zip(pairs, known, strict=True) if share is None]
        orders = [order for one, other in open_ for order in ((one, other), (other, one))]
        questions = [
            self._question(COMPARE, items[one], first=replies[one], second=replies[other]) for one, other in orders
        ]
        answers = iter(self._ask(questions, read_preference))
        found: list[tuple[float | None, Verdict]] = []
        for share in known:
            if share is not None:
                found.append((share, _UNREAD))
                continue
            (there, why), (back, why_back) = next(answers), next(answers)
            both = bool(there and back)  # one order alone would favour a place
            mean = (_mean(there) + 1 - _mean(back)) / 2 if both else None
            found.append((mean, _UNREAD if both else (why_back if there else why)))
        return found

    def _question(self, form: str, item: Item, **values: Any) -> Question:
        reference = str(item.truth) if self.answer else ""
        return Question(form, {"prompt": item.prompt, "rubric": self.rubric, "reference": reference, **values})

    def _ask(self, questions: Sequence[Question], read: Read) -> list[tuple[list[float], Verdict]]:
        """Ask each question ``votes`` times; return what could be read, and why if it was nothing."""
        found: list[list[float]] = [[] for _ in questions]
        why = [_UNREAD] * len(questions)
        left = [(place, vote) for place in range(len(questions)) for vote in range(self.votes)]
        if not left:
            return []
        with self._endpoint() as server:
            for attempt in range(_ATTEMPTS):
                texts = [questions[place].wording(vote, attempt) for place, vote in left]
                messages = [[{"role": "user", "content": text}] for text in texts]
                limit = {server.options.limit: MOST_TOKENS}
                answers = server.ask_all(messages, temperature=0.0, **limit)
                unread = []
                for (place, vote), answer in zip(left, answers, strict=True):
                    value = read(answer) if isinstance(answer, Answer) else None
                    if value is not None:
                        found[place].append(value)
                    elif isinstance(answer, Answer):
                        why[place] = Verdict(None, VerdictState.UNPARSED, None, f"{_UNREAD.why}: {answer.text!r:.80}")
                        unread.append((place, vote))
                    else:
                        why[place] = Verdict(None, VerdictState.ERROR, None, str(answer))
                left = unread
            _add(self.spent, server.spent)
        return list(zip(found, why, strict=True))

    def _who(self) -> Judge:
        judge = self.judged_by or Judge.from_environment()
        return dataclasses.replace(judge, model=self.model) if self.model else judge

    def _endpoint(self) -> Endpoint:
        judge = self._who()
        if not judge.url or not judge.model:
            raise BadValue(
                f"task {self.id!r} has no judge; set the environment variables EGGYM_JUDGE_URL (such as "
                "http://localhost:8000/v1) and EGGYM_JUDGE_MODEL"
            )
        if judge.record not in self._recordings:
            self._recordings[judge.record] = Recording(Path(judge.record) if judge.record else None)
        return Endpoint(judge.url, judge.model, judge.options, self._recordings[judge.record], judge.offline)


def judged_task(
    id: str,
    data: Source,
    prompt: str,
    rubric: str,
    answer: str | None = None,
    grades: tuple[int, int] = (1, 5),
    compare: bool = False,
    opponents: int = 4,
    judge: Judge | None = None,
    splits: Mapping[str, str] | None = None,
    **settings: Any,
) -> type[JudgedTask]:
    """Make and register a task of rows whose replies a model judges.

    Args:
        id: ``namespace/name-vN``.
        data: rows, a path or a hub id, as for `eggym.dataset_task`.
        prompt: a template over the fields of a row.
        rubric: what a good reply is, and what the grades mean.
        answer: the field with a reference answer that the judge is shown; None: there is none.
        grades: the worst and the best.
        compare: rank the replies to one item by comparing pairs, in both orders; a single one is graded.
        opponents: with ``compare``, how many of its neighbours on either side a reply meets; all in a small group.
        judge: None: from the environment (`Judge.from_environment`), when it first judges.
        splits: split of eggym -> split of the source, where the names differ.
        settings: attributes of the task, such as ``max_new_tokens=64``.

    Raises:
        BadValue: an id of another form, or already taken; a template that cannot be read; grades out of order.
        UnknownName: no such setting.
    """
    check_id(id, "a judged task")
    for name in settings:
        if name not in SETTINGS:
            raise unknown("setting of a task", name, SETTINGS)
    for name in splits or {}:
        check_split(name)
    template_fields(id, prompt)
    if not (len(grades) == 2 and all(type(grade) is int for grade in grades) and 0 <= grades[0] < grades[1] <= 999):
        raise BadValue(f"grades of task {id!r} are two whole numbers from 0 to 999, the worst first, got {grades!r}")
    if not rubric.strip():
        raise BadValue(f"task {id!r} needs a rubric: what a good reply is, and what the grades mean")
    if opponents < 1:
        raise BadValue(f"opponents of task {id!r} must be at least 1, got {opponents!r}")
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")  # whose source a result depends on
    body = dict(settings, id=id, source=data, splits=dict(splits or {}), template=prompt, rubric=rubric, answer=answer)
    body |= {"grades": tuple(grades), "grouped": compare, "opponents": opponents, "judged_by": judge}
    body |= {"__module__": caller, "__doc__": f"Judged: {prompt.splitlines()[0]}"}
    return register(type("".join(filter(str.isalnum, id.title())), (JudgedTask,), body))


def _unasked(reply: str) -> Verdict | None:
    """Return the verdict on a reply that no judge needs to see."""
    if _is_blank(reply):
        return Verdict(0.0, VerdictState.UNPARSED, None, "the reply has no letter and no digit")
    if len(reply) > LONGEST:
        return Verdict(0.0, VerdictState.REFUSED, None, f"the reply has more than {LONGEST} characters")
    return None


def _unasked_share(one: str, other: str) -> float | None:
    """Return the share of a comparison that no judge needs to make."""
    good = [_unasked(reply) is None for reply in (one, other)]
    if one == other or not any(good):  # two blanks: any share does, for neither gets it
        return 0.5
    return None if all(good) else float(good[0])


def _is_blank(reply: str) -> bool:
    return not any(map(str.isalnum, reply))


def _pairs(group: Sequence[int], opponents: int) -> Iterable[tuple[int, int]]:
    """Return who meets whom: all, or each its next neighbours in a ring."""
    n = len(group)
    steps = range(1, n) if n <= 2 * opponents + 1 else range(1, opponents + 1)
    met = {tuple(sorted((place, (place + step) % n))) for place in range(n) for step in steps}
    return [(group[one], group[other]) for one, other in sorted(met)]


def _verdict(reward: float, found: str, parts: Mapping[str, float]) -> Verdict:
    return Verdict(reward, VerdictState.CORRECT if reward >= 1 else VerdictState.WRONG, found, parts=parts)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _add(total: Spent, more: Spent) -> None:
    for found in dataclasses.fields(Spent):
        setattr(total, found.name, getattr(total, found.name) + getattr(more, found.name))


_UNREAD = Verdict(None, VerdictState.UNPARSED, None, "the judge's answer could not be read")
