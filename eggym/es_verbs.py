"""The verbs about evolution strategies: probe before a run, replay after it. Heavy imports stand inside them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.flags import (
    Config,
    Data,
    Device,
    Dtype,
    Json,
    Learners,
    Memory,
    Model,
    Seed,
    Set,
    Tasks,
    console,
    interruptible,
    one_thread,
    print_json,
)


def probe(
    task: Tasks = None,
    learner: Learners = None,
    model: Model = None,
    data: Data = None,
    seed: Seed = None,
    items: Annotated[int, typer.Option(help="How many validation items.")] = 32,
    members: Annotated[int, typer.Option(help="How many members at each sigma.")] = 32,
    sigma: Annotated[list[float] | None, typer.Option(help="One sigma of the grid. Repeatable.")] = None,
    memory: Memory = None,
    device: Device = None,
    dtype: Dtype = None,
    set_: Set = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Propose a sigma before training.

    Measures what perturbations of each size do to the policy, and trains nothing.

    Example: eggym probe --task tiny-orders --learner openai-es
    """
    from eggym.config_file import parse_set
    from eggym.probe import run_probe
    from eggym.settings import gather, run_config

    flags = {
        "task": task, "learner": learner, "model": model, "data": data, "seed": seed, "memory": memory,
        "device": device, "dtype": dtype, "set": parse_set(set_ or []),
    }  # fmt: skip
    settings = gather(config, flags)
    settings.setdefault("learner", ["eggroll"])
    one_thread()
    with interruptible():
        found = run_probe(run_config(settings, "probe"), items, members, sigma or ())
    if as_json:
        print_json(found.as_dict())
    else:
        _print_probe(found)


def replay(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.")],
    spot: Annotated[int, typer.Option(help="How many training episodes to sample again and compare.")] = 0,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
    out: Annotated[str | None, typer.Option(help="New folder for the rebuilt weights.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the start model lies now.")] = None,
    task: Annotated[str | None, typer.Option(help="The task's file or module:NAME, for --spot.")] = None,
    learner: Annotated[str | None, typer.Option(help="The learner's file or module:NAME.")] = None,
    data: Data = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Rebuild the weights of an ES run from its rewards.

    From seed, start weights and fitness.bin alone, and compare their hash with the record's; exit code 1 when anything
    differs.

    Example: eggym replay runs/mine --spot 8
    """
    from eggym.replay import replay as rebuild

    one_thread()
    with interruptible():
        found = rebuild(run, spot, seed, out, model=model, task=task, learner=learner, data=data, device=device)
    if as_json:
        print_json(found.as_dict())
    else:
        _print_replay(found)
    if not found.ok:
        raise typer.Exit(1)


def _print_probe(found: Any) -> None:
    from eggym.tables import print_rows

    rows = [
        (
            f"{row.sigma:.3g}",
            f"{row.reward:.3f}",
            "-" if row.kept is None else f"{row.kept:.0%}",
            f"{found.base - row.reward:+.3f}",
            f"{row.kl:.3g}",
            f"{row.spread:.3f}",
            f"{row.varied:.0%}",
        )
        for row in found.rows
    ]
    names = ("sigma", "reward", "kept", "drop", "KL per token", "spread of twins", "items that vary")
    print_rows(console(), names, rows)
    typer.echo(
        f"\nbase {found.base:.3f} on {found.n_items} validation items; {found.n_members} members at temperature "
        f"{found.temperature:g}; sampling alone would spread twins by {found.floor:.3f}"
    )
    typer.echo(f"--set {found.learner.removeprefix('random-reward:')}.sigma={found.sigma:.3g}: {found.why}")


def _print_replay(found: Any) -> None:
    from eggym.tables import print_rows
    from eggym.wording import printable

    if found.spots:
        names = ("step", "member", "item", "sample", "reward kept", "again", "digest kept", "again", "")
        print_rows(console(), names, [_spot(spot) for spot in found.spots])
        wrong = sum(bool(spot.differs) for spot in found.spots)
        typer.echo(f"{len(found.spots)} training episodes made again, {wrong} differ\n")
    for name in found.changed:
        typer.echo(printable(f"{name} is missing, or was changed since the run was finished"))
    typer.echo(f"recorded {found.recorded}\nrebuilt  {found.rebuilt}")
    where = "" if found.first_difference is None else f"; step {found.first_difference} is not the run's"
    typer.echo(f"{'equal' if found.equal else 'different'} after {found.n_steps} updates of {found.learner}{where}")


def _spot(spot: Any) -> tuple[str, ...]:
    rewards = ["-" if value is None else f"{value:.4g}" for value in (spot.reward_kept, spot.reward)]
    place = (spot.place.step, spot.place.member, spot.item, spot.place.sample)
    verdict = f"differs: {', '.join(spot.differs)}" if spot.differs else "same"
    return (*map(str, place), *rewards, (spot.digest_kept or "-")[:8], spot.digest[:8], verdict)
