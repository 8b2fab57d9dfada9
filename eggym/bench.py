"""`eggym bench engine`: one run that measures the engine, and a report that can be read without having watched it.

Every ratio stands beside its control, and beside the reason where it is refused. Figures depend on the machine, so
nothing here is deterministic but the tokens; results of record are files in ``benchmarks/results``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from eggym.bench_arms import Work, policy_of
from eggym.bench_memory import Recipe, memory_part
from eggym.bench_parts import (
    NAIVE_SAMPLE,
    Figures,
    Protocol,
    decode_part,
    noise_part,
    step_part,
    update_part,
)
from eggym.bench_play import generation_part, refill_part
from eggym.errors import BadValue, unknown
from eggym.machine import describe
from eggym.policy import DTYPES
from eggym.timing import MIN_ROUNDS
from eggym.wording import size

PARTS = ("decode", "step", "update", "noise", "generation", "refill", "memory")
GENERATION_ITEMS = 4
REFILL_REQUESTS = 8  # for each row
FORMAT = 1
MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure."""

    width: int = 64  # 64: the embedded model; else a random Llama
    layers: int = 4
    model: str | None = None  # instead of width and layers
    rows: int = 1  # per member
    population: int = 256
    prompt: int = 16  # tokens
    steps: int = 16  # sampled tokens
    rounds: int = MIN_ROUNDS
    dtype: str = "float32"
    compiled: bool = False
    parts: tuple[str, ...] = PARTS
    seed: int = 0  # of the order of arms

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, least in (("layers", 1), ("rows", 1), ("population", 2), ("prompt", 1), ("steps", 2), ("rounds", 1)):
            if not least <= getattr(self, name) <= MOST:
                raise BadValue(f"{name} must lie from {least} to {MOST}, got {getattr(self, name)}")
        if self.population % 2:
            raise BadValue(f"population must be even for antithetic pairs, got {self.population}")
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)
        for part in self.parts:
            if part not in PARTS:
                raise unknown("part", part, PARTS)

    def recipe(self) -> Recipe:
        """Return how another process makes the same work."""
        return Recipe(
            self.width, self.layers, self.model, self.dtype,
            self.population, self.rows, self.prompt, self.steps, self.compiled,
        )  # fmt: skip


