"""The parts of `eggym bench engine`: each measures one thing and returns figures as plain values.

decode      pure decoding, the same again, EGGROLL, naive materialised members; prefill; whole against `generate`
step        decoding alone over caches that are empty but as long as the prompts, for many rows: no prompt is read
update      `tell` with the factors kept from `ask`, in decode steps of the population
noise       grid normals per second and core
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from eggym.bench_arms import (
    Work,
    decode,
    generate,
    learner,
    nobody,
    opened,
    population,
    prefilled,
    pretended,
    read,
    stock,
    whole,
)
from eggym.bench_naive import Naive
from eggym.counter import as_key, grid_normals
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.files import sha256_json
from eggym.seeding import key, stream
from eggym.task import Item, Verdict, VerdictState
from eggym.timing import Arm, Clock, Quartiles, Ratio, Timing, measure

NAIVE_SAMPLE = 8  # members that the naive arm decodes; its time is scaled to all
GENERATE_AT_LEAST = 0.95  # of generate's speed, or the pure arm is a straw man
NAIVE_CLAIM = 8.0  # times as fast as naive members, at 1 row per member
NORMALS = (64, 1 << 16)  # keys, normals for each
CLOCKS: tuple[Clock, ...] = ("cpu", "wall")
TWICE = ("pure", "pure again")
STEP_TWICE = ("decode step", "decode step again")
Watch = Callable[[int], None]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Protocol:
    """How it is measured."""

    rounds: int = 15
    seed: int = 0
    watch: Watch = lambda number: None

    def time(self, arms: list[Arm]) -> Timing:
        """Measure some arms."""
        return measure(arms, self.rounds, self.seed, self.watch)


def decode_part(work: Work, claim: float, protocol: Protocol) -> Figures:
    """Measure decoding; all ratios to the pure arm are refused when that is slower than `generate` allows."""
    views = population(work.policy, work.population)
    said: dict[str, list[list[int]]] = {}
    timing = protocol.time(_decode_arms(work, views, said))
    slow = _straw_man(timing)

    def ratio(arm: str, base: str, claim: float | None = None, guard: bool = True) -> list[Figures]:
        objection = slow if guard else None
        return [plain(timing.ratio(arm, base, TWICE, claim, clock, objection)) for clock in CLOCKS]

    return {
        "arms": timing.as_dict(),
        "ratios": [
            *ratio("pure again", "pure"),
            *ratio("eggroll", "pure", claim),
            *ratio("eggroll prefill", "prefill"),
            *ratio("eggroll", "naive", NAIVE_CLAIM if work.rows == 1 else None),
            *ratio("whole", "generate", GENERATE_AT_LEAST, guard=False),
        ],
        "tokens": {
            "pure equals pure again": said["pure"] == said["pure again"],
            "pure agrees with generate": agreement(said["whole"], said["generate"]),
            "eggroll agrees with naive": agreement(_sampled(said["eggroll"], work), said["naive"]),
        },
    }


def step_part(work: Work, claim: float, protocol: Protocol) -> Figures:
    """Measure decoding alone, without prompts, `generate` and naive members: minutes where the whole takes an hour."""
    pure, views = nobody(), population(work.policy, work.population)
    arms = [Arm(name, lambda: pretended(work, pure), lambda session: decode(session)) for name in TWICE]
    timing = protocol.time([*arms, Arm("eggroll", lambda: pretended(work, views), lambda session: decode(session))])
    ratios = [timing.ratio("eggroll", "pure", TWICE, claim, clock) for clock in CLOCKS]
    return {"arms": timing.as_dict(), "ratios": [plain(one) for one in ratios]}


def update_part(work: Work, protocol: Protocol) -> Figures:
    """Measure `tell` against a decode step."""
    es = learner(work.policy, work.population, work.rows)
    es.ask(0)
    batch = told(work.population, work.rows)
    own = {name: weight.data.clone() for name, weight in work.policy.model.named_parameters()}

    @contextmanager
    def unmoved() -> Iterator[Any]:
        try:
            yield es
        finally:
            for name, weight in work.policy.model.named_parameters():
                weight.data.copy_(own[name])

    arms = [
        Arm(name, lambda: prefilled(work, nobody()), lambda s: decode(s), share=work.steps - 1) for name in STEP_TWICE
    ]
    timing = protocol.time([*arms, Arm("tell", unmoved, lambda one: one.tell(batch))])
    ratios = [timing.ratio("tell", STEP_TWICE[0], STEP_TWICE, clock=clock) for clock in CLOCKS]
    return {"arms": timing.as_dict(), "ratios": [plain(one) for one in ratios]}


def noise_part(protocol: Protocol) -> Figures:
    """Measure the generator of grid normals. A compiled one gained nothing (docs/decisions/0005)."""
    n_keys, n = NORMALS
    keys = torch.tensor([as_key(key("bench", "noise", number)) for number in range(n_keys)], dtype=torch.int64)
    timing = protocol.time([Arm("eager", nullcontext, lambda state: grid_normals(keys, n), _bytes)])
    rate = Quartiles.of([n_keys * n / one for one in timing.seconds("eager")])
    return {"arms": timing.as_dict(), "normals_per_cpu_s": {"eager": asdict(rate)}}


def told(n_members: int, n_items: int) -> EpisodeBatch:
    """Return a batch of one-token episodes with random rewards of 0 and 1."""
    rng = stream("bench", "rewards")
    return batch_of([[float(rng.randrange(2)) for _ in range(n_items)] for _ in range(n_members)])


def batch_of(rewards_N_P: list[list[float]], step: int = 0) -> EpisodeBatch:
    """Return the smallest batch that carries these rewards."""
    episodes = []
    for member, rewards_P in enumerate(rewards_N_P):
        for slot, reward in enumerate(rewards_P):
            verdict = Verdict(reward, VerdictState.CORRECT if reward == 1 else VerdictState.WRONG)
            segment = Segment([0, 0], [False, True], [0.0, 0.0])
            item, turn = Item("?", index=slot, split="train"), Turn("?", "", reward, 1)
            episodes.append(Episode(item, member, slot, 0, [segment], [turn], verdict, Ending.ANSWERED))
    return EpisodeBatch(step, episodes, len(rewards_N_P), len(rewards_N_P[0]), 1)


def agreement(ours: list[list[int]], theirs: list[list[int]]) -> Figures:
    """Return the shares of rows that are equal, and of tokens up to a row's first difference."""
    rows = list(zip(ours, theirs, strict=True))
    before = [next((i for i, (a, b) in enumerate(zip(x, y, strict=True)) if a != b), len(x)) for x, y in rows]
    return {
        "rows": sum(x == y for x, y in rows) / len(rows),
        "tokens": sum(before) / sum(len(x) for x, _ in rows),
    }


