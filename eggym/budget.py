"""Budgets, and the meter that says what was spent.

The engine, the loop and hooks on the policy feed the meter; a learner cannot under-report. FLOPs are counted twice:

- *budget FLOPs*, the default axis, because they are deterministic: every position of an episode that had to be
  computed, once, attention included and pads, re-reads and refill waste left out; plus the texts that the learner's own
  forward and backward passes process, each whole: a prompt that several begin with counts for every one of them, in
  sampling and in training. Formula version 1, per position with c visible positions: ``2 body + 4
  attention c``, and ``2 head`` where logits were needed; backward twice the forward (Kaplan et al. 2020, appendix B,
  with attention added), and the layers' forward once more under gradient checkpointing.
- *computed FLOPs*, what the passes really multiplied: pads, waste and a population's low-rank terms included, and a
  shared prompt once; a learner's backward pass by the same rule of twice the forward, though weights that are not
  trained need less. The arithmetic of an update (a few operations per weight) is in neither.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from eggym.episode import Episode, Segment
from eggym.errors import BadValue
from eggym.quantised import named_weights
from eggym.usage import Sandboxed, family_cpu_s, sandboxed

FORMULA_VERSION = 1
Axis = Literal["episodes", "tokens", "flops", "cpu-s", "s"]
_UNITS: dict[str, tuple[Axis, float]] = {
    "episodes": ("episodes", 1),
    "tokens": ("tokens", 1),
    "flops": ("flops", 1),
    "cpu-s": ("cpu-s", 1),
    "s": ("s", 1),
    "min": ("s", 60),
    "h": ("s", 3600),
}
REPEATABLE: tuple[Axis, ...] = ("episodes", "tokens", "flops")  # axes on which equal runs end equally


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one run may spend, on one axis. ``tokens`` are all tokens of the episodes, prompts included."""

    axis: Axis
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read ``512episodes``, ``2e6tokens``, ``1e18flops``, ``60cpu-s``, ``90s``, ``10min`` or ``2h``."""
        match = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([a-z-]+)\s*", str(text))
        if match is None or match[2] not in _UNITS:
            raise BadValue(
                f"budget {text!r} is not a number and a unit; use for example 512episodes, 2e6tokens, 1e18flops, "
                f"60cpu-s or 10min (units: {', '.join(_UNITS)})"
            )
        axis, factor = _UNITS[match[2]]
        try:
            limit = float(match[1]) * factor
        except ValueError as problem:
            raise BadValue(f"budget {text!r} is not a number and a unit, such as 512episodes") from problem
        if not 0 < limit < float("inf"):
            raise BadValue(f"budget must be above 0 and finite, got {text!r}")
        return cls(axis, limit)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        short = f"{self.limit:.0f}" if self.limit < 1e6 else f"{self.limit:g}".replace("e+", "e")
        return f"{short if float(short) == self.limit else repr(self.limit)}{self.axis}"


@dataclass(frozen=True, slots=True)
class FlopModel:
    """What a position costs in one model: multiply-accumulates of its matrices, and its attention width."""

    body: int  # weights of all matrices that a position passes, the output head left out
    head: int  # vocabulary x hidden size
    attention: int  # heads x head size, summed over layers

    @classmethod
    def of(cls, model: nn.Module) -> "FlopModel":
        """Read the sizes off a transformers model.

        In a mixture of experts, a 3-D weight counts for the experts that a token is sent to.
        """
        config = model.config.get_text_config()  # type: ignore[operator, union-attr]
        try:
            layers, heads = int(config.num_hidden_layers), int(config.num_attention_heads)
            head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        except (AttributeError, TypeError) as problem:
            raise BadValue(
                f"model of type {config.model_type!r} has no attention heads; the engine decodes transformers only"
            ) from problem
        output = model.get_output_embeddings()  # type: ignore[operator]
        embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        skip = embeddings | ({id(output.weight)} if output is not None else set())
        body = sum(_active(weight, config) for _, weight in named_weights(model) if id(weight) not in skip)
        head = int(output.weight.numel()) if output is not None else 0
        return cls(body, head, layers * heads * int(head_dim))

    def forward(self, positions: int, pairs: int, heads: int) -> int:
        """Return the FLOPs of ``positions`` that see ``pairs`` positions in all, with logits at ``heads`` of them."""
        return 2 * self.body * positions + 4 * self.attention * pairs + 2 * self.head * heads

    def segment(self, segment: Segment) -> int:
        """Return the FLOPs of sampling one segment: each position before its last action, once."""
        n_heads = sum(segment.actions)
        n = max((place for place, action in enumerate(segment.actions) if action), default=0)
        return self.forward(n, n * (n + 1) // 2, n_heads)


@dataclass(slots=True)
class Spend:
    """What was spent. Counts are deterministic; `Meter.seconds` and `Meter.phases` are measured."""

    episodes: int = 0
    prompt_tokens: int = 0
    action_tokens: int = 0
    env_tokens: int = 0
    rollout_flops: int = 0
    learner_flops: int = 0
    backward_flops: int = 0  # part of learner_flops
    computed_flops: int = 0
    reward_calls: int = 0

    @property
    def flops(self) -> int:
        """The budget FLOPs."""
        return self.rollout_flops + self.learner_flops

    @property
    def tokens(self) -> int:
        """All tokens of the episodes."""
        return self.prompt_tokens + self.action_tokens + self.env_tokens

    def as_dict(self) -> dict[str, int]:
        """Return the fields and the budget FLOPs, as records keep them."""
        return {**asdict(self), "flops": self.flops}


@dataclass
class Meter:
    """Counts what a run spends."""

    flop_model: FlopModel
    spend: Spend = field(default_factory=Spend)
    seconds: dict[str, float] = field(default_factory=lambda: {"cpu-s": 0.0, "s": 0.0})
    phases: dict[str, float] = field(default_factory=dict)  # CPU seconds; no second belongs to two of them
    sandbox: Sandboxed = field(default_factory=lambda: Sandboxed(0.0, 0))  # of graders, in counted phases
    row_steps: list[int] = field(default_factory=lambda: [0, 0])  # of decoding: all, and useful ones
    _rolling: bool = False
    _extra: int = 0  # FLOPs that a member adds to each position
    _inner_s: float = 0.0  # CPU seconds of phases that ended within the present one

    def on(self, axis: Axis) -> float:
        """Return what has been spent on an axis."""
        if axis in self.seconds:
            return self.seconds[axis]
        return float(getattr(self.spend, axis))

    def episode(self, episode: Episode, sampled: bool = True) -> None:
        """Count a finished episode; one that was not ``sampled`` took no FLOPs of the engine."""
        self.spend.episodes += 1
        self.spend.reward_calls += 1
        for segment in episode.segments:
            first = segment.actions.index(True) if any(segment.actions) else len(segment.ids)
            n_actions = sum(segment.actions)
            self.spend.prompt_tokens += first
            self.spend.action_tokens += n_actions
            self.spend.env_tokens += len(segment.ids) - first - n_actions
            self.spend.rollout_flops += self.flop_model.segment(segment) if sampled else 0

    @contextmanager
    def rollout(self, extra: int) -> Iterator[None]:
        """Mark what the model computes as the engine's: it counts by episode, not by pass.

        ``extra`` is what a member adds to each position; it belongs to the computed FLOPs alone.
        """
        before = self._rolling, self._extra
        self._rolling, self._extra = True, extra
        try:
            yield
        finally:
            self._rolling, self._extra = before

    def computed(self, n_rows: int, n_positions: int, n_seen: int) -> None:
        """Count one pass of the engine: rows x new positions, each over ``n_seen`` slots, logits at the last.

        Not by a hook: a compiled step would have to run it.
        """
        passed = n_rows * n_positions
        self.spend.computed_flops += self.flop_model.forward(passed, passed * n_seen, n_rows) + passed * self._extra

    def add(self, spend: Spend, row_steps: Sequence[int]) -> None:
        """Count what another meter did."""
        for name, value in asdict(spend).items():
            setattr(self.spend, name, getattr(self.spend, name) + value)
        self.seated(*row_steps)

    def seated(self, n_all: int, n_useful: int) -> None:
        """Count row-steps of decoding: all, and those that belonged to a reply."""
        self.row_steps[0] += n_all
        self.row_steps[1] += n_useful

    @contextmanager
    def phase(self, name: str, counted: bool = True) -> Iterator[None]:
        """Measure a phase; ``counted``: its seconds, and the programs that graders run in it, belong to training.

        A phase inside another has its seconds to itself: in the budget they are the outer one's, so it is not counted.
        """
        cpu, wall, ran = family_cpu_s(), time.monotonic(), sandboxed()
        before, self._inner_s = self._inner_s, 0.0
        try:
            yield
        finally:
            spent = family_cpu_s() - cpu  # a task's own processes are part of what it costs
            self.phases[name] = self.phases.get(name, 0.0) + max(0.0, spent - self._inner_s)
            self._inner_s = before + spent
            if counted:
                self.seconds["cpu-s"] += spent
                self.seconds["s"] += time.monotonic() - wall
                now = sandboxed()
                used = (now.cpu_s - ran.cpu_s, now.calls - ran.calls)
                self.sandbox = Sandboxed(self.sandbox.cpu_s + used[0], self.sandbox.calls + used[1])

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Count every pass of the model until the context ends, backward passes too."""
        hooks = [model.base_model.register_forward_hook(self._body, with_kwargs=True)]  # type: ignore[union-attr]
        output = model.get_output_embeddings()  # type: ignore[operator]
        if output is not None:
            hooks.append(output.register_forward_hook(self._head))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """Return everything, for a checkpoint."""
        return {
            "spend": asdict(self.spend),
            "seconds": dict(self.seconds),
            "phases": dict(self.phases),
            "sandbox": list(self.sandbox),
            "row_steps": list(self.row_steps),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.spend = Spend(**state["spend"])
        self.seconds = dict(state["seconds"])
        self.phases = dict(state["phases"])
        self.sandbox = Sandboxed(*state["sandbox"])
        self.row_steps = list(state["row_steps"])

    def _body(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output.last_hidden_state
        n_rows, n_positions = int(hidden.shape[0]), int(hidden.shape[1])
        if self._rolling:  # the engine says itself what it computes, see `computed`
            return
        mask = kwargs.get("attention_mask")
        lengths = [n_positions] * n_rows
        if isinstance(mask, Tensor) and mask.ndim == 2:
            lengths = mask.sum(1).tolist()
        pairs = sum(int(n) * (int(n) + 1) // 2 for n in lengths)
        again = int(hidden.requires_grad and _recomputes(module))
        n_computed, seen = getattr(output, "computed", (n_rows * n_positions, n_rows * n_positions**2))
        computed = self.flop_model.forward(n_computed, seen, 0)
        self._pass(hidden, self.flop_model.forward(int(sum(lengths)), pairs, 0), computed, again)

    def _head(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if not self._rolling:
            flops = self.flop_model.forward(0, 0, output.numel() // int(output.shape[-1]))
            self._pass(output, flops, flops)

    def _pass(self, output: Tensor, flops: int, computed: int, again: int = 0) -> None:
        """Count a pass, and its backward when it comes: twice the forward, and ``again`` forwards made once more."""
        self._learner(flops, computed)
        if output.requires_grad:
            times = 2 + again
            output.register_hook(lambda gradient: self._backward(times * flops, times * computed))  # type: ignore[no-untyped-call]

    def _backward(self, flops: int, computed: int) -> None:
        self.spend.backward_flops += flops
        self._learner(flops, computed)

    def _learner(self, flops: int, computed: int) -> None:
        self.spend.learner_flops += flops
        self.spend.computed_flops += computed


def _recomputes(module: nn.Module) -> bool:
    """Whether the layers throw their activations away and compute them again for the gradient (all of them, or none).

    That forward does not pass through the module whose hook counts.
    """
    return any(getattr(one, "gradient_checkpointing", False) and one.training for one in module.modules())


def _active(weight: Tensor, config: Any) -> int:
    if weight.ndim < 2:
        return 0
    if weight.ndim == 3:
        used = getattr(config, "num_experts_per_tok", None) or weight.shape[0]
        return int(weight.numel() // weight.shape[0] * used)
    return int(weight.numel())
