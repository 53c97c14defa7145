"""Transcription against `transformers.pipeline("automatic-speech-recognition")`: same checkpoint, same audio, one run.

    python -m tests.benchmarks.transcription [--model CHECKPOINT] [--data DATASET] [--minutes 10] [--big]

200 short clips; one long file of joined clips (the pipeline with its chunking on); live chunks of half a
second against transcribing the buffer again. The pipeline is given each of several batch sizes; its best one counts.
--big adds a model of wav2vec2-base's shape (94 M random parameters) to the live part. --precision only compares
float32, bfloat16 and dynamic int8 on this processor, for this model and, with --big, for that one.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.data import sources
from asrkit.decoding.transcript import join_words
from asrkit.models.resolution import STARTER_DIR
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.transcription.stream import LiveSession
from asrkit.transcription.transcriber import Transcriber

CLIPS, CHUNK_S, PAUSE_S = 200, 0.5, 0.4
ROUNDS, BIG_CLIPS = 4, 20
BATCH_SIZES = (1, 4, 8, 16)
CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(STARTER_DIR))
    parser.add_argument("--data", default=str(CALLSIGNS))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--precision", action="store_true")
    options = parser.parse_args()
    source = sources.load(options.data)
    rows = [*source.eval, *source.train]
    waves = [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s) for row in rows[:CLIPS]]
    references = [normalise(row.text, "basic") for row in rows]
    transcriber = Transcriber(options.model)
    if options.precision:
        compare_precisions("the same model", transcriber, waves, references)
        if options.big:
            compare_precisions("94 M parameters", make_large_transcriber(), waves[:BIG_CLIPS], None)
        return
    reference = load_pipeline(options.model)
    print(f"{options.model}, {transcriber.engine.dtype}")
    compare_short_clips(transcriber, reference, waves, references[:CLIPS])
    long, texts = join_clips(rows, references, 60 * options.minutes)
    compare_file(transcriber, reference, long, texts)
    measure_live("the same model", transcriber, long, texts)
    if options.big:
        measure_live("94 M parameters", make_large_transcriber(), long, None)


def load_pipeline(model: str) -> object:
    """In float32: the checkpoint's own half precision would be several times slower on a processor."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.pipeline("automatic-speech-recognition", model=model, device="cpu", dtype=torch.float32)


def compare_short_clips(
    transcriber: Transcriber, reference: Callable, waves: list[Waveform], references: list[str]
) -> None:
    seconds = sum(wave.duration_s for wave in waves)
    own_s, results = measure(lambda: transcriber.transcribe_batch(waves))
    print_result("short clips, asrkit", seconds, own_s, references, [one.text for one in results])
    best = min(run_pipeline(reference, "short clips", waves, references, size) for size in BATCH_SIZES)
    print(f"{len(waves)} short clips: {best / own_s:.2f} times as fast as the pipeline at its best batch size")


def compare_file(transcriber: Transcriber, reference: Callable, wave: Waveform, texts: str) -> None:
    own_s, results = measure(lambda: transcriber.transcribe_blocks(blocks(wave, 10.0)))
    print_result("one file, asrkit", wave.duration_s, own_s, [texts], [results.text])
    best = min(run_pipeline(reference, "one file", [wave], [texts], size, chunk_length_s=30) for size in BATCH_SIZES)
    minutes = wave.duration_s / 60
    print(f"one file of {minutes:.0f} minutes: {best / own_s:.2f} times as fast as the pipeline at its best batch size")


def run_pipeline(
    reference: Callable, name: str, waves: list[Waveform], references: list[str], size: int, **more: float
) -> float:
    """Return the seconds that the pipeline takes."""
    inputs = [{"raw": wave.samples, "sampling_rate": SAMPLING_RATE} for wave in waves]
    elapsed_s, results = measure(lambda: reference([dict(one) for one in inputs], batch_size=size, **more))
    print_result(
        f"{name}, pipeline, batches of {size}",
        sum(wave.duration_s for wave in waves),
        elapsed_s,
        references,
        [one["text"] for one in results],
    )
    return elapsed_s


def measure_live(name: str, transcriber: Transcriber, wave: Waveform, texts: str | None) -> None:
    """Measure live chunks, and transcribing the whole buffer again at each chunk."""
    session, elapsed_s, words = LiveSession(transcriber), [], []
    for chunk in blocks(wave, CHUNK_S):
        started = time.perf_counter()
        words += session.push_chunk(chunk).final
        elapsed_s.append(time.perf_counter() - started)
    words += session.finish().final
    minute = round(60 / CHUNK_S)
    print(
        f"live, {name}: {np.sum(elapsed_s) / wave.duration_s:.3f} of real time; the last two minutes take "
        f"{np.sum(elapsed_s[-2 * minute :]) / np.sum(elapsed_s[: 2 * minute]):.2f} of the first two; the slowest chunk "
        f"{1000 * max(elapsed_s):.0f} ms"
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
            started = time.perf_counter()
            transcriber.log_probabilities(buffer)
            again += (time.perf_counter() - started) * 30 / CHUNK_S
        ratio = again / np.sum(elapsed_s[: 4 * 60])
        print(f"live, {name}: transcribing the buffer again at each chunk takes {ratio:.0f} times as long (2 min)")


def compare_precisions(
    name: str, transcriber: Transcriber, waves: list[Waveform], references: list[str] | None
) -> None:
    """Compare number formats on the same clips, one by one and in batches; references: None for a random model."""
    import torch

    print(f"{name}: in use is {transcriber.engine.dtype}")
    seconds, whole = sum(wave.duration_s for wave in waves), transcriber.engine.model.float()
    models = {
        "float32": (whole, torch.float32),
        "bfloat16": (copy.deepcopy(whole).bfloat16(), torch.bfloat16),
        "int8": (torch.ao.quantization.quantize_dynamic(whole, {torch.nn.Linear}, torch.qint8), torch.float32),
    }
    alone, together, results = dict.fromkeys(models, np.inf), dict.fromkeys(models, np.inf), {}
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
    """Return a random model of wav2vec2-base's shape with the layer norms of XLS-R."""
    import torch
    from transformers import AutoProcessor, Wav2Vec2Config, Wav2Vec2ForCTC

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
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
        return Transcriber(folder)


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
        started = time.perf_counter()
        results = work()
        elapsed_s.append(time.perf_counter() - started)
    return min(elapsed_s), results


def print_result(name: str, audio_s: float, elapsed_s: float, references: list[str], hypotheses: list[str]) -> None:
    wer = metrics.score(references, [normalise(text, "basic") for text in hypotheses]).wer.rate
    print(f"{name}: {audio_s / elapsed_s:.0f} x real time, WER {wer:.2%}", flush=True)


if __name__ == "__main__":
    main()
