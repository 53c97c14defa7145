"""What somebody expects to be said -> the decoder that listens for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrkit.speech.text import normalise
from asrkit.transcription import beam

if TYPE_CHECKING:
    from asrkit.transcription.decoding import Decoder
    from asrkit.transcription.transcriber import Transcriber


@dataclass(frozen=True)
class Expected:
    """text: sentences, one a line: only their words are heard, in likely orders. hot_words: names and rare words, apart
    by commas or white space, that are preferred; any other word can still be heard, unless there is a text or the model
    was tuned to hear a list of words: they join that list."""

    text: str = ""
    hot_words: str = ""

    def decoder(self, transcriber: Transcriber) -> Decoder | None:
        """None where nothing is expected. Raises ConfigError as `BeamSearch`, `HotWords` and `WordLoop` do."""
        words = normalise(re.sub("[,;]", " ", self.hot_words), "basic").split()
        if self.text.strip():
            return beam.of_text(transcriber, "\n".join([self.text, *words]))
        if not words:
            return None
        from asrkit.transcription.decoding import WordList
        from asrkit.transcription.hotwords import HotWords

        if isinstance(transcriber.decoder, WordList):
            return transcriber.decoder.joined_by(words, transcriber.processor)
        return HotWords(transcriber.processor, transcriber.blank_id, list(dict.fromkeys(words)))
