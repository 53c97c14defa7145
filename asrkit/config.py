"""TrainConfig: one frozen, validated declaration of all settings, for the form, the command line and the model card."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asrkit.errors import ConfigError
from asrkit.languages import has_dotless_i

PRESETS_DIR = Path(__file__).parent / "presets"
METRICS = ("wer", "cer", "mer", "loss")
DEVICE = re.compile(r"cpu|mps|cuda:[\w-]+")


def _setting(
    default: Any,
    label: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    basic: bool = False,
    group: str = "Training",
) -> Any:
    """Declare a field with the metadata for the form, the flags and error messages. Bounds are inclusive."""
    return field(
        default=default,
        metadata={
            "label": label,
            "help": help,
            "low": low,
            "high": high,
            "choices": choices,
            "basic": basic,
            "group": group,
        },
    )


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run. Values are validated on creation (ConfigError)."""

    preset: str = _setting("demo", "Preset", "The preset that the other values are based on.", basic=True, group="Data")
    model: str = _setting(
        "starter",
        "Base model",
        "What to fine-tune: starter, a Hub id, or a checkpoint directory.",
        basic=True,
        group="Data",
    )
    train: str = _setting(
        "callsigns",
        "Dataset",
        "callsigns, a folder, CSV, TSV, JSONL, or hub:owner/name[:config][:split].",
        basic=True,
        group="Data",
    )
    eval: str = _setting(
        "",
        "Evaluation dataset",
        "Left empty, the dataset's own evaluation split is used, else a share of the data.",
        group="Data",
    )
    eval_share: float = _setting(
        0.1,
        "Evaluation share",
        "Share of the data to evaluate on when there is no evaluation split; by speaker where speakers are known.",
        low=0.01,
        high=0.5,
        group="Data",
    )
    eval_count: int = _setting(
        0,
        "Evaluation clips",
        "Evaluate on this many clips instead, fewer where whole speakers or sentences go together; 0 uses the share.",
        low=0,
        high=100_000,
        group="Data",
    )
    text_column: str = _setting("", "Text column", "Left empty, it is recognized by its name.", group="Data")
    audio_column: str = _setting("", "Audio column", "Left empty, it is recognized by its name.", group="Data")
    speaker_column: str = _setting(
        "", "Speaker column", "Left empty, it is recognized by its name; - for none.", group="Data"
    )
    split_by: str = _setting(
        "auto",
        "Split by",
        "speaker: no speaker is in both splits; auto does so where two or more speakers are known. text: no sentence "
        "is in both splits. Identical recordings always stay in one split.",
        choices=("auto", "speaker", "text", "random"),
        group="Data",
    )
    normaliser: str = _setting(
        "basic",
        "Text normaliser",
        "Applied to references before training, and to references and hypotheses for WER and CER.",
        choices=("none", "basic", "english", "german", "spanish", "french", "chinese", "code-switched", "indic"),
        group="Data",
    )
    spell_numbers: str = _setting(
        "",
        "Spell numbers out",
        "Language in which numbers are written as words: en, de, es, fr, ... Left empty, digits stay.",
        group="Data",
    )
    markup: str = _setting(
        "keep",
        "Marks in transcripts",
        "What becomes of <noise>, [laughter], (breath), <COMMA>, {…} and *. keep: their letters stay, as words. "
        "remove: they are left out. tokens: each becomes one character of the vocabulary, ※ or the punctuation that it "
        "names.",
        choices=("keep", "remove", "tokens"),
        group="Data",
    )
    character_map: str = _setting(
        "",
        "Character map",
        "Replacements in transcripts, separated by spaces: ё=е №=number. Nothing after = removes the character.",
        group="Data",
    )
    vocabulary: str = _setting(
        "auto",
        "Vocabulary",
        "auto: the base model's characters, and those of the data that it lacks, except digits. keep: the base model's "
        "alone; others are rejected. extend: adds digits too. fresh: built from the data. A base model without an "
        "output layer always gets a fresh one.",
        choices=("auto", "keep", "extend", "fresh"),
        group="Data",
    )
    drop_bad_clips: bool = _setting(
        False,
        "Leave out bad clips",
        "Train without the clips that cannot be used, instead of not starting.",
        group="Data",
    )
    accept_assumptions: bool = _setting(
        False,
        "Accept assumptions",
        "Train on data that was read on assumptions, which change which audio or text is learned from, instead of not "
        "starting.",
        group="Data",
    )
    min_duration_s: float = _setting(
        0.1, "Shortest clip (s)", "Shorter clips are left out.", low=0.03, high=60, group="Data"
    )
    max_duration_s: float = _setting(
        20.0, "Longest clip (s)", "Longer clips are left out.", low=0.5, high=600, group="Data"
    )
    language: str = _setting(
        "",
        "Language",
        "Of the transcripts, as a code: en, es, zh, ... It is on the model card, and in tr, az and other languages "
        "with ı the capitals I and İ become ı and i.",
        group="Data",
    )

    learning_rate: float = _setting(
        5e-4,
        "Learning rate",
        "Peak learning rate. Large pretrained models need 1e-5 to 1e-4.",
        low=1e-7,
        high=0.1,
        basic=True,
    )
    head_learning_rate: float = _setting(
        0.0,
        "Head learning rate",
        "Peak learning rate of the output layer; 0 uses the learning rate. A new layer may learn 10 times faster.",
        low=0,
        high=1,
    )
    num_epochs: float = _setting(5.0, "Epochs", "Passes over the training data.", low=0.01, high=10_000, basic=True)
    max_steps: int = _setting(
        0, "Maximum steps", "Stop after this many optimizer steps; 0 trains for the epochs.", low=0, high=10_000_000
    )
    train_batch_size: int = _setting(
        8,
        "Batch size (clips)",
        "Clips per batch; used when the size in seconds is 0.",
        low=1,
        high=4096,
        basic=True,
    )
    batch_seconds: float = _setting(
        0.0,
        "Batch size (seconds)",
        "Seconds of audio per batch, padding included; 0 counts clips instead.",
        low=0,
        high=10_000,
        basic=True,
    )
    eval_batch_size: int = _setting(8, "Evaluation batch size", "Clips per batch during evaluation.", low=1, high=4096)
    gradient_accumulation_steps: int = _setting(
        1, "Gradient accumulation", "Batches per optimizer step.", low=1, high=1024
    )
    warmup_steps: int = _setting(
        0, "Warm-up steps", "Steps over which the learning rate rises from 0.", low=0, high=1_000_000
    )
    lr_scheduler_type: str = _setting(
        "linear",
        "Schedule",
        "How the learning rate falls after the warm-up.",
        choices=("linear", "cosine", "constant", "constant_with_warmup"),
    )
    adam_beta1: float = _setting(0.9, "Adam beta 1", "Decay of the mean of gradients.", low=0, high=0.9999)
    adam_beta2: float = _setting(0.999, "Adam beta 2", "Decay of the mean of squared gradients.", low=0, high=0.99999)
    adam_epsilon: float = _setting(1e-8, "Adam epsilon", "Added to the denominator for stability.", low=1e-12, high=0.1)
    weight_decay: float = _setting(
        0.0, "Weight decay", "Strength of the pull of the weights towards zero.", low=0, high=1
    )
    max_grad_norm: float = _setting(1.0, "Gradient clipping", "Maximum gradient norm.", low=1e-3, high=1e6)
    seed: int = _setting(42, "Seed", "Determines data order, augmentation and initial weights.", low=0, high=2**31 - 1)
    mixed_precision: str = _setting(
        "auto",
        "Mixed precision",
        "auto uses bf16 where the device computes it in hardware, else fp16 on a GPU with tensor cores, else float32.",
        choices=("auto", "no", "bf16", "fp16"),
    )
    processes: int = _setting(
        1,
        "Processes",
        "Worker processes, one for each GPU; each of them takes a batch of the given size.",
        low=1,
        high=64,
    )
    device: str = _setting(
        "auto",
        "Device",
        "auto uses the first free device; cuda:1 waits for that GPU, cuda:0,cuda:1 (two processes) for both; cpu uses "
        "no GPU.",
    )
    gradient_checkpointing: bool = _setting(
        False, "Gradient checkpointing", "Uses less memory and is about a third slower."
    )
    torch_compile: bool = _setting(
        False,
        "Compile the model",
        "torch.compile: takes minutes at the start, then faster steps on a GPU. Needs a C++ compiler.",
    )
    cache_gb: float = _setting(
        2.0,
        "Memory for caches (GB)",
        "For the next epochs: decoded audio, if one process decodes, and the output of a frozen feature encoder, "
        "where results stay the same; 0 caches nothing.",
        low=0,
        high=1000,
    )

    freeze: str = _setting(
        "feature-encoder",
        "Freeze",
        "Which weights are not trained. all-but-adapters trains small added layers and the output layer: "
        "for MMS and other large wav2vec2 models.",
        choices=("nothing", "feature-encoder", "all-but-adapters", "all-but-head"),
        group="Model",
    )
    adapter_language: str = _setting(
        "",
        "MMS language",
        "For MMS: the language whose adapter and vocabulary to start from, as ISO 639-3 (eng, spa, swh).",
        group="Model",
    )
    add_adapter: bool = _setting(
        False,
        "Adapter behind the encoder",
        "Adds a small layer that halves the frames: w2v-BERT learns badly without one. Labels must fit into the fewer "
        "frames.",
        group="Model",
    )
    blank_id: int = _setting(
        -1,
        "CTC blank",
        "The output that is the base model's CTC blank; -1 finds it. Set it where a converted model asks for it.",
        low=-1,
        high=10_000_000,
        group="Model",
    )
    head_first_steps: int = _setting(
        0,
        "Head-first steps",
        "Train only the output layer for this many steps, then the rest as well.",
        low=0,
        high=1_000_000,
        group="Model",
    )
    hidden_dropout: float = _setting(
        0.0, "Dropout", "In the Transformer layers and around them.", low=0, high=0.9, group="Model"
    )
    attention_dropout: float = _setting(
        0.0, "Attention dropout", "On attention weights.", low=0, high=0.9, group="Model"
    )
    layerdrop: float = _setting(
        0.0, "Layer drop", "Probability that a layer is skipped.", low=0, high=0.9, group="Model"
    )
    mask_time_prob: float = _setting(
        0.0, "Time masking", "Share of frames that SpecAugment hides.", low=0, high=0.9, group="Model"
    )
    mask_time_length: int = _setting(
        10, "Mask length (frames)", "A frame is 20 ms in most models.", low=1, high=100, group="Model"
    )
    augmentation: str = _setting(
        "none",
        "Augmentation",
        "Varies the speaker, room, line and background of every clip in every epoch.",
        choices=("none", "light", "strong"),
        group="Model",
    )

    eval_steps: int = _setting(
        0, "Evaluate every (steps)", "0 evaluates at the end of each epoch.", low=0, high=1_000_000, group="Evaluation"
    )
    eval_on_start: bool = _setting(
        True, "Evaluate before training", "Shows the error rates of the base model.", group="Evaluation"
    )
    decoding: str = _setting(
        "greedy",
        "Decoding",
        "greedy: any spelling. words: only words of the training transcripts: for commands, names and callsigns.",
        choices=("greedy", "words"),
        group="Evaluation",
    )
    save_steps: int = _setting(
        0, "Save every (steps)", "0 saves a checkpoint at each evaluation.", low=0, high=1_000_000, group="Evaluation"
    )
    save_total_limit: int = _setting(
        2,
        "Checkpoints kept",
        "Older ones are deleted; the best model is kept separately.",
        low=1,
        high=1000,
        group="Evaluation",
    )
    metric_for_best_model: str = _setting(
        "wer", "Best model by", "Metric; the lowest value is best.", choices=METRICS, group="Evaluation"
    )
    early_stopping_patience: int = _setting(
        0,
        "Early stopping patience",
        "Stop after this many evaluations without improvement; 0 never does.",
        low=0,
        high=1000,
        group="Evaluation",
    )
    logging_steps: int = _setting(
        10, "Log every (steps)", "How often the training loss is recorded.", low=1, high=10_000, group="Evaluation"
    )

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _validate(spec, getattr(self, spec.name)))
        for name in ("model", "train"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{field_label(name)} is empty; enter a value.")
        if self.preset:
            _check_preset(self.preset)
        self._check_device()
        if self.processes > 1 and self.layerdrop:
            raise ConfigError(
                "Layer drop (layerdrop) works with one process only, because others would wait for the gradient of a "
                "skipped layer; set it to 0 or processes to 1."
            )
        if self.min_duration_s >= self.max_duration_s:
            raise ConfigError(
                f"Shortest clip ({self.min_duration_s:g} s) must be below longest clip ({self.max_duration_s:g} s)."
            )

    def _check_device(self) -> None:
        object.__setattr__(self, "device", self.device.replace(" ", ""))
        names = [] if self.device == "auto" else self.device.split(",")
        gpus = [name for name in names if name.startswith("cuda:")]
        if not all(map(DEVICE.fullmatch, names)) or len(set(names)) < len(names) or (len(names) > 1 and names != gpus):
            raise ConfigError(
                f"Device (device) is {self.device!r}; it must be auto, cpu, mps, cuda:0, or several GPUs "
                "as in cuda:0,cuda:1."
            )
        if gpus and len(gpus) != self.processes:
            raise ConfigError(
                f"Device (device) names {len(gpus)} of the GPUs for {self.processes} process(es); name one for each."
            )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def text_rules(self) -> str:
        """The normalization of references and hypotheses as one name: basic, or german+numbers:de+map:№=Nummer."""
        is_dotless = has_dotless_i(self.language) and self.normaliser != "none"
        steps = {
            "case": self.language if is_dotless else "",
            "markup": self.markup if self.markup != "keep" else "",
            "numbers": self.spell_numbers,
            "map": " ".join(self.character_map.split()),
        }
        return self.normaliser + "".join(f"+{name}:{value}" for name, value in steps.items() if value)

    def replace(self, values: dict[str, Any]) -> TrainConfig:
        """Return a copy with these values; text is parsed as the field's type. ConfigError for an unknown field."""
        for name in values:
            if name not in FIELDS:
                raise ConfigError(f"There is no setting {name!r}; the settings are {', '.join(FIELDS)}.")
        return dataclasses.replace(self, **values)


FIELDS: dict[str, dataclasses.Field[Any]] = {spec.name: spec for spec in dataclasses.fields(TrainConfig)}
_TYPES = typing.get_type_hints(TrainConfig)


def field_label(name: str) -> str:
    """Return the label of a field in the form."""
    return str(FIELDS[name].metadata["label"])


def _validate(spec: dataclasses.Field[Any], value: Any) -> Any:
    """Convert `value` to the field's type and check its bounds (ConfigError)."""
    meta = spec.metadata
    value = _convert(spec.name, value, _TYPES[spec.name])
    if meta["choices"] and value not in meta["choices"]:
        raise ConfigError(f"{meta['label']} ({spec.name}) is {value!r}; choose one of {', '.join(meta['choices'])}.")
    low, high = meta["low"], meta["high"]
    if low is not None and not low <= value <= high:
        raise ConfigError(f"{meta['label']} ({spec.name}) is {value:g}; it must be between {low:g} and {high:g}.")
    return value


def _convert(name: str, value: Any, type_: type) -> Any:
    """Convert `value` to `type_`. Numbers may be text (flags) or floats (forms); 8.0 is a whole number, 8.5 is not."""
    problem = ConfigError(f"{field_label(name)} ({name}) is {value!r}; it must be {_TYPE_NAMES[type_]}.")
    if type_ is bool:
        if isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "yes", "no"):
            return value.lower() in ("true", "1", "yes")
        if not isinstance(value, bool):
            raise problem
        return value
    if type_ is str:
        if not isinstance(value, str | types.NoneType):
            raise problem
        return (value or "").strip()
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise problem from None
    if isinstance(value, bool) or number != number or (type_ is int and number != int(min(max(number, -1e18), 1e18))):
        raise problem
    return type_(number)


