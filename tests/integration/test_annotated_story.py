"""Three annotated recordings adapt a model, whose transcript of a fourth is corrected and becomes training data."""

import json
import re

import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.data import sources
from asrkit.data.readers.annotations import elan
from tests.support.annotations import aligned_tier, link, make_eaf, reference_tier
from tests.support.commands import run_asrkit
from tests.support.eaf_schema import check_eaf

PAUSE_S = 1.0
OPTIONS = {
    "max_steps": 2,
    "learning_rate": 1e-6,
    "train_batch_size": 2,
    "eval_count": 2,
    "eval_steps": 2,
    "mixed_precision": "no",
    "augmentation": "none",
}


@pytest.fixture
def asrkit(tmp_path):
    def call(*arguments):
        done = run_asrkit([*arguments, "--runs-dir", tmp_path / "runs"])
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def write_recording(path, clips):
    """Write clips with pauses between them, and return the times of each in ms."""
    rng = np.random.default_rng(0)
    pieces, times = [], []
    for clip in clips:
        pieces.append(0.0003 * rng.standard_normal(round(PAUSE_S * SAMPLING_RATE)))
        start = sum(map(len, pieces))
        pieces.append(load_audio(clip.audio).samples)
        times += [1000 * start // SAMPLING_RATE, 1000 * sum(map(len, pieces)) // SAMPLING_RATE]
    soundfile.write(path, np.concatenate([*pieces, np.zeros(SAMPLING_RATE)]), SAMPLING_RATE)
    return times


def write_session(folder, name, clips):
    """Write a recording and its .eaf as linguists leave them: with a reference, a translation and an old path."""
    times, numbers = write_recording(folder / f"{name}.wav", clips), range(len(clips))
    ref = [(f"r{index}", 2 * index, 2 * index + 1, f"{name}.{index:03d}") for index in numbers]
    speech = [(f"t{index}", f"r{index}", "", clips[index].text) for index in numbers]
    free = [(f"f{index}", f"t{index}", "", f"translation {index}") for index in numbers]
    tiers = (
        aligned_tier("ref@A", *ref, type="ref", speaker="Ana"),
        reference_tier("tx@A", *speech, type="tx", speaker="Ana", parent="ref@A"),
        reference_tier("ft@A", *free, type="ft", speaker="Ana", parent="tx@A"),
    )
    media = link(f"file:///C:/Fieldwork/2019/{name}.wav")
    (folder / f"{name}.eaf").write_text(make_eaf(*tiers, slots=times, media=media), encoding="utf-8")


def test_annotations_to_model_to_corrected_annotations(asrkit, tmp_path):
    clips = sources.load("callsigns").train
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(3):
        write_session(corpus, f"story {number}", clips[3 * number : 3 * number + 3])
    audit = json.loads(asrkit("audit", corpus, "--json"))
    assert (audit["utterances"], audit["dropped"], audit["verdict"]) == (9, 0, "ready")
    assert [row.text for row in sources.load(str(corpus)).utterances] == [clip.text for clip in clips[:9]]
    options = [part for name, value in OPTIONS.items() for part in ("--set", f"{name}={value}")]
    asrkit("train", "--train", corpus, "--model", "starter", "--run-id", "first", *options)

    new = clips[9:11]
    times = write_recording(corpus / "new.wav", new)
    asrkit("transcribe", corpus / "new.wav", "--model", "first", "--format", "eaf", "--output", tmp_path / "drafts")
    draft = (tmp_path / "drafts" / "new.eaf").read_bytes()
    check_eaf(draft)
    heard = elan.read(tmp_path / "drafts" / "new.eaf")[0].tiers[0].spans
    assert len(heard) == len(new)  # an utterance between two pauses
    for span, start_ms, end_ms in zip(heard, times[::2], times[1::2], strict=True):
        assert start_ms - 300 < 1000 * span.start_s < 1000 * span.end_s < end_ms + 300

    texts = iter([clip.text.title() for clip in new])
    corrected = re.sub(r"(<ANNOTATION_VALUE>)[^<]*", lambda match: match[1] + next(texts, "word"), draft.decode())
    (corpus / "new.eaf").write_text(corrected, encoding="utf-8")
    rows = [row for row in sources.load(str(corpus)).utterances if row.audio == str(corpus / "new.wav")]
    assert [row.text for row in rows] == [clip.text.title() for clip in new]
    audit = json.loads(asrkit("audit", corpus, "--json"))
    assert (audit["utterances"], audit["dropped"], audit["verdict"]) == (11, 0, "ready")
    asrkit("train", "--train", corpus, "--model", "first", "--run-id", "second", *options)
    shown = json.loads(asrkit("runs", "show", "second", "--json"))
    assert (shown["status"], shown["step"]) == ("finished", 2)
