"""Step sizes as others write them, translated; the one place that knows what a published learning rate means.

Notation: N members in P = N / 2 antithetic pairs, directions E_p with entries of variance 1, member fitness f of mean
0 and variance 1 over the population, pair weights w_p = (f+ - f-) / 2, rms the root mean square change of a weight.

| convention  | source and step                                                             | nominal rms         |
|-------------|-----------------------------------------------------------------------------|---------------------|
| update_rms  | ours: dW = update_rms * sum_p w_p E_p / sqrt(sum_p w_p^2)                   | update_rms          |
| eggroll     | the code of arXiv 2511.16652: dW = lr sqrt(N) mean_i(f_i s_i sigma E_i)     | lr sigma            |
| es_at_scale | arXiv 2509.24372, dW = lr / N sum_i f_i s_i E_i; also eggroll-vllm's        | lr / sqrt N         |
| openai_es   | arXiv 1703.03864, algorithm 1: dW = lr / (N sigma) sum_i f_i s_i E_i        | lr / (sigma sqrt N) |

Since sum_i f_i s_i E_i = 2 sum_p w_p E_p, the last three are rms = nominal * strength with
strength = 2 sqrt(sum_p w_p^2 / N): 1 if the fitness of twins is uncorrelated, sqrt 2 if it is opposite, 0 if it is
equal. Under ours the strength is 1 always: a step has one length, whatever the twins do.

Deviation: f is divided by its standard deviation; the authors of EGGROLL add 1e-5 to the variance first.
"""

import math
from typing import Literal

from eggym.errors import BadValue, unknown

from .shaping import Shaped

Convention = Literal["update_rms", "eggroll", "es_at_scale", "openai_es"]
CONVENTIONS: tuple[Convention, ...] = ("update_rms", "eggroll", "es_at_scale", "openai_es")


def nominal_rms(convention: Convention, lr: float, sigma: float, population: int) -> float:
    """Return the rms change of a weight in one generation, if the fitness of twins is uncorrelated.

    Published settings, per generation: EGGROLL's Countdown run, sigma 7e-4 and lr 0.125, 8.75e-5; its GSM8K run, 2e-3
    and 0.06, 1.2e-4; es-at-scale, alpha 5e-4 and N 30, 9.1e-5; eggroll-vllm, 1e-3 and N 2048, 2.2e-5.
    """
    if convention == "update_rms":
        return lr
    if convention == "eggroll":
        return lr * sigma
    if convention == "es_at_scale":
        return lr / math.sqrt(population)
    if convention == "openai_es":
        return lr / (sigma * math.sqrt(population))
    raise unknown("convention", convention, CONVENTIONS)


def strength(convention: Convention, shaped: Shaped) -> float:
    """Return what a generation's step is multiplied by, beyond its nominal size."""
    return 1.0 if convention == "update_rms" else shaped.strength


def check_convention(convention: Convention, lr: float, optimiser: str) -> None:
    """Refuse a convention without its learning rate, a learning rate without a convention, and either under Adam."""
    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)
    if convention == "update_rms":
        if lr != 0:
            raise BadValue(
                f"lr {lr:g} has no meaning of its own; set convention to whose it is "
                f"({', '.join(CONVENTIONS[1:])}), or set update_rms"
            )
    elif not lr > 0:
        raise BadValue(f"convention {convention} reads the step from lr, which must be above 0, got {lr:g}")
    elif optimiser != "sgd":
        raise BadValue(f"convention {convention} is about plain steps, not {optimiser}; set update_rms instead of lr")
