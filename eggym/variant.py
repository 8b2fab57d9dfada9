"""Names of learners beside the registered one: variants, and the learner inside a control.

``eggroll@t1`` is the learner ``eggroll`` under a second name with settings of its own: it takes what is set for
``eggroll.``, then what is set for ``eggroll@t1.``. ``random-reward:eggroll@t1`` is the control of that variant.
"""

import re

WRAPPER = "random-reward"  # written before another learner's name
_VARIANT = re.compile(r"(?P<ref>.+)@(?P<variant>[A-Za-z0-9][A-Za-z0-9_-]{0,31})", re.DOTALL)


def split_variant(learner: str) -> tuple[str, str | None]:
    """Part ``eggroll@t1`` into the learner's reference and the variant's name; None where there is none."""
    match = _VARIANT.fullmatch(learner) if isinstance(learner, str) else None
    return (match["ref"], match["variant"]) if match else (learner, None)


def bare_name(learner: str) -> str:
    """Return the name under which a learner is set: that of the learner inside ``random-reward:``, or of a file."""
    return learner.removeprefix(f"{WRAPPER}:")


def labelled(name: str, variant: str | None) -> str:
    """Return the name under which one side of a comparison is shown."""
    return name if variant is None else f"{name}@{variant}"


def sections(learner: str, name: str | None = None) -> tuple[str, ...]:
    """Return what the settings of a learner may begin with, the variant's own last: it overrides.

    Args:
        learner: as it was asked for.
        name: its registered name, where it is known: a learner from a file is set by that.
    """
    ref, variant = split_variant(learner)
    plain = tuple(dict.fromkeys(bare_name(one) for one in (ref, name) if one is not None))
    return plain if variant is None else (*plain, *(labelled(one, variant) for one in plain))
