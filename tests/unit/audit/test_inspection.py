"""The complete audit: each kind of finding in faulty data, and none in good data."""

import copy
import functools
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from asrkit.audit import inspection
from asrkit.audit.clips import Limits
from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.data.sources import Source
from asrkit.errors import ConfigError, DataError
from asrkit.runs import dataset_audit

RATE = 16_000
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa".split()


def make_voice(rng, seconds, noise=0.001):
    """Make bursts of a tone with pauses, at a random pitch: about as even as speech."""
    times = np.arange(round(seconds * RATE)) / RATE
    bursts = (np.sin(2 * np.pi * 3 * times + rng.uniform(0, 6)) > -0.3) * 0.3
    return (
        bursts * np.sin(2 * np.pi * rng.uniform(150, 900) * times) + noise * rng.standard_normal(len(times))
    ).astype("f4")


class Data:
    """Forty good clips of two seconds and four words, by four speakers; tests add faulty ones."""

    def __init__(self, folder):
        self.folder, self.rng, self.rows, self.eval = folder, np.random.default_rng(0), [], []
        for number in range(40):
            self.add(" ".join(self.rng.choice(WORDS, 4)), f"speaker {number % 4}")

    def copy_to(self, folder):
        """Copy the clips, and what is known of them, to a folder that a test may change."""
        shutil.copytree(self.folder, folder)
        copied = copy.deepcopy(self)
        copied.folder = folder
        copied.rows = [replace(row, audio=str(folder / os.path.basename(row.audio))) for row in self.rows]
        return copied

    def add(self, text, speaker=None, samples=None, rate=RATE, split="rows"):
        rows = getattr(self, split)
        path = self.folder / f"{split}-{len(rows)}.wav"
        soundfile.write(path, make_voice(self.rng, 2.0) if samples is None else samples, rate, subtype="PCM_16")
        rows.append(Utterance(str(path), text, 2.0, speaker, row=f"{split} row {len(rows)}"))
        return len(rows) - 1

    def inspect(self, rules="basic", **options):
        limits = Limits(rules, options.pop("vocabulary", None), options.pop("known", None), max_duration_s=20)
        return inspection.inspect(Source(self.rows, self.eval or None, "data"), limits, **options)

    def findings(self, **options):
        result = self.inspect(**options)
        return {finding.code: finding for finding in result.audit.findings if finding.code != "little-data"}


@pytest.fixture(scope="module")
def good_data(tmp_path_factory):
    return Data(tmp_path_factory.mktemp("good"))


@pytest.fixture
def data(good_data, tmp_path):
    return good_data.copy_to(tmp_path / "data")


def test_good_data_has_no_findings(data):
    result = data.inspect()
    assert [finding.code for finding in result.audit.findings] == ["little-data"]
    assert (result.audit.verdict, result.audit.utterances) == ("ready", 40)
    assert [name for name, *_ in result.statistics.speakers] == [f"speaker {n}" for n in range(4)]
    assert sum(count for *_, count in result.statistics.durations) == 40
    assert (result.statistics.words, result.statistics.rates) == (160, {RATE: 40})
    assert dict(result.statistics.characters)["a"] == sum(row.text.count("a") for row in data.rows)


def test_silence_is_dropped(data):
    index = data.add("alpha", samples=np.full(2 * RATE, 0.1))
    result = data.inspect()
    assert result.audit.verdict == "ready-with-drops" and result.clips[index].code == "silent"


@pytest.mark.parametrize(
    ("code", "make_samples"),
    [
        ("clipped", lambda rng: np.clip(make_voice(rng, 2.0) * 9, -1, 1)),
        ("noisy", lambda rng: make_voice(rng, 2.0, noise=0.4)),
    ],
)
def test_clipped_and_noisy_clips_are_suspect(data, code, make_samples):
    index = data.add("alpha bravo charlie delta", samples=make_samples(data.rng))
    findings = data.findings()
    assert list(findings) == [code] and findings[code].clips == (index,) and findings[code].kind == "suspect"
    assert f"rows row {index}: rows-{index}.wav (" in findings[code].examples[0]
    assert len(data.inspect().remaining_rows([code])) == 40 and len(data.inspect().remaining_rows([])) == 41


