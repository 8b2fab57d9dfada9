"""The settings that EGGROLL and full-rank evolution share, so that a comparison differs in the perturbation alone."""

from dataclasses import dataclass

from eggym.errors import BadValue, unknown
from eggym.learner import MOST, check_temperature
from eggym.weights import ROUNDINGS, Rounding

from .conventions import Convention, check_convention, nominal_rms
from .optimiser import OPTIMISERS, OptimiserName
from .schedule import SCHEDULES, Schedule, share
from .shaping import SHAPINGS, Shaping

# what tuning may try: 8 settings for models of each size, the profile's own among them
SEARCH: dict[str, dict[str, tuple[float, ...]]] = {
    "tiny": {"sigma": (0.01, 0.02, 0.04, 0.08), "update_rms": (0.005, 0.01)},
    "pretrained": {"sigma": (2.5e-4, 5e-4, 1e-3, 2e-3), "update_rms": (5e-5, 1e-4)},
}


@dataclass(frozen=True, slots=True)
class EsOptions:
    """Population, fitness and step of an evolution strategy."""

    population: int = 64  # members, in antithetic pairs
    items: int = 16  # prompts per generation, shared by all members
    replies: int = 1  # per member and prompt
    sigma: float = 1e-3  # standard deviation of each weight's perturbation
    update_rms: float = 5e-5  # rms change of a weight per generation, if fitness says nothing
    temperature: float = 0.0  # of the members; 0 is greedy, as published
    shaping: Shaping = "pooled"
    convention: Convention = "update_rms"  # whose step size it is; all others read lr, and not update_rms
    lr: float = 0.0  # a published learning rate, under its convention
    optimiser: OptimiserName = "sgd"
    momentum: float = 0.0  # of sgd
    beta1: float = 0.9  # of adam, as are the next two
    beta2: float = 0.999
    eps: float = 1e-8
    anchor: float = 0.0  # share of the way back to its start that a weight goes in each generation
    schedule: Schedule = "constant"  # of the step
    schedule_steps: int = 0  # generations over which linear and cosine schedules fall
    schedule_end: float = 0.0  # share of the step that is left then
    schedule_factor: float = 1.0  # of each generation, under "factor"
    sigma_schedule: Schedule = "constant"  # of sigma, over the same steps and with the same factor
    sigma_end: float = 0.5  # share of sigma that is left then
    rounding: Rounding = "master"  # how weights in a shorter type than float32 keep their updates

    def sigma_at(self, step: int) -> float:
        """Return sigma of a generation."""
        return self.sigma * share(self.sigma_schedule, step, self.schedule_steps, self.sigma_end, self.schedule_factor)

    def rate_at(self, step: int) -> float:
        """Return the nominal rms change of a weight in a generation: update_rms, or what a convention makes of lr."""
        lr = self.update_rms if self.convention == "update_rms" else self.lr
        nominal = nominal_rms(self.convention, lr, self.sigma_at(step), self.population)
        return nominal * share(self.schedule, step, self.schedule_steps, self.schedule_end, self.schedule_factor)


def check_options(options: EsOptions) -> None:
    """Refuse values outside their range."""
    _check_population(options.population)
    for name in ("items", "replies"):
        if not 1 <= getattr(options, name) <= MOST:
            raise BadValue(f"{name} must lie from 1 to {MOST}, got {getattr(options, name)}")
    if not options.sigma > 0 or not options.update_rms > 0:
        raise BadValue(f"sigma and update_rms must be above 0, got {options.sigma:g} and {options.update_rms:g}")
    check_temperature(options.temperature, greedy=True)
    for name, value, known in (
        ("shaping", options.shaping, SHAPINGS),
        ("optimiser", options.optimiser, OPTIMISERS),
        ("rounding", options.rounding, ROUNDINGS),
    ):
        if value not in known:
            raise unknown(name, value, known)
    check_convention(options.convention, options.lr, options.optimiser)
    _check_optimiser(options)
    _check_schedules(options)


def _check_population(population: int) -> None:
    if not 2 <= population <= MOST or population % 2:
        raise BadValue(f"population must be even for antithetic pairs, from 2 to {MOST}, got {population}")


def _check_optimiser(options: EsOptions) -> None:
    for name in ("momentum", "beta1", "beta2", "anchor"):
        if not 0 <= getattr(options, name) < 1:
            raise BadValue(f"{name} must lie from 0 to below 1, got {getattr(options, name):g}")
    if not options.eps > 0:
        raise BadValue(f"eps must be above 0, got {options.eps:g}")
    if options.momentum and options.optimiser != "sgd":
        raise BadValue(f"momentum is of sgd, the optimiser is {options.optimiser}; set beta1 instead")


def _check_schedules(options: EsOptions) -> None:
    for name in ("schedule", "sigma_schedule"):
        found = getattr(options, name)
        if found not in SCHEDULES:
            raise unknown(name, found, SCHEDULES)
        if found in ("linear", "cosine") and options.schedule_steps < 1:
            raise BadValue(f"{name} {found} needs schedule_steps, the generations it falls over, of at least 1")
    if not 0 <= options.schedule_end <= 1 or not 0 < options.sigma_end <= 1:
        raise BadValue(
            "schedule_end must lie from 0 to 1 and sigma_end above 0 up to 1, "
            f"got {options.schedule_end:g} and {options.sigma_end:g}"
        )
    if not 0 < options.schedule_factor <= 1:
        raise BadValue(f"schedule_factor must lie above 0 up to 1, got {options.schedule_factor:g}")
