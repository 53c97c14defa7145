"""Accuracy on a dataset: every decoder, calibration, word times, segmentation, live against file.

    python -m tests.benchmarks.accuracy DATASET --model CHECKPOINT [--other TEXT] [--background]

The clips of the evaluation part are transcribed (half of all where there is none); the texts of the rest make the
language model and, with the words of the transcribed ones, the word list. Weights are chosen on every second clip and
scored on the others, and the other way round. --other: a text of another domain, one sentence a line, whose
language model should change nothing; without it, the demo's callsigns. --background: joined clips under noise and music
too, and, where the package silero-vad is installed, split by it.
"""

from __future__ import annotations

import argparse
import collections
import csv
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio, segmentation
from asrkit.data import sources
from asrkit.data.manifest import Utterance
from asrkit.decoding import alignment, beam
from asrkit.decoding.beam import BeamSearch
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.ngram import LanguageModel
from asrkit.decoding.protocols import Decoder
from asrkit.decoding.transcript import join_words
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.text.scripts import tokenize_mixed
from asrkit.transcription import evaluation
from asrkit.transcription.stream import LiveSession
from asrkit.transcription.transcriber import Transcriber

CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"
WEIGHTS = [(weight, bonus) for weight in (0.4, 0.8, 1.2) for bonus in (1.5, 2.0, 2.5, 3.0)]
NUM_HOT_WORDS, MIN_HOT_LETTERS = 25, 7
GAPS_S, CHUNK_S = (0.0, 0.1, 0.4, 0.8), 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--model", required=True)
    parser.add_argument("--other", default="")
    parser.add_argument("--background", action="store_true")
    options = parser.parse_args()
    transcriber = Transcriber(options.model)
    source = sources.load(options.dataset)
    utterances = list(source.eval or source.train[::2])
    texts = [normalise(row.text, "basic") for row in (source.train if source.eval else source.train[1::2])]
    other = (
        Path(options.other).read_text(encoding="utf-8").splitlines()
        if options.other
        else [row.text for row in sources.load(str(CALLSIGNS)).train]
    )
    greedy = GreedyDecoder(transcriber.processor, transcriber.blank_id)
    print(f"{options.model} on {len(utterances)} clips; {len(texts)} sentences of other clips")
    compare_decoders(transcriber, utterances, greedy, texts, [normalise(text, "basic") for text in other])
    cross_validate_weights(transcriber, utterances, greedy, texts)
    clips = [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples for row in utterances]
    compare_segmentations(
        transcriber, greedy, clips, [normalise(row.text, "basic") for row in utterances], options.background
    )
    if options.dataset != str(CALLSIGNS):
        print("word times, of joined single words of the demo:")
    measure_word_times(transcriber, greedy)


# ---- decoders and their calibration


def compare_decoders(
    transcriber: Transcriber, utterances: Sequence[Utterance], greedy: Decoder, texts: list[str], other: list[str]
) -> None:
    processor, blank_id = transcriber.processor, transcriber.blank_id
    spoken = [normalise(row.text, "basic") for row in utterances]
    letters = set(processor.tokenizer.get_vocab())
    spelled = sorted({word for text in [*texts, *spoken] for word in tokenize_mixed(text) if set(word) <= letters})
    long = sorted(
        {word for text in spoken for word in tokenize_mixed(text) if len(word) >= MIN_HOT_LETTERS and word.isalpha()}
    )
    hot = random.Random(0).sample(long, min(NUM_HOT_WORDS, len(long)))
    known = {word for text in texts for word in tokenize_mixed(text)}
    unknown = np.mean([word not in known for text in spoken for word in tokenize_mixed(text)])
    print(f"{unknown:.1%} of the spoken words are not in the text of the language model")
    print_scores(transcriber, utterances, "greedy", greedy, hot)
    print_scores(
        transcriber,
        utterances,
        "a language model of the other clips' texts",
        BeamSearch(processor, blank_id, LanguageModel(texts)),
        hot,
    )
    print_scores(
        transcriber,
        utterances,
        "a language model of another domain",
        BeamSearch(processor, blank_id, LanguageModel(other)),
        hot,
    )
    print_scores(transcriber, utterances, f"{len(hot)} hot words", HotWordDecoder(processor, blank_id, hot), hot)
    print_scores(
        transcriber,
        utterances,
        f"a list of all {len(spelled)} words",
        LexiconDecoder.from_processor(spelled, processor),
        hot,
    )


