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
from asrkit.decoding.tokens import spell_words
from asrkit.errors import DataError
from asrkit.models.resolution import STARTER_DIR
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny

CALLSIGNS = Path(__file__).resolve().parents[3] / "assets" / "demo" / "callsigns"


class Tokens:
    """What `spell` asks of a tokenizer."""

    pad_token_id, unk_token_id, word_delimiter_token_id = 0, 1, 2

    def __init__(self, letters="abc'"):
        self.vocabulary = {"<pad>": 0, "<unk>": 1, "|": 2} | {letter: 3 + i for i, letter in enumerate(letters)}

    def get_vocab(self):
        return self.vocabulary


def scripted(path, letters="abc'", sure=0.9):
    """A transcriber that says one token a frame of 20 ms, each with that probability."""
    size = 3 + len(letters)
    probabilities = np.full((len(path), size), (1 - sure) / (size - 1), np.float32)
    probabilities[np.arange(len(path)), path] = sure
    speaker = types.SimpleNamespace(
        processor=types.SimpleNamespace(tokenizer=Tokens(letters)),
        blank_id=0,
        log_probabilities=lambda wave: np.log(probabilities),
    )
    return speaker, Waveform(np.zeros(len(path) * 320, np.float32))


def test_words_begin_and_end_with_the_frames_of_their_letters():
    speaker, wave = scripted([0, 3, 0, 3, 3, 4, 0, 2, 2, 4, 0, 0])
    told = align(speaker, wave, "aab  b")
    assert [(word.word, round(word.start_s, 3), round(word.end_s, 3)) for word in told.words] == [
        ("aab", 0.02, 0.17),
        ("b", 0.18, 0.24),
    ], "50 ms beyond its last frame, or until the next"
    assert [word.score for word in told.words] == pytest.approx([np.log(0.9)] * 2)
    assert told.score == pytest.approx(12 * np.log(0.9) / 5), "twelve frames, five tokens"
    assert told.unknown == []


def test_another_text_scores_worse_whether_it_says_more_or_less():
    speaker, wave = scripted([0, 3, 0, 4, 0, 2, 5, 0, 3, 0])
    right = align(speaker, wave, "ab ca").score
    assert right > -0.3
    for wrong in ("ab", "ab cb", "ab ca ba", "ca"):
        assert align(speaker, wave, wrong).score < right - 0.5, wrong


def test_letters_are_found_in_either_case_and_others_are_passed_over():
    speaker, wave = scripted([0, 3, 2, 4, 0, 2, 5, 0])
    told = align(speaker, wave, "A, 7 b? C")
    assert told.unknown == [",", "7", "?"]
    assert [(word.word, round(word.start_s, 2), word.score is None) for word in told.words] == [
        ("A,", 0.02, False),
        ("7", 0.04, True),
        ("b?", 0.06, False),
        ("C", 0.12, False),
    ]
    assert told.words[1].start_s == told.words[1].end_s
    upper, wave = scripted([0, 3, 0, 0], letters="A")
    assert align(upper, wave, "a").words[0].start_s == pytest.approx(0.02)


def test_a_delimiter_in_a_word_is_no_letter():
    assert spell_words(Tokens(), [("a|b", False)]) == ([3, 4], [0, 0], ["|"])


def test_what_cannot_be_aligned():
    speaker, wave = scripted([0, 3, 0])
    assert align(speaker, wave, "  ").words == []
    with pytest.raises(DataError, match="none of the characters of '12 34'"):
        align(speaker, wave, "12 34")
    with pytest.raises(DataError, match=r"'abc a' needs 5 frames of 20 ms, but its clip of 0\.06 s has 3"):
        align(speaker, wave, "abc a")
    with pytest.raises(DataError, match="has 0"):
        align(scripted([])[0], Waveform(np.zeros(10, np.float32)), "a")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("abc'", min_size=1, max_size=5), min_size=1, max_size=6), st.integers(0, 1000))
def test_any_text_keeps_its_words_in_order_within_the_clip(words, seed):
    tokens, _, _ = spell_words(Tokens(), [(word, False) for word in words])
    frames = ctc.required_frames(tokens) + seed % 7
    rng = np.random.default_rng(seed)
    speaker, wave = scripted(rng.integers(0, 7, frames), sure=rng.uniform(0.2, 0.9))
    told = align(speaker, wave, " ".join(words))
    assert [word.word for word in told.words] == words
    edges = [edge for word in told.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= wave.duration_s + 1e-9
    assert all(word.end_s > word.start_s for word in told.words)


def test_the_same_on_a_real_checkpoint(tmp_path):
    speaker = Transcriber(str(tiny.write_checkpoint(tmp_path / "tiny")))
    wave = Waveform(np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32))
    told = align(speaker, wave, "ab cde")
    assert [word.word for word in told.words] == ["ab", "cde"] and np.isfinite(told.score)


def test_the_starter_finds_known_boundaries():
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
    told = align(Transcriber(str(STARTER_DIR)), Waveform(np.concatenate(pieces)), " ".join(row["text"] for row in rows))
    off = [
        abs(found - known)
        for word, span in zip(told.words, spans, strict=True)
        for found, known in zip((word.start_s, word.end_s), span, strict=True)
    ]
    assert np.median(off) < 0.08, off
    assert max(off) < 0.6, off
