import nltk
import pytest

from eggym.envs import sentences
from eggym.envs.sentences import TRAINED, UNTRAINED, count_capital_words, count_sentences, splitter_name


@pytest.mark.parametrize(
    ("text", "count"),
    [("It rains.", 1), ("It rains. We stay in!", 2), ("no end", 1), ("", 0), ("He said 3.5 is fine. Yes?", 2)],
)
def test_sentences_are_counted(text, count):
    assert count_sentences(text) == count


def test_the_splitter_is_named_as_the_data_are_there_or_not():
    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
        assert splitter_name() == TRAINED
    except LookupError:
        assert splitter_name() == UNTRAINED


def test_without_data_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nltk, "download", lambda *args, **kwargs: pytest.fail("a download"))
    sentences._splitter.cache_clear()
    try:
        assert splitter_name() == UNTRAINED and count_sentences("It rains. We stay in.") == 2
    finally:
        sentences._splitter.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "I saw NASA's UP-TO-DATE plan (CAN'T)",
        "no capital",
        "\U0001d400 \u00c9T\u00c9 a.B",
        "A, B. C",
        '"X" Y.Z. ...',
        "1 2",
    ],
)
def test_capital_words_are_those_of_the_whole_tokenizer(text):
    words = nltk.word_tokenize(text, preserve_line=True)
    assert count_capital_words(text) == sum(word.isupper() for word in words)