_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def from_dict(values: dict[str, Any]) -> TrainConfig:
    """Make a TrainConfig: the preset named in `values`, if any, is the base, and the other values override it."""
    base = load_preset(values["preset"]).config if values.get("preset") else TrainConfig()
    return base.replace(values)


def from_file(path: str | Path) -> TrainConfig:
    """Read a JSON file of settings, as `config.json` in a run directory. ConfigError if it cannot be read."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); give a JSON file of settings.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); give a JSON file of settings.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} has no settings; it must be one JSON object of field names and values.")
    return from_dict(values)


@dataclass(frozen=True)
class Preset:
    """A named set of values. `source` says where they come from."""

    name: str
    title: str
    summary: str
    source: str
    config: TrainConfig


def load_preset(name: str) -> Preset:
    """Load the shipped preset of that name. ConfigError if there is none."""
    _check_preset(name)
    record = json.loads((PRESETS_DIR / f"{name}.json").read_text(encoding="utf-8"))
    config = TrainConfig().replace({"preset": name, **record["values"]})
    return Preset(name, record["title"], record["summary"], record["source"], config)


def _check_preset(name: str) -> None:
    if name not in list_presets():
        raise ConfigError(f"There is no preset {name!r}; choose one of {', '.join(list_presets())}.")


def list_presets() -> list[str]:
    """List the names of the shipped presets, the demo first."""
    names = sorted(path.stem for path in PRESETS_DIR.glob("*.json"))
    return sorted(names, key=lambda name: name != "demo")
