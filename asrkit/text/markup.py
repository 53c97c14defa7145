"""Marks in transcripts that stand for something else than words: <noise>, [laughter], (breath), <COMMA>, {…}, *.

Corpora and transcribers mark noises, laughter, pauses, hesitations and unintelligible speech in many ways, and some
write punctuation as <COMMA>. Left as they are, these marks become words that nobody has said.
"""

from __future__ import annotations

import html
import re

KEEP, REMOVE, TOKENS = "keep", "remove", "tokens"
MODES = (KEEP, REMOVE, TOKENS)

EVENT = "※"
"""The character that stands for every mark of a sound, where marks become tokens."""
PUNCTUATION = {
    "comma": ",",
    "period": ".",
    "fullstop": ".",
    "dot": ".",
    "questionmark": "?",
    "question": "?",
    "exclamationpoint": "!",
    "exclamationmark": "!",
    "exclamation": "!",
    "colon": ":",
    "semicolon": ";",
}

# Beginnings of what is written in parentheses for something that is not a word, in the languages of large corpora.
_EVENTS = """
    breath breathes breathing inhal exhal laugh chuckl giggl cough sneez sniff sigh yawn gasp groan moan cry crying sob
    whisper shout scream nois music sing silence silent pause applau clap cheer click lip smack throat hum beep ring
    phone knock door footstep static background crosstalk overlap unintelligible inaudible indistinct unclear
    foreign unk hesitat filler noise speaker bruit rire rit toux tousse soupir musique respir inspir expir
    applaudissement souffle incompréhensible lacht lachen lachend hust räusp atmet atmen seufz geräusch musik
    unverständlich beifall applaus stille risa ríe tos tose suspir ruido música silencio pausa aplauso ininteligible
    ride risata tosse sospir rumore musica silenzio applausi incomprensibile riso ruído barulho silêncio inaudível
    gelach hoest zucht ruis geluid muziek stilte onverstaanbaar skratt hosta suck brus tystnad latter hoste støj naurua
    śmiech kaszel szum muzyka cisza niezrozumiał oddech westchnienie smích kašel hluk hudba ticho смех смеёт смеет
    кашел кашл шум музык тишин пауза вздох вздых неразборчив аплодисмент дыхан сміх кашель тиша зітхан gülme güler
    gülüş öksür gürültü müzik sessizlik anlaşılm nefes alkış ضحك ضوضاء موسيقى سعال صمت 笑 噪音 音乐 音楽 掌声 拍手 咳
    沉默 沈黙 呼吸 雑音 ノイズ 웃음 소음 음악 박수 기침
"""
_EVENT_WORD = rf"(?:[^\W\d_]+[ -])?(?:{'|'.join(sorted(_EVENTS.split(), key=len, reverse=True))})[\w' -]{{0,20}}"
_PHONETIC = "[\u0250-\u02ff]"
_MARKUP = re.compile(
    "|".join(
        (
            r"[<＜](?=[^\W\d_]|[/#!?*~.|-])[^<>＜＞\n]{0,60}(?<!\s)[>＞]",
            rf"[\[【](?![^\]]*{_PHONETIC})[^\[\]【】\n]{{0,60}}[\]】]",
            r"\{[^{}\n]{0,60}\}",
            r"\(\([^()\n]{0,60}\)\)",
            rf"[(（]\s*{_EVENT_WORD}\s*[)）]",
            r"\((?:\.{1,3}|…|\d+\.\d+|\?+|[Xx]{2,3}|-+)\)",
            rf"\*+\s*{_EVENT_WORD}\s*\*+",
            r"(?<=\w)\*+(?=\w)|\*+",
            r"&(?:[A-Za-z]{2,8}|#\d{2,5}|#x[0-9A-Fa-f]{2,4});",
            r"(?<!\S)&[=~+-]\S+",
            r"(?<![\w%])%[A-Za-z_-]{3,20}(?!\w)",
            r"(?<!\S)(?:!SIL|SIL|SPN|NSN|xxx|XXX)(?!\S)",
            # A bracket without a partner: a mark that was cut.
            r"[<\[{](?=[^\W\d_])(?![^<>\[\]{}]*[>\]}])",
        )
    ),
    re.IGNORECASE,
)
_STAR_OR_BRACKET = re.compile(r"[*<\[{>\]}]+")
_FORMATTING = re.compile(r"</?(?:b|br|em|font|i|p|s|span|strong|sub|sup|tt|u)\b[^>]*>", re.IGNORECASE)
_TOKEN = re.compile(rf"(?<!\S)[{EVENT},.?!:;](?!\S)")
_MAY_HAVE_MARKUP = re.compile(r"[<＜\[【{(（*&%\]}>＞]|SIL|SPN|NSN|xxx", re.IGNORECASE)


def find_markup(text: str) -> list[str]:
    """Return the marks in a text, in order."""
    if not _MAY_HAVE_MARKUP.search(text):
        return []
    return [match[0] for match in _MARKUP.finditer(text)]


def remove_markup(text: str) -> str:
    """Remove the marks from a text; entities of HTML become the characters that they stand for."""
    return _MARKUP.sub(_replace_mark, text) if _MAY_HAVE_MARKUP.search(text) else text


def find_tokens(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the tokens in a text where `make_tokens` was applied."""
    return [match.span() for match in _TOKEN.finditer(text)]


def make_tokens(text: str) -> str:
    """Write each mark as one character apart from the words: punctuation for <COMMA> and the like, else `EVENT`."""
    return _MARKUP.sub(_make_token, text) if _MAY_HAVE_MARKUP.search(text) else text


def _replace_mark(match: re.Match[str]) -> str:
    mark = match[0]
    if mark.startswith("&") and mark.endswith(";"):
        return html.unescape(mark)
    is_in_word = mark.startswith("*") and match.string[match.start() - 1 : match.start()].isalnum()
    return "" if is_in_word and match.string[match.end() : match.end() + 1].isalnum() else " "


def _make_token(match: re.Match[str]) -> str:
    mark = match[0]
    if mark.startswith("&") and mark.endswith(";") or _STAR_OR_BRACKET.fullmatch(mark) or _FORMATTING.fullmatch(mark):
        return _replace_mark(match)
    return f" {PUNCTUATION.get(re.sub(r'[^a-z]', '', mark.lower()), EVENT)} "
