"""Beam search with a language model of words that can still decode any other word.

Prefix beam search over the posteriors (Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using
Bi-Directional Recurrent DNNs", 2014). A prefix scores its acoustic probability; a word that the language model knows
adds a bonus, the longer and the likelier it is, and never a penalty. So unknown words are spelled as they sound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.decoding import alignment
from asrkit.decoding.confidence import logistic
from asrkit.decoding.ngram import WordModel
from asrkit.decoding.tokens import Speller
from asrkit.decoding.transcript import Word
from asrkit.errors import ConfigError
from asrkit.text.scripts import ZERO_WIDTH_SPACE, is_continuation

LM_WEIGHT, LETTER_BONUS = 0.8, 2.5
"""A known word of n letters adds LETTER_BONUS * n + LM_WEIGHT * ln P nats, if that is more than 0.

Measured with `tests.benchmarks.accuracy`. flashlight's beam search (torchaudio's `ctc_decoder`) was used before. It is
as fast, and on speech of the text's domain a little better (WER 29.9 % where this has 32.4 % and greedy 53.3 %), but it
decodes words of the text only: with the text of another domain it gets every word wrong, where this stays at 53.3 %.
"""
MAX_PREFIXES, MAX_SCORE_GAP = 48, 14.0
"""Prefixes that are kept after each frame, and how many nats the worst of them may be behind the best."""
MAX_TOKENS, MIN_PROBABILITY = 10, 0.002
"""Tokens of a frame that extend prefixes, and their least probability: what a model is confident of stays."""
KNOWN_FIT, UNKNOWN_FIT = (5.0, 0.6), (0.7, 3.5)
"""Confidence is the logistic function of a + b x. For a known word x is ln P after the words before it; for an unknown
one, the sum of the logarithms of its letters' posteriors."""
NO_SPELLABLE_WORD = "The model can spell no word of this text; normalise it, or choose a model of its language."

Beam = dict["_Prefix", tuple[float, float]]
"""Prefix -> probability of ending in a blank, probability of ending in its last token."""


class WordTrie:
    """The words of a language model as a tree of tokens. Node 0 is the root. Raises ConfigError without any word.

    next: (node, token) -> node. word: the word that ends at a node. best_log_prob: for each node ln P, without
    history, of the likeliest word through it.
    """

    def __init__(self, model: WordModel, speller: Speller, extra_words: Sequence[str] = ()) -> None:
        self.next: dict[tuple[int, int], int] = {}
        self.word: dict[int, str] = {}
        self.best_log_prob: list[float] = [0.0]
        start = model.start
        for word in dict.fromkeys([*model.words, *extra_words]):
            if tokens := speller.spell_word(word.replace(ZERO_WIDTH_SPACE, "")):
                self._add(word, tokens, model.follow(start, word)[1])
        if not self.word:
            raise ConfigError(NO_SPELLABLE_WORD)

    def _add(self, word: str, tokens: list[int], log_prob: float) -> None:
        # Local names: a file may hold a hundred thousand words, and this loop blocks the whole process.
        node, children, best = 0, self.next, self.best_log_prob
        for token in tokens:
            child = children.get((node, token))
            if child is None:
                child = children[node, token] = len(best)
                best.append(log_prob)
            elif best[child] < log_prob:
                best[child] = log_prob
            node = child
        self.word[node] = word


@dataclass(frozen=True, slots=True)
class _FinishedWord:
    """A finished word, linked to the one before. log_prob: ln P after the words before it, None for unknown words."""

    previous: _FinishedWord | None
    text: str
    joined: bool
    letters: tuple[int, ...]
    log_prob: float | None


class _Prefix:
    """A hypothesis up to some frame: finished words, and the letters of an unfinished one.

    token: the last one. state: of the language model after the finished words. base: their bonus. score: the same with
    the bonus that the unfinished word may still get. node: of the unfinished word in the trie, -1 where no known word
    begins like it. letters, text: of the unfinished word. extensions: longer prefixes, by their last token.
    """

    __slots__ = ("base", "extensions", "joined", "last_word", "letters", "node", "score", "state", "text", "token")

    def __init__(self, token: int, state: Any, base: float, last_word: _FinishedWord | None, joined: bool) -> None:
        self.token, self.state, self.base, self.last_word, self.joined = token, state, base, last_word, joined
        self.score, self.node, self.text = base, 0, ""
        self.letters: tuple[int, ...] = ()
        self.extensions: dict[int, _Prefix] = {}

    def words(self) -> list[_FinishedWord]:
        """Return the finished words in order."""
        words, word = [], self.last_word
        while word:
            words.append(word)
            word = word.previous
        return words[::-1]


