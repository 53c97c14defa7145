"""Models with tokens of several characters: ch, ng, ɛ̃."""

import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest

from asrkit.audio import Waveform
from asrkit.decoding import ctc
from asrkit.decoding.alignment import align
from asrkit.decoding.beam import BeamSearch
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.ngram import LanguageModel
from asrkit.decoding.tokens import Speller, make_splitter, spell_words
from asrkit.decoding.transcript import join_words
from asrkit.models import processors

TOKENS = ["<pad>", "<unk>", "|", *"achtngeo", "ch", "ng", "ɛ̃"]
FRAME_S = 0.02


@pytest.fixture(scope="module")
def processor():
    vocabulary = {token: number for number, token in enumerate(TOKENS)}
    return SimpleNamespace(
        tokenizer=processors.tokenizer_of(
            vocabulary, pad_token="<pad>", unk_token="<unk>", bos_token=None, eos_token=None
        )
    )


@pytest.fixture
def speller(processor):
    return Speller.from_tokenizer(processor.tokenizer)


def ids(*tokens):
    return [TOKENS.index(token or "<pad>") for token in tokens]


def scores_of(*tokens, share=0.9, also=None):
    """(frames, tokens) log posteriors of one token a frame, "" for the blank. also: {frame: second token}."""
    table = np.full((len(tokens), len(TOKENS)), (1 - share) / (len(TOKENS) - 1), np.float32)
    table[np.arange(len(tokens)), ids(*tokens)] = share
    for frame, token in (also or {}).items():
        table[frame, ids(token)] = 0.3
        table[frame] /= table[frame].sum()
    return np.log(table)


def test_longest_token_is_the_label(speller):
    assert speller.encode("chat nge") == ids("ch", "a", "t", "|", "ng", "e")
    assert speller.spell_word("Chat") == ids("ch", "a", "t") and speller.spell_word("NGO") == ids("ng", "o")
    assert speller.unknown_characters(["chat žng"]) == {"ž"} and speller.encode("ž") == [None]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_unicode_forms_have_one_spelling(speller, form):
    text = unicodedata.normalize(form, "tɛ̃")
    assert speller.encode(text) == speller.spell_word(text) == ids("t", "ɛ̃")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_marks_with_tokens_of_their_own_stay_apart(form):
    """A checkpoint in NFD: é is e and its accent, in whichever form the text is."""
    speller = Speller({"<pad>": 0, "e": 1, "\u0301": 2, "t": 3}, frozenset({0}))
    text = unicodedata.normalize(form, "té")
    assert speller.encode(text) == speller.spell_word(text) == [3, 1, 2] and not speller.unknown_characters([text])
    known = dict(speller.vocabulary)
    assert ctc.merge_vocabulary(known, [text], split=make_splitter(known, []))[1] == []
    assert ctc.merge_vocabulary(known, ["tét"], split=make_splitter(known, ["ét"]))[1] == ["ét"]


def test_vocabularies_get_a_token_for_each_grapheme():
    assert list(ctc.build_vocabulary(["chat", "hot"], ["ch", "gb"])) == ["<pad>", "<unk>", "|", *"a ch h o t".split()]
    known = {"<pad>": 0, "<unk>": 1, "|": 2, "c": 3, "h": 4, "a": 5}
    merged, added = ctc.merge_vocabulary(known, ["chacha hat"], split=make_splitter(known, ["ch"]))
    assert added == ["ch", "t"] and merged["ch"] == 6


def test_greedy_decoding_writes_graphemes(processor):
    words = GreedyDecoder(processor, 0).decode(scores_of("ch", "ch", "", "a", "|", "ng", "ɛ̃", ""), FRAME_S)
    assert [(word.word, round(word.start_s, 2), round(word.end_s, 2)) for word in words] == [
        ("cha", 0.0, 0.08),
        ("ngɛ̃", 0.1, 0.14),
    ]


def test_alignment_takes_a_frame_for_a_grapheme(processor):
    """Three frames would be too few for c, h, a, t."""
    scores = scores_of("ch", "a", "t")
    model = SimpleNamespace(processor=processor, blank_id=0, log_probabilities=lambda wave: scores)
    (word,) = align(model, Waveform(np.zeros(3 * 320, np.float32)), "Chat").words
    assert (word.word, word.start_s) == ("Chat", 0.0) and word.score == pytest.approx(np.log(0.9), abs=1e-5)


def test_unknown_characters_of_a_word_are_left_out(speller):
    tokens, _, unknown = spell_words(speller, [("ch\u0303at", False), ("t\u025b\u0303", False)])
    assert unknown == ["\u0303"] and tokens == ids("ch", "a", "t", "|", "t", "ɛ̃")


MISHEARD = scores_of("", "ch", "", "e", "", "t", "", share=0.8, also={3: "a"})
"""chet, where the e might be an a."""


def test_language_model_corrects_words_with_graphemes(processor):
    assert join_words(GreedyDecoder(processor, 0).decode(MISHEARD, FRAME_S)) == "chet"
    decoder = BeamSearch(processor, 0, LanguageModel(["chat chat nge"]))
    assert join_words(decoder.decode(MISHEARD, FRAME_S)) == "chat"
    assert join_words(decoder.decode(scores_of("", "ng", "", "o"), FRAME_S)) == "ngo", "an unknown word stays"


def test_hot_words_with_graphemes(processor):
    (word,) = HotWordDecoder(processor, 0, ["chat"]).decode(MISHEARD, FRAME_S)
    assert (word.word, round(word.start_s, 2), round(word.end_s, 2)) == ("chat", 0.02, 0.12)


def test_word_list_with_graphemes(processor):
    decoder = LexiconDecoder.from_processor(["chat", "ngo"], processor, 0)
    assert [word.word for word in decoder.decode(MISHEARD, FRAME_S)] == ["chat"]
    assert decoder.with_words(["het"], processor).words == ["chat", "het", "ngo"]
