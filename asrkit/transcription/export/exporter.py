"""Export of a checkpoint: graph, check on real clips, the files that the other program needs; whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asrkit.audio import SAMPLING_RATE
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import ConfigError
from asrkit.files import replace_directory, write_json
from asrkit.jobs import ProgressCallback
from asrkit.transcription.export import check, graph, int8, language_model, vocabulary, web_page
from asrkit.transcription.export.graph import Layout
from asrkit.transcription.transcriber import Transcriber

GRAPH, INT8_GRAPH = "model.onnx", "model.int8.onnx"
RESULT = "export.json"


@dataclass(frozen=True)
class Format:
    """A format: the layout of its graph, what is written beside it, and whether its program decodes greedily.

    layout: None for one without a graph. is_zip: one file in place of a folder.
    """

    layout: Layout | None
    write_files: Callable[[Transcriber, Path, DecodingHints], None]
    is_greedy: bool = True
    is_always_int8: bool = False
    is_zip: bool = False


def _write_onnx_files(transcriber: Transcriber, folder: Path, hints: DecodingHints) -> None:
    transcriber.engine.model.config.save_pretrained(folder)
    transcriber.processor.save_pretrained(folder)


def _write_onnx_asr_files(transcriber: Transcriber, folder: Path, hints: DecodingHints) -> None:
    vocabulary.write_onnx_asr(folder / "vocab.txt", transcriber.processor, transcriber.engine.anatomy)
    samples_per_frame = round(transcriber.engine.anatomy.frame_ms * SAMPLING_RATE / 1000)
    write_json(folder / "config.json", {"model_type": "wav2vec2-ctc", "subsampling_factor": samples_per_frame})


def _write_sherpa_onnx_files(transcriber: Transcriber, folder: Path, hints: DecodingHints) -> None:
    vocabulary.write_sherpa_onnx(folder / "tokens.txt", transcriber.processor, transcriber.engine.anatomy)


def _write_page_files(transcriber: Transcriber, folder: Path, hints: DecodingHints) -> None:
    web_page.write_page_files(transcriber, folder)


FORMATS = {
    "onnx": Format("batch", _write_onnx_files, is_greedy=False),
    "onnx-asr": Format("raw", _write_onnx_asr_files),
    "sherpa-onnx": Format("clip", _write_sherpa_onnx_files),
    "web": Format("clip", _write_page_files, is_greedy=False, is_always_int8=True, is_zip=True),
    "transformers-lm": Format(None, language_model.write_checkpoint),
}


def export_model(
    checkpoint: Path,
    target: Path,
    format_name: str,
    *,
    quantized: bool,
    hints: DecodingHints = NO_HINTS,
    on_progress: ProgressCallback,
) -> dict[str, Any]:
    """Write the model of a checkpoint to `target`, which must not exist, and return what was measured.

    It is written whole or not at all. The result is that of `export_files`, with path and size of what was written.
    Raises ConfigError for a target that exists; else as `export_files`.
    """
    require_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    is_zip = FORMATS[format_name].is_zip
    with _make_draft(target, is_zip) as draft:
        result = export_files(checkpoint, draft, format_name, quantized=quantized, hints=hints, on_progress=on_progress)
    files = [target] if is_zip else [path for path in target.rglob("*") if path.is_file()]
    return {**result, "path": str(target), "total_bytes": sum(path.stat().st_size for path in files)}


def export_files(
    checkpoint: Path,
    folder: Path,
    format_name: str,
    *,
    quantized: bool,
    hints: DecodingHints = NO_HINTS,
    on_progress: ProgressCallback,
) -> dict[str, Any]:
    """Write the files of a format into an empty folder, and return what was measured.

    hints: of what the language model of a format that has one is made. quantized: the graph with matrix products in
    int8, `model.int8.onnx`, in place of the float32 one. on_progress: may raise to stop the work. The result is in
    `export.json` too: of a graph its size, the largest difference of the float32 graph's log posteriors from PyTorch's,
    error rates of both (and of int8) on the run's evaluation clips, and the number of clips whose text changes. Raises
    ModelError for a model that cannot be exported in this format or whose graph is not the same as the model.
    """
    on_progress("Loading the model", 0, 0)
    transcriber = Transcriber(str(checkpoint), "cpu", torch.float32)
    wanted = FORMATS[format_name]
    result: dict[str, Any] = {
        "format": format_name,
        "model": web_page.name_model(checkpoint),
        "model_type": transcriber.engine.anatomy.model_type,
    }
    if layout := wanted.layout:
        is_quantized = quantized or wanted.is_always_int8
        result |= write_graph(transcriber, folder, layout, wanted.is_greedy, is_quantized, on_progress)
    wanted.write_files(transcriber, folder, hints)
    write_json(folder / RESULT, result)
    return result


@contextlib.contextmanager
def _make_draft(target: Path, is_zip: bool) -> Iterator[Path]:
    """Make a folder that becomes `target`, or is packed into it, if the block succeeds."""
    if not is_zip:
        with replace_directory(target) as draft:
            draft.mkdir()
            yield draft
        return
    with tempfile.TemporaryDirectory(prefix=f".{target.name[:40]}-", dir=target.parent) as folder:
        yield Path(folder)
        web_page.write_zip(Path(folder), target)


def require_free(target: Path) -> None:
    """Raise ConfigError if there is something at `target`, which an export would replace."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ConfigError(f"{target} exists already; delete it, or give another name.")


def write_graph(
    transcriber: Transcriber,
    folder: Path,
    layout: Layout,
    is_greedy: bool,
    quantized: bool,
    on_progress: ProgressCallback,
) -> dict[str, Any]:
    """Write the graph of a model into a folder, check it, and return what was measured.

    Raises ModelError as `graph.export_onnx` does, and for a graph that is not the same as the model.
    """
    engine, path = transcriber.engine, folder / GRAPH
    on_progress("Writing the graph", 0, 0)
    graph.export_onnx(engine.model, transcriber.processor, path, layout, engine.checkpoint)
    decoder = GreedyDecoder(transcriber.processor, transcriber.blank_id) if is_greedy else None
    clips = check.find_clips(Path(engine.checkpoint))
    exported = transcriber.with_graph(path, layout)
    difference = check.measure_difference(transcriber, exported, clips)
    original = check.evaluate("PyTorch", transcriber, clips, decoder, on_progress)
    variants = {"float32": check.evaluate("the graph", exported, clips, decoder, on_progress)}
    changed = variants["float32"].num_changed(original)
    check.require_same(engine.checkpoint, difference, changed, len(clips.clips))
    if quantized:
        on_progress("Quantizing the graph", 0, 0)
        int8.quantize(path, folder / INT8_GRAPH)
        exported = transcriber.with_graph(folder / INT8_GRAPH, layout)
        variants["int8"] = check.evaluate("int8", exported, clips, decoder, on_progress)
        graph.delete(path)
    return {
        "size_bytes": graph.size_bytes(folder / (INT8_GRAPH if quantized else GRAPH)),
        "max_difference": difference,
        "clips": len(original.report.clips),
        "clips_from": clips.source,
        "decoding": "greedy" if is_greedy else type(transcriber.decoder).__name__.removesuffix("Decoder").lower(),
        "pytorch": original.summary(),
        **{
            name: {**variant.summary(), "changed_texts": variant.num_changed(original)}
            for name, variant in variants.items()
        },
    }
