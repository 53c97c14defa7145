"""What the recorder's script may ask of the server."""

import base64
import io
import json
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio.utils import get_upload_folder

from asrkit.audio import SAMPLING_RATE
from asrkit.data import access, collection
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import ModelError
from asrkit.jobs import Job
from asrkit.runs.store import RunStore
from asrkit.transcription import model_cache
from asrkit.ui.transcribe import recordings
from asrkit.ui.transcribe.api import TranscribeApi
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber
from tests.support.waiting import wait_for


@pytest.fixture
def booth(tmp_path, monkeypatch):
    """A TranscribeApi whose models read tones, and whose uploads lie in tmp_path."""

    def get(model, store, on_progress=None):
        if model == "broken":
            raise ModelError("There is no model 'broken'.")
        return ToneTranscriber()

    monkeypatch.setattr(model_cache, "get_transcriber", get)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return TranscribeApi(RunStore(tmp_path / "runs"))


def uploads():
    return Path(get_upload_folder())


def said(text, seed=0):
    return tiny.synthesize(text, np.random.default_rng(seed))


def pcm(samples):
    return base64.b64encode((32767 * samples).astype("<i2").tobytes()).decode()


def speak(booth, recording, samples, rate=SAMPLING_RATE, size=0.3, last=True):
    """Post chunk after chunk; the answers."""
    step = round(size * rate)
    parts = [samples[at : at + step] for at in range(0, len(samples), step)] + [samples[:0]]
    return [
        booth.push_chunk(
            {"id": recording, "number": number, "pcm": pcm(part), "seen": 0, "last": last and number == len(parts) - 1}
        )
        for number, part in enumerate(parts)
    ]


def text(answer):
    return " ".join(word["word"] for word in answer["words"])


def uploaded(booth, name, samples, rate=SAMPLING_RATE):
    path = uploads() / name
    soundfile.write(path, samples, rate)
    return booth.open_file({"path": str(path), "name": name, "model": "any"})["id"]


def state(booth, recording):
    return booth.poll({"ids": [recording]})["rows"][0]


def ended(booth, recording):
    return wait_for(lambda: (row := state(booth, recording))["state"] not in ("waiting", "working") and row, "the end")


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_a_microphone_at_any_rate_is_heard_to_its_last_sample(booth, rate):
    samples = said("abc de", 1)
    at = np.arange(0, len(samples), SAMPLING_RATE / rate)
    mine = booth.start({"model": "any", "rate": rate})["id"]
    *before, end = speak(booth, mine, np.interp(at, np.arange(len(samples)), samples), rate)
    assert before[0]["state"] == "working" and any(answer["partial"] for answer in before)
    assert (text(end), end["state"], end["partial"]) == ("abc de", "done", "")
    assert end["duration_s"] == pytest.approx(len(samples) / SAMPLING_RATE, abs=0.01)


def test_a_chunk_that_was_sent_twice_counts_once(booth):
    mine = booth.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    chunk = {"id": mine, "pcm": pcm(said("ab")), "seen": 0, "last": False}
    for number in (0, 0, 0, 1, 0):
        answer = booth.push_chunk(chunk | {"number": number})
    assert answer["duration_s"] == pytest.approx(2 * len(said("ab")) / SAMPLING_RATE)
    done = booth.push_chunk(chunk | {"number": 2, "pcm": "", "last": True})
    assert booth.push_chunk(chunk | {"number": 2, "pcm": "", "last": True}) == done


def test_only_words_that_the_page_has_not_seen_are_sent(booth):
    mine = booth.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    speak(booth, mine, said("ab cd"))
    assert text(booth.push_chunk({"id": mine, "number": 99, "pcm": "", "seen": 1})) == "cd"


def test_two_visitors_at_once_hear_their_own_words(booth):
    texts = ["abc de", "edc ba", "a b c", "dd ee"]
    answers = {}

    def visit(place):
        mine = booth.start({"model": "any", "rate": SAMPLING_RATE})["id"]
        answers[place] = text(speak(booth, mine, said(texts[place], place))[-1])

    visitors = [threading.Thread(target=visit, args=[place]) for place in range(len(texts))]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    assert [answers[place] for place in range(len(texts))] == texts


