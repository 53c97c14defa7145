import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.errors import ConfigError
from asrkit.text.graphemes import GraphemeSplitter, choose_graphemes, propose_graphemes
from asrkit.text.metrics import score


def split(text, *graphemes):
    return list(GraphemeSplitter(graphemes).split(text))


def test_longest_grapheme_is_taken():
    assert split("chatschi", "ch", "sch", "s") == ["ch", "a", "t", "sch", "i"]
    assert split("ng'ombe ngombe", "ng", "ng'") == ["ng'", "o", "m", "b", "e", " ", "ng", "o", "m", "b", "e"]
    assert split("ab c", "xy") == ["a", "b", " ", "c"] == split("ab c")


def test_no_grapheme_ends_before_a_diacritic():
    """n + g̃, not ng + tilde."""
    assert split("ng\u0303a", "ng", "g\u0303") == ["n", "g\u0303", "a"]
    assert split("क्षि", "क्ष") == ["क्ष", "ि"]  # a vowel sign is no diacritic


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_unicode_forms_are_one_grapheme(form):
    text = unicodedata.normalize(form, "ɛ̃tré ẹ̀")
    assert split(text, "ɛ̃", unicodedata.normalize(form, "ẹ̀")) == ["ɛ̃", "t", "r", "é", " ", "ẹ̀"]


@settings(deadline=None, max_examples=200)
@given(st.text("abcñ \u0303", max_size=20), st.lists(st.text("abc", min_size=1, max_size=3), max_size=5))
def test_parts_make_the_composed_text(text, graphemes):
    parts = split(text, *graphemes)
    assert "".join(parts) == unicodedata.normalize("NFC", text)
    assert all(len(part) == 1 or part in graphemes for part in parts)


def test_clusters_are_proposed_where_they_are_frequent():
    texts = ["tɔ̀ mà"] * 20 + ["kɛ̃"] * 19
    assert propose_graphemes(texts) == ["ɔ̀"]  # à is one character in NFC
    assert choose_graphemes("gb auto CH", texts, "basic") == ["ch", "gb", "ɔ̀"]
    assert choose_graphemes("", texts, "basic") == choose_graphemes("é x", texts, "basic") == []


@pytest.mark.parametrize(
    ("setting", "words"), [("ch --", "'--', which is removed"), ("a|b", "becomes 'a b'"), ("½", "becomes '1 2'")]
)
def test_graphemes_that_texts_cannot_contain_are_refused(setting, words):
    with pytest.raises(ConfigError, match=f"Graphemes .* has .*{words}"):
        choose_graphemes(setting, [], "basic")
    with pytest.raises(ConfigError, match="becomes '<x>'"):
        choose_graphemes("<x>", [], "none")


def test_both_unicode_forms_are_no_error():
    found = score([unicodedata.normalize("NFD", "é ɛ̃")], ["é ɛ̃"])
    assert found.wer.rate == found.cer.rate == found.mer.rate == 0
