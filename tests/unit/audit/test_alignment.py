"""Texts that were moved by a row are found by how well they fit the recordings around them."""

import numpy as np
import pytest

from asrkit.audit.alignment import check_alignments, score_clips
from asrkit.audit.checked_clips import CheckedClip
from asrkit.data.manifest import Utterance
from asrkit.errors import DataError
from asrkit.transcription import scoring


@pytest.fixture
def find(clip):
    """Find moved texts: said and written are the texts of the clips; the length of a clip tells what is said."""

    def find(said, written, num_train=None, fit=lambda said, text: 0.0 if said == text else -2.0):
        words = {round(0.2 + 0.01 * number, 2): text for number, text in enumerate(dict.fromkeys(said))}
        seconds = {text: duration_s for duration_s, text in words.items()}
        clips = [
            CheckedClip(
                Utterance(str(clip(f"{number}.wav", seconds[spoken])), text, seconds[spoken], row=f"row {number}"),
                text,
                None if text else "empty-transcript",
            )
            for number, (spoken, text) in enumerate(zip(said, written, strict=True))
        ]
        found = score_clips(
            clips,
            len(clips) if num_train is None else num_train,
            lambda wave, text: fit(words[round(wave.duration_s, 2)], text),
            lambda message, done, total: None,
        )
        return [(finding.clips, finding) for finding in check_alignments(clips, found)]

    return find


LETTERS = list("abcdefghijklmnopqrst")


def test_texts_moved_by_a_row_are_found_in_six_clips(find):
    ((clips, finding),) = find(LETTERS[:6], ["", *LETTERS[:5]])
    assert (finding.code, finding.changes, clips) == ("shifted-texts", "text", (1, 2, 3, 4))
    assert "from row 1 to row 4, the text of the row below fits better" in finding.cause
    ((clips, _),) = find(LETTERS[:6], [*LETTERS[1:6], "z"])
    assert clips == (1, 2, 3, 4, 5)


def test_texts_moved_from_a_row_on_are_found(find):
    ((clips, _),) = find(LETTERS, [*LETTERS[:8], *LETTERS[9:], "z"])
    assert clips == tuple(range(9, 20))


def test_bad_clip_among_moved_ones_does_not_hide_them(find):
    written = [*LETTERS[1:], "z"]
    written[10] = "other"
    ((clips, _),) = find(LETTERS, written)
    assert len(clips) >= 16


@pytest.mark.parametrize(
    "written",
    [
        LETTERS[:12],
        [*LETTERS[1:4], *LETTERS[:1], *LETTERS[4:12]],  # three of them
        LETTERS[:12][::-1],
        ["same"] * 12,
    ],
)
def test_other_texts_are_not_moved(find, written):
    assert not find(LETTERS[:12], written)


def test_rows_of_the_other_split_are_not_compared(find):
    assert find(LETTERS[:12], [*LETTERS[1:12], "z"], num_train=6)
    assert not find(LETTERS[:6], [*LETTERS[1:6], "z"], num_train=3)


def test_model_that_fits_nothing_finds_nothing(find):
    rng = np.random.default_rng(0)
    assert not find(LETTERS, [*LETTERS[1:], "z"], fit=lambda said, text: rng.normal())


def test_text_that_cannot_be_spelled_is_one_that_does_not_fit(find):
    def fit(said, text):
        if said != text:
            raise DataError("It needs more frames.")
        return 0.0

    ((clips, _),) = find(LETTERS[:6], [*LETTERS[1:6], "z"], fit=fit)
    assert clips == (1, 2, 3, 4, 5)


def test_several_texts_of_a_clip_cost_one_pass_of_the_model(monkeypatch, sine):
    from asrkit.audio import Waveform
    from asrkit.decoding import alignment

    class Model:
        passes = 0

        def log_probabilities(self, wave):
            self.passes += 1
            return np.zeros((1, 1))

    model = Model()
    monkeypatch.setattr(scoring, "get_transcriber", lambda name, store: model)
    monkeypatch.setattr(
        alignment,
        "align",
        lambda model, wave, text: alignment.Alignment([], float(model.log_probabilities(wave).sum()), []),
    )
    score = scoring.make_scorer("starter", None)
    first, second = Waveform(sine()), Waveform(sine())
    assert [score(first, "a"), score(first, "b"), score(second, "a")] == [0.0] * 3 and model.passes == 2