def print_scores(
    transcriber: Transcriber, utterances: Sequence[Utterance], name: str, decoder: Decoder, hot: list[str]
) -> None:
    result = evaluation.evaluate(transcriber, utterances, "basic", decoder=decoder)
    low, high = result.intervals["wer"]
    right = missed = false = 0
    for clip in result.clips:
        spoken, found = (collections.Counter(tokenize_mixed(text)) for text in (clip.reference, clip.hypothesis))
        right += sum(min(spoken[word], found[word]) for word in hot)
        missed += sum(max(0, spoken[word] - found[word]) for word in hot)
        false += sum(max(0, found[word] - spoken[word]) for word in hot)
    print(
        f"{name}: WER {result.scores.wer.rate:.1%} ({low:.1%} to {high:.1%}), confidence off by "
        f"{result.calibration_error():.1%}, {result.audio_s / result.elapsed_s:.0f} x real time; of "
        f"{right + missed} times a hot word {right} recognised, {false} false",
        flush=True,
    )


def cross_validate_weights(
    transcriber: Transcriber, utterances: Sequence[Utterance], greedy: Decoder, texts: list[str]
) -> None:
    """Score the best weights of one half of the clips on the other half."""
    scores = transcriber.engine.log_probabilities(
        [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples for row in utterances]
    )
    spoken = [normalise(row.text, "basic") for row in utterances]
    searching = BeamSearch(transcriber.processor, transcriber.blank_id, LanguageModel(texts))
    found: dict[tuple[float, float], list[str]] = {}
    used = beam.LM_WEIGHT, beam.LETTER_BONUS
    for pair in WEIGHTS:
        beam.LM_WEIGHT, beam.LETTER_BONUS = pair
        found[pair] = [normalise(join_words(searching.decode(one, 0.02)), "basic") for one in scores]
    beam.LM_WEIGHT, beam.LETTER_BONUS = used
    found_plain = [normalise(join_words(greedy.decode(one, 0.02)), "basic") for one in scores]
    references: list[str] = []
    hypotheses: list[str] = []
    for picking, scoring in ((0, 1), (1, 0)):
        best = min(WEIGHTS, key=lambda pair, half=picking: wer(spoken[half::2], found[pair][half::2]))
        references += spoken[scoring::2]
        hypotheses += found[best][scoring::2]
        print(
            f"weights chosen on half of the clips: {best}; on the other half WER "
            f"{wer(spoken[scoring::2], found[best][scoring::2]):.1%}, with those in use {used} "
            f"{wer(spoken[scoring::2], found[used][scoring::2]):.1%}, greedily "
            f"{wer(spoken[scoring::2], found_plain[scoring::2]):.1%}"
        )
    print(f"both halves, each with the weights of the other: WER {wer(references, hypotheses):.1%}", flush=True)


