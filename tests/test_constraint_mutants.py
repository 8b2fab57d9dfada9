"""Does the golden table see a wrong checker? For each type, variants with one fault each; some case tells them apart.

A mutant takes the arguments of its type and returns whether a text passes; "blank follows nothing" is kept.
"""

import json
import re
from pathlib import Path

import pytest

from eggym.envs.constraints import OFFICIAL
from eggym.envs.languages import language_of
from eggym.envs.sentences import count_capital_words, count_sentences

GOLDEN = json.loads((Path(__file__).parent / "data" / "constraints_golden.json").read_text())["official"]
IGNORE = re.IGNORECASE


def fits(count, wanted, relation, least=lambda a, b: a >= b, less=lambda a, b: a < b):
    return least(count, wanted) if relation == "at least" else less(count, wanted)


def off(count, wanted, relation):
    """The boundary itself decided the other way, of "at least"."""
    return fits(count, wanted, relation, least=lambda a, b: a > b)


def over(count, wanted, relation):
    """The same of "less than"."""
    return fits(count, wanted, relation, less=lambda a, b: a <= b)


def swapped(count, wanted, relation):
    return not fits(count, wanted, relation)


def exact(count, wanted, relation):
    return fits(count, wanted, relation, least=lambda a, b: a == b)


def counted(count, compare=fits):
    """A mutant of the types that count and compare; their arguments come as (count's own, wanted, relation)."""

    def mutant(text, **arguments):
        names = {"relation": None, "let_relation": None, "capital_relation": None}
        relation = next(arguments[name] for name in names if name in arguments)
        wanted = next(value for name, value in arguments.items() if name not in names and isinstance(value, int))
        return compare(count(text, **arguments), wanted, relation)

    return mutant


def n_found(text, keyword, **rest):
    return len(re.findall(keyword.strip(), text, IGNORE))


def n_letter(text, letter, **rest):
    return text.lower().count(letter.lower())


def n_words(text, **rest):
    return len(re.findall(r"\w+", text))


def n_sentences(text, **rest):
    return count_sentences(text)


def n_capitals(text, **rest):
    return count_capital_words(text)


def paragraphs(text, num_paragraphs, stars=r"\s?\*\*\*\s?", ends=True, middle=True, fits=lambda a, b: a == b):
    parts = re.split(stars, text)
    blank = [not part.strip() for part in parts]
    count = len(parts) - sum(blank) if ends else len(parts)
    return not (middle and any(blank[1:-1])) and fits(count, num_paragraphs)


def nth(
    text, num_paragraphs, nth_paragraph, first_word, parted="\n\n", filtered=False, shift=1, cut=".,?!'\"",
    case=True, outer="'", inner='"', counted=True,
):  # fmt: skip
    parts = [part for part in text.split(parted) if part.strip() or not filtered]
    count = sum(bool(part.strip()) for part in parts)
    if nth_paragraph > count or not 0 <= nth_paragraph - shift < len(parts) or not parts[nth_paragraph - shift].strip():
        return False
    word = parts[nth_paragraph - shift].split()[0].lstrip(outer).lstrip(inner)
    word = re.split(f"[{re.escape(cut)}]", word)[0] if cut else word
    same = word.lower() == first_word.lower() if case else word == first_word
    return same and (count == num_paragraphs or not counted)


def bullets(text, num_bullets, star=r"^\s*\*[^\*].*$", dash=r"^\s*-.*$", fits=lambda a, b: a == b):
    return fits(len(re.findall(star, text, re.M)) + len(re.findall(dash, text, re.M)), num_bullets)


def highlights(
    text, num_highlights, one=r"\*[^\n\*]*\*", two=r"\*\*[^\n\*]*\*\*", blank=False, fits=lambda a, b: a >= b
):
    spans = [each.strip("*") for pattern in (one, two) if pattern for each in re.findall(pattern, text)]
    return fits(sum(1 for each in spans if blank or each.strip()), num_highlights)


