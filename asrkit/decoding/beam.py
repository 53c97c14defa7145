"""Decoding with a language model of words, beside which any other word can still be heard.

Prefix beam search over the posteriors (Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using
Bi-Directional Recurrent DNNs", 2014). What the letters alone say is worth its probability; a word that the language
model knows is worth more than that, the longer and the likelier it is, and never less. So other words are spelled as
they sound.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.data import access
from asrkit.decoding import alignment
from asrkit.decoding.confidence import logistic
from asrkit.decoding.ngram import KenLM, LanguageModel, WordModel
from asrkit.decoding.protocols import AcousticModel
from asrkit.decoding.tokens import CharacterTokens, token_texts
from asrkit.decoding.transcript import Word
from asrkit.errors import ConfigError
from asrkit.text.normalizers import normalize
from asrkit.text.scripts import ZERO_WIDTH_SPACE, is_continuation, tokenize_mixed

LM_WEIGHT, LETTER_BONUS = 0.8, 2.5
"""A known word of n letters is worth LETTER_BONUS * n + LM_WEIGHT * ln P nats, if that is more than nothing.

Measured with `tests.benchmarks.accuracy`. flashlight's beam search (torchaudio's `ctc_decoder`) was used before. It is
as fast, and on speech of the text's domain a little better (WER 29.9 % where this has 32.4 % and greedy 53.3 %), but it
hears words of the text only: with the text of another domain it gets every word wrong, where this stays at 53.3 %.
"""
BEAM, BEAM_RANGE = 48, 14.0
"""Prefixes that are followed, and how many nats the worst of them may be behind the best."""
TOKENS, LEAST_SHARE = 10, 0.002
"""Tokens of a frame that are looked at, and the least probability of one: so what a model is quite sure of stays."""
KNOWN_SURE, UNKNOWN_SURE = (5.0, 0.6), (0.7, 3.5)
"""Confidence is the logistic function of a + b x: x is ln P of a known word behind the others; of one that is not
known, the sum of the logarithms of its letters' posteriors."""
NO_WORD = "The model can spell no word of this text; normalize it, or choose a model of its language."


class Vocabulary:
    """The words of a language model as a tree of tokens. Node 0 is the root.

    word: of each node that ends one; hope: ln P of the likeliest word that begins with each node, alone.
    """

    def __init__(self, model: WordModel, tokenizer: Any, known: Sequence[str] = ()) -> None:
        self.next: dict[tuple[int, int], int] = {}
        self.word: dict[int, str] = {}
        self.hope: list[float] = [0.0]
        letters, start = CharacterTokens(tokenizer), model.start
        for word in dict.fromkeys([*model.words, *known]):
            tokens = list(map(letters.__getitem__, word.replace(ZERO_WIDTH_SPACE, "")))
            if tokens and None not in tokens:
                self._add(word, tokens, model.follow(start, word)[1])
        if not self.word:
            raise ConfigError(NO_WORD)

    def _add(self, word: str, tokens: list[int], likely: float) -> None:
        # A file may hold a hundred thousand words, and nothing else of this process goes on meanwhile.
        node, following, hope = 0, self.next, self.hope
        for token in tokens:
            here = following.get((node, token))
            if here is None:
                here = following[node, token] = len(hope)
                hope.append(likely)
            elif hope[here] < likely:
                hope[here] = likely
            node = here
        self.word[node] = word


@dataclass(frozen=True, slots=True)
class _Said:
    """A word that ended, as the model writes it, and what was said `before` it. likely: ln P behind these, None for a
    word that is not known."""

    before: _Said | None
    text: str
    joined: bool
    letters: tuple[int, ...]
    likely: float | None


class _Prefix:
    """What may have been said so far: words that ended, and the letters since.

    score: what the language model adds to the logarithm of its probability. node: of the vocabulary, -1 where no known
    word begins like that. letters, text: what came since the last word, as tokens and as it is written.
    """

    __slots__ = ("after", "base", "joined", "letters", "node", "said", "score", "state", "text", "token")

    def __init__(self, token: int, state: Any, base: float, said: _Said | None, joined: bool) -> None:
        self.token, self.state, self.base, self.said, self.joined = token, state, base, said, joined
        self.score, self.node, self.text = base, 0, ""
        self.letters: tuple[int, ...] = ()
        self.after: dict[int, _Prefix] = {}


