r"""What the checker of answers refuses to look at, and the name of each reason.

`too_big` comes before anything is parsed. `unfinished` looks at an answer that is no plain copy of the truth. It
refuses the problem restated as its answer (sums, integrals, factorials, limits, equations), and what would cost an
algebra system its time (towers of powers, powers of long sums), unless the truth itself is written so.

An answer must be worked out. ``2+2`` is not 4, ``3 \cdot 4`` is not 12, and ``\sqrt{16}`` is not 4. One number may be
written in any way that is one number: ``\frac{2}{4}``, ``6/3``, ``0.50``, ``2^{10}``, ``6.7 \times 10^{-5}``.
"""

import re

from .answer_numbers import number_of

MOST_CHARACTERS = 512
MOST_NESTED = 32
MOST_DIGITS = 64  # in a row
MOST_ALGEBRA = 256  # characters of what algebra is to read; the time of its parser grows faster than the text
MOST_DEEP = 12  # brackets within brackets of it
MOST_BARS = 8  # which opens and which closes takes a parser long to find out
MOST_TOWER = 2  # powers of powers
MOST_POWER = 24  # of a bracket with a letter in it
MOST_PRODUCT = 400  # of such a power and the highest other

_SIDE_BY_SIDE = re.compile(r"\d \d")
_DIGITS = re.compile(rf"\d{{{MOST_DIGITS + 1}}}")
_OPERATORS = re.compile(r"\\(?:i*int|oint|sum|prod|lim(?:sup|inf)?|coprod|big(?:cup|cap))(?![a-z])")
_FACTORIAL = re.compile(r"!|\\(?:binom|choose|Gamma)(?![a-z])")
_BIG_FACTORIAL = re.compile(r"\d{4,}!|!!|!\)!|\\binom\{\d{4,}")
_FUNCTIONS = re.compile(
    r"\\(?:log|ln|lg|exp|(?:arc)?(?:sin|cos|tan|cot|sec|csc)h?|gcd|lcm|max|min|det|mod|[bp]mod|lfloor|lceil|vert|deg)"
    r"(?![a-z])|\\text\{(?:gcd|lcm|log|mod)\}|\|"
)
_COMMANDS = re.compile(r"\\mathbb\{\w\}|\\(?:begin|end)\{[a-z]+\}|\\[a-zA-Z]+")
_RELATION = re.compile(r"[<>]|\\[lg]e(?![a-z])|\\text\{")
_LONG_EXPONENT = re.compile(r"\^\{?[-+]?\d{5,}|\^\{[^{}]*\d{5,}")
_OPENING, _CLOSING = "({[", ")}]"
_ARITHMETIC = re.compile(r"(?<=[\d})])(?:[-+*/!(^]|\\(?:times|cdot|div|pm))")
_BREAKS = re.compile(r"[,=<>&;|]|\\(?:\\|le|ge|ne|in|cup|cap|pm|mp|vert|approx)(?![a-z])")
_COEFFICIENT = re.compile(r"[-+]?(?:[0-9.]+(?:/[0-9]+)?|\\frac\{[0-9]+\}\{[0-9]+\})?(?:\\cdot|\\times)? ?")
_INNERMOST = re.compile(r"\{[^{}()\[\]]*\}|\([^{}()\[\]]*\)|\[[^{}()\[\]]*\]")
_LEADING = re.compile(r"[-+]?(?!10\^)[0-9]")  # a coefficient that is no power of ten
_PRODUCT = re.compile(r"\\(?:cdot|times|div)(?![a-z])|\*")


def too_big(text: str) -> str:
    """Return why an answer is not parsed at all, or ""."""
    if len(text) > MOST_CHARACTERS:
        return f"longer than {MOST_CHARACTERS} characters"
    if _depth(text) > MOST_NESTED:
        return f"nested more than {MOST_NESTED} deep"
    if _DIGITS.search(text):
        return f"more than {MOST_DIGITS} digits in a row"
    return ""


def unfinished(truth: str, found: str) -> str:
    """Return why an answer is refused beside this truth, both tidy and squeezed, or ""."""
    if _tower(found) > max(MOST_TOWER, _tower(truth)) or (_numeric_tower(found) and not _numeric_tower(truth)):
        return "tower of powers"
    if _BIG_FACTORIAL.search(found) or (_FACTORIAL.search(found) and not _FACTORIAL.search(truth)):
        return "unevaluated factorial"
    if any(name not in truth for name in _OPERATORS.findall(found)):
        return "unevaluated sum, product, integral or limit"
    if "=" in found and "=" not in truth:
        return "an equation where the truth is none"
    if found.count("|") > max(MOST_BARS, truth.count("|")):
        return f"more than {MOST_BARS} bars"
    if _SIDE_BY_SIDE.search(found) and not _SIDE_BY_SIDE.search(truth):
        return "numbers side by side"
    if _heavy_power(found) and not _heavy_power(truth):
        return "power too high"
    if _FUNCTIONS.search(found) and not _FUNCTIONS.search(truth) and not has_letters(truth):
        return "unevaluated function"
    if (_adds_numbers(found) and not _adds_numbers(truth)) or (_multiplies(found) and not _multiplies(truth)):
        return "unevaluated arithmetic"
    if (_adds_alike(found) and not _adds_alike(truth)) or (_multiplies_roots(found) and not _multiplies_roots(truth)):
        return "unevaluated arithmetic"
    return ""


