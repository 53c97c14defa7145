import csv
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.decoding import ctc
from asrkit.decoding.alignment import align
from asrkit.decoding.tokens import Speller, spell_words
from asrkit.errors import DataError
from asrkit.models.resolution import STARTER_DIR
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny

CALLSIGNS = Path(__file__).resolve().parents[3] / "assets" / "demo" / "callsigns"


class Tokens:
    """What `Speller` asks of a tokenizer."""

    pad_token_id, unk_token_id, word_delimiter_token, all_special_ids = 0, 1, "|", (0, 1)

    def __init__(self, letters="abc'"):
        self.vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2} | {letter: 3 + i for i, letter in enumerate(letters)}

    def get_vocab(self):
        return self.vocabulary


def scripted(path, letters="abc'", share=0.9):
    """A transcriber that says one token a frame of 20 ms, each with that probability."""
    size = 3 + len(letters)
    probabilities = np.full((len(path), size), (1 - share) / (size - 1), np.float32)
    probabilities[np.arange(len(path)), path] = share
    model = types.SimpleNamespace(
        processor=types.SimpleNamespace(tokenizer=Tokens(letters)),
        blank_id=0,
        log_probabilities=lambda wave: np.log(probabilities),
    )
    return model, Waveform(np.zeros(len(path) * 320, np.float32))


def test_words_span_the_frames_of_their_letters():
    model, wave = scripted([0, 3, 0, 3, 3, 4, 0, 2, 2, 4, 0, 0])
    result = align(model, wave, "aab  b")
    assert [(word.word, round(word.start_s, 3), round(word.end_s, 3)) for word in result.words] == [
        ("aab", 0.02, 0.17),
        ("b", 0.18, 0.24),
    ], "50 ms beyond its last frame, or until the next"
    assert [word.score for word in result.words] == pytest.approx([np.log(0.9)] * 2)
    assert result.score == pytest.approx(12 * np.log(0.9) / 5), "twelve frames, five tokens"
    assert result.unknown == []


def test_wrong_text_scores_lower_whether_longer_or_shorter():
    model, wave = scripted([0, 3, 0, 4, 0, 2, 5, 0, 3, 0])
    right = align(model, wave, "ab ca").score
    assert right > -0.3
    for wrong in ("ab", "ab cb", "ab ca ba", "ca"):
        assert align(model, wave, wrong).score < right - 0.5, wrong


def test_case_is_matched_and_unknown_characters_are_skipped():
    model, wave = scripted([0, 3, 2, 4, 0, 2, 5, 0])
    result = align(model, wave, "A, 7 b? C")
    assert result.unknown == [",", "7", "?"]
    assert [(word.word, round(word.start_s, 2), word.score is None) for word in result.words] == [
        ("A,", 0.02, False),
        ("7", 0.04, True),
        ("b?", 0.06, False),
        ("C", 0.12, False),
    ]
    assert result.words[1].start_s == result.words[1].end_s
    upper, wave = scripted([0, 3, 0, 0], letters="A")
    assert align(upper, wave, "a").words[0].start_s == pytest.approx(0.02)


def test_delimiter_inside_a_word_is_unknown():
    assert spell_words(Speller.from_tokenizer(Tokens()), [("a|b", False)]) == ([3, 4], [0, 0], ["|"])


def test_impossible_alignments_raise():
    model, wave = scripted([0, 3, 0])
    assert align(model, wave, "  ").words == []
    with pytest.raises(DataError, match="none of the characters of '12 34'"):
        align(model, wave, "12 34")
    with pytest.raises(DataError, match=r"'abc a' needs 5 frames of 20 ms, but its clip of 0\.06 s has 3"):
        align(model, wave, "abc a")
    with pytest.raises(DataError, match="has 0"):
        align(scripted([])[0], Waveform(np.zeros(10, np.float32)), "a")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("abc'", min_size=1, max_size=5), min_size=1, max_size=6), st.integers(0, 1000))
def test_aligned_words_stay_in_order_within_the_clip(words, seed):
    tokens, _, _ = spell_words(Speller.from_tokenizer(Tokens()), [(word, False) for word in words])
    frames = ctc.required_frames(tokens) + seed % 7
    rng = np.random.default_rng(seed)
    model, wave = scripted(rng.integers(0, 7, frames), share=rng.uniform(0.2, 0.9))
    result = align(model, wave, " ".join(words))
    assert [word.word for word in result.words] == words
    edges = [edge for word in result.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= wave.duration_s + 1e-9
    assert all(word.end_s > word.start_s for word in result.words)


def test_alignment_with_a_real_checkpoint(tmp_path):
    model = Transcriber(str(tiny.write_checkpoint(tmp_path / "tiny")))
    wave = Waveform(np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32))
    result = align(model, wave, "ab cde")
    assert [word.word for word in result.words] == ["ab", "cde"] and np.isfinite(result.score)


def test_starter_aligns_words_near_known_boundaries():
    """Single words of the demo behind one another, a quarter of a second of silence between them."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "eval" and " " not in row["text"]][:12]
    pieces, spans, at = [], [], 0.0
    for row in rows:
        clip, gap = load_audio(CALLSIGNS / row["file_name"]).samples, np.zeros(SAMPLING_RATE // 4, np.float32)
        loud = np.flatnonzero((level := np.convolve(clip**2, np.ones(160), "same")) > level.max() / 100)
        spans.append((at + 0.25 + loud[0] / SAMPLING_RATE, at + 0.25 + loud[-1] / SAMPLING_RATE))
        pieces += [gap, clip]
        at += (len(clip) + len(gap)) / SAMPLING_RATE
    result = align(
        Transcriber(str(STARTER_DIR)), Waveform(np.concatenate(pieces)), " ".join(row["text"] for row in rows)
    )
    off = [
        abs(found - known)
        for word, span in zip(result.words, spans, strict=True)
        for found, known in zip((word.start_s, word.end_s), span, strict=True)
    ]
    assert np.median(off) < 0.08, off
    assert max(off) < 0.6, off
