"""164 functions in Python to be completed from their signature and description (HumanEval).

Prompt:  asks for the whole function, then the published prompt in a fenced block. ``form=raw`` is the published prompt
         alone, for base models.
Reply:   a program (`eggym.envs.code_replies`). If it defines the function it stands alone, behind the imports and
         functions that the prompt has before it. Else, or if its first line is indented, it is the body that continues
         the prompt: up to the first line that is not indented, as published figures have it.
Reward:  1 if the row's own ``check(candidate)`` raises nothing, else 0: it is one test, so that ``reward=share`` is the
         same. It runs in another process than the program (`eggym.envs.box`), unchanged.
Floor:   0: of `CONSTANTS` in the tests, returned whatever is asked, none passes one of the 164.
Options: ``form`` (chat or raw), ``reward``, ``allow_unsafe_execution`` (see `eggym.envs.code_grading`).
Source:  Chen et al. 2021, "Evaluating Large Language Models Trained on Code" (MIT licence), hub id
         ``openai/openai_humaneval``, which has test alone: for evaluation. ``data=`` takes the published
         ``HumanEval.jsonl.gz``, other rows with the same fields (prompt, canonical_solution, entry_point, test), or a
         folder with ``test.jsonl`` and a ``train.jsonl`` of further ones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from eggym.dataset import DatasetTask
from eggym.errors import BadValue, unknown
from eggym.rows import Row, Source, value_of
from eggym.task import Item

from .box_terms import Check
from .code_grading import Grading
from .code_replies import last_code
from .code_rows import before_entry, humaneval_check
from .code_task import CodeTask

FORMS = ("chat", "raw")
_FIELDS = ("prompt", "canonical_solution", "entry_point", "test")
_HOW = "Complete this Python function. Answer with the whole function, in one fenced block."
_FUTURE = re.compile(r"^from __future__ import [^\n]*\n?", re.MULTILINE)  # stands before all else, or is no Python


class HumanEval(CodeTask, DatasetTask):
    """See the module's docstring."""

    id: ClassVar[str] = "eggym/humaneval-v0"
    source: ClassVar[Source] = "openai/openai_humaneval"
    max_new_tokens: ClassVar[int] = 768

    def __init__(
        self,
        data: Source | None = None,
        form: str = "chat",
        reward: str = "all",
        allow_unsafe_execution: str | None = None,
    ) -> None:
        """Take rows of another place, another form of the prompt, or other rules of judging."""
        super().__init__(data)
        if form not in FORMS:
            raise unknown("form of a prompt of HumanEval", str(form), FORMS)
        self.form, self.grading = form, Grading(reward, allow_unsafe_execution)
        self.difficulty = ({} if form == "chat" else {"form": form}) | self.grading.options()

    def rows(self) -> Mapping[str, Sequence[Row]]:
        """Return the rows as test; where there are several splits, those that there are."""
        found = super().rows()
        return {"test": next(iter(found.values()))} if len(found) == 1 else found

    def read(self, row: Row) -> Item:
        """Return the prompt, and the row as it is with what stands before its function."""
        truth = {name: str(value_of(row, name)) for name in _FIELDS}
        if not truth["test"].strip():
            raise BadValue("its test is empty")
        truth["before"] = before_entry(truth)
        asked = truth["prompt"] if self.form == "raw" else f"{_HOW}\n\n```python\n{truth['prompt'].strip()}\n```"
        return Item(asked, truth, {"task_id": row.get("task_id")})

    def work(self, item: Item, reply: str) -> Check | None:
        """Return the check of a reply."""
        code = last_code(reply)
        check = humaneval_check(item.truth, "", self.grading.limits)
        return replace(check, code=whole_program(code, item.truth)) if code else None

    def oracle(self, item: Item) -> str:
        """Return the reference solution: behind the prompt, in a fenced block."""
        return f"```python\n{item.truth['prompt']}{item.truth['canonical_solution']}\n```"


def whole_program(code: str, truth: Mapping[str, Any]) -> str:
    """Return the program that is run for the code of a reply; nothing of it is parsed here, for it may be anything."""
    name = re.escape(truth["entry_point"])
    begins_with_body = code.lstrip("\r\n")[:1] in (" ", "\t")
    if not begins_with_body and re.search(rf"^(?:(?:async[ \t]+)?def[ \t]+{name}\b|{name}[ \t]*[:=])", code, re.M):
        futures = "".join(f"{line.rstrip()}\n" for line in _FUTURE.findall(code))
        return f"{futures}{truth['before']}{_FUTURE.sub('', code)}"
    return f"{truth['prompt']}{_body(code)}"


def _body(code: str) -> str:
    """Return the lines of a body, up to one that is not indented; the first may have lost its indentation."""
    lines = code.strip("\r\n").split("\n")
    first = lines[0] if lines[0][:1] in (" ", "\t") else f"    {lines[0]}"
    end = next((n for n, line in enumerate(lines) if n and line.strip() and line[0] not in " \t"), len(lines))
    return "\n".join([first, *lines[1:end]]) + "\n"
