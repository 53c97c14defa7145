"""Numbers with what belongs to them: percent, money, clock times, ordinals, decades, years, decimals."""

from __future__ import annotations

import re

from asrkit.text.number_parsing import Number
from asrkit.text.number_styles import Style, find_style
from asrkit.text.number_words import CHINESE, Words, cardinal, ordinal

_SPACE = "[ \u00a0\u202f\u2009]?"
_UNIT = re.compile(r"(?:[kmcdµn]m|[kmµ]?g|[mcd]?l|[mgt]b|[kmg]hz|kwh?|km/h|mph|[ap]m|[ap]\.m\.)(?!\w)", re.IGNORECASE)
_EN_WORDS = re.compile(r"(?:-[^\W\d_]{3,})+(?![\w-])")
_EN_SCALE = re.compile(r" (?:hundred|thousand|million|billion|trillion)(?!\w)")
_PLURALS = {"ty": "ties", "ten": "tens", "hundred": "hundreds", "thousand": "thousands"}
_BEFORE_DECADE = re.compile(r"(?:the|his|her|their|our|my|your|mid|early|late|'|\u2019)[ -]?['\u2019]?$", re.IGNORECASE)
_BEFORE_YEAR = {
    "en": r"(?:in|since|year|years|circa|late|early|mid|summer|autumn|fall|winter|spring)[ -]|"
    r"{months}\.?,? (?:\d\d?(?:st|nd|rd|th)?,? )?",
    "de": r"(?:im jahr|im jahre|jahr|jahre|seit|anno|in den jahren|herbst|sommer|winter|frühjahr|frühling) |{months} ",
}
"""Words after which a number is a year."""
_CLOCK_EN = re.compile(r"([:.])([0-5]\d)(?:[ \u00a0]?([ap])\.?m\.?)?(?![\w:]|[-\u2013.,]\d)", re.IGNORECASE)
_CLOCK_FR = re.compile(rf"(?:{_SPACE}h{_SPACE}([0-5]\d)?|:([0-5]\d))(?![\w:/]|[-\u2013.,]\d|\s?min)", re.IGNORECASE)
_CLOCK_DE = re.compile(rf"[:.]([0-5]\d){_SPACE}Uhr(?!\w)|{_SPACE}Uhr(?!\w)", re.IGNORECASE)
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_COUNTERS = (
    "개 명 시 살 마리 권 잔 병 사람 시간 달 가지 켤레 채 송이 그루 벌 자루 곳 군데 척 통 쌍 줄 번째".split()
)
_SINO_COUNTERS = "년 월 일 분 초 원 층 호 킬로 미터 도 퍼센트 점 세기 학년 주년 개월 만 천 백 억 조".split()


def read_suffix(
    text: str, number: Number, style: Style, language: str, sign: str, start: int = 0
) -> tuple[Words, int] | None:
    """Read a number with what follows it; None if that is nothing that belongs to it. sign: of money, before it."""
    primary = language.partition("_")[0]
    found = _read_money(text, number, style, language, sign)
    if found or sign:
        return found
    return (
        _read_sign(text, number, style, language)
        or _read_clock(text, number, primary, start)
        or _read_ordinal(text, number, language)
        or _read_decade(text, number, primary, start)
        or _read_by_language(text, number, style, language)
    )


def read_decimals(number: Number, style: Style, language: str) -> Words | None:
    """Read a number with decimals; None where speakers of the language do so in several ways."""
    whole = cardinal(number.value, language)
    if not style.point or whole is None:
        return None
    digits = number.decimals
    if style.digits_of_decimals == "number" and len(digits) == 2 and digits[0] != "0":
        rest = cardinal(int(digits), language)
        parts = [rest]
    elif style.digits_of_decimals == "each" or len(digits) == 1:
        parts = [cardinal(int(digit), language, is_counted=True) for digit in digits]
    elif style.digits_of_decimals == "number" and len(digits) == 2:
        parts = [cardinal(0, language), cardinal(int(digits[1]), language)]
    else:
        return None
    words = [part for part in parts if part]
    is_certain = all(word.is_certain for word in [whole, *words])
    return Words(" ".join([whole.text, style.point, *(word.text for word in words)]), is_certain)


def read_year(text: str, start: int, number: Number, style: Style, language: str) -> Words | None:
    """Read a year after words that make it one."""
    primary = language.partition("_")[0]
    pattern = _BEFORE_YEAR.get(primary)
    if not pattern:
        return None
    pattern = pattern.replace("{months}", f"(?:{find_style(language).months})")
    if not re.search(rf"(?<!\w)(?:{pattern})$", text[max(0, start - 40) : start], re.IGNORECASE):
        return None
    after = re.match(r"\s+([^\W\d_]+)", text[number.end :])
    if primary == "en" and after and re.search(r"(?<![ius])s$|^(?:people|men|women|children|metres|meters)$", after[1]):
        return None
    high, low = divmod(number.value, 100)
    if primary == "de" and 1100 <= number.value <= 1999:
        rest = _text(low, language) if low else ""
        return Words(f"{_text(high, language)}hundert{rest}", True)
    if primary == "en" and (1100 <= number.value <= 1999 or 2010 <= number.value <= 2099):
        if low == 0:
            return Words(f"{_text(high, language)} hundred", True)
        return Words(f"{_text(high, language)} {'oh ' if low < 10 else ''}{_text(low, language)}", True)
    return None


