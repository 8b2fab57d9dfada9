"""Peak memory of decoding with a population, over pure decoding: each in a process of its own.

In one process the second call would grow into what the first has freed but the allocator has kept, and cost nothing.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from eggym.bench_arms import Work, decode, nobody, policy_of, population, prefilled
from eggym.usage import peak_growth


@dataclass(frozen=True, slots=True)
class Recipe:
    """How another process makes the same work."""

    width: int
    layers: int
    model: str | None
    dtype: str
    population: int
    rows: int
    prompt: int
    steps: int
    compiled: bool

    def work(self) -> Work:
        """Load the model."""
        policy = policy_of(self.width, self.layers, self.model, self.dtype)
        return Work(policy, self.population, self.rows, self.prompt, self.steps, self.compiled)


def memory_part(recipe: Recipe) -> dict[str, Any]:
    """Measure both peaks, the factors of the population drawn within the call, and what the model's weights take."""
    peaks = {}
    for name in ("pure", "eggroll"):
        # a fresh interpreter, one after the other: a forked one would start with this one's memory
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            peaks[name] = pool.submit(peak_of, recipe, name == "eggroll").result()
    work = recipe.work()
    views = population(work.policy, work.population)
    weights = sum(weight.numel() * weight.element_size() for weight in work.policy.model.parameters())
    return {
        "peak_bytes": peaks,
        "over_pure_bytes": peaks["eggroll"] - peaks["pure"],
        "seated_factor_bytes": views.bytes_per_row(work.policy.model) * len(work.members),
        "weight_bytes": weights,
    }


def peak_of(recipe: Recipe, perturbed: bool) -> int:
    """Return by how many bytes decoding grows this process; a small call beforehand loads what the libraries keep."""
    import torch

    torch.set_num_threads(1)
    work = recipe.work()
    small = Work(work.policy, 16, 1, min(work.prompt, 16), 2, work.compiled)
    _decode(small, perturbed)
    return peak_growth(lambda: _decode(work, perturbed))


def _decode(work: Work, perturbed: bool) -> None:
    views = population(work.policy, work.population) if perturbed else nobody()
    with prefilled(work, views) as session:
        decode(session)
