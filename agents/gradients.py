"""Gradients of passes that are shared among ranks: each rank makes its own, and all take the same step.

Data parallelism by hand: micro-batches are dealt out, their gradients summed after the last one, in float32. Every
denominator counts the whole batch, which all ranks know, so a sum is what is wanted and never a mean over ranks. In
shards (`eggym.shards`) the sums are made layer by layer, and every rank makes as many passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from eggym.episode import Segment
from eggym.policy import Policy
from eggym.ranks import Ranks

from .scoring import micro_batches, score


@contextmanager
def gradients(policy: Policy, parameters: Mapping[str, nn.Parameter]) -> Iterator[dict[str, Tensor]]:
    """Let passes leave gradients of the parameters, which need none before and after.

    Behind the context, the dict holds those of all ranks by name; one that no pass reached is missing.
    """
    if policy.shards is not None:
        with policy.shards.training(parameters) as found:
            yield found
        return
    found = {}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
        parameter.grad = None
    try:
        yield found
        found |= summed_gradients(policy.ranks, parameters)
    finally:
        for parameter in parameters.values():
            parameter.requires_grad_(False)
            parameter.grad = None


def summed_gradients(ranks: Ranks, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the gradients that the parameters have, by name, summed over ranks."""
    own = {name: one.grad for name, one in parameters.items() if one.grad is not None}
    if ranks.size == 1:
        return own
    reached_R_N = [np.frombuffer(words, "?") for words in ranks.gather(bytes(name in own for name in parameters))]
    everywhere = [name for name, reached in zip(parameters, np.any(reached_R_N, 0), strict=True) if reached]
    found = {
        name: own[name].float() if name in own else torch.zeros_like(parameters[name], dtype=torch.float32)
        for name in everywhere
    }
    ranks.add([one.detach() for one in found.values()])
    return found


def own_batches(units: Sequence[Sequence[Segment]], max_tokens: int, policy: Policy) -> list[list[int]]:
    """Return the micro-batches of this rank, as `micro_batches`; one in shards may be empty (`idle_pass`)."""
    ranks = policy.ranks
    if ranks.size == 1:
        return list(micro_batches(units, max_tokens))
    dealt = []
    for share in shares(units, ranks.size):
        batches = micro_batches([units[index] for index in share], max_tokens)
        dealt.append([[share[place] for place in batch] for batch in batches])
    own = dealt[ranks.rank]
    return own if policy.shards is None else _stretched(own, max(map(len, dealt)))


def shares(units: Sequence[Sequence[Segment]], size: int) -> list[list[int]]:
    """Return the units of each rank, of about as many tokens; those with one prompt stay together where they can.

    A prompt is computed once for all that begin with it (`eggym.teacher_pass`).
    """
    lengths = [sum(len(segment.ids) for segment in unit) for unit in units]
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for index, unit in enumerate(units):
        by_prompt.setdefault(tuple(unit[0].ids[: unit[0].actions.index(True)]), []).append(index)
    together = list(by_prompt.values()) if len(by_prompt) >= size else [[index] for index in range(len(units))]
    found: list[list[int]] = [[] for _ in range(size)]
    held = [0] * size
    for group in sorted(together, key=lambda one: (-sum(lengths[index] for index in one), one[0])):
        least = held.index(min(held))
        found[least] += group
        held[least] += sum(lengths[index] for index in group)
    return found


def idle_pass(policy: Policy, segment: Segment, hidden: bool) -> None:
    """Pass one token and back without a gradient: in shards, nobody may stay behind."""
    token = Segment(segment.ids[:2], [False, True], [0.0, 0.0])
    nothing = score(policy, [token], 1.0, hidden=hidden).logprobs_M.sum() * 0.0
    if nothing.requires_grad:
        nothing.backward()  # type: ignore[no-untyped-call]


def _stretched(batches: list[list[int]], n: int) -> list[list[int]]:
    """Return n batches of the same units, large ones cut in two as long as there are any."""
    found = list(batches)
    while len(found) < n:
        largest = max(range(len(found)), key=lambda place: len(found[place]), default=0)
        one = found[largest] if found else []
        if len(one) < 2:
            found.append([])
            continue
        found[largest : largest + 1] = [one[: len(one) // 2], one[len(one) // 2 :]]
    return found
