"""Compare our segmentation with silero-vad's: join a dataset's clips into one recording, split it, transcribe it.

    python -m tests.benchmarks.pauses DATASET --model CHECKPOINT [--half 0 | 1] [--gaps 0 0.1 0.4 0.8]

Uses the dataset's evaluation split (all clips if it has none), or every second clip of that. Prints for each gap
between clips and each background: WER, missing and extra words, the share of wrong words among the first and last of
each clip (at the joins), and the speed of the segmentation in multiples of real time; also for cuts exactly where the
clips meet.
silero-vad is used as its own code advises, with segments of at most 15 s; without it only ours is measured.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate

import jiwer
import numpy as np

from asrkit.audio import SAMPLING_RATE, load_audio, segmentation
from asrkit.data import sources
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.protocols import Decoder
from asrkit.text.normalisers import normalise
from asrkit.transcription.transcriber import Transcriber
from tests.benchmarks.accuracy import make_music, split_by_silero, transcribe_parts

BABBLE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--model", required=True)
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--gaps", type=float, nargs="+", default=(0.0, 0.1, 0.4, 0.8))
    options = parser.parse_args()
    listener = Transcriber(options.model)
    greedy = GreedyDecoder(listener.processor, listener.blank_id)
    source = sources.load(options.dataset)
    rows = list(source.eval or source.train)
    rows = rows if options.half is None else rows[options.half :: 2]
    clips = [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples for row in rows]
    said = [normalise(row.text, "basic").split() for row in rows]
    warnings.simplefilter("ignore", FutureWarning)  # silero-vad's own loader
    if not len(split_by_silero(clips[0])):
        print("silero-vad is not installed, so only our own pauses are measured.")
    totals: dict[str, list[np.ndarray]] = {}
    for gap_s in options.gaps:
        for kind, sound, edges in make_recordings(clips, gap_s):
            for name, figures in compare(listener, greedy, sound, edges, said).items():
                totals.setdefault(name, []).append(figures)
                totals.setdefault(f"{name}, {kind}", []).append(figures)
                print(f"gap {gap_s} s, {kind}, {name}: {format_figures(figures)}", flush=True)
    print("\nover all gaps:")
    for name, found in totals.items():
        print(f"{name}: {format_figures(np.mean(found, axis=0))}")


def format_figures(figures: np.ndarray) -> str:
    wer, missing, extra, seams, segments, cut, speed = figures
    return (
        f"WER {wer:.1%} ({missing:.1f} missing, {extra:.1f} extra), at seams {seams:.1%}; {segments:.0f} segments, "
        f"{cut:.1f} cut without a pause; {speed:.0f} x real time"
    )


def make_recordings(clips: Sequence[np.ndarray], gap_s: float) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(background, samples, where clips meet) of each kind."""
    rng = np.random.default_rng(0)
    hush = [(0.0003 * rng.standard_normal(round(gap_s * SAMPLING_RATE))).astype(np.float32) for _ in clips]
    sound = np.concatenate([part for pair in zip(clips, hush, strict=True) for part in pair])
    edges = np.array(list(accumulate(len(clip) + len(rest) for clip, rest in zip(clips, hush, strict=True))))[:-1]
    made: dict[str, Callable[[], np.ndarray]] = {
        "noise": lambda: rng.standard_normal(len(sound)),
        "music": lambda: make_music(len(sound), rng),
        "babble": lambda: sum(np.roll(sound, shift) for shift in rng.integers(len(sound), size=BABBLE)),
    }
    found = [("clean", sound, edges)]
    for kind, make in made.items():
        under = make()
        under *= np.sqrt((sound**2).mean() / (under**2).mean())
        found += [
            (f"{kind} at {snr} dB", (sound + 10 ** (-snr / 20) * under).astype(np.float32), edges) for snr in (20, 10)
        ]
    return found


def compare(
    listener: Transcriber, greedy: Decoder, sound: np.ndarray, edges: np.ndarray, said: list[list[str]]
) -> dict[str, np.ndarray]:
    """name -> (WER, missing, extra, WER at seams, segments, of them cut, times real time)."""
    begun = time.perf_counter()
    ours = segmentation.segment_audio(sound)
    took = time.perf_counter() - begun
    speed = len(sound) / SAMPLING_RATE / took
    found = {
        "ours": np.array(
            [
                *count_errors(said, listener.transcribe_blocks([sound], greedy).text),
                len(ours),
                sum(segment.is_forced_cut for segment in ours),
                speed,
            ]
        )
    }
    begun = time.perf_counter()
    if parts := split_by_silero(sound):
        speed = len(sound) / SAMPLING_RATE / (time.perf_counter() - begun)
        found["silero-vad"] = np.array(
            [*count_errors(said, transcribe_parts(listener, greedy, parts)), len(parts), 0, speed]
        )
    parts = np.split(sound, edges)
    found["cut where clips meet"] = np.array(
        [*count_errors(said, transcribe_parts(listener, greedy, parts)), len(parts), 0, np.inf]
    )
    return found


def count_errors(said: list[list[str]], text: str) -> tuple[float, int, int, float]:
    """(WER, missing, extra, share of the clips' first and last words that are not right)."""
    words = [word for clip in said for word in clip]
    outcome = jiwer.process_words(" ".join(words), normalise(text, "basic"))
    right = np.zeros(len(words), bool)
    for chunk in outcome.alignments[0]:
        if chunk.type == "equal":
            right[chunk.ref_start_idx : chunk.ref_end_idx] = True
    ends = np.cumsum([len(clip) for clip in said if clip])
    seams = np.unique([*(ends - 1), 0, *ends[:-1]])
    return outcome.wer, outcome.deletions, outcome.insertions, 1 - right[seams].mean()


if __name__ == "__main__":
    main()
