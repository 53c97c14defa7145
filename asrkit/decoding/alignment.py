"""Forced alignment: when each word of a known text is spoken.

The likeliest CTC path that spells the text (Viterbi; Graves et al., ICML 2006), as `torchaudio.functional.forced_align`
finds it. A letter lasts for the frames that emit it; blanks belong to no word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asrkit.audio import Waveform
from asrkit.decoding import ctc
from asrkit.decoding.protocols import AcousticModel
from asrkit.decoding.tokens import Speller, spell_words
from asrkit.decoding.transcript import TimedWord, extend_word_ends
from asrkit.errors import DataError
from asrkit.text.scripts import tokenize_with_joins

TokenSpan = tuple[int, int, float]
"""First frame, the one after the last, and the mean log posterior of a token on a path."""
MAX_QUOTED = 40
"""Characters of a text that an error message quotes."""


@dataclass(frozen=True)
class AlignedWord(TimedWord):
    """A word of a text, timed.

    score: mean log posterior of its letters, 0 at best; None for a word whose letters the model does not know.

    joined: as in `Word`.
    """

    score: float | None
    joined: bool = False


@dataclass(frozen=True)
class Alignment:
    """The words of a text, timed.

    score: log probability of the whole path (blanks too) by tokens of the text, 0 at best. Speech that the text leaves
    out lowers it as well as text that was not spoken, so clips can be ranked by it.
    unknown: characters that the model has no token for; they were skipped.
    best_score: the score of the likeliest path of any text; low for a clip that is hard to recognise, whatever its
    text.
    """

    words: list[AlignedWord]
    score: float
    unknown: list[str]
    best_score: float = 0.0


def align(model: AcousticModel, wave: Waveform, text: str) -> Alignment:
    """Time every word of `text` (`text.scripts.tokenize_mixed`) in `wave`.

    Characters are looked up as they are, then in upper and in lower case. Those that the model does not know are left
    out; a word of nothing else gets the moment between its neighbours. An empty text has no words and scores 0.

    Raises DataError where no character is known, or where the clip is too short to speak them all (each takes a frame
    of the model, and one more between two equal ones).
    """
    words = tokenize_with_joins(text)
    if not words:
        return Alignment([], 0.0, [])
    tokens, word_indices, unknown = spell_words(Speller.from_tokenizer(model.processor.tokenizer), words)
    if not tokens:
        raise DataError(
            f"The model knows none of the characters of {_quote(text)}, so it cannot be aligned; normalise "
            "the text, or choose a model of its language."
        )
    log_probabilities = model.log_probabilities(wave)
    # A tokenizer may add a delimiter that the model has no output for.
    known = [index for index, token in enumerate(tokens) if token < log_probabilities.shape[1]]
    tokens, word_indices = [tokens[index] for index in known], [word_indices[index] for index in known]
    required, num_frames = ctc.required_frames(tokens), len(log_probabilities)
    if num_frames < required:
        raise DataError(
            f"The text {_quote(text)} needs {required} frames{_describe_frame(num_frames, wave)}, but its clip of "
            f"{wave.duration_s:.2f} s has {num_frames}: it is the text of another clip, or the clip was cut."
        )
    path, scores = force_align(log_probabilities, tokens, model.blank_id)
    spans = token_spans(path, scores, tokens, model.blank_id)
    frame_s = wave.duration_s / num_frames
    aligned = extend_word_ends(_time_words(words, spans, word_indices, frame_s), wave.duration_s)
    best = float(log_probabilities.max(axis=1).sum())
    return Alignment(aligned, float(scores.sum()) / len(tokens), unknown, best / len(tokens))


def force_align(log_probabilities: np.ndarray, tokens: list[int], blank_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the token of each frame on the best path that spells `tokens`, and its log posterior.

    log_probabilities: (frames, tokens).
    """
    import torch
    from torchaudio.functional import forced_align

    emissions = torch.from_numpy(np.ascontiguousarray(log_probabilities, dtype=np.float32))[None]
    path, scores = forced_align(emissions, torch.tensor([tokens], dtype=torch.int32), blank=blank_id)
    return path[0].numpy(), scores[0].numpy()


def token_spans(path: np.ndarray, scores: np.ndarray, tokens: list[int], blank_id: int) -> list[TokenSpan]:
    """Return the span of each token on a path that spells `tokens`."""
    runs = ctc.token_runs(path.tolist(), blank_id)
    assert len(runs) == len(tokens)  # a path of force_align spells its tokens
    return [(run.start, run.end, float(scores[run.start : run.end].mean())) for run in runs]


def locate_words(
    log_probabilities: np.ndarray, blank_id: int, tokens: list[int], word_indices: list[int | None]
) -> list[tuple[int, int, float]]:
    """Locate words on the likeliest path that spells `tokens`; word_indices: the index of each token's word, or None.

    Returns for each word its first frame, the one after its last, and the sum of its letters' log posteriors, each at
    its best frame.
    """
    path, scores = force_align(log_probabilities, tokens, blank_id)
    words: dict[int, tuple[int, int, float]] = {}
    for (start, end, _), number in zip(token_spans(path, scores, tokens, blank_id), word_indices, strict=True):
        if number is not None:
            first, _, spelled = words.get(number, (start, end, 0.0))
            words[number] = (first, end, spelled + float(scores[start:end].max()))
    return [words[number] for number in sorted(words)]


def _time_words(
    words: list[tuple[str, bool]], spans: list[TokenSpan], word_indices: list[int | None], frame_s: float
) -> list[AlignedWord]:
    letters: dict[int, list[TokenSpan]] = {}
    for span, number in zip(spans, word_indices, strict=True):
        if number is not None:
            letters.setdefault(number, []).append(span)
    aligned, previous_end_s = [], 0.0
    for number, (word, joined) in enumerate(words):
        if word_spans := letters.get(number, []):
            score = sum(span[2] for span in word_spans) / len(word_spans)
            aligned.append(AlignedWord(word, word_spans[0][0] * frame_s, word_spans[-1][1] * frame_s, score, joined))
            previous_end_s = word_spans[-1][1] * frame_s
        else:
            aligned.append(AlignedWord(word, previous_end_s, previous_end_s, None, joined))
    return aligned


def _describe_frame(num_frames: int, wave: Waveform) -> str:
    """Return " of 20 ms", by the clip's frames; "" without any."""
    return f" of {round(100 * wave.duration_s / num_frames) * 10} ms" if num_frames else ""


def _quote(text: str) -> str:
    return repr(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED].rstrip()}…")
