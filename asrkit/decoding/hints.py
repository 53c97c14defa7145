"""What somebody expects to be said -> the decoder that listens for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asrkit.decoding import beam, hotwords, lexicon
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.protocols import AcousticModel, Decoder
from asrkit.decoding.tokens import CharacterTokens
from asrkit.errors import ConfigError
from asrkit.text.normalizers import normalize


@dataclass(frozen=True)
class DecodingHints:
    """text: sentences, one a line, whose words are preferred, most of all in likely orders. language_model: the path of
    a KenLM file that says the same. hot_words: names and rare words, apart by commas or white space, preferred too.

    Any other word can still be heard, but by a model that was tuned to hear a list of words: these join that list. A
    language model would hear them worse (the demo on its own clips: WER 4.9 % with the list, 22 % with its words in a
    language model, 22 to 65 % with the text alone). What is too much for a list, as a file is, becomes a language model
    that knows the list's words too.
    """

    text: str = ""
    hot_words: str = ""
    language_model: str = ""

    def build_decoder(self, model: AcousticModel) -> Decoder | None:
        """None where nothing is expected. Raises ConfigError as `BeamSearch`, `KenLM`, `HotWords` and `LexiconDecoder`
        do, and for both a text and a file."""
        words = list(dict.fromkeys(normalize(re.sub("[,;]", " ", self.hot_words), "basic").split()))
        text, file = self.text.strip(), self.language_model.strip()
        if not (text or file or words):
            return None
        if text and file:
            raise ConfigError("Give sentences to expect or a language model file, not both.")
        if text:
            for word in words:
                hotwords.spelled(model.processor.tokenizer, word)
        known = model.decoder.words if isinstance(model.decoder, LexiconDecoder) else []
        if known and not file:
            more = {*words, *self._of_text(model)}
            if not text or sum(map(len, {*known, *more})) <= lexicon.MAX_LETTERS:
                return model.decoder.with_words(more, model.processor)
        if text:
            return beam.of_text(model, "\n".join([text, *words]), known)
        likely = beam.of_file(model, file, known) if file else None
        return hotwords.HotWords(model.processor, model.blank_id, words, likely) if words else likely

    def _of_text(self, model: AcousticModel) -> set[str]:
        """The words of the text that the model can spell. ConfigError where that is none of them."""
        letters = CharacterTokens(model.processor.tokenizer)
        words = set(normalize(self.text, "basic").split())
        spelled = {word for word in words if None not in map(letters.__getitem__, word)}
        if words and not spelled:
            raise ConfigError(beam.NO_WORD)
        return spelled


NO_HINTS = DecodingHints()