def test_low_sampling_rate_is_reported(data):
    data.add("alpha bravo charlie delta", samples=make_voice(data.rng, 2.0)[::2], rate=8000)
    assert "8,000 Hz" in data.findings()["low-rate"].cause


def test_duplicates_keep_the_best_fitting_text(data):
    copy = make_voice(data.rng, 2.0)
    indices = [data.add(f"{word} bravo charlie delta", samples=copy) for word in ("kilo", "lima", "mike")]
    finding = data.findings()["duplicate-audio"]
    assert finding.clips == tuple(indices[1:])
    assert "'lima bravo charlie delta'; the same recording in rows row 40 is 'kilo bravo" in finding.examples[0]
    scored = data.findings(score=lambda wave, text: 0.0 if text.startswith("lima") else -1.0)["duplicate-audio"]
    assert scored.clips == (indices[0], indices[2]), "the text that fits best stays"


def test_leaks_between_given_splits(data):
    copy = make_voice(data.rng, 2.0)
    index = data.add("kilo kilo lima mike", "ann", copy)
    data.add("kilo kilo lima mike", "ann", copy, split="eval")
    data.add("lima lima lima lima lima", "bob", split="eval")
    findings = data.findings()
    assert set(findings) == {"leak-audio", "leak-speaker", "leak-text"}
    assert findings["leak-audio"].clips == (index,)
    assert "1 of 2 clips to evaluate on says a sentence" in findings["leak-text"].cause
    assert "1 speaker is both" in findings["leak-speaker"].cause
    assert len(data.inspect().remaining_rows(["leak-audio"])) == 42


def split_by(**settings):
    return functools.partial(dataset_audit.split_indices, TrainConfig().replace({"preset": "", **settings}))


def test_leaks_of_the_split_a_run_would_make(data):
    """Split by speaker if speakers are known, else report leaks with the setting that solves them."""
    first = data.rows[0].text
    for row in data.rows[1:20]:
        data.rows[data.rows.index(row)] = replace(row, text=first)
    result = data.inspect(hold_out=split_by())
    assert len(result.held_out) == 10 and len({result.clips[index].row.speaker for index in result.held_out}) == 1
    findings = data.findings(hold_out=split_by())
    assert set(findings) == {"leak-text", "duplicate-text"} and not findings["leak-text"].settings
    findings = data.findings(hold_out=split_by(split_by="random", eval_count=8))
    assert findings["leak-speaker"].settings == {"split_by": "speaker", "eval_count": 0}
    data.rows = [replace(row, speaker=None) for row in data.rows]
    findings = data.findings(hold_out=split_by(eval_share=0.3))
    assert findings["leak-text"].settings == {"split_by": "text", "eval_count": 0} and "leak-speaker" not in findings
    assert "leak-text" not in data.findings(hold_out=split_by(eval_share=0.3, split_by="text"))


def test_equal_files_stay_on_one_side(data):
    """Equal files stay together; the same samples in another format are found by decoding."""
    copy = make_voice(data.rng, 2.0)
    for _ in range(30):
        data.add("kilo lima mike november", samples=copy)
    data.rows = [replace(row, speaker=None) for row in data.rows]
    assert "leak-audio" not in data.findings(hold_out=split_by(eval_share=0.4))
    for number in range(0, 30, 2):
        path = data.folder / f"copy-{number}.flac"
        soundfile.write(path, soundfile.read(data.rows[-1].audio)[0], RATE, subtype="PCM_16")
        data.rows[-1 - number] = replace(data.rows[-1 - number], audio=str(path))
    assert "leak-audio" in data.findings(hold_out=split_by(eval_share=0.4, seed=1))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike", "fast-speech"),
        ("a", "slow-speech"),
    ],
)
def test_unusual_pace_is_suspect(data, text, code):
    index = data.add(text)
    findings = data.findings()
    assert list(findings) == [code] and findings[code].clips == (index,) and "letters and" in findings[code].examples[0]


