"""What a learner may ask for beside replies sampled on training items: views of the policy itself, with a difference.

`OracleViews`: the best replies that the task knows, in place of sampled ones. `HeldOutViews`: replies to the items of
the evaluation, paid by the training budget. `PromptedViews`: members that differ in how they are prompted, not in
weights. The last two are for learners that never change a weight.
"""

from dataclasses import dataclass

from eggym.policy import Prompting
from eggym.views import PolicyViews, Views


@dataclass(frozen=True, slots=True)
class OracleViews(PolicyViews):
    """Every item is answered by the task's oracle; nothing is sampled, and log-probabilities are 0.

    ``instead`` says in a refusal what to do where a task has no oracle.
    """

    instead: str = "choose another learner"


@dataclass(frozen=True, slots=True)
class HeldOutViews(PolicyViews):
    """The items of the evaluation, all of them (``n_items`` is 0: the learner does not know how many there are).

    Replies are those that the evaluation would sample: number ``first_sample`` and the ``n_replies`` - 1 after it.
    """

    first_sample: int = 0


@dataclass(frozen=True, slots=True)
class PromptedViews(PolicyViews):
    """Members with the policy's weights, each asked by a prompting of its own; they share random numbers."""

    promptings_N: tuple[Prompting, ...] = ()


UNTRAINED = (HeldOutViews, PromptedViews)  # who asks for these leaves the weights alone


def promptings(views: Views, own: Prompting) -> tuple[Prompting, ...]:
    """Return how each member is prompted: by the views, or as the run prompts (``own``)."""
    return views.promptings_N if isinstance(views, PromptedViews) else (own,) * views.n_members


def first_sample(views: Views) -> int:
    """Return the number of the first reply to each item, by which its random numbers are named."""
    return views.first_sample if isinstance(views, HeldOutViews) else 0