def wer(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    return metrics.score(references, hypotheses).wer.rate


# ---- segmentation


def compare_segmentations(
    transcriber: Transcriber, decoder: Decoder, clips: list[np.ndarray], spoken: list[str], background: bool
) -> None:
    """Join clips into one recording: segmented, cut where the clips meet, live; with noise and music."""
    rng = np.random.default_rng(0)
    for gap_s in GAPS_S:
        parts = [np.concatenate([clip, 0.0003 * rng.standard_normal(round(gap_s * SAMPLING_RATE))]) for clip in clips]
        sound = np.concatenate(parts).astype(np.float32)
        edges = np.cumsum([0, *map(len, parts)])
        loud = float(np.sqrt((sound**2).mean()))
        kinds: dict[str, Callable[[int], np.ndarray]] = {"clean": lambda size: np.zeros(size)}
        if background:
            kinds |= {
                "noise at 20 dB": lambda size: rng.standard_normal(size),
                "music at 20 dB": lambda size: make_music(size, rng),
            }
        for kind, made in kinds.items():
            under = made(len(sound))
            mixed = (sound + 0.1 * loud * under).astype(np.float32)
            filed = transcriber.transcribe_blocks([mixed], decoder).text
            pieces = {
                "split": filed,
                "cut where clips meet": transcribe_parts(transcriber, decoder, np.split(mixed, edges[1:-1])),
                "live": transcribe_live(transcriber, decoder, mixed),
            }
            if background and (parts_of := split_by_silero(mixed)):
                pieces["split by silero-vad"] = transcribe_parts(transcriber, decoder, parts_of)
            figures = []
            for name, text in pieces.items():
                rate = metrics.score([" ".join(spoken)], [normalise(text, "basic")]).wer
                figures.append(f"{name} {rate.rate:.1%} ({rate.deletions} missing, {rate.insertions} extra)")
            same = wer([normalise(filed, "basic")], [normalise(pieces["live"], "basic")])
            print(
                f"clips joined with {gap_s} s between, {kind}: WER {', '.join(figures)}; live against the file "
                f"{same:.1%}; {len(segmentation.segment_audio(mixed))} pieces",
                flush=True,
            )


def transcribe_parts(transcriber: Transcriber, decoder: Decoder, parts: Sequence[np.ndarray]) -> str:
    return " ".join(result.text for result in transcriber.transcribe_batch([Waveform(part) for part in parts], decoder))


def transcribe_live(transcriber: Transcriber, decoder: Decoder, sound: np.ndarray) -> str:
    session, size, words = LiveSession(transcriber, decoder), round(CHUNK_S * SAMPLING_RATE), []
    for at in range(0, len(sound), size):
        words += session.push_chunk(sound[at : at + size]).final
    return join_words([*words, *session.finish().final])


def make_music(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return plucked chords and a drum, 150 beats a minute, of power 1."""
    sound = np.zeros(samples)
    for begin in range(0, samples, round(0.4 * SAMPLING_RATE)):
        at = np.arange(min(samples - begin, round(0.39 * SAMPLING_RATE))) / SAMPLING_RATE
        pitch = 220 * 2 ** (rng.choice([0, 3, 5, 7, 10, 12]) / 12)
        note = sum(np.sin(2 * np.pi * pitch * overtone * at) / overtone for overtone in (1, 2, 3)) * np.exp(-3 * at)
        sound[begin : begin + len(at)] += note + 0.5 * rng.standard_normal(len(at)) * np.exp(-60 * at)
    return sound / np.sqrt((sound**2).mean())


def split_by_silero(sound: np.ndarray) -> list[np.ndarray]:
    """Return segments of speech by silero-vad; none where it is not installed."""
    try:
        import torch
        from silero_vad import get_speech_timestamps, load_silero_vad
    except ImportError:
        return []
    found = get_speech_timestamps(
        torch.from_numpy(sound),
        load_silero_vad(),
        sampling_rate=SAMPLING_RATE,
        max_speech_duration_s=15,
        min_silence_duration_ms=200,
        speech_pad_ms=100,
    )
    return [sound[one["start"] : one["end"]] for one in found]


# ---- word times


def measure_word_times(transcriber: Transcriber, greedy: Decoder) -> None:
    """Join single words of the demo, whose begin and end are known from their loudness."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if " " not in row["text"]]
    rng = np.random.default_rng(0)
    for gap_s in (0.25, 0.05):
        off: dict[str, list[tuple[float, float]]] = {"greedy": [], "forced alignment": []}
        for _ in range(12):
            chosen = [rows[place] for place in rng.choice(len(rows), 12)]
            wave, spans = join_words_of_clips(chosen, gap_s)
            result = alignment.align(transcriber, wave, " ".join(row["text"] for row in chosen)).words
            off["forced alignment"] += [
                (one.start_s - begin, one.end_s - end) for one, (begin, end) in zip(result, spans, strict=True)
            ]
            for one in transcriber.transcribe(wave, greedy).words:
                begin, end = min(spans, key=lambda span, one=one: abs(sum(span) / 2 - one.midpoint_s))
                if one.start_s < end and one.end_s > begin and len(one.word) > 2:  # pieces of a word have no known edge
                    off["greedy"].append((one.start_s - begin, one.end_s - end))
        for name, pairs in off.items():
            starts, ends = np.array(pairs).T
            middle, begin_ms, end_ms = (1000 * np.median(one) for one in (np.abs([starts, ends]), starts, ends))
            print(
                f"word times, {name}, {gap_s} s between words: median error {middle:.0f} ms; begins {begin_ms:+.0f} "
                f"ms, ends {end_ms:+.0f} ms off in the median ({len(pairs)} words)",
                flush=True,
            )


def join_words_of_clips(rows: Sequence[dict[str, str]], gap_s: float) -> tuple[Waveform, list[tuple[float, float]]]:
    """Return one recording, and begin and end of each word (above a tenth of its greatest loudness)."""
    parts, spans, at_s = [], [], 0.0
    for row in rows:
        clip = load_audio(CALLSIGNS / row["file_name"]).samples
        loudness = np.sqrt(np.convolve(clip**2, np.ones(160) / 160, "same"))
        loud = np.flatnonzero(loudness > 0.1 * loudness.max())
        spans.append((at_s + gap_s + loud[0] / SAMPLING_RATE, at_s + gap_s + loud[-1] / SAMPLING_RATE))
        parts += [np.zeros(round(gap_s * SAMPLING_RATE), np.float32), clip]
        at_s += gap_s + len(clip) / SAMPLING_RATE
    return Waveform(np.concatenate(parts)), spans


if __name__ == "__main__":
    main()
