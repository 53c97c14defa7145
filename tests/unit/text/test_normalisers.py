import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asrkit.errors import ConfigError
from asrkit.text import base_normalisers, normalisers
from asrkit.text.base_normalisers import NORMALISERS
from asrkit.text.normalisers import find_problems, make_rules, normalise
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
    assert normalise(text, "basic") == expected


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
    assert normalise(text, "english") == expected


def test_code_switched():
    assert normalise("我 想 买 iPhone 手 机 ， OK？", "code-switched") == "我想买 iphone 手机 ok"


@given(text=st.text())
@example("ΟΔΟΣ ΣΑΣ  ÷\u00b4a \u0301b \u00a0½ 2² l·l a\u200b b\u2028c o'' n' 'n")
@example("a\U0010f000b")
def test_basic_normalises_word_by_word(text):
    base_normalisers._basic_word.cache_clear()
    text_without_markers = normalisers._MARKERS.sub(" ", text)  # which are for the use of the rules
    assert normalise(text, "basic") == " ".join(base_normalisers._basic_words(text_without_markers).split())


def test_none_only_collapses_white_space():
    assert normalise(" A,\t b\n\nＣ ", "none") == "A, b Ｃ"


def test_unknown_normaliser_is_refused():
    with pytest.raises(ConfigError, match="no normaliser 'whisper'; choose one of none, basic, english, german"):
        normalise("a", "whisper")


@pytest.mark.parametrize("name", NORMALISERS)
@given(text=st.text())
def test_idempotent_and_single_spaced(name, text):
    once = normalise(text, name)
    assert normalise(once, name) == once
    assert once == " ".join(once.split())


@pytest.mark.parametrize("name", NORMALISERS)
def test_summary_is_one_line(name):
    assert NORMALISERS[name].name == name
    assert NORMALISERS[name].summary and "\n" not in NORMALISERS[name].summary


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
    assert normalise(text, name) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "I have 21 dogs", "i have twenty one dogs"),
        ("en", "1,234.50 and the 3rd", "one thousand two hundred and thirty four point five zero and the third"),
        ("en", "at 10:30 on b2b", "at ten thirty on b two b"),
        ("de", "3,5 km und 1.000 m", "drei komma fünf km und eintausend m"),
        ("fr", "80 francs", "quatre vingts francs"),
        ("fr", "le 21e et la 1ère", "le vingt et unième et la première"),
        ("es", "tengo 22 años", "tengo veintidós años"),
        ("en", "no digits", "no digits"),
        ("bn", "১২", "বারো"),
        ("zh", "2024年有323块和3.05", "二 零 二 四 年有 三百二十三 块和 三 点 零 五"),
        ("zh", "用MP3听105", "用mp 三 听 一百零五"),
        ("ko", "2024년 3개", "이천이십사 년 세 개"),
    ],
)
def test_numbers_are_spelled_out(language, text, expected):
    rules = make_rules("basic", language)
    assert normalise(text, rules) == expected
    assert normalise(expected, rules) == expected


@pytest.mark.parametrize("text", ["1.2.2024", "h323", "007", "3,14159,2", "5-10", "½", "10:00"])
def test_unread_numbers_stay_as_written(text):
    rules = make_rules("basic", "en")
    assert normalise(f"The {text}, yes", rules) == f"the {text} yes"
    assert normalise(f"the {text} yes", rules) == f"the {text} yes"
    assert find_problems(f"The {text}, yes", rules).unread == (text,)


def test_language_without_number_words_is_refused():
    with pytest.raises(ConfigError, match="Numbers cannot be spelled out in 'xx'; choose one of af, ak, am, ar"):
        normalise("no digit", make_rules("basic", "xx"))


@given(text=st.text(), language=st.sampled_from(["en", "de", "es", "fr", "ru", "ja", "te", "ar", "zh", "hi"]))
def test_digits_are_left_only_where_they_are_reported(text, language):
    rules = make_rules("basic", language)
    normalised = normalise(f"{text} 12 {text}", rules)
    has_digits = any(letter.isdecimal() for letter in normalised)
    assert not has_digits or find_problems(f"{text} 12 {text}", rules).unread


