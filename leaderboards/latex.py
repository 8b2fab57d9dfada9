"""A board's table for papers: booktabs, with ranks, score and interval, the reward on every task, and the level.

Every text comes from strangers and is escaped, so that it cannot be a command. It compiles with pdflatex in its oldest
encoding too: what the usual fonts lack is told by its number.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from eggym.wording import short

from .board import Board
from .ranking import LEVEL

Row = Mapping[str, Any]
_OWN = "{*}"


def board_tex(board: Board, tables: Sequence[Row]) -> str:
    """Return one booktabs table for each table of the board: ranks, score with interval, a reward per task, level.

    It compiles with pdflatex, xelatex and lualatex, whatever the records say; it needs ``\\usepackage{booktabs}``.
    """
    head = f"% {tex(board.title)}: board {board.name}, version {board.version}. Needs \\usepackage{{booktabs}}.\n"
    return head + "".join(_tex_table(board, table, place) for place, table in enumerate(tables))


def tex(text: str) -> str:
    r"""Return a text for LaTeX: what it would obey is escaped, and what its fonts lack is told by its number.

    >>> tex("50% of a_b"), tex("\\input{x}")
    ('50\\% of a\\_b', '\\textbackslash{}input\\{x\\}')
    """
    return "".join(map(_tex_character, " ".join(text.split()))).replace("--", "-{}-").replace("--", "-{}-")


def _tex_table(board: Board, table: Row, place: int) -> str:
    tasks = [task["task"] for task in table["tasks"]]
    ranked = [row for row in table["rows"] if row["rank"] is not None]
    controls = [row for row in table["rows"] if row["rank"] is None]
    of = f" of {tex(table['division'])}" if table["division"] else ""
    own = f" {_OWN} settings of its own" if any(row["own_settings"] for row in table["rows"]) else ""
    says = f"{tex(board.title)}{of}: score from 0, the floor, to 1, the largest reward; mean reward by task.{own}"
    says += "".join(f" {tex(row['learner'])}: {tex(row['note'])}." for row in table["rows"] if row["note"])
    names = ["Rank", "Learner", "Kind", "Score", f"{LEVEL * 100:.0f}\\,\\% interval", *map(tex, map(short, tasks))]
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{says}}}",
        f"\\label{{tab:eggym-{board.name}{f'-{place + 1}' if place else ''}}}",
        f"\\begin{{tabular}}{{lllrl{'r' * len(tasks)}rl}}",
        "\\toprule",
        _tex_line([*names, "Seeds", "Level"]),
        "\\midrule",
        *(_tex_line(_tex_row(row, tasks)) for row in ranked),
        *(["\\midrule"] if ranked and controls else []),
        *(_tex_line(_tex_row(row, tasks)) for row in controls),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_row(row: Row, tasks: Sequence[str]) -> list[str]:
    first, last = row["rank"] or (None, None)
    rank = "--" if first is None else str(first) if first == last else f"{first}--{last}"
    score, rewards = row["score"], [row["tasks"].get(task, {}).get("mean") for task in tasks]
    interval = "--" if score["low"] is None else f"{_number(score['low'])} to {_number(score['high'])}"
    mark = f"\\,{_OWN}" if row["own_settings"] else ""
    level = "--" if row["level"] is None else f"L{row['level']}"
    cells = [rank, tex(row["learner"]) + mark, tex(row["kind"]), _number(score["mean"]), interval]
    return [*cells, *map(_number, rewards), str(len(row["seeds"])), level]


def _number(value: float | None) -> str:
    return "--" if value is None else f"${value:.3f}$"


def _tex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': "''",
    "[": "{[}",  # after \\ of the line before, a bracket would be its argument
    "]": "{]}",
    "*": "{*}",
}
_NOT_IN_EVERY_FONT = "ÐðÞþ"


def _tex_character(one: str) -> str:
    if one in _TEX or (one.isascii() and one.isprintable()):
        return _TEX.get(one, one)
    if "À" <= one <= "ÿ" and unicodedata.category(one).startswith("L") and one not in _NOT_IN_EVERY_FONT:
        return one
    return f"{{[}}U+{ord(one):04X}{{]}}"
