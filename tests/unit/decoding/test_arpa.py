"""N-gram models written as .arpa files."""

import math
import random

import pytest

from asrkit.decoding.arpa import write_arpa
from asrkit.decoding.ngram import LN10, LanguageModel

WORDS = "alfa bravo charlie delta echo".split()


@pytest.fixture
def model():
    chance = random.Random(0)
    return LanguageModel(" ".join(chance.choices(WORDS[:4], k=chance.randint(1, 6))) for _ in range(40))


def test_file_counts_its_n_grams(model, tmp_path):
    write_arpa(model, tmp_path / "lm.arpa")
    lines = (tmp_path / "lm.arpa").read_text().splitlines()
    assert lines[0] == "\\data\\" and lines[-1] == "\\end\\"
    for size in (1, 2, 3):
        section = lines[lines.index(f"\\{size}-grams:") + 1 :]
        num_grams = section.index("")
        assert f"ngram {size}={num_grams}" in lines
        assert {len(line.split("\t")[1].split()) for line in section[:num_grams]} == {size}


def test_kenlm_reads_the_same_probabilities(model, tmp_path):
    pytest.importorskip("kenlm")
    from asrkit.decoding.kenlm_model import KenLM

    write_arpa(model, tmp_path / "lm.arpa")
    read = KenLM(tmp_path / "lm.arpa")
    assert read.words == model.words
    chance = random.Random(1)
    for _ in range(50):
        states = model.start, read.start
        for word in [*chance.choices(WORDS, k=5), "</s>"]:
            (own, wanted), (other, found) = (
                one.follow(state, word) for one, state in zip((model, read), states, strict=True)
            )
            states = own, other
            assert math.isclose(found, wanted, abs_tol=LN10 * 1e-5), word
