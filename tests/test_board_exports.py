"""What a board gives away: tables for spreadsheets, papers and programs."""

import copy
import csv
import io
import json
import re
import shutil
import subprocess

import pytest

from eggym.leaderboards.collecting import collect
from eggym.leaderboards.exports import OVERALL, board_csv, board_json, board_tex, safe_text
from eggym.leaderboards.latex import tex
from eggym.leaderboards.standing import standings

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "  =1+1",
    "\n=1",
    "a;=1+1",
    "a; @x",
    "\uff1d1",
    '=HYPERLINK("http://x","y")',
    "\\input{/etc/passwd} \\write18{x} $ & # % _ ^ ~ { } [3] ` ' \" < > | -- --- ?` \u00e9\u00f0\u4e2d\u202e\U0001f600",
]


@pytest.fixture(scope="module")
def small(small_place):
    found = collect(small_place, "small", thorough=True)
    assert found.ok and len(found.found) == 30
    return found.board, [standings(table) for table in found.tables()]


@pytest.fixture
def hostile(small):
    """The same, with names and notes that a stranger might send."""
    board, (table,) = copy.deepcopy(small)
    table["rows"] = [
        {**copy.deepcopy(row), "learner": name, "note": name, "by": [name], "own_settings": [name]}
        for row, name in zip(table["rows"] * 3, HOSTILE, strict=False)
    ]
    return board.model_copy(update={"title": HOSTILE[-1], "about": HOSTILE[0]}), [{**table, "division": HOSTILE[-1]}]


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_learner_has_a_line_for_each_task_and_one_over_all(small):
    board, (table,) = small
    found = [(line["learner"], line["task"]) for line in lines(board_csv(*small))]
    assert found == [(row["learner"], task) for row in table["rows"] for task in (OVERALL, *board.labels)]


def test_numbers_keep_every_digit(small):
    _, (table,) = small
    for line in lines(board_csv(*small)):
        row = next(row for row in table["rows"] if row["learner"] == line["learner"])
        rank = row["rank"] if line["task"] == OVERALL else row["tasks"][line["task"]].get("rank")
        assert (line["rank_first"], line["rank_last"]) == (tuple(map(str, rank)) if rank else ("", ""))
        assert (line["level"], line["seeds"]) == (str(row["level"]), "0 1 2")
        if line["task"] == OVERALL:
            assert [float(line[f"score{end}"]) for end in ("", "_low", "_high")] == [
                row["score"][end] for end in ("mean", "low", "high")
            ]
            continue
        told = row["tasks"][line["task"]]
        assert float(line["reward"]) == told["mean"] and float(line["score"]) == told["score"]
        assert float(line["spent_flops"]) == told["numbers"]["spent"]["flops"]


def test_what_a_learner_spent_over_all_tasks_is_their_sum(small):
    found = lines(board_csv(*small))
    for name in ("spent_episodes", "spent_flops", "cpu_s"):
        parts = [float(line[name]) for line in found[1:3]]
        assert float(found[0][name]) == pytest.approx(sum(parts))


def test_a_missing_number_is_an_empty_field(small):
    board, (table,) = copy.deepcopy(small)
    table["rows"][0]["score"] = {"mean": None, "low": None, "high": None, "n": 0}
    first = lines(board_csv(board, [table]))[0]
    assert (first["score"], first["score_low"], first["reward"]) == ("", "", "")
    assert " & -- & -- & " in board_tex(board, [table])


def test_a_negative_number_stays_a_number(small):
    board, (table,) = copy.deepcopy(small)
    table["rows"][0]["score"] |= {"low": -0.125}
    assert lines(board_csv(board, [table]))[0]["score_low"] == "-0.125"


def test_no_text_is_a_formula(hostile):
    text = board_csv(*hostile)
    for line in lines(text):
        for name in ("learner", "note", "by", "own_settings", "division"):
            assert not re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]", line[name]), line[name]
    # nor where a spreadsheet splits at semicolons instead, or does not know of quotes
    assert not re.search(r"[;\t\r]\s*[=+\-@]", text)
    assert len(lines(text)) == len(text.splitlines()) - 1  # nothing breaks a line


@pytest.mark.parametrize(
    "text", ["eggroll@mine", "random-reward:dr_grpo", "a - b", "see https://x.org/?a=1", "caf\u00e9"]
)
def test_a_harmless_text_is_left_alone(text):
    assert safe_text(text) == text


def test_the_json_has_texts_as_they_are_and_says_its_form(hostile):
    board, (table,) = hostile
    found = json.loads(board_json(board, [table]))
    assert (found["schema"], found["kind"]) == (1, "eggym.board-table")
    assert [row["learner"] for row in found["tables"][0]["rows"]] == HOSTILE
    assert found["board"]["set"]["eggroll.population"] == 8 and found["board"]["seeds"] == [0, 1, 2]


def test_the_same_board_gives_the_same_bytes(small_place, small):
    again = collect(small_place, "small")
    tables = [standings(table) for table in again.tables()]
    for export in (board_csv, board_json, board_tex):
        assert export(*small) == export(again.board, tables)


def test_nothing_in_a_text_is_a_command_of_latex():
    assert tex("\\input{x}") == r"\textbackslash{}input\{x\}"
    assert tex("a_b & c% $x$ #1 ^~") == r"a\_b \& c\% \$x\$ \#1 \textasciicircum{}\textasciitilde{}"
    assert tex("\u4e2d\u202e\x07") == "{[}U+4E2D{]}{[}U+202E{]}{[}U+0007{]}"
    assert tex("--set ---") == "-{}-set -{}-{}-"


def test_every_line_of_the_latex_table_has_as_many_cells(hostile):
    text = board_tex(*hostile)
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == len(HOSTILE) + 1
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    commands = set(re.findall(r"\\([A-Za-z]+)", text))
    ours = {"begin", "end", "centering", "caption", "label", "usepackage", "toprule", "midrule", "bottomrule"}
    assert commands - ours <= {
        *("textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "textasciigrave")
    }


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("encoding", ["OT1", "T1"])
def test_it_compiles(hostile, tmp_path, encoding):
    body = board_tex(*hostile)
    font = r"\usepackage[T1]{fontenc}" if encoding == "T1" else ""
    text = f"\\documentclass{{article}}{font}\\usepackage{{booktabs}}\\begin{{document}}\n{body}\\end{{document}}\n"
    (tmp_path / "board.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "board.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout + (tmp_path / "board.log").read_text(errors="replace")
