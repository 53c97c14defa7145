"""The API that aligns a long recording, which trusts no request."""

import numpy as np
import pytest
import soundfile

from asrkit.data import sources
from asrkit.errors import DataError
from asrkit.runs.store import RunStore
from asrkit.transcription import model_cache
from asrkit.ui.data.alignment import AlignApi
from asrkit.ui.data.api import DataApi
from tests.support import tiny
from tests.support.tone_model import ToneModel
from tests.support.waiting import wait_for

SENTENCES = ["bad dab.", "cab ace.", "bed bee deed.", "add ebb.", "decade.", "bade abed."]
SUBTITLES = "".join(
    f"{number}\n00:00:{2 * number:02d},000 --> 00:00:{2 * number + 1:02d},000\n{text}\n\n"
    for number, text in enumerate(SENTENCES)
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def api(store, processor, monkeypatch):
    monkeypatch.setattr(model_cache, "get_transcriber", lambda *arguments: ToneModel(processor))
    return AlignApi(store, DataApi(store).datasets)


@pytest.fixture
def upload(tmp_path):
    """Upload a recording in which the sentences are said."""

    def write(sentences=SENTENCES):
        rng = np.random.default_rng(0)
        pause = 0.001 * rng.standard_normal(tiny.RATE // 2).astype(np.float32)
        parts = [part for text in sentences for part in (tiny.synthesize(text.rstrip("."), rng), pause)]
        path = tmp_path / "uploads" / "1" / "story.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.concatenate([pause, *parts]), tiny.RATE)
        return path

    return write


def align(api, path, text):
    request = {"path": str(path), "name": "My story.wav", "text": text, "model": "starter"}
    reply = api.align(request)
    assert "error" not in reply, reply

    def poll():
        news = api.poll(reply)
        return news if news["report"] or news["failed"] else None

    return reply["id"], wait_for(poll, "the alignment")


@pytest.mark.parametrize("text", ["\n".join(SENTENCES), SUBTITLES])
def test_alignment_becomes_a_dataset_of_the_visitor(api, store, upload, text):
    path = upload()
    _, news = align(api, path, text)
    report = news["report"]
    assert report["data"] == str(store.data_dir / "My-story") and not path.exists()
    rows = sources.load(report["data"]).utterances
    assert " ".join(row.text for row in rows) == " ".join(SENTENCES)
    assert {clip["id"] for clip in report["clips"]} == {row.id for row in rows}
    assert [rows[clip["index"]].text for clip in report["clips"]] == [clip["text"] for clip in report["clips"]]
    scores = [float(clip["detail"].removeprefix("score ")) for clip in report["clips"]]
    assert scores == sorted(scores)
    assert report["passages"] == [] and "with 12 of 12 words" in report["summary"]
    _, again = align(api, upload(), text)
    assert again["report"]["data"].endswith("My-story-2")


def test_passages_are_described_and_played(api, upload):
    job_id, news = align(api, upload([*SENTENCES[:3], "ceded cede.", *SENTENCES[3:]]), "\n".join(SENTENCES))
    (passage,) = news["report"]["passages"]
    assert (passage["kind"], passage["text"]) == ("speech without text", "")
    assert api.open_passage({"id": job_id, "index": "0"}).size_bytes > 2 * tiny.RATE * passage["seconds"]
    for index in ("1", "-1", "x"):
        with pytest.raises(DataError, match="no longer available"):
            api.open_passage({"id": job_id, "index": index})


def test_what_does_not_work_is_one_sentence(api, upload, tmp_path):
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"RIFF")
    request = {"name": "a.wav", "model": "starter", "text": "bad"}
    assert "error" in api.align({**request, "path": str(outside)})
    assert "no text" in api.align({**request, "path": str(upload()), "text": " \n"})["error"]
    assert api.align({**request, "path": str(upload()), "text": "a --> b\nbad"})["error"].startswith("The text line 1")
    path = upload()
    path.write_bytes(b"RIFF")
    _, news = align(api, path, "bad dab.")
    assert news["failed"] and not path.exists()