def sections(
    text, section_spliter, num_sections, form=r"\s?{}\s?\d+\s?", strip=True, flags=0, less=1, fits=lambda a, b: a >= b
):
    splitter = section_spliter.strip() if strip else section_spliter
    return fits(len(re.split(form.format(splitter), text, flags=flags)) - less, num_sections)


def parses(text, fences=("```json", "```Json", "```JSON", "```"), close=True, strip=True, kinds=object, **options):
    body = text.strip() if strip else text
    for fence in fences:
        body = body.removeprefix(fence)
    body = body.removesuffix("```") if close else body
    try:
        return isinstance(json.loads(body.strip() if strip else body, **options), kinds)
    except ValueError:
        return False


def refuse(constant):
    raise ValueError(constant)


def title(text, pattern=r"<<[^\n]+>>", blank=False):
    return any(blank or each.lstrip("<").rstrip(">").strip() for each in re.findall(pattern, text))


def responses(text, stars="******", middle=True, strip=True, different=True, fits=lambda n: n == 2, case=str):
    parts = text.split(stars)
    said = [part for part in parts if part.strip()]
    keys = [case(part.strip() if strip else part) for part in said]
    return not (middle and any(not part.strip() for part in parts[1:-1])) and fits(len(said)) and (
        not different or keys[0] != keys[1]
    )  # fmt: skip


