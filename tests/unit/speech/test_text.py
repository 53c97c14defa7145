import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.errors import ConfigError
from asrkit.speech.text import NORMALISERS, mixed_tokens, normalise


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


def test_none_only_collapses_white_space():
    assert normalise(" A,\t b\n\nＣ ", "none") == "A, b Ｃ"


def test_unknown_normaliser():
    with pytest.raises(ConfigError, match="no normaliser 'whisper'; choose one of none, basic, english, code-switched"):
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
        ("น้ำดี", ["น้", "ำ", "ดี"]),
        ("かな カナ", ["か", "な", "カ", "ナ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ລາວ ខ្មែរ", ["ລ", "າ", "ວ", "ខ្", "មែ", "រ"]),
        ("မြန်", ["မြ", "န်"]),
        ("", []),
    ],
)
def test_mixed_tokens(text, expected):
    assert mixed_tokens(text) == expected


@given(st.text())
def test_mixed_tokens_lose_nothing_but_spaces(text):
    assert "".join(mixed_tokens(text)) == "".join(text.replace("\u200b", " ").split())
