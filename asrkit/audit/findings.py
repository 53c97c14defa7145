"""Findings: problems of a dataset or of a run, each with its cause and its remedy.

To add a finding, give its code an entry in `EXPLANATIONS`, a title in the page's texts (data.finding.CODE) and, if what
is learned from is not plainly what the data says, an entry in `CHANGES`: "audio" or "text". The rest follows from that:
with such a finding the verdict is never "ready" (`derive_verdict`), and a run starts only if they are accepted
(`accept_assumptions`, --yes), unless its kind is "drop", of which the clips are left out. A reader that sees the
problem in a row adds a `Mark` to the utterance, whose code is one of `manifest.MarkCode`; `clips.build_audit` makes the
finding of all marks of one code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_EXAMPLES = 5

Kind = Literal["drop", "suspect", "advice"]
"""drop: the clips cannot be used and are left out. suspect: they can be used, and can be left out. advice: there is
nothing to leave out."""

Change = Literal["audio", "text"]
"""What of the data a finding changes: which audio, or which text, is learned from."""

Verdict = Literal["ready", "ready-with-drops", "not-ready"]


@dataclass(frozen=True)
class Finding:
    """A problem of a dataset, found by the audit, or of a run, found by its diagnosis.

    code: kebab-case. cause: what was observed and why it matters. remedy: what to change.

    step, epoch: of a run, where the problem was first seen. count, examples: of a dataset, how many clips are concerned
    and up to `MAX_EXAMPLES` of them, such as "metadata.csv row 3: clip.flac (0.05 s)". clips: their indices in the
    audited dataset, the worst first. settings: the configuration changes that the remedy consists of, if any. changes:
    what is learned from differs from what the data plainly says, in its audio or its text; None if it does not.
    """

    code: str
    cause: str
    remedy: str
    step: int = 0
    epoch: float = 0.0
    kind: Kind = "advice"
    count: int = 1
    examples: list[str] = field(default_factory=list)
    clips: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    changes: Change | None = None

    @property
    def is_assumption(self) -> bool:
        """Whether the clips are learned from on an assumption, which has to be accepted before training."""
        return self.changes is not None and self.kind != "drop"

    def to_audit_dict(self) -> dict[str, Any]:
        """Return the finding as `audit --json` prints it. "changes" and "settings" are there only if there are any."""
        changes: dict[str, Any] = {"changes": self.changes} if self.changes else {}
        if self.settings:
            changes["settings"] = self.settings
        return {
            "code": self.code,
            "count": self.count,
            "examples": self.examples,
            "effect": self.cause,
            "fix": self.remedy,
            **changes,
        }

    def to_run_dict(self) -> dict[str, Any]:
        """Return the finding as `diagnose --json` prints it."""
        return {
            "code": self.code,
            "step": self.step,
            "epoch": self.epoch,
            "cause": self.cause,
            "remedy": self.remedy,
        }


# code -> (kind, cause, remedy). Those of kind "drop" are in the order of the checks: a clip is dropped for the first
# one that applies.
EXPLANATIONS: dict[str, tuple[Kind, str, str]] = {
    "unreadable-audio": (
        "drop",
        "The file is missing, truncated or not audio, so nothing can be learned from it.",
        "Copy or export these files again as WAV, FLAC, OGG/Opus or MP3.",
    ),
    "bad-row": (
        "drop",
        "The row cannot be used as it is written: a field is missing, or is not what its column needs.",
        "Correct these rows, or remove them.",
    ),
    "beyond-end": (
        "drop",
        "The part of the recording that the row names goes beyond its end, so the text has more words than the audio.",
        "Correct the times of these rows, or their unit, or copy the whole recording again.",
    ),
    "zero-length": (
        "drop",
        "The file holds no audio.",
        "Record these utterances again, or remove their rows.",
    ),
    "too-short": (
        "drop",
        "Clips under {minimum:g} s are too short for a word and give the model too few frames.",
        "Record them again, or remove their rows.",
    ),
    "too-long": (
        "drop",
        "One clip over {maximum:g} s fills the memory of a whole batch, and training may run out of memory.",
        "Cut these recordings at pauses, or raise the maximum duration if there is enough memory.",
    ),
    "silent": (
        "drop",
        "Nothing can be heard, so the model would learn to write words into silence.",
        "Record these utterances again, or remove their rows.",
    ),
    "empty-transcript": (
        "drop",
        "Nothing is left of the text after normalising, which would teach the model to stay silent.",
        "Fill in the text, remove the rows, or choose another normaliser.",
    ),
    "unread-numbers": (
        "drop",
        "These numbers can be read aloud in several ways, so the text does not show what was said.",
        "Write them as words in the transcripts, or remove the rows.",
    ),
    "unknown-characters": (
        "drop",
        "The model cannot write these characters: {characters}.",
        "Spell out digits (spell_numbers), choose a normaliser that removes the other characters or matches the "
        "model's case, or let the vocabulary grow (vocabulary: auto, or extend for digits too).",
    ),
    "label-too-long": (
        "drop",
        "The text has more characters than the audio has frames (one every {frame_ms:g} ms): the CTC loss would be "
        "infinite.",
        "Check that text and audio belong together; otherwise remove the rows, or choose a model with shorter frames.",
    ),
    "poor-alignment": (
        "suspect",
        "The transcript fits the audio far worse than in the other clips: it probably belongs to another clip, or "
        "words are missing. Wrong transcripts make the model worse everywhere.",
        "Play these clips, the worst first; correct the text or leave them out.",
    ),
    "file-by-name": (
        "suspect",
        "The table names files that do not exist; the only file that each name can mean was taken instead.",
        "Play these clips and compare their texts; correct the paths in the table if a file is the wrong one.",
    ),
    "merged-lines": (
        "suspect",
        "A quoted text runs over several lines of the table and was read as one text; a quotation mark without its "
        "partner looks the same, and hides the rows in between.",
        "Read these texts; if rows are missing, double or remove the stray quotation mark in the table.",
    ),
    "extra-fields": (
        "suspect",
        "Lines have more fields than the others; what is beyond the separator was taken as part of the text.",
        "Read these texts; put quotes around a text that contains the separator.",
    ),
    "stray-quote": (
        "suspect",
        "Texts begin with a quotation mark that is never closed; the mark was read as a character of the text, and the "
        "line as one row.",
        "Read these texts; remove the mark, or double it and put quotes around the text.",
    ),
    "missing-fields": (
        "suspect",
        "Lines have fewer fields than the header; their fields may belong to other columns.",
        "Read these texts; give every line a field for each column, which may be empty.",
    ),
    "other-texts": (
        "suspect",
        "The table has several columns of texts, and these rows have another text in one that is not used.",
        "Choose the column of what was said (text_column), or rename the other one.",
    ),
    "dates-in-texts": (
        "suspect",
        "The spreadsheet holds dates or times in place of texts; it makes them of what is typed, so that the text may "
        "not be what is said.",
        "Format these cells as text and type again what is said, or leave the clips out.",
    ),
    "unused-columns": (
        "suspect",
        "Columns that may decide which audio is meant were not used ({detail}).",
        "Leave these clips out or correct the table, if the columns say so; otherwise remove the columns.",
    ),
    "shared-recording": (
        "suspect",
        "Rows give one and the same recording different texts, and each text is learned with all of it.",
        "Name the part of each row in columns start_s and end_s, in seconds, or leave out the wrong rows.",
    ),
    "unused-times": (
        "suspect",
        "Columns look like times but were not used ({detail}), so each text is learned with all of its file.",
        "Name the columns start_s and end_s, in seconds, if they delimit the clips; remove them if they do not.",
    ),
    "assumed-times": (
        "suspect",
        "The table does not say all about its times; they were read as follows: {detail}.",
        "Play these clips, beginning and end; name the columns start_s and end_s, in seconds, if they are cut wrongly.",
    ),
    "markup": (
        "suspect",
        "The transcripts contain marks that are not words: {detail}. Their letters would be learned as if they had "
        "been said, or what they stand for is missing in the text.",
        "Remove them (Marks in transcripts: markup=remove), make each a character of the vocabulary (markup=tokens), "
        "or correct the text.",
    ),
    "parentheses": (
        "suspect",
        "The same words stand in parentheses in several clips: {detail}. If they describe a sound, they were not said.",
        "Play these clips; if the words are not said, remove them, with the character map for instance (such as "
        "(rustling)=).",
    ),
    "number-forms": (
        "suspect",
        "These numbers have other forms beside some words, by gender or case or by habit; they were written as: "
        "{detail}.",
        "Read these texts; write the numbers as words in the transcripts where another form was said.",
    ),
    "dotless-i": (
        "suspect",
        "The texts have İ or ı, as Turkish and Azeri do, but their capitals are lowered as in English: I becomes i, "
        "where ı is said.",
        "Set the language of the transcripts (language=tr, az, crh, …), which decides their lower case.",
    ),
    "assumed-audio": (
        "suspect",
        "The header of these files tells of less audio than follows it; what follows was taken for audio too.",
        "Play these clips up to their ends; export them again, or leave them out if there is noise.",
    ),
    "cut-short": (
        "suspect",
        "The end of these files is missing, so the text may have words that the audio lacks.",
        "Copy these files again; otherwise play their ends and correct the texts.",
    ),
    "undecodable-parts": (
        "suspect",
        "Parts of these files are damaged and were left out, so the text may have words that the audio lacks.",
        "Copy or export these files again, or leave them out.",
    ),
    "fast-speech": (
        "suspect",
        "These clips have far more letters per second than the others (median {median:.1f}), or than anybody speaks: "
        "the text probably contains more than the audio, or the file names a wrong sampling rate, so the loss would "
        "stay high.",
        "Play these clips; correct the text, export the audio again, or leave them out.",
    ),
    "slow-speech": (
        "suspect",
        "These clips have far fewer letters per second than the others (median {median:.1f}): words are missing in the "
        "text, or there is a long silence. The model would learn to leave out words.",
        "Play these clips; correct the text, cut the silence, or leave them out.",
    ),
    "clipped": (
        "suspect",
        "The recording level was too high and the waveform is clipped, which sounds unlike any voice that the model "
        "will be used on.",
        "Record these clips again at a lower level, or leave them out if there is enough other data.",
    ),
    "noisy": (
        "suspect",
        "The background is nearly as loud as the voice (less than {snr:g} dB apart): little can be learned from it.",
        "Leave these clips out, unless the model is meant for such noise.",
    ),
    "duplicate-audio": (
        "suspect",
        "The same recording occurs more than once, which gives it more weight. If its texts differ, the model is "
        "trained on contradictory transcripts.",
        "Leave out the copies.",
    ),
    "leak-audio": (
        "suspect",
        "These recordings are in both the training and the evaluation split: the model has seen the answers, so WER "
        "looks better than it is.",
        "Leave them out of training, or leave out the copies.",
    ),
    "leak-speaker": (
        "advice",
        "{detail}: WER shows how well known voices are recognised, not new ones.",
        "Evaluate on speakers who are not in training (Split by: speaker), if the data has no split of its own.",
    ),
    "leak-text": (
        "advice",
        "{detail}: WER shows how well known sentences are recognised, not new ones. For voice commands this is fine.",
        "Evaluate on other sentences, if the model has to recognise any sentence (Split by: text).",
    ),
    "speaker-balance": (
        "advice",
        "{detail}: the model will recognise that voice best.",
        "Add clips of the other speakers.",
    ),
    "duplicate-text": (
        "advice",
        "{detail}: the model memorises such sentences and may write them for anything that sounds similar.",
        "This is fine for voice commands; otherwise add other sentences.",
    ),
    "little-data": (
        "advice",
        "{detail}: enough to adapt a model that knows this language to a voice or a few words, too little for more.",
        "Start from a model that knows the language, and keep its vocabulary.",
    ),
    "low-rate": (
        "advice",
        "The sampling rate is below 16,000 Hz ({detail}): frequencies above half of it are missing, so s and f sound "
        "alike.",
        "This is fine for a model for telephone speech; otherwise record at 16 kHz or more.",
    ),
    "digits": (
        "advice",
        "The transcripts contain digits, but the text does not show whether 12 was read as twelve or one two: the "
        "model would have to guess.",
        "Spell numbers out.",
    ),
    "spoken-symbols": (
        "advice",
        "{characters} are read aloud but removed from the text, so the audio contains words that the text lacks.",
        "Choose a normaliser that writes them as words, or put them into the character map (such as €=euro).",
    ),
    "symbols": (
        "advice",
        "The vocabulary contains punctuation and symbols: {characters}. They are silent, so the model has to guess "
        "them.",
        "Choose the basic normaliser.",
    ),
    "mixed-case": (
        "advice",
        "The vocabulary contains both lower-case and capital letters, though they sound the same: each is learned from "
        "half of the examples.",
        "Choose the basic normaliser.",
    ),
    "unicode-form": (
        "advice",
        "The same letter is encoded in two ways (as one character, and as a letter and a combining mark): the model "
        "would learn two letters.",
        "Choose the basic normaliser, which composes them (NFC).",
    ),
    "look-alikes": (
        "advice",
        "Letters of different scripts occur in one word ({characters}); they look alike but are different characters "
        "to the model.",
        "Correct the words, or put the letters into the character map.",
    ),
    "mixed-scripts": (
        "advice",
        "A few letters belong to another script than the rest: {characters}. There are too few to learn them.",
        "Leave those clips out, or write them in the script of the rest.",
    ),
    "columns-not-used": (
        "advice",
        "These columns of the table are not used: {detail}.",
        "Rename a column that is meant for something, or choose it; otherwise there is nothing to do.",
    ),
    "untrained-characters": (
        "advice",
        "These characters occur only in the clips to evaluate on, so they cannot be learned and each of them counts as "
        "an error: {characters}.",
        "Add clips with them to train on, correct them if they are typing errors, or put them into the character map.",
    ),
    "wrong-length": (
        "advice",
        "The header of these files tells another length than that of their audio ({detail}); all of it is used.",
        "There is nothing to do; export the files again if other programs read less of them.",
    ),
    "joined-files": (
        "advice",
        "These files hold several recordings one after another ({detail}); all of them are used.",
        "Check that the text is that of all recordings in the file.",
    ),
    "late-start": (
        "advice",
        "By the clock of these files the audio begins late ({detail}); there is silence before it, so that times are "
        "those of the file.",
        "There is nothing to do if the clips have times; otherwise export the audio alone.",
    ),
    "time-gaps": (
        "advice",
        "By the clock of these files the recording was interrupted ({detail}); the gaps are silence, so that times are "
        "those of the file.",
        "There is nothing to do if the clips have times; otherwise export the audio alone.",
    ),
    "opposite-phase": (
        "advice",
        "Channels of these files are in opposite phase ({detail}) and would cancel out; one was inverted before they "
        "were mixed.",
        "There is nothing to do; check the cables and settings of the microphones before the next recording.",
    ),
    "silent-channel": (
        "advice",
        "Only one channel of these files was recorded ({detail} silent); it is used at its full level.",
        "There is nothing to do.",
    ),
    "rare-characters": (
        "advice",
        "These characters occur fewer than {rare} times, too seldom to be learned: {characters}.",
        "Correct them if they are typing errors, or put them into the character map (such as ø=o).",
    ),
}

CHANGES: dict[str, Change] = {
    "file-by-name": "audio",
    "merged-lines": "text",
    "stray-quote": "text",
    "extra-fields": "text",
    "missing-fields": "text",
    "dates-in-texts": "text",
    "other-texts": "text",
    "unused-columns": "audio",
    "shared-recording": "text",
    "unused-times": "audio",
    "assumed-times": "audio",
    "spoken-symbols": "text",
    "unread-numbers": "text",
    "markup": "text",
    "parentheses": "text",
    "number-forms": "text",
    "dotless-i": "text",
    "assumed-audio": "audio",
    "cut-short": "audio",
    "undecodable-parts": "audio",
}
"""code -> what of the data the finding changes; see the top of this module."""


def derive_verdict(num_kept: int, num_dropped: int, findings: Sequence[Finding]) -> Verdict:
    """Return the verdict on a dataset.

    "not-ready" if more than half of the clips, or all, are dropped; "ready" only if none is dropped and no finding
    changes which audio or which text is learned from.
    """
    if not num_kept or num_dropped > num_kept:
        return "not-ready"
    return "ready-with-drops" if num_dropped or any(finding.changes for finding in findings) else "ready"


def make_finding(
    code: str,
    clips: Sequence[int],
    examples: Sequence[str],
    *,
    settings: dict[str, Any] | None = None,
    count: int | None = None,
    **values: Any,
) -> Finding:
    """Make a finding from its entry in `EXPLANATIONS`, with `values` for the placeholders of the cause.

    count: number of clips, if it is not that of `clips`.
    """
    kind, cause, remedy = EXPLANATIONS[code]
    return Finding(
        code,
        cause.format(**values),
        remedy,
        kind=kind,
        count=len(clips) if count is None else count,
        examples=list(examples[:MAX_EXAMPLES]),
        clips=tuple(clips),
        settings=settings or {},
        changes=CHANGES.get(code),
    )
