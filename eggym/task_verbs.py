"""The verbs that look at tasks and finished runs, and bake. Heavy imports stand inside: help must cost little."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.flags import Data, Json, console, one_thread, print_json


def list_(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A learner or a task: its settings. `settings`: those of every run. A family of tasks: its ids."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List tasks and learners, the settings of one or of every run, or the tasks of a family or a namespace."""
    if name == "settings":
        _list_run_settings(as_json)
        return
    from eggym.plugins import faults
    from eggym.registry import family_table, is_task, learner_table, task_table

    families, tasks, learners = family_table(), task_table(), learner_table()
    for fault in faults():
        typer.echo(f"eggym: left out: {fault}", err=True)
    if name is not None:
        ids = (
            families[name][1] if name in families else {key: tasks[key] for key in tasks if key.startswith(f"{name}/")}
        )
        if ids:
            _list_family(ids, as_json)
        else:
            (_list_task if name not in learners and is_task(name) else _list_settings)(name, as_json)
        return
    if as_json:
        print_json(
            {
                "tasks": [{"id": name, "summary": line} for name, line in tasks.items()],
                "families": [
                    {"name": family, "summary": title, "tasks": list(table)}
                    for family, (title, table) in families.items()
                ],
                "learners": [{"name": name, "summary": line} for name, line in learners.items()],
            }
        )
        return
    from eggym.tables import print_rows

    rows = [
        (f"eggym/{family}-*", f"{len(table)} {title}; eggym list {family}")
        for family, (title, table) in families.items()
    ]
    print_rows(console(), ("task", ""), [*tasks.items(), *rows])
    console().print()
    print_rows(console(), ("learner", ""), list(learners.items()))
    typer.echo("\nSettings: eggym list LEARNER, eggym list TASK, and eggym list settings for those of every run.")


