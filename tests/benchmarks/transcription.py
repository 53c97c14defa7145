"""Transcription against `transformers.pipeline("automatic-speech-recognition")`: same checkpoint, same audio, one run.

    python -m tests.benchmarks.transcription [--model CHECKPOINT] [--data DATASET] [--minutes 10] [--big]
    OMP_NUM_THREADS=1 python -m tests.benchmarks.transcription --cpu-time

200 short clips; one long file of joined clips (the pipeline with its chunking on); live chunks of half a second,
against transcribing the buffer again; the time from Stop to the last words. asrkit runs the engine that it measures
to be the fastest, and the one in PyTorch for comparison; the pipeline is given each of several batch sizes, and its
best one counts. All take turns, and a ratio is the median of those of the turns.
--big adds a model of wav2vec2-base's shape (94 M random parameters) to the live part. --cpu-time counts the time of the
processor, which other work on the machine does not change: with one thread, as waiting threads count too. --precision
only compares float32, bfloat16 and dynamic int8 in PyTorch, for this model and, with --big, for that one.
`tests.benchmarks.avx2` restricts onnxruntime to AVX2.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import os
import statistics
import subprocess
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.child import module_command
from asrkit.data import sources
from asrkit.decoding.transcript import join_words
from asrkit.models.resolution import STARTER_DIR
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.transcription import acceleration
from asrkit.transcription.acceleration import choices
from asrkit.transcription.stream import LiveSession
from asrkit.transcription.transcriber import Transcriber

CLIPS, CHUNK_S, PAUSE_S = 200, 0.5, 0.4
ROUNDS, TURNS, BIG_CLIPS = 4, 5, 20
BATCH_SIZES = (1, 4, 8, 16)
STOPS, MAX_STOP_S, LOUD = 40, 0.4, 0.02
clock = time.perf_counter
CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(STARTER_DIR))
    parser.add_argument("--data", default=str(CALLSIGNS))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--precision", action="store_true")
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    global clock
    clock = time.process_time if options.cpu_time else time.perf_counter
    source = sources.load(options.data)
    rows = [*source.eval, *source.train]
    waves = [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s) for row in rows[:CLIPS]]
    references = [normalise(row.text, "basic") for row in rows]
    transcriber = Transcriber(options.model, "cpu")
    if options.precision:
        compare_precisions("the same model", transcriber, waves, references)
        if options.big:
            compare_precisions("94 M parameters", make_large_transcriber(), waves[:BIG_CLIPS], None)
        return
    reference = load_pipeline(options.model)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder  # so that it is measured now
        fastest = load_fastest(options.model)
        long, texts = join_clips(rows, references, 60 * options.minutes)
        own = {"asrkit": fastest, f"asrkit in PyTorch ({transcriber.engine.dtype})": transcriber}
        compare_short_clips(own, reference, waves, references[:CLIPS])
        compare_file(own, reference, long, texts)
        measure_live("the same model", fastest, long, texts)
        measure_stop("the same model", fastest, long)
        if options.big:
            path = Path(folder, "large")
            write_large_checkpoint(path)
            large = load_fastest(str(path))
            measure_live("94 M parameters", large, long, None)
            measure_stop("94 M parameters", large, long)


def load_fastest(model: str) -> Transcriber:
    """Measure the engines for a model, and load it with the fastest."""
    subprocess.run([*module_command(acceleration.PROGRAM), model], check=True)
    print(choices.recall(Path(model)).describe(Path(model)), flush=True)
    transcriber = Transcriber(model, "cpu")
    acceleration.accelerate(transcriber, may_measure=False)
    return transcriber


def load_pipeline(model: str) -> object:
    """In float32: the checkpoint's own half precision would be several times slower on a processor."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.pipeline("automatic-speech-recognition", model=model, device="cpu", dtype=torch.float32)


def compare_short_clips(
    own: dict[str, Transcriber], reference: Callable, waves: list[Waveform], references: list[str]
) -> None:
    works = {name: lambda one=one: one.transcribe_batch(waves) for name, one in own.items()}
    pipelines = make_pipeline_works(reference, waves)
    compare(f"{len(waves)} short clips", works, pipelines, sum(wave.duration_s for wave in waves), references)


def compare_file(own: dict[str, Transcriber], reference: Callable, wave: Waveform, texts: str) -> None:
    works = {name: lambda one=one: [one.transcribe_blocks(blocks(wave, 10.0))] for name, one in own.items()}
    pipelines = make_pipeline_works(reference, [wave], chunk_length_s=30)
    compare(f"one file of {wave.duration_s / 60:.0f} minutes", works, pipelines, wave.duration_s, [texts])


