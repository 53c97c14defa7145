import bz2
import gzip
import lzma
import math
import sys

import pytest

from asrkit.decoding.kenlm_model import KenLM, read_words
from asrkit.errors import ConfigError

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
