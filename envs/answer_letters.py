r"""What may be handed to math-verify, and how: it lowers letters, and stops in silence at what it cannot read.

`one_case` gives upper-case letters, Greek ones too, other names, the same in truth and answer: R^2 - r^2 stays what it
is. `is_known` holds the list of what is read as it is written; any other command or mark (``\approx``, ``\text``, a
prime) would be dropped with all behind it, and the rest would be taken for the whole.
"""

import re
from collections.abc import Sequence

_UPPER = re.compile(
    r"\\mathbb\{\w\}|\\(?P<greek>Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega)(?![a-zA-Z]) ?"
    r"|\\text\{[^{}]*\}|\\[a-zA-Z]+ ?|(?P<latin>[A-Z])"
)
_FREE = "wvusqpoljthkrnmzyxcba"  # not e, i, d, f, g, which may be more than unknowns
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_WORDS = (
    "frac sqrt sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp pi infty cup cap "
    "setminus le ge lt gt ne in pm mp binom cdot times div begin end mathbb emptyset vert max min gcd lcm lfloor "
    "rfloor lceil rceil sum prod int lim to deg circ overline alpha beta gamma delta epsilon "
    "varepsilon zeta eta theta vartheta kappa lambda mu nu xi rho sigma tau upsilon phi varphi chi psi omega"
)
_KNOWN = frozenset(_WORDS.split(" "))
_MARKS = re.compile(r"(?:\\(?:[{}|\\]|[a-zA-Z]+)|[0-9a-zA-Z \-+*/^_(){}\[\]|=<>,&!]|\.(?=[0-9])|(?<=[0-9])\.(?!\.))*")


def one_case(texts: Sequence[str]) -> list[str] | None:
    r"""Rename upper-case letters to lower-case ones that no text holds, alike in all texts; None where none is left.

    >>> one_case([r"R^{2}-r^{2}", r"\Omega x"])
    ['w^{2}-r^{2}', 'vx']
    """
    used = set(re.sub(r"\\[a-zA-Z]+", "", "".join(texts)))
    free = [letter for letter in _FREE if letter not in used]
    names: dict[str, str] = {}
    for text in texts:
        for found in _UPPER.finditer(text):
            name = found["greek"] or found["latin"]
            if name and name not in names:
                if not free:
                    return None
                names[name] = free.pop(0)
    return [_UPPER.sub(lambda found: _renamed(found, names), text) for text in texts] if names else list(texts)


def _renamed(found: "re.Match[str]", names: dict[str, str]) -> str:
    name = found["greek"] or found["latin"]
    return names[name] if name else found[0]


def is_known(text: str) -> bool:
    """Say whether math-verify reads every command and mark of a text."""
    return bool(_MARKS.fullmatch(text)) and all(name in _KNOWN for name in _COMMAND.findall(text))
