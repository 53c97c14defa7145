"""How well long recordings are aligned with their texts: clips whose places are known are joined to one recording.

    python -m tests.benchmarks.align [DATASET] [--model MODEL] [--minutes 60] [--missing 0] [--extra 0] [--scattered]

Without DATASET, espeak-ng speaks the bundled prompts in English and random sentences of their words. Clips are repeated
in another order until the recording is long enough. missing: share of the clips whose text is left out of the text;
extra: whose speech is left out of the recording; half a minute or so in a row, or single clips if scattered.

Prints the share of words in the right clip, in a wrong one and in none; of the words that nobody says, how many are in
no clip; of the speech without text, how much is in no clip; how far the ends of clips are from the pause between two
joined clips; how many of the clips with a wrong word are among the tenth with the lowest score; and time and memory.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.data import prompts, sources
from asrkit.runs.store import RunStore
from asrkit.transcription.alignment.dataset import RECORDING, TABLE, align_recording
from asrkit.transcription.alignment.script import read_script
from asrkit.transcription.model_cache import get_transcriber

PAUSE_S = (0.25, 0.9)
BLOCK_CLIPS = 8
"""Clips in a row that are missing or extra."""
QUIET = 0.01
"""Peak below which the edge of a clip is silence, of the peak of the clip."""


@dataclass(frozen=True)
class JoinedClip:
    """A clip of the recording: where it is, and where its sound begins and ends; None for one without speech."""

    text: str
    has_text: bool
    span: tuple[float, float] | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", nargs="?")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--missing", type=float, default=0.0)
    parser.add_argument("--extra", type=float, default=0.0)
    parser.add_argument("--scattered", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asrkit-align-") as folder:
        work = Path(folder)
        clips = load_clips(options.dataset) if options.dataset else speak(work, options.minutes * 60)
        joined = join(clips, work, options)
        transcriber = get_transcriber(options.model, RunStore(work / "runs"))
        transcriber.engine.warm_up()
        started, memory_mb, cpu_s = (
            time.monotonic(),
            peak_memory_mb(),
            cpu_seconds(),
        )
        words = read_script(work / "text.txt")
        result = align_recording(work / "long.wav", words, transcriber, work / "out", rules="basic")
        seconds, cpu_s = time.monotonic() - started, cpu_seconds() - cpu_s
        print(
            f"{result.duration_s / 60:.0f} min, {len(words)} words: {seconds:.0f} s, {cpu_s:.0f} s of CPU, peak memory "
            f"{memory_mb:.0f} MB before, {peak_memory_mb():.0f} MB after; {len(result.clips)} clips of "
            f"{result.clips_s / max(1, len(result.clips)):.1f} s, letters replaced {result.replaced_share:.1%}"
        )
        report(joined, work / "out")


def load_clips(dataset: str) -> list[tuple[np.ndarray, str]]:
    rows = sources.load(dataset).utterances
    return [(load_audio(row.audio).samples, row.text) for row in rows]


def speak(work: Path, seconds: float) -> list[tuple[np.ndarray, str]]:
    """Return clips by espeak-ng, in several voices, that last about so long together."""
    rng = random.Random(0)
    lines = prompts.load("en")
    vocabulary = [word for line in lines for word in line.lower().split()]
    clips: list[tuple[np.ndarray, str]] = []
    total = 0.0
    while total < seconds:
        text = lines[len(clips)] if len(clips) < len(lines) else " ".join(rng.sample(vocabulary, rng.randint(3, 14)))
        voice = rng.choice(["en-gb+m3", "en-us+f2", "en-gb+f4", "en-us+m7"])
        wav = work / "spoken.wav"
        speed = str(rng.randint(140, 180))
        subprocess.run(["espeak-ng", "-v", voice, "-s", speed, "-w", str(wav), "--", text], check=True)
        clips.append((load_audio(wav).samples, text))
        total += len(clips[-1][0]) / SAMPLING_RATE + sum(PAUSE_S) / 2
    return clips


def join(clips: list[tuple[np.ndarray, str]], work: Path, options: argparse.Namespace) -> list[JoinedClip]:
    """Write long.wav and text.txt."""
    rng = random.Random(1)
    order = repeat(len(clips), [len(samples) / SAMPLING_RATE + sum(PAUSE_S) / 2 for samples, _ in clips], options, rng)
    without_text = choose(len(order), options.missing, options.scattered, rng, frozenset())
    without_speech = choose(len(order), options.extra, options.scattered, rng, without_text)
    joined, position = [], 0
    with soundfile.SoundFile(work / "long.wav", "w", SAMPLING_RATE, 1) as file:
        for place, index in enumerate(order):
            samples, text = clips[index]
            span = None
            if place not in without_speech:
                loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max())
                span = ((position + loud[0]) / SAMPLING_RATE, (position + loud[-1]) / SAMPLING_RATE)
                pause = np.zeros(round(rng.uniform(*PAUSE_S) * SAMPLING_RATE), np.float32)
                file.write(np.concatenate([samples, pause]))
                position += len(samples) + len(pause)
            joined.append(JoinedClip(" ".join(text.split()), place not in without_text, span))
    (work / "text.txt").write_text("\n".join(clip.text for clip in joined if clip.has_text), encoding="utf-8")
    return joined


def repeat(count: int, lengths_s: list[float], options: argparse.Namespace, rng: random.Random) -> list[int]:
    order: list[int] = []
    total = 0.0
    while total < options.minutes * 60:
        for index in rng.sample(range(count), count):
            order.append(index)
            total += lengths_s[index]
            if total >= options.minutes * 60:
                break
    return order


def choose(count: int, share: float, is_scattered: bool, rng: random.Random, taken: frozenset[int]) -> frozenset[int]:
    """Return the clips that lack their text or speech, none of them taken."""
    size = 1 if is_scattered else BLOCK_CLIPS
    blocks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    free = [block for block in blocks if taken.isdisjoint(block)]
    return frozenset(place for block in rng.sample(free, round(share * count / size)) for place in block)


def report(joined: list[JoinedClip], out: Path) -> None:
    with open(out / TABLE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["file_name"] for row in rows} <= {RECORDING}
    script = [(word, clip) for clip in joined if clip.has_text for word in clip.text.split()]
    num_spoken = sum(clip.span is not None and is_word(word) for word, clip in script)
    num_right, num_wrong, num_unsaid, position = 0, 0, 0, 0
    errors, wrong_clips = [], []
    for row in rows:
        words, start_s, end_s = row["text"].split(), float(row["start_s"]), float(row["end_s"])
        while [word for word, _ in script[position : position + len(words)]] != words:
            position += 1
        sources_of_row = [clip for word, clip in script[position : position + len(words)] if is_word(word)]
        is_right = [
            bool(clip.span and min(end_s, clip.span[1]) - max(start_s, clip.span[0]) > 0.05) for clip in sources_of_row
        ]
        num_right += sum(is_right)
        num_wrong += sum(
            not right and clip.span is not None for right, clip in zip(is_right, sources_of_row, strict=True)
        )
        num_unsaid += sum(clip.span is None for clip in sources_of_row)
        wrong_clips.append(not all(is_right))
        errors += boundary_errors(joined, script, position, len(words), start_s, end_s)
        position += len(words)
    print(
        f"words in the right clip {num_right / num_spoken:.2%}, in a wrong one {num_wrong / num_spoken:.2%}, "
        f"in none {1 - (num_right + num_wrong) / num_spoken:.2%}"
    )
    if unsaid := sum(clip.span is None and is_word(word) for word, clip in script):
        print(f"words that nobody says: {unsaid}, in no clip {1 - num_unsaid / unsaid:.1%}")
    silent_s, covered_s = uncovered(joined, rows)
    if silent_s:
        print(f"speech without text: {silent_s:.0f} s, in no clip {1 - covered_s / silent_s:.1%}")
    cut = np.array(errors)
    print(
        f"{len(cut)} ends of clips at joins: {np.mean(cut == 0):.1%} in the pause; outside it by more than 0.1 s "
        f"{np.mean(cut > 0.1):.1%}, more than 0.5 s {np.mean(cut > 0.5):.1%}"
    )
    ranks = np.argsort([float(row["score"]) for row in rows])
    doubtful = set(ranks[: len(rows) // 10].tolist())
    found = sum(is_wrong and index in doubtful for index, is_wrong in enumerate(wrong_clips))
    print(f"clips with a wrong word: {sum(wrong_clips)}, {found} of them in the tenth with the lowest score")


def is_word(text: str) -> bool:
    """Whether it is more than punctuation."""
    return any(map(str.isalnum, text))


def boundary_errors(
    joined: list[JoinedClip], script: list[tuple[str, JoinedClip]], first: int, count: int, start_s: float, end_s: float
) -> list[float]:
    """Return how far the ends of a clip that should be at joins are outside the pause there, in seconds."""
    spoken = [clip for clip in joined if clip.span]
    place = {id(clip): index for index, clip in enumerate(spoken)}
    errors = []
    for word, other, at_s, step in ((first, first - 1, start_s, -1), (first + count - 1, first + count, end_s, 1)):
        clip = script[word][1]
        is_join = not 0 <= other < len(script) or script[other][1] is not clip
        if clip.span is None or not is_join:
            continue
        index = place[id(clip)] + step
        neighbour = spoken[index].span if 0 <= index < len(spoken) else None
        edges = (clip.span[0], neighbour[1] if neighbour else 0.0) if step < 0 else (
            clip.span[1], neighbour[0] if neighbour else float("inf"))  # fmt: skip
        errors.append(max(0.0, min(edges) - at_s, at_s - max(edges)))
    return errors


def uncovered(joined: list[JoinedClip], rows: list[dict[str, str]]) -> tuple[float, float]:
    """Return the seconds of speech without text, and how many of them are in clips."""
    spans = [(float(row["start_s"]), float(row["end_s"])) for row in rows]
    assert all(end_s <= start_s + 1e-6 for (_, end_s), (start_s, _) in pairwise(spans))
    silent = [clip.span for clip in joined if clip.span and not clip.has_text]
    covered_s = sum(max(0.0, min(end, stop) - max(begin, start)) for begin, stop in silent for start, end in spans)
    return sum(stop - begin for begin, stop in silent), covered_s


def cpu_seconds() -> float:
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def peak_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