class BeamSearch:
    """Decodes with one checkpoint and one language model.

    extra_words: known words that the language model has never seen. letter_bonus: in place of LETTER_BONUS. Raises
    ConfigError where the checkpoint can spell no word.
    """

    def __init__(
        self,
        processor: Any,
        blank_id: int,
        model: WordModel,
        extra_words: Sequence[str] = (),
        letter_bonus: float = LETTER_BONUS,
    ) -> None:
        self.processor, self.blank_id, self.model = processor, blank_id, model
        self.letter_bonus = letter_bonus
        speller = Speller.from_tokenizer(processor.tokenizer)
        self.texts, self.delimiter_id, self.word_starts = speller.texts, speller.delimiter_id, speller.word_starts
        self.written = {*self.texts, self.delimiter_id}
        self.trie = WordTrie(model, speller, extra_words)

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        """Return the words of (frames, tokens) log posteriors."""
        if not len(log_probabilities):
            return []
        words = self._search(log_probabilities).words()
        if not words:
            return []
        tokens: list[int] = []
        word_indices: list[int | None] = []
        for number, word in enumerate(words):
            if tokens and not word.joined and self.delimiter_id is not None and word.letters[0] not in self.word_starts:
                tokens.append(self.delimiter_id)
                word_indices.append(None)
            tokens += word.letters
            word_indices += [number] * len(word.letters)
        located = alignment.locate_words(log_probabilities, self.blank_id, tokens, word_indices)
        return [
            Word(word.text, start * frame_s, end * frame_s, _confidence(word.log_prob, letters_log_prob), word.joined)
            for word, (start, end, letters_log_prob) in zip(words, located, strict=True)
        ]

    def _search(self, log_probabilities: np.ndarray) -> _Prefix:
        """Return the best prefix after the last frame."""
        beam: Beam = {_Prefix(-1, self.model.start, 0.0, None, False): (1.0, 0.0)}
        probabilities = np.exp(log_probabilities.astype(np.float64))
        best_tokens = np.argsort(-probabilities, axis=1)[:, :MAX_TOKENS]
        silent = [token for token in range(probabilities.shape[1]) if token not in self.written]
        blanks = probabilities[:, silent].max(axis=1)
        for frame, tokens, blank in zip(probabilities, best_tokens, blanks.tolist(), strict=True):
            threshold = min(MIN_PROBABILITY, float(frame[tokens[0]]))
            candidates = [
                (token, float(frame[token]))
                for token in tokens.tolist()
                if frame[token] >= threshold and token in self.written
            ]
            beam = self._advance(beam, candidates, blank if blank >= threshold else 0.0)
        best, _ = max(
            ((self._finish_word(prefix), math.log(max(ends))) for prefix, ends in beam.items()),
            key=lambda pair: pair[0].score + pair[1],
        )
        return best

    def _advance(self, beam: Beam, candidates: list[tuple[int, float]], blank: float) -> Beam:
        """Advance the beam by one frame, given its probable tokens and the probability of the blank."""
        in_blanks: dict[_Prefix, float] = {}
        in_tokens: dict[_Prefix, float] = {}
        delimiter = self.delimiter_id
        for prefix, (in_blank, in_token) in beam.items():
            best = max(in_blank, in_token)
            in_blanks[prefix] = best * blank
            last = prefix.token
            for token, share in candidates:
                if token == last:
                    in_tokens[prefix] = max(in_tokens.get(prefix, 0.0), in_token * share)
                    # A repeated token is a new one only after a blank; delimiters never add up.
                    longer = (
                        prefix if token == delimiter else prefix.extensions.get(token) or self._extend(prefix, token)
                    )
                    in_tokens[longer] = max(in_tokens.get(longer, 0.0), in_blank * share)
                else:
                    longer = prefix.extensions.get(token) or self._extend(prefix, token)
                    in_tokens[longer] = max(in_tokens.get(longer, 0.0), best * share)
        return _prune(in_blanks, in_tokens)

    def _extend(self, prefix: _Prefix, token: int) -> _Prefix:
        if token == self.delimiter_id:
            longer = self._finish_word(prefix)
            longer.token, longer.joined = token, False
        else:
            text = self.texts[token]
            parent = prefix
            starts_word = token in self.word_starts
            if prefix.text and (starts_word or not is_continuation(prefix.text, text[0])):
                parent = self._finish_word(prefix)
                parent.joined = parent.joined and not starts_word
            longer = _Prefix(token, parent.state, parent.base, parent.last_word, parent.joined)
            longer.letters, longer.text = (*parent.letters, token), parent.text + text
            longer.node = self.trie.next.get((parent.node, token), -1) if parent.node >= 0 else -1
            if longer.node >= 0:
                longer.score = longer.base + self._bonus(len(longer.letters), self.trie.best_log_prob[longer.node])
        prefix.extensions[token] = longer
        return longer

    def _finish_word(self, prefix: _Prefix) -> _Prefix:
        """Return the prefix with its unfinished word finished."""
        if not prefix.letters:
            return _Prefix(prefix.token, prefix.state, prefix.base, prefix.last_word, prefix.joined)
        known = self.trie.word.get(prefix.node)
        state, log_prob = self.model.follow(prefix.state, prefix.text if known is None else known)
        bonus = 0.0 if known is None else self._bonus(len(prefix.letters), log_prob)
        word = _FinishedWord(
            prefix.last_word, prefix.text, prefix.joined, prefix.letters, None if known is None else log_prob
        )
        return _Prefix(prefix.token, state, prefix.base + bonus, word, True)

    def _bonus(self, num_letters: int, log_prob: float) -> float:
        return max(0.0, self.letter_bonus * num_letters + LM_WEIGHT * log_prob)


def _confidence(log_prob: float | None, letters_log_prob: float) -> float:
    return logistic(*UNKNOWN_FIT, letters_log_prob) if log_prob is None else logistic(*KNOWN_FIT, log_prob)


def _prune(in_blanks: dict[_Prefix, float], in_tokens: dict[_Prefix, float]) -> Beam:
    """Keep the best prefixes and scale their probabilities, so that they never underflow."""
    scored = []
    for prefix in in_blanks.keys() | in_tokens.keys():
        in_blank, in_token = in_blanks.get(prefix, 0.0), in_tokens.get(prefix, 0.0)
        if best := max(in_blank, in_token):
            scored.append((math.log(best) + prefix.score, prefix, in_blank, in_token))
    scored.sort(key=lambda entry: -entry[0])
    min_score, scale = scored[0][0] - MAX_SCORE_GAP, 1 / max(max(entry[2:]) for entry in scored)
    return {
        prefix: (in_blank * scale, in_token * scale)
        for score, prefix, in_blank, in_token in scored[:MAX_PREFIXES]
        if score >= min_score
    }
