"""A model exported as a web page, in Chromium, with no server but a static one."""

import functools
import shutil
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import expect

from asrkit.audio import Waveform, load_audio
from asrkit.data import sources
from asrkit.decoding.lexicon import WORD_LIST_FILE, collect_words
from asrkit.errors import HubError
from asrkit.models.resolution import STARTER_DIR
from asrkit.transcription.export import exporter, graph, int8, web_page, web_runtime
from asrkit.transcription.transcriber import Transcriber
from tests.support.http_server import serve_http

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"
RATE = 16_000
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(folder of a page, its model in the app): the starter with the demo's words."""
    try:
        web_runtime.fetch_runtime()
    except HubError as error:
        pytest.skip(str(error))
    checkpoint, folder = tmp_path_factory.mktemp("model") / "callsigns", tmp_path_factory.mktemp("page")
    shutil.copytree(STARTER_DIR, checkpoint)
    words = collect_words(clip.text for clip in sources.load(str(DEMO)).unseen)
    (checkpoint / WORD_LIST_FILE).write_text("\n".join(words))
    transcriber = Transcriber(str(checkpoint), "cpu", torch.float32)
    wanted = exporter.FORMATS["web"]
    graph.export_onnx(transcriber.engine.model, transcriber.processor, folder / exporter.GRAPH, wanted.layout)
    int8.quantize(folder / exporter.GRAPH, folder / exporter.INT8_GRAPH)
    graph.delete(folder / exporter.GRAPH)
    web_page.write_page_files(transcriber, folder)
    return folder, transcriber.with_graph(folder / exporter.INT8_GRAPH, wanted.layout)


@pytest.fixture
def address(exported):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with serve_http(functools.partial(Quiet, directory=str(exported[0]))) as port:
        yield f"http://127.0.0.1:{port}/"


def find_understood_clip(transcriber):
    """Return (text, samples) of a demo clip of at least two words, between silences, that the model gets right."""
    silence = np.zeros(RATE, np.float32)
    for clip in sources.load(str(DEMO)).unseen:
        samples = np.concatenate([silence[: RATE // 2], load_audio(clip.audio).samples, silence])
        waves = [Waveform(wave) for wave in (samples, np.concatenate([silence, samples, silence]))]
        if " " in clip.text and {transcriber.transcribe(wave).text for wave in waves} == {clip.text}:
            return clip.text, samples
    raise AssertionError("the model understands no clip")


def test_page_understands_a_callsign_and_works_offline(exported, address, mic_browser, tmp_path):
    text, samples = find_understood_clip(exported[1])
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, np.concatenate([samples, np.zeros(2 * RATE, np.float32)]), RATE)
    window = mic_browser(speech, loops=True).new_context(
        viewport=PHONE, permissions=["microphone"], color_scheme="dark"
    )
    page, problems = window.new_page(), []
    page.on("request", lambda request: None if request.url.startswith(address) else problems.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    transcript, status = page.locator("#transcript"), page.get_by_role("status")
    expect(status).to_contain_text("Ready")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than a phone"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 27)"

    page.get_by_role("button", name="Record").click()
    # While it still listens. A busy machine may lose some of what the microphone plays, so it is played again.
    expect(transcript).to_contain_text(text)
    page.get_by_role("button", name="Stop").click()
    expect(status).to_contain_text("Done")
    page.get_by_text("Words and times").click()
    assert " ".join(page.locator("#words tr td:first-child").all_text_contents()) == transcript.inner_text()

    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    window.set_offline(True)
    page.reload()
    expect(status).to_contain_text("Ready")
    page.locator("#file").set_input_files(speech)
    expect(status).to_contain_text("Done")
    expect(transcript).to_have_text(text)
    window.close()
    assert problems == []
