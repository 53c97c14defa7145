import json
import types

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.decoding import alignment
from asrkit.decoding.hints import DecodingHints
from asrkit.errors import ModelError
from asrkit.transcription.transcriber import MAX_CLIP_S, OVERLAP_S, Transcriber, split_windows
from tests.support import tiny
from tests.support.noise import make_noise

SIZE, OVERLAP = int(MAX_CLIP_S * SAMPLING_RATE), int(OVERLAP_S * SAMPLING_RATE)


@given(st.integers(0, 40 * SIZE))
@example(399)
@example(400)
@example(SIZE)
@example(SIZE + 1)
@example(2 * SIZE - OVERLAP)
@example(2 * SIZE - OVERLAP + 1)
def test_windows_cover_every_sample_once(samples):
    spans = list(split_windows(samples, 400))
    if samples < 400:
        assert spans == []
        return
    edges = [(keep_from, keep_to) for _, _, keep_from, keep_to in spans]
    assert edges[0][0] == 0 and edges[-1][1] == samples
    assert all(before[1] == after[0] for before, after in zip(edges, edges[1:], strict=False))
    for start, stop, keep_from, keep_to in spans:
        assert 0 <= start <= keep_from < keep_to <= stop <= samples
        assert stop - start <= SIZE
        assert keep_from - start == (OVERLAP // 2 if start else 0), "kept samples have context before them"
        assert stop - keep_to == (0 if stop == samples else OVERLAP // 2)


def test_windows_of_a_minute():
    second = SAMPLING_RATE
    assert list(split_windows(60 * second)) == [
        (0, 24 * second, 0, 22 * second),
        (20 * second, 44 * second, 22 * second, 42 * second),
        (40 * second, 60 * second, 42 * second, 60 * second),
    ]


def test_clip_without_a_frame_has_no_words(transcriber):
    for samples in (1, 100, 399):
        transcript = transcriber.transcribe(make_noise(samples))
        assert (transcript.text, transcript.words) == ("", []) and transcript.duration_s == samples / SAMPLING_RATE


@pytest.mark.parametrize("samples", [400, 719, 16_000, 5 * SAMPLING_RATE, SIZE + SAMPLING_RATE, 2 * SIZE + 12_345])
def test_words_are_in_order_within_the_recording(transcriber, samples):
    transcript = transcriber.transcribe(make_noise(samples))
    assert transcript.text == " ".join(word.word for word in transcript.words)
    assert transcript.duration_s == samples / SAMPLING_RATE
    for word in transcript.words:
        assert word.word and 0 <= word.start_s < word.end_s <= transcript.duration_s + 1e-6 and 0 < word.confidence <= 1
    for before, after in zip(transcript.words, transcript.words[1:], strict=False):
        assert before.end_s <= after.start_s


def test_long_recording_is_transcribed_to_its_end(transcriber):
    whole = make_noise(3 * SIZE)
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(3 * SIZE) / SAMPLING_RATE)  # a steady level is background
    transcript = transcriber.transcribe(Waveform((whole.samples * loudness).astype(np.float32)))
    starts = np.array([word.start_s for word in transcript.words])
    assert np.histogram(starts, bins=9, range=(0, transcript.duration_s))[0].min() > 10


def test_window_scores_equal_those_of_the_window_alone(transcriber):
    """The first of three windows gives the scores of 22 s; they equal those of the first 24 s alone."""
    whole = make_noise(3 * SIZE)
    first, early = (
        transcriber.log_probabilities(Waveform(whole.samples[:SIZE])),
        transcriber.log_probabilities(whole),
    )
    frames = round(21.9 / 24 * len(first))
    np.testing.assert_allclose(early[:frames], first[:frames], atol=1e-4)


def test_transcription_is_deterministic(transcriber):
    assert transcriber.transcribe(make_noise(2 * SAMPLING_RATE)) == transcriber.transcribe(
        make_noise(2 * SAMPLING_RATE)
    )
    assert (
        transcriber.transcribe(make_noise(2 * SAMPLING_RATE, seed=1)).text
        != transcriber.transcribe(make_noise(2 * SAMPLING_RATE)).text
    )


class ScriptedModel(torch.nn.Module):
    """A model that emits one given token for each frame of 320 samples, with a given probability."""

    def __init__(self, tokens, certainty):
        super().__init__()
        self.tokens, self.certainty = tokens, certainty

    def forward(self, input_values, attention_mask=None):
        logits = torch.zeros(1, len(self.tokens), 8)
        for frame, (token, share) in enumerate(zip(self.tokens, self.certainty, strict=True)):
            logits[0, frame, token] = np.log(7 * share / (1 - share))  # softmax against seven zeros
        return types.SimpleNamespace(logits=logits)


def test_words_times_and_confidence(checkpoint):
    """Blank 0, delimiter 2, a 3, b 4: "aab" in frames 1 to 5, "b" in frame 8; ten frames of a tenth of a second."""
    transcriber = Transcriber(str(checkpoint))
    tokens = [0, 3, 0, 3, 3, 4, 2, 2, 4, 0]
    shares = [0.9, 0.9, 0.9, 0.5, 0.7, 0.8, 0.9, 0.9, 0.6, 0.9]
    transcriber.engine.model = ScriptedModel(tokens, shares)
    transcript = transcriber.transcribe(make_noise(SAMPLING_RATE))
    assert transcript.text == "aab b"
    data = transcript.to_dict()
    assert [(word["word"], word["start_s"], word["end_s"]) for word in data["words"]] == [
        ("aab", 0.1, 0.65),
        ("b", 0.8, 0.95),
    ], "a word ends 50 ms after its last frame"
    # Letters at their best frames: 0.9, 0.7 and 0.8 for aab, 0.6 for b; then all frames of the word.
    expected = [(0.9 * 0.7 * 0.8) ** 2 * (0.9 * 0.9 * 0.5 * 0.7 * 0.8) ** 0.25, 0.6**2 * 0.6**0.25]
    assert [word["confidence"] for word in data["words"]] == pytest.approx(expected, abs=1e-4)
    assert data["text"] == "aab b" and data["duration_s"] == 1.0
    json.dumps(data)


@pytest.mark.parametrize("tokens", [[0] * 10, [2] * 10, [2, 0, 2, 2, 0, 0, 2, 0, 2, 2]])
def test_blanks_and_delimiters_have_no_words(checkpoint, tokens):
    transcriber = Transcriber(str(checkpoint))
    transcriber.engine.model = ScriptedModel(tokens, [0.9] * 10)
    assert transcriber.transcribe(make_noise(SAMPLING_RATE)).to_dict() == {"text": "", "words": [], "duration_s": 1.0}


@pytest.mark.parametrize(
    "expect",
    [DecodingHints(), DecodingHints(text="ab cd"), DecodingHints(hot_words="abc")],
    ids=["greedy", "text", "hot words"],
)
def test_nan_scores_raise(tmp_path, expect):
    from transformers import AutoModelForCTC

    folder = tiny.write_checkpoint(tmp_path / "broken")
    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.bias[0] = float("nan")
    model.save_pretrained(folder)
    transcriber, wave = Transcriber(str(folder)), make_noise(SAMPLING_RATE)
    with pytest.raises(ModelError, match="broken outputs NaN: its weights are broken"):
        transcriber.transcribe(wave, expect.build_decoder(transcriber))
    with pytest.raises(ModelError, match="weights are broken"):
        alignment.align(transcriber, wave, "ab")
