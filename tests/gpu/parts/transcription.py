"""Fast: transcription against `transformers.pipeline` at its best batch size, with the same weights and precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import transformers

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.transcription.transcriber import Transcriber
from tests.gpu import models, speech
from tests.gpu.pack import Pack

MIN_SPEEDUP = 3.0
BATCH_SIZES = (1, 8, 32)
BLOCK_S = 10.0


def run(pack: Pack) -> None:
    base = models.write_checkpoint(pack.folder / "base", "xls-r-300m", pack.is_small)
    transcriber = Transcriber(str(base), pack.device.type)
    transformers.logging.set_verbosity_error()
    pipeline = transformers.pipeline(
        "automatic-speech-recognition",
        model=str(base),
        device=0 if pack.has_gpu else "cpu",
        dtype=transcriber.engine.dtype,
    )
    pack.check("number format of both", True, str(transcriber.engine.dtype))
    recording = speech.load_speech()
    clips = cut(recording, speech.draw_lengths("common-voice", pack.pick(200, 8) * 5.0)[: pack.pick(200, 8)])
    transcriber.transcribe_batch(clips[:4])
    compare(
        pack,
        f"{len(clips)} clips",
        sum(clip.duration_s for clip in clips),
        lambda: transcriber.transcribe_batch(clips),
        lambda size: pipeline([as_input(clip) for clip in clips], batch_size=size),
        pack.pick(BATCH_SIZES, (1,)),
    )
    long = Waveform(np.resize(recording, round(pack.pick(3600.0, 40.0) * SAMPLING_RATE)))
    size = round(BLOCK_S * SAMPLING_RATE)
    blocks = [long.samples[start : start + size] for start in range(0, len(long.samples), size)]
    compare(
        pack,
        f"a recording of {long.duration_s / 60:.1f} minutes",
        long.duration_s,
        lambda: transcriber.transcribe_blocks(blocks),
        lambda size: pipeline(as_input(long), batch_size=size, chunk_length_s=30),
        pack.pick(BATCH_SIZES, (1,)),
    )


def cut(recording: np.ndarray, lengths_s: list[float]) -> list[Waveform]:
    """Cut clips of these lengths from a recording, one after the other, round and round."""
    clips, start = [], 0
    for length_s in lengths_s:
        size = round(length_s * SAMPLING_RATE)
        clips.append(Waveform(np.take(recording, range(start, start + size), mode="wrap")))
        start += size
    return clips


def as_input(wave: Waveform) -> dict[str, Any]:
    return {"raw": wave.samples, "sampling_rate": SAMPLING_RATE}


def compare(
    pack: Pack,
    name: str,
    audio_s: float,
    ours: Callable[[], Any],
    pipeline: Callable[[int], Any],
    sizes: tuple[int, ...],
) -> None:
    """Measure both, the second one at each batch size, of which its best counts."""
    own_s, _ = pack.time(ours, repeat=pack.pick(3, 1))
    pack.measure(f"{name}: asrkit", audio_s / own_s, "x real time")
    best_s = float("inf")
    for size in sizes:
        seconds, _ = pack.time(lambda size=size: pipeline(size), repeat=pack.pick(2, 1))
        pack.measure(f"{name}: pipeline, batches of {size}", audio_s / seconds, "x real time")
        best_s = min(best_s, seconds)
    pack.measure(f"{name}: asrkit against the pipeline", best_s / own_s, at_least=MIN_SPEEDUP)