def test_character_map_is_applied():
    rules = make_rules("basic", character_map=" ё=е №=number  -=␣ x= ")
    assert rules == "basic+map:ё=е №=number -=␣ x="
    assert normalise("Ёлка № 5x-3", rules) == "елка number 5 3"
    assert normalise("3 Ёлка №", make_rules("none", "ru", "Ё=Е")) == "три Елка №"


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
        normalise("x", make_rules("basic", character_map=pairs))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ինչո՞ւ եկար, Ո՞վ, այո՜, Բարև", "ինչու եկար ով այո բարև"),
        ('צה״ל צה"ל ג׳ירפה', "צהל צהל ג'ירפה"),
        ("Col·legi col•legi COL‧LEGI paraŀlel", "col·legi col·legi col·legi paral·lel"),
        ("hy‧phen·a‧tion co\u00adop", "hyphenation coop"),
        ("étudiant·e·s; λόγος·άλλος", "étudiantes λόγος άλλος"),
        ("don´t don`t don′t don‛t", "don't don't don't don't"),
        ("`quoted` 5′3", "quoted 5 3"),
        ("صـــباح الخير ߊ\u07faߊ", "صباح الخير ߊߊ"),
        ("[ma˥˩] tʰa kʷ ⁿda ˈhɛːloʊ˞ tʼ", "ma˥˩ tʰa kʷ ⁿda ˈhɛːloʊ˞ tʼ"),
        ("2ⁿᵈ", "2nd"),
        ("EU:n ja USA:ssa, SVT:s; Note:this", "eun ja usassa svts note this"),
        ("5½ 10² ①② №5 x²", "5 1 2 10 2 1 2 5 x2"),
        ("می\u200cخواهم क्\u200dष foo\u200cbar hel\u200blo", "می\u200cخواهم क्\u200dष foobar hello"),
        ("İstanbul", "istanbul"),
    ],
)
def test_marks_inside_a_word_do_not_cut_it(text, expected):
    assert normalise(text, "basic") == expected
    assert normalise(expected, "basic") == expected


@pytest.mark.parametrize("language", ["tr", "tr-TR", "az", "az_Latn", "crh", "kk-Latn"])
def test_lower_case_keeps_the_two_letters_i(language):
    rules = make_rules("basic", case=language)
    assert normalise("İstanbul’da IŞIK, I\u0307zmir Isparta", rules) == "istanbul'da ışık izmir ısparta"
    assert normalise("istanbul'da ışık", rules) == "istanbul'da ışık"


@pytest.mark.parametrize("language", ["en", "kk", "az-Cyrl", "de"])
def test_lower_case_of_other_languages(language):
    assert normalise("IT", make_rules("basic", case=language)) == "it"


def test_case_does_not_change_text_that_stays_as_it_is():
    assert normalise("IŞIK", make_rules("none", case="tr")) == "IŞIK"


def test_rules_of_older_runs_are_understood():
    assert normalise("Nr. 5 №", "german+numbers:de+map:№=Nummer") == "nr fünf nummer"


@pytest.mark.parametrize(
    ("markup", "expected"), [("keep", "noise hi breath"), ("remove", "hi"), ("tokens", "※ hi , ※")]
)
def test_markup(markup, expected):
    rules = make_rules("basic", markup=markup)
    text = "<noise> Hi <COMMA> (breath)" if markup == "tokens" else "<noise> Hi (breath)"
    assert normalise(text, rules) == expected
    assert normalise(expected, rules) == expected
    assert bool(find_problems(text, rules).markup) == (markup == "keep")


def test_unknown_treatment_of_markup_is_refused():
    with pytest.raises(ConfigError, match="'drop'; choose one of keep, remove, tokens"):
        normalise("a", "basic+markup:drop")


@pytest.mark.parametrize("rules", ["basic+case:tr+markup:tokens", "basic+markup:remove", "english+markup:tokens"])
@given(text=st.text())
def test_rules_with_case_and_markup_are_idempotent(rules, text):
    once = normalise(text, rules)
    assert normalise(once, rules) == once