def test_a_file_is_read_shown_played_and_written(booth):
    samples = np.concatenate([said("abc de"), np.zeros(SAMPLING_RATE, np.float32), said("cab")])
    mine = uploaded(booth, "a talk.wav", samples, SAMPLING_RATE)
    row = ended(booth, mine)
    assert (row["state"], row["share"], row["text"], row["notice"]) == ("done", 1.0, "abc de cab", "")
    told = booth.show({"id": mine})
    assert text(told) == "abc de cab" and told["name"] == "a talk.wav"
    assert 0 < len(told["peaks"]) <= 900 and max(told["peaks"]) == 100 and min(told["peaks"]) >= 0
    word = told["words"][-1]
    audio = booth.open_recording({"id": mine})
    played, rate = soundfile.read(io.BytesIO(audio.read(0, audio.size_bytes)))
    assert rate == SAMPLING_RATE
    np.testing.assert_allclose(played, samples, atol=1e-3)
    first = audio.size_bytes - 2 * (len(samples) - round(word["start_s"] * SAMPLING_RATE))
    assert audio.read(first, first + 100) == audio.read(0, audio.size_bytes)[first : first + 100]
    told = booth.text({"id": mine, "format": "srt"})
    assert told["name"] == "a talk.srt" and "abc de" in told["text"]
    assert json.loads(booth.text({"id": mine, "format": "json"})["text"])["text"] == "abc de cab"


def test_a_file_is_heard_as_the_visitor_who_sent_it(booth, monkeypatch):
    asked = []
    monkeypatch.setattr(DecodingHints, "build_decoder", lambda self, ready: asked.append(access.current_visitor()))
    with access.as_visitor("somebody"):
        recording = uploaded(booth, "a.wav", said("abc"))
    wait_for(lambda: state(booth, recording)["state"] == "done", "the file")
    assert asked == ["somebody"]


def test_many_files_and_a_zip_of_those_that_worked(booth):
    ids = [uploaded(booth, f"{name}.wav", said(name, seed)) for seed, name in enumerate(("abc", "bcd"))]
    (uploads() / "x").mkdir()
    ids.append(uploaded(booth, "x/abc.wav", said("ee")))
    (uploads() / "words.wav").write_text("no sound at all")
    ids.append(booth.open_file({"path": str(uploads() / "words.wav"), "name": "words.wav", "model": "any"})["id"])
    rows = [ended(booth, one) for one in ids]
    assert [row["state"] for row in rows] == ["done", "done", "done", "failed"]
    assert rows[3]["notice"].startswith("words.wav cannot be read as audio")
    packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(booth.bundle({"ids": ids})["zip"])))
    assert len(packed.namelist()) == 15 and packed.read("abc-2.txt") == b"ee\n" and packed.read("bcd.txt") == b"bcd\n"


@pytest.mark.parametrize(
    ("name", "samples", "words"),
    [
        ("silence.wav", np.zeros(SAMPLING_RATE), "silent"),
        ("blink.wav", np.full(800, 0.3), "0.05 s long"),
        ("long silence.wav", np.zeros(40 * SAMPLING_RATE), "silent"),
        ("noise.wav", 0.1 * np.random.default_rng(0).standard_normal(4 * SAMPLING_RATE), "No speech was heard"),
    ],
)
def test_a_file_without_speech_is_one_sentence(booth, name, samples, words):
    row = ended(booth, uploaded(booth, name, samples))
    assert words in row["notice"] and row["text"] == "" and str(uploads()) not in row["notice"]


def test_a_recording_without_speech_is_one_sentence(booth):
    mine = booth.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    assert "silent" in speak(booth, mine, np.zeros(2 * SAMPLING_RATE))[-1]["notice"]
    blink = booth.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    assert "0.05 s long" in speak(booth, blink, np.full(800, 0.3))[-1]["notice"]


def test_cancelled_files_stop(booth):
    gate = threading.Event()
    booth.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    booth.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    mine = uploaded(booth, "a.wav", said("abc"))
    assert state(booth, mine)["state"] == "waiting"
    booth.cancel({"ids": [mine]})
    assert state(booth, mine)["state"] == "cancelled"  # at once, though others' files are still heard
    gate.set()
    wait_for(lambda: not list(uploads().iterdir()), "the upload to go")
    assert ended(booth, mine)["state"] == "cancelled"


