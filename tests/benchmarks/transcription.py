"""Transcription against `transformers.pipeline("automatic-speech-recognition")`: same checkpoint, same audio, one run.

    python -m tests.benchmarks.transcription [--model CHECKPOINT] [--data DATASET] [--minutes 10] [--big]

200 short clips; one long file of clips behind one another (the pipeline with its chunking on); live chunks of half a
second against transcribing the buffer again. The pipeline is given each of several batch sizes; its best one counts.
--big adds a model of wav2vec2-base's shape (94 M random parameters) to the live part. --precision only tells what
float32, bfloat16 and dynamic int8 are worth on this processor, for this model and, with --big, for that one.
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
from asrkit.text.normalizers import normalize
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
    references = [normalize(row.text, "basic") for row in rows]
    ours = Transcriber(options.model)
    if options.precision:
        precisions("the same model", ours, waves, references)
        if options.big:
            precisions("94 M parameters", big(), waves[:BIG_CLIPS], None)
        return
    theirs = pipeline(options.model)
    print(f"{options.model}, {ours.engine.precision}")
    short(ours, theirs, waves, references[:CLIPS])
    long, said = joined(rows, references, 60 * options.minutes)
    whole(ours, theirs, long, said)
    live("the same model", ours, long, said)
    if options.big:
        live("94 M parameters", big(), long, None)


def pipeline(model: str) -> object:
    """In float32: the checkpoint's own half precision would be several times slower on a processor."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.pipeline("automatic-speech-recognition", model=model, device="cpu", dtype=torch.float32)


def short(ours: Transcriber, theirs: Callable, waves: list[Waveform], references: list[str]) -> None:
    seconds = sum(wave.duration_s for wave in waves)
    mine, told = timed(lambda: ours.transcribe_batch(waves))
    report("short clips, asrkit", seconds, mine, references, [one.text for one in told])
    best = min(piped(theirs, "short clips", waves, references, size) for size in BATCH_SIZES)
    print(f"{len(waves)} short clips: {best / mine:.2f} times as fast as the pipeline at its best batch size")


def whole(ours: Transcriber, theirs: Callable, wave: Waveform, said: str) -> None:
    mine, told = timed(lambda: ours.transcribe_blocks(blocks(wave, 10.0)))
    report("one file, asrkit", wave.duration_s, mine, [said], [told.text])
    best = min(piped(theirs, "one file", [wave], [said], size, chunk_length_s=30) for size in BATCH_SIZES)
    minutes = wave.duration_s / 60
    print(f"one file of {minutes:.0f} minutes: {best / mine:.2f} times as fast as the pipeline at its best batch size")


def piped(theirs: Callable, name: str, waves: list[Waveform], references: list[str], size: int, **more: float) -> float:
    """Seconds that the pipeline takes."""
    inputs = [{"raw": wave.samples, "sampling_rate": SAMPLING_RATE} for wave in waves]
    spent, told = timed(lambda: theirs([dict(one) for one in inputs], batch_size=size, **more))
    report(
        f"{name}, pipeline, batches of {size}",
        sum(wave.duration_s for wave in waves),
        spent,
        references,
        [one["text"] for one in told],
    )
    return spent


