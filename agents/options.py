"""The settings that all policy gradients share; a learner's own come on top."""

from dataclasses import dataclass
from typing import Any

from eggym.errors import BadValue, unknown
from eggym.learner import MOST, check_temperature

from .advantages import ADVANTAGES, Advantage
from .objective import BY_SEQUENCE, ESTIMATORS, OBJECTIVES, REDUCTIONS, Estimator, Objective, Reduction
from .traces import TRUNCATED, Truncated


@dataclass(frozen=True, slots=True)
class RlOptions:
    """What is sampled, what is maximised, and the step."""

    items: int = 32  # prompts per step
    replies: int = 8  # per prompt: the group
    lr: float = 1e-6
    temperature: float = 1.0  # of sampling, and of the log-probabilities that are trained
    objective: Objective = "clip"
    reduction: Reduction = "constant"
    length: int = 1024  # tokens that the constant reduction divides by, and at which the overlong penalty is whole
    clip_low: float = 0.2
    clip_high: float = 0.28  # of cispo: the absolute bound of the ratio
    epochs: int = 1  # passes over the episodes of a step
    minibatches: int = 1  # optimizer steps per epoch, each on its own episodes
    truncated: Truncated = "keep"
    penalty: float = 1.0  # off the reward of a truncated episode, under truncated=penalise
    overlong: int = 0  # tokens before `length` in which the penalty for length grows from 0 to 1; 0: none
    kl_loss: float = 0.0  # factor of the KL to the start weights in the loss
    kl_estimator: Estimator = "k3"
    entropy_bonus: float = 0.0
    max_grad_norm: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.0
    tokens_per_pass: int = 16384  # rows x positions of one forward and backward pass
    gradient_checkpointing: bool = False  # recompute activations: less memory, one more forward in every backward

    @property
    def forwards(self) -> int:
        """Passes over an episode in one step: forward and backward in every epoch, the start's for its KL."""
        return _forwards(self)


@dataclass(frozen=True, slots=True)
class PolicyGradientOptions(RlOptions):
    """Settings of critic-free policy gradients."""

    advantage: Advantage = "mean"
    credit: str = "episode"  # episode: every token gets the episode's advantage; turn: that of its turn
    gamma: float = 1.0  # per turn, under credit=turn
    dynamic: bool = False  # drop groups whose replies all earned the same, and ask again until there are `items`
    refills: int = 10  # at most, per update, under dynamic

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check(self)
        if self.replies < 2:
            raise BadValue(f"replies must be at least 2, got {self.replies}: a group is needed to compare")
        _one_of("advantage", self.advantage, ADVANTAGES)
        _one_of("credit", self.credit, ("episode", "turn"))
        if self.credit == "turn" and self.objective in BY_SEQUENCE:
            raise BadValue(
                f"credit=turn needs an objective of tokens; {self.objective} has one ratio for the whole episode: "
                "use objective=clip or cispo"
            )
        if self.refills < 0:
            raise BadValue(f"refills must be at least 0, got {self.refills}")
        if not 0 <= self.gamma <= 1:
            raise BadValue(f"gamma must lie from 0 to 1, got {self.gamma:g}")


@dataclass(frozen=True, slots=True)
class PpoOptions(RlOptions):
    """Settings of PPO with a critic."""

    reduction: Reduction = "token_mean"
    clip_high: float = 0.2
    epochs: int = 2
    minibatches: int = 4
    gamma: float = 1.0  # per action token
    gae_lambda: float = 1.0  # 1: Monte Carlo
    bootstrap: bool = True  # what a limit cut off is worth what the critic says of its end, beside its reward
    whiten: bool = True  # advantages, over the tokens of the batch
    critic_lr: float = 1e-5
    value_factor: float = 0.1  # of the value loss beside the policy's objective
    value_clip: float = 0.2
    detach_trunk: bool = False  # the value loss moves the value head alone
    critic_warmup: int = 0  # steps in which only the value head moves
    target_kl: float = 0.0  # nats per token from the old policy beyond which a step ends early; 0: never

    @property
    def forwards(self) -> int:
        """Those of all policy gradients, and one for the values."""
        return _forwards(self) + 1

    @property
    def reads_ends(self) -> bool:
        """Passes read the last token of an episode too: the critic says what a reply that was cut off is worth."""
        return True

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        check(self)
        for name in ("gamma", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadValue(f"{name} must lie from 0 to 1, got {getattr(self, name):g}")
        for name in ("critic_lr", "value_clip"):
            if not getattr(self, name) > 0:
                raise BadValue(f"{name} must be above 0, got {getattr(self, name):g}")
        for name in ("value_factor", "critic_warmup", "target_kl"):
            if getattr(self, name) < 0:
                raise BadValue(f"{name} must be at least 0, got {getattr(self, name):g}")
        if self.objective in BY_SEQUENCE:
            raise BadValue(f"objective={self.objective} has no advantage per token, as needed here: use clip or cispo")


def check(options: RlOptions) -> None:
    """Refuse shared values outside their range.

    Raises:
        BadValue: naming the option and its range.
        UnknownName: of a choice.
    """
    for name in ("items", "replies", "epochs", "minibatches", "length", "tokens_per_pass"):
        if getattr(options, name) < 1:
            raise BadValue(f"{name} must be at least 1, got {getattr(options, name)}")
    for name in ("items", "replies"):
        if getattr(options, name) > MOST:
            raise BadValue(f"{name} must be at most {MOST}, got {getattr(options, name)}")
    check_temperature(options.temperature)
    for name in ("lr", "max_grad_norm"):
        if not getattr(options, name) > 0:
            raise BadValue(f"{name} must be above 0, got {getattr(options, name):g}")
    for name in ("clip_low", "clip_high", "penalty", "overlong", "kl_loss", "entropy_bonus", "weight_decay"):
        if getattr(options, name) < 0:
            raise BadValue(f"{name} must be at least 0, got {getattr(options, name):g}")
    for name in ("beta1", "beta2"):
        if not 0 <= getattr(options, name) < 1:
            raise BadValue(f"{name} must lie from 0 to below 1, got {getattr(options, name):g}")
    if options.overlong > options.length:
        raise BadValue(f"overlong must be at most length, got {options.overlong} and {options.length}")
    _one_of("objective", options.objective, OBJECTIVES)
    _one_of("reduction", options.reduction, REDUCTIONS)
    _one_of("truncated", options.truncated, TRUNCATED)
    _one_of("kl_estimator", options.kl_estimator, ESTIMATORS)


def _forwards(options: RlOptions) -> int:
    return options.epochs * (3 + options.gradient_checkpointing) + (options.kl_loss > 0)


def _one_of(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        raise unknown(name, str(value), known)
