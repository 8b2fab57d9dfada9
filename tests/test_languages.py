"""Our reading of langdetect's profiles against langdetect itself, bit for bit."""

import random
from pathlib import Path

import pytest

from eggym.envs.constraints_language import LANGUAGES
from eggym.envs.languages import UNKNOWN, chances, language_of, profiles

TEXTS = (
    "The weather is lovely today and we are going to the park with our friends.",
    "THE WEATHER IS LOVELY TODAY, AND I SAY IT ONCE MORE",
    "Das Wetter ist heute sehr sch\u00f6n und wir gehen mit unseren Freunden in den Park.",
    "see https://example.org/a?b=c or write to some.body@example.org  two  blanks\nand a line",
    "Th\u1eddi ti\u1ebft h\u00f4m nay r\u1ea5t \u0111\u1eb9p e\u0301 a\u0300",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 ok",
    "\u4eca\u5929\u5929\u6c14\u5f88\u597d hello",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c",
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    " a", "  a b", "AB", "ABc dE", "x", "a\u00df",
)  # fmt: skip


@pytest.fixture(scope="module")
def reference():
    """langdetect's own detector, with profiles in the order of their names and seed 0."""
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.set_seed(0)
    factory.load_json_profile([file.read_text("utf-8") for file in sorted(Path(PROFILES_DIRECTORY).iterdir())])

    def probabilities(text):
        detector = factory.create()
        detector.append(text)
        detector._detect_block()
        return detector.langprob

    return probabilities


@pytest.mark.parametrize("text", TEXTS)
def test_probabilities_are_langdetects_bit_for_bit(text, reference):
    assert chances(text) == reference(text)


def test_so_they_are_on_noise(reference):
    from langdetect.lang_detect_exception import LangDetectException

    rng = random.Random(4)
    alphabet = [
        " ",
        " ",
        "a",
        "B",
        "\u00e9",
        "\u00c0",
        "e\u0301",
        "1",
        ".",
        "\u0437",
        "\u5929",
        "\u1ebf",
        "\uac00",
        "q",
    ]
    n_read = 0
    for _ in range(60):
        text = "".join(rng.choices(alphabet, k=rng.randrange(1, 25)))
        try:
            wanted = reference(text)
            n_read += 1
        except LangDetectException:
            wanted = None
        assert chances(text) == wanted, text
    assert n_read > 40


@pytest.mark.parametrize("text", ["", " ", "123 + 4", "\u2603", "..."])
def test_a_text_without_features_has_no_language(text):
    assert chances(text) is None and language_of(text) is None


def test_a_text_that_is_no_language_in_particular_is_unknown(monkeypatch):
    # 55 languages of equal chance are all below one tenth
    monkeypatch.setattr("eggym.envs.languages.chances", lambda text: [1 / 55] * 55)
    assert language_of("a text that nobody else asks about") == UNKNOWN


def test_short_texts_do_not_flip_and_leave_the_global_factory_alone():
    from langdetect import detector_factory

    before = (detector_factory.DetectorFactory.seed, detector_factory._factory)
    assert len({tuple(chances("Hola amigo")) for _ in range(5)}) == 1  # not from the cache: `chances` has none
    assert (detector_factory.DetectorFactory.seed, detector_factory._factory) == before


def test_the_list_of_codes_is_that_of_the_profiles():
    assert sorted(profiles().names) == sorted(LANGUAGES) and len(LANGUAGES) == 55
