"""The verbs that run one model at a time: train, eval. Heavy imports stand inside them, so that help costs little."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.flags import (
    BudgetText,
    Config,
    Data,
    Device,
    DryRun,
    Dtype,
    Executor,
    Force,
    Json,
    KeepBest,
    KeepLast,
    Learners,
    Memory,
    Model,
    Out,
    RewardWorkers,
    Seed,
    Set,
    Split,
    Tasks,
    Track,
    Workers,
    console,
    interruptible,
    one_thread,
    print_json,
)


def train(
    task: Tasks = None,
    learner: Learners = None,
    model: Model = None,
    data: Data = None,
    split: Split = None,
    budget: BudgetText = None,
    seed: Seed = None,
    out: Out = None,
    memory: Memory = None,
    device: Device = None,
    dtype: Dtype = None,
    set_: Set = None,
    config: Config = None,
    dry_run: DryRun = False,
    workers: Workers = None,
    reward_workers: RewardWorkers = None,
    executor: Executor = "processes",
    track: Track = None,
    keep_last: KeepLast = None,
    keep_best: KeepBest = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run one learner on one task with one seed.

    The same command continues it. With --workers, processes play the episodes of an ES run, each with a copy of the
    model; any number of them gives the same result, and one that dies is replaced. With --reward-workers, processes
    judge the replies of any learner. With --executor ray both live on the Ray cluster of RAY_ADDRESS; without it, one
    is started on this machine that ends with the run. With --track tensorboard its curves are in RUN/track as it goes;
    eggym status RUN tells how far it is. Checkpoints are for going on; which of them stay changes no result.

    Under torchrun all its processes share the run, of RL too.

    Example: eggym train --task tiny-orders --learner eggroll --budget 1e11flops --out runs/mine

    Example: torchrun --nproc-per-node 2 -m eggym train --task tiny-orders --learner ppo --out runs/mine
    """
    from eggym.checkpoint import Keep
    from eggym.config_file import parse_set
    from eggym.settings import gather, run_config
    from eggym.torchrun import form, world
    from eggym.train import shared_out

    flags = {
        "task": task, "learner": learner, "model": model, "data": data, "split": split, "budget": budget,
        "seed": seed, "out": out, "memory": memory, "device": device, "dtype": dtype, "set": parse_set(set_ or []),
        "force": force or None,
    }  # fmt: skip
    settings, keep = gather(config, flags), Keep(keep_last, keep_best)
    force = settings.get("force", False)
    said = run_config(settings)
    if not dry_run:
        form(said.device)
    asked = shared_out(said, workers)
    if not dry_run:
        _train(asked, settings.get("out"), force, as_json, workers, executor, keep, reward_workers, track)
    elif not world()[0]:
        _show_single_plan(asked, force, keep, as_json, (workers, reward_workers, executor))


