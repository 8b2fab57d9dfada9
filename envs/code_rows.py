"""Rows of HumanEval and MBPP as checks: which text is the solution, which the tests, and what they may name.

The tests are those of the data sets, unchanged. Imports that the reference solution makes run beside the tests, as some
lean on them, and so do functions that a prompt of HumanEval defines beside its own; classes are the solution's.
Sources: Chen et al. 2021, "Evaluating Large Language Models Trained on Code" (HumanEval, MIT licence); Austin et al.
2021, "Program Synthesis with Large Language Models" (MBPP, CC BY 4.0, Google Research).
"""

import ast
import warnings
from collections.abc import Mapping
from typing import Any

from eggym.errors import BadValue

from .box_terms import Check, Limits


def humaneval_check(row: Mapping[str, Any], completion: str, limits: Limits | None = None) -> Check:
    """Return the check of a completion of a HumanEval prompt: one test, the row's ``check(candidate)``."""
    return Check(
        row["prompt"] + completion,
        (f"{row['test']}\ncheck(candidate)\n",),
        imports=_beside(row),
        names={"candidate": row["entry_point"]},
        limits=limits or Limits(),
    )


def mbpp_check(row: Mapping[str, Any], code: str, limits: Limits | None = None) -> Check:
    """Return the check of a solution of an MBPP row, of either set of rows: its asserts, one test each."""
    imports = "\n".join([*row.get("test_imports", ()), _imports_of(row["code"])])
    tests = tuple(row["test_list"])
    used = {node.id for test in tests for node in ast.walk(_parsed(test)) if isinstance(node, ast.Name)}
    return Check(
        code,
        tests,
        imports=imports,
        setup=row.get("test_setup_code", ""),
        names={name: name for name in _defined_by(row["code"]) if name in used},
        limits=limits or Limits(),
    )


def signatures_of(row: Mapping[str, Any]) -> list[str]:
    """Return the first lines of the functions and classes of a reference solution of MBPP that its tests name.

    >>> signatures_of({"code": "def f(x, k=2):\\n  return x", "test_list": ["assert f(1) == 1"]})
    ['def f(x, k=2)']
    """
    used = set(mbpp_check(row, "").names)
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = [node for node in _parsed(row["code"]).body if isinstance(node, kinds) and node.name in used]
    return [
        f"def {node.name}({ast.unparse(node.args)})" if isinstance(node, ast.FunctionDef) else f"class {node.name}"
        for node in found
    ]


def before_entry(row: Mapping[str, Any]) -> str:
    """Return what a prompt of HumanEval defines before its own function: imports, and functions to build on.

    Raises:
        BadValue: it does not define the function that it names.
    """
    tree = _parsed(row["prompt"] + row["canonical_solution"])
    own = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == row["entry_point"]]
    if not own:
        raise BadValue(f"its prompt defines no function {row['entry_point']!r:.60}")
    first = min([own[-1].lineno, *[each.lineno for each in own[-1].decorator_list]])
    return "".join(row["prompt"].splitlines(keepends=True)[: first - 1])


def _beside(row: Mapping[str, Any]) -> str:
    """Return what tests of HumanEval lean on besides the solution: imports, and the other functions of the prompt.

    A solution that gave these functions another meaning would be its own judge. With classes it is another matter:
    their objects live in the solution's process, and so must what makes them.
    """
    body = _parsed(row["prompt"] + row["canonical_solution"]).body
    kinds: tuple[type[ast.stmt], ...] = (ast.Import, ast.ImportFrom)
    if not any(isinstance(node, ast.ClassDef) for node in body):
        kinds = (*kinds, ast.FunctionDef)
    own = row["entry_point"]
    return "\n".join(ast.unparse(node) for node in body if isinstance(node, kinds) and getattr(node, "name", "") != own)


def _imports_of(code: str) -> str:
    """Return the import statements at the top of a reference solution."""
    kinds = (ast.Import, ast.ImportFrom)
    return "\n".join(ast.unparse(node) for node in _parsed(code).body if isinstance(node, kinds))


def _defined_by(code: str) -> list[str]:
    """Return the functions and classes of a reference solution: one of them may be called like a builtin."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in _parsed(code).body if isinstance(node, kinds)]


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some rows have escapes such as "\w" in plain strings
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as problem:
            raise BadValue(f"its code is no Python: {code!r:.60} ({problem})") from problem
