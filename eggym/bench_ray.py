"""`eggym bench scale --part ray`: the same step by two actors of a Ray cluster and by two processes, both begun before.

The cluster is this machine's, as `eggym train --executor ray` starts it.
"""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eggym.bench_parts import plain
from eggym.bench_rates import Figures, Settings, Watch, is_there
from eggym.bench_step import plan_of, step_arm
from eggym.crew import Workers
from eggym.parcels import DEFAULT_PARCELS
from eggym.timing import Meters, measure
from eggym.train import identify
from eggym.transports import PROCESSES, RAY, transport

CLAIM = 0.95  # of the speed of processes, in wall time
MISSING: Figures = {"skipped": "needs Ray: pip install 'eggym[ray]'"}
_LOCAL, _AGAIN, _ACTORS = "two processes", "two processes again", "two actors of Ray"


def ray_part(settings: Settings, watch: Watch) -> Figures:
    """Measure one step; CPU seconds of actors are not this process's children's, so wall time alone is told."""
    if not is_there("ray"):
        return MISSING
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        plan = plan_of(DEFAULT_PARCELS)
        arms = []
        for name, executor in ((_LOCAL, PROCESSES), (_AGAIN, PROCESSES), (_ACTORS, RAY)):
            start = stack.enter_context(transport(executor, 2, "cpu"))
            crew: Any = Workers(plan, identify(plan), folder / name, 2, start)
            stack.callback(crew.close)
            arms.append(step_arm(name, plan, crew, folder / name))
        timing = measure(arms, settings.rounds, settings.seed, watch, Meters())
    ratio = timing.ratio(_ACTORS, _LOCAL, (_LOCAL, _AGAIN), CLAIM, "wall")
    return {"arms": timing.as_dict(), "ratios": [plain(ratio)]}
