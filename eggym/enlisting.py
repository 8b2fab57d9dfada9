"""Which runs the ranks of torchrun can share, what that makes of them, and the moment from which they do."""

from dataclasses import replace
from typing import Any

from eggym.config import Plan
from eggym.errors import BadValue
from eggym.learner import Learner, LearnerSpec
from eggym.ranks import Ranks
from eggym.registry import load_learner
from eggym.replies import WHOLE
from eggym.shards import Shards
from eggym.variant import bare_name


def reads_rewards(spec: LearnerSpec) -> bool:
    """Whether a learner is an evolution strategy, whose update needs rewards alone, or its control."""
    inside = bare_name(spec.name)
    return (spec.kind if inside == spec.name else load_learner(inside).kind) == "es"


def ranks_identity(plan: Plan, ranks: Ranks) -> dict[str, Any]:
    """Return what several ranks make of a run: nothing for ES, whose bits they leave alone; else sums are rounded
    otherwise, and how many there are and how they hold the weights belongs to the run."""
    if ranks.size == 1 or reads_rewards(plan.spec):
        return {}
    return {"ranks": {"size": ranks.size, "parallel": plan.engine.parallel}}


def enlist(plan: Plan, ranks: Ranks) -> None:
    """Let a plan's policy share its work; its weights are put in shards if the plan says so."""
    cuts = not reads_rewards(plan.spec)
    plan.policy.ranks = replace(ranks, cuts=cuts)  # type: ignore[type-var]  # both kinds are dataclasses
    if plan.engine.parallel == "fsdp":
        plan.policy.shards = Shards(plan.policy.model)


def refuse_unsplit(plan: Plan, ranks: Ranks) -> None:
    """Refuse what several ranks cannot share.

    Raises:
        BadValue: naming it, with the way out.
    """
    alone = "start it without torchrun"
    if ranks.size > 1 and plan.engine.replies != WHOLE:
        raise BadValue(f"rank 0 keeps whole replies; leave engine.replies out, or {alone}")
    fsdp = plan.engine.parallel == "fsdp"
    if ranks.size == 1:
        if fsdp:
            raise BadValue(
                "engine.parallel=fsdp puts weights in shards, one for each rank, and there is one rank; start it with "
                "torchrun --nproc-per-node 2 -m eggym train, or leave it out"
            )
        return
    if reads_rewards(plan.spec):
        if fsdp:
            raise BadValue(f"{plan.label} has no gradient, so engine.parallel=fsdp is nothing to it; leave it out")
        if plan.reward.kl:
            raise BadValue(f"reward.kl of an ES run compares replies in one process; {alone}")
        if ranks.size > plan.engine.parcels:
            raise BadValue(
                f"{ranks.size} ranks cannot share {plan.engine.parcels} parcels of a step; give --set engine.parcels="
                f"{ranks.size} (which is another run), or fewer ranks"
            )
        return
    if not plan.spec.shares_passes:
        raise BadValue(
            f"{plan.label} does not share its passes, so {ranks.size} ranks would do its work as often; {alone}"
        )
    if plan.engine.parcels > 1:
        raise BadValue(f"ranks cut the items of {plan.label}, so engine.parcels is nothing to it; leave it out")
    if fsdp and plan.engine.compile:
        raise BadValue(
            "engine.compile fuses whole layers, and layers in shards call back; leave out it or engine.parallel=fsdp"
        )
    if fsdp and plan.space.adapter_rank:
        raise BadValue(
            "deltas of low rank are too small to put in shards; use engine.parallel=ddp with space.adapter_rank"
        )


def refuse_few_items(learner: Learner, plan: Plan, ranks: Ranks) -> None:
    """Refuse more ranks than a step has items: one would never play.

    Raises:
        BadValue: as said.
    """
    views = learner.ask(0) if not reads_rewards(plan.spec) else None
    if views is not None and views.n_items < ranks.size:
        raise BadValue(
            f"{ranks.size} ranks cannot share a step of {views.n_items} items; give --set {bare_name(plan.spec.name)}"
            f".items={ranks.size} or more, or fewer ranks"
        )


def refuse_apart(identity_sha256: str, ranks: Ranks) -> None:
    """Refuse ranks that resolve different runs.

    Raises:
        BadValue: naming the first other one.
    """
    told = ranks.gather(identity_sha256.encode())
    for rank, other in enumerate(told):
        if other != told[0]:
            raise BadValue(
                f"rank {rank} is asked for another run than rank 0 ({other[:8].decode()}, not {told[0][:8].decode()}); "
                "give all ranks the same eggym, model, task and settings"
            )
