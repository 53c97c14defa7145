from types import SimpleNamespace

import numpy as np
import pytest

from asrkit.decoding import lexicon
from asrkit.decoding.expected import Expected
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.transcript import text_of
from asrkit.errors import ConfigError
from asrkit.transcription.files import stems
from tests.support import tiny


def test_hot_words_join_the_list_that_a_model_was_tuned_to_hear(tmp_path):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "tiny"))
    listener = SimpleNamespace(
        processor=processor, blank_id=0, decoder=LexiconDecoder.from_processor(["ab", "ced"], processor)
    )
    decoder = Expected(hot_words="Dab, ab").decoder(listener)
    assert decoder.words == ["ab", "ced", "dab"]
    probabilities = np.full((7, 8), 0.01)
    probabilities[np.arange(7), [0, 6, 0, 3, 0, 4, 0]] = 0.93
    assert [one.word for one in decoder.decode(np.log(probabilities), 0.02)] == ["dab"]
    with pytest.raises(ConfigError, match="no token for"):
        Expected(hot_words="xyz").decoder(listener)


def test_words_of_a_text_join_that_list_and_a_long_text_keeps_it(tmp_path, monkeypatch):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "tiny"))
    listener = SimpleNamespace(
        processor=processor, blank_id=0, decoder=LexiconDecoder.from_processor(["ab", "ced"], processor)
    )
    assert Expected(text=" \n").decoder(listener) is None
    assert Expected(text="Ab dab xyz", hot_words="ee").decoder(listener).words == ["ab", "ced", "dab", "ee"]
    with pytest.raises(ConfigError, match="can spell no word of this text"):
        Expected(text="xyz").decoder(listener)
    monkeypatch.setattr(lexicon, "MAX_LETTERS", 10)
    decoder = Expected(text="dab dab ebed").decoder(listener)
    said = tiny.make_log_probs([0, 5, 0, 7, 0, 4, 0, 2, 0, 6, 0, 3, 0, 4, 0], 0.9, {5: (6, 0.35)})  # ceb (or ced?) dab
    assert text_of(GreedyDecoder(processor, 0).decode(said, 0.02)) == "ceb dab"
    assert text_of(decoder.decode(said, 0.02)) == "ced dab"


@pytest.fixture
def capitals(tmp_path):
    """What listens with a model that writes nothing else."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "capitals", letters="ABCDE"))
    return SimpleNamespace(processor=processor, blank_id=0, decoder=GreedyDecoder(processor, 0))


@pytest.mark.parametrize("expect", [Expected(hot_words="ab"), Expected(text="ab")], ids=["hot words", "text"])
def test_expected_words_are_written_as_the_model_writes(capitals, expect):
    said = tiny.make_log_probs([0, 3, 0, 4, 4, 0, 2, 5, 0, 6, 0], 0.6, {3: (7, 0.41), 4: (7, 0.41)})
    assert text_of(capitals.decoder.decode(said, 0.02)) == "AE CD"
    assert text_of(expect.decoder(capitals).decode(said, 0.02)) == "AB CD"


def test_a_hot_word_that_cannot_be_spelled_is_told_beside_a_text_too(capitals):
    for expect in (Expected(hot_words="ab xyz"), Expected(text="ab cd", hot_words="ab xyz")):
        with pytest.raises(ConfigError, match="cannot spell the hot word 'xyz'"):
            expect.decoder(capitals)


def test_no_two_files_are_written_under_one_name():
    assert stems(["x/a.wav", "y/a.mp3", "a-2.wav", "b.wav"]) == ["a", "a-2", "a-2-2", "b"]
