from types import SimpleNamespace

import numpy as np
import pytest

from asrkit.decoding import lexicon
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.transcript import join_words
from asrkit.errors import ConfigError
from tests.support import tiny


def test_hot_words_extend_the_word_list_of_a_model(tmp_path):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "tiny"))
    transcriber = SimpleNamespace(
        processor=processor, blank_id=0, decoder=LexiconDecoder.from_processor(["ab", "ced"], processor)
    )
    decoder = DecodingHints(hot_words="Dab, ab").build_decoder(transcriber)
    assert decoder.words == ["ab", "ced", "dab"]
    probabilities = np.full((7, 8), 0.01)
    probabilities[np.arange(7), [0, 6, 0, 3, 0, 4, 0]] = 0.93
    assert [one.word for one in decoder.decode(np.log(probabilities), 0.02)] == ["dab"]
    with pytest.raises(ConfigError, match="no token for"):
        DecodingHints(hot_words="xyz").build_decoder(transcriber)


def test_text_extends_the_word_list_and_a_long_one_keeps_it(tmp_path, monkeypatch):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "tiny"))
    transcriber = SimpleNamespace(
        processor=processor, blank_id=0, decoder=LexiconDecoder.from_processor(["ab", "ced"], processor)
    )
    assert DecodingHints(text=" \n").build_decoder(transcriber) is None
    assert DecodingHints(text="Ab dab xyz", hot_words="ee").build_decoder(transcriber).words == [
        "ab",
        "ced",
        "dab",
        "ee",
    ]
    with pytest.raises(ConfigError, match="can spell no word of this text"):
        DecodingHints(text="xyz").build_decoder(transcriber)
    monkeypatch.setattr(lexicon, "MAX_LETTERS", 10)
    decoder = DecodingHints(text="dab dab ebed").build_decoder(transcriber)
    scores = tiny.make_log_probs(
        [0, 5, 0, 7, 0, 4, 0, 2, 0, 6, 0, 3, 0, 4, 0], 0.9, {5: (6, 0.35)}
    )  # ceb (or ced?) dab
    assert join_words(GreedyDecoder(processor, 0).decode(scores, 0.02)) == "ceb dab"
    assert join_words(decoder.decode(scores, 0.02)) == "ced dab"


@pytest.fixture
def capitals(tmp_path):
    """What listens with a model that writes nothing else."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "capitals", letters="ABCDE"))
    return SimpleNamespace(processor=processor, blank_id=0, decoder=GreedyDecoder(processor, 0))


@pytest.mark.parametrize("expect", [DecodingHints(hot_words="ab"), DecodingHints(text="ab")], ids=["hot words", "text"])
def test_hinted_words_are_written_in_the_case_of_the_model(capitals, expect):
    scores = tiny.make_log_probs([0, 3, 0, 4, 4, 0, 2, 5, 0, 6, 0], 0.6, {3: (7, 0.41), 4: (7, 0.41)})
    assert join_words(capitals.decoder.decode(scores, 0.02)) == "AE CD"
    assert join_words(expect.build_decoder(capitals).decode(scores, 0.02)) == "AB CD"


def test_unspellable_hot_word_raises_also_beside_a_text(capitals):
    for expect in (DecodingHints(hot_words="ab xyz"), DecodingHints(text="ab cd", hot_words="ab xyz")):
        with pytest.raises(ConfigError, match="cannot spell the hot word 'xyz'"):
            expect.build_decoder(capitals)
