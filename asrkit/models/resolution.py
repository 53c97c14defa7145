"""What a MODEL argument means: a run id, a run or checkpoint directory, a Hub id, or `starter`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from asrkit import hub
from asrkit.data import access
from asrkit.decoding import ctc
from asrkit.errors import ModelError
from asrkit.runs import events
from asrkit.runs.store import RUN_ID, Run, RunStore

STARTER = "starter"
STARTER_DIR = Path(__file__).resolve().parents[2] / "assets" / "starter"
CTC_TYPES = frozenset(
    "wav2vec2 wav2vec2-bert wav2vec2-conformer hubert wavlm data2vec-audio unispeech unispeech-sat sew sew-d".split())
"""`model_type`s that `AutoModelForCTC` loads from 16 kHz speech."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def resolve(name: str, store: RunStore) -> Path | None:
    """The checkpoint's directory; None for a Hub id. ModelError in one sentence where `name` is neither."""
    if _is_name(name, store):
        return STARTER_DIR if name in ("", STARTER) else _of_run(Run(store.root / name))
    # os.path, for a name that is no path at all is then no directory, instead of an exception.
    path = Path(os.path.expanduser(name))
    if not access.Gate([store.root]).opens(path.absolute()):
        if HUB_ID.fullmatch(name):
            return None
        raise ModelError(f"There is no model {name!r}: it is no run in {store.root}, no Hub id (owner/name) and no "
                         "directory that may be read here.")
    if os.path.isdir(path):
        if (path / "events.jsonl").exists() or (path / "checkpoints").is_dir():
            return _of_run(Run(path))
        check_directory(path)
        return path
    if os.path.exists(path):
        raise ModelError(f"Model {name} is a file; give the checkpoint's directory.")
    if HUB_ID.fullmatch(name) and not name.startswith((".", "/")):
        return None
    raise ModelError(f"There is no model {name!r}: it is no run in {store.root}, no directory and no Hub id "
                     f"(owner/name); `python -m asrkit runs list` shows the runs.")


def fetch(name: str, store: RunStore, *, language: str = "", told: hub.Told | None = None) -> Path:
    """The directory of the checkpoint, on this disk; told: how much of one from the Hub is there.

    language: of an MMS model, of whose thousand adapters only that one is fetched. ModelError as `resolve` raises it
    and for what is no CTC speech model, before its weights are fetched; HubError for what cannot be had from the Hub.
    """
    found = resolve(name, store)
    if found:
        return found
    known = _fetched.get((name, language))
    if known is None or not known.is_dir():
        repository = hub.look(name, "model")
        called = f"model {name} on the Hugging Face Hub"
        needed = _needed(list(repository.sizes), language)
        if "config.json" not in needed:
            raise ModelError(f"The {called} is no model: it has no config.json; give a Hugging Face checkpoint.")
        _check_type(hub.fetch(repository, ["config.json"], told), called)
        known = hub.fetch(repository, needed, told)
        check_directory(known, called)
        _fetched[name, language] = known
    return known


def at_hand(name: str, store: RunStore) -> bool:
    """Whether it lies on this disk, as far as that is known without asking the Hub. ModelError as `resolve` raises it.
    """
    return resolve(name, store) is not None or (name, "") in _fetched


_fetched: dict[tuple[str, str], Path] = {}
"""(Hub id, language) -> folder: the Hub is asked once in the life of a process."""


def _needed(paths: list[str], language: str) -> list[str]:
    """Settings and vocabularies, and the weights once, though a repository may hold them for three frameworks."""
    weights = next((name for name in WEIGHTS if name in paths), "")
    shards = weights.removesuffix(".index.json").rpartition(".") if weights.endswith(".index.json") else None
    adapters = (f"adapter.{language}.safetensors", f"adapter.{language}.bin")
    adapter = next((name for name in adapters if name in paths), "")
    return [path for path in paths if "/" not in path and (
        path in (weights, adapter) or path.endswith(".txt") or (path.endswith(".json") and ".index." not in path)
        or (shards and path.startswith(f"{shards[0]}-") and path.endswith(f".{shards[2]}")))]


def lasting(name: str, store: RunStore) -> str:
    """`name` so that it means the same from any working directory. ModelError as `resolve` raises it."""
    if resolve(name, store) is None or _is_name(name, store):
        return name
    return os.path.abspath(os.path.expanduser(name))


def _is_name(name: str, store: RunStore) -> bool:
    """Whether `name` is the starter or a run of the store: these come before a directory that is called so."""
    return name in ("", STARTER) or bool(RUN_ID.fullmatch(name)) and (store.root / name / "config.json").exists()


def check_directory(path: Path, called: str = "") -> None:
    """ModelError, which calls `path` so, unless it holds a CTC speech model in the Hugging Face layout."""
    called = called or f"directory {path}"
    _check_type(path, called)
    if not any((path / name).exists() for name in WEIGHTS):
        raise ModelError(f"The {called} has a config.json but no weights (model.safetensors); give all of it.")