MUTANTS = {
    "keywords:existence": {
        "any is enough": lambda text, keywords: any(re.search(each, text, IGNORE) for each in keywords),
        "case counts": lambda text, keywords: all(re.search(each, text) for each in keywords),
        "whole words": lambda text, keywords: all(re.search(rf"\b{each}\b", text, IGNORE) for each in keywords),
        "escaped": lambda text, keywords: all(each.lower() in text.lower() for each in keywords),
    },
    "keywords:frequency": {
        "> for >=": counted(n_found, off),
        "<= for <": counted(n_found, over),
        "exactly": counted(n_found, exact),
        "relations swapped": counted(n_found, swapped),
        "case counts": counted(lambda text, keyword, **rest: len(re.findall(keyword.strip(), text))),
        "not stripped": counted(lambda text, keyword, **rest: len(re.findall(keyword, text, IGNORE))),
        "whole words": counted(lambda text, keyword, **rest: len(re.findall(rf"\b{keyword.strip()}\b", text, IGNORE))),
        "overlapping": counted(lambda text, keyword, **rest: len(re.findall(f"(?={keyword.strip()})", text, IGNORE))),
    },
    "keywords:forbidden_words": {
        "substrings": lambda text, forbidden_words: not any(re.search(each, text, IGNORE) for each in forbidden_words),
        "case counts": lambda text, forbidden_words: not any(
            re.search(rf"\b{each}\b", text) for each in forbidden_words
        ),
        "all needed": lambda text, forbidden_words: not all(
            re.search(rf"\b{each}\b", text, IGNORE) for each in forbidden_words
        ),
        "tokens of white space": lambda text, forbidden_words: not set(forbidden_words) & set(text.lower().split()),
    },
    "keywords:letter_frequency": {
        "> for >=": counted(n_letter, off),
        "<= for <": counted(n_letter, over),
        "exactly": counted(n_letter, exact),
        "case counts": counted(lambda text, letter, **rest: text.count(letter)),
        "letters alone": counted(lambda text, letter, **rest: n_letter(text, letter) * letter.isalpha()),
    },
    "language:response_language": {
        "no features fail": lambda text, language: language_of(text) == language,
        "any language": lambda text, language: True,
        "English passes": lambda text, language: language_of(text) in (language, "en", None),
    },
    "length_constraints:number_sentences": {
        "> for >=": counted(n_sentences, off),
        "<= for <": counted(n_sentences, over),
        "exactly": counted(n_sentences, exact),
        "lines": counted(lambda text, **rest: len(text.split("\n"))),
        "marks": counted(lambda text, **rest: len(re.findall(r"[.!?]", text))),
        "stops alone": counted(lambda text, **rest: text.count(".")),
    },
    "length_constraints:number_paragraphs": {
        "at least": lambda text, **arguments: paragraphs(text, **arguments, fits=lambda a, b: a >= b),
        "at most": lambda text, **arguments: paragraphs(text, **arguments, fits=lambda a, b: a <= b),
        "blank ends count": lambda text, **arguments: paragraphs(text, **arguments, ends=False),
        "blank middle passes": lambda text, **arguments: paragraphs(text, **arguments, middle=False),
        "two stars": lambda text, **arguments: paragraphs(text, **arguments, stars=r"\s?\*\*\s?"),
        "white space needed": lambda text, **arguments: paragraphs(text, **arguments, stars=r"\s\*\*\*\s"),
        "empty lines": lambda text, **arguments: paragraphs(text, **arguments, stars=r"\n\n"),
        "any run of stars": lambda text, **arguments: paragraphs(text, **arguments, stars=r"\s?\*{3,}\s?"),
    },
    "length_constraints:number_words": {
        "> for >=": counted(n_words, off),
        "<= for <": counted(n_words, over),
        "white space": counted(lambda text, **rest: len(text.split())),
        "letters alone": counted(lambda text, **rest: len(re.findall("[a-zA-Z]+", text))),
        "apostrophes join": counted(lambda text, **rest: len(re.findall(r"[\w']+", text))),
    },
    "length_constraints:nth_paragraph_first_word": {
        "blank ones skipped": lambda text, **arguments: nth(text, **arguments, filtered=True),
        "from 0": lambda text, **arguments: nth(text, **arguments, shift=0),
        "one line end": lambda text, **arguments: nth(text, **arguments, parted="\n"),
        "case counts": lambda text, **arguments: nth(text, **arguments, case=False),
        "not cut": lambda text, **arguments: nth(text, **arguments, cut=""),
        "cut at semicolons": lambda text, **arguments: nth(text, **arguments, cut=".,?!'\";"),
        "quotes stay": lambda text, **arguments: nth(text, **arguments, inner=" "),
        "quotes in any order": lambda text, **arguments: nth(text, **arguments, outer="'\"", inner="'\""),
        "number not checked": lambda text, **arguments: nth(text, **arguments, counted=False),
    },
    "detectable_content:number_placeholders": {
        "exactly": lambda text, num_placeholders: len(re.findall(r"\[.*?\]", text)) == num_placeholders,
        ">": lambda text, num_placeholders: len(re.findall(r"\[.*?\]", text)) > num_placeholders,
        "greedy": lambda text, num_placeholders: len(re.findall(r"\[.*\]", text)) >= num_placeholders,
        "not empty": lambda text, num_placeholders: len(re.findall(r"\[.+?\]", text)) >= num_placeholders,
        "over lines": lambda text, num_placeholders: len(re.findall(r"(?s)\[.*?\]", text)) >= num_placeholders,
        "opening ones": lambda text, num_placeholders: text.count("[") >= num_placeholders,
        "closing ones": lambda text, num_placeholders: text.count("]") >= num_placeholders,
    },
    "detectable_content:postscript": {
        "marker as it is": lambda text, postscript_marker: postscript_marker.lower() in text.lower(),
        "case counts": lambda text, postscript_marker: postscript_marker in text,
        "at line start": lambda text, postscript_marker: bool(
            re.search("(?m)^" + re.escape(postscript_marker).replace(r"\.", r"\.\s?"), text, IGNORE)
        ),
        "dots optional": lambda text, postscript_marker: bool(
            re.search(postscript_marker.replace(".", r"\.?\s?"), text, IGNORE)
        ),
        "much white space": lambda text, postscript_marker: bool(
            re.search(postscript_marker.replace(".", r"\.\s*"), text, IGNORE)
        ),
        "one p for two": lambda text, postscript_marker: bool(re.search(r"p\.\s?s", text, IGNORE)),
    },
    "detectable_format:number_bullet_lists": {
        "at least": lambda text, **arguments: bullets(text, **arguments, fits=lambda a, b: a >= b),
        "at most": lambda text, **arguments: bullets(text, **arguments, fits=lambda a, b: a <= b),
        "stars alone": lambda text, **arguments: bullets(text, **arguments, dash="(?!)"),
        "dashes alone": lambda text, **arguments: bullets(text, **arguments, star="(?!)"),
        "two stars": lambda text, **arguments: bullets(text, **arguments, star=r"^\s*\*.*$"),
        "space needed": lambda text, **arguments: bullets(text, **arguments, star=r"^\s*\*\s.*$", dash=r"^\s*-\s.*$"),
        "no indent": lambda text, **arguments: bullets(text, **arguments, star=r"^\*[^\*].*$", dash="^-.*$"),
        "anywhere": lambda text, **arguments: bullets(text, **arguments, dash="-.*$"),
        "rules left out": lambda text, **arguments: bullets(text, **arguments, dash=r"^\s*-(?!--$).*$"),
        "plus": lambda text, **arguments: bullets(text, **arguments, dash=r"^\s*[-+].*$"),
        "numbers": lambda text, **arguments: bullets(text, **arguments, dash=r"^\s*(?:-|\d+\.).*$"),
        "star joins no line": lambda text, **arguments: bullets(text, **arguments, star=r"^\s*\*[^\*\n].*$"),
        "lone star": lambda text, **arguments: bullets(text, **arguments, star=r"^\s*\*(?!\*).*$"),
    },
    "detectable_format:constrained_response": {
        "case": lambda text: any(f"my answer is {each}." in text.lower() for each in ("yes", "no", "maybe")),
        "alone": lambda text: text.strip() in [f"My answer is {each}." for each in ("yes", "no", "maybe")],
        "no full stop": lambda text: any(f"My answer is {each}" in text for each in ("yes", "no", "maybe")),
        "no maybe": lambda text: any(f"My answer is {each}." in text for each in ("yes", "no")),
        "any answer": lambda text: "My answer is " in text,
    },
    "detectable_format:number_highlighted_sections": {
        "exactly": lambda text, **arguments: highlights(text, **arguments, fits=lambda a, b: a == b),
        ">": lambda text, **arguments: highlights(text, **arguments, fits=lambda a, b: a > b),
        "single alone": lambda text, **arguments: highlights(text, **arguments, two=""),
        "double alone": lambda text, **arguments: highlights(text, **arguments, one=""),
        "blank ones": lambda text, **arguments: highlights(text, **arguments, blank=True),
        "over lines": lambda text, **arguments: highlights(text, **arguments, one=r"\*[^\*]*\*"),
        "one pattern": lambda text, **arguments: highlights(text, **arguments, one=r"\*+[^\n\*]+\*+", two=""),
    },
    "detectable_format:multiple_sections": {
        "exactly": lambda text, **arguments: sections(text, **arguments, fits=lambda a, b: a == b),
        ">": lambda text, **arguments: sections(text, **arguments, fits=lambda a, b: a > b),
        "pieces": lambda text, **arguments: sections(text, **arguments, less=0),
        "case": lambda text, **arguments: sections(text, **arguments, flags=IGNORE),
        "not stripped": lambda text, **arguments: sections(text, **arguments, strip=False),
        "no number": lambda text, **arguments: sections(text, **arguments, form=r"\s?{}\s?"),
        "much white space": lambda text, **arguments: sections(text, **arguments, form=r"\s?{}\s*\d+\s?"),
        "white space needed": lambda text, **arguments: sections(text, **arguments, form=r"\s?{}\s\d+\s?"),
    },
    "detectable_format:json_format": {
        "not stripped": lambda text: parses(text, strip=False),
        "no fence": lambda text: parses(text, fences=(), close=False),
        "one tag": lambda text: parses(text, fences=("```json", "```")),
        "no Json": lambda text: parses(text, fences=("```json", "```JSON", "```")),
        "no bare fence": lambda text: parses(text, fences=("```json", "```Json", "```JSON")),
        "open fence": lambda text: parses(text, close=False),
        "objects alone": lambda text: parses(text, kinds=dict),
        "no numbers": lambda text: parses(text, kinds=(dict, list)),
        "no NaN": lambda text: parses(text, parse_constant=refuse),
        "any tag": lambda text: parses(re.sub(r"^```\w*", "", text)),
        "anywhere": lambda text: parses(re.sub(r"^[^{\[]*(?=[{\[])", "", text)),
        "quotes": lambda text: parses(text.replace("'", '"')),
    },
    "detectable_format:title": {
        "single brackets": lambda text: title(text, pattern=r"<[^\n]+>"),
        "not greedy": lambda text: title(text, pattern=r"<<[^\n]*?>>"),
        "blank ones": lambda text: title(text, blank=True),
        "over lines": lambda text: title(text, pattern=r"(?s)<<.+>>"),
        "line alone": lambda text: title(text, pattern=r"(?m)^<<[^\n]+>>$"),
        "empty": lambda text: bool(re.search("<<[^\n]*>>", text)),
    },
    "combination:two_responses": {
        "five stars": lambda text: responses(text, stars="*****"),
        "blank middle passes": lambda text: responses(text, middle=False),
        "the same twice": lambda text: responses(text, different=False),
        "not stripped": lambda text: responses(text, strip=False),
        "two or more": lambda text: responses(text, fits=lambda n: n >= 2),
        "case": lambda text: responses(text, case=str.lower),
        "exactly two parts": lambda text: responses(text) and text.count("******") == 1,
    },
    "combination:repeat_prompt": {
        "case counts": lambda text, prompt_to_repeat: text.strip().startswith(prompt_to_repeat.strip()),
        "anywhere": lambda text, prompt_to_repeat: prompt_to_repeat.strip().lower() in text.lower(),
        "reply not stripped": lambda text, prompt_to_repeat: text.lower().startswith(prompt_to_repeat.strip().lower()),
        "prompt not stripped": lambda text, prompt_to_repeat: text.strip().lower().startswith(prompt_to_repeat.lower()),
        "more needed": lambda text, prompt_to_repeat: text.strip().lower().startswith(prompt_to_repeat.strip().lower())
        and len(text.strip()) > len(prompt_to_repeat.strip()),
        "stop optional": lambda text, prompt_to_repeat: text.strip()
        .lower()
        .startswith(prompt_to_repeat.strip(" .").lower()),
    },
    "startend:end_checker": {
        "case counts": lambda text, end_phrase: text.strip().strip('"').endswith(end_phrase.strip()),
        "anywhere": lambda text, end_phrase: end_phrase.strip().lower() in text.lower(),
        "quotes stay": lambda text, end_phrase: text.strip().lower().endswith(end_phrase.strip().lower()),
        "reply not stripped": lambda text, end_phrase: text.strip('"').lower().endswith(end_phrase.strip().lower()),
        "phrase not stripped": lambda text, end_phrase: text.strip().strip('"').lower().endswith(end_phrase.lower()),
        "single quotes too": lambda text, end_phrase: text.strip()
        .strip("\"'")
        .lower()
        .endswith(end_phrase.strip().lower()),
        "stripped within": lambda text, end_phrase: text.strip()
        .strip('"')
        .strip()
        .lower()
        .endswith(end_phrase.strip().lower()),
    },
    "startend:quotation": {
        "one is enough": lambda text: text.strip()[0] == '"' == text.strip()[-1],
        "not stripped": lambda text: len(text) > 1 and text[0] == text[-1] == '"',
        "more than 2": lambda text: len(text.strip()) > 2 and text.strip()[0] == text.strip()[-1] == '"',
        "first alone": lambda text: len(text.strip()) > 1 and text.strip()[0] == '"',
        "last alone": lambda text: len(text.strip()) > 1 and text.strip()[-1] == '"',
        "any quotes": lambda text: len(text.strip()) > 1 and text.strip()[0] in "\"'\u201c" and
        text.strip()[-1] in "\"'\u201d",
    },
    "change_case:capital_word_frequency": {
        "> for >=": counted(n_capitals, off),
        "<= for <": counted(n_capitals, over),
        "exactly": counted(n_capitals, exact),
        "initials": counted(lambda text, **rest: sum(word[0].isupper() for word in text.split())),
        "not I and A": counted(lambda text, **rest: len(re.findall(r"\b[A-Z]{2,}\b", text))),
        "hyphens part": counted(lambda text, **rest: sum(map(str.isupper, re.findall(r"\w+", text)))),
        "white space": counted(lambda text, **rest: sum(map(str.isupper, text.split()))),
    },
    "change_case:english_capital": {
        "any language": lambda text: text.isupper(),
        "initials": lambda text: text[0].isupper() and language_of(text) in ("en", None),
        "no small letter": lambda text: text.upper() == text and language_of(text) in ("en", None),
    },
    "change_case:english_lowercase": {
        "any language": lambda text: text.islower(),
        "no check of case": lambda text: language_of(text) in ("en", None),
        "no capital": lambda text: text.lower() == text and language_of(text) in ("en", None),
    },
    "punctuation:no_comma": {
        "not in numbers": lambda text: not re.search(r",(?!\d)", text),
        "semicolons too": lambda text: not re.search("[,;]", text),
        "full width too": lambda text: not re.search("[,\uff0c]", text),
    },
}  # fmt: skip
ALL = [(id, name) for id, mutants in MUTANTS.items() for name in mutants]


