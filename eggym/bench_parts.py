"""The parts of `eggym bench engine`: each measures one thing and returns figures as plain values.

decode      pure decoding, the same again, EGGROLL, naive materialised members; prefill; whole against `generate`
update      `tell` with the factors kept from `ask`, in decode steps of the population
noise       grid normals per second and core
generation  a generation of training end to end, against the same rollout with the operator off
refill      the useful share of decoded rows when replies have exponential lengths
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
    FixedRows,
    Naive,
    Work,
    decode,
    generate,
    learner,
    nobody,
    opened,
    population,
    prefilled,
    random_policy,
    read,
    stock,
    whole,
)
from eggym.budget import FlopModel, Meter
from eggym.counter import as_key, grid_normals
from eggym.engine import Engine
from eggym.episode import Ending, Episode, EpisodeBatch, Segment, Turn
from eggym.files import sha256_json
from eggym.policy import EMBEDDED, Policy, Prompting, load_policy
from eggym.registry import load_task
from eggym.rollout import Rollout
from eggym.seeding import key, stream
from eggym.task import Item, Verdict, VerdictState
from eggym.timing import Arm, Clock, Quartiles, Ratio, Timing, measure

NAIVE_SAMPLE = 8  # members that the naive arm decodes; its time is scaled to all
GENERATE_AT_LEAST = 0.95  # of generate's speed, or the pure arm is a straw man
NAIVE_CLAIM = 8.0  # times as fast as naive members, at 1 row per member
GENERATION_CLAIM = 0.85  # of pure inference, end to end
GENERATION_TASK = "tiny-arithmetic"
SKEW_MEAN, SKEW_MOST = 32, 256  # tokens of a reply: exponential lengths, cut off
NORMALS = (64, 1 << 16)  # keys, normals for each
_CLOCKS: tuple[Clock, ...] = ("cpu", "wall")
_TWICE = ("pure", "pure again")
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
        return [_plain(timing.ratio(arm, base, _TWICE, claim, clock, objection)) for clock in _CLOCKS]

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

    step = Arm("decode step", lambda: prefilled(work, nobody()), lambda s: decode(s), share=work.steps - 1)
    timing = protocol.time([step, Arm("tell", unmoved, lambda one: one.tell(batch))])
    ratio = timing.ratio("tell", "decode step")
    return {"arms": timing.as_dict(), "ratios": [_plain(ratio)]}


def noise_part(protocol: Protocol) -> Figures:
    """Measure the generator of grid normals. A compiled one gained nothing (docs/decisions/0005)."""
    n_keys, n = NORMALS
    keys = torch.tensor([as_key(key("bench", "noise", number)) for number in range(n_keys)], dtype=torch.int64)
    timing = protocol.time([Arm("eager", nullcontext, lambda state: grid_normals(keys, n), _bytes)])
    rate = Quartiles.of([n_keys * n / one for one in timing.seconds("eager")])
    return {"arms": timing.as_dict(), "normals_per_cpu_s": {"eager": asdict(rate)}}


def generation_part(n_members: int, n_items: int, protocol: Protocol) -> Figures:
    """Measure ask, rollout with scoring, and tell on a task of the embedded model, against the rollout alone."""
    policy = named_plain()
    own = {name: weight.data.clone() for name, weight in policy.model.named_parameters()}

    @contextmanager
    def fresh() -> Iterator[Any]:
        try:
            yield learner(policy, n_members, n_items, sigma=0.04)
        finally:
            for name, weight in policy.model.named_parameters():
                weight.data.copy_(own[name])

    def on(es: Any) -> EpisodeBatch:
        return _generation(policy, es.ask(0), es)

    def off(es: Any) -> EpisodeBatch:
        return _generation(policy, nobody(like=shape), None)

    with fresh() as es:
        shape = es.ask(0)
        tokens = {"pure": _n_tokens(off(es))}  # before the weights move
        tokens["generation"] = _n_tokens(on(es))
    share = tokens["generation"] / tokens["pure"]
    arms = [
        Arm("pure", fresh, off, _replies),
        Arm("pure again", fresh, off, _replies),
        Arm("generation", fresh, on, _replies, share),
    ]
    timing = protocol.time(arms)
    ratios = [timing.ratio("generation", "pure", _TWICE, GENERATION_CLAIM, clock) for clock in _CLOCKS]
    return {"arms": timing.as_dict(), "ratios": [_plain(one) for one in ratios], "action_tokens": tokens}


def refill_part(n_rows: int, n_requests: int) -> Figures:
    """Count decoded rows over replies of exponential lengths: a random model in which some tokens end a reply."""
    policy = Skewed.of(random_policy(64, 1, 100))
    meter = Meter(FlopModel.of(policy.model))
    engine = FixedRows(policy, meter)
    engine.n_rows = n_rows
    n_members = max(2, n_rows // 8 * 2)  # four rows each
    n_items = n_requests // n_members
    task = load_task(GENERATION_TASK)
    prompting = Prompting.of(task, {"max_new_tokens": SKEW_MOST, "stop": ()})
    items = [task.item("train", number) for number in range(n_items)]
    # Drawn at random and each row by itself: greedy members would all go on to the limit, or all end alike.
    views = learner(policy, n_members, n_items, temperature=1.0, coupling="independent").ask(0)
    batch = Rollout(engine, task, prompting, 0).run(views, items, 0)
    n_all, n_useful = meter.row_steps
    lengths = [episode.n_action_tokens for episode in batch.episodes]
    useful = sum(lengths) - len(lengths)  # the first token of a reply comes from the prompt's logits
    locked = sum(
        len(lengths[start : start + n_rows]) * (max(lengths[start : start + n_rows]) - 1)
        for start in range(0, len(lengths), n_rows)
    )
    return {
        "rows": n_rows,
        "requests": len(lengths),
        "mean_length": sum(lengths) / len(lengths),
        "longest": max(lengths),
        "row_steps": n_all,
        "useful_share": n_useful / n_all,
        "lock_step_share": useful / locked,
    }


class Skewed(Policy):
    """A policy in which one token in `SKEW_MEAN` ends the reply."""

    @classmethod
    def of(cls, policy: Policy) -> "Skewed":
        """Make all predictions of a random model alike, so that lengths are nearly exponential."""
        for weight in policy.model.parameters():
            weight.data.mul_(0.1)
        return cls(policy.model, policy.tokenizer, "skewed")

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The first tokens of the vocabulary."""
        return tuple(range(round(self.model.config.vocab_size / SKEW_MEAN)))


def named_plain() -> Policy:
    """Load the embedded model with its end token."""
    return load_policy(EMBEDDED[0], "cpu", "float32")


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


def _generation(policy: Policy, views: Any, es: Any) -> EpisodeBatch:
    task = load_task(GENERATION_TASK)
    meter = Meter(FlopModel.of(policy.model))
    with meter.watch(policy.model):
        rollout = Rollout(Engine(policy, meter), task, Prompting.of(task, {}), 0)
        batch = rollout.run(views, [task.item("train", number) for number in range(views.n_items)], 0)
        if es is not None:
            es.tell(batch)
    return batch


def _n_tokens(batch: EpisodeBatch) -> int:
    return sum(episode.n_action_tokens for episode in batch.episodes)


def _replies(batch: EpisodeBatch) -> str:
    return sha256_json([segment.ids for episode in batch.episodes for segment in episode.segments])


def _bytes(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def _plain(ratio: Ratio) -> Figures:
    return dataclasses.asdict(ratio) | {"met": ratio.met}
