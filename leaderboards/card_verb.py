"""The verb ``eggym board card``: what a row says on the page of its model on the hub."""

from typing import Annotated

import typer

from .options import HOME, Root


def card(
    row: Annotated[str, typer.Argument(help="BOARD/LEARNER.")],
    dataset: Annotated[str, typer.Option(help="ORG/NAME of the dataset that the board is published as.")],
    records: Annotated[str, typer.Option(help="Address of the folder with its records, https://...")],
    index: Annotated[
        str | None, typer.Option("--model-index", help="In the older form, with this name of the model.")
    ] = None,
    root: Root = HOME,
) -> None:
    """Write a row as evaluation results for a model's page on the hub.

    The text of .eval_results/eggym-BOARD.yaml or, with --model-index, metadata for the model's README. Nothing is sent.

    Example: eggym board card tiny-default/eggroll --dataset ORG/NAME --records https://ORG.github.io/NAME/records
    """
    from eggym.errors import BadValue

    from .cards import Links, eval_results_yaml, model_index
    from .collecting import collect
    from .place import Place
    from .standing import standings

    name, _, learner = row.partition("/")
    held = collect(Place(root), name)
    found = [(table, standings(table)) for table in held.tables()]
    told = [numbers for _, numbers in found if any(one["learner"] == learner for one in numbers["rows"])]
    if not told:
        known = ", ".join(one["learner"] for _, numbers in found for one in numbers["rows"]) or "none"
        raise BadValue(f"board {name!r} has no row {learner!r}; its rows: {known}")
    links = Links(dataset, records)
    for numbers in told:
        if index is None:
            typer.echo(eval_results_yaml(held.board, numbers, learner, links), nl=False)
        else:
            typer.echo(model_index(held.board, numbers, learner, links, index).to_yaml())