def test_what_the_page_may_not_ask(booth, tmp_path):
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, said("abc"), SAMPLING_RATE)
    for path in (secret, uploads() / ".." / "secret.wav", uploads(), uploads() / "gone.wav"):
        told = booth.open_file({"path": str(path), "name": "a.wav", "model": "any"})
        assert "not uploaded here" in told["error"]
    assert "no longer held" in booth.show({"id": "guess"})["error"]
    mine = booth.start({"model": "broken", "rate": SAMPLING_RATE})["id"]
    push_chunk = booth.push_chunk
    assert "no model 'broken'" in push_chunk({"id": mine, "number": 0, "pcm": pcm(said("a")), "last": False})["error"]
    assert "no format" in booth.text({"id": mine, "format": "exe"})["error"]
    assert "at least 1000 Hz" in booth.start({"model": "any", "rate": 5})["error"]


def test_a_correction_is_kept_as_a_clip_of_a_dataset(booth, tmp_path):
    mine = uploaded(booth, "a.wav", said("abc"))
    ended(booth, mine)
    told = booth.keep({"id": mine, "text": "abd", "dataset": "my words", "speaker": "ann"})
    assert "now has 1 clip." in told["done"]
    (clip,) = collection.open_collection(booth.store.data_dir, "my words").clips()
    assert (clip.text, clip.speaker) == ("abd", "ann")
    assert clip.duration_s == pytest.approx(len(said("abc")) / SAMPLING_RATE, abs=0.01)
    keep = booth.keep
    assert "cannot name a dataset" in keep({"id": mine, "text": "a", "dataset": "../up"})["error"]
    assert "transcript is empty" in keep({"id": mine, "text": " ", "dataset": "mine"})["error"]


def test_a_corrected_text_is_timed_anew(booth, tmp_path, monkeypatch):
    from asrkit.transcription.transcriber import Transcriber

    mine = uploaded(booth, "a.wav", said("abc de"))
    ended(booth, mine)
    real = Transcriber(str(tiny.write_checkpoint(tmp_path / "tiny")))
    monkeypatch.setattr(model_cache, "get_transcriber", lambda model, store, on_progress=None: real)
    told = booth.correct({"id": mine, "text": "abd é e"})
    assert text(told) == "abd é e" and told["notice"] == "The model has no letter for é."
    assert told["words"][1]["confidence"] == 0
    assert all(0 <= word["start_s"] <= word["end_s"] <= told["duration_s"] for word in told["words"])


@pytest.fixture
def fetching(booth, monkeypatch):
    """(booth, an event that lets the fetch of "far/away" go on, what was loaded); 120 of its 360 MB are there."""
    gate, loaded = threading.Event(), []

    def prepare(model, store, on_progress=None):
        loaded.append(model)
        if model == "far/away":
            on_progress(f"Fetching {model}: 120 of 360 MB", 120_000_000, 360_000_000)
            gate.wait(60)
            on_progress(f"Fetching {model}: 360 of 360 MB", 360_000_000, 360_000_000)
        return model_cache.get_transcriber(model, store)

    monkeypatch.setattr(model_cache, "prepare_transcriber", prepare)
    yield booth, gate, loaded
    gate.set()


def test_a_recording_tells_what_it_waits_for(fetching):
    booth, gate, loaded = fetching
    mine, other = (booth.start({"model": "far/away", "rate": SAMPLING_RATE})["id"] for _ in range(2))
    wait_for(
        lambda: booth.check_model({"id": mine})["waits"] == "Fetching far/away: 120 of 360 MB", "the fetch to be told"
    )
    assert booth.check_model({"id": other})["waits"] == "Fetching far/away: 120 of 360 MB"
    gate.set()
    wait_for(lambda: not booth.check_model({"id": mine})["waits"], "the model")
    assert not booth.check_model({"id": other})["waits"]
    assert loaded == ["far/away"], "once for both"
    assert text(speak(booth, mine, said("ab"))[-1]) == "ab"


def test_a_recording_whose_model_cannot_be_had_fails_at_once(fetching):
    booth, _, _ = fetching
    mine = booth.start({"model": "broken", "rate": SAMPLING_RATE})["id"]
    assert "no model 'broken'" in booth.check_model({"id": mine})["error"]
    assert state(booth, mine)["state"] == "failed" and "no model 'broken'" in state(booth, mine)["notice"]


def test_what_lies_here_is_loaded_ahead_and_nothing_is_fetched_for_that(fetching):
    booth, _, loaded = fetching
    for model in ("far/away", "no model at all", "starter"):
        assert booth.preload_model({"model": model}) == {}
    wait_for(lambda: loaded == ["starter"], "the starter to be loaded, and nothing else")


