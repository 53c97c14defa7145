"""ModelSettings: what of the model is trained, regularisation and augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from asrkit.config.fields import setting

_setting = partial(setting, group="Model")


@dataclass(frozen=True)
class ModelSettings:
    """The fields of TrainConfig in the form's group Model."""

    freeze: str = _setting(
        "feature-encoder",
        "Freeze",
        "Which weights are not trained. all-but-adapters trains small added layers and the output layer: "
        "for MMS and other large wav2vec2 models. lora trains small matrices beside the encoder's layers and the "
        "output layer: for a large model of any kind on a small card.",
        choices=("nothing", "feature-encoder", "all-but-adapters", "all-but-head", "lora"),
    )
    lora_rank: int = _setting(
        16,
        "LoRA rank",
        "With freeze=lora: size of the matrices. More of it learns more and takes more memory.",
        low=1,
        high=1024,
    )
    lora_alpha: int = _setting(
        32,
        "LoRA alpha",
        "With freeze=lora: what the matrices add is multiplied by this, divided by the rank.",
        low=1,
        high=10_000,
    )
    adapter_language: str = _setting(
        "",
        "MMS language",
        "For MMS: the language whose adapter and vocabulary to start from, as ISO 639-3 (eng, spa, swh).",
    )
    add_adapter: bool = _setting(
        False,
        "Adapter behind the encoder",
        "Adds a small layer that halves the frames: w2v-BERT learns badly without one. Labels must fit into the fewer "
        "frames.",
    )
    blank_id: int = _setting(
        -1,
        "CTC blank",
        "The output that is the base model's CTC blank; -1 finds it. Set it where a converted model asks for it.",
        low=-1,
        high=10_000_000,
    )
    head_first_steps: int = _setting(
        0,
        "Head-first steps",
        "Train only the output layer for this many steps, then the rest as well.",
        low=0,
        high=1_000_000,
    )
    hidden_dropout: float = _setting(
        0.0,
        "Dropout",
        "In the Transformer layers and around them.",
        low=0,
        high=0.9,
    )
    attention_dropout: float = _setting(
        0.0,
        "Attention dropout",
        "On attention weights.",
        low=0,
        high=0.9,
    )
    layerdrop: float = _setting(
        0.0,
        "Layer drop",
        "Probability that a layer is skipped.",
        low=0,
        high=0.9,
    )
    mask_time_prob: float = _setting(
        0.0,
        "Time masking",
        "Share of frames that SpecAugment hides.",
        low=0,
        high=0.9,
    )
    mask_time_length: int = _setting(
        10,
        "Mask length (frames)",
        "A frame is 20 ms in most models.",
        low=1,
        high=100,
    )
    augmentation: str = _setting(
        "none",
        "Augmentation",
        "Varies the speaker, room, line and background of every clip in every epoch.",
        choices=("none", "light", "strong"),
    )
