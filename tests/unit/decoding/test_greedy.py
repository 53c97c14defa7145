import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2CTCTokenizer

from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.transcript import join_words

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "'", "去", "们"]
WRITTEN = {5: "a", 6: "b", 7: "'", 8: "去", 9: "们"}
NUM_OUTPUTS = len(TOKENS) + 3
"""Rows of the output layer: three more than the tokenizer has tokens."""


@pytest.fixture(scope="module")
def decoder(tmp_path_factory) -> GreedyDecoder:
    path = tmp_path_factory.mktemp("tokenizer") / "vocab.json"
    path.write_text(json.dumps({token: index for index, token in enumerate(TOKENS)}))
    return GreedyDecoder(SimpleNamespace(tokenizer=Wav2Vec2CTCTokenizer(str(path))), 0)


def spell_path(path) -> str:
    """The text of a path, one rule after the other: merge repeats, drop what writes nothing, split at delimiters."""
    merged = [token for index, token in enumerate(path) if index == 0 or token != path[index - 1]]
    text = "".join(" " if token == 4 else WRITTEN.get(token, "") for token in merged)
    return " ".join(text.split())


def log_posteriors(path) -> np.ndarray:
    table = np.full((len(path), NUM_OUTPUTS), 0.01)
    table[np.arange(len(path)), path] = 0.88
    return np.log(table).astype(np.float32)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, NUM_OUTPUTS - 1), max_size=30))
def test_path_text_and_decoded_words_agree(decoder, path):
    """Training decodes paths, transcription posteriors; special, unknown and surplus outputs write nothing in both."""
    assert decoder.to_text(path) == join_words(decoder.decode(log_posteriors(path).reshape(-1, NUM_OUTPUTS), 0.02))
    assert decoder.to_text(path) == spell_path(path)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**31))
def test_random_posteriors_decode_to_the_text_of_their_best_path(decoder, frames, seed):
    scores = np.log(np.random.default_rng(seed).dirichlet([0.2] * NUM_OUTPUTS, frames) + 1e-9).astype(np.float32)
    scores = scores.reshape(frames, NUM_OUTPUTS)
    assert join_words(decoder.decode(scores, 0.02)) == decoder.to_text(scores.argmax(-1).tolist())


def test_repeats_merge_and_blanks_separate(processor):
    greedy = GreedyDecoder(processor, 0)
    assert greedy.to_text([0, 3, 3, 0, 3, 2, 2, 4, 0, 0]) == "aa b"
    assert greedy.to_text([0, 0]) == greedy.to_text([]) == ""
