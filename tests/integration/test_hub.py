"""Datasets and models of the Hugging Face Hub: the command line in its own process, against a stand-in server."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pytest

from asrkit.config import TrainConfig
from asrkit.runs import fork_server, lifecycle, supervisor, view
from asrkit.runs.store import RunStore
from tests.support import hub, tiny
from tests.support.commands import run_asrkit
from tests.support.waiting import wait_for

CONFIGS = """---
configs:
- config_name: en
  data_files: [{split: train, path: en/train-*}, {split: validation, path: en/validation-*}]
  default: true
- config_name: es
  data_files: [{split: train, path: es/train-*}]
---
"""


@pytest.fixture(scope="module")
def module_server(tmp_path_factory, speech: Path, base: Path) -> Iterator[hub.Hub]:
    """Serve datasets in every supported form, and models."""
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(base, root / "models/tiny/tones")
    shutil.copytree(base, root / "models/tiny/gated")
    (root / "models/tiny/tones/flax_model.msgpack").write_bytes(b"weights of another framework")
    (root / "models/tiny/bert").mkdir()
    (root / "models/tiny/bert/config.json").write_text('{"model_type": "bert"}')
    clips = sorted((speech / "audio").iterdir())
    for name in ("folder", "gated"):
        shutil.copytree(speech, root / "datasets/tiny" / name)
    for split, split_clips in (("en/train", clips[:6]), ("en/validation", clips[6:8]), ("es/train", clips[8:10])):
        _write_parquet(root / f"datasets/tiny/parquet/{split}-00000-of-00001.parquet", split_clips)
    shutil.copytree(root / "datasets/tiny/parquet", root / "datasets/tiny/several")
    (root / "datasets/tiny/parquet/README.md").write_text(CONFIGS)
    (root / "datasets/tiny/several/README.md").write_text(CONFIGS.replace("  default: true\n", ""))
    _write_parquet(root / "datasets/tiny/script@refs/convert/parquet/en/partial-train/0000.parquet", clips[:3])
    for name in ("script", "unconverted"):
        (root / "datasets/tiny" / name).mkdir()
        (root / f"datasets/tiny/{name}/{name}.py").write_text("raise SystemExit('a script was run')")
    _write_shard(root / "datasets/tiny/shards/train-0000.tar", clips[:3])
    _write_pairs(root / "datasets/tiny/pairs", clips[:3])
    archive = root / "datasets/tiny/zipped/all.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        for path in (path for path in speech.rglob("*") if path.is_file()):
            file.write(path, path.relative_to(speech))
    with hub.serve(root) as server:
        server.gated.add("tiny/gated")
        yield server


def _write_parquet(path: Path, clips: list[Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = datasets.Dataset.from_dict(
        {
            "audio": [{"bytes": clip.read_bytes(), "path": clip.name} for clip in clips],
            "sentence": ["ab c"] * len(clips),
        }
    )
    dataset.cast_column("audio", datasets.Audio()).to_parquet(path)


def _write_shard(path: Path, clips: list[Path]) -> None:
    path.parent.mkdir()
    with tarfile.open(path, "w") as file:
        for clip in clips:
            file.add(clip, clip.name)
            text = tarfile.TarInfo(f"{clip.stem}.txt")
            text.size = 4
            file.addfile(text, io.BytesIO(b"ab c"))


def _write_pairs(folder: Path, clips: list[Path]) -> None:
    folder.mkdir()
    for clip in clips:
        shutil.copy(clip, folder)
        (folder / f"{clip.stem}.txt").write_text("ab c")


@pytest.fixture
def hub_server(module_server: hub.Hub) -> Iterator[hub.Hub]:
    """The stand-in, without earlier requests, failures or speed limits."""
    module_server.requests.clear()
    yield module_server
    module_server.broken.clear()
    module_server.bytes_per_second = None


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def environment(module_server: hub.Hub, home: Path) -> Iterator[dict[str, str]]:
    """That of commands that talk to the stand-in, and of a fork server for their runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(fork_server.SOCKET, raising=False)
        for name, value in {**module_server.env(home), "XDG_CACHE_HOME": str(home), "OMP_NUM_THREADS": "1"}.items():
            patch.setenv(name, value)
        server = fork_server.start_fork_server()
        environment = dict(os.environ)
        patch.delenv(fork_server.SOCKET, raising=False)
    yield environment
    if server is not None:
        server.close()


@pytest.fixture
def asrkit(
    hub_server: hub.Hub, environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess]:
    def call(*arguments: object, **env: str) -> subprocess.CompletedProcess:
        return run_asrkit([*arguments, "--runs-dir", tmp_path], environment | env)

    return call


@pytest.mark.parametrize(
    ("data", "counts"),
    [
        ("folder", "24 train and 6 eval"),
        ("folder:eval", "6 train"),
        ("parquet:en", "6 train and 2 eval"),
        ("parquet", "6 train and 2 eval"),
        ("parquet:en:train[:50%]+validation", "5 train"),
        ("script", "3 train"),
        ("shards", "3 train"),
        ("pairs", "3 train"),
        ("zipped", "24 train and 6 eval"),
    ],
)
def test_dataset_form_is_read(asrkit, data, counts):
    result = asrkit("audit", f"hub:tiny/{data}")
    assert f"hub:tiny/{data} ({counts} utterances)" in result.stdout, result.stderr


