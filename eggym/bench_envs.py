"""`eggym bench envs`: how many episodes, items and answers a core can make and judge, beside published packages.

Every figure is work per CPU second, worker processes included, as the median over rounds; ours is measured twice, which
shows how far to trust it. What a peer package does is the same work on the same texts, where it is installed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from eggym.bench_exam import exam_rollout
from eggym.bench_graders import hostile_part, ifeval_part, math_part
from eggym.bench_rates import Figures, Rate, Settings, Watch, answered, is_there, rates_of, seconds
from eggym.machine import describe
from eggym.registry import load_task
from eggym.timing import Quartiles
from eggym.vector import TextVectorEnv

SLOTS, SHARED = 4096, 8
PEER_ENVS = 2048
FORMAT = 1
PARTS = ("vector", "countdown", "math", "hostile", "ifeval", "exam")
__all__ = ["PARTS", "Settings", "lines", "run"]


def run(settings: Settings, say: Callable[[str], None] = lambda line: None) -> Figures:
    """Measure, and return machine, settings and the figures of every part as plain JSON values."""
    before = describe()
    found: Figures = {}
    for part in settings.parts:
        say(part)
        found[part] = _MEASURES[part](settings, lambda number, part=part: say(f"{part}: round {number}"))  # type: ignore[misc]
    machine = before | {"load_after": describe()["load"]}
    return {
        "format": FORMAT,
        "benchmark": "envs",
        "machine": machine,
        "settings": asdict(settings) | {"data": settings.data is not None},
        "parts": found,
    }


def lines(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Return a result as rows of a table: what, its value, and how sure it is."""
    machine = result["machine"]
    load = machine["load"] and f"load {machine['load'][0]} before, {machine['load_after'][0]} after"
    yield machine["cpu"], f"{machine['cores']} cores", load or ""
    for part, figures in result["parts"].items():
        if "skipped" in figures:
            yield part, "not measured", figures["skipped"]
        for name, found in figures.get("rates", {}).items():
            target = (
                "" if found["target"] is None else f", aim {found['target']:g} {'met' if found['met'] else 'MISSED'}"
            )
            spread = f"{found['q1']:.4g} to {found['q3']:.4g}, again {found['again']:.4g}{target}"
            yield f"{part}: {name}", f"{found['median']:.4g}/s", spread
        for name, value in figures.get("values", {}).items():
            yield f"{part}: {name}", f"{value['value']:.4g}", value["beside"]


# -- the parts --------------------------------------------------------------------------------------------------------
def vector_part(settings: Settings, watch: Watch) -> Figures:
    """Measure the vector environment and the making of items, beside Gymnasium's own vectors."""
    task = load_task("eggym/arithmetic-v0")
    envs = {shared: TextVectorEnv(task, SLOTS, share_items=shared) for shared in (1, SHARED)}
    index = iter(range(10**9))
    rates = [
        Rate("episodes, 8 rows to an item", SLOTS, lambda: _episodes(envs[SHARED]), 150_000),
        Rate("episodes, each with its own item", SLOTS, lambda: _episodes(envs[1])),
        Rate("items", SLOTS, lambda: [task.item("train", next(index)) for _ in range(SLOTS)], 80_000),
        Rate("make_vec of Gymnasium, sync, 256", 256 * 8, _stock(256)),
    ]
    made = [seconds(lambda: TextVectorEnv(task, SLOTS)) for _ in range(settings.rounds)]
    import gymnasium

    peer = seconds(lambda: gymnasium.make_vec(_stock_id(), PEER_ENVS, "sync").close())
    values = {
        f"creation, {SLOTS} slots, ms": {"value": 1e3 * Quartiles.of(made).median, "beside": "aim 2"},
        f"creation by make_vec, {PEER_ENVS} slots, ms": {"value": 1e3 * peer, "beside": "Gymnasium, sync"},
    }
    return rates_of(rates, settings, watch) | {"values": values}


def _episodes(env: TextVectorEnv) -> None:
    env.reset()
    env.step(["7"] * env.num_envs)


def _stock_id() -> str:
    """Return the id of a plain environment of fifteen lines, as an author without eggym would write it."""
    import gymnasium

    name = "eggym-bench/Sums-v0"
    if name not in gymnasium.registry:
        gymnasium.register(name, entry_point="eggym.bench_answers:Sums")
    return name


def _stock(n_envs: int) -> Callable[[], None]:
    import gymnasium

    env = gymnasium.make_vec(_stock_id(), n_envs, "sync", vector_kwargs={"autoreset_mode": "SameStep"})
    env.reset(seed=0)

    def run() -> None:
        for _ in range(8):
            env.step(["7"] * n_envs)

    return run


def countdown_part(settings: Settings, watch: Watch) -> Figures:
    """Measure countdown, items made and right answers scored, beside reasoning-gym."""
    task, index, n = load_task("eggym/countdown-v0"), iter(range(10**9)), 2000
    rates = [
        Rate(
            "items made and right answers scored",
            n,
            lambda: [_made_and_scored(task, next(index)) for _ in range(n)],
            20_000,
        )
    ]
    if is_there("reasoning_gym"):
        import reasoning_gym

        peer = reasoning_gym.create_dataset("countdown", seed=settings.seed, size=10**6)
        rates.append(
            Rate("the same by reasoning-gym", 20, lambda: [_peer_countdown(peer, next(index)) for _ in range(20)])
        )
    return rates_of(rates, settings, watch)


def _made_and_scored(task: Any, index: int) -> float:
    item = task.item("train", index)
    return float(task.judge(answered(task, item, task.oracle(item))).reward)


def _peer_countdown(peer: Any, index: int) -> float:
    entry = peer[index % 10**6]
    return float(peer.score_answer(entry["metadata"]["expression"], entry))


def exam_part(settings: Settings, watch: Watch) -> Figures:
    """Roll out exams of 64 questions, then hand the same replies to the environment alone."""
    shares = []
    for number in range(min(settings.rounds, 5)):
        total_s, env_s = exam_rollout(64, 16, number)
        shares.append(env_s / total_s)
        watch(number + 1)
    return {
        "values": {"environment's share of a rollout, H = 64": {"value": max(shares), "beside": "largest; aim 0.05"}}
    }


_MEASURES: dict[str, Callable[[Settings, Watch], Figures]] = {
    "vector": vector_part,
    "countdown": countdown_part,
    "math": math_part,
    "hostile": hostile_part,
    "ifeval": ifeval_part,
    "exam": exam_part,
}