class BeamSearch:
    """A decoder for one checkpoint and one language model, and for words that are known though that has never seen
    them. Raises ConfigError where it can spell none of its words."""

    def __init__(self, processor: Any, blank_id: int, model: WordModel, known: Sequence[str] = ()) -> None:
        self.processor, self.blank_id, self.model = processor, blank_id, model
        self.texts, self.delimiter_id = token_texts(processor.tokenizer), processor.tokenizer.word_delimiter_token_id
        self.spoken = {*self.texts, self.delimiter_id}
        self.vocabulary = Vocabulary(model, processor.tokenizer, known)

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        if not len(log_probabilities):
            return []
        said = self._read(self._search(log_probabilities))
        tokens: list[int] = []
        word_of: list[int | None] = []
        for number, one in enumerate(said):
            if tokens and not one.joined:
                tokens.append(self.delimiter_id)
                word_of.append(None)
            tokens += one.letters
            word_of += [number] * len(one.letters)
        if not said:
            return []
        places = alignment.locate_words(log_probabilities, self.blank_id, tokens, word_of)
        return [
            Word(one.text, begin * frame_s, end * frame_s, _sure(one.likely, spelled), one.joined)
            for one, (begin, end, spelled) in zip(said, places, strict=True)
        ]

    def _search(self, log_probabilities: np.ndarray) -> _Prefix:
        """The best of all prefixes at the end."""
        beam = {_Prefix(-1, self.model.start, 0.0, None, False): (1.0, 0.0)}
        probabilities = np.exp(log_probabilities.astype(np.float64))
        likeliest = np.argsort(-probabilities, axis=1)[:, :TOKENS]
        silent = [token for token in range(probabilities.shape[1]) if token not in self.spoken]
        blanks = probabilities[:, silent].max(axis=1)
        for frame, tokens, blank in zip(probabilities, likeliest, blanks.tolist(), strict=True):
            least = min(LEAST_SHARE, float(frame[tokens[0]]))
            chosen = [
                (token, float(frame[token]))
                for token in tokens.tolist()
                if frame[token] >= least and token in self.spoken
            ]
            beam = self._step(beam, chosen, blank if blank >= least else 0.0)
        best, _ = max(
            ((self._ended(prefix), math.log(max(share))) for prefix, share in beam.items()),
            key=lambda pair: pair[0].score + pair[1],
        )
        return best

    def _step(
        self, beam: dict[_Prefix, tuple[float, float]], chosen: list[tuple[int, float]], blank: float
    ) -> dict[_Prefix, tuple[float, float]]:
        """(probability of ending in a blank, of ending in its last token) of each prefix, one frame on."""
        blanks: dict[_Prefix, float] = {}
        others: dict[_Prefix, float] = {}
        delimiter = self.delimiter_id
        for prefix, (in_blank, in_token) in beam.items():
            both = max(in_blank, in_token)
            blanks[prefix] = both * blank
            last = prefix.token
            for token, share in chosen:
                if token == last:
                    others[prefix] = max(others.get(prefix, 0.0), in_token * share)
                    behind = prefix if token == delimiter else prefix.after.get(token) or self._extended(prefix, token)
                    others[behind] = max(others.get(behind, 0.0), in_blank * share)
                else:
                    behind = prefix.after.get(token) or self._extended(prefix, token)
                    others[behind] = max(others.get(behind, 0.0), both * share)
        return _best(blanks, others)

    def _extended(self, prefix: _Prefix, token: int) -> _Prefix:
        if token == self.delimiter_id:
            behind = self._ended(prefix)
            behind.token, behind.joined = token, False
        else:
            text = self.texts[token]
            begun = prefix
            if prefix.text and not is_continuation(prefix.text, text[0]):
                begun = self._ended(prefix)
            behind = _Prefix(token, begun.state, begun.base, begun.said, begun.joined)
            behind.letters, behind.text = (*begun.letters, token), begun.text + text
            behind.node = self.vocabulary.next.get((begun.node, token), -1) if begun.node >= 0 else -1
            if behind.node >= 0:
                worth = LETTER_BONUS * len(behind.letters) + LM_WEIGHT * self.vocabulary.hope[behind.node]
                behind.score = behind.base + max(0.0, worth)
        prefix.after[token] = behind
        return behind

    def _ended(self, prefix: _Prefix) -> _Prefix:
        """The same with its last word said to the end."""
        if not prefix.letters:
            return _Prefix(prefix.token, prefix.state, prefix.base, prefix.said, prefix.joined)
        word = self.vocabulary.word.get(prefix.node)
        state, likely = self.model.follow(prefix.state, prefix.text if word is None else word)
        worth = 0.0 if word is None else max(0.0, LETTER_BONUS * len(prefix.letters) + LM_WEIGHT * likely)
        said = _Said(prefix.said, prefix.text, prefix.joined, prefix.letters, None if word is None else likely)
        return _Prefix(prefix.token, state, prefix.base + worth, said, True)

    @staticmethod
    def _read(prefix: _Prefix) -> list[_Said]:
        words, said = [], prefix.said
        while said:
            words.append(said)
            said = said.before
        return words[::-1]