def test_every_type_has_mutants():
    assert set(MUTANTS) == set(OFFICIAL)


@pytest.mark.parametrize(("id", "name"), ALL)
def test_the_golden_table_sees_the_mutant(id, name):
    mutant = MUTANTS[id][name]
    seen = [
        case["because"]
        for group in GOLDEN[id]
        for case in group["cases"]
        if bool(mutant(case["text"], **group["arguments"])) != case["passes"]
    ]
    assert seen, f"no case of {id} tells a checker with the fault {name!r} from the right one"


@pytest.mark.parametrize("compare", [off, over, swapped, exact])
def test_the_wrong_comparisons_are_wrong(compare):
    right = [fits(count, 2, relation) for relation in ("at least", "less than") for count in range(4)]
    assert right == [False, False, True, True, True, True, False, False]
    assert [compare(count, 2, relation) for relation in ("at least", "less than") for count in range(4)] != right


# The same models without a fault agree with the table: what the mutants differ in is the fault alone.
@pytest.mark.parametrize(
    ("id", "model"),
    [
        ("keywords:frequency", counted(n_found)),
        ("keywords:letter_frequency", counted(n_letter)),
        ("length_constraints:number_words", counted(n_words)),
        ("length_constraints:number_sentences", counted(n_sentences)),
        ("length_constraints:number_paragraphs", paragraphs),
        ("length_constraints:nth_paragraph_first_word", nth),
        ("detectable_format:number_bullet_lists", bullets),
        ("detectable_format:number_highlighted_sections", highlights),
        ("detectable_format:multiple_sections", sections),
        ("detectable_format:json_format", parses),
        ("detectable_format:title", title),
        ("combination:two_responses", responses),
        ("change_case:capital_word_frequency", counted(n_capitals)),
    ],
)
def test_the_models_without_a_fault_agree_with_the_table(id, model):
    for group in GOLDEN[id]:
        for case in group["cases"]:
            assert bool(model(case["text"], **group["arguments"])) == case["passes"], case["because"]