def make_pipeline_works(reference: Callable, waves: list[Waveform], **options: float) -> dict[str, Callable]:
    inputs = [{"raw": wave.samples, "sampling_rate": SAMPLING_RATE} for wave in waves]

    def run(size: int) -> list:
        return [
            types.SimpleNamespace(text=one["text"])
            for one in reference([dict(one) for one in inputs], batch_size=size, **options)
        ]

    return {f"pipeline, batches of {size}": lambda size=size: run(size) for size in BATCH_SIZES}


def compare(
    name: str, own: dict[str, Callable], pipelines: dict[str, Callable], audio_s: float, references: list[str]
) -> None:
    """Let all take turns, of the pipelines the fastest alone after the first, and print speeds and ratios."""
    elapsed_s: dict[str, list[float]] = {work: [] for work in (*own, *pipelines)}
    compared = own | pipelines
    for turn in range(TURNS):
        for work, run in compared.items():
            started = clock()
            results = run()
            elapsed_s[work].append(clock() - started)
            if turn == 0:
                print_result(f"{name}, {work}", audio_s, elapsed_s[work][0], references, [one.text for one in results])
        best = min(pipelines, key=lambda work: elapsed_s[work][0])
        compared = own | {best: pipelines[best]}
    for work in own:
        ratios = [theirs / ours for theirs, ours in zip(elapsed_s[best], elapsed_s[work], strict=True)]
        print(
            f"{name}, {work}: {audio_s / min(elapsed_s[work]):.0f} x real time at best, "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times as fast as the {best}",
            flush=True,
        )


def measure_live(name: str, transcriber: Transcriber, wave: Waveform, texts: str | None) -> None:
    """Measure live chunks, and transcribing the whole buffer again at each chunk."""
    session, elapsed_s, words = LiveSession(transcriber), [], []
    for chunk in blocks(wave, CHUNK_S):
        started = clock()
        words += session.push_chunk(chunk).final
        elapsed_s.append(clock() - started)
    started = clock()
    words += session.finish().final
    finish_s = clock() - started
    minute = round(60 / CHUNK_S)
    print(
        f"live, {name}: {np.sum(elapsed_s) / wave.duration_s:.3f} of real time; the last two minutes take "
        f"{np.sum(elapsed_s[-2 * minute :]) / np.sum(elapsed_s[: 2 * minute]):.2f} of the first two; the slowest chunk "
        f"{1000 * max(elapsed_s):.0f} ms, the end of the last {session.duration_s % 15:.0f} s {1000 * finish_s:.0f} ms"
    )
    if texts is not None:
        filed = transcriber.transcribe_blocks(blocks(wave, 10.0))
        rates = [
            metrics.score([texts], [normalise(text, "basic")]).wer.rate for text in (join_words(words), filed.text)
        ]
        print(f"live, {name}: WER {rates[0]:.2%}, of the same audio as a file {rates[1]:.2%}")
        again = 0.0
        for end_s in np.arange(30.0, min(120.0, wave.duration_s) + 1, 30.0):
            buffer = Waveform(wave.samples[: round(end_s * SAMPLING_RATE)])
            started = clock()
            transcriber.log_probabilities(buffer)
            again += (clock() - started) * 30 / CHUNK_S
        ratio = again / np.sum(elapsed_s[: 4 * 60])
        print(f"live, {name}: transcribing the buffer again at each chunk takes {ratio:.0f} times as long (2 min)")