def eval_(
    task: Tasks = None,
    model: Model = None,
    data: Data = None,
    split: Split = None,
    seed: Annotated[int, typer.Option(help="Of the random numbers at temperature 1.")] = 0,
    items: Annotated[int, typer.Option(help="How many items.")] = 200,
    endpoint: Annotated[str | None, typer.Option(help="Address of a server that has the model.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests under way at a time.")] = None,
    out: Out = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing: answer from the requests in --out.")] = False,
    memory: Memory = None,
    device: Device = None,
    dtype: Dtype = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on tasks, greedy and sampled.

    Example: eggym eval --task tiny-orders --task tiny-programs --items 100

    Behind a server of chat completions (OpenAI's protocol), with the key in OPENAI_API_KEY:

    Example: eggym eval --endpoint http://localhost:8000/v1 --model NAME --task gsm8k --out evals
    """
    from eggym.config_file import parse_set

    if not task:
        raise typer.BadParameter("give at least one --task; eggym list shows them")
    settings: dict[str, Any] = {"memory": memory, "device": device, "dtype": dtype, "data": data}
    given = {name: value for name, value in settings.items() if value is not None}
    overrides = {"eval.items": items, **({"eval.split": split} if split else {}), **parse_set(set_ or [])}
    if endpoint is None:
        _refuse_without("endpoint", concurrency=concurrency, out=out, offline=offline or None)
        _show_scores(_evaluate(task, model or "embedded-v0", seed, overrides, given), as_json)
        return
    local = {name: value for name, value in given.items() if name != "data"}
    if local or model is None:
        raise typer.BadParameter(
            f"--{next(iter(local))} is of no use with --endpoint" if local else "--endpoint needs --model NAME"
        )
    if offline and out is None:
        raise typer.BadParameter("--offline needs --out FOLDER, which holds the requests")
    overrides |= {} if concurrency is None else {"endpoint.concurrency": concurrency}
    from eggym.served import plan_served
    from eggym.served_verb import ask_server, tell_spent

    with interruptible():
        plans = {name: plan_served(name, endpoint, model, seed, data, overrides) for name in task}
        found = ask_server(plans, Path(out) if out else None, offline)
    _show_scores(found, as_json)
    tell_spent(found)


def _evaluate(
    task: list[str], model: str, seed: int, overrides: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any]:
    from eggym.evaluate import evaluate

    one_thread()
    return {name: evaluate(name, model, seed, set=overrides, **given) for name in task}


def _refuse_without(flag: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise typer.BadParameter(f"--{name} goes with --{flag}")


def _show_scores(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        body = {
            name: {"greedy": one.greedy.model_dump(), "sampled": one.sampled.model_dump()}
            for name, one in found.items()
        }
        print_json(body)
        return
    from eggym.tables import print_rows

    with_truth = any("true" in score.parts for one in found.values() for _, score in _modes(one))
    rows = [(name, mode, *_score(score, with_truth)) for name, one in found.items() for mode, score in _modes(one)]
    truth = ("true", "gap") if with_truth else ()
    print_rows(console(), ("task", "mode", "mean", "standard error", *truth, "items", "states"), rows)


def _train(
    asked: Any,
    out: str | None,
    force: bool,
    as_json: bool,
    workers: int | None,
    executor: str,
    keep: Any,
    reward_workers: int | None,
    track: str | None,
) -> None:
    from eggym.config import resolve
    from eggym.progress import show_events
    from eggym.torchrun import end, here
    from eggym.track import tracking
    from eggym.train import default_folder, run_plan

    one_thread()
    plan = resolve(asked)
    folder = Path(out) if out else default_folder(plan)
    shown = None if here().rank else track
    with interruptible(), tracking(shown, folder, show_events(console(stderr=True))) as watch:
        record = run_plan(plan, folder, watch, force, workers, executor, keep, reward_workers)
    if here().rank:
        end()
    if as_json:
        print_json({"folder": str(folder), "record": record.model_dump(by_alias=True)})
    else:
        typer.echo(_came_of(record))
        typer.echo(str(folder))
    end()


def _came_of(record: Any) -> str:
    from eggym.gap import true_mean

    start, end = record.start(record.primary), record.final(record.primary)
    text = (
        f"{record.primary} reward on {record.task.id}: {start.mean:.3f} -> {end.mean:.3f} in {record.n_steps} updates"
    )
    true = true_mean(start), true_mean(end)
    return text if None in true else f"{text}; true reward: {true[0]:.3f} -> {true[1]:.3f}"


def _show_single_plan(asked: Any, force: bool, keep: Any, as_json: bool, crew: tuple[Any, Any, str]) -> None:
    from dataclasses import asdict

    from eggym.config import resolve
    from eggym.tables import print_plan
    from eggym.train import look_ahead, refuse_crew

    one_thread()
    plan = resolve(asked)
    refuse_crew(plan, *crew)
    found = look_ahead(plan, force, keep)
    row = {
        "task": plan.task.id,
        "learner": plan.label,
        "runs": 1,
        **asdict(found),
        "total_seconds": found.total_seconds,
    }
    if as_json:
        print_json(row)
    else:
        print_plan(console(), [row], 1)


def _modes(found: Any) -> list[tuple[str, Any]]:
    return [("greedy", found.greedy), ("sampled", found.sampled)]


def _score(score: Any, with_truth: bool) -> list[str]:
    from eggym.gap import gap, true_mean

    values = [score.mean, score.se, *((true_mean(score), gap(score)) if with_truth else ())]
    numbers = ["-" if value is None else f"{value:.3f}" for value in values]
    states = ", ".join(f"{count} {state}" for state, count in sorted(score.states.items()))
    return [*numbers, str(score.n_items), states]
