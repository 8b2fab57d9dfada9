"""The verb that measures. Heavy imports stand inside: help must cost little."""

from pathlib import Path
from typing import Annotated, Any

import typer

from eggym.flags import Json, Model, interruptible, one_thread, print_json

# each loads what it needs alone
_BENCHMARKS = {
    "engine": "bench",
    "envs": "bench_envs",
    "sandbox": "bench_sandbox",
    "rl": "bench_rl",
    "scale": "bench_scale",
}


def bench(
    what: Annotated[str, typer.Argument(help="What to measure: engine, envs, sandbox, rl or scale.")] = "engine",
    width: Annotated[int, typer.Option(help="Of a random Llama: 128, 256, 512. 64 is the embedded model.")] = 64,
    layers: Annotated[int, typer.Option(help="Of a random Llama.")] = 4,
    model: Model = None,
    rows: Annotated[int, typer.Option(help="Rows per member.")] = 1,
    population: Annotated[int, typer.Option(help="Members.")] = 256,
    prompt: Annotated[int, typer.Option(help="Tokens of a prompt.")] = 16,
    steps: Annotated[int, typer.Option(help="Tokens of a reply.")] = 16,
    rounds: Annotated[int, typer.Option(help="Fewer than 15 state no ratio.")] = 15,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    compiled: Annotated[bool, typer.Option("--compile", help="Decode with a compiled step.")] = False,
    part: Annotated[list[str] | None, typer.Option(help="One part; repeatable. None: all.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of arms.")] = 0,
    data: Annotated[
        str | None, typer.Option(help="envs: the public file of IFEval. sandbox: that of HumanEval.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the result to this JSON file.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the engine, environments, the sandbox for programs, RL beside TRL's, or worker processes, here.

    Of the options envs, sandbox, rl and scale take --rounds, --part, --seed, --data and --out.

    Arms run in random order in every round, beside a control; a ratio that the control cannot carry is refused.
    """
    from importlib import import_module

    from eggym.errors import unknown
    from eggym.files import unwritable, write_json

    if what not in _BENCHMARKS:
        raise unknown("benchmark", what, list(_BENCHMARKS))
    one_thread()
    chosen: Any = import_module(f"eggym.{_BENCHMARKS[what]}")
    for name in part or ():
        if name not in chosen.PARTS:
            raise unknown(f"part of the benchmark {what!r}", name, chosen.PARTS)
    parts = tuple(part) if part else chosen.PARTS
    if what == "engine":
        sizes = (width, layers, model, rows, population, prompt, steps, rounds)
        settings = chosen.Settings(*sizes, dtype, compiled, parts, seed)
    else:
        settings = chosen.Settings(parts, rounds, seed, data)
    if out is not None and not out.parent.is_dir():
        raise unwritable(out.parent, FileNotFoundError("there is no such folder"))
    with interruptible():
        result = chosen.run(settings, lambda line: typer.echo(line, err=True))
    if out is not None:
        write_json(out, result)
    if as_json:
        print_json(result)
    else:
        for name, value, beside in chosen.lines(result):
            typer.echo(f"{name:<38} {value:<12} {beside}")