def _check_type(path: Path, called: str) -> None:
    told = read_config(path)
    if told is None:
        raise ModelError(f"The {called} is no model: it has no config.json; give a Hugging Face checkpoint.")
    kind = told.get("model_type")
    if kind not in CTC_TYPES:
        raise ModelError(f"The {called} is of type {kind!r}, which is no CTC speech model; "
                         f"choose one of {', '.join(sorted(CTC_TYPES))}.")


def read_config(path: Path) -> dict[str, Any] | None:
    """The checkpoint's `config.json`, or None where there is none. ModelError if it is damaged."""
    try:
        told = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{path / 'config.json'} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path / 'config.json'} holds no settings; the checkpoint is damaged.")
    return told


def read_vocabulary(path: Path, language: str = "") -> dict[str, int] | None:
    """Token -> id of a local CTC checkpoint, or None where it has no output layer yet.

    An MMS vocabulary is nested by language: that of `language` is taken, else of the one its tokenizer is set to.
    ModelError where it has none for `language`.
    """
    told = _vocabulary_file(path)
    if told is None:
        return None
    if is_nested(told):
        if language:
            return language_vocabulary(told, language, str(path))
        settings = path / "tokenizer_config.json"
        language = json.loads(settings.read_text(encoding="utf-8")).get("target_lang") if settings.exists() else None
        told = told.get(language) or next(iter(told.values()))
    return told


def _vocabulary_file(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((path / "vocab.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{path / 'vocab.json'} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path / 'vocab.json'} holds no vocabulary; the checkpoint is damaged.")
    return told


def is_nested(vocabulary: dict[str, Any]) -> bool:
    """Whether it is one of MMS: a vocabulary for each language."""
    return bool(vocabulary) and all(isinstance(value, dict) for value in vocabulary.values())


def check_language(path: Path, language: str) -> None:
    """ModelError if the local MMS checkpoint at `path` has no adapter for `language`; others have one vocabulary."""
    told = _vocabulary_file(path)
    if told is not None and is_nested(told):
        language_vocabulary(told, language, str(path))


def language_vocabulary(nested: dict[str, dict[str, int]], language: str, name: str) -> dict[str, int]:
    """The vocabulary of one language of the MMS model called `name`. ModelError if it does not have that language."""
    if language in nested:
        return nested[language]
    known = ", ".join(sorted(nested)[:8]) + (" and others" if len(nested) > 8 else "")
    wanted = f"has no language {language!r}" if language else f"has a vocabulary for each of {len(nested)} languages"
    raise ModelError(f"The base model {name} {wanted}; set MMS language (adapter_language) to one of {known}, "
                     "or Vocabulary to fresh.")


def known_characters(path: Path, language: str = "") -> set[str] | None:
    """The characters that a local CTC checkpoint can spell, also in lower case where it has capitals alone (see
    `ctc.lowered`), or None where it has no output layer yet."""
    vocabulary = read_vocabulary(path, language)
    if not vocabulary:
        return None
    known = {token for token in (vocabulary | ctc.lowered(vocabulary, ["a"])) if len(token) == 1}
    return known - {ctc.DELIMITER}


def _of_run(run: Run) -> Path:
    if run.has_model():
        return run.model_dir
    if run.checkpoints():
        return run.checkpoints()[-1]
    raise ModelError(f"Run {run.id} has no model yet; wait for its first evaluation, or choose another.")


def processor(checkpoint: str | Path) -> Any:
    """The processor of a checkpoint: feature extractor and tokenizer, or the former alone where there is no more.

    One that was published with a language model is taken without it: transformers needs pyctcdecode for that, and what
    comes out would no longer be what the model hears. Raises what transformers does.
    """
    from transformers import (
        AutoFeatureExtractor,
        AutoProcessor,
        AutoTokenizer,
        Wav2Vec2BertProcessor,
        Wav2Vec2Processor,
    )

    try:
        loaded = AutoProcessor.from_pretrained(checkpoint)
    except ImportError:
        loaded = None
    if loaded is not None and not type(loaded).__name__.endswith("WithLM"):
        return loaded
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint)
    kind = Wav2Vec2BertProcessor if "input_features" in extractor.model_input_names else Wav2Vec2Processor
    return kind(extractor, AutoTokenizer.from_pretrained(checkpoint))


def choices(store: RunStore) -> list[tuple[str, str]]:
    """(label, value) of what can be chosen without typing: runs with a model, newest first, then the starter."""
    runs = [(f"Run {run.id}", run.id) for run in store.all() if run.has_model()]
    return [*runs, ("Starter (general English, small)", STARTER)]


def default(store: RunStore) -> str:
    """The newest run that has ended with a model, else the starter."""
    ended = (run.id for run in store.all() if run.has_model() and _ended_well(run))
    return next(ended, STARTER)


def _ended_well(run: Run) -> bool:
    told = run.last_events()
    return bool(told) and told[-1].kind in (events.FINISHED, events.STOPPED)
