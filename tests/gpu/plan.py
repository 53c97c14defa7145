"""The parts of the pack. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BASICS = ("torch", "transformers", "accelerate", "numpy", "psutil", "orjson", "soundfile", "soxr", "jiwer", "PIL")
"""Packages without which asrkit cannot train or transcribe."""
RECORDINGS = (*BASICS, "silero_vad", "onnxruntime")
"""Packages for recordings, which are segmented at their pauses."""


@dataclass(frozen=True)
class Part:
    """shows: what it answers. module: in tests/gpu/parts, with a function `run(pack, **arguments)`."""

    name: str
    shows: str
    module: str
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = BASICS


PARTS = {
    part.name: part
    for part in (
        Part("gradients", "loss and gradients of CPU and GPU, cuDNN's CTC, batch against one by one", "gradients"),
        Part("memory", "a batch and an evaluation that do not fit are divided; memory is freed", "memory"),
        Part("precision", "fp16 with loss scaling learns, and what is not finite is reported", "precision"),
        Part("resume", "a run that is killed on the GPU resumes to the same result", "resume"),
        Part("demo", "the demo through the command line; stop, cancel and queue; system figures; memory", "demo"),
        Part("page", "the page starts a run and follows it", "page", needs=(*RECORDINGS, "gradio", "plotly", "httpx")),
        Part("yield", "transcription leaves the GPU to a run and comes back", "yielding"),
        Part(
            "xls-r-ascend",
            "training speed, XLS-R 300M, clips as in ASCEND; compiled too",
            "speed",
            {"lengths": "ascend", "is_compiled": True},
        ),
        Part("xls-r-common-voice", "the same, clips as in Common Voice", "speed", {"lengths": "common-voice"}),
        Part("xls-r-librispeech", "the same, clips as in LibriSpeech", "speed", {"lengths": "librispeech"}),
        Part(
            "xls-r-1b",
            "training speed, XLS-R 1B with adapters and with LoRA, clips as in Common Voice",
            "speed",
            {"lengths": "common-voice", "shape": "xls-r-1b", "freeze": "all-but-adapters"},
            (*BASICS, "peft"),
        ),
        Part(
            "w2v-bert",
            "training speed, w2v-BERT 2.0, clips as in Common Voice",
            "speed",
            {"lengths": "common-voice", "shape": "w2v-bert"},
        ),
        Part(
            "transcription", "200 clips and an hour against transformers' pipeline", "transcription", needs=RECORDINGS
        ),
        Part("evaluation", "10 hours evaluated, in a run and by `evaluate`", "evaluation"),
    )
}
