"""`eggym bench rl`: a step of reinforcement learning, from prompts to an optimizer step, beside TRL's on equal work.

step    CPU seconds of a whole step, interleaved: the engine and `dr_grpo`; TRL's trainer as it comes, with gradient
        checkpointing; and without it. Each TRL is measured twice, as the control of its ratio
memory  peak of a process that does nothing else, its imports included, and what one further step adds to it
split   where the CPU seconds of our step go

The work is in `bench_rl_work`. No figure here is deterministic.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from eggym.bench import ratio_line
from eggym.bench_parts import plain
from eggym.bench_rates import Figures, Settings, Watch
from eggym.bench_rl_work import Ours, RlWork, Theirs, has_trl
from eggym.machine import describe
from eggym.origin import version
from eggym.timing import Arm, Quartiles, Timing, measure
from eggym.usage import peak_growth, peak_memory
from eggym.wording import size

PARTS = ("step", "memory", "split")
FORMAT = 1
WORK = RlWork()
EGGYM, DEFAULT, PLAIN = "eggym", "trl", "trl, no checkpointing"
CLAIMS = {DEFAULT: 1.5, PLAIN: 1.2}  # times as many episodes per CPU second
MISSING = {"skipped": "needs TRL: pip install 'eggym[trl]'"}
_PHASES = ("sampling", "forward", "backward", "optimizer", "rest")
__all__ = ["PARTS", "Settings", "lines", "run"]


def run(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Figures:
    """Measure, and return machine, settings and the figures of every part as plain JSON values."""
    before = describe() | {"trl": version("trl") if has_trl() else None}
    found: Figures = {}
    for part in settings.parts:
        say(part)
        watch = lambda number, part=part: say(f"{part}: round {number} of {settings.rounds}")  # noqa: E731
        found[part] = _MEASURES[part](settings, watch)
    return {
        "format": FORMAT,
        "benchmark": "rl",
        "machine": before | {"load_after": describe()["load"]},
        "settings": {"parts": list(settings.parts), "rounds": settings.rounds, "seed": settings.seed},
        "work": asdict(WORK),
        "parts": found,
    }


# -- the parts --------------------------------------------------------------------------------------------------------
def step_part(settings: Settings, watch: Watch) -> Figures:
    """Measure whole steps; each TRL is there twice, as two trainers with models of their own."""
    if not has_trl():
        return MISSING
    with ExitStack() as stack:
        arms = [_arm(EGGYM, Ours(WORK))]
        for base in CLAIMS:
            for name in (base, _again(base)):
                trainer = Theirs(WORK, base == DEFAULT)
                stack.callback(trainer.close)
                arms.append(_arm(name, trainer))
        timing = measure(arms, settings.rounds, settings.seed, watch)
    ratios = [timing.ratio(EGGYM, base, (base, _again(base)), claim) for base, claim in CLAIMS.items()]
    rates = {arm.name: _rate(timing, arm.name) for arm in arms}
    return {"arms": timing.as_dict(), "episodes_per_cpu_s": rates, "ratios": [plain(one) for one in ratios]}


def _again(base: str) -> str:
    return f"{base} again"


def _arm(name: str, stepper: Any) -> Arm:
    return Arm(name, lambda: nullcontext(stepper), lambda one: one.step(), _done)


def _done(result: Any) -> str:
    """Return what a step did, which must be the same for all arms."""
    lengths = result if isinstance(result, list) else [episode.n_action_tokens for episode in result.episodes]
    return f"{len(lengths)} episodes of {min(lengths)} to {max(lengths)} tokens"


def _rate(timing: Timing, arm: str) -> Figures:
    return asdict(Quartiles.of([WORK.items * WORK.replies / seconds for seconds in timing.seconds(arm)]))


def memory_part(settings: Settings, watch: Watch) -> Figures:
    """Measure peaks, each in a process of its own."""
    found = {}
    for name in (EGGYM, *(CLAIMS if has_trl() else ())):
        # a fresh interpreter, one after the other: a forked one would start with this one's memory
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found[name] = pool.submit(peaks, WORK, name).result()
    figures: Figures = {"peaks": found}
    others = [found[name]["process_bytes"] for name in CLAIMS if name in found]
    return figures | {"met": found[EGGYM]["process_bytes"] <= min(others) if others else None}


def peaks(work: RlWork, name: str) -> dict[str, int]:
    """Return the peak of this process after two steps, and by how many bytes a third grows it."""
    torch.set_num_threads(1)
    stepper: Any = Ours(work) if name == EGGYM else Theirs(work, name == DEFAULT)
    stepper.step()
    stepper.step()
    process = peak_memory()
    return {"process_bytes": process, "step_bytes": peak_growth(stepper.step)}


def split_part(settings: Settings, watch: Watch) -> Figures:
    """Measure the phases of our step, in CPU seconds: medians over rounds, after an untimed step."""
    ours = Ours(WORK)
    ours.step()
    readings: dict[str, list[float]] = {name: [] for name in _PHASES}
    for number in range(settings.rounds):
        for name, seconds in _phases(ours).items():
            readings[name].append(seconds)
        watch(number + 1)
    return {"cpu_s": {name: asdict(Quartiles.of(read)) for name, read in readings.items()}}


def _phases(ours: Ours) -> dict[str, float]:
    spent = dict.fromkeys(_PHASES, 0.0)
    with _clocked(spent, "sampling"):
        batch = ours.sample()
    began = time.process_time()
    with _told_apart(ours.policy.model, spent):
        ours.learner.tell(batch)
    known = sum(spent[name] for name in ("forward", "backward", "optimizer"))
    return spent | {"rest": time.process_time() - began - known}


@contextmanager
def _told_apart(model: Any, spent: dict[str, float]) -> Iterator[None]:
    """Add up the CPU seconds of the model's forward passes, of backward passes and of optimizers."""
    began = [0.0]

    def start(*anything: Any) -> None:
        began[0] = time.process_time()

    def stop(phase: str) -> Callable[..., None]:
        def note(*anything: Any) -> None:
            spent[phase] += time.process_time() - began[0]

        return note

    backward = torch.autograd.backward

    def timed(*args: Any, **kwargs: Any) -> None:
        with _clocked(spent, "backward"):
            backward(*args, **kwargs)

    hooks = [
        model.register_forward_pre_hook(start),
        model.register_forward_hook(stop("forward")),
        register_optimizer_step_pre_hook(start),
        register_optimizer_step_post_hook(stop("optimizer")),
    ]
    torch.autograd.backward = timed  # what Tensor.backward calls
    try:
        yield
    finally:
        torch.autograd.backward = backward
        for hook in hooks:
            hook.remove()


