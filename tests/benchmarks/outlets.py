"""Measure the demo's model in each program that it can be exported for, and write the guide's table of them.

    python -m tests.benchmarks.outlets [RUN] [--write]

RUN is the directory of a finished run of the demo; without it, the demo is trained first. Every outlet transcribes the
run's evaluation clips one by one, as its users would, in one thread: WER through the run's normaliser, and seconds of
audio in a second of processor time, which other work on the machine hardly changes. The web page does so in Chromium,
all of whose time counts. `--write` replaces the table in assets/guide/export.md.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sherpa_onnx
import torch
from playwright.sync_api import sync_playwright
from transformers import AutoModelForCTC, AutoProcessor

from asrkit.audio import SAMPLING_RATE, Waveform, encode_wav, load_audio
from asrkit.data import manifest
from asrkit.runs.report.export import measure_disk_usage
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.transcription.export import exporter
from asrkit.transcription.transcriber import Transcriber
from asrkit.units import format_size
from tests.browser.conftest import FLAGS, find_chromium
from tests.support import onnx_asr_models
from tests.support.http_server import serve_http

GUIDE = Path(__file__).resolve().parents[2] / "assets/guide/export.md"
HEAD = "| Outlet | Takes | Size | Speed | WER | Command |"
Recognize = Callable[[np.ndarray], str]
TRANSCRIBE_IN_PAGE = """(wav) => new Promise((resolve) => {
  const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
  const [status, input] = ["status", "file"].map((id) => document.getElementById(id)), files = new DataTransfer();
  const watcher = new MutationObserver(() => {
    if (!/^(Done|No words)/.test(status.textContent)) return;
    watcher.disconnect();
    resolve(document.getElementById("transcript").textContent);
  });
  watcher.observe(status, { childList: true, characterData: true, subtree: true });
  files.items.add(new File([bytes], "clip.wav"));
  input.files = files.files;
  input.dispatchEvent(new Event("change"));
})"""


@dataclass(frozen=True)
class Outlet:
    """A row of the table. open: yields what transcribes with exported files. format: None for the run itself."""

    name: str
    takes: str
    command: str
    open: Callable[[Path, Run], contextlib.AbstractContextManager[Recognize]]
    format: str | None = None
    quantized: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--write", action="store_true", help="replace the table in the guide")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options.run) if options.run else train_demo(Path(folder))
        rows = [HEAD, "|---|---|---|---|---|---|"]
        for outlet in OUTLETS:
            if outlet.format == "transformers-lm" and not importlib.util.find_spec("pyctcdecode"):
                print(f"{outlet.name}: not measured without pyctcdecode", file=sys.stderr)
                continue
            rows.append(measure(outlet, run, Path(folder)))
            print(rows[-1], flush=True)
    print(torch.backends.cpu.get_cpu_capability(), file=sys.stderr)
    if options.write:
        write_table(rows)


def train_demo(folder: Path) -> Run:
    command = [
        sys.executable,
        "-m",
        "asrkit",
        "train",
        "--preset",
        "demo",
        "--runs-dir",
        str(folder),
        "--run-id",
        "demo",
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return RunStore(folder).get("demo")


def measure(outlet: Outlet, run: Run, folder: Path) -> str:
    """Return the row of an outlet."""
    target = run.model_dir
    if outlet.format:
        target = folder / f"{outlet.format}-{outlet.quantized}"
        exporter.export_model(
            run.model_dir, target, outlet.format, quantized=outlet.quantized, on_progress=lambda *progress: None
        )
    size = target.stat().st_size if target.is_file() else measure_disk_usage(target)
    with outlet.open(target, run) as recognize:
        wer, speed = score(recognize, run)
    cells = (
        outlet.name,
        outlet.takes,
        format_size(size),
        f"{speed:.0f}",
        f"{100 * wer:.1f} %",
        f"`{outlet.command}`" if outlet.command else "the lines in the card",
    )
    return f"| {' | '.join(cells)} |"


def score(recognize: Recognize, run: Run) -> tuple[float, float]:
    """Return WER on the run's evaluation clips, and seconds of audio in a second of processor time."""
    rows, rules = manifest.read(run.manifest_path("eval")), run.config().text_rules
    waves = [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples for row in rows]
    recognize(waves[0])  # what is made on first use
    before_s = processor_s()
    texts = [recognize(wave) for wave in waves]
    spent_s = processor_s() - before_s
    references = [normalise(row.text, rules) for row in rows]
    wer = metrics.score(references, [normalise(text, rules) for text in texts]).wer.rate
    return wer, sum(map(len, waves)) / SAMPLING_RATE / spent_s


