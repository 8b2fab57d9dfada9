"""A session: rows that decode together, each at its own place, refilled as they finish.

A row belongs to one member of a population at a time. It answers a turn, keeps its cache for the next turn of its
episode, or is given to a new episode; meanwhile its neighbours go on. Rows come in groups whose members sit together
(the twins of a pair), so that their factors are held once for the group.

Results do not depend on which row answers what, when it is refilled, or who its neighbours are (fp32 on one CPU type):
at least 16 rows in every matrix product, a row's token n in its slot n, and sums over slots in multiples of 16, what
lies beyond a row's position adding exactly zero.

Axes in names: _R rows of the batch, _T new positions, _L tokens of a reply, _V vocabulary.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eggym.budget import Meter
from eggym.cache import BLOCK, SlotCache, ceil_block
from eggym.policy import Policy
from eggym.sampling import Draw
from eggym.step import run_step
from eggym.stops import Stops
from eggym.views import Attached

PATIENCE = 0.5  # refill once the rows that rest have cost so many passes: about what reading new prompts costs
SHRINK = 0.75  # released rows leave once the batch becomes so small


@dataclass(slots=True)
class Reply:
    """What one row sampled in one turn."""

    ids: list[int]  # all sampled tokens, the end token included
    logprobs: list[float]  # of the sampling distribution; 0.0 when greedy
    ended: bool  # the last token is an end token
    stopped: str | None = None  # the text, cut at a stop string, when one was reached

    @property
    def complete(self) -> bool:
        """Whether the reply came to an end by itself, rather than by the limit on tokens."""
        return self.ended or self.stopped is not None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How all replies of a session are drawn and where they end."""

    draw: Draw
    max_new_tokens: int  # of a reply, its end token included
    stop: tuple[str, ...] = ()  # a reply also ends when its text holds one of these


@dataclass(frozen=True, slots=True)
class Turn:
    """What a row is to read and answer."""

    row: int
    tokens: Sequence[int]
    key: int  # of its random numbers, as `eggym.counter.as_key` makes it
    fresh: bool = True  # a new episode; otherwise the row goes on from what it has read and said


@dataclass(slots=True)
class RowSteps:
    """How well a session was filled: decoding passes x rows, and how many of these belonged to a reply."""

    all: int = 0
    useful: int = 0


