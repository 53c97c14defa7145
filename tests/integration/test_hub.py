"""Datasets and models of the Hugging Face Hub: its real clients, in processes of their own, against a stand-in."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pytest

from asrkit.config import TrainConfig
from asrkit.runs import lifecycle, supervisor, view
from asrkit.runs.store import RunStore
from tests.support import hub, tiny
from tests.support.waiting import wait_for

PROJECT = Path(__file__).parents[2]
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
def served(tmp_path_factory, speech: Path, base: Path) -> Iterator[hub.Hub]:
    """Every form in which speech lies on the Hub."""
    root = tmp_path_factory.mktemp("hub")
    shutil.copytree(base, root / "models/tiny/tones")
    shutil.copytree(base, root / "models/tiny/gated")
    (root / "models/tiny/tones/flax_model.msgpack").write_bytes(b"as much again, for nobody here")
    (root / "models/tiny/bert").mkdir()
    (root / "models/tiny/bert/config.json").write_text('{"model_type": "bert"}')
    clips = sorted((speech / "audio").iterdir())
    for name in ("folder", "gated"):
        shutil.copytree(speech, root / "datasets/tiny" / name)
    for split, some in (("en/train", clips[:6]), ("en/validation", clips[6:8]), ("es/train", clips[8:10])):
        _parquet(root / f"datasets/tiny/parquet/{split}-00000-of-00001.parquet", some)
    shutil.copytree(root / "datasets/tiny/parquet", root / "datasets/tiny/several")
    (root / "datasets/tiny/parquet/README.md").write_text(CONFIGS)
    (root / "datasets/tiny/several/README.md").write_text(CONFIGS.replace("  default: true\n", ""))
    _parquet(root / "datasets/tiny/script@refs/convert/parquet/en/partial-train/0000.parquet", clips[:3])
    for name in ("script", "unconverted"):
        (root / "datasets/tiny" / name).mkdir()
        (root / f"datasets/tiny/{name}/{name}.py").write_text("raise SystemExit('a script was run')")
    _packed(root / "datasets/tiny/shards/train-0000.tar", clips[:3])
    _beside(root / "datasets/tiny/beside", clips[:3])
    zipped = root / "datasets/tiny/zipped/all.zip"
    zipped.parent.mkdir()
    with zipfile.ZipFile(zipped, "w") as file:
        for path in (path for path in speech.rglob("*") if path.is_file()):
            file.write(path, path.relative_to(speech))
    with hub.serve(root) as served:
        served.gated.add("tiny/gated")
        yield served


def _parquet(path: Path, clips: list[Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = datasets.Dataset.from_dict(
        {
            "audio": [{"bytes": clip.read_bytes(), "path": clip.name} for clip in clips],
            "sentence": ["ab c"] * len(clips),
        }
    )
    made.cast_column("audio", datasets.Audio()).to_parquet(path)


def _packed(path: Path, clips: list[Path]) -> None:
    path.parent.mkdir()
    with tarfile.open(path, "w") as file:
        for clip in clips:
            file.add(clip, clip.name)
            text = tarfile.TarInfo(f"{clip.stem}.txt")
            text.size = 4
            file.addfile(text, io.BytesIO(b"ab c"))


def _beside(folder: Path, clips: list[Path]) -> None:
    folder.mkdir()
    for clip in clips:
        shutil.copy(clip, folder)
        (folder / f"{clip.stem}.txt").write_text("ab c")


@pytest.fixture
def calm(served: hub.Hub) -> Iterator[hub.Hub]:
    """The stand-in, mended and with nothing asked yet."""
    served.asked.clear()
    yield served
    served.broken.clear()
    served.bytes_a_second = None


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def asrkit(calm: hub.Hub, home: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    def call(*arguments: object, **env: str) -> subprocess.CompletedProcess:
        settings = {**os.environ, **calm.env(home), "XDG_CACHE_HOME": str(home), "OMP_NUM_THREADS": "1", **env}
        return subprocess.run(
            [sys.executable, "-m", "asrkit", *map(str, arguments), "--runs-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=PROJECT,
            timeout=300,
            env=settings,
        )

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
        ("beside", "3 train"),
        ("zipped", "24 train and 6 eval"),
    ],
)
def test_a_dataset_in_any_form(asrkit, data, counts):
    told = asrkit("audit", f"hub:tiny/{data}")
    assert f"hub:tiny/{data} ({counts} utterances)" in told.stdout, told.stderr


@pytest.mark.parametrize(
    ("data", "env", "words"),
    [
        ("nothing", {}, "There is no dataset tiny/nothing on the Hugging Face Hub, or it is private"),
        ("gated", {}, "The dataset tiny/gated is gated: accept its terms at"),
        ("gated", {"HF_TOKEN": "hf_wrong"}, "The dataset tiny/gated is gated: accept its terms at"),
        ("several", {}, "has 2 configurations; choose one of en, es, as in hub:tiny/several:en"),
        ("parquet:fr", {}, "has no configuration 'fr'; it has en, es"),
        ("parquet:en:test", {}, "has no split 'test'; it has train, validation"),
        ("unconverted", {}, "is made by a script, which is not run here, and the Hub has made no parquet"),
        ("folder", {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nowhere"}, "check the network and try again"),
    ],
)
def test_a_dataset_that_cannot_be_had(asrkit, data, env, words):
    told = asrkit("audit", f"hub:tiny/{data}", **env)
    assert told.returncode == 1 and words in told.stderr
    assert "Traceback" not in told.stderr


def test_a_gated_dataset_with_a_token(asrkit):
    told = asrkit("audit", "hub:tiny/gated", HF_TOKEN="hf_good")
    assert "24 train and 6 eval" in told.stdout, told.stderr


def test_what_was_fetched_is_there_without_a_network(asrkit, calm, home):
    assert asrkit("audit", "hub:tiny/parquet:en").returncode == 0
    calm.asked.clear()
    assert asrkit("audit", "hub:tiny/parquet:en").returncode == 0
    assert not [asked for asked in calm.asked if asked.endswith(".parquet")]
    for env in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}):
        told = asrkit("audit", "hub:tiny/parquet:en", **env)
        assert "6 train and 2 eval" in told.stdout, told.stderr
    told = asrkit("audit", "hub:tiny/parquet:es", HF_HUB_OFFLINE="1")
    assert "hub:tiny/parquet was never fetched so" in told.stderr
    (file,) = Path(home, "hub").glob("datasets--tiny--parquet/snapshots/*/en/validation-*")
    file.unlink()
    told = asrkit("audit", "hub:tiny/parquet:en", HF_HUB_OFFLINE="1")  # a part is not taken for the whole
    assert "Of tiny/parquet, 1 of 2 files were not fetched before" in told.stderr


def settings(**changes: object) -> list[str]:
    return [word for name, value in {**tiny.SETTINGS, **changes}.items() for word in ("--set", f"{name}={value}")]


def test_train_on_the_hub_and_listen_with_it(asrkit, calm, tmp_path, speech):
    done = asrkit("train", "--model", "tiny/tones", "--train", "hub:tiny/folder", "--run-id", "one", *settings())
    assert done.returncode == 0, done.stderr
    assert not any("msgpack" in asked for asked in calm.asked)
    assert lifecycle.get_status(RunStore(tmp_path).get("one")) == "finished"
    clip = next((speech / "audio").glob("*.wav"))
    heard = asrkit("transcribe", clip, "--model", "tiny/tones", "--format", "json", HF_HUB_OFFLINE="1")
    assert json.loads(heard.stdout)[0]["file"] == str(clip), heard.stderr
    told = asrkit("audit", "hub:tiny/folder", "--model", "tiny/tones", "--set", "vocabulary=keep")
    assert "24 train and 6 eval" in told.stdout, told.stderr

    refused = asrkit("runs", "publish", "one", "tiny/mine")
    assert "tiny/mine cannot be written on the Hugging Face Hub" in refused.stderr and "hf auth login" in refused.stderr
    done = asrkit("runs", "publish", "one", "tiny/mine", HF_TOKEN="hf_good")
    assert done.stdout.strip() == f"{calm.url}/tiny/mine", done.stderr
    card = (calm.root / "models/tiny/mine/README.md").read_text()
    assert 'from_pretrained("tiny/mine")' in card and 'base_model: "tiny/tones"' in card
    heard = asrkit("transcribe", clip, "--model", "tiny/mine", "--format", "json")
    mine = asrkit("transcribe", clip, "--model", "one", "--format", "json")
    assert json.loads(heard.stdout) == json.loads(mine.stdout), heard.stderr


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("tiny/gated", "gated", "accept its terms at"),
        ("tiny/nothing", "not-on-hub", "There is no model tiny/nothing on the Hugging Face Hub"),
        (
            "tiny/bert",
            "bad-model",
            "The model tiny/bert on the Hugging Face Hub is of type 'bert', which is no CTC speech",
        ),
    ],
)
def test_a_model_that_cannot_be_had(asrkit, speech, tmp_path, model, code, words):
    told = asrkit("train", "--model", model, "--train", speech, "--run-id", "one", *settings())
    assert told.returncode == 1 and words in told.stderr
    told = view.load_view(RunStore(tmp_path).get("one")).end.data
    assert (told["error"], words in told["message"]) == (code, True)


def test_a_slow_fetch_says_how_far_it_is_and_can_be_stopped(calm, store, tmp_path, speech, monkeypatch):
    calm.bytes_a_second = 20_000.0
    for name, value in calm.env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    config = TrainConfig().replace({"preset": "", "model": "tiny/tones", "train": str(speech), **tiny.SETTINGS})
    run = supervisor.start(store, config)
    wait_for(lambda: "Fetching tiny/tones: " in run.log_path.read_text(), "a word about the fetch")
    supervisor.stop(run)
    wait_for(lambda: lifecycle.get_status(run) == "stopped", "the end")
