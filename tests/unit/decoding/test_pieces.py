"""Models that spell in pieces of words, as Parakeet, and in characters with a space of their own, as omniASR."""

from types import SimpleNamespace

import numpy as np
import pytest

from asrkit.decoding.beam import BeamSearch
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.ngram import LanguageModel
from asrkit.decoding.tokens import Speller, spell_words
from asrkit.decoding.transcript import join_words
from asrkit.errors import ConfigError
from asrkit.training.pieces import add_characters
from tests.support.checkpoints import PIECES, make_piece_tokenizer

TOKENS = ["<unk>", *PIECES, "<pad>"]
BLANK = len(TOKENS) - 1


def processor_of(tokens, **settings):
    return SimpleNamespace(tokenizer=make_piece_tokenizer(list(tokens), **settings))


@pytest.fixture
def processor():
    return processor_of(TOKENS)


def scores_of(pieces, tokens=TOKENS, share=0.9):
    """(frames, tokens) log posteriors of one piece a frame; "" for the blank."""
    ids = [tokens.index(piece) if piece else tokens.index("<pad>") for piece in pieces]
    table = np.full((len(ids), len(tokens)), (1 - share) / (len(tokens) - 1), np.float32)
    table[np.arange(len(ids)), ids] = share
    return np.log(table)


def test_pieces_with_a_mark_begin_words(processor):
    words = GreedyDecoder(processor, BLANK).decode(
        scores_of(["", "▁cab", "", "ab", "▁d", "", "", "ad", "▁", "e"]), 0.08
    )
    assert [(word.word, round(word.start_s, 2), round(word.end_s, 2)) for word in words] == [
        ("cabab", 0.08, 0.32),
        ("dad", 0.32, 0.64),
        ("e", 0.72, 0.8),
    ]
    assert join_words(words) == "cabab dad e"


def test_text_is_spelled_as_the_tokenizer_does(processor):
    speller = Speller.from_tokenizer(processor.tokenizer)
    for text in ("a cab", "bad deed", "abab e"):
        assert speller.encode(text) == processor.tokenizer(text, add_special_tokens=False).input_ids
        assert (
            GreedyDecoder(processor, BLANK).to_text([id for label in speller.encode(text) for id in (label, BLANK)])
            == text
        )
    assert speller.spell_word("CAB") == speller.spell_word("cab") == [TOKENS.index("▁cab")]
    assert speller.spell_word("fab") is None and speller.unknown_characters(["fab xa"]) == {"f", "x"}
    assert spell_words(speller, [("cab", False), ("bad", False)])[:2] == (
        [TOKENS.index(piece) for piece in ("▁cab", "▁b", "ad")],
        [0, 1, 1],
    )


def test_spaces_of_their_own_separate_characters():
    tokens = ["<s>", "<pad>", "</s>", "<unk>", " ", *"abcde"]
    processor = processor_of(tokens, spaces=True)
    speller = Speller.from_tokenizer(processor.tokenizer)
    assert speller.delimiter_id == 4 and speller.encode("a cab") == [5, 4, 7, 5, 6]
    assert spell_words(speller, [("a", False), ("cab", False)])[0] == [5, 4, 7, 5, 6]
    assert GreedyDecoder(processor, 0).to_text([5, 0, 4, 7, 7, 5, 6, 0, 4]) == "a cab"
    assert GreedyDecoder(processor, 0).to_text([0, 1, 3, 5, 0]) == "a", "special tokens write nothing"


def test_added_characters_spell_their_whole_word(processor):
    """Pieces around a new character would begin words of their own."""
    added = add_characters(processor.tokenizer, ["a faced cab", "bad"], len(TOKENS))
    assert added == ["f"]
    speller = Speller.from_tokenizer(processor.tokenizer)
    labels = speller.encode("a faced cab")
    assert labels == [
        TOKENS.index("▁a"),
        TOKENS.index("▁"),
        BLANK + 1,
        *map(TOKENS.index, "aced"),
        TOKENS.index("▁cab"),
    ]
    assert GreedyDecoder(processor, BLANK).to_text([id for label in labels for id in (label, BLANK)]) == "a faced cab"
    assert speller.encode("bad cab") == [TOKENS.index(piece) for piece in ("▁b", "ad", "▁cab")]
    assert speller.unknown_characters(["faced"]) == set()
    assert add_characters(processor.tokenizer, ["a faced cab"], len(TOKENS)) == []


def test_outputs_without_a_token_are_never_taken(processor):
    add_characters(processor.tokenizer, ["fx"], len(TOKENS) + 3)
    vocabulary = processor.tokenizer.get_vocab()
    assert (vocabulary["f"], vocabulary["x"]) == (len(TOKENS) + 3, len(TOKENS) + 4)
    assert GreedyDecoder(processor, BLANK).to_text([len(TOKENS), len(TOKENS) + 1]) == ""


def test_language_model_and_hot_words_prefer_words_of_pieces(processor):
    frames = scores_of(["", "▁b", "", "ad", "", "▁cab", ""], share=0.5)
    frames[3, TOKENS.index("ab")] = np.log(0.45)
    model = LanguageModel(["bab cab", "bab cab"])
    assert join_words(GreedyDecoder(processor, BLANK).decode(frames, 0.08)) == "bad cab"
    found = BeamSearch(processor, BLANK, model).decode(frames, 0.08)
    assert join_words(found) == "bab cab" and found[0].start_s == pytest.approx(0.08)
    assert join_words(HotWordDecoder(processor, BLANK, ["bab"]).decode(frames, 0.08)) == "bab cab"


def test_word_list_needs_characters(processor):
    with pytest.raises(ConfigError, match="needs a model that writes single characters and spaces"):
        LexiconDecoder.from_processor(["cab"], processor)
