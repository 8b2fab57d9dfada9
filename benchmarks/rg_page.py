"""Write docs/reasoning-gym.md's tables from envs/rg_table.json: python benchmarks/rg_page.py"""

from pathlib import Path

from eggym.envs.rg_table import Row, rows

PAGE = Path(__file__).parent.parent / "docs" / "reasoning-gym.md"
MARK = "<!-- written by benchmarks/rg_page.py -->"
HOW = {
    "theirs": "their full marks", "exact": "exact text", "one_of": "any valid answer", "arithmetic": "exact arithmetic",
    "antiderivative": "equal up to a constant", "probability": "to 1 in 1000", "number_list": "number by number",
    "same_words": "same words", "comma_list": "same list", "number": "equal number", "matrix": "same matrix",
    "number_matrix": "numbers to 0.01", "json_value": "same JSON value", "roles": "who is what",
    "interval": "same span",
}  # fmt: skip
SLOW_MS, LONG_CHARS, FEW = 20.0, 4000, 0.85


def main() -> None:
    """Replace what stands behind the mark."""
    head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    usable = {name: row for name, row in rows().items() if "refused" not in row}
    lines = [f"{head}{MARK}", "", "| task | judged by | floor | best blind reply | ms | levels | notes |"]
    lines += ["|---|---|---|---|---|---|---|", *(line(name, row) for name, row in usable.items())]
    lines += ["", "Refused:", "", "| task | why |", "|---|---|"]
    lines += [f"| `{name}` | {row['refused']} |" for name, row in rows().items() if "refused" in row]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def line(name: str, row: Row) -> str:
    """Return a task's line."""
    blind = " ".join(row["blind"].split())
    blind = f"{blind[:24]}..." if len(blind) > 24 else blind
    shown = f"`{blind}`" if row["floor"] >= 0.01 else ""
    levels = ", ".join(map(str, row["levels"]))
    cells = [
        f"`{name}`",
        HOW[row["score"]] + (", form checked" if "form" in row else ""),
        f"{row['floor']:.2f}",
        shown,
        f"{row['ms']:g}",
        levels,
        "; ".join(notes(row)),
    ]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def notes(row: Row) -> list[str]:
    """Return what is odd about a task, its own notes first."""
    few, drawn = (int(part) for part in row["distinct"].split(" of "))
    return [
        *row["notes"],
        *(["slow to generate"] if row["ms"] > SLOW_MS else []),
        *(["prompts up to {:,} characters".format(row["chars"])] if row["chars"] > LONG_CHARS else []),
        *([f"small: {row['distinct']} prompts differ"] if few < FEW * drawn else []),
        *([f"{row['size']:,} problems in all"] if "size" in row else []),
    ]


if __name__ == "__main__":
    main()