def test_a_fetch_that_nobody_waits_for_ends(fetching, monkeypatch):
    booth, gate, _ = fetching
    mine = booth.start({"model": "far/away", "rate": SAMPLING_RATE})["id"]
    assert booth.check_model({"id": mine})["waits"]
    booth.loader.jobs.patience_s = -1.0
    booth.loader.jobs.find((access.current_visitor(), "far/away", NO_HINTS)).patience_s = -1.0
    gate.set()
    assert "Nobody waited" in wait_for(lambda: booth.check_model({"id": mine}).get("error"), "the end")


def test_a_file_tells_what_it_waits_for(booth, monkeypatch):
    gate = threading.Event()

    def get(model, store, on_progress):
        on_progress(f"Fetching {model}: 120 of 360 MB", 120_000_000, 360_000_000)
        gate.wait(60)
        on_progress(f"Fetching {model}: 360 of 360 MB", 360_000_000, 360_000_000)
        return ToneTranscriber()

    monkeypatch.setattr(model_cache, "get_transcriber", get)
    mine = uploaded(booth, "a.wav", said("abc"))
    wait_for(lambda: state(booth, mine)["waits"] == "Fetching any: 120 of 360 MB", "the fetch to be told")
    gate.set()
    assert ended(booth, mine)["text"] == "abc" and not state(booth, mine)["waits"]
    gate.clear()
    cancelled = uploaded(booth, "b.wav", said("abc"))
    wait_for(lambda: state(booth, cancelled)["waits"], "the fetch to be told")
    booth.cancel({"ids": [cancelled]})
    gate.set()
    assert ended(booth, cancelled)["state"] == "cancelled"


def test_a_chunk_that_fails_ends_the_recording_and_is_not_taken_again(booth, monkeypatch):
    mine = booth.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    chunk = {"id": mine, "pcm": pcm(said("ab")), "seen": 0, "last": False}
    booth.push_chunk(chunk | {"number": 0})

    def out_of_memory(session, samples):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("asrkit.transcription.stream.LiveSession.push_chunk", out_of_memory)
    with pytest.raises(RuntimeError):
        booth.push_chunk(chunk | {"number": 1})
    lengths = set()
    for _ in range(3):
        answer = booth.push_chunk(chunk | {"number": 1})
        lengths.add(answer["duration_s"])
        assert answer["state"] == "failed" and "see the app's log" in answer["notice"]
    assert len(lengths) == 1


def test_an_upload_is_removed_once_nobody_needs_it(booth):
    path, gate = uploads() / "a.wav", threading.Event()
    booth.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    booth.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    twice = [uploaded(booth, "a.wav", said("abc")) for _ in range(2)]  # the same content has the same path
    gate.set()
    assert [ended(booth, one)["state"] for one in twice] == ["done", "done"]
    wait_for(lambda: not path.exists(), "the upload to go")


def test_one_that_is_gone_takes_no_other_with_it(booth):
    mine = uploaded(booth, "a.wav", said("abc"))
    ended(booth, mine)
    rows = booth.poll({"ids": ["gone before", mine]})["rows"]
    assert [row["state"] for row in rows] == ["gone", "done"]
    assert booth.bundle({"ids": ["gone before", mine]})["zip"] and booth.cancel({"ids": ["gone before"]}) == {}


def test_an_empty_correction_erases_nothing(booth):
    mine = uploaded(booth, "a.wav", said("abc"))
    ended(booth, mine)
    assert "Write what was said" in booth.correct({"id": mine, "text": " "})["error"]
    assert text(booth.show({"id": mine})) == "abc"


def test_old_recordings_go(monkeypatch):
    held = recordings.Recordings()

    def add(name, state=recordings.DONE, **about):
        return held.add(recordings.Recording(name, "any", state=state, **about))

    first, file = add("one"), add("file", recordings.WORKING)
    lost = add("lost", recordings.WORKING, microphone=recordings.Microphone(None))
    for one in (first, file, lost):
        one.touched_at -= recordings.IDLE_S + 1
    second = add("two")
    assert held.get(second.id) is second and first.is_closed and lost.is_closed and not file.is_closed
    with pytest.raises(Exception, match="no longer held"):
        held.get(first.id)
    monkeypatch.setattr(recordings, "MAX_RECORDINGS", 4)
    newer = [add(str(number)) for number in range(3)]
    assert second.is_closed and not any(one.is_closed for one in [file, *newer])
