import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.errors import ConfigError
from asrkit.text.normalizers import NORMALIZERS, make_rules, normalize
from asrkit.text.scripts import tokenize_mixed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Hello,   World!\n", "hello world"),
        ("Don’t 'quote' the dogs' tails — it’s rude", "don't quote the dogs tails it's rude"),
        ("rock'n'roll, a''b '", "rock'n'roll a b"),
        ("Café naïve Straße", "café naïve straße"),
        ("Cafe\u0301", "café"),
        ("ＡＢＣ１２３ ﾃﾞｰﾀ", "abc123 データ"),
        ("हिन्दी में।", "हिन्दी में"),
        ("क्‍ष می‌خواهم", "क्‍ष می‌خواهم"),
        ("น้ำ ทำ", "น้ำ ทำ"),
        ("السَّلَامُ", "السَّلَامُ"),
        ("Acme™ 50% AT&T €5 ½", "acme 50 at t 5 1 2"),
        ("co\u00adoperate \ufeffhi", "cooperate hi"),
        ("ok 👩‍👩‍👧 ❤️ yes 1️⃣", "ok yes 1"),
        ("ខ្មែរ\u200bភាសា", "ខ្មែរ ភាសា"),
        ("snake_case and/or semi-final", "snake case and or semi final"),
        ("…?!", ""),
    ],
)
def test_basic(text, expected):
    assert normalize(text, "basic") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AT&T is 50% naïve", "at and t is 50 percent naive"),
        ("Ærøskøbing façade Straße", "aeroskobing facade strasse"),
        ("Don’t, in 1984!", "don't in 1984"),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_english(text, expected):
    assert normalize(text, "english") == expected


def test_code_switched():
    assert normalize("我 想 买 iPhone 手 机 ， OK？", "code-switched") == "我想买 iphone 手机 ok"


def test_none_only_collapses_white_space():
    assert normalize(" A,\t b\n\nＣ ", "none") == "A, b Ｃ"


def test_unknown_normalizer_is_refused():
    with pytest.raises(ConfigError, match="no normaliser 'whisper'; choose one of none, basic, english, german"):
        normalize("a", "whisper")


@pytest.mark.parametrize("name", NORMALIZERS)
@given(text=st.text())
def test_idempotent_and_single_spaced(name, text):
    once = normalize(text, name)
    assert normalize(once, name) == once
    assert once == " ".join(once.split())


@pytest.mark.parametrize("name", NORMALIZERS)
def test_summary_is_one_line(name):
    assert NORMALIZERS[name].name == name
    assert NORMALIZERS[name].summary and "\n" not in NORMALIZERS[name].summary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我想买 iphone 手机", ["我", "想", "买", "iphone", "手", "机"]),
        ("去gym吧", ["去", "gym", "吧"]),
        ("don't  stop", ["don't", "stop"]),
        ("น้ำดี", ["น้ำ", "ดี"]),
        ("かな カナ", ["か", "な", "カ", "ナ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ລາວ ខ្មែរ", ["ລ", "າ", "ວ", "ខ្មែ", "រ"]),
        ("မြန်", ["မြ", "န်"]),
        ("", []),
    ],
)
def test_tokenize_mixed(text, expected):
    assert tokenize_mixed(text) == expected


