"""A web page that transcribes in the browser: one folder, or zip, for any static host."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.files import write_atomic, write_json
from asrkit.transcription.export import vocabulary, web_runtime
from asrkit.transcription.export.graph import NORMALISATION_EPSILON, require_waveform
from asrkit.transcription.transcriber import Transcriber

SOURCES = Path(__file__).parent / "page"
LICENSES = "LICENSE-onnxruntime.txt"
SERVICE_WORKER = "service-worker.js"
STORED_SUFFIXES = frozenset({".onnx"})
"""Files that a zip hardly makes smaller."""


def write_page_files(transcriber: Transcriber, folder: Path) -> None:
    """Write everything but the graph, `model.int8.onnx`, which is there already.

    Raises ModelError for a model that takes no audio at 16 kHz, HubError where the runtime cannot be downloaded.
    """
    engine = transcriber.engine
    require_waveform(engine.model, transcriber.processor, engine.checkpoint)
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    shutil.copytree(web_runtime.fetch_runtime(), folder / "runtime")
    write_json(folder / "model.json", describe_model(transcriber))
    _list_files(folder)


def describe_model(transcriber: Transcriber) -> dict[str, Any]:
    """Return what the page's worker needs to know of a model.

    spellings: what each output writes; one that begins with a space begins a word. words: the word list with its
    spellings, null for a model that decodes greedily. epsilon: of the normalisation of its input, null for none.
    """
    engine, decoder = transcriber.engine, transcriber.decoder
    extractor = transcriber.processor.feature_extractor
    words = None
    if isinstance(decoder, LexiconDecoder):
        spelled = zip(decoder.words, decoder.spellings, strict=True)
        words = [{"word": word, "tokens": tokens} for word, tokens in spelled]
    name = name_model(Path(engine.checkpoint))
    num_parameters = sum(parameter.numel() for parameter in engine.model.parameters())
    return {
        "title": f"Speech to text: {name}",
        "about": f"{name}, {num_parameters / 1e6:.1f} million parameters in int8. Made with asrkit.",
        "spellings": vocabulary.list_spellings(transcriber.processor, engine.anatomy, blank="", space=" ", mark=" "),
        "blank": engine.anatomy.blank_id,
        "delimiter": engine.anatomy.delimiter_id,
        "words": words,
        "epsilon": NORMALISATION_EPSILON[type(extractor).__name__] if extractor.do_normalize else None,
        "min_samples": engine.anatomy.min_samples,
    }


def name_model(checkpoint: Path) -> str:
    """Return a model's name: that of its run, else of its folder; where it lies is nobody else's business."""
    return checkpoint.parent.name if checkpoint.name == "model" else checkpoint.name


def _list_files(folder: Path) -> None:
    """Tell the service worker which files to keep; it replaces them when one of them has changed."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for name in names:
        digest.update((folder / name).read_bytes())
    kept = {"version": f"asrkit-{digest.hexdigest()[:16]}", "names": ["./", *names]}
    script = folder / SERVICE_WORKER
    script.write_text(f"self.pageFiles = {json.dumps(kept)};\n{script.read_text(encoding='utf-8')}", encoding="utf-8")


def write_zip(folder: Path, target: Path) -> None:
    """Pack a folder into a zip, whole or not at all."""
    with write_atomic(target) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                kind = zipfile.ZIP_STORED if path.suffix in STORED_SUFFIXES else zipfile.ZIP_DEFLATED
                archive.write(path, path.relative_to(folder), kind)
