"""What `eggym eval --endpoint` does besides the table: progress, and what the requests cost, on standard error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer


def ask_server(plans: Mapping[str, Any], out: Path | None, offline: bool) -> dict[str, Any]:
    """Evaluate each plan (`eggym.served.ServedPlan`), telling ten times in each mode how far it is."""
    from eggym.served import evaluate_served

    return {name: evaluate_served(plan, out, offline, _progress(name)) for name, plan in plans.items()}


def tell_spent(found: Mapping[str, Any]) -> None:
    """Tell what the requests of each evaluation cost, and where it was written."""
    for name, one in found.items():
        spent = one.spent
        counts = [
            f"{spent.requests} requests ({spent.retries} retries, {spent.lost} lost)",
            f"{spent.recorded} answers from the recording",
            f"{spent.prompt_tokens} prompt and {spent.completion_tokens} completion tokens",
        ]
        counts += [f"{spent.unmetered} answers without counts of tokens"] * bool(spent.unmetered)
        _tell(f"{name}: {', '.join(counts)}" + (f"; written to {one.folder}" if one.folder else ""))
        if one.ignores_temperature:
            _tell(f"{name}: all replies at temperature 1 are the greedy ones; does it sample? (docs/endpoints.md)")


def _progress(name: str) -> Any:
    def watch(mode: str, over: int, total: int) -> None:
        if over * 10 // total > (over - 1) * 10 // total:
            _tell(f"{name}, {mode}: {over} of {total} episodes")

    return watch


def _tell(line: str) -> None:
    typer.echo(line, err=True)