def _sure(likely: float | None, spelled: float) -> float:
    return logistic(*UNKNOWN_SURE, spelled) if likely is None else logistic(*KNOWN_SURE, likely)


def _best(blanks: dict[_Prefix, float], others: dict[_Prefix, float]) -> dict[_Prefix, tuple[float, float]]:
    found = []
    for prefix in blanks.keys() | others.keys():
        in_blank, in_token = blanks.get(prefix, 0.0), others.get(prefix, 0.0)
        if both := max(in_blank, in_token):
            found.append((math.log(both) + prefix.score, prefix, in_blank, in_token))
    found.sort(key=lambda one: -one[0])
    least, scale = found[0][0] - BEAM_RANGE, 1 / max(max(one[2:]) for one in found)
    return {
        prefix: (in_blank * scale, in_token * scale)
        for score, prefix, in_blank, in_token in found[:BEAM]
        if score >= least
    }


def of_file(model: AcousticModel, path: str, known: Sequence[str] = ()) -> BeamSearch:
    """The decoder for that model and a file of KenLM's, which knows these words too; raises as `KenLM` does, and
    DataError for one out of reach."""
    file = Path(os.path.expanduser(path))  # which leaves an unknown user as it is
    access.check(file)
    if not os.path.isfile(file):  # of a path that is too long too
        raise ConfigError(f"There is no language model {path}; give the path of an .arpa or KenLM binary file.")
    return _kept(model, f"{file.absolute()} {file.stat().st_mtime}", lambda: KenLM(file), known)


def of_text(model: AcousticModel, text: str, known: Sequence[str] = ()) -> BeamSearch | None:
    """The decoder for that model and text, one sentence a line, which knows these words too. None for an empty text."""
    texts = [" ".join(tokenize_mixed(normalize(line, "basic"))) for line in text.splitlines()]
    texts = [line for line in texts if line]
    if not texts:
        return None
    name = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return _kept(model, name, lambda: LanguageModel(texts), known)


_made: dict[tuple[int, str], BeamSearch] = {}
KEPT = 4
"""Decoders that are kept. Those of one language model share it: a file's may take gigabytes."""
_making = threading.Lock()


def _kept(acoustic_model: AcousticModel, name: str, made: Callable[[], WordModel], known: Sequence[str]) -> BeamSearch:
    # A decoder keeps its processor, so no other can have the same id; and its words are those of one model.
    processor = acoustic_model.processor
    key = (id(processor), name)
    with _making:
        decoder = _made.pop(key, None)
        if decoder is None:
            model = next((one.model for (_, known), one in _made.items() if known == name), None) or made()
            decoder = BeamSearch(
                processor, acoustic_model.blank_id, model, [normalize(word, "basic") for word in known]
            )
        _made[key] = decoder
        while len(_made) > KEPT:
            del _made[next(iter(_made))]
        return decoder
