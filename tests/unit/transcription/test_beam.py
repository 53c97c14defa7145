import types

import pytest
import tiny

from asrkit.errors import ConfigError
from asrkit.transcription import beam
from asrkit.transcription.beam import BeamSearch, of_text

pytest.importorskip("flashlight.lib.text.decoder")


def frames(path, sure=0.6, also=None):
    return tiny.frames(path, sure, also)


def test_words_of_the_text_are_heard_with_their_times(processor):
    decoder = BeamSearch(processor, 0, ["ab cd", "cd ab"])
    words = decoder.words(frames([0, 3, 3, 4, 0, 2, 0, 5, 0, 6, 0], 0.9), 0.02)
    assert [(one.word, round(one.start_s, 2), round(one.end_s, 2)) for one in words] == [
        ("ab", 0.02, 0.08), ("cd", 0.14, 0.2)]
    assert all(0.8 < one.confidence <= 1 for one in words)
    assert decoder.words(frames([]).reshape(0, 8), 0.02) == []


def test_a_misspelling_becomes_the_word_that_the_text_has(processor):
    scores = frames([0, 3, 0, 7, 0, 2, 5, 0, 6, 0])  # "ae cd"
    words = BeamSearch(processor, 0, ["ab cd"]).words(scores, 0.02)
    assert [one.word for one in words] == ["ab", "cd"] and words[0].confidence < words[1].confidence


def test_the_likelier_order_wins_where_the_sound_does_not_tell(processor):
    unsure = frames([0, 3, 0, 2, 4, 0, 0], also={4: (5, 0.3)})  # "a b", or "a c"
    texts = ["a c"] * 9 + ["b", "e b"]
    assert [one.word for one in BeamSearch(processor, 0, texts).words(unsure, 0.02)] == ["a", "c"]
    assert [one.word for one in BeamSearch(processor, 0, ["a b"] * 9 + ["c"]).words(unsure, 0.02)] == ["a", "b"]


def test_decoders_are_made_once_a_text(processor):
    listener = types.SimpleNamespace(processor=processor, blank_id=0)
    assert of_text(listener, " \n") is None
    first = of_text(listener, "Ab cd!\n")
    assert of_text(listener, "ab CD") is first
    assert of_text(listener, "ab") is not first


def test_what_cannot_be_expected(processor, monkeypatch):
    with pytest.raises(ConfigError, match="can spell no word"):
        BeamSearch(processor, 0, ["xyz"])
    monkeypatch.setattr(beam, "available", lambda: False)
    with pytest.raises(ConfigError, match="pip install flashlight-text"):
        BeamSearch(processor, 0, ["ab"])
