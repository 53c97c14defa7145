import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decoding import lexicon
from asrkit.decoding.ctc import collapse
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.errors import ConfigError

TOKENS = {"<pad>": 0, "|": 1, "a": 2, "b": 3}
WORDS = ["ab", "b", "aa"]


def make_decoder(words=WORDS) -> LexiconDecoder:
    return LexiconDecoder(words, TOKENS, 0, 1)


def posteriors(ids, share=0.9) -> np.ndarray:
    """(frames, 4): each frame gives `share` to its token and the rest to the others."""
    table = np.full((len(ids), 4), (1 - share) / 3)
    table[np.arange(len(ids)), ids] = share
    return table


def decode(table, words=WORDS) -> list[str]:
    return [one.word for one in make_decoder(words).search(table)]


def spell_path(path) -> list[str] | None:
    """The words of a path of ids if all are in the list, else None."""
    text = "".join(" ab"[max(0, token - 1)] for token in collapse(path, 0))
    words = text.split()
    return words if all(word in WORDS for word in words) else None


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**31))
def test_search_finds_the_best_of_all_paths(frames, seed):
    table = np.random.default_rng(seed).dirichlet([0.5] * 4, frames)
    smooth = np.log((1 - lexicon.SMOOTHING) * table + lexicon.SMOOTHING / 4)
    paths = [path for path in itertools.product(range(4), repeat=frames) if spell_path(path) is not None]
    best = max(paths, key=lambda path: smooth[np.arange(frames), path].sum())
    assert decode(table) == spell_path(best)


def test_one_wrong_letter_is_outvoted():
    assert decode(posteriors([2, 2, 0, 2, 3]), ["ab", "b"]) == ["ab"]
    assert decode(posteriors([0, 2, 3, 1, 1, 3, 0])) == ["ab", "b"]


def test_a_doubled_letter_needs_a_blank_between():
    assert decode(posteriors([2, 0, 2])) == ["aa"]


def test_blanks_alone_have_no_words():
    assert decode(posteriors([0, 0, 0], share=0.99)) == []
    assert decode(np.zeros((0, 4))) == []


def test_decoded_word_has_frames_and_confidence():
    (one,) = make_decoder().search(posteriors([0, 2, 2, 0, 3, 0]))
    assert (one.word, one.start, one.end) == ("ab", 1, 5)
    assert one.confidence == pytest.approx(0.9)


SPELLED = {"<pad>": 0, "|": 1} | {letter: number for number, letter in enumerate("abcdefghij", 2)}


def decode_letters(text: str, words=("abcd", "aebe", "face")) -> list:
    """Decode confident posteriors of a text, two frames a letter with a blank between."""
    ids = [index for letter in text for index in (SPELLED[letter.replace(" ", "|")], 0)]
    table = np.full((len(ids), len(SPELLED)), 0.001)
    table[np.arange(len(ids)), ids] = 1 - 0.001 * (len(SPELLED) - 1)
    return LexiconDecoder(words, SPELLED, 0, 1).decode(np.log(table), 0.02)


def test_words_of_the_list_are_kept_with_a_wrong_letter():
    found = decode_letters("abcd face aebj abcd")
    assert [word.word for word in found] == ["abcd", "face", "aebe", "abcd"]
    assert not any(word.not_in_word_list for word in found)


def test_other_speech_is_marked_and_keeps_its_most_similar_words():
    found = decode_letters("hij jihgi ghijh")
    assert found and all(word.not_in_word_list and word.word in ("abcd", "aebe", "face") for word in found)
    assert all(word.confidence < 0.5 for word in found)
    assert all(word.to_dict()["not_in_word_list"] is True for word in found)


def test_other_speech_between_words_of_the_list_is_marked_alone():
    found = decode_letters("abcd face hijghj ijhgi jhhgij abcd face")
    unlisted = [word.not_in_word_list for word in found]
    assert unlisted[:2] == unlisted[-2:] == [False, False] and all(unlisted[2:-2]) and len(unlisted) > 4
    assert "not_in_word_list" not in found[0].to_dict()


def test_invalid_word_lists_raise():
    with pytest.raises(ConfigError, match="needs 1 to"):
        make_decoder([])
    with pytest.raises(ConfigError, match="'z', which the model has no token for"):
        make_decoder(["az"])
