from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from asrkit.errors import ConfigError
from asrkit.speech import lexicon
from asrkit.transcription.decoding import WordList
from asrkit.transcription.expected import Expected
from asrkit.transcription.files import stems


def test_hot_words_join_the_list_that_a_model_was_tuned_to_hear(tmp_path):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.model(tmp_path / "tiny"))
    listener = SimpleNamespace(processor=processor, blank_id=0,
                               decoder=WordList(lexicon.for_processor(["ab", "ced"], processor)))
    decoder = Expected(hot_words="Dab, ab").decoder(listener)
    assert decoder.loop.words == ["ab", "ced", "dab"]
    probabilities = np.full((7, 8), 0.01)
    probabilities[np.arange(7), [0, 6, 0, 3, 0, 4, 0]] = 0.93
    assert [one.word for one in decoder.words(np.log(probabilities), 0.02)] == ["dab"]
    with pytest.raises(ConfigError, match="no token for"):
        Expected(hot_words="xyz").decoder(listener)


def test_no_two_files_are_written_under_one_name():
    assert stems(["x/a.wav", "y/a.mp3", "a-2.wav", "b.wav"]) == ["a", "a-2", "a-2-2", "b"]
