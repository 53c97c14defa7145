"""What an audit can find: what each would do to a training run, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

EXAMPLES = 5

Kind = Literal["drop", "doubt", "advice"]
"""drop: such clips cannot be used and are left out. doubt: they can, and may be left out. advice: nothing to leave
out."""


@dataclass(frozen=True)
class Finding:
    """One kind of trouble. code: kebab-case; examples: up to five, such as "metadata.csv row 3: clip.flac (0.05 s)".

    clips: their places in what was audited, the worst first, so that they can be heard and left out. settings: what the
    fix would set in a run's configuration, where it is a matter of settings.
    """

    code: str
    count: int
    examples: list[str]
    effect: str
    fix: str
    kind: Kind = "drop"
    clips: tuple[int, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As `audit --json` prints it."""
        return {name: getattr(self, name) for name in ("code", "count", "examples", "effect", "fix")}


# code -> (kind, effect, fix). The first seven are in the order of the checks: a clip is dropped for the first that
# applies.
EXPLANATIONS: dict[str, tuple[Kind, str, str]] = {
    "unreadable-audio": (
        "drop",
        "The file is missing, cut off or not audio, so nothing can be learned from it.",
        "Copy or export these files again as WAV, FLAC, OGG/Opus or MP3.",
    ),
    "zero-length": ("drop", "The file holds no audio.", "Record these utterances again, or remove their rows."),
    "too-short": (
        "drop",
        "Clips under {minimum:g} s hold no word, and give the model too few frames to work on.",
        "Record them again, or remove their rows.",
    ),
    "too-long": (
        "drop",
        "One clip over {maximum:g} s fills the memory of a whole batch, and training may run out of it.",
        "Cut these recordings at pauses, or raise the longest duration if there is memory.",
    ),
    "silent": (
        "drop",
        "Nothing can be heard, so the model would learn to write words into silence.",
        "Record them again, or remove their rows.",
    ),
    "empty-transcript": (
        "drop",
        "Nothing is left of the text after normalising, which would teach the model to be silent.",
        "Fill in the text, remove the rows, or choose another normaliser.",
    ),
    "unknown-characters": (
        "drop",
        "The model cannot write these characters: {characters}.",
        "Write digits out as words, choose a normaliser that removes the others or matches the model's case, or build "
        "the vocabulary from this data.",
    ),
    "label-too-long": (
        "drop",
        "The text has more characters than the audio has frames (one each 20 ms): the CTC loss would be infinite.",
        "Check that text and audio belong together; otherwise remove the rows.",
    ),
    "poor-alignment": (
        "doubt",
        "The transcript fits the audio far worse than in the other clips; it is probably of another clip, or "
        "words are missing. A model that is taught wrong words hears worse everywhere.",
        "Hear them, the worst first; correct the text or leave them out.",
    ),
    "fast-speech": (
        "doubt",
        "Far more letters a second than the other clips (median {median:.1f}): the text probably says more "
        "than "
        "the audio, so the loss would stay high.",
        "Hear them; correct the text or leave them out.",
    ),
    "slow-speech": (
        "doubt",
        "Far fewer letters a second than the other clips (median {median:.1f}): words are missing in the "
        "text, or "
        "there is a long silence. The model would learn to leave words out.",
        "Hear them; correct the text, cut the silence, or leave them out.",
    ),
    "clipped": (
        "doubt",
        "The recording was too loud and its waves are cut off, which sounds like no voice that will be heard later.",
        "Record them again at a lower level, or leave them out if there is enough other data.",
    ),
    "noisy": (
        "doubt",
        "The background is nearly as loud as the voice (under {snr:g} dB apart): little can be learned from it.",
        "Leave them out, unless the model is to work in such noise.",
    ),
    "duplicate-audio": (
        "doubt",
        "The same recording is there more than once, and counts as often. With different texts it is taught "
        "as "
        "two different things.",
        "Leave out the copies.",
    ),
    "leak-audio": (
        "doubt",
        "These recordings are evaluated on and trained on: the model has seen the answers, so WER looks "
        "better "
        "than it is.",
        "Leave them out of training, or leave out the copies.",
    ),
    "leak-speaker": (
        "advice",
        "{detail}: WER tells how well known voices are heard, not new ones.",
        "Hold out whole speakers (Held out by: speaker), where the data has no split of its own.",
    ),
    "leak-text": (
        "advice",
        "{detail}: WER tells how well known sentences are heard, not new ones. For commands that is as it should be.",
        "Evaluate on other sentences, if the model is to understand any (Held out by: text).",
    ),
    "speaker-balance": ("advice", "{detail}: the model will hear that voice best.", "Add clips of the others."),
    "duplicate-text": (
        "advice",
        "{detail}: the model learns such sentences by heart and may write them where something like them is said.",
        "Fine for commands; otherwise add other sentences.",
    ),
    "little-data": (
        "advice",
        "{detail}: enough to make a model that knows this language used to a voice or a few words, too "
        "little "
        "for more.",
        "Start from a model that knows the language, and keep its vocabulary.",
    ),
    "low-rate": (
        "advice",
        "Recorded below 16,000 samples a second ({detail}): nothing above half of that can be heard in it, "
        "so "
        "s and f sound alike.",
        "Fine for a model that is to work on the telephone; otherwise record at 16 kHz or more.",
    ),
    "digits": (
        "advice",
        "Digits are in the transcripts, but nobody hears whether 12 was said as twelve or one two: the model "
        "would guess.",
        "Spell numbers out.",
    ),
    "spoken-symbols": (
        "advice",
        "{characters} are read out but removed from the text, so the audio says words that the text lacks.",
        "Choose a normaliser that writes them as words, or put them into the character map (such as €=euro).",
    ),
    "symbols": (
        "advice",
        "Punctuation and symbols are in the vocabulary: {characters}. They are not heard, so the model has "
        "to guess "
        "them.",
        "Choose the basic normaliser.",
    ),
    "mixed-case": (
        "advice",
        "Small and capital letters are both in the vocabulary, though they sound the same: each is learned "
        "from "
        "from half of the examples.",
        "Choose the basic normaliser.",
    ),
    "unicode-form": (
        "advice",
        "The same letter is written in two ways (as one character, and as a letter and a mark): the model "
        "would "
        "would learn two of it.",
        "Choose the basic normaliser, which writes them in one way (NFC).",
    ),
    "look-alikes": (
        "advice",
        "Letters of different scripts are in one word ({characters}); they look alike but are different "
        "characters to the model.",
        "Correct the words, or put the letters into the character map.",
    ),
    "mixed-scripts": (
        "advice",
        "A few letters are of another script than the rest: {characters}. There are too few to learn them.",
        "Leave those clips out, or write them in the script of the rest.",
    ),
    "rare-characters": (
        "advice",
        "These are in the text fewer than {rare} times, too seldom to be learned: {characters}.",
        "Correct them if they are typing errors, or put them into the character map (such as ø=o).",
    ),
}


def finding(
    code: str,
    clips: Sequence[int],
    examples: Sequence[str],
    *,
    settings: dict[str, Any] | None = None,
    count: int | None = None,
    **words: Any,
) -> Finding:
    """The finding with its explanation filled in with `words`."""
    kind, effect, fix = EXPLANATIONS[code]
    return Finding(
        code,
        len(clips) if count is None else count,
        list(examples[:EXAMPLES]),
        effect.format(**words),
        fix,
        kind,
        tuple(clips),
        settings or {},
    )
