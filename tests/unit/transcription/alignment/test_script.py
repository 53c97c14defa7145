import pytest

from asrkit.decoding.tokens import Speller
from asrkit.errors import DataError, ModelError
from asrkit.transcription.alignment.script import read_script, spell_script, split_lines
from asrkit.transcription.alignment.viterbi import ANYTHING, BETWEEN, INSIDE

LETTERS = {"<pad>": 0, "<unk>": 1, "|": 2} | {letter: 3 + index for index, letter in enumerate("abcdefghz")}
SPELLER = Speller(LETTERS, frozenset({0, 1}), 2, 1)


def spell(*lines):
    words = split_lines(lines)
    script = spell_script(words, SPELLER, "basic")
    texts = {token: letter for letter, token in LETTERS.items()}
    return script, "".join(texts[token] for token in script.token_ids)


def test_sentences_and_lines_end_phrases(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("A bad day. “No!” said\nMr. Bee\n\n你好。\n", encoding="utf-8")
    words = read_script(path)
    assert [word.word for word in words if word.ends_phrase] == ["day.", "“No!”", "said", "Mr.", "Bee", "。"]
    assert [word.joined for word in words][-3:] == [False, True, True]


def test_captions_are_read_in_the_order_of_their_times(tmp_path):
    path = tmp_path / "text.srt"
    path.write_text("1\n00:00:09,000 --> 00:00:11,000\nb c\n\n2\n00:00:01,000 --> 00:00:02,000\n<i>a</i>\n")
    words = read_script(path)
    assert [(word.word, word.caption_s, word.ends_phrase) for word in words] == [
        ("a", 1.5, True),
        ("b", 10.0, False),
        ("c", 10.0, True),
    ]


def test_text_without_words_is_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text(" \n\n")
    with pytest.raises(DataError, match=r"empty\.txt holds no text"):
        read_script(path)


def test_only_words_may_be_left_out():
    script, letters = spell("Bad, face")
    assert letters == "badface"
    assert script.words.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert script.gaps == [BETWEEN, INSIDE, INSIDE, BETWEEN, INSIDE, INSIDE, INSIDE, BETWEEN]


def test_letters_without_a_token_are_read_as_those_that_sound_alike():
    script, letters = spell("é ж Бад")
    assert letters == "ezhbad"
    assert script.replaced == {"é": "e", "ж": "zh", "б": "b", "а": "a", "д": "d"}
    assert (script.num_replaced, script.num_letters) == (5, 5)


def test_numbers_in_digits_may_be_any_speech_and_punctuation_none():
    script, letters = spell("a – 42 b 7")
    assert letters == "ab" and script.unspelled == {2, 4}
    assert script.gaps == [BETWEEN, ANYTHING, ANYTHING]


def test_a_text_without_known_letters_is_refused():
    with pytest.raises(ModelError, match="choose a model of its language"):
        spell("42 1 !")
