"""A language model beside a checkpoint, as transformers' `Wav2Vec2ProcessorWithLM` and pyctcdecode read it.

`alphabet.json` has what each output writes; `language_model/` has an n-gram model, its words and the weights of the
search. Neither pyctcdecode nor, but for a file of its own, kenlm is needed to write them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from asrkit.data import manifest
from asrkit.decoding.arpa import write_arpa
from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.kenlm_model import KenLM
from asrkit.decoding.ngram import LanguageModel
from asrkit.decoding.tokens import Speller
from asrkit.errors import ConfigError, ModelError
from asrkit.files import write_json
from asrkit.models import weights
from asrkit.runs.run import Run
from asrkit.text.normalisers import normalise
from asrkit.transcription.transcriber import Transcriber

PROCESSOR_CLASS = "Wav2Vec2ProcessorWithLM"
TOKENIZER_CLASS = "Wav2Vec2CTCTokenizer"
EXTRACTOR_CLASSES = ("Wav2Vec2FeatureExtractor", "SeamlessM4TFeatureExtractor")
"""The classes of which it takes tokenizer and feature extractor."""
BLANK, SPACE, UNKNOWN = "", " ", "⁇"
"""What pyctcdecode calls the blank, the delimiter between words, and unknown characters."""
WEIGHTS = {"alpha": 0.5, "beta": 1.5, "unk_score_offset": -10.0, "score_boundary": True}
"""Of the search, pyctcdecode's defaults: of the language model, of each word, of each unknown word (log10)."""
FOLDER = "language_model"


def write_checkpoint(transcriber: Transcriber, folder: Path, hints: DecodingHints) -> None:
    """Write a model with its processor and a language model into a folder.

    The language model is the KenLM file of the hints, else is estimated from their text, else from the training
    transcripts of the model's run. Raises ConfigError where there is none of them, ModelError for a model that
    `Wav2Vec2ProcessorWithLM` does not decode.
    """
    labels = list_labels(transcriber)
    checkpoint = Path(transcriber.engine.checkpoint)
    model, _ = weights.load_model(checkpoint, transcriber.engine.model.config)  # the engine's is prepared for inference
    model.save_pretrained(folder)
    transcriber.processor.save_pretrained(folder)
    for path in folder.glob("*_config.json"):
        settings = json.loads(path.read_text(encoding="utf-8"))
        if "processor_class" in settings:
            write_json(path, settings | {"processor_class": PROCESSOR_CLASS})
    write_json(folder / "alphabet.json", {"labels": labels, "is_bpe": False})
    (folder / FOLDER).mkdir()
    words = _write_model(transcriber, folder / FOLDER, hints, labels)
    (folder / FOLDER / "unigrams.txt").write_text("\n".join(words), encoding="utf-8")
    write_json(folder / FOLDER / "attrs.json", WEIGHTS)


def list_labels(transcriber: Transcriber) -> list[str]:
    """Return what each output writes, as pyctcdecode's alphabet. Raises ModelError as `write_checkpoint` does."""
    tokenizer, anatomy = transcriber.processor.tokenizer, transcriber.engine.anatomy
    extractor = type(transcriber.processor.feature_extractor).__name__
    if type(tokenizer).__name__ != TOKENIZER_CLASS or extractor not in EXTRACTOR_CLASSES:
        raise ModelError(
            f"{PROCESSOR_CLASS} decodes only models that write single characters (wav2vec 2.0 and its kin), not "
            f"{transcriber.engine.checkpoint}; export it as onnx."
        )
    names = {number: token for token, number in Speller.from_tokenizer(tokenizer).vocabulary.items()}
    if anatomy.blank_id != tokenizer.pad_token_id or set(names) != set(range(anatomy.head.num_rows)):
        raise ModelError(
            f"{PROCESSOR_CLASS} takes the padding token for the blank and a token for each output, which "
            f"{transcriber.engine.checkpoint} does not have; export it as onnx."
        )
    special = {tokenizer.pad_token_id: BLANK, tokenizer.word_delimiter_token_id: SPACE, tokenizer.unk_token_id: UNKNOWN}
    return [special.get(number, names[number]) for number in range(anatomy.head.num_rows)]


def _write_model(transcriber: Transcriber, folder: Path, hints: DecodingHints, labels: list[str]) -> list[str]:
    """Write the n-gram model, and return its words."""
    if hints.language_model:
        file = Path(hints.language_model)
        words = list(KenLM(file).words)
        shutil.copyfile(file, folder / f"{file.stem}{'.arpa' if file.suffix == '.arpa' else '.bin'}")
        return words
    model = LanguageModel(_spell(text, transcriber, labels) for text in _find_sentences(transcriber, hints))
    write_arpa(model, folder / "model.arpa")
    return list(model.words)


def _find_sentences(transcriber: Transcriber, hints: DecodingHints) -> list[str]:
    if hints.text.strip():
        return [normalise(line, "basic") for line in hints.text.splitlines()]
    run = Run.of_checkpoint(Path(transcriber.engine.checkpoint))
    path = run.manifest_path("train") if run else None
    if path is None or not path.exists():
        raise ConfigError(
            f"{transcriber.engine.checkpoint} has no training transcripts to estimate a language model from; give a "
            "text (--expect) or a KenLM file (--language-model)."
        )
    return [row.text for row in manifest.read(path)]


def _spell(text: str, transcriber: Transcriber, labels: list[str]) -> str:
    """Return a text in the letters that the model writes: words that it cannot are left out."""
    speller = Speller.from_tokenizer(transcriber.processor.tokenizer)
    spellings = (speller.spell_word(word) for word in text.split())
    return " ".join("".join(labels[token] for token in tokens) for tokens in spellings if tokens)
