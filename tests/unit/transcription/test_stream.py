import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE
from asrkit.transcription import stream
from asrkit.transcription.stream import LiveSession
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber


def speech(seed, words=24, pause_s=(0.0, 0.3, 0.9)):
    """Words of the tiny language with pauses of several lengths, and what was said."""
    rng = np.random.default_rng(seed)
    said = ["".join(rng.choice(list("abcde"), rng.integers(2, 5))) for _ in range(words)]
    parts = [
        part
        for word in said
        for part in (tiny.synthesize(word, rng), np.zeros(int(rng.choice(pause_s) * SAMPLING_RATE), np.float32))
    ]
    return np.concatenate(parts), said


def chunks(samples, size):
    return [samples[at : at + size] for at in range(0, len(samples), size)]


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.integers(200, 20_000))
def test_what_is_final_is_what_a_file_says_and_the_tail_is_there(seed, size):
    samples, said = speech(seed)
    live = LiveSession(ToneTranscriber())
    final = [word for chunk in chunks(samples, size) for word in live.push_chunk(chunk).final]
    final += live.finish().final
    assert [word.word for word in final] == said
    assert final == ToneTranscriber().transcribe_blocks([samples]).words
    assert live.duration_s == pytest.approx(len(samples) / SAMPLING_RATE)


def test_text_is_there_while_somebody_speaks_and_final_at_a_pause():
    rng = np.random.default_rng(0)
    live = LiveSession(ToneTranscriber())
    hush = np.zeros(int(0.7 * SAMPLING_RATE), np.float32)
    told = [live.push_chunk(chunk) for chunk in chunks(tiny.synthesize("abc de", rng), SAMPLING_RATE // 5)]
    assert not any(heard.final for heard in told)
    assert [word.word for word in told[-1].partial][0] == "abc"
    after = [live.push_chunk(chunk) for chunk in chunks(hush, SAMPLING_RATE // 5)]
    assert [word.word for heard in after for word in heard.final] == ["abc", "de"]
    assert list(after[-1].partial) == [] and list(live.finish().final) == []


def test_a_chunk_costs_the_same_after_an_hour():
    """What is heard for a chunk is bounded, with and without pauses, and does not grow with the session."""
    for pause_s in ((0.0,), (0.9,)):
        reader, heard = ToneTranscriber(), []
        reader.transcribe_segments = lambda pieces, *_, heard=heard: (
            heard.append(sum(len(one.samples) for one in pieces)) or []
        )
        live, samples = LiveSession(reader), speech(1, 60, pause_s)[0]
        for _ in range(4):
            for chunk in chunks(samples, SAMPLING_RATE // 2):
                live.push_chunk(chunk)
        assert max(heard) <= 17 * SAMPLING_RATE
        quarter = len(heard) // 4
        assert sum(heard[-quarter:]) == pytest.approx(sum(heard[:quarter]), rel=0.2)


def test_a_slow_model_says_less_often_what_may_change(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(stream.time, "monotonic", lambda: clock.now)
    spent = []

    def slow(pieces, *_):
        spent.append(0.5)
        clock.now += 0.5
        return []

    reader = ToneTranscriber()
    reader.transcribe_segments = slow
    live = LiveSession(reader)
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


def test_silence_says_nothing_and_hears_nothing():
    reader = ToneTranscriber()
    reader.transcribe_segments = lambda *_: pytest.fail("silence was given to the model")
    live = LiveSession(reader)
    for chunk in chunks(np.zeros(40 * SAMPLING_RATE, np.float32), SAMPLING_RATE // 2):
        assert live.push_chunk(chunk) == stream.LiveUpdate([], [])
    assert live.finish() == stream.LiveUpdate([], [])
