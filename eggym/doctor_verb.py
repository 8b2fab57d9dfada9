"""The verb that looks at the machine."""

from eggym.flags import Json, console, print_json


def doctor(as_json: Json = False) -> None:
    """Show the machine, the versions, and at which level of the sandbox model code would run.

    What the sandbox lacks is named with the reason that the system gives.
    """
    from eggym.doctor import examine, rows
    from eggym.tables import print_rows

    facts = examine()
    if as_json:
        print_json(facts)
    else:
        print_rows(console(), ("what", "found", ""), list(rows(facts)))
