"""What has to be known of languages by their code: which one a text is in, and which write ı and i."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

DOTLESS_I = frozenset("tr tur az aze azj crh gag tt tat uum".split())
"""Languages that write ı and i, as two letters, where they are written in the Latin script."""

MIN_DOTTED_SHARE = 0.02
"""Share of the texts with İ or ı from which the language is taken for one with both letters; fewer are names."""
MIN_HITS = 5
MIN_LEAD = 1.5
"""How many times more frequent the words of a language must be than those of the next one, to be guessed."""

_FREQUENT_WORDS = {
    code: words.split()
    for code, words in {
        "en": "the and of to is that it you for was with are this have not they",
        "de": "der die und das ist nicht ein zu ich den mit auf eine sie wir auch",
        "es": "el la de que los y en un por las del una con está es como para su se lo al no más pero o este ha son",
        "fr": "le la les et des est une pour vous à il dans du je qui pas un en que ce au sur plus avec son se nous",
        "it": "il di che è la un per non una sono della con le si gli ho e i del in al da nel come più ma questo anche",
        "pt": "o de que não uma os um para com é do da em as se eu e a no na por mais dos como mas ao foi",
        "nl": "de het een en van ik is niet dat op te zijn met voor hij ook",
        "sv": "och att det som en är inte jag på av för med den har till ett",
        "da": "og at det er en ikke jeg på af til med den har der som et",
        "no": "og det er en ikke jeg på av til med som har for å et den",
        "pl": "nie i się w na to z że jest do jak co po ale ma jestem",
        "cs": "je se na to že v a jsem jako ale ve jsou byl si tak pro",
        "ro": "și de în nu este la cu pe un o că mai din pentru sunt ce a se au fost ca dar al le care",
        "hu": "a az és hogy nem egy van is ez meg csak de volt mint már itt",
        "fi": "ja on ei se että hän oli en mutta kun niin mitä ovat tämä ole",
        "tr": "bir ve bu da de için ne çok ile var o ben gibi daha değil mi",
        "id": "yang dan di itu dengan untuk tidak dari ini dalam akan pada saya ada ke",
        "vi": "là và của có không một được cho người những các này đã với tôi trong",
        "ru": "и в не на что я с это он как по но они мы был она",
        "uk": "і в не на що я з це він як але та її ми був вона",
        "ca": "el la de i que els les un per amb una és del no en són al dels més però aquest als ha seu si ho com",
    }.items()
}
_NUM_LANGUAGES = Counter(word for words in _FREQUENT_WORDS.values() for word in words)
"""How many languages have a word: the fewer, the more it says."""


def has_dotless_i(language: str) -> bool:
    """Whether a language, given as tr, tr-TR or kk-Latn, has the capitals I of ı and İ of i."""
    primary, *subtags = language.strip().lower().replace("_", "-").split("-")
    return not {"cyrl", "arab"} & set(subtags) and (primary in DOTLESS_I or (primary == "kk" and "latn" in subtags))


def guess_dotless_i(texts: Iterable[str]) -> str:
    """Return tr or az for texts of which enough have İ or ı, as Turkish and Azeri do; empty for others."""
    composed = [unicodedata.normalize("NFC", text) for text in texts]
    num_dotted = sum("İ" in text or "ı" in text for text in composed)
    if not num_dotted or num_dotted < MIN_DOTTED_SHARE * len(composed):
        return ""
    return "az" if any("ə" in text.lower() for text in composed) else "tr"


def guess_language(texts: Iterable[str]) -> str:
    """Return the code of the language whose most frequent words occur most often; empty if none is clearly ahead."""
    words = Counter(word.strip(".,;:!?¿¡\"'()") for text in texts for word in text.lower().split())
    hits = Counter(
        {code: sum(words[word] / _NUM_LANGUAGES[word] for word in known) for code, known in _FREQUENT_WORDS.items()}
    )
    (first, most), (_, second) = hits.most_common(2)
    return first if most >= max(MIN_HITS, MIN_LEAD * second) else ""