def read_korean(value: int, after: str) -> Words | None:
    """Read a number before a Korean counter: native numbers count people and things, Chinese ones units."""
    after = after.lstrip()
    words = cardinal(value, "ko")
    if any(after.startswith(counter) for counter in _SINO_COUNTERS) and not after.startswith("일곱"):
        return words
    if value < 100 and any(after.startswith(counter) for counter in _NATIVE_COUNTERS):
        tens, ones = divmod(value, 10)
        native = "스무" if value == 20 else _NATIVE_TENS[tens] + _NATIVE_ONES[ones]
        return Words(native, True) if native else None
    return words and Words(words.text, words.is_certain and value >= 100)


def _read_sign(text: str, number: Number, style: Style, language: str) -> tuple[Words, int] | None:
    """Percent, degrees, powers and fractions of one character."""
    match = re.compile(rf"{_SPACE}(%|°(?:{_SPACE}C)?(?!\w)|[²³]|[¼-¾⅐-⅞])").match(text, number.end)
    if match is None or not _ends(text, match.end()):
        return None
    sign = match[1]
    words = read_decimals(number, style, language) if number.decimals else cardinal(number.value, language)
    if words is None:
        return None
    if sign == "%":
        if not style.percent:
            return None
        order = (style.percent, words.text) if style.is_percent_first else (words.text, style.percent)
        joined = ("" if language in CHINESE else " ").join(order)
        return Words(joined, words.is_certain), match.end()
    if number.decimals:
        return None
    after = ""
    if sign[0] == "°":
        after = style.degrees[number.value != 1]
        if after and sign != "°":
            after += " celsius"
        if number.value == 1 and style.one:
            words = Words(style.one, True)
    elif match[0] != sign and sign in "²³":
        return None
    elif sign in "²³":
        after = style.powers.get(sign, "")
    else:
        after = style.fractions.get(sign, "")
        if after and language.startswith("de"):
            return (Words(f"{words.text}{after}", True), match.end()) if number.value > 1 else None
    return (Words(f"{words.text} {after}", words.is_certain), match.end()) if after else None


def _read_money(text: str, number: Number, style: Style, language: str, sign: str) -> tuple[Words, int] | None:
    end, scale = number.end, ""
    if not sign:
        match = re.compile(rf"{_SPACE}([$€£¥₹₦])").match(text, end)
        if match is None:
            return None
        sign, end = match[1], match.end()
    elif language.startswith("en") and (match := _EN_SCALE.match(text, end)):
        scale, end = match[0], match.end()
    names = style.currencies.get(sign)
    if names is None or not _ends(text, end):
        return None
    primary = language.partition("_")[0]
    if number.decimals:
        return _read_cents(number, names, primary, language, end)
    if number.value >= 1_000_000 and primary in ("fr", "es", "pt", "it"):
        return None  # un million d'euros
    words = cardinal(number.value, language)
    if words is None:
        return None
    spoken = style.one if number.value == 1 else words.text
    if primary == "es":
        spoken = re.sub("y uno$", "y un", re.sub("iuno$", "iún", spoken))
    if primary == "de" and number.value % 100 == 1:
        spoken = spoken.removesuffix("s")
    name = names[number.value != 1 or bool(scale)]
    return Words(f"{spoken}{scale} {name}", bool(spoken)), end


def _read_cents(
    number: Number, names: tuple[str, str], primary: str, language: str, end: int
) -> tuple[Words, int] | None:
    if primary not in ("fr", "de") or not re.fullmatch("[1-9][0-9]", number.decimals) or number.value < 2:
        return None
    words, rest = cardinal(number.value, language), cardinal(int(number.decimals), language)
    if words is None or rest is None:
        return None
    return Words(f"{words.text} {names[1]} {rest.text}", True), end