def live(name: str, ours: Transcriber, wave: Waveform, said: str | None) -> None:
    """Chunk after chunk as from a microphone, and what hearing the whole buffer again each time would take."""
    session, spent, words = LiveSession(ours), [], []
    for chunk in blocks(wave, CHUNK_S):
        begun = time.perf_counter()
        words += session.push_chunk(chunk).final
        spent.append(time.perf_counter() - begun)
    words += session.finish().final
    minute = round(60 / CHUNK_S)
    print(
        f"live, {name}: {np.sum(spent) / wave.duration_s:.3f} of real time; the last two minutes take "
        f"{np.sum(spent[-2 * minute :]) / np.sum(spent[: 2 * minute]):.2f} of the first two; the slowest chunk "
        f"{1000 * max(spent):.0f} ms"
    )
    if said is not None:
        filed = ours.transcribe_blocks(blocks(wave, 10.0))
        rates = [metrics.score([said], [normalize(text, "basic")]).wer.rate for text in (join_words(words), filed.text)]
        print(f"live, {name}: WER {rates[0]:.2%}, of the same sound as a file {rates[1]:.2%}")
        again = 0.0
        for end_s in np.arange(30.0, min(120.0, wave.duration_s) + 1, 30.0):
            buffer = Waveform(wave.samples[: round(end_s * SAMPLING_RATE)])
            begun = time.perf_counter()
            ours.log_probabilities(buffer)
            again += (time.perf_counter() - begun) * 30 / CHUNK_S
        print(
            f"live, {name}: hearing the buffer again at each chunk takes {again / np.sum(spent[: 4 * 60]):.0f} times "
            "as long over two minutes"
        )


def precisions(name: str, ours: Transcriber, waves: list[Waveform], references: list[str] | None) -> None:
    """Each number format on the same clips, one by one and in batches. references: of a model that has learned."""
    import torch

    print(f"{name}: in use is {ours.engine.precision}")
    seconds, whole = sum(wave.duration_s for wave in waves), ours.engine.model.float()
    models = {
        "float32": (whole, torch.float32),
        "bfloat16": (copy.deepcopy(whole).bfloat16(), torch.bfloat16),
        "int8": (torch.ao.quantization.quantize_dynamic(whole, {torch.nn.Linear}, torch.qint8), torch.float32),
    }
    alone, together, told = dict.fromkeys(models, np.inf), dict.fromkeys(models, np.inf), {}
    for _ in range(ROUNDS):  # in turn, for other programs come and go
        for kind, (ours.engine.model, ours.engine.precision) in models.items():
            alone[kind] = min(alone[kind], timed(lambda: [ours.transcribe(wave) for wave in waves], 1)[0])
            spent, told[kind] = timed(lambda: ours.transcribe_batch(waves), 1)
            together[kind] = min(together[kind], spent)
    for kind in models:
        texts = [normalize(one.text, "basic") for one in told[kind]]
        wer = f", WER {metrics.score(references[: len(waves)], texts).wer.rate:.1%}" if references else ""
        print(
            f"{name}, {kind}: {seconds / alone[kind]:.1f} x real time clip by clip, "
            f"{seconds / together[kind]:.1f} in batches{wer}",
            flush=True,
        )


def big() -> Transcriber:
    """wav2vec2-base's shape with the layer norms of XLS-R, at random."""
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


def joined(rows: list, references: list[str], seconds: float) -> tuple[Waveform, str]:
    """Clips behind one another, with a pause between each two, until it is so long; and what is said."""
    parts, said, length = [], [], 0
    for row, text in itertools.cycle(zip(rows, references, strict=True)):
        parts += [
            load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples,
            np.zeros(round(PAUSE_S * SAMPLING_RATE), np.float32),
        ]
        said.append(text)
        length += len(parts[-2]) + len(parts[-1])
        if length >= seconds * SAMPLING_RATE:
            return Waveform(np.concatenate(parts)), " ".join(said)


def blocks(wave: Waveform, seconds: float) -> list[np.ndarray]:
    size = round(seconds * SAMPLING_RATE)
    return [wave.samples[at : at + size] for at in range(0, len(wave.samples), size)]


def timed(work: Callable, goes: int = 2) -> tuple[float, object]:
    """Seconds of the fastest go, and what came out."""
    spent = []
    for _ in range(goes):
        begun = time.perf_counter()
        told = work()
        spent.append(time.perf_counter() - begun)
    return min(spent), told


def report(name: str, audio_s: float, spent: float, references: list[str], hypotheses: list[str]) -> None:
    wer = metrics.score(references, [normalize(text, "basic") for text in hypotheses]).wer.rate
    print(f"{name}: {audio_s / spent:.0f} x real time, WER {wer:.2%}", flush=True)


if __name__ == "__main__":
    main()
