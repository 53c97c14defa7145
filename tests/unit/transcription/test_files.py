from dataclasses import replace

from asrkit.decoding.transcript import Transcript, Word
from asrkit.transcription.files import quality_warning, unique_stems


def test_unique_stems_numbers_duplicates():
    assert unique_stems(["x/a.wav", "y/a.mp3", "a-2.wav", "b.wav"]) == ["a", "a-2", "a-2-2", "b"]


def test_words_outside_the_word_list_are_a_warning():
    word = Word("alpha", 0.0, 0.5, 0.9)
    words = [word] * 4 + [replace(word, confidence=0.1, not_in_word_list=True)]
    assert quality_warning(Transcript(words, 3.0)) == ""
    warning = quality_warning(Transcript(words + words[-1:], 3.0))
    assert warning.startswith("2 of 6 words are not in the word list: ")
