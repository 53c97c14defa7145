"""Decoding with a language model made of somebody's own text: only its words are heard, in likely orders.

Beam search is flashlight's, through torchaudio's `ctc_decoder` (Hannun et al., "First-Pass Large Vocabulary Continuous
Speech Recognition using Bi-Directional Recurrent DNNs", 2014, for the weights' meaning); it and KenLM come with the
optional package flashlight-text.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asrkit.errors import ConfigError
from asrkit.speech.ngram import LanguageModel
from asrkit.speech.text import normalise
from asrkit.transcription.alignment import spell
from asrkit.transcription.transcript import Word

if TYPE_CHECKING:
    from asrkit.transcription.transcriber import Transcriber

LM_WEIGHT, WORD_SCORE, BEAM, BEAM_TOKENS, BEAM_THRESHOLD = 2.0, 0.0, 100, 20, 40.0
"""On 98 clips of human speech that the starter was tuned for, with a model of the 442 training texts (of the words said
17 % are not in them), weights 1, 2 and 3 gave WER 31 %, 30 % and 32 %; greedily it was 54 %."""


def available() -> bool:
    return importlib.util.find_spec("flashlight") is not None


class BeamSearch:
    """A decoder for one model and one text. Calls wait for each other.

    confidence: the mean posterior of the word's letters, where they are said. texts: sentences. Raises ConfigError
    where flashlight-text is missing or the model can spell no word of the text, and DataError for no text.
    """

    def __init__(self, processor: Any, blank_id: int, texts: Sequence[str]) -> None:
        if not available():
            raise ConfigError("A language model needs the package flashlight-text: pip install flashlight-text.")
        from torchaudio.models.decoder import ctc_decoder

        # The processor is kept so that no other can be taken for it while this decoder is.
        self._processor, self._lock = processor, threading.Lock()
        tokenizer = processor.tokenizer
        self.blank_id, self.delimiter_id = blank_id, tokenizer.word_delimiter_token_id
        names = {number: token for token, number in tokenizer.get_vocab().items()}
        self.tokens = [names.get(number, f"<{number}>") for number in range(max(names) + 1)]
        model = LanguageModel(texts)
        spelled = {word: spell(tokenizer, [(word, False)]) for word in model.words}
        lines = [f"{word} {' '.join(self.tokens[token] for token in tokens)} {self.tokens[self.delimiter_id]}\n"
                 for word, (tokens, _, unknown) in spelled.items() if tokens and not unknown]
        if not lines:
            raise ConfigError("The model can spell no word of this text; normalise it, or choose a model of its "
                              "language.")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "words.txt").write_text("".join(lines), encoding="utf-8")
            (Path(folder) / "lm.arpa").write_text(model.arpa(), encoding="utf-8")
            self._decoder = ctc_decoder(
                lexicon=str(Path(folder) / "words.txt"), tokens=self.tokens, lm=str(Path(folder) / "lm.arpa"),
                beam_size=BEAM, beam_size_token=min(BEAM_TOKENS, len(self.tokens)), beam_threshold=BEAM_THRESHOLD,
                lm_weight=LM_WEIGHT, word_score=WORD_SCORE, blank_token=self.tokens[blank_id],
                sil_token=self.tokens[self.delimiter_id], unk_word="<unk>")

    def words(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        import torch

        if not len(log_probabilities):
            return []
        emissions = np.ascontiguousarray(log_probabilities[None, :, : len(self.tokens)], np.float32)
        with self._lock:
            (found,) = self._decoder(torch.from_numpy(emissions))
        if not found:
            return []
        best, spans = found[0], []
        letters: list[tuple[int, int]] = []
        # Frame 0 of the decoder is the silence that it puts before the first.
        for token, step in [*zip(best.tokens.tolist(), best.timesteps.tolist(), strict=True), (self.delimiter_id, 0)]:
            if token != self.delimiter_id:
                letters.append((token, step - 1))
            elif letters:
                spans.append(letters)
                letters = []
        # Letters at the end that finish no word are in no word's place.
        return [self._word(word, said, log_probabilities, frame_s)
                for word, said in zip(best.words, spans, strict=False)]

    @staticmethod
    def _word(word: str, letters: list[tuple[int, int]], log_probabilities: np.ndarray, frame_s: float) -> Word:
        sure = float(np.mean([np.exp(log_probabilities[frame, token]) for token, frame in letters]))
        return Word(word, letters[0][1] * frame_s, (letters[-1][1] + 1) * frame_s, sure)


_made: dict[tuple[int, str], BeamSearch] = {}
KEPT = 4


def of_text(transcriber: Transcriber, text: str) -> BeamSearch | None:
    """The decoder for that model and text, one sentence a line; the last few are kept. None for an empty text."""
    texts = [line for line in (normalise(line, "basic") for line in text.splitlines()) if line]
    if not texts:
        return None
    key = (id(transcriber.processor), hashlib.sha256("\n".join(texts).encode()).hexdigest())
    decoder = _made.pop(key, None) or BeamSearch(transcriber.processor, transcriber.blank_id, texts)
    _made[key] = decoder
    while len(_made) > KEPT:
        del _made[next(iter(_made))]
    return decoder
