import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.decoding.beam import BeamSearch
from asrkit.decoding.beam_cache import build_from_text, load_from_file
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.decoding.ngram import LanguageModel
from asrkit.decoding.transcript import join_words
from asrkit.errors import ConfigError
from tests.support import tiny


def frames(path, share=0.6, also=None):
    return tiny.make_log_probs(path, share, also)


def search(processor, *texts):
    return BeamSearch(processor, 0, LanguageModel(texts))


def decode(processor, scores, *texts):
    return [one.word for one in search(processor, *texts).decode(scores, 0.02)]


def test_beam_search_times_known_words(processor):
    decoder = search(processor, "ab cd", "cd ab")
    words = decoder.decode(frames([0, 3, 3, 4, 0, 2, 0, 5, 0, 6, 0], 0.9), 0.02)
    assert [(one.word, round(one.start_s, 2), round(one.end_s, 2)) for one in words] == [
        ("ab", 0.02, 0.08),
        ("cd", 0.14, 0.2),
    ]
    assert all(0.8 < one.confidence <= 1 for one in words)
    assert decoder.decode(frames([]).reshape(0, 8), 0.02) == []
    assert decoder.decode(frames([0, 0, 2, 0]), 0.02) == []


MISSPELLED = frames([0, 3, 0, 7, 0, 2, 5, 0, 6, 0], 0.9, also={3: (7, 0.6)})  # "ae cd", where the e is uncertain


def test_beam_search_corrects_misspelled_known_word(processor):
    assert decode(processor, frames([0, 3, 0, 7, 0, 2, 5, 0, 6, 0]), "ab cd") == ["ab", "cd"]
    assert decode(processor, MISSPELLED, "ab cd") == ["ab", "cd"]


def test_beam_search_keeps_unknown_word(processor):
    words = search(processor, "ab").decode(frames([0, 3, 0, 4, 0, 2, 5, 0, 5, 0, 7, 0], 0.95), 0.02)
    assert [one.word for one in words] == ["ab", "cce"]
    assert words[0].confidence > words[1].confidence > 0.5


def test_confident_letters_are_not_overruled(processor):
    assert decode(processor, frames([0, 3, 0, 7, 0, 2, 5, 0, 6, 0], 0.999), "ab cd") == ["ae", "cd"]


@settings(deadline=None, max_examples=60)
@given(path=st.lists(st.integers(0, 7), min_size=1, max_size=25), share=st.floats(0.3, 0.99))
def test_beam_search_equals_greedy_without_similar_known_word(processor, path, share):
    scores = frames(path, share)
    scores[:, 5] = -20.0  # a letter that is never decoded; the known words are made of it
    scores[np.arange(len(path)), np.where(np.array(path) == 5, 0, path)] = np.log(share)
    decoder = search(processor, "c ccc")
    result, plain = decoder.decode(scores, 0.02), GreedyDecoder(processor, 0).decode(scores, 0.02)
    assert join_words(result) == join_words(plain)


def test_likelier_word_order_wins_for_ambiguous_sound(processor):
    ambiguous = frames([0, 3, 0, 2, 4, 0, 0], also={4: (5, 0.3)})  # "a b", or "a c"
    assert decode(processor, ambiguous, *["a c"] * 9, "b", "e b") == ["a", "c"]
    assert decode(processor, ambiguous, *["a b"] * 9, "c") == ["a", "b"]


def test_characters_of_an_unspaced_script_are_words(tmp_path):
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "han", letters="我们去ab"))
    ambiguous = frames([0, 3, 0, 5, 0, 6, 7, 0], 0.9, {3: (4, 0.3)})  # 我去ab, where 去 may be 们
    decoder = build_from_text(types.SimpleNamespace(processor=processor, blank_id=0), "我们 我们ab\n我们")
    words = decoder.decode(ambiguous, 0.02)
    assert join_words(words) == "我们ab" and [one.joined for one in words] == [False, True, True]


def test_decoder_of_a_text_is_cached(processor):
    transcriber = types.SimpleNamespace(processor=processor, blank_id=0)
    assert build_from_text(transcriber, " \n") is None
    first = build_from_text(transcriber, "Ab cd!\n")
    assert build_from_text(transcriber, "ab CD") is first
    assert build_from_text(transcriber, "ab") is not first


def test_kenlm_file_guides_the_search(processor, tmp_path):
    pytest.importorskip("kenlm")
    transcriber = types.SimpleNamespace(processor=processor, blank_id=0)
    path = tmp_path / "lm.arpa"
    path.write_text(
        "\\data\\\nngram 1=5\nngram 2=2\n\n\\1-grams:\n-99\t<s>\t0\n-1\t</s>\n-3\t<unk>\n-0.7\tab\t0\n"
        "-0.7\tcd\t0\n\n\\2-grams:\n-0.1\tab cd\n-0.1\t<s> ab\n\n\\end\\\n"
    )
    decoder = load_from_file(transcriber, str(path))
    assert [one.word for one in decoder.decode(MISSPELLED, 0.02)] == ["ab", "cd"]
    assert load_from_file(transcriber, str(path)) is decoder
    hot = HotWordDecoder(processor, 0, ["cde"], decoder)
    scores = frames([0, 3, 0, 4, 0, 2, 5, 0, 6, 0, 0], 0.9, {9: (7, 0.2)})
    assert [one.word for one in hot.decode(scores, 0.02)] == ["ab", "cde"]
    with pytest.raises(ConfigError, match="There is no language model"):
        load_from_file(transcriber, str(tmp_path / "none.arpa"))


def test_decoders_share_a_language_model(processor, tmp_path):
    from transformers import AutoProcessor

    other = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "other"))
    first, second = (
        build_from_text(types.SimpleNamespace(processor=one, blank_id=0), "ab cd ab") for one in (processor, other)
    )
    assert first is not second and first.model is second.model


@pytest.mark.parametrize("path", ["a" * 5000, "~/none.arpa", "~nobody-here/lm.arpa", "no\0path.arpa"])
def test_missing_language_model_file_raises(processor, path):
    with pytest.raises(ConfigError, match="There is no language model"):
        load_from_file(types.SimpleNamespace(processor=processor, blank_id=0), path)


def test_home_directory_is_expanded(processor, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lm.arpa").write_text("no language model")
    with pytest.raises(ConfigError, match="cannot be read as a KenLM|needs the package kenlm"):
        load_from_file(types.SimpleNamespace(processor=processor, blank_id=0), "~/lm.arpa")


def test_text_without_spellable_word_raises(processor):
    with pytest.raises(ConfigError, match="can spell no word"):
        search(processor, "xyz")
