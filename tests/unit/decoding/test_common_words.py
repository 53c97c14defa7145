"""Common words of a language, which the starter and runs on it prefer."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from asrkit.decoding import common_words
from asrkit.decoding.arpa import read_arpa, write_arpa
from asrkit.decoding.beam import BeamSearch
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.loading import load_decoder
from asrkit.decoding.ngram import LanguageModel
from asrkit.decoding.transcript import join_words
from asrkit.models import checkpoints
from asrkit.models.resolution import STARTER_DIR
from tests.support import tiny


@pytest.fixture(scope="module")
def starter():
    """What decodes with the starter's letters."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(STARTER_DIR)
    blank_id = processor.tokenizer.pad_token_id
    decoder = load_decoder(str(STARTER_DIR), processor, blank_id, checkpoints.read_config(STARTER_DIR))
    return SimpleNamespace(processor=processor, blank_id=blank_id, decoder=decoder)


def spell(starter, text, other=None, sure=0.5):
    """Log posteriors of a text, a blank after each letter; `other` letters of the same places are nearly as likely."""
    vocabulary = starter.processor.tokenizer.get_vocab()
    tokens, alternatives = ([vocabulary[c] for c in one.replace(" ", "|")] for one in (text, other or text))
    probabilities = np.full((2 * len(tokens), len(vocabulary)), (1 - sure) / 2 / len(vocabulary))
    probabilities[1::2, starter.blank_id] = sure
    probabilities[np.arange(0, 2 * len(tokens), 2), alternatives] = 0.8 * sure
    probabilities[np.arange(0, 2 * len(tokens), 2), tokens] = sure
    return np.log(probabilities / probabilities.sum(1, keepdims=True))


@pytest.fixture(scope="module")
def model():
    return common_words.load("en")


def test_model_that_is_shipped_knows_common_words_and_is_small(model):
    assert {"the", "people", "don't", "i"} <= set(model.words) and len(model.words) > 30_000
    assert (common_words.FOLDER / "en.arpa.gz").stat().st_size < 3_000_000
    after_you, after_the = (model.follow(model.follow(model.start, word)[0], "are")[1] for word in ("you", "the"))
    assert after_you > after_the + 2


def test_probabilities_after_a_word_sum_to_one(model):
    state, _ = model.follow(model.start, "you")
    total = sum(np.exp(model.follow(state, following)[1]) for following in [*model.words, "<unk>"])
    assert total == pytest.approx(1, abs=0.02)


def test_starter_prefers_common_words_and_decodes_as_trained_without(starter):
    scores = spell(starter, "whet ere yoo doing", "what are you doing")
    assert isinstance(starter.decoder, GreedyDecoder) and starter.decoder.common_words == "en"
    hints = DecodingHints()
    assert hints.find_common_words(starter) == "en"
    assert join_words(hints.build_decoder(starter).decode(scores, 0.02)) == "what are you doing"
    off = DecodingHints(common_words=False)
    assert off.find_common_words(starter) == "" and off.build_decoder(starter) is None
    assert join_words(starter.decoder.decode(scores, 0.02)) == "whet ere yoo doing"


def test_confident_spelling_of_an_uncommon_word_is_kept(starter):
    decoder = DecodingHints().build_decoder(starter)
    assert join_words(decoder.decode(spell(starter, "the qwyzzlo", sure=0.999), 0.02)) == "the qwyzzlo"


def test_text_replaces_common_words_and_hot_words_join_them(starter):
    text = DecodingHints(text="whet ere yoo doing")
    assert text.find_common_words(starter) == ""
    assert "people" not in text.build_decoder(starter).model.words
    decoder = DecodingHints(hot_words="qwyzzlo").build_decoder(starter)
    assert isinstance(decoder, HotWordDecoder)
    assert (
        join_words(decoder.decode(spell(starter, "whet are qwyzzla", "what are qwyzzlo"), 0.02)) == "what are qwyzzlo"
    )


def test_searches_share_one_model(starter):
    first, second = DecodingHints().build_decoder(starter), DecodingHints().build_decoder(starter)
    assert isinstance(first, BeamSearch) and first is second and first.letter_bonus == common_words.LETTER_BONUS


@pytest.mark.parametrize(
    ("base", "language", "expected"),
    [("en", "en", "en"), ("en", "en-GB", "en"), ("en", "ENG", "en"), ("en", "", ""), ("en", "sw", ""), ("", "en", "")],
)
def test_run_prefers_those_of_its_base_in_the_same_language_alone(base, language, expected):
    assert common_words.choose_language(base, language) == expected


@pytest.mark.parametrize("value", [None, "", "xx", 7, ["en"]])
def test_checkpoints_of_other_languages_prefer_none(value):
    assert common_words.find_language({common_words.KEY: value} if value is not None else {}) == ""
    assert common_words.find_language(None) == ""


def test_word_list_of_a_model_wins(starter, tmp_path):
    checkpoint = tiny.write_checkpoint(tmp_path / "tiny")
    config = json.loads((checkpoint / "config.json").read_text())
    config[common_words.KEY] = "en"
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "words.txt").write_text("ab\nced\n")
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint)
    listed = SimpleNamespace(
        processor=processor, blank_id=0, decoder=load_decoder(str(checkpoint), processor, 0, config)
    )
    assert isinstance(listed.decoder, LexiconDecoder)
    assert DecodingHints().build_decoder(listed) is None and DecodingHints().find_common_words(listed) == ""


def test_model_that_was_written_is_read_back(tmp_path):
    import gzip

    model = LanguageModel(["alfa bravo", "alfa charlie alfa"])
    write_arpa(model, tmp_path / "lm.arpa")
    (tmp_path / "lm.arpa.gz").write_bytes(gzip.compress((tmp_path / "lm.arpa").read_bytes()))
    read = read_arpa(tmp_path / "lm.arpa.gz")
    assert read.words == model.words and read.order == model.order
    for history in ((), ("alfa",), ("bravo", "alfa")):
        for word in ("alfa", "charlie", "delta"):
            assert read.score(history, word) == pytest.approx(model.score(history, word), abs=1e-5)