def run(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Figures:
    """Measure, and return machine, settings and the figures of every part as plain JSON values.

    Args:
        say: told what is being done, a line at a time.
    """
    policy = policy_of(settings.width, settings.layers, settings.model, settings.dtype)
    work = Work(policy, settings.population, settings.rows, settings.prompt, settings.steps, settings.compiled)
    before = describe()
    parts: dict[str, Callable[[Protocol], Figures]] = {
        "decode": lambda protocol: decode_part(work, claim_of(policy, settings), protocol),
        "step": lambda protocol: step_part(work, claim_of(policy, settings), protocol),
        "update": lambda protocol: update_part(work, protocol),
        "noise": lambda protocol: noise_part(protocol),
        "generation": lambda protocol: generation_part(
            settings.population, GENERATION_ITEMS, settings.compiled, protocol
        ),
        "refill": lambda protocol: refill_part(settings.population, REFILL_REQUESTS * settings.population),
        "memory": lambda protocol: memory_part(settings.recipe()),
    }
    found = {}
    for name in PARTS:
        if name in settings.parts:
            say(name)
            watch = _told(say, name, settings.rounds)
            found[name] = parts[name](Protocol(settings.rounds, settings.seed, watch))
    return {
        "format": FORMAT,
        "benchmark": "engine",
        "machine": before | {"load_after": describe()["load"]},
        "settings": asdict(settings) | {"parts": list(settings.parts)},
        "model": _model(work),
        "parts": found,
    }


def claim_of(policy: Any, settings: Settings) -> float:
    """Return which share of pure decoding is claimed: by hidden width, type and rows per member."""
    if int(policy.model.config.get_text_config().hidden_size) < 512:
        return 0.90
    return 0.92 if policy.dtype == torch.bfloat16 and settings.rows == 1 else 0.95


def lines(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return a result as rows of a table: what, its value, and how sure it is."""
    machine, model = result["machine"], result["model"]
    versions = f"torch {machine['torch']}, transformers {machine['transformers']}"
    yield machine["cpu"], f"{machine['cores']} cores, {machine['threads']} threads", f"{versions}, {_load(machine)}"
    yield (
        model["name"],
        model["dtype"],
        f"{model['rows']} rows, {model['prompt']} tokens read, {model['steps']} sampled",
    )
    for part, figures in result["parts"].items():
        for name, arm in figures.get("arms", {}).items():
            cpu, shown = arm["cpu_s"], ", ".join(one[:10] for one in arm["fingerprints"])
            yield f"{part}: {name}", f"{cpu['median']:.4g} s", f"{cpu['q1']:.4g} to {cpu['q3']:.4g}  {shown}".strip()
        for ratio in figures.get("ratios", ()):
            yield ratio_line(part, ratio)
        yield from _own_lines(part, figures)


def ratio_line(part: str, ratio: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return a ratio as a row of a table, beside its control or the reason why it is refused."""
    name = f"{part}: {ratio['arm']} / {ratio['base']}, {ratio['clock']}"
    control = ratio["control"]
    beside = f"control {control['q1']:.3f} to {control['q3']:.3f}" if control else "no control"
    if ratio["value"] is None:
        return name, "refused", f"{ratio['refused']}; {beside}"
    found = ratio["quartiles"]
    claim = f", claim {ratio['claim']:g} {'met' if ratio['met'] else 'MISSED'}" if ratio["claim"] else ""
    return name, f"{ratio['value']:.3f}", f"{found['q1']:.3f} to {found['q3']:.3f}, {beside}{claim}"


def _own_lines(part: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if part == "decode":
        for name, found in figures["tokens"].items():
            yield f"tokens: {name}", *_agreement(found)
    elif part == "noise":
        for name, rate in figures["normals_per_cpu_s"].items():
            yield f"noise: {name}", f"{rate['median'] / 1e6:.0f} M/s", "grid normals per second and core"
    elif part == "refill":
        lock_step = f"lock-step {figures['lock_step_share']:.3f}"
        yield "refill: useful share", f"{figures['useful_share']:.3f}", f"{lock_step}, {figures['requests']} requests"
    elif part == "memory":
        over, seated = size(figures["over_pure_bytes"]), size(figures["seated_factor_bytes"])
        yield "memory: over pure", over, f"factors {seated}, pure peak {size(figures['peak_bytes']['pure'])}"


def _agreement(found: Any) -> tuple[str, str]:
    if isinstance(found, bool):
        return ("yes" if found else "NO"), ""
    return f"{found['rows']:.1%}", f"of rows; {found['tokens']:.1%} of tokens up to a row's first difference"


def _load(machine: Mapping[str, Any]) -> str:
    load = machine["load"]
    return "" if load is None else f"load {load[0]} before, {machine['load_after'][0]} after"


def _model(work: Work) -> Figures:
    config = work.policy.model.config.get_text_config()
    return {
        "name": work.policy.name,
        "n_parameters": work.policy.n_parameters,
        "dtype": str(work.policy.dtype).removeprefix("torch."),
        "width": config.hidden_size,
        "inner": config.intermediate_size,
        "layers": config.num_hidden_layers,
        "vocabulary": config.vocab_size,
        "rows": len(work.members),
        "prompt": work.prompt,
        "steps": work.steps,
        "naive_members_timed": min(NAIVE_SAMPLE, work.population),
        "sampling": "greedy",
    }


def _told(say: Callable[[str], None], part: str, rounds: int) -> Callable[[int], None]:
    return lambda number: say(f"{part}: round {number} of {rounds}")
