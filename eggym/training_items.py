"""The training stream of a run: which item comes when is a function of its seed, not of its learner."""

from eggym.config import Plan
from eggym.evaluate import MOST_DRAWS, problem_of
from eggym.seeding import stream
from eggym.task import Item


def training_item(plan: Plan, number: int) -> Item:
    """Return item ``number`` of the stream; a split with an end is shuffled anew each time it is through."""
    task, split, seed = plan.task, plan.config.split, plan.config.seed
    size = task.n_items(split)
    if size is None:
        return task.item(split, stream(seed, "item", number).randrange(1 << 40))
    epoch, place = divmod(number, size)
    order = list(range(size))
    stream(seed, "epoch", epoch).shuffle(order)
    return task.item(split, order[place])


def first_training_items(plan: Plan, wanted: int) -> list[Item]:
    """Return the first different items of the stream, at most ``wanted``: a short run may not come to all of them."""
    size = plan.task.n_items(plan.config.split)
    found: dict[str, Item] = {}
    for number in range(MOST_DRAWS * wanted if size is None else size):
        item = training_item(plan, number)
        found.setdefault(problem_of(item), item)
        if len(found) == wanted:
            break
    return list(found.values())
