import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.transcription import stream
from asrkit.transcription.stream import LiveSession
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber


def speech(seed, words=24, pause_s=(0.0, 0.3, 0.9)):
    """Words of the tiny language with pauses of several lengths, and what was spoken."""
    rng = np.random.default_rng(seed)
    spoken = ["".join(rng.choice(list("abcde"), rng.integers(2, 5))) for _ in range(words)]
    parts = [
        part
        for word in spoken
        for part in (tiny.synthesize(word, rng), np.zeros(int(rng.choice(pause_s) * SAMPLING_RATE), np.float32))
    ]
    return np.concatenate(parts), spoken


def chunks(samples, size):
    return [samples[at : at + size] for at in range(0, len(samples), size)]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(200, 20_000))
def test_final_words_equal_those_of_a_file_to_the_end(seed, size):
    samples, spoken = speech(seed)
    live = LiveSession(ToneTranscriber())
    final = [word for chunk in chunks(samples, size) for word in live.push_chunk(chunk).final]
    final += live.finish().final
    assert [word.word for word in final] == spoken
    assert final == ToneTranscriber().transcribe_blocks([samples]).words
    assert live.duration_s == pytest.approx(len(samples) / SAMPLING_RATE)


def test_live_words_outside_the_list_are_marked_like_those_of_a_file(transcriber):
    samples, _ = speech(0)
    decoder = LexiconDecoder.from_processor(["ab", "ced", "eda"], transcriber.processor)
    live = LiveSession(transcriber, decoder)
    final = [word for chunk in chunks(samples, 5000) for word in live.push_chunk(chunk).final]
    final += live.finish().final
    assert [word.not_in_word_list for word in final] == [
        word.not_in_word_list for word in transcriber.transcribe_blocks([samples], decoder).words
    ]
    assert any(word.not_in_word_list for word in final)


def test_words_are_partial_during_speech_and_final_after_a_pause():
    rng = np.random.default_rng(0)
    live = LiveSession(ToneTranscriber())
    silence = np.zeros(int(0.7 * SAMPLING_RATE), np.float32)
    updates = [live.push_chunk(chunk) for chunk in chunks(tiny.synthesize("abc de", rng), SAMPLING_RATE // 5)]
    assert not any(update.final for update in updates)
    assert [word.word for word in updates[-1].partial][0] == "abc"
    after = [live.push_chunk(chunk) for chunk in chunks(silence, SAMPLING_RATE // 5)]
    assert [word.word for update in after for word in update.final] == ["abc", "de"]
    assert list(after[-1].partial) == [] and list(live.finish().final) == []


@pytest.mark.parametrize("size", [1, SAMPLING_RATE // 4])
def test_what_is_open_at_the_end_is_transcribed_once(size):
    """The last chunk has no partial of its own: the final words come sooner."""
    samples = tiny.synthesize("abc de", np.random.default_rng(0))
    transcriber = ToneTranscriber()
    live, real, lengths = LiveSession(transcriber), transcriber.transcribe_segments, []
    live.push_chunk(samples[:-size])
    transcriber.transcribe_segments = lambda pieces, *others: lengths.append(len(pieces)) or real(pieces, *others)
    update = live.finish(samples[-size:])
    assert lengths == [1] and [word.word for word in update.final] == ["abc", "de"] and not update.partial


def test_cost_of_a_chunk_does_not_grow():
    """What is num_samples for a chunk is bounded, with and without pauses, and does not grow with the session."""
    for pause_s in ((0.0,), (0.9,)):
        transcriber, num_samples = ToneTranscriber(), []
        transcriber.transcribe_segments = lambda pieces, *_, num_samples=num_samples: (
            num_samples.append(sum(len(one.samples) for one in pieces)) or []
        )
        live, samples = LiveSession(transcriber), speech(1, 60, pause_s)[0]
        for _ in range(4):
            for chunk in chunks(samples, SAMPLING_RATE // 2):
                live.push_chunk(chunk)
        assert max(num_samples) <= 17 * SAMPLING_RATE
        quarter = len(num_samples) // 4
        assert sum(num_samples[-quarter:]) == pytest.approx(sum(num_samples[:quarter]), rel=0.2)


def test_slow_model_updates_partial_words_less_often(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(stream.time, "monotonic", lambda: clock.now)
    spent = []

    def slow(pieces, *_):
        spent.append(0.5)
        clock.now += 0.5
        return []

    transcriber = ToneTranscriber()
    transcriber.transcribe_segments = slow
    live = LiveSession(transcriber)
    samples = np.concatenate(
        [
            tiny.synthesize("abcde", np.random.default_rng(n))[SAMPLING_RATE // 10 : -SAMPLING_RATE // 7]
            for n in range(40)
        ]
    )
    for chunk in chunks(samples, SAMPLING_RATE // 2):
        live.push_chunk(chunk)
    assert len(spent) > 2
    assert sum(spent) <= stream.MAX_PARTIAL_SHARE * len(samples) / SAMPLING_RATE + 2 * 0.5, "plus the pieces that ended"


def test_silence_is_never_decoded():
    transcriber = ToneTranscriber()
    transcriber.transcribe_segments = lambda *_: pytest.fail("silence was given to the model")
    live = LiveSession(transcriber)
    for chunk in chunks(np.zeros(40 * SAMPLING_RATE, np.float32), SAMPLING_RATE // 2):
        assert live.push_chunk(chunk) == stream.LiveUpdate([], [])
    assert live.finish() == stream.LiveUpdate([], [])
