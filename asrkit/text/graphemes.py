"""Graphemes: what writers take for one letter, of one character or several: ch, ŋm, ɛ̃, क्षि.

A model that has a token for each writes a digraph at once, and a tone mark with its vowel. Texts are compared in NFC,
where é is one character, so that both Unicode forms of a grapheme are the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from asrkit.errors import ConfigError
from asrkit.text.normalisers import normalise

AUTO = "auto"
"""In the setting: the clusters of the texts too."""
MIN_OCCURRENCES = 20
"""Of a cluster that is proposed: a token that is rarer is learned worse than its characters."""
RESERVED = re.compile(r"[<>\[\]|▁Ġ]")
"""What the tokens of blank, unknown and space are written with."""
DIACRITIC = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
"""A mark that belongs to the letter before it, so no grapheme ends between the two."""


def compose(text: str) -> str:
    """Return the text in NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def choose_graphemes(setting: str, texts: Iterable[str], rules: str) -> list[str]:
    """Return the graphemes of several characters that `TrainConfig.graphemes` names, sorted.

    texts: normalised by `rules`; those of `auto` are proposed from them. Raises ConfigError for a grapheme that no
    normalised text can contain.
    """
    words = dict.fromkeys(setting.split())
    chosen = {_normalise_grapheme(word, rules) for word in words if word != AUTO}
    if AUTO in words:
        chosen.update(propose_graphemes(texts))
    return sorted(grapheme for grapheme in chosen if len(grapheme) > 1)


def _normalise_grapheme(word: str, rules: str) -> str:
    grapheme = compose(normalise(word, rules))
    if not grapheme or " " in grapheme or RESERVED.search(grapheme):
        became = f"becomes {grapheme!r}" if grapheme else "is removed"
        raise ConfigError(
            f"Graphemes (graphemes) has {word!r}, which {became} in the normalised texts; leave it out, or choose "
            "another normaliser."
        )
    return grapheme


def propose_graphemes(texts: Iterable[str]) -> list[str]:
    """Return the extended grapheme clusters (Unicode UAX 29) of several characters that occur often enough, sorted."""
    import regex

    counts = Counter[str]()
    for text in texts:
        if not text.isascii():
            counts.update(cluster for cluster in regex.findall(r"\X", compose(text)) if len(cluster) > 1)
    return sorted(
        cluster
        for cluster, count in counts.items()
        if count >= MIN_OCCURRENCES and not cluster.isspace() and not RESERVED.search(cluster)
    )


class GraphemeSplitter:
    """Splits composed texts into these graphemes, the longest that fits first, and single characters.

    ignores_case: finds a grapheme in capitals too.
    """

    def __init__(self, graphemes: Iterable[str], *, ignores_case: bool = False) -> None:
        longest_first = sorted({compose(one) for one in graphemes if len(compose(one)) > 1}, key=len, reverse=True)
        self._pattern: re.Pattern[str] | None = None
        if longest_first:
            listed = "|".join(map(re.escape, longest_first))
            self._pattern = re.compile(
                f"(?:{listed})(?!{DIACRITIC})|.", re.DOTALL | (re.IGNORECASE if ignores_case else 0)
            )

    def split(self, text: str) -> Sequence[str]:
        """Return the graphemes of a text, its spaces included."""
        text = compose(text)
        return text if self._pattern is None else self._pattern.findall(text)
