"""Which part of a reply is the program: one case for each sentence of the rule."""

import time

import pytest

from eggym.envs.code_replies import last_code

CASES = {
    "no fence: the whole reply": ("def f(x): return x", "def f(x): return x"),
    "one block": ("Sure:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
    "the last of two": ("```python\nx = 1\n```\nBetter:\n```python\nx = 2\n```", "x = 2\n"),
    "tagged before untagged": ("```python\nx = 1\n```\nIt prints\n```\n1\n```", "x = 1\n"),
    "tagged before another language": ("```py\nx = 1\n```\nRun it:\n```bash\npython x.py\n```", "x = 1\n"),
    "without a tagged one the last": ("```\nx = 1\n```\n```\nx = 2\n```", "x = 2\n"),
    "upper case, space and more behind the tag": ("``` Python title=a.py\nx = 1\n```", "x = 1\n"),
    "cut off": ("Here:\n```python\nx = 1\ny =", "x = 1\ny =\n"),
    "tildes": ("~~~\nx = 1\n```\ny = 2\n~~~", "x = 1\n```\ny = 2\n"),
    "a longer fence holds a shorter one": ("````python\n'''\n```\n'''\n````", "'''\n```\n'''\n"),
    "in a list": ("1. First:\n   ```python\n   if x:\n       y = 1\n   ```", "if x:\n    y = 1\n"),
    "carriage returns": ("```python\r\nx = 1\r\n```\r\n", "x = 1\n"),
    "backticks within a line are no fence": ("Use `x` and ```x``` here", "Use `x` and ```x``` here"),
    "a tag does not close": ("```\na\n```python\nb\n```", "a\n```python\nb\n"),
    "a fence within a text of the program closes it": ("```py\nx = '''\n```\ny\n'''\n```", "x = '''\n"),
    "a fence behind words is none": ("x = 'a' # ```python\n```python\ny = 1\n```", "y = 1\n"),
    "fences of other lengths within": ("`````py\n```\n````\nx = 1\n`````", "```\n````\nx = 1\n"),
    "a closing fence may be longer": ("```py\nx = 1\n``````\ny", "x = 1\n"),
    "nested and cut off": ("````md\n```python\nx = 1\n```", "```python\nx = 1\n```\n"),
    "other white space is no indentation": ("\u00a0```python\nx = 1", "\u00a0```python\nx = 1"),
    "empty": ("", None),
    "white space": (" \n\t", None),
    "an empty block": ("```python\n```", None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_program_of_a_reply(name):
    reply, found = CASES[name]
    assert last_code(reply) == found


@pytest.mark.parametrize(
    "text",
    [
        "`" * 10**6,
        "```\n" * 250_000,
        " " * 10**6 + "`",
        "~" * 500_000 + "`" * 500_000,
        "`" * 500_000 + "\n```" * 125_000,
        "```python\n" * 100_000,
        " ```\n\t~~~\n" * 90_000,
    ],
)
def test_floods_of_fences_are_read_at_once(text):
    began = time.process_time()
    last_code(text)
    assert time.process_time() - began < 5
