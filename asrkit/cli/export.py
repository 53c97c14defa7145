"""`export`: a model as ONNX, in folders that other programs load, and as a web page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asrkit.cli import options as shared
from asrkit.errors import ConfigError
from asrkit.files import readable_disk_errors
from asrkit.models import resolution
from asrkit.units import format_size

FORMATS = ("onnx", "onnx-asr", "sherpa-onnx", "web", "transformers-lm")
WITH_LANGUAGE_MODEL = "transformers-lm"


def add_command(commands: shared.Commands) -> None:
    parser = shared.add_parser(
        commands, "export", run, "a model for other programs: ONNX, onnx-asr, sherpa-onnx, web page"
    )
    shared.add_json_flag(parser)
    parser.add_argument("model", metavar="MODEL", help="a run, a checkpoint directory, a Hub id, or starter")
    parser.add_argument("target", metavar="OUT", type=Path, help="what to write; it must not exist")
    parser.add_argument("--format", choices=FORMATS, default="onnx")
    parser.add_argument("--int8", action="store_true", help="matrix products in 8 bits: a third of the size")
    shared.add_language_flags(parser)


def run(options: argparse.Namespace) -> None:
    from asrkit.transcription.export import exporter

    if (options.expect or options.language_model) and options.format != WITH_LANGUAGE_MODEL:
        raise ConfigError(f"--expect and --language-model belong to --format {WITH_LANGUAGE_MODEL}.")
    hints = shared.load_hints(options)
    exporter.require_free(options.target)
    store = shared.open_store(options)
    checkpoint = resolution.fetch(options.model, store, on_progress=shared.print_progress)
    with readable_disk_errors(options.target):
        result = exporter.export_model(
            checkpoint,
            options.target,
            options.format,
            quantized=options.int8,
            hints=hints,
            on_progress=shared.make_counter(),
        )
    if options.json:
        return shared.print_json(result)
    for line in describe(result):
        print(line)


def describe(result: dict[str, Any]) -> list[str]:
    """Return the result of an export in lines: size, and for a graph check and error rates."""
    size = f"{result['path']}: {format_size(result['total_bytes'])}"
    if "clips" not in result:
        return [size]
    origin = "the run's evaluation clips" if result["clips_from"] == "run" else "the demo's clips"
    lines = [
        size,
        f"Checked against PyTorch on {result['clips']} of {origin}: log posteriors differ by at most "
        f"{result['max_difference']:.1g}",
        f"WER in PyTorch {result['pytorch']['wer']:.2%}, in float32 {result['float32']['wer']:.2%}",
    ]
    if int8 := result.get("int8"):
        changed = int8["changed_texts"]
        same = "the same text on all clips" if not changed else f"another text on {changed} of {result['clips']} clips"
        lines.append(f"WER in int8 {int8['wer']:.2%}, {same}")
    return lines
