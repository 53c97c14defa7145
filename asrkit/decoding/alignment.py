"""A text that is known to be right -> when each of its words was said, by forced alignment.

The likeliest CTC path that spells the text (Viterbi; Graves et al., ICML 2006), as `torchaudio.functional.forced_align`
finds it. A letter begins and ends with the frames that say it; blanks belong to no word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrkit.audio import Waveform
from asrkit.decoding import ctc
from asrkit.decoding.protocols import AcousticModel
from asrkit.decoding.tokens import spell_words
from asrkit.decoding.transcript import extend_word_ends
from asrkit.errors import DataError
from asrkit.text.scripts import tokenize_with_joins


@dataclass(frozen=True)
class AlignedWord:
    """score: mean log posterior of its letters, 0 at best; None for a word whose letters the model does not know.

    joined: as of `Word`.
    """

    word: str
    start_s: float
    end_s: float
    score: float | None
    joined: bool = False


@dataclass(frozen=True)
class Alignment:
    """score: log probability of the whole path (blanks too) / tokens of the text, 0 at best.

    Speech that the text leaves out lowers the score as well as text that was not said, so clips can be ranked by it.
    best: the same of the likeliest path of any text; a clip that is hard to hear has a low one, whatever its text.
    unknown: characters that the model has no token for; they were passed over.
    """

    words: list[AlignedWord]
    score: float
    unknown: list[str]
    best: float = 0.0


def align(model: AcousticModel, wave: Waveform, text: str) -> Alignment:
    """Times of the words of `text` (`text.scripts.tokenize_mixed`), all of it, in `wave`.

    Characters are looked up as they are, then in upper and in lower case. Those that the model does not know are left
    out; a word of nothing else gets the moment between its neighbours. An empty text has no words and scores 0.

    Raises DataError where no character is known, or where the clip is too short to say them all (each takes a frame of
    20 ms, and one more between two that are equal).
    """
    words = tokenize_with_joins(text)
    if not words:
        return Alignment([], 0.0, [])
    tokens, word_of, unknown = spell_words(model.processor.tokenizer, words)
    if not tokens:
        raise DataError(
            f"The model knows none of the characters of {_short(text)}, so it cannot be aligned; normalise "
            "the text, or choose a model of its language."
        )
    log_probabilities = model.log_probabilities(wave)
    # A tokenizer adds a delimiter of its own where the model has no output for one.
    said = [place for place, token in enumerate(tokens) if token < log_probabilities.shape[1]]
    tokens, word_of = [tokens[place] for place in said], [word_of[place] for place in said]
    needed, frames = ctc.required_frames(tokens), len(log_probabilities)
    if frames < needed:
        raise DataError(
            f"The text {_short(text)} needs {needed} frames of 20 ms, but its clip of "
            f"{wave.duration_s:.2f} s has {frames}: it is the text of another clip, or the clip was cut."
        )
    path, scores = forced(log_probabilities, tokens, model.blank_id)
    found = spans(path, scores, tokens, model.blank_id)
    frame_s = wave.duration_s / frames
    aligned = extend_word_ends(_words(words, found, word_of, frame_s), wave.duration_s)
    best = float(log_probabilities.max(axis=1).sum())
    return Alignment(aligned, float(scores.sum()) / len(tokens), unknown, best / len(tokens))


def forced(log_probabilities: np.ndarray, tokens: list[int], blank_id: int) -> tuple[np.ndarray, np.ndarray]:
    """(frames, tokens) -> the token of each frame of the best path, and its log posterior."""
    import torch
    from torchaudio.functional import forced_align

    emissions = torch.from_numpy(np.ascontiguousarray(log_probabilities, dtype=np.float32))[None]
    path, scores = forced_align(emissions, torch.tensor([tokens], dtype=torch.int32), blank=blank_id)
    return path[0].numpy(), scores[0].numpy()


def spans(path: np.ndarray, scores: np.ndarray, tokens: list[int], blank_id: int) -> list[tuple[int, int, float]]:
    """For each token: its first frame, the one behind its last, and its mean log posterior."""
    runs = ctc.token_runs(path.tolist(), blank_id)
    assert len(runs) == len(tokens)  # a path that forced_align made spells its targets
    return [(run.start, run.end, float(scores[run.start : run.end].mean())) for run in runs]


def locate(
    log_probabilities: np.ndarray, blank_id: int, tokens: list[int], word_of: list[int | None]
) -> list[tuple[int, int, float]]:
    """Of each word: its first frame, the one behind its last, and the sum of its letters' log posteriors, each at its
    surest frame, on the likeliest path that spells them all."""
    path, said = forced(log_probabilities, tokens, blank_id)
    words: dict[int, tuple[int, int, float]] = {}
    for (begin, end, _), number in zip(spans(path, said, tokens, blank_id), word_of, strict=True):
        if number is not None:
            first, _, spelled = words.get(number, (begin, end, 0.0))
            words[number] = (first, end, spelled + float(said[begin:end].max()))
    return [words[number] for number in sorted(words)]


def _words(
    words: list[tuple[str, bool]], spans: list[tuple[int, int, float]], word_of: list[int | None], frame_s: float
) -> list[AlignedWord]:
    letters: dict[int, list[tuple[int, int, float]]] = {}
    for span, number in zip(spans, word_of, strict=True):
        if number is not None:
            letters.setdefault(number, []).append(span)
    aligned, before = [], 0.0
    for number, (word, joined) in enumerate(words):
        if said := letters.get(number):
            score = sum(span[2] for span in said) / len(said)
            aligned.append(AlignedWord(word, said[0][0] * frame_s, said[-1][1] * frame_s, score, joined))
            before = said[-1][1] * frame_s
        else:
            aligned.append(AlignedWord(word, before, before, None, joined))
    return aligned


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40].rstrip()}…")