@pytest.mark.parametrize(
    ("data", "env", "message"),
    [
        ("nothing", {}, "There is no dataset tiny/nothing on the Hugging Face Hub, or it is private"),
        ("gated", {}, "The dataset tiny/gated is gated: accept its terms at"),
        ("gated", {"HF_TOKEN": "hf_wrong"}, "The dataset tiny/gated is gated: accept its terms at"),
        ("several", {}, "has 2 configurations; choose one of en, es, as in hub:tiny/several:en"),
        ("parquet:fr", {}, "has no configuration 'fr'; it has en, es"),
        ("parquet:en:test", {}, "has no split 'test'; it has train, validation"),
        ("unconverted", {}, "is defined by a loading script, which asrkit does not run, and the Hub has no Parquet"),
        ("folder", {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nowhere"}, "check the network and try again"),
    ],
)
def test_unavailable_dataset_is_refused(asrkit, data, env, message):
    result = asrkit("audit", f"hub:tiny/{data}", **env)
    assert result.returncode == 1 and message in result.stderr
    assert "Traceback" not in result.stderr


def test_gated_dataset_is_read_with_a_token(asrkit):
    result = asrkit("audit", "hub:tiny/gated", HF_TOKEN="hf_good")
    assert "24 train and 6 eval" in result.stdout, result.stderr


def test_fetched_dataset_is_read_offline(asrkit, hub_server, home):
    assert asrkit("audit", "hub:tiny/parquet:en").returncode == 0
    hub_server.requests.clear()
    assert asrkit("audit", "hub:tiny/parquet:en").returncode == 0
    assert not [request for request in hub_server.requests if request.endswith(".parquet")]
    for env in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        result = asrkit("audit", "hub:tiny/parquet:en", **env)
        assert "6 train and 2 eval" in result.stdout, result.stderr
    result = asrkit("audit", "hub:tiny/parquet:es", HF_HUB_OFFLINE="1")
    assert "hub:tiny/parquet has not been downloaded in this form" in result.stderr
    (file,) = Path(home, "hub").glob("datasets--tiny--parquet/snapshots/*/en/validation-*")
    file.unlink()
    result = asrkit("audit", "hub:tiny/parquet:en", HF_HUB_OFFLINE="1")  # an incomplete copy is refused
    assert "1 of 2 files of tiny/parquet are not in the local cache" in result.stderr


def settings(**changes: object) -> list[str]:
    return [
        argument for name, value in {**tiny.SETTINGS, **changes}.items() for argument in ("--set", f"{name}={value}")
    ]


def test_train_publish_and_transcribe_with_hub_models(asrkit, hub_server, tmp_path, speech):
    done = asrkit("train", "--model", "tiny/tones", "--train", "hub:tiny/folder", "--run-id", "one", *settings())
    assert done.returncode == 0, done.stderr
    assert not any("msgpack" in request for request in hub_server.requests)
    assert lifecycle.get_status(RunStore(tmp_path).get("one")) == "finished"
    clip = next((speech / "audio").glob("*.wav"))
    result = asrkit("transcribe", clip, "--model", "tiny/tones", "--format", "json", HF_HUB_OFFLINE="1")
    assert json.loads(result.stdout)[0]["file"] == str(clip), result.stderr
    result = asrkit("audit", "hub:tiny/folder", "--model", "tiny/tones", "--set", "vocabulary=keep")
    assert "24 train and 6 eval" in result.stdout, result.stderr

    refused = asrkit("runs", "publish", "one", "tiny/published")
    assert (
        "tiny/published cannot be written on the Hugging Face Hub" in refused.stderr
        and "hf auth login" in refused.stderr
    )
    done = asrkit("runs", "publish", "one", "tiny/published", HF_TOKEN="hf_good")
    assert done.stdout.strip() == f"{hub_server.url}/tiny/published", done.stderr
    assert "tiny/published" in hub_server.private
    card = (hub_server.root / "models/tiny/published/README.md").read_text()
    assert 'from_pretrained("tiny/published")' in card and 'base_model: "tiny/tones"' in card
    published = asrkit("transcribe", clip, "--model", "tiny/published", "--format", "json")
    local = asrkit("transcribe", clip, "--model", "one", "--format", "json")
    assert json.loads(published.stdout) == json.loads(local.stdout), published.stderr


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("tiny/gated", "gated", "accept its terms at"),
        ("tiny/nothing", "not-on-hub", "There is no model tiny/nothing on the Hugging Face Hub"),
        (
            "tiny/bert",
            "bad-model",
            "The model tiny/bert on the Hugging Face Hub is of type 'bert', which is not a CTC speech model",
        ),
    ],
)
def test_unavailable_model_is_refused(asrkit, speech, tmp_path, model, code, message):
    result = asrkit("train", "--model", model, "--train", speech, "--run-id", "one", *settings())
    assert result.returncode == 1 and message in result.stderr
    end_event = view.load_view(RunStore(tmp_path).get("one")).end.data
    assert (end_event["error"], message in end_event["message"]) == (code, True)


def test_slow_fetch_reports_progress_and_can_be_stopped(hub_server, store, tmp_path, speech, monkeypatch):
    hub_server.bytes_per_second = 20_000.0
    for name, value in hub_server.env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    config = TrainConfig().replace({"preset": "", "model": "tiny/tones", "train": str(speech), **tiny.SETTINGS})
    run = supervisor.start(store, config)
    wait_for(lambda: "Fetching tiny/tones: " in run.log_path.read_text(), "the progress of the fetch")
    supervisor.stop(run)
    wait_for(lambda: lifecycle.get_status(run) == "stopped", "the end of the run")