@given(st.text())
def test_tokenize_mixed_loses_only_spaces(text):
    assert "".join(tokenize_mixed(text)) == "".join(text.replace("\u200b", " ").split())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("german", "Größe: 50 % für Café-Besucher & Co.", "größe 50 prozent für cafe besucher und co"),
        ("german", "Stra\u00dfe A\u0308pfel", "straße äpfel"),
        ("spanish", "¿Qué? El 5% de los niños à la carte.", "qué el 5 por ciento de los niños a la carte"),
        ("french", "L’été, cœur naïf, Straße ñ & 5 %", "l'été cœur naïf strasse n et 5 pour cent"),
        ("chinese", "我 买了 iPhone 15 ，好！", "我买了iphone 15好"),
        ("indic", "हिन्दी, में। നന്\u200d", "हिन्दी में നൻ"),
        ("indic", "क्\u200dष", "क्ष"),
    ],
)
def test_by_language(name, text, expected):
    assert normalize(text, name) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "I have 21 dogs", "i have twenty one dogs"),
        ("en", "1,234.50 and the 3rd", "one thousand two hundred and thirty four point five zero and the third"),
        (
            "en",
            "007, not 5551234567890123",
            "zero zero seven not five five five one two three four five six seven eight nine zero one two three",
        ),
        ("en", "at 10:30 on 1.2.2024 b2b", "at ten thirty on one two two thousand and twenty four b two b"),
        ("de", "3,5 km und 1.000 m", "drei komma fünf km und eintausend m"),
        ("de", "12.30 Uhr am 24.12. mit 3.14", "zwölf dreißig uhr am vierundzwanzig zwölf mit drei vierzehn"),
        ("en", "3,14 or 10,20,30", "three fourteen or ten twenty thirty"),
        ("en_IN", "12,34,567", "twelve lakh thirty four thousand five hundred and sixty seven"),
        ("es", "tengo 22 años", "tengo veintidós años"),
        ("fr", "80 francs", "quatre vingts francs"),
        ("en", "no digits", "no digits"),
        ("bn", "১২", "বারো"),
        ("en", "spy-h323 in 4k, mp3 at 5kg 10am", "spy h three two three in four k mp three at five kg ten am"),
        ("en", "H.323. The 12", "h three two three the twelve"),
        (
            "en",
            "call 555-1234, +49 30 1234567 or 0800-12-34-56",
            "call five five five one two three four four nine three "
            "zero one two three four five six seven or zero eight zero zero one two three four five six",
        ),
        (
            "en",
            "id 12345678, 1234567 in 1914-1918",
            "id one two three four five six seven eight one million two hundred "
            "and thirty four thousand five hundred and sixty seven in one thousand nine hundred and fourteen "
            "one thousand "
            "nine hundred and eighteen",
        ),
        ("en", "on 2024-05-01", "on two thousand and twenty four zero five zero one"),
        ("fr", "le 21e et la 1ère", "le vingt et unième et la premier"),
        ("es", "el 3º", "el tercero"),
        ("zh", "2024年有323块和3.05", "二 零 二 四 年有 三百二十三 块和 三 点 零 五"),
        ("zh", "用MP3听105", "用mp 三 听 一百零五"),
        ("hi", "२१ और 3.5", "इक्कीस और तीन दशमलव पाँच"),
        ("hi", "1,23,456", "एक लाख तेईस हज़ार चार सौ छप्पन"),
        ("ja", "3.5キロ", "三 点 五 キロ"),
        ("ko", "2024년 3개", "이천이십사 년 삼 개"),
        ("el", "12", "δώδεκα"),
    ],
)
def test_numbers_are_spelled_out(language, text, expected):
    rules = make_rules("basic", language)
    assert normalize(text, rules) == expected
    assert normalize(expected, rules) == expected


def test_language_without_number_words_is_refused():
    with pytest.raises(ConfigError, match="Numbers cannot be spelled out in 'xx'; choose one of af, ak, am, ar"):
        normalize("no digit", make_rules("basic", "xx"))


@given(text=st.text(), language=st.sampled_from(["en", "de", "es", "fr", "ru", "ja", "te", "ar", "zh", "hi"]))
def test_no_digit_is_left(text, language):
    normalized = normalize(text + " 12.5 " + text, make_rules("basic", language))
    assert not any(letter.isdecimal() for letter in normalized)


def test_character_map_is_applied():
    rules = make_rules("basic", character_map=" ё=е №=number  -=␣ x= ")
    assert rules == "basic+map:ё=е №=number -=␣ x="
    assert normalize("Ёлка № 5x-3", rules) == "елка number 5 3"
    assert normalize("3 Ёлка №", make_rules("none", "ru", "Ё=Е")) == "три Елка №"


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("ab", "has 'ab'; write old=new"),
        ("=b", "has '=b'; write old=new"),
        ("a=bc b=d", "inserts 'b' with 'bc'"),
        ("a=a", "inserts 'a' with 'a'"),
    ],
)
def test_impossible_character_map_is_refused(pairs, words):
    with pytest.raises(ConfigError, match=words):
        normalize("x", make_rules("basic", character_map=pairs))