def _clocked(spent: dict[str, float], phase: str) -> AbstractContextManager[None]:
    @contextmanager
    def clock() -> Iterator[None]:
        began = time.process_time()
        yield
        spent[phase] += time.process_time() - began

    return clock()


# -- as a table -------------------------------------------------------------------------------------------------------
def lines(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return a result as rows of a table: what, its value, and how sure it is."""
    machine, work = result["machine"], result["work"]
    versions = f"torch {machine['torch']}, transformers {machine['transformers']}, trl {machine['trl'] or 'missing'}"
    load = machine["load"] and f", load {machine['load'][0]} before, {machine['load_after'][0]} after"
    yield machine["cpu"], f"{machine['cores']} cores", f"{machine['threads']} threads, {versions}{load or ''}"
    yield "one step", f"{work['items']} x {work['replies']}", f"prompts x replies of {work['tokens']} tokens"
    for part, figures in result["parts"].items():
        if "skipped" in figures:
            yield part, "not measured", figures["skipped"]
        yield from _rows(part, figures)


def _rows(part: str, figures: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, rate in figures.get("episodes_per_cpu_s", {}).items():
        done = ", ".join(figures["arms"][name]["fingerprints"])
        seconds = figures["arms"][name]["cpu_s"]["median"]
        yield f"{part}: {name}", f"{rate['median']:.4g}/s", f"episodes per CPU s; a step {seconds:.3g} s; {done}"
    for ratio in figures.get("ratios", ()):
        yield ratio_line(part, ratio)
    for name, peak in figures.get("peaks", {}).items():
        yield (
            f"{part}: {name}",
            size(peak["process_bytes"]),
            f"of the process; a further step {size(peak['step_bytes'])}",
        )
    if figures.get("met") is not None:
        yield f"{part}: not above TRL's", "met" if figures["met"] else "MISSED", "the lower of both"
    total = sum(one["median"] for one in figures.get("cpu_s", {}).values())
    for name, one in figures.get("cpu_s", {}).items():
        yield f"{part}: {name}", f"{one['median']:.4g} s", f"{one['median'] / total:.0%} of our step"


_MEASURES: dict[str, Callable[[Settings, Watch], Figures]] = {
    "step": step_part,
    "memory": memory_part,
    "split": split_part,
}