def check(
    task: Annotated[
        list[str] | None, typer.Argument(help="Tasks: id, my_task.py or module:NAME. None: every id.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check the contract of tasks; exit code 1 on a failure.

    Determinism, disjoint splits, oracle, floor, hostile replies and more: each rule is a row.
    """
    from eggym.check import check_all, check_task

    options: dict[str, Any] = {"data": data} if data else {}
    reports, without = ([check_task(name, **options) for name in task], {}) if task else check_all()
    if as_json:
        print_json({report.task: report.as_dict() for report in reports} | {"not checked": without})
    else:
        from eggym.tables import print_rows

        for report in reports:
            rows = [(one.rule, "ok" if one.passed else "FAILED", one.detail) for one in report.findings]
            print_rows(console(), (report.task, "", ""), rows)
            typer.echo()
        for name, reason in without.items():
            typer.echo(f"{name}: not checked, {reason}")
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def play(
    task: Annotated[str, typer.Argument(help="Task: id, my_task.py or module:NAME.")],
    split: Annotated[str, typer.Option(help="train, validation, test or test:SALT.")] = "train",
    item: Annotated[int, typer.Option(help="Which item.")] = 0,
    data: Data = None,
) -> None:
    """Play one episode of a task yourself.

    A reply is one line, or the lines of a fenced block, from ``` to ```.
    """
    from eggym.errors import EggymError
    from eggym.play import play as play_episode
    from eggym.registry import load_task

    loaded = load_task(task, **({"data": data} if data else {}))

    try:
        play_episode(loaded, split, item, input, typer.echo)
    except EOFError as problem:
        raise EggymError("the input ended before a reply: type one line, or a fenced block") from problem


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders of runs such as a duel's.")],
    target: Annotated[
        float, typer.Option(help="What counts as learnt: a share of the way from the frozen base to the top.")
    ] = 0.5,
    as_json: Json = False,
) -> None:
    """Compare finished runs, wherever they lie.

    Prints the table and the verdicts of a duel, and when each learner came to the target. Files that lie beside a
    record must be as the run left them.
    """
    from eggym.errors import UnknownName
    from eggym.outcome import summary
    from eggym.record import find_runs, load_measured, unfinished
    from eggym.result import finished_record
    from eggym.tables import print_summary

    found = [path for folder in runs for path in find_runs(folder)]
    if not found:
        raise UnknownName(f"no finished run in {', '.join(map(str, runs))}: there is no record.json at or below it")
    for path in dict.fromkeys(path for folder in runs for path in unfinished(folder)):
        typer.echo(f"eggym: not finished, and left out: {path}", err=True)
    records = [finished_record(path, whole=False) for path in dict.fromkeys(found)]
    measured = {record.id: load_measured(path) for record, path in zip(records, dict.fromkeys(found), strict=True)}
    numbers = summary(records, {name: one for name, one in measured.items() if one is not None}, target)
    if as_json:
        print_json(numbers)
    else:
        print_summary(console(), numbers, on_the_way=True)
        if not numbers["verdicts"]:
            typer.echo("no pair of ES and RL here, so there is no verdict")


def export(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    to: Annotated[Path, typer.Option(help="The new folder.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the folder.")] = False,
    as_json: Json = False,
) -> None:
    """Write a run's model as a folder for `from_pretrained`."""
    from eggym.export import export_run

    done = export_run(run, to, force)
    if as_json:
        print_json({"folder": str(done)})
    else:
        typer.echo(f"{done}: load it with transformers.AutoModelForCausalLM.from_pretrained({str(done)!r})")


def bake(
    out: Annotated[Path, typer.Option(help="The new folder.")],
    seed: Annotated[int, typer.Option(help="Of the weights and the lessons.")] = 0,
    model: Annotated[str, typer.Option(help="Which one: embedded-v0, embedded-v1 or embedded-v2.")] = "embedded-v0",
) -> None:
    """Rebuild an embedded base model from a seed (minutes)."""
    from eggym.bake import bake as bake_model

    one_thread()
    bake_model(out, seed, lambda line: typer.echo(line, err=True), name=model)
    typer.echo(str(out))


def _list_family(tasks: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json({"tasks": [{"id": name, "summary": line} for name, line in tasks.items()]})
        return
    from eggym.tables import print_rows

    print_rows(console(), ("task", ""), list(tasks.items()))


def _list_run_settings(as_json: bool) -> None:
    from dataclasses import asdict

    from eggym.setting_notes import run_settings

    notes = run_settings()
    if as_json:
        print_json({"settings": [asdict(note) for note in notes]})
        return
    from eggym.tables import print_rows

    print_rows(console(), ("setting", "default", ""), [(one.name, one.default, one.meaning) for one in notes])
    typer.echo("\nChange one with --set NAME=VALUE, the same for every learner. endpoint.*: eggym eval --endpoint.")
    typer.echo("task.NAME=VALUE sets an option of the task: eggym list TASK. Those of a learner: eggym list LEARNER.")


def _list_task(name: str, as_json: bool) -> None:
    from eggym.registry import task_class
    from eggym.task_notes import task_facts, task_options, told_of

    task = task_class(name)
    options, facts, told = task_options(task), task_facts(task), told_of(task)
    if as_json:
        print_json({"id": task.id, "options": options, **facts, "about": told})
        return
    from eggym.tables import print_rows

    typer.echo(f"{task.id}\n{told}\n" if told else task.id)
    rows = [(f"task.{name}", "" if value is None else str(value)) for name, value in options.items()]
    print_rows(console(), ("setting", "default"), [*rows, *((name, str(value)) for name, value in facts.items())])
    typer.echo(
        "\nChange one with --set task.NAME=VALUE; how it is asked, with --set prompt.NAME=VALUE (eggym list settings)."
        if options
        else "\nIt has no options; how it is asked is --set prompt.NAME=VALUE (eggym list settings)."
    )


def _list_settings(learner: str, as_json: bool) -> None:
    from eggym.learner import PROFILES, options_dict
    from eggym.registry import load_learner
    from eggym.setting_notes import meanings, nothing_to_set

    spec = load_learner(learner)
    values = {profile: options_dict(spec.resolve(profile, {})) for profile in PROFILES}
    if as_json:
        print_json({"name": spec.name, "kind": spec.kind, "profiles": values, "meanings": meanings(spec.options)})
        return
    from eggym.tables import print_rows

    told = meanings(spec.options)
    rows = [
        (name, *(str(values[profile][name]) for profile in PROFILES), told.get(name, ""))
        for name in values[PROFILES[0]]
    ]
    if rows:
        print_rows(console(), ("setting", *PROFILES, ""), rows)
        typer.echo(f"\nChange one with --set {learner.removeprefix('random-reward:')}.NAME=VALUE.")
        typer.echo("tiny: models below 20 M parameters; pretrained: larger ones.")
    else:
        typer.echo(f"{spec.name}: {nothing_to_set(spec.options)}")
    if spec.note:
        typer.echo(f"{spec.name}: {spec.note}.")
