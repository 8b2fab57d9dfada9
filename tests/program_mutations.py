"""Mutants of a program's text, made without any knowledge of how the program came about."""

import ast
import copy

_OTHER = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.In: ast.NotIn,
          ast.Add: ast.Sub, ast.Sub: ast.Add}  # fmt: skip
_NAMES = {"min": "max", "max": "min"}


def mutated(code):
    """Yield (kind, code) of every program that differs from this one in one place."""
    tree = ast.parse(code)
    places = list(ast.walk(tree))
    for place, node in enumerate(places):
        for kind, change in _changes(node):
            other = copy.deepcopy(tree)
            change(list(ast.walk(other))[place])
            yield kind, ast.unparse(ast.fix_missing_locations(other))


def _changes(node):
    match node:
        case ast.Constant(int()):
            yield "off by one", lambda one: setattr(one, "value", one.value + 1)
            yield "off by one", lambda one: setattr(one, "value", one.value - 1)
        case ast.Compare():
            if type(node.ops[0]) in _OTHER:
                yield "another comparison", lambda one: one.ops.__setitem__(0, _OTHER[type(one.ops[0])]())
        case ast.BinOp(_, ast.Add() | ast.Sub(), _):
            yield "another sign", lambda one: setattr(one, "op", _OTHER[type(one.op)]())
        case ast.Name(name) if name in _NAMES:
            yield "smallest and largest", lambda one: setattr(one, "id", _NAMES[one.id])
        case ast.IfExp():
            yield "missed edge case", lambda one: setattr(one, "test", ast.Constant(True))
        case ast.Call() if any(keyword.arg == "default" for keyword in node.keywords):
            yield "missed edge case", lambda one: one.keywords.pop()
        case ast.FunctionDef():
            for number in range(1, len(node.body) - 1):
                yield "a line forgotten", lambda one, number=number: one.body.pop(number)
            for number in range(1, len(node.body) - 2):
                yield "wrong order", lambda one, number=number: one.body.insert(number, one.body.pop(number + 1))
