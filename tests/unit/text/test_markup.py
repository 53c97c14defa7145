import pytest

from asrkit.text.markup import find_markup, make_tokens, remove_markup


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("<noise> hello there", ["<noise>"]),
        ("[laughter] good [UNK] morning", ["[laughter]", "[UNK]"]),
        ("uh <COMMA> yes (breath)", ["<COMMA>", "(breath)"]),
        ("{laugh} ok {\\an8}", ["{laugh}", "{\\an8}"]),
        ("*coughs* he*llo * yes", ["*coughs*", "*", "*"]),
        ("(heavy breathing) ((unclear)) (0.5) (.)", ["(heavy breathing)", "((unclear))", "(0.5)", "(.)"]),
        ("(rires) bonjour", ["(rires)"]),
        ("(lacht) ja (смех) да（笑）ね 【笑】", ["(lacht)", "(смех)", "（笑）", "【笑】"]),
        ("AT&amp;T &=laughs %hesitation <i>x</i>", ["&amp;", "&=laughs", "%hesitation", "<i>", "</i>"]),
        ("SIL a xxx b", ["SIL", "xxx"]),
        ("cut off <noise and [laugh", ["<", "["]),
    ],
)
def test_marks_are_found(text, marks):
    assert find_markup(text) == marks


@pytest.mark.parametrize(
    "text",
    [
        "(for example) this (yes) cat(s) (2) (1984)",
        "3 < 4 and 5 > 2, a < b and c > d, x<5 and y>3",
        "I <3 you, 100%sure, 50% off, R&D; Q&A",
        "[ma˥ tʰa]",
        "silence is golden, noise, laughter",
        "xxxl SILVER",
    ],
)
def test_words_and_signs_are_no_marks(text):
    assert find_markup(text) == []
    assert remove_markup(text) == text


def test_removal_keeps_the_words():
    text = "<noise> he*llo <i>there</i> AT&amp;T [x] (breath) *very*"
    assert remove_markup(text).split() == ["hello", "there", "AT&T", "very"]


def test_tokens():
    text = "<noise> so <COMMA> ok <PERIOD> [laughter] <b>fine</b> <QUESTIONMARK> he*llo"
    assert make_tokens(text).split() == ["※", "so", ",", "ok", ".", "※", "fine", "?", "hello"]