def measure_stop(name: str, transcriber: Transcriber, wave: Waveform) -> None:
    """Measure the time from Stop to the last words, which are those after the last pause, at most 15 s.

    Stop is pressed all over the recording, wherever a chunk ends, and after 14 s of speech in which no pause is found.
    """
    chunks, elapsed_s = blocks(wave, CHUNK_S), []
    for stop in range(2, len(chunks), max(1, len(chunks) // STOPS)):
        session = LiveSession(transcriber)
        for chunk in chunks[max(0, stop - round(30 / CHUNK_S)) : stop]:
            session.push_chunk(chunk)
        started = clock()
        session.finish(chunks[stop])
        elapsed_s.append(clock() - started)
    speech = np.resize(wave.samples[np.abs(wave.samples) > LOUD], 14 * SAMPLING_RATE)
    session, (*before, last) = LiveSession(transcriber), blocks(Waveform(speech), CHUNK_S)
    for chunk in before:
        session.push_chunk(chunk)
    started = clock()
    session.finish(last)
    longest_s = clock() - started
    verdict = "within" if max(*elapsed_s, longest_s) <= MAX_STOP_S else "NOT within"
    print(
        f"live, {name}: the last words come {np.median(elapsed_s):.3f} s after Stop (at most {max(elapsed_s):.3f} in "
        f"{len(elapsed_s)} stops), and {longest_s:.3f} s after 14 s without a pause ({verdict} {MAX_STOP_S})",
        flush=True,
    )


def compare_precisions(
    name: str, transcriber: Transcriber, waves: list[Waveform], references: list[str] | None
) -> None:
    """Compare number formats on the same clips, one by one and in batches; references: None for a random model."""
    import torch

    print(f"{name}: in use is {transcriber.engine.dtype}")
    seconds, whole = sum(wave.duration_s for wave in waves), transcriber.engine.model.float()
    models: dict[str, tuple[Any, torch.dtype]] = {
        "float32": (whole, torch.float32),
        "bfloat16": (copy.deepcopy(whole).bfloat16(), torch.bfloat16),
        "int8": (torch.ao.quantization.quantize_dynamic(whole, {torch.nn.Linear}, torch.qint8), torch.float32),
    }
    alone, together = dict.fromkeys(models, np.inf), dict.fromkeys(models, np.inf)
    results: dict[str, list[Any]] = {}
    for _ in range(ROUNDS):  # alternately, as the load of the machine varies
        for kind, (transcriber.engine.model, transcriber.engine.dtype) in models.items():
            alone[kind] = min(alone[kind], measure(lambda: [transcriber.transcribe(wave) for wave in waves], 1)[0])
            elapsed_s, results[kind] = measure(lambda: transcriber.transcribe_batch(waves), 1)
            together[kind] = min(together[kind], elapsed_s)
    for kind in models:
        texts = [normalise(one.text, "basic") for one in results[kind]]
        wer = f", WER {metrics.score(references[: len(waves)], texts).wer.rate:.1%}" if references else ""
        print(
            f"{name}, {kind}: {seconds / alone[kind]:.1f} x real time clip by clip, "
            f"{seconds / together[kind]:.1f} in batches{wer}",
            flush=True,
        )


def make_large_transcriber() -> Transcriber:
    with tempfile.TemporaryDirectory() as folder:
        write_large_checkpoint(Path(folder))
        return Transcriber(folder)


def write_large_checkpoint(folder: Path) -> None:
    """Write a random model of wav2vec2-base's shape with the layer norms of XLS-R."""
    import torch
    from transformers import AutoProcessor, Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(0)
    processor = AutoProcessor.from_pretrained(STARTER_DIR)
    processor.save_pretrained(folder)
    Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=len(processor.tokenizer),
            pad_token_id=processor.tokenizer.pad_token_id,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            conv_bias=True,
        )
    ).save_pretrained(folder)


def join_clips(rows: list, references: list[str], seconds: float) -> tuple[Waveform, str]:
    """Join clips with pauses to a recording of that length; return it and its text."""
    parts, texts, length = [], [], 0
    for row, text in itertools.cycle(zip(rows, references, strict=True)):
        parts += [
            load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples,
            np.zeros(round(PAUSE_S * SAMPLING_RATE), np.float32),
        ]
        texts.append(text)
        length += len(parts[-2]) + len(parts[-1])
        if length >= seconds * SAMPLING_RATE:
            return Waveform(np.concatenate(parts)), " ".join(texts)


def blocks(wave: Waveform, seconds: float) -> list[np.ndarray]:
    size = round(seconds * SAMPLING_RATE)
    return [wave.samples[at : at + size] for at in range(0, len(wave.samples), size)]


def measure(work: Callable, runs: int = 2) -> tuple[float, object]:
    """Return the seconds of the fastest of several runs, and the result."""
    elapsed_s = []
    for _ in range(runs):
        started = clock()
        results = work()
        elapsed_s.append(clock() - started)
    return min(elapsed_s), results


def print_result(name: str, audio_s: float, elapsed_s: float, references: list[str], hypotheses: list[str]) -> None:
    wer = metrics.score(references, [normalise(text, "basic") for text in hypotheses]).wer.rate
    print(f"{name}: {audio_s / elapsed_s:.0f} x real time, WER {wer:.2%}", flush=True)


if __name__ == "__main__":
    main()
