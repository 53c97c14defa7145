"""The API of the recorder in the Transcribe tab."""

import base64
import io
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio.utils import get_upload_folder

from asrkit import config
from asrkit.audio import SAMPLING_RATE
from asrkit.data import access, collection
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import ModelError
from asrkit.jobs import Job
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore
from asrkit.transcription import model_cache
from asrkit.transcription.writers import WRITERS
from asrkit.ui.security import quotas
from asrkit.ui.transcribe import before, recordings
from asrkit.ui.transcribe.api import TranscribeApi
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber
from tests.support.waiting import wait_for


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A TranscribeApi whose models transcribe tones, and whose uploads are in tmp_path."""

    def get(model, store, on_progress=None):
        if model == "broken":
            raise ModelError("There is no model 'broken'.")
        return ToneTranscriber()

    monkeypatch.setattr(model_cache, "get_transcriber", get)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return TranscribeApi(RunStore(tmp_path / "runs"))


def upload_dir():
    return Path(get_upload_folder())


def synthesize(text, seed=0):
    return tiny.synthesize(text, np.random.default_rng(seed))


def pcm(samples):
    return base64.b64encode((32767 * samples).astype("<i2").tobytes()).decode()


def speak(api, recording, samples, rate=SAMPLING_RATE, size=0.3, last=True):
    """Post chunk after chunk, and return the replies."""
    step = round(size * rate)
    parts = [samples[at : at + step] for at in range(0, len(samples), step)] + [samples[:0]]
    return [
        api.push_chunk(
            {"id": recording, "number": number, "pcm": pcm(part), "seen": 0, "last": last and number == len(parts) - 1}
        )
        for number, part in enumerate(parts)
    ]


def text(reply):
    return " ".join(word["word"] for word in reply["words"])


def upload(api, name, samples, rate=SAMPLING_RATE):
    path = upload_dir() / name
    soundfile.write(path, samples, rate)
    return api.open_file({"path": str(path), "name": name, "model": "any"})["id"]


def state(api, recording):
    return api.poll({"ids": [recording]})["rows"][0]


def wait_until_ended(api, recording):
    return wait_for(lambda: (row := state(api, recording))["state"] not in ("waiting", "working") and row, "the end")


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_microphone_at_any_rate_is_transcribed_to_its_last_sample(api, rate):
    samples = synthesize("abc de", 1)
    at = np.arange(0, len(samples), SAMPLING_RATE / rate)
    recording = api.start({"model": "any", "rate": rate})["id"]
    *before, end = speak(api, recording, np.interp(at, np.arange(len(samples)), samples), rate)
    assert before[0]["state"] == "working" and any(reply["partial"] for reply in before)
    assert (text(end), end["state"], end["partial"]) == ("abc de", "done", "")
    assert end["duration_s"] == pytest.approx(len(samples) / SAMPLING_RATE, abs=0.01)


def test_chunk_sent_twice_counts_once(api):
    recording = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    chunk = {"id": recording, "pcm": pcm(synthesize("ab")), "seen": 0, "last": False}
    for number in (0, 0, 0, 1, 0):
        reply = api.push_chunk(chunk | {"number": number})
    assert reply["duration_s"] == pytest.approx(2 * len(synthesize("ab")) / SAMPLING_RATE)
    done = api.push_chunk(chunk | {"number": 2, "pcm": "", "last": True})
    assert api.push_chunk(chunk | {"number": 2, "pcm": "", "last": True}) == done


def test_only_unseen_words_are_sent(api):
    recording = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    speak(api, recording, synthesize("ab cd"))
    assert text(api.push_chunk({"id": recording, "number": 99, "pcm": "", "seen": 1})) == "cd"


def test_concurrent_recordings_are_kept_apart(api):
    texts = ["abc de", "edc ba", "a b c", "dd ee"]
    transcripts = {}

    def visit(index):
        recording = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
        transcripts[index] = text(speak(api, recording, synthesize(texts[index], index))[-1])

    visitors = [threading.Thread(target=visit, args=[index]) for index in range(len(texts))]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    assert [transcripts[index] for index in range(len(texts))] == texts


def test_file_is_transcribed_played_and_written(api):
    samples = np.concatenate([synthesize("abc de"), np.zeros(SAMPLING_RATE, np.float32), synthesize("cab")])
    recording = upload(api, "a talk.wav", samples, SAMPLING_RATE)
    row = wait_until_ended(api, recording)
    assert (row["state"], row["share"], row["text"], row["notice"]) == ("done", 1.0, "abc de cab", "")
    reply = api.describe_recording({"id": recording})
    assert text(reply) == "abc de cab" and reply["name"] == "a talk.wav"
    assert 0 < len(reply["peaks"]) <= 900 and max(reply["peaks"]) == 100 and min(reply["peaks"]) >= 0
    word = reply["words"][-1]
    audio = api.open_recording({"id": recording})
    played, rate = soundfile.read(io.BytesIO(audio.read(0, audio.size_bytes)))
    assert rate == SAMPLING_RATE
    np.testing.assert_allclose(played, samples, atol=1e-3)
    first = audio.size_bytes - 2 * (len(samples) - round(word["start_s"] * SAMPLING_RATE))
    assert audio.read(first, first + 100) == audio.read(0, audio.size_bytes)[first : first + 100]
    reply = api.format_transcript({"id": recording, "format": "srt"})
    assert reply["name"] == "a talk.srt" and "abc de" in reply["text"]
    assert json.loads(api.format_transcript({"id": recording, "format": "json"})["text"])["text"] == "abc de cab"


def test_file_is_transcribed_as_its_visitor(api, monkeypatch):
    visitors = []
    monkeypatch.setattr(DecodingHints, "build_decoder", lambda self, ready: visitors.append(access.current_visitor()))
    with access.as_visitor("somebody"):
        recording = upload(api, "a.wav", synthesize("abc"))
    wait_for(lambda: state(api, recording)["state"] == "done", "the file")
    assert visitors == ["somebody"]


def test_zip_holds_the_transcribed_files_only(api):
    ids = [upload(api, f"{name}.wav", synthesize(name, seed)) for seed, name in enumerate(("abc", "bcd"))]
    (upload_dir() / "x").mkdir()
    ids.append(upload(api, "x/abc.wav", synthesize("ee")))
    (upload_dir() / "words.wav").write_text("no sound at all")
    ids.append(api.open_file({"path": str(upload_dir() / "words.wav"), "name": "words.wav", "model": "any"})["id"])
    rows = [wait_until_ended(api, one) for one in ids]
    assert [row["state"] for row in rows] == ["done", "done", "done", "failed"]
    assert rows[3]["notice"].startswith("words.wav cannot be read as audio")
    packed = zipfile.ZipFile(io.BytesIO(api.zip_transcripts({"ids": ",".join(ids)})))
    assert (
        len(packed.namelist()) == 3 * len(WRITERS)
        and packed.read("abc-2.txt") == b"ee\n"
        and packed.read("bcd.txt") == b"bcd\n"
    )


@pytest.mark.parametrize(
    ("name", "samples", "words"),
    [
        ("silence.wav", np.zeros(SAMPLING_RATE), "silent"),
        ("blink.wav", np.full(800, 0.3), "0.05 s long"),
        ("long silence.wav", np.zeros(40 * SAMPLING_RATE), "silent"),
        ("noise.wav", 0.1 * np.random.default_rng(0).standard_normal(4 * SAMPLING_RATE), "No speech was heard"),
    ],
)
def test_file_without_speech_has_a_notice(api, name, samples, words):
    row = wait_until_ended(api, upload(api, name, samples))
    assert words in row["notice"] and row["text"] == "" and str(upload_dir()) not in row["notice"]


def test_recording_without_speech_has_a_notice(api):
    recording = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    assert "silent" in speak(api, recording, np.zeros(2 * SAMPLING_RATE))[-1]["notice"]
    blink = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    assert "0.05 s long" in speak(api, blink, np.full(800, 0.3))[-1]["notice"]


def test_cancelled_file_ends_and_its_upload_is_removed(api):
    gate = threading.Event()
    api.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    api.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    recording = upload(api, "a.wav", synthesize("abc"))
    assert state(api, recording)["state"] == "waiting"
    api.cancel({"ids": [recording]})
    assert state(api, recording)["state"] == "cancelled"  # at once, although other files are still being transcribed
    gate.set()
    wait_for(lambda: not list(upload_dir().iterdir()), "the upload to go")
    assert wait_until_ended(api, recording)["state"] == "cancelled"


def test_invalid_requests_are_refused(api, tmp_path):
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, synthesize("abc"), SAMPLING_RATE)
    for path in (secret, upload_dir() / ".." / "secret.wav", upload_dir(), upload_dir() / "gone.wav"):
        reply = api.open_file({"path": str(path), "name": "a.wav", "model": "any"})
        assert "not uploaded here" in reply["error"]
    assert "no longer available" in api.describe_recording({"id": "guess"})["error"]
    recording = api.start({"model": "broken", "rate": SAMPLING_RATE})["id"]
    push_chunk = api.push_chunk
    assert (
        "no model 'broken'"
        in push_chunk({"id": recording, "number": 0, "pcm": pcm(synthesize("a")), "last": False})["error"]
    )
    assert "no format" in api.format_transcript({"id": recording, "format": "exe"})["error"]
    assert "at least 1000 Hz" in api.start({"model": "any", "rate": 5})["error"]


def test_correction_is_saved_as_a_clip_of_a_dataset(api, tmp_path):
    recording = upload(api, "a.wav", synthesize("abc"))
    wait_until_ended(api, recording)
    reply = api.save_correction({"id": recording, "text": "abd", "dataset": "my words", "speaker": "ann"})
    assert "now has 1 clip." in reply["done"]
    (clip,) = collection.open_collection(api.store.data_dir, "my words").clips()
    assert (clip.text, clip.speaker) == ("abd", "ann")
    assert clip.duration_s == pytest.approx(len(synthesize("abc")) / SAMPLING_RATE, abs=0.01)
    save = api.save_correction
    assert "cannot name a dataset" in save({"id": recording, "text": "a", "dataset": "../up"})["error"]
    assert "transcript is empty" in save({"id": recording, "text": " ", "dataset": "dataset"})["error"]


def test_corrected_text_is_aligned_again(api, tmp_path, monkeypatch):
    from asrkit.transcription.transcriber import Transcriber

    recording = upload(api, "a.wav", synthesize("abc de"))
    wait_until_ended(api, recording)
    real = Transcriber(str(tiny.write_checkpoint(tmp_path / "tiny")))
    monkeypatch.setattr(model_cache, "get_transcriber", lambda model, store, on_progress=None: real)
    reply = api.correct({"id": recording, "text": "abd é e"})
    assert text(reply) == "abd é e" and reply["notice"] == "The model has no token for é."
    assert reply["words"][1]["confidence"] == 0
    assert all(0 <= word["start_s"] <= word["end_s"] <= reply["duration_s"] for word in reply["words"])


@pytest.fixture
def fetching(api, monkeypatch):
    """Return (api, an event that ends the fetch of "far/away", the loaded models); 120 of its 360 MB are fetched."""
    gate, loaded = threading.Event(), []

    def prepare(model, store, on_progress=None):
        loaded.append(model)
        if model == "far/away":
            on_progress(f"Fetching {model}: 120 of 360 MB", 120_000_000, 360_000_000)
            gate.wait(60)
            on_progress(f"Fetching {model}: 360 of 360 MB", 360_000_000, 360_000_000)
        return model_cache.get_transcriber(model, store)

    monkeypatch.setattr(model_cache, "prepare_transcriber", prepare)
    yield api, gate, loaded
    gate.set()


def test_recording_reports_the_fetch_of_its_model(fetching):
    api, gate, loaded = fetching
    recording, other = (api.start({"model": "far/away", "rate": SAMPLING_RATE})["id"] for _ in range(2))
    wait_for(
        lambda: api.check_model({"id": recording})["waits"] == "Fetching far/away: 120 of 360 MB",
        "the fetch",
    )
    assert api.check_model({"id": other})["waits"] == "Fetching far/away: 120 of 360 MB"
    gate.set()
    wait_for(lambda: not api.check_model({"id": recording})["waits"], "the model")
    assert not api.check_model({"id": other})["waits"]
    assert loaded == ["far/away"], "once for both"
    assert text(speak(api, recording, synthesize("ab"))[-1]) == "ab"


def test_recording_with_an_unknown_model_fails_at_once(fetching):
    api, _, _ = fetching
    recording = api.start({"model": "broken", "rate": SAMPLING_RATE})["id"]
    assert "no model 'broken'" in api.check_model({"id": recording})["error"]
    assert state(api, recording)["state"] == "failed" and "no model 'broken'" in state(api, recording)["notice"]


def test_preload_loads_only_local_models(fetching):
    api, _, loaded = fetching
    for model in ("far/away", "no model at all", "starter"):
        assert api.preload_model({"model": model}) == {}
    wait_for(lambda: loaded == ["starter"], "the starter to be loaded, and nothing else")


def test_fetch_stops_when_no_page_waits_for_it(fetching, monkeypatch):
    api, gate, _ = fetching
    recording = api.start({"model": "far/away", "rate": SAMPLING_RATE})["id"]
    assert api.check_model({"id": recording})["waits"]
    api.loader.jobs.abandon_after_s = -1.0
    api.loader.jobs.find((access.current_visitor(), "far/away", NO_HINTS)).abandon_after_s = -1.0
    gate.set()
    assert "no page waited" in wait_for(lambda: api.check_model({"id": recording}).get("error"), "the end")


def test_file_reports_the_fetch_of_its_model(api, monkeypatch):
    gate = threading.Event()

    def get(model, store, on_progress):
        on_progress(f"Fetching {model}: 120 of 360 MB", 120_000_000, 360_000_000)
        gate.wait(60)
        on_progress(f"Fetching {model}: 360 of 360 MB", 360_000_000, 360_000_000)
        return ToneTranscriber()

    monkeypatch.setattr(model_cache, "get_transcriber", get)
    recording = upload(api, "a.wav", synthesize("abc"))
    wait_for(lambda: state(api, recording)["waits"] == "Fetching any: 120 of 360 MB", "the fetch")
    gate.set()
    assert wait_until_ended(api, recording)["text"] == "abc" and not state(api, recording)["waits"]
    gate.clear()
    cancelled = upload(api, "b.wav", synthesize("abc"))
    wait_for(lambda: state(api, cancelled)["waits"], "the fetch")
    api.cancel({"ids": [cancelled]})
    gate.set()
    assert wait_until_ended(api, cancelled)["state"] == "cancelled"


def test_failing_chunk_ends_the_recording(api, monkeypatch):
    recording = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    chunk = {"id": recording, "pcm": pcm(synthesize("ab")), "seen": 0, "last": False}
    api.push_chunk(chunk | {"number": 0})

    def out_of_memory(session, samples):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr("asrkit.transcription.stream.LiveSession.push_chunk", out_of_memory)
    with pytest.raises(RuntimeError):
        api.push_chunk(chunk | {"number": 1})
    lengths = set()
    for _ in range(3):
        reply = api.push_chunk(chunk | {"number": 1})
        lengths.add(reply["duration_s"])
        assert reply["state"] == "failed" and "see the app's log" in reply["notice"]
    assert len(lengths) == 1


def test_upload_is_removed_when_no_recording_needs_it(api):
    path, gate = upload_dir() / "a.wav", threading.Event()
    api.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    api.uploads.queue.submit(Job("gate", lambda job: gate.wait()))
    twice = [upload(api, "a.wav", synthesize("abc")) for _ in range(2)]  # the same content has the same path
    gate.set()
    assert [wait_until_ended(api, one)["state"] for one in twice] == ["done", "done"]
    wait_for(lambda: not path.exists(), "the upload to go")


def test_deleted_recording_does_not_affect_others(api):
    recording = upload(api, "a.wav", synthesize("abc"))
    wait_until_ended(api, recording)
    rows = api.poll({"ids": ["gone before", recording]})["rows"]
    assert [row["state"] for row in rows] == ["gone", "done"]
    packed = zipfile.ZipFile(io.BytesIO(api.zip_transcripts({"ids": f"gone before,{recording}"})))
    assert "a.txt" in packed.namelist() and api.cancel({"ids": ["gone before"]}) == {}


def test_empty_correction_keeps_the_words(api):
    recording = upload(api, "a.wav", synthesize("abc"))
    wait_until_ended(api, recording)
    assert "Write what was said" in api.correct({"id": recording, "text": " "})["error"]
    assert text(api.describe_recording({"id": recording})) == "abc"


def test_old_recordings_are_deleted(monkeypatch):
    all_recordings = recordings.Recordings()

    def add(name, state=recordings.DONE, **about):
        return all_recordings.add(recordings.Recording(name, "any", state=state, **about))

    first, file = add("one"), add("file", recordings.WORKING)
    idle_live = add("idle", recordings.WORKING, microphone=recordings.Microphone(None))
    for one in (first, file, idle_live):
        one.touched_at -= recordings.IDLE_S + 1
    second = add("two")
    assert all_recordings.get(second.id) is second and first.is_closed and idle_live.is_closed and not file.is_closed
    with pytest.raises(Exception, match="no longer available"):
        all_recordings.get(first.id)
    monkeypatch.setattr(quotas, "_current", quotas.Quotas(visitors_recordings=4))
    newer = [add(str(number)) for number in range(3)]
    assert second.is_closed and not any(one.is_closed for one in [file, *newer])


def test_recording_is_transcribed_again_with_another_model_and_other_words(api, monkeypatch):
    used = []
    monkeypatch.setattr(DecodingHints, "build_decoder", lambda self, ready: used.append(self.text))
    recording = upload(api, "a.wav", np.concatenate([synthesize("abc"), np.zeros(31 * SAMPLING_RATE), synthesize("d")]))
    wait_until_ended(api, recording)
    kept = api.recordings.get(recording)
    kept.words = []
    assert api.transcribe_again({"id": recording, "model": "other", "expect": "abc d"}) == {}
    assert wait_until_ended(api, recording)["state"] == "done"
    reply = api.describe_recording({"id": recording})
    assert (text(reply), reply["model"]) == ("abc d", "other") and reply["words"][1]["start_s"] > 31
    assert used == ["", "abc d"]


def test_words_stay_if_a_recording_cannot_be_transcribed_again(api):
    recording = upload(api, "a.wav", synthesize("abc"))
    wait_until_ended(api, recording)
    api.transcribe_again({"id": recording, "model": "broken"})
    row = wait_until_ended(api, recording)
    assert (row["state"], row["notice"], row["text"]) == ("done", "There is no model 'broken'.", "abc")
    assert api.describe_recording({"id": recording})["model"] == "any"


def test_only_what_is_done_is_transcribed_again(api):
    recording = api.start({"model": "any", "rate": SAMPLING_RATE, "name": "One"})["id"]
    refused = api.transcribe_again({"id": recording, "model": "any"})
    assert refused["error"] == "One is still being transcribed; try again when it is done."


def test_removed_recording_is_gone(api):
    one, two = (upload(api, name, synthesize("abc")) for name in ("a.wav", "b.wav"))
    for recording in (one, two):
        wait_until_ended(api, recording)
    kept = api.recordings.get(one)
    assert api.delete_recording({"id": one}) == {} == api.delete_recording({"id": one})
    assert [row["state"] for row in api.poll({"ids": [one, two]})["rows"]] == ["gone", "done"] and kept.is_closed


def test_live_recording_of_a_closed_page_keeps_what_was_said(api):
    spoken, silent = (api.start({"model": "any", "rate": SAMPLING_RATE})["id"] for _ in range(2))
    speak(api, spoken, synthesize("abc de"), last=False)
    api.cancel({"ids": [spoken, silent]})
    assert (state(api, spoken)["state"], state(api, spoken)["text"]) == ("done", "abc de")
    assert state(api, silent)["state"] == "cancelled"


def transcribe_with(api, model):
    recording = upload(api, "talk.wav", synthesize("abc de"))
    api.recordings.get(recording).model = model
    wait_until_ended(api, recording)
    return recording


def create_run(api, **changes):
    return api.store.create(replace(config.load_preset("demo").config, **changes))


def test_starter_is_compared_with_a_model_trained_from_it(api, monkeypatch):
    recording = transcribe_with(api, create_run(api).id)
    assert api.transcribe_before({"id": recording}) == {"before": "abc de", "now": "abc de"}
    monkeypatch.setattr(before, "MAX_COMPARED_S", 0.1)
    assert api.transcribe_before({"id": recording}) == {}


def test_no_other_base_model_is_compared(api):
    for model in ("starter", "any", create_run(api, model="facebook/wav2vec2-base").id):
        assert api.transcribe_before({"id": transcribe_with(api, model)}) == {}


def test_starter_is_not_compared_while_there_is_something_to_do(api, monkeypatch):
    recording = transcribe_with(api, create_run(api).id)
    live = api.start({"model": "any", "rate": SAMPLING_RATE})["id"]
    assert api.transcribe_before({"id": recording}) == {}
    api.delete_recording({"id": live})
    monkeypatch.setattr(lifecycle, "find_active_run", lambda store: api.store.all()[0])
    assert api.transcribe_before({"id": recording}) == {}
