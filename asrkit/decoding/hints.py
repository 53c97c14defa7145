"""Hints about what is going to be spoken, and the decoder that prefers it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asrkit.decoding import beam_cache, lexicon
from asrkit.decoding.beam import NO_SPELLABLE_WORD
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hotwords import HotWordDecoder, spell_hot_word
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.decoding.protocols import AcousticModel, Decoder
from asrkit.decoding.tokens import Speller
from asrkit.errors import ConfigError
from asrkit.text.normalisers import normalise


@dataclass(frozen=True)
class DecodingHints:
    """Words to prefer while decoding.

    text: sentences, one a line, whose words are preferred, most of all in likely orders. hot_words: names and rare
    words, separated by commas or white space. language_model: the path of a KenLM file, in place of `text`.
    common_words: without a text and a file, prefer the common words of the model's language, where the app has them
    and the model no word list.

    Any other word can still be recognised, except by a model with a word list: the words join that list. A language
    model would be worse for it (the demo on its own clips: WER 4.9 % with the list, 22 % with its words in a language
    model, 22 to 65 % with the text alone). Where the list would become too long, and for a file, a language model is
    used that knows the list's words too.
    """

    text: str = ""
    hot_words: str = ""
    language_model: str = ""
    common_words: bool = True

    def find_common_words(self, model: AcousticModel) -> str:
        """Return the language, a key of `common_words.NAMES`, whose common words `model` prefers; empty for none."""
        has_own = self.text.strip() or self.language_model.strip() or not self.common_words
        return model.decoder.common_words if isinstance(model.decoder, GreedyDecoder) and not has_own else ""

    def build_decoder(self, model: AcousticModel) -> Decoder | None:
        """Return the decoder of these hints, None where the model decodes as it was trained to.

        Raises ConfigError as `BeamSearch`, `KenLM`, `HotWordDecoder` and `LexiconDecoder` do, and for both a text and
        a file.
        """
        hot_words = list(dict.fromkeys(normalise(re.sub("[,;]", " ", self.hot_words), "basic").split()))
        text, path = self.text.strip(), self.language_model.strip()
        language = self.find_common_words(model)
        if not (text or path or hot_words or language):
            return None
        if text and path:
            raise ConfigError("Give sentences to expect or a language model file, not both.")
        if text:
            for word in hot_words:
                spell_hot_word(Speller.from_tokenizer(model.processor.tokenizer), word)
        known = model.decoder.words if isinstance(model.decoder, LexiconDecoder) else []
        if isinstance(model.decoder, LexiconDecoder) and not path:
            added = {*hot_words, *self._spellable_words(model)}
            if not text or sum(map(len, {*known, *added})) <= lexicon.MAX_LETTERS:
                return model.decoder.with_words(added, model.processor)
        if text:
            return beam_cache.build_from_text(model, "\n".join([text, *hot_words]), known)
        decoder = beam_cache.load_from_file(model, path, known) if path else None
        if language:
            decoder = beam_cache.load_common_words(model, language)
        return HotWordDecoder(model.processor, model.blank_id, hot_words, decoder) if hot_words else decoder

    def _spellable_words(self, model: AcousticModel) -> set[str]:
        """Return the words of the text that the model can spell. Raises ConfigError where that is none of them."""
        speller = Speller.from_tokenizer(model.processor.tokenizer)
        words = set(normalise(self.text, "basic").split())
        spellable = {word for word in words if speller.spell_word(word) is not None}
        if words and not spellable:
            raise ConfigError(NO_SPELLABLE_WORD)
        return spellable


NO_HINTS = DecodingHints()