def _read_clock(text: str, number: Number, primary: str, start: int) -> tuple[Words, int] | None:
    hour = number.value
    if primary == "en" and (match := _CLOCK_EN.match(text, start + len(str(hour)))):
        minutes, half = match[2], (match[3] or "").lower()
        if (number.decimals and not half) or (match[1] == "." and not half) or not 1 <= hour <= (12 if half else 23):
            return None
        if minutes == "00":
            return (Words(f"{_text(hour, 'en')} {half}m", True), match.end()) if half else None
        spoken = f"oh {_text(int(minutes), 'en')}" if minutes[0] == "0" else _text(int(minutes), "en")
        return Words(f"{_text(hour, 'en')} {spoken}{f' {half}m' if half else ''}", True), match.end()
    if number.decimals or not number.is_plain and primary != "de":
        return None
    if primary == "fr" and hour <= 24 and (match := _CLOCK_FR.match(text, number.end)):
        name = "heure" if hour < 2 else "heures"
        minutes = match[1] or match[2] or "00"
        spoken = f"{_feminine(hour)} {name}" + (f" {_feminine(int(minutes))}" if int(minutes) else "")
        return Words(spoken, True), match.end()
    if primary == "de" and hour <= 24 and (match := _CLOCK_DE.match(text, start + len(str(hour)))):
        spoken = f"{'ein' if hour == 1 else _text(hour, 'de')} Uhr"
        minutes = match[1] or "00"
        return Words(f"{spoken} {_text(int(minutes), 'de')}" if int(minutes) else spoken, True), match.end()
    return None


def _read_ordinal(text: str, number: Number, language: str) -> tuple[Words, int] | None:
    primary, value = language.partition("_")[0], number.value
    patterns = {
        "en": "(st|nd|rd|th)",
        "fr": "(ers?|re|ère|e|ème|eme|ième|è)",
        "es": r"\.?(º|ª)",
        "pt": r"\.?(º|ª)",
        "it": "(º|ª)",
        "nl": "(e|de|ste)",
        "sv": ":(e|a)",
    }
    if primary not in patterns or number.decimals:
        return None
    match = re.compile(rf"{patterns[primary]}(?!\w)", re.IGNORECASE).match(text, number.end)
    words = ordinal(value, language) if match else None
    if match is None or words is None:
        return None
    mark = match[1].lower()
    if primary == "en":
        expected = "th" if 10 < value % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
        if mark != expected:
            return None
    elif primary == "fr":
        if (value == 1) != (mark in ("er", "re", "ère")):
            return None
        words = "première" if mark in ("re", "ère") else words
    elif mark == "ª":
        words = re.sub("o(?= |$)", "a", words)
    elif primary in ("nl", "sv") and not words.endswith(mark):
        return None
    return Words(words, True), match.end()


def _read_decade(text: str, number: Number, primary: str, start: int) -> tuple[Words, int] | None:
    """English 1990s and 90s, German 1990er."""
    length, value = number.end - start, number.value
    if not number.is_plain or value % 10 or not (length == 4 and 1100 <= value <= 2090 or length == 2):
        return None
    match = re.compile(r"['\u2019]?s(?!\w)" if primary == "en" else r"er(?!\w)").match(text, number.end)
    if match is None or primary not in ("en", "de"):
        return None
    high, low = divmod(value, 100)
    if primary == "de":
        rest = _text(low, "de") if low else ""
        century = f"{_text(high, 'de')}hundert" if length == 4 else ""
        if high == 20:
            century = "zweitausend"
        return Words(f"{century}{rest}er", True), match.end()
    if length == 2 and (low < 20 or not _BEFORE_DECADE.search(text[max(0, start - 8) : start])):
        return None  # 20s may be seconds
    if value == 2000:
        return Words("two thousands", True), match.end()
    decade = _text(low, "en") if low else "hundred"
    decade = f"{decade[:-1]}ies" if decade.endswith("y") else f"{decade}s"
    return Words(f"{_text(high, 'en')} {decade}" if high else decade, True), match.end()


def _read_by_language(text: str, number: Number, style: Style, language: str) -> tuple[Words, int] | None:
    """English units and compounds (5kg, 5-year-old), Turkish suffixes (5'te)."""
    primary = language.partition("_")[0]
    words = read_decimals(number, style, language) if number.decimals else cardinal(number.value, language)
    if words is None:
        return None
    after = text[number.end :]
    if _is_year(number) and primary == "en":
        return None
    if _UNIT.match(after) or (primary == "en" and _EN_WORDS.match(after)):
        return words, number.end
    if primary in ("tr", "az") and not number.decimals and (match := re.match("['\u2019]([^\\W\\d_]+)", after)):
        return Words(words.text + match[1], True), number.end + match.end()
    return None


def _is_year(number: Number) -> bool:
    return number.is_plain and (1100 <= number.value <= 1999 or 2010 <= number.value <= 2099)


def _ends(text: str, end: int) -> bool:
    """Whether nothing follows that belongs to the number."""
    after, then = text[end : end + 1], text[end + 1 : end + 2]
    return not (after.isalnum() and after.isascii()) and not (after in "/-\u2013.,:" and then.isalnum() and after)


def _text(value: int, language: str) -> str:
    words = cardinal(value, language)
    return words.text if words else str(value)


def _feminine(value: int) -> str:
    words = _text(value, "fr")
    return f"{words}e" if words == "un" or words.endswith(" un") else words