def _decode_arms(work: Work, views: Any, said: dict[str, list[list[int]]]) -> list[Arm]:
    def heard(name: str) -> Callable[[list[list[int]]], str]:
        def note(tokens: list[list[int]]) -> str:
            said[name] = tokens
            return sha256_json(tokens)

        return note

    def arm(name: str, prepare: Callable[[], Any], run: Callable[[Any], Any], share: float = 1.0) -> Arm:
        return Arm(name, prepare, run, heard(name), share)

    sample = naive_sample(work.population)
    naive = Naive(work, sample)
    pure = nobody()
    return [
        arm("pure", lambda: prefilled(work, pure), lambda session: decode(session)),
        arm("pure again", lambda: prefilled(work, pure), lambda session: decode(session)),
        arm("eggroll", lambda: prefilled(work, views), lambda session: decode(session)),
        arm("naive", lambda: naive.prepared(views), lambda one: one.decode(), len(sample) / work.population),
        Arm("prefill", lambda: opened(work, pure), lambda session: read(session, work)),
        Arm("eggroll prefill", lambda: opened(work, views), lambda session: read(session, work)),
        arm("whole", lambda: opened(work, pure), lambda session: whole(session, work)),
        arm("generate", lambda: stock(work.policy), lambda model: generate(model, work)),
    ]


def naive_sample(n_members: int) -> list[int]:
    """Return the members that the naive arm decodes, spread over the population."""
    n = min(NAIVE_SAMPLE, n_members)
    return [number * n_members // n for number in range(n)]


def _sampled(tokens: list[list[int]], work: Work) -> list[list[int]]:
    picked = [tokens[work.rows * one : work.rows * (one + 1)] for one in naive_sample(work.population)]
    return [row for rows in picked for row in rows]


def _straw_man(timing: Timing) -> str | None:
    found = Quartiles.of(timing.per_round("generate", "whole")).median
    if found >= GENERATE_AT_LEAST:
        return None
    return f"pure decoding runs at {found:.3f} of generate, below {GENERATE_AT_LEAST}: the base would be a straw man"


def _bytes(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def plain(ratio: Ratio) -> Figures:
    """Return a ratio as JSON values."""
    return dataclasses.asdict(ratio) | {"met": ratio.met}