def too_intricate(truth: str, found: str) -> str:
    """Return why an answer is not handed to algebra beside this truth, or ""."""
    if len(found) > max(MOST_ALGEBRA, 2 * len(truth)):
        return f"more than {MOST_ALGEBRA} characters of algebra"
    if _depth(found) > max(MOST_DEEP, _depth(truth)):
        return f"algebra nested more than {MOST_DEEP} deep"
    return ""


def stray_unknown(truth: str, found: str) -> str:
    """Return an unknown of an answer that the truth does not speak of, or "". Inequalities may name theirs."""
    if _RELATION.search(found):
        return ""
    return min(_letters(found) - _letters(truth), default="")


def is_arithmetic(found: str) -> bool:
    """Say whether an answer that is no plain number is something left to calculate, without unknowns."""
    return bool(_ARITHMETIC.search(found)) and not has_letters(found)


def has_letters(text: str) -> bool:
    """Say whether a text speaks of unknowns: a letter outside commands, apart from e and i."""
    return bool(_letters(text))


def _letters(text: str) -> set[str]:
    return {letter for letter in _COMMANDS.sub("", text) if letter.isalpha()} - {"e", "i"}


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        if letter in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif letter in _CLOSING:
            depth -= 1
    return deepest


def _tower(text: str) -> int:
    """Return how many powers stand on one another."""
    stack: list[int] = []  # for each open bracket: powers around what is inside
    height = highest = 0
    raised = False
    for letter in text:
        if letter in _OPENING:
            stack.append(height)
            height += raised
            highest = max(highest, height)
        elif letter in _CLOSING and stack:
            height = stack.pop()
        raised = letter == "^"
    return highest


def _numeric_tower(text: str) -> bool:
    """Say whether a power of plain numbers is raised again: ``2^{3^{4}}`` or ``(2^{9})^{9}``."""
    for found in re.finditer(r"\^\{", text):
        inside = text[found.end() : _end(text, found.end() - 1)]
        if "^" in inside and not has_letters(inside):
            return True
    return bool(re.search(r"\^\{?-?\d+\}?\)*\^", text))


def _heavy_power(text: str) -> bool:
    """Say whether an exponent is long, or a bracket with an unknown or a power in it is raised high."""
    if _LONG_EXPONENT.search(text):
        return True
    inner = max((int(found) for found in re.findall(r"\^\{?(\d+)", text)), default=1) if "^" in text else 1
    for found in re.finditer(r"[)}]\^\{?(\d+)", text):
        power, letters = int(found[1]), has_letters(text)
        if letters and (power > MOST_POWER or (power > 1 and power < inner and power * inner > MOST_PRODUCT)):
            return True
    return False


def _adds_numbers(text: str) -> bool:
    """Say whether two plain numbers stand in one sum."""
    return any(sum(number_of(term) is not None for term in terms) > 1 for terms in _sums(text))


def _multiplies(text: str) -> bool:
    """Say whether two plain numbers are multiplied by a sign, powers of ten apart."""
    for terms in _sums(text):
        for term in terms:
            factors = [number_of(factor) for factor in _PRODUCT.split(term)]
            if sum(value is not None for value in factors) > 1 and number_of(term) is None:
                return True
    return False


def _adds_alike(text: str) -> bool:
    r"""Say whether a sum holds one irrational number twice: ``3\sqrt{2}+\sqrt{2}``."""
    for terms in _sums(text):
        rest = [_COEFFICIENT.sub("", term) for term in terms if not has_letters(term)]
        irrational = [term for term in rest if "\\" in term and number_of(term) is None]
        if len(set(irrational)) < len(irrational):
            return True
    return False


def _multiplies_roots(text: str) -> bool:
    r"""Say whether a product without unknowns holds two roots, or two coefficients: ``2\cdot 3\sqrt{2}``."""
    for term in (term for terms in _sums(text) for term in terms if not has_letters(term)):
        outside = _INNERMOST.sub("", term)
        while outside != term:
            term, outside = outside, _INNERMOST.sub("", outside)
        if outside.count("\\sqrt") > 1 and "/" not in outside:
            return True
        if sum(bool(_LEADING.match(factor)) for factor in _PRODUCT.split(outside)) > 1:
            return True
    return False


def _sums(text: str) -> list[list[str]]:
    """Return the terms of every sum in a text, those within brackets too."""
    sums, inside, place = [], [], 0
    flat: list[str] = []  # the outermost level, cut into terms
    term = ""
    while place < len(text):
        letter = text[place]
        if letter in _OPENING and (end := _end(text, place)) < len(text):
            inside.append(text[place + 1 : end])
            term += text[place : end + 1]
            place = end + 1
        elif found := _BREAKS.match(text, place):
            sums.append([*flat, term])
            flat, term, place = [], "", found.end()
        elif letter in "+-" and term and term[-1] not in "*^":
            flat.append(term)
            term, place = "", place + 1
        else:
            term += letter
            place += 1
    sums.append([*flat, term])
    for each in inside:
        sums.extend(_sums(each))
    return sums


def _end(text: str, start: int) -> int:
    """Return where the bracket at ``start`` closes, or the text's length."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in _OPENING) - (text[place] in _CLOSING)
        if depth == 0:
            return place
    return len(text)
