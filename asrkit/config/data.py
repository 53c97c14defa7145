"""DataSettings: which speech a run learns from, and how its transcripts are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from asrkit.config.fields import setting

_setting = partial(setting, group="Data")


@dataclass(frozen=True)
class DataSettings:
    """The fields of TrainConfig in the form's group Data."""

    preset: str = _setting(
        "demo",
        "Preset",
        "The preset that the other values are based on.",
        basic=True,
    )
    model: str = _setting(
        "starter",
        "Base model",
        "What to fine-tune: starter, a Hub id, or a checkpoint directory.",
        basic=True,
    )
    train: str = _setting(
        "callsigns",
        "Dataset",
        "callsigns, a folder, CSV, TSV, JSONL, or hub:owner/name[:config][:split]; several with + between them.",
        basic=True,
    )
    mix: str = _setting(
        "",
        "Weights of the datasets",
        "How much audio of each of several datasets is trained on: 2,1 takes twice as much of the first as of the "
        "second. An epoch stays as long; clips of a small dataset come several times. Left empty, each comes once.",
    )
    eval: str = _setting(
        "",
        "Evaluation dataset",
        "Left empty, the dataset's own evaluation split is used, else a share of the data.",
    )
    eval_share: float = _setting(
        0.1,
        "Evaluation share",
        "Share of the data to evaluate on when there is no evaluation split; by speaker where speakers are known.",
        low=0.01,
        high=0.5,
    )
    eval_count: int = _setting(
        0,
        "Evaluation clips",
        "Evaluate on this many clips instead, also of a split or dataset of its own, fewer where whole speakers or "
        "sentences go together; 0 uses the share, or all of the split.",
        low=0,
        high=100_000,
    )
    stream: str = _setting(
        "auto",
        "Stream",
        "Of a dataset of the Hub in parquet files: yes fetches the texts alone, and the audio piece by piece while "
        "training goes on, through a cache; auto does so where the dataset is larger than the room on the disk.",
        choices=("auto", "yes", "no"),
    )
    stream_cache_gb: float = _setting(
        20.0,
        "Stream cache (GB)",
        "Disk space for streamed audio. What was not used for longest is removed, and fetched again when it is needed.",
        low=0.001,
        high=100_000,
    )
    text_column: str = _setting(
        "",
        "Text column",
        "Left empty, it is recognised by its name.",
    )
    audio_column: str = _setting(
        "",
        "Audio column",
        "Left empty, it is recognised by its name.",
    )
    speaker_column: str = _setting(
        "",
        "Speaker column",
        "Left empty, it is recognised by its name; - for none.",
    )
    tiers: str = _setting(
        "",
        "Tiers",
        "Of annotated recordings (ELAN, Praat, ...): names separated by commas, with * for anything, or type:NAME; "
        "speaker:NAME takes only that speaker. Left empty, the transcription is recognised by names and types.",
    )
    split_by: str = _setting(
        "auto",
        "Split by",
        "speaker: no speaker is in both splits; auto does so where two or more speakers are known. text: no sentence "
        "is in both splits. Identical recordings always stay in one split.",
        choices=("auto", "speaker", "text", "random"),
    )
    normaliser: str = _setting(
        "basic",
        "Text normaliser",
        "Applied to references before training, and to references and hypotheses for WER and CER.",
        choices=("none", "basic", "english", "german", "spanish", "french", "chinese", "code-switched", "indic"),
    )
    spell_numbers: str = _setting(
        "",
        "Spell numbers out",
        "Language in which numbers are written as words: en, de, es, fr, ... Left empty, digits stay.",
    )
    markup: str = _setting(
        "keep",
        "Marks in transcripts",
        "What becomes of <noise>, [laughter], (breath), <COMMA>, {…} and *. keep: their letters stay, as words. "
        "remove: they are left out. tokens: each becomes one character of the vocabulary, ※ or the punctuation that it "
        "names.",
        choices=("keep", "remove", "tokens"),
    )
    character_map: str = _setting(
        "",
        "Character map",
        "Replacements in transcripts, separated by spaces: ё=е №=number. Nothing after = removes the character.",
    )
    graphemes: str = _setting(
        "",
        "Graphemes",
        "Letters of several characters that get a token each, separated by spaces: ch ng ɛ̃. auto: those that Unicode "
        "counts as one letter, where they occur 20 times.",
    )
    vocabulary: str = _setting(
        "auto",
        "Vocabulary",
        "auto: the base model's characters, and those of the data that it lacks, except digits. keep: the base model's "
        "alone; others are rejected. extend: adds digits too. fresh: built from the data. A base model without an "
        "output layer always gets a fresh one.",
        choices=("auto", "keep", "extend", "fresh"),
    )
    drop_bad_clips: bool = _setting(
        False,
        "Leave out bad clips",
        "Train without the clips that cannot be used, instead of not starting.",
    )
    accept_assumptions: bool = _setting(
        False,
        "Accept assumptions",
        "Train on data that was read on assumptions, which change which audio or text is learned from, instead of not "
        "starting.",
    )
    min_duration_s: float = _setting(
        0.1,
        "Shortest clip (s)",
        "Shorter clips are left out.",
        low=0.03,
        high=60,
    )
    max_duration_s: float = _setting(
        20.0,
        "Longest clip (s)",
        "Longer clips are left out.",
        low=0.5,
        high=600,
    )
    language: str = _setting(
        "",
        "Language",
        "Of the transcripts, as a code: en, es, zh, ... It is on the model card, and in tr, az and other languages "
        "with ı the capitals I and İ become ı and i.",
    )
