"""Plain words, and the HTML of the samples."""

import pytest

from asrkit.runs.events import Event
from asrkit.ui.common import samples, words


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"phase": "loading"}, "Loading the base model"),
        ({"phase": "evaluating", "done": 24, "total": 100}, "Evaluating 24 of 100"),
        ({"phase": "evaluating", "text": "Heard 24 of 100 clips", "done": 24, "total": 100}, "Heard 24 of 100 clips"),
        ({"phase": "preparing", "text": "Reading 480 clips", "done": 120, "total": 480}, "Reading 480 clips, 25% done"),
        ({"phase": "humming"}, "Humming"),
        ({}, "Working"),
    ],
)
def test_every_phase_has_words(data, said):
    assert words.phase(Event("phase", 0.0, data=data)) == said


def test_errors_are_marked_by_word():
    assert samples.marked("a b c d", "a x c e d") == (
        'a <mark title="instead of b">x</mark> c <ins title="extra">e</ins> d'
    )
    assert samples.marked("a b", "a") == 'a <del title="missing">b</del>'
    assert samples.marked("我们去 a", "我门去 b") == (
        '我<mark title="instead of 们">门</mark>去 <mark title="instead of a">b</mark>'
    ), "by character"
    assert samples.marked("", "<b>") == '<ins title="extra">&lt;b&gt;</ins>'


def test_a_quote_in_a_reference_cannot_leave_its_attribute():
    assert 'title="instead of &quot;onmouseover=x"' in samples.marked('"onmouseover=x', "b")


def test_an_evaluation_without_samples_says_so():
    assert "without sample clips" in samples.table(Event("eval", 0.0, 1))
    assert samples.caption(Event("eval", 0.0, 4, data={"wer": None, "cer": 0.5})) == "Step 4 · CER 50.0 %"