def processor_s() -> float:
    """Return the processor time of this process and of those that it has started."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent = process.cpu_times()
            total += spent.user + spent.system
    return total


@contextlib.contextmanager
def open_app(folder: Path, run: Run) -> Iterator[Recognize]:
    transcriber = Transcriber(str(folder), "cpu", torch.float32)
    transcriber.engine.num_threads = 1
    yield lambda wave: transcriber.transcribe(Waveform(wave)).text


@contextlib.contextmanager
def open_onnx(folder: Path, run: Run) -> Iterator[Recognize]:
    """onnxruntime, with the decoder of the run: the folder has what an own program needs, and no decoder."""
    path = next(folder / name for name in (exporter.INT8_GRAPH, exporter.GRAPH) if (folder / name).exists())
    transcriber = Transcriber(str(run.model_dir), "cpu", torch.float32)
    transcriber.engine.num_threads = 1
    transcriber = transcriber.with_graph(path)
    yield lambda wave: transcriber.transcribe(Waveform(wave)).text


def _open_transformers(folder: Path, decode: Callable[[Any, torch.Tensor], str]) -> Recognize:
    processor, model = AutoProcessor.from_pretrained(folder), AutoModelForCTC.from_pretrained(folder).eval()

    def recognize(wave: np.ndarray) -> str:
        with torch.inference_mode():
            logits = model(**processor(wave, sampling_rate=SAMPLING_RATE, return_tensors="pt")).logits
        return decode(processor, logits[0])

    return recognize


@contextlib.contextmanager
def open_transformers(folder: Path, run: Run) -> Iterator[Recognize]:
    yield _open_transformers(folder, lambda processor, logits: processor.decode(logits.argmax(-1)))


@contextlib.contextmanager
def open_language_model(folder: Path, run: Run) -> Iterator[Recognize]:
    yield _open_transformers(folder, lambda processor, logits: processor.decode(logits.numpy()).text)


@contextlib.contextmanager
def open_onnx_asr(folder: Path, run: Run) -> Iterator[Recognize]:
    model = onnx_asr_models.load(folder, "int8")
    yield lambda wave: model.recognize(wave, sample_rate=SAMPLING_RATE)


@contextlib.contextmanager
def open_sherpa_onnx(folder: Path, run: Run) -> Iterator[Recognize]:
    recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(folder / exporter.INT8_GRAPH), tokens=str(folder / "tokens.txt"), num_threads=1
    )

    def recognize(wave: np.ndarray) -> str:
        stream = recognizer.create_stream()
        stream.accept_waveform(SAMPLING_RATE, wave)
        recognizer.decode_stream(stream)
        return stream.result.text

    yield recognize


@contextlib.contextmanager
def open_page(archive: Path, run: Run) -> Iterator[Recognize]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        zipfile.ZipFile(archive).extractall(folder)
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        with serve_http(functools.partial(Quiet, directory=folder)) as port:
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("Ready.").wait_for(timeout=60_000)
            yield lambda wave: page.evaluate(TRANSCRIBE_IN_PAGE, base64.b64encode(encode_wav(wave)).decode())
        browser.close()


EXPORT = "python -m asrkit export RUN OUT --format"
OUTLETS = (
    Outlet("this app, in PyTorch", "files, microphone", "python -m asrkit transcribe FILE --model RUN", open_app),
    Outlet("transformers, greedy", "audio at 16 kHz", "", open_transformers),
    Outlet("`transformers-lm`", "audio at 16 kHz", f"{EXPORT} transformers-lm", open_language_model, "transformers-lm"),
    Outlet("`onnx`", "padded batches", f"{EXPORT} onnx", open_onnx, "onnx"),
    Outlet("`onnx`, int8", "padded batches", f"{EXPORT} onnx --int8", open_onnx, "onnx", True),
    Outlet("`onnx-asr`, int8, greedy", "files, audio", f"{EXPORT} onnx-asr --int8", open_onnx_asr, "onnx-asr", True),
    Outlet(
        "`sherpa-onnx`, int8, greedy", "audio", f"{EXPORT} sherpa-onnx --int8", open_sherpa_onnx, "sherpa-onnx", True
    ),
    Outlet(
        "`web`, int8", "files, microphone", "python -m asrkit export RUN page.zip --format web", open_page, "web", True
    ),
)


def write_table(rows: list[str]) -> None:
    """Put the rows in the place of the guide's table."""
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    start = lines.index(HEAD)
    stop = next(index for index in range(start, len(lines)) if not lines[index].startswith("|"))
    GUIDE.write_text("\n".join([*lines[:start], *rows, *lines[stop:]]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