class Session:
    """Rows that decode together. Built by `eggym.engine.Engine.open`."""

    def __init__(
        self,
        policy: Policy,
        meter: Meter,
        attached: Attached,
        members: Sequence[int],
        group: int,
        sampling: Sampling,
        capacity: int,
        compiled: bool = False,
    ) -> None:
        """Seat one row for each entry of ``members``: a multiple of 16, in runs of ``group`` that sit together."""
        self._policy, self._meter, self._attached, self._sampling = policy, meter, attached, sampling
        self._device, self._compiled, self._group = policy.device, compiled, group
        self.cache = SlotCache(policy.model, len(members), capacity)
        self.row_steps = RowSteps()
        self.rows = list(range(len(members)))  # the row at each place of the batch; -1: none
        self._members = list(members)  # by place
        self._seat: Any = None
        self._taken: Any = None
        self._running: set[int] = set()
        self._released: set[int] = set()
        self._stops = Stops(policy, sampling.stop)
        self._ends_V: Tensor | None = None  # which tokens end a reply
        self._ahead_R_B: Tensor | None = None  # the uniforms of a block of steps
        self._ahead = 0  # how many of these steps were taken
        n_rows, n_tokens = len(members), sampling.max_new_tokens
        self._ids_R_L = self._zeros(n_rows, n_tokens + 1)  # a column more, where resting rows write
        self._logprobs_R_L = torch.zeros(n_rows, n_tokens + 1, device=self._device)
        self._token_R, self._count_R, self._key_R = self._zeros(n_rows), self._zeros(n_rows), self._zeros(n_rows)
        self._active_R, self._ended_R = self._zeros(n_rows).bool(), self._zeros(n_rows).bool()

    @property
    def busy(self) -> bool:
        """Whether any row has begun a turn that `decode` has not returned."""
        return bool(self._running)

    def assign(self, rows: Sequence[int], members: Sequence[int]) -> None:
        """Give resting rows to other members; the rows of a group must be given away together."""
        for row, member in zip(rows, members, strict=True):
            self._members[self.rows.index(row)] = member
        self._seat = None

    def begin(self, turns: Sequence[Turn]) -> None:
        """Let resting rows read their tokens and draw the first token of their reply."""
        for batch in _batches(turns):
            self._read(batch)
        self._running.update(turn.row for turn in turns)

    def decode(self) -> list[int]:
        """Go on until resting rows have cost half a pass, or none is left; return the rows whose reply is complete.

        Each of them is then to begin a turn or to be released.
        """
        rested = 0.0
        n_begun = n_active = int(self._active_R.sum())
        while n_active and rested < PATIENCE * len(self.rows):
            self._advance(n_active)
            n_active = int(self._active_R.sum())
            rested += n_begun - n_active
        going = {self.rows[place] for place in self._active_R.nonzero().flatten().tolist()}
        done = sorted(self._running - going)
        self._running &= going
        return done

    def reply(self, row: int) -> Reply:
        """Return the reply of a row that `decode` has returned, before it begins anew."""
        place = self.rows.index(row)
        n = int(self._count_R[place])
        ids, logprobs = self._ids_R_L[place, :n].tolist(), self._logprobs_R_L[place, :n].tolist()
        return Reply(ids, logprobs, bool(self._ended_R[place]), self._stops.found.get(row))

    def release(self, rows: Iterable[int]) -> None:
        """Say that these rows have nothing left to do; they leave the batch once that pays."""
        self._released.update(rows)
        places = self._packed()
        if places is not None:
            self._select(*places)

    def pretend(self, n_read: int) -> None:
        """Take it that every row has read ``n_read`` tokens and drawn one; nothing is computed (for benchmarks)."""
        self.cache.length_R[:], self._count_R[:], self._active_R[:] = n_read, 1, True
        self._ahead_R_B = None
        self._running = set(self.rows)

    # -- reading ------------------------------------------------------------------------------------------------------
    def _read(self, turns: Sequence[Turn]) -> None:
        """Compute the tokens of a batch of turns, and draw the first token of each reply."""
        places = [self.rows.index(turn.row) for turn in turns]
        at_B = torch.tensor(places, device=self._device)
        fresh_B = torch.tensor([turn.fresh for turn in turns], device=self._device)
        self.cache.length_R[at_B] = torch.where(fresh_B, 0, self.cache.length_R[at_B])
        pending = self._token_R[at_B].tolist()  # the last token of a reply waits to be computed until something follows
        lists = [[*([] if turn.fresh else [last]), *turn.tokens] for turn, last in zip(turns, pending, strict=True)]
        own, source = self._alike(turns, places)  # replies to one prompt read it once
        padded = [places[at] for at in own] + [places[own[0]]] * (ceil_block(len(own)) - len(own))
        shown = [lists[at] for at in own] + [lists[own[0]]] * (len(padded) - len(own))
        rows = torch.tensor(padded, device=self._device)
        self._take(self._attached.seat(self._members_at(padded)))
        logits_R_V = self._pass(rows, *self._laid_out(shown, self.cache.length_R[rows]))[: len(own)]
        if len(own) < len(turns):
            source_B = torch.tensor(source, device=self._device)
            self.cache.copy(rows[source_B], at_B, max(map(len, shown)))
            logits_R_V = logits_R_V[source_B]
        self.cache.length_R[at_B] += torch.tensor([len(one) for one in lists], device=self._device)
        self._key_R[at_B] = torch.tensor([turn.key for turn in turns], dtype=torch.int64, device=self._device)
        self._count_R[at_B], self._active_R[at_B] = 0, True
        self._ahead_R_B = None
        self._stops.forget(turn.row for turn in turns)
        self._draw(logits_R_V, at_B)

    def _alike(self, turns: Sequence[Turn], places: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the turns whose tokens are computed, and for each turn which of these stands for it.

        Fresh rows of one member that read the same tokens come to the same keys, values and logits, bit for bit.
        """
        own: list[int] = []
        found: dict[Any, int] = {}
        source = []
        for at, (turn, place) in enumerate(zip(turns, places, strict=True)):
            name = (self._members[place], tuple(turn.tokens)) if turn.fresh else at
            if name not in found:
                found[name] = len(own)
                own.append(at)
            source.append(found[name])
        return own, source

    def _laid_out(self, lists: Sequence[Sequence[int]], length_R: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
        """Return ids, positions and slots of new tokens, padded on the left, and how many slots are visible."""
        n_new = ceil_block(max(len(one) for one in lists))  # kernels of other sizes may round in another order
        ids_R_T = torch.full((len(lists), n_new), self._policy.pad_id, dtype=torch.int64)
        for place, one in enumerate(lists):
            ids_R_T[place, n_new - len(one) :] = torch.tensor(one, dtype=torch.int64)
        pads_R = torch.tensor([n_new - len(one) for one in lists], device=self._device)
        place_T = torch.arange(n_new, device=self._device)
        positions_R_T = length_R[:, None] + place_T - pads_R[:, None]
        visible = int(positions_R_T.max()) + 1
        spare = self.cache.reserve(visible)
        pad_R_T = place_T < pads_R[:, None]
        return (
            ids_R_T.to(self._device),
            torch.where(pad_R_T, 0, positions_R_T),
            torch.where(pad_R_T, spare, positions_R_T),
            visible,
        )

    # -- decoding -----------------------------------------------------------------------------------------------------
    def _advance(self, n_active: int) -> None:
        """Compute the drawn token of every active row and draw the next."""
        if self._seat is None:
            self._seat = self._attached.seat(self._members_at(range(len(self.rows))), self._group)
        self._take(self._seat)
        length_R, all_active = self.cache.length_R, n_active == len(self.rows)
        shown_R = length_R if all_active else torch.where(self._active_R, length_R, 0)
        visible = int(shown_R.max()) + 1
        spare = self.cache.reserve(visible)
        slots_R = length_R if all_active else torch.where(self._active_R, length_R, spare)
        logits_R_V = self._pass(None, self._token_R[:, None], shown_R[:, None], slots_R[:, None], visible)
        self.cache.length_R += self._active_R
        self.row_steps.all += len(self.rows)
        self.row_steps.useful += n_active
        self._draw(logits_R_V, None)

    def _pass(self, rows: Tensor | None, ids: Tensor, positions: Tensor, slots: Tensor, visible: int) -> Tensor:
        """Compute new positions and return the logits at the last of them, float32."""
        mask = self.cache.aim(rows, slots, visible)
        self._meter.computed(ids.shape[0], ids.shape[1], ceil_block(visible))
        laid = type(self._attached).__qualname__
        return run_step(self._policy.model, ids, positions, mask, self.cache, laid, self._compiled).float()

    def _draw(self, logits_B_V: Tensor, at_B: Tensor | None) -> None:
        """Draw a token for the active rows among these places; None: among all, which go on together."""
        sampling, everywhere = self._sampling, at_B is None
        place_B = self.cache.rows_R if at_B is None else at_B
        live_B, count_B, key_B, token_B, ended_B = (
            one if at_B is None else one[at_B]
            for one in (self._active_R, self._count_R, self._key_R, self._token_R, self._ended_R)
        )
        tokens_B = sampling.draw.tokens(logits_B_V, key_B, count_B, self._uniforms() if everywhere else None)
        column_B = torch.where(live_B, count_B, sampling.max_new_tokens)
        self._ids_R_L[place_B, column_B] = tokens_B
        if sampling.draw.temperature > 0:
            self._logprobs_R_L[place_B, column_B] = sampling.draw.logprobs(logits_B_V, tokens_B)
        ends_B = self._ends(tokens_B, logits_B_V.shape[1])
        count_B = count_B + live_B
        going_B = live_B & ~ends_B
        after = {
            "_token_R": torch.where(live_B, tokens_B, token_B),
            "_count_R": count_B,
            "_ended_R": torch.where(live_B, ends_B, ended_B),
            "_active_R": going_B & (count_B < sampling.max_new_tokens),
        }
        for name, value_B in after.items():
            if at_B is None:
                setattr(self, name, value_B)
            else:
                getattr(self, name)[at_B] = value_B
        if sampling.stop:
            self._stop(place_B[going_B].tolist())

    def _uniforms(self) -> Tensor | None:
        """Return the next uniform of every row, float64, (R,); a block of them costs little more than one."""
        if not self._sampling.draw.by_uniform:
            return None
        if self._ahead_R_B is None or self._ahead == BLOCK:
            self._ahead_R_B, self._ahead = self._sampling.draw.ahead(self._key_R, self._count_R, BLOCK), 0
        self._ahead += 1
        return self._ahead_R_B[:, self._ahead - 1]

    def _ends(self, tokens_B: Tensor, n_vocabulary: int) -> Tensor:
        """Say which of these tokens end a reply: bool, (B,)."""
        if self._ends_V is None:
            self._ends_V = torch.zeros(n_vocabulary, dtype=torch.bool, device=self._device)
            self._ends_V[[token for token in self._policy.eos_ids if token < n_vocabulary]] = True
        return self._ends_V[tokens_B]

    def _stop(self, places: list[int]) -> None:
        """End the replies whose text holds a stop string."""
        for place in places:
            last = int(self._token_R[place])
            if self._stops.may_end(last):
                ids = self._ids_R_L[place, : int(self._count_R[place])].tolist()
                if self._stops.cut(self.rows[place], ids):
                    self._active_R[place] = False

    # -- seats and places ---------------------------------------------------------------------------------------------
    def _take(self, seat: Any) -> None:
        if seat is not self._taken or seat is None:
            self._attached.take(seat)
            self._taken = seat

    def _members_at(self, places: Sequence[int]) -> Tensor:
        return torch.tensor([self._members[place] for place in places], dtype=torch.int64, device=self._device)

    def _packed(self) -> tuple[list[int], int] | None:
        """Return the places to keep and their new grouping, if the batch would shrink enough; -1: a place to spare.

        Groups must stay whole in memory, so that rows of one pair share factors; smaller groups waste fewer places.
        """
        staying = [place for place, row in enumerate(self.rows) if row >= 0 and row not in self._released]
        best: tuple[list[int], int] | None = None
        group = self._group
        while staying and group >= 1:
            places = self._in_groups(staying, group)
            if len(places) <= SHRINK * len(best[0] if best else self.rows):
                best = places, group
            group //= 2
        return best

    def _in_groups(self, staying: Sequence[int], group: int) -> list[int]:
        """Return places in runs of ``group`` that sit together, -1 where a run is not full; a multiple of 16."""
        runs: dict[int, list[int]] = {}
        for place in staying:
            runs.setdefault(place // self._group, []).append(place)
        places: list[int] = []
        for run in runs.values():
            places += run + [-1] * (-len(run) % group)
        return places + [-1] * (-len(places) % math.lcm(group, BLOCK))

    def _select(self, places: Sequence[int], group: int) -> None:
        source = [place if place >= 0 else _neighbour(places, at, group) for at, place in enumerate(places)]
        index = torch.tensor(source, device=self._device)
        self.cache.select(index)
        self.rows = [self.rows[place] if place >= 0 else -1 for place in places]
        self._members = [self._members[place] for place in source]
        for name in ("_ids_R_L", "_logprobs_R_L", "_token_R", "_count_R", "_key_R", "_active_R", "_ended_R"):
            setattr(self, name, getattr(self, name)[index])
        self._active_R &= torch.tensor([row >= 0 for row in self.rows], device=self._device)
        self._group, self._seat, self._ahead_R_B = group, None, None

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.int64, device=self._device)


def _neighbour(places: Sequence[int], at: int, group: int) -> int:
    """Return a place whose row may fill the gap at ``at``: of the same run, or the first of all."""
    run = places[at // group * group : (at // group + 1) * group]
    return next((place for place in run if place >= 0), places[0])


def _batches(turns: Sequence[Turn]) -> list[list[Turn]]:
    """Sort turns by length into batches of at least 16, so that short texts are not padded to the longest."""
    batches: list[list[Turn]] = []
    for turn in sorted(turns, key=lambda turn: -len(turn.tokens)):
        if batches and (len(batches[-1]) < BLOCK or 2 * len(turn.tokens) >= len(batches[-1][0].tokens)):
            batches[-1].append(turn)
        else:
            batches.append([turn])
    return batches