def test_impossible_pace_is_suspect_in_every_clip(data):
    """As where all files name three times their sampling rate."""
    for row in data.rows:
        samples, rate = soundfile.read(row.audio)
        soundfile.write(row.audio, samples[::3], rate)
    data.rows = [replace(row, text="alpha bravo charlie delta", duration_s=0.0) for row in data.rows[:9]]
    assert len(data.findings()["fast-speech"].clips) == 9


@pytest.mark.parametrize(
    ("texts", "rules", "code", "word"),
    [
        (["page 12 alpha bravo"], "basic", "digits", "rows row 40"),
        (["alpha § bravo charlie"], "basic+numbers:en", "spoken-symbols", "§"),
        (["alpha, bravo charlie delta"], "none", "symbols", ","),
        (["Alpha bravo charlie delta"], "none", "mixed-case", "A"),
        (["alpha cafe\u0301 bravo charlie"], "none", "unicode-form", "cafe"),
        (["\u0430lpha bravo charlie delta"], "basic", "look-alikes", "\u0430lpha"),
    ],
)
def test_text_problems_are_reported(data, texts, rules, code, word):
    for text in texts:
        data.add(text)
    findings = data.findings(rules=rules)
    assert list(findings) == [code]
    assert any(word in text for text in (*findings[code].examples, findings[code].cause))


def test_spelled_out_symbols_are_no_finding(data):
    data.add("alpha 50 % bravo")
    assert list(data.findings(rules="english+numbers:en")) == []


def test_rare_characters_and_stray_scripts(data):
    for _ in range(60):
        data.add(" ".join(data.rng.choice(WORDS, 4)))
    data.add("alpha ñandu delta echo")
    data.add("alpha bravo charlie мир")
    findings = data.findings()
    assert set(findings) == {"rare-characters", "mixed-scripts"} and "ñ" in findings["rare-characters"].cause
    every = {letter for row in data.rows for letter in row.text}
    assert "rare-characters" not in data.findings(vocabulary=every)
    assert data.findings(known=every - {"ñ"})["rare-characters"].cause.endswith(": ñ.")


def test_new_characters_are_reported_in_little_data(data):
    data.add("alpha ñandu delta echo")
    data.add("alpha bravo charlie é", split="eval")
    findings = data.findings(known=set("abcdefghijklmnopqrstuvwxyz'"))
    assert findings["rare-characters"].cause.endswith(": ñ.")
    assert findings["untrained-characters"].cause.endswith(": é.")
    assert findings["untrained-characters"].clips == (41,)
    assert "unknown-characters" not in findings


def test_digits_are_not_added_to_a_vocabulary_that_grows_by_itself(data):
    data.add("alpha 5 ñandu")
    finding = data.findings(known=set("abcdefghijklmnopqrstuvwxyz"))["unknown-characters"]
    assert (finding.kind, finding.count) == ("drop", 1) and "characters: 5." in finding.cause
    assert "unknown-characters" not in data.findings(known=set("abcdefghijklmnopqrstuvwxyz5"))


@pytest.mark.parametrize(
    ("text", "rules", "code", "settings", "detail"),
    [
        ("<noise> alpha [laughter] bravo", "basic", "markup", {"markup": "remove"}, "<noise>, [laughter]"),
        ("1 personne et 21 femmes", "basic+numbers:fr", "number-forms", {}, "un, vingt et un"),
        ("İzmir ve IŞIK", "basic", "dotless-i", {"language": "tr"}, "I becomes i"),
        ("İzmir və IŞIQ", "basic", "dotless-i", {"language": "az"}, "I becomes i"),
    ],
)
def test_what_rules_make_of_a_text_is_an_assumption(data, text, rules, code, settings, detail):
    index = data.add(text)
    result = data.inspect(rules)
    finding = {finding.code: finding for finding in result.audit.findings}[code]
    assert finding.is_assumption and finding.clips == (index,) and finding.settings == settings
    assert detail in finding.cause and result.audit.verdict == "ready-with-drops"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("<noise> alpha [laughter] bravo", "basic+markup:remove"),
        ("<noise> alpha [laughter] bravo", "basic+markup:tokens"),
        ("deux personnes et 80 femmes", "basic+numbers:fr"),
        ("İzmir ve IŞIK", "basic+case:tr"),
        ("İzmir", "none"),
    ],
)
def test_rules_that_settle_it_leave_nothing_to_assume(data, text, rules):
    data.add(text)
    assert not [finding for finding in data.findings(rules=rules).values() if finding.changes]


