"""A learner made ready for its run; what it asks for that a task cannot give is refused before anything is written."""

from collections.abc import Callable, Iterator

from eggym.asking import OracleViews
from eggym.config import Plan
from eggym.demonstration import demonstrate, has_oracle
from eggym.errors import BadValue
from eggym.evaluate import evaluation_items
from eggym.kl_reward import applies, refuse_greedy
from eggym.learner import Learner, Prompter
from eggym.policy import Prompting
from eggym.seeding import stream
from eggym.task import Item
from eggym.verdict import VerdictState

_SHOWN = 4  # items on which the oracle must be right once
_LOOKED_AT = 512  # training items whose prompts are measured, where a split is endless
_MOST = 20_000  # where it is not
_LONGEST = 16  # of these, and of the evaluation's, that another prompting must leave room for


def prepared(plan: Plan) -> Learner:
    """Return the learner of a run before its first step."""
    learner = plan.spec.build(plan.policy, plan.space, plan.config.seed, plan.options)
    if isinstance(learner, Prompter):
        learner.begin(plan.prompting, _fits(plan))
    return learner


def refuse_unaskable(plan: Plan, learner: Learner) -> None:
    """Refuse what can be seen from the first and the dearest step.

    Raises:
        BadValue: replies of an oracle that does not exist or earns less than the top, or a KL of greedy replies.
    """
    for views in (learner.ask(0), learner.preview() if isinstance(learner, Prompter) else None):
        if isinstance(views, OracleViews):
            _refuse_silent(plan, views)
        elif views is not None and plan.reward.kl and applies(views):
            refuse_greedy(plan.spec.name, views)


def _refuse_silent(plan: Plan, views: OracleViews) -> None:
    task, split = plan.task, plan.config.split
    size = task.n_items(split)
    items = [task.item(split, index) for index in range(_SHOWN if size is None else min(_SHOWN, size))]
    rngs = [stream(plan.config.seed, "askable", slot) for slot in range(len(items))]
    if not any(has_oracle(task, item, rng) for item, rng in zip(items, rngs, strict=True)):
        raise BadValue(
            f"{plan.spec.name} needs the best replies to training items, and task {task.id!r} has no oracle that knows "
            f"them: define oracle, or {views.instead}"
        )
    episodes = demonstrate(plan.policy, task, plan.prompting, items, rngs)
    if not any(episode.verdict.state is VerdictState.CORRECT for episode in episodes):
        first = episodes[0]
        raise BadValue(
            f"{plan.spec.name} needs the best replies to training items, and of {len(items)} replies of the oracle of "
            f"{task.id!r} none is correct as model {plan.policy.name!r} would write it (the first, "
            f"{first.turns[-1].reply!r:.60}, is {first.verdict.state}); raise prompt.max_new_tokens, or {views.instead}"
        )


def _fits(plan: Plan) -> Callable[[Prompting], bool]:
    """Return what says whether the longest prompts of a run can be read, asked in a given way."""
    longest: list[str] = []

    def fits(prompting: Prompting) -> bool:
        if not longest:
            prompts = dict.fromkeys(item.prompt for item in _seen(plan))
            longest.extend(sorted(prompts, key=len, reverse=True)[:_LONGEST])
        try:
            for prompt in longest:
                plan.policy.prompt_ids(prompting, prompt)
        except BadValue:
            return False
        return True

    return fits


def _seen(plan: Plan) -> Iterator[Item]:
    size = plan.task.n_items(plan.config.split)
    yield from evaluation_items(plan)
    for index in range(_LOOKED_AT if size is None else min(size, _MOST)):
        yield plan.task.item(plan.config.split, index)
