"""Downloads of a run over HTTP."""

import io
import zipfile

import gradio
import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from asrkit import config
from asrkit.data import manifest
from asrkit.runs.events import Event
from asrkit.runs.store import RunStore
from asrkit.ui.common import downloads


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store, tmp_path):
    run = store.create(config.load_preset("demo").config, "one")
    run.append(Event("train", 1000.0, 1, 0.1, {"loss": 2.5}))
    sound = 0.1 * np.sin(np.arange(16_000) / 10)
    soundfile.write(tmp_path / "a.wav", sound, 16_000)
    manifest.write(
        run.manifest_path("eval"),
        [
            manifest.Utterance(str(tmp_path / "a.wav"), "hello", 0.5, start_s=0.25, end_s=0.75),
            manifest.Utterance(str(tmp_path / "gone.wav"), "hello", 0.5),
        ],
    )
    return run


@pytest.fixture
def page(store):
    """A Gradio app without the page of asrkit."""
    with gradio.Blocks(analytics_enabled=False) as page:
        gradio.HTML("")
    app = gradio.routes.App.create_app(page)
    downloads.add_routes(app, store)
    return app


@pytest.fixture
def client(page):
    return TestClient(page)


def test_downloads_need_the_access_checks_of_the_page(page, client, run):
    clip = manifest.read(run.manifest_path("eval"))[0].id
    paths = [f"/download/one/{name}" for name in ("figures.csv", "config.json", "run.zip", f"clip/{clip}.wav")]
    page.auth, page.get_blocks().auth_message = {"ann": "secret"}, None  # as launch(auth=...) does
    assert [client.get(path).status_code for path in (*paths, "/config")] == [401] * 5
    assert client.post("/login", data={"username": "ann", "password": "secret"}).status_code == 200
    assert [client.get(path).status_code for path in paths] == [200] * 4


def test_metrics_settings_and_archive_are_served(client, run):
    metrics = client.get("/download/one/figures.csv")
    assert metrics.text.splitlines()[1].endswith("train/loss,2.5")
    assert metrics.headers["content-disposition"] == 'attachment; filename="one.csv"'
    assert client.get("/download/one/config.json").json() == run.config().to_dict()
    packed = zipfile.ZipFile(io.BytesIO(client.get("/download/one/run.zip").content))
    assert "one/events.jsonl" in packed.namelist()


def test_optimizer_states_are_served_if_asked_for(client, run):
    checkpoint = run.checkpoints_dir / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "optimizer.pt").write_bytes(b"state")
    sizes = [len(client.get(f"/download/one/run.zip{query}").content) for query in ("", "?optimizer")]
    assert sizes[0] < sizes[1]


def test_model_is_served_by_itself(client, run):
    assert client.get("/download/one/model.zip").status_code == 404
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    response = client.get("/download/one/model.zip")
    assert response.headers["content-disposition"] == 'attachment; filename="one-model.zip"'
    assert "one/README.md" in zipfile.ZipFile(io.BytesIO(response.content)).namelist()


@pytest.mark.parametrize("is_table", [False, True])
def test_clip_is_the_evaluated_part_of_its_file(client, run, is_table):
    if is_table:
        manifest.write(run.table_path("eval"), manifest.read(run.manifest_path("eval")))
    clip, gone = manifest.read(run.manifest_path("eval"))
    response = client.get(f"/download/one/clip/{clip.id}.wav")
    samples, rate = soundfile.read(io.BytesIO(response.content))
    assert (rate, len(samples), response.headers["content-type"]) == (16_000, 8_000, "audio/wav")
    missing = client.get(f"/download/one/clip/{gone.id}.wav")
    assert missing.status_code == 404


@pytest.mark.parametrize(
    "path", ["nothing/run.zip", "one/clip/other.wav", "one/clip/..%2f..%2fa.wav", "../one/run.zip", "one/events.jsonl"]
)
def test_unknown_paths_are_not_found(client, run, path):
    assert client.get(f"/download/{path}").status_code == 404