@pytest.mark.parametrize(("num_clips", "is_found"), [(2, False), (3, True)])
def test_words_in_parentheses_of_several_clips_are_reported(data, num_clips, is_found):
    for number in range(num_clips):
        data.add(f"alpha (Rustling) bravo {'kilo ' * number}")
    findings = data.findings()
    assert ("parentheses" in findings) == is_found
    if is_found:
        assert "(rustling) (3 times)" in findings["parentheses"].cause and findings["parentheses"].is_assumption
        assert "parentheses" not in data.findings(rules="basic+map:(Rustling)=")


def test_one_foreign_name_does_not_make_a_text_turkish(data):
    for _ in range(20):
        data.add("It is in Iowa")
    data.add("It is in İzmir")
    assert "dotless-i" not in data.findings()


@pytest.mark.parametrize(
    ("text", "rules", "number"),
    [
        ("rendez-vous à 5½ le 12/05/2024", "basic+numbers:fr", "5½, 12/05/2024"),
        ("about 10² metres", "basic", "10²"),
        ("add 5½ cups", "english", "5½"),
    ],
)
def test_clips_with_numbers_that_cannot_be_read_are_dropped(data, text, rules, number):
    index = data.add(text)
    result = data.inspect(rules)
    finding = result.audit.findings[0]
    assert (finding.code, finding.kind, finding.clips) == ("unread-numbers", "drop", (index,))
    assert finding.examples[0].endswith(f"({number})") and result.audit.verdict == "ready-with-drops"


def test_dominant_speaker_is_reported(data):
    for _ in range(60):
        data.add(" ".join(data.rng.choice(WORDS, 4)), "ann")
    assert "60% of the speech is by 'ann', one of 5 speakers" in data.findings()["speaker-balance"].cause


def test_repeated_sentences_are_reported(data):
    for _ in range(20):
        data.add("alpha bravo charlie delta")
    assert "'alpha bravo charlie delta' 20 times" in data.findings()["duplicate-text"].cause


def test_unknown_characters_offer_a_larger_vocabulary(data):
    data.add("alpha bravo ñ delta")
    finding = data.findings(vocabulary=set("abcdefghijklmnopqrstuvwxyz'"))["unknown-characters"]
    assert finding.settings == {"vocabulary": "auto"} and "ñ" in finding.cause


def test_worst_alignment_comes_first(data):
    def score(wave, text):
        if text == "cannot be scored":
            raise DataError("too short")
        wrong = {"kilo kilo kilo kilo kilo": -9.0, "lima lima lima lima lima": -5.0}
        return wrong.get(text, -1.0 - 0.01 * len(text))

    data.add("cannot be scored")
    indices = [data.add(" ".join([word] * 5)) for word in ("lima", "kilo")]
    result = data.inspect(score=score)
    finding = {finding.code: finding for finding in result.audit.findings}["poor-alignment"]
    assert finding.clips == tuple(reversed(indices)) and "-9.00, usually -1.2" in finding.examples[0]
    assert len(result.scores) == 42


def test_progress_is_reported(data):
    steps = []
    data.inspect(on_progress=lambda *step: steps.append(step), score=lambda wave, text: 0.0)
    assert steps[39] == ("Decoding the clips", 40, 40)
    assert steps[-1] == ("Checking the transcripts by forced alignment", 40, 40)


def test_unknown_rules_are_refused(data):
    with pytest.raises(ConfigError, match="no normaliser 'nope'"):
        data.inspect(rules="nope")
