"""How much of the difference of twins is sampling: shared Gumbel vectors against independent uniforms.

Claim:  none; it reports, for members sampled at temperature 1, the variance of (f+ - f-) / 2 over the pairs of a
        population when all members draw the same random numbers for the same item, and when each draws its own.
Work:   the embedded model on its tasks, at the sigma of its profile and a quarter of it, 256 members x 16 items; and a
        random Llama with a vocabulary of 32,000 (one head of 64, two layers, logits of about the sharpness of a trained
        model), 256 members x 16 prompts x 16 tokens, whose reward is the share of even tokens.
Run:    python benchmarks/coupling.py --out benchmarks/results/coupling.json       (a few minutes)

`equal` is the share of twins' replies that are equal token by token; `ratio` is the independent variance over the
shared one: how many times more items independent draws would need for the same noise, where members hardly differ.
Greedy members stand beside them: no sampling at all.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from eggym.bench_arms import learner, random_policy
from eggym.budget import FlopModel, Meter
from eggym.counter import as_key
from eggym.engine import Engine
from eggym.episode import EpisodeBatch
from eggym.es.shaping import shape
from eggym.files import write_json
from eggym.machine import describe
from eggym.policy import Policy, Prompting, load_policy
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.sampling import Draw
from eggym.seeding import key, stream
from eggym.session import Sampling, Turn

MEMBERS, ITEMS, TOKENS, SIGMA = 256, 16, 16, 0.04
TASKS = ("tiny-arithmetic", "tiny-orders", "tiny-programs")
WAYS = {"shared": (1.0, "shared"), "independent": (1.0, "independent"), "greedy": (0.0, "shared")}
SHARPNESS = 6.0  # by which the random model's last norm multiplies


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    rows = [*embedded(), *wide()]
    for row in rows:
        print(
            "  ".join(f"{name} {value:.3g}" if isinstance(value, float) else str(value) for name, value in row.items())
        )
    if out:
        settings = {"members": MEMBERS, "items": ITEMS, "tokens": TOKENS}
        write_json(
            out, {"benchmark": "coupling", "format": 1, "machine": describe(), "settings": settings, "rows": rows}
        )


def embedded() -> Iterator[dict[str, Any]]:
    """Measure the embedded model on its tasks."""
    policy = load_policy("embedded-v0", "cpu", "float32")
    for name in TASKS:
        task = load_task(name)
        rollout = Rollout(Engine(policy, Meter(FlopModel.of(policy.model))), task, Prompting.of(task, {}), 0)
        items = [task.item("train", number) for number in range(ITEMS)]
        for sigma in (SIGMA, SIGMA / 4):
            found = {}
            for way, (temperature, coupling) in WAYS.items():
                options = {"sigma": sigma, "temperature": temperature, "coupling": coupling}
                batch = rollout.run(learner(policy, MEMBERS, ITEMS, **options).ask(0), items, 0)
                found[way] = (variance(batch), equal([one.segments[0].ids for one in batch.episodes]))
            yield row(name, sigma, found)


def wide() -> Iterator[dict[str, Any]]:
    """Measure a random model with a vocabulary of 32,000."""
    policy = random_policy(64, 2, 32_000)
    policy.model.model.norm.weight.data.mul_(SHARPNESS)
    for sigma in (0.01, 0.0025):
        found = {}
        for way, (temperature, coupling) in WAYS.items():
            said = replies(policy, sigma, Draw(temperature, coupling == "shared"))
            even_N_P = torch.tensor(said).remainder(2).eq(0).float().mean(-1).view(MEMBERS, ITEMS)
            found[way] = (spread_squared(even_N_P), equal(said))
        yield row("random-llama-64x2, 32000 tokens", sigma, found)


def replies(policy: Policy, sigma: float, draw: Draw) -> list[list[int]]:
    """Return the tokens of every member and prompt, in order of members."""
    views = learner(policy, MEMBERS, ITEMS, sigma=sigma).ask(0)
    rng, engine = stream("coupling", "prompts"), Engine(policy, Meter(FlopModel.of(policy.model)))
    prompts = [[rng.randrange(32_000) for _ in range(TOKENS)] for _ in range(ITEMS)]
    said = []
    with views.attach(policy.model) as attached:
        for start in range(0, MEMBERS, 16):
            members = [member for member in range(start, start + 16) for _ in range(ITEMS)]
            names = [
                (place % ITEMS,) if draw.shared else (place % ITEMS, members[place]) for place in range(len(members))
            ]
            turns = [
                Turn(place, prompts[place % ITEMS], as_key(key("coupling", *name))) for place, name in enumerate(names)
            ]
            with engine.open(attached, members, Sampling(draw, TOKENS), 2 * TOKENS, 2 * ITEMS) as session:
                session.begin(turns)
                rows = session.decode()
                said += [session.reply(place).ids for place in sorted(rows)]
    return said


def variance(batch: EpisodeBatch) -> float:
    """Return the mean square of (f+ - f-) / 2 over pairs."""
    return shape(batch.rewards_N_P_G()).spread ** 2


def spread_squared(rewards_N_P: torch.Tensor) -> float:
    """The same, of rewards."""
    return shape(rewards_N_P[:, :, None].numpy()).spread ** 2


def equal(replies: list[list[int]]) -> float:
    """Return the share of twins' replies that are equal."""
    pairs = [
        (2 * pair * ITEMS + item, (2 * pair + 1) * ITEMS + item)
        for pair in range(MEMBERS // 2)
        for item in range(ITEMS)
    ]
    return sum(replies[a] == replies[b] for a, b in pairs) / len(pairs)


def row(what: str, sigma: float, found: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Return what was found as one line of a table."""
    plain = {
        f"{way} {name}": value
        for way, pair in found.items()
        for name, value in zip(("variance", "equal"), pair, strict=True)
    }
    shared = found["shared"][0]
    return {"what": what, "sigma": sigma, **plain, "ratio": found["independent"][0] / shared if shared else None}


if __name__ == "__main__":
    main()
