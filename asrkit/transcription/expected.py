"""What somebody expects to be said -> the decoder that listens for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrkit.errors import ConfigError
from asrkit.speech.text import normalise
from asrkit.transcription import beam, decoding, hotwords

if TYPE_CHECKING:
    from asrkit.transcription.transcriber import Transcriber


@dataclass(frozen=True)
class Expected:
    """text: sentences, one a line, whose words are preferred, most of all in likely orders. language_model: the path of
    a KenLM file that says the same. hot_words: names and rare words, apart by commas or white space, preferred too.

    Any other word can still be heard, but by a model that was tuned to hear a list of words: hot words join that list.
    """

    text: str = ""
    hot_words: str = ""
    language_model: str = ""

    def decoder(self, transcriber: Transcriber) -> decoding.Decoder | None:
        """None where nothing is expected. Raises ConfigError as `BeamSearch`, `KenLM`, `HotWords` and `WordLoop` do,
        and for both a text and a file."""
        words = list(dict.fromkeys(normalise(re.sub("[,;]", " ", self.hot_words), "basic").split()))
        if self.text.strip() and self.language_model.strip():
            raise ConfigError("Give sentences to expect or a language model file, not both.")
        if self.text.strip():
            for word in words:
                hotwords.spelled(transcriber.processor.tokenizer, word)
            return beam.of_text(transcriber, "\n".join([self.text, *words]))
        likely = beam.of_file(transcriber, self.language_model.strip()) if self.language_model.strip() else None
        if not words:
            return likely
        if likely is None and isinstance(transcriber.decoder, decoding.WordList):
            return transcriber.decoder.joined_by(words, transcriber.processor)
        return hotwords.HotWords(transcriber.processor, transcriber.blank_id, words, likely)
