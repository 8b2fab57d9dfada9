"""What every page is made with: strict templates, texts that only show, and a policy that lets nothing load.

A page is one file: its one style sheet and its one script, if it has one, stand in it, and its policy names both by
their hashes, so that nothing that was slipped in can bring another. Every text is escaped, and what a text could do
beside being read (control characters, marks that turn the direction of writing) is shown as an escape.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from eggym.drawing import STYLE
from eggym.page_parts import FILTERS
from eggym.wording import printable

REPORT_CSS = "report.css"


def environment(packages: Sequence[str] = ("eggym",), styles: Sequence[str] = (REPORT_CSS,), script: str = "") -> Any:
    """Return a Jinja2 environment whose templates know ``style``, ``script`` and ``policy``, all of them text.

    Args:
        packages: whose ``templates`` folders are looked into, in this order.
        styles: names of style sheets there, joined behind the colours of the pictures.
        script: name of the page's script there; empty: the page has none, and none may run.
    """
    import jinja2

    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages])
    site = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_shown
    )

    def text(name: str) -> str:
        return str(loader.get_source(site, name)[0])

    style = "\n".join([STYLE, *map(text, styles)])
    code = text(script) if script else ""
    site.globals.update(style=style, script=code, policy=policy(style, code))
    site.filters.update(FILTERS)
    return site


def policy(style: str, script: str = "") -> str:
    """Return the Content-Security-Policy of a page that brings this style sheet and this script, and asks for nothing.

    >>> policy("b{}")[:54]
    "default-src 'none'; style-src 'sha256-7yqHVAesot11p6Hc"
    """
    runs = f"; script-src {_source(script)}" if script else ""
    return f"default-src 'none'; style-src {_source(style)}{runs}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(value: Any) -> Any:
    """Make a plain text printable as it is put out; markup that was made here is left as it is."""
    return printable(value) if type(value) is str else value
