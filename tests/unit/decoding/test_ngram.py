import bz2
import gzip
import itertools
import lzma
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decoding.kenlm_model import KenLM, read_words
from asrkit.decoding.ngram import BEGIN, END, UNKNOWN, LanguageModel
from asrkit.errors import ConfigError, DataError

TEXTS = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_next_word_probabilities_sum_to_one(texts, order):
    model = LanguageModel(texts, order)
    choices = [*model.words, END, UNKNOWN]
    histories = [(), *itertools.product([*model.words, BEGIN, "zebra"], repeat=2)]
    for history in histories:
        known = tuple(word if (word,) in model.log_probabilities or word == BEGIN else UNKNOWN for word in history)
        assert sum(10 ** model.score(known, word) for word in choices) == pytest.approx(1, abs=1e-6)


def test_frequent_words_and_words_of_many_contexts_are_likelier():
    model = LanguageModel(["press star to go on"] * 4 + ["press star to stop", "press pound to stop"])
    chances = [model.score((BEGIN, "press"), word) for word in ("star", "pound", "go")]
    assert chances == sorted(chances, reverse=True) and len(set(chances)) == 3
    texts = LanguageModel(["san francisco"] * 9 + ["a b", "c b", "d b", "e b"], 2)
    assert texts.score(("zebra",), "b") > texts.score(("zebra",), "francisco"), "seen less often, but after more words"
    assert texts.score((), "zebra") == texts.score((), UNKNOWN)


def test_follow_scores_words_after_their_history():
    model = LanguageModel(["press star to go on"] * 4 + ["press pound to stop"])
    state, first = model.follow(model.start, "press")
    _, star = model.follow(state, "star")
    _, zebra = model.follow(state, "zebra")
    assert first / math.log(10) == pytest.approx(model.score((BEGIN,), "press")) and star > zebra
    assert model.follow(model.follow(model.start, "zebra")[0], "star")[1] < star


ARPA = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99\t<s>\t-0.2
-1\t</s>
-3\t<unk>
-0.6\tpress\t-0.3
-0.8\täpfel

\\2-grams:
-0.1\t<s> press
-0.2\tpress äpfel

\\end\\
"""


def test_kenlm_file_scores_words(tmp_path, capfd):
    pytest.importorskip("kenlm")
    (tmp_path / "lm.arpa").write_text(ARPA, encoding="utf-8")
    model = KenLM(tmp_path / "lm.arpa")
    assert model.words == ["press", "äpfel"]
    state, first = model.follow(model.start, "press")
    assert first == pytest.approx(-0.1 * math.log(10), abs=1e-5)
    assert model.follow(state, "äpfel")[1] == pytest.approx(-0.2 * math.log(10), abs=1e-5)
    assert model.follow(state, "zebra")[1] == pytest.approx(-3.3 * math.log(10), abs=1e-5)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("packed", [gzip, bz2, lzma])
def test_compressed_kenlm_file_is_read(tmp_path, packed):
    pytest.importorskip("kenlm")
    (tmp_path / "lm.arpa").write_bytes(packed.compress(ARPA.encode()))
    assert KenLM(tmp_path / "lm.arpa").words == ["press", "äpfel"]
    (tmp_path / "lm.arpa").write_bytes(packed.compress(ARPA.encode())[:60])
    with pytest.raises(ConfigError, match="cannot be read as a KenLM language model"):
        KenLM(tmp_path / "lm.arpa")


def test_too_large_kenlm_files_raise_before_loading(tmp_path, monkeypatch):
    kenlm = pytest.importorskip("kenlm")
    (tmp_path / "lm.arpa").write_text(ARPA, encoding="utf-8")
    monkeypatch.setattr(kenlm, "Model", None)
    monkeypatch.setattr("asrkit.decoding.kenlm_model.MAX_KNOWN_WORDS", 1)
    with pytest.raises(ConfigError, match="more than 1 words"):
        KenLM(tmp_path / "lm.arpa")
    monkeypatch.setattr("asrkit.decoding.kenlm_model.MAX_TEXT_MB", 0)
    with pytest.raises(ConfigError, match="build_binary"):
        KenLM(tmp_path / "lm.arpa")


def test_words_of_a_binary_file_are_listed(tmp_path):
    """As KenLM's build_binary writes it: a magic line, tables of numbers, then the words, each ended by a zero."""
    path = tmp_path / "lm.bin"
    path.write_bytes(
        b"mmap lm http://kheafield.com/code format version 5\n\0"
        + bytes(200)
        + b"<unk>\0<s>\0"
        + "press\0äpfel\0".encode()
    )
    assert list(read_words(path)) == ["<unk>", "<s>", "press", "äpfel"]


def test_invalid_kenlm_file_raises(tmp_path, monkeypatch):
    (tmp_path / "lm.arpa").write_text("no language model")
    with pytest.raises(ConfigError, match="cannot be read as a KenLM language model|needs the package kenlm"):
        KenLM(tmp_path / "lm.arpa")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(ConfigError, match="pip install kenlm"):
        KenLM(tmp_path / "lm.arpa")


def test_language_model_without_text_raises():
    with pytest.raises(DataError, match="needs some text"):
        LanguageModel(["", "  "])
