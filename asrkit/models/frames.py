"""Output frames of a CTC model by its configuration files alone, so that they are known before torch is loaded.

Every front end is a chain of windows that slide over what comes before: convolutions, spectrogram frames, stacked or
pooled frames. `tests/unit/models/test_anatomy.py` holds the counts against the models' own functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from asrkit.audio import SAMPLING_RATE
from asrkit.errors import ModelError
from asrkit.models import checkpoints

Settings = Mapping[str, Any]

CONVOLUTIONS = {"conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2)}
SEW_CONVOLUTIONS = {
    "conv_kernel": (10, 3, 1, 3, 1, 3, 1, 3, 1, 2, 1, 2, 1),
    "conv_stride": (5, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1),
}
DEFAULTS: dict[str, Settings] = {"sew": SEW_CONVOLUTIONS, "sew-d": SEW_CONVOLUTIONS}
"""Defaults of the configuration classes, which config.json may leave out; CONVOLUTIONS for other types."""
MEL_TYPES = frozenset({"wav2vec2-bert", "parakeet_ctc", "lasr_ctc", "granite_speech5_ctc"})
"""`model_type`s whose input are mel features; that of the others is the waveform."""
MAX_SEARCH_SAMPLES = 1 << 24
MAX_WINDOWS = 100


@dataclass(frozen=True)
class Window:
    """A window of `kernel` values that moves by `stride` over a sequence with `padding` values at both ends."""

    kernel: int
    stride: int
    padding: int = 0

    def count(self, length: int) -> int:
        """Return the number of positions of the window in a sequence of `length` values."""
        room = length + 2 * self.padding - self.kernel
        return room // self.stride + 1 if length > 0 and room >= 0 else 0


@dataclass(frozen=True)
class FrameGeometry:
    """What a model makes of audio: samples -> input values -> frames before its adapter -> output frames.

    sampling_rate: of the model; audio is resampled to it. front_end: windows of its feature extractor, none for a
    waveform. encoder: of its subsampling. adapter: of an adapter behind the encoder, which shortens its output.
    """

    sampling_rate: int = SAMPLING_RATE
    front_end: tuple[Window, ...] = ()
    encoder: tuple[Window, ...] = tuple(map(Window, CONVOLUTIONS["conv_kernel"], CONVOLUTIONS["conv_stride"]))
    adapter: tuple[Window, ...] = ()

    def num_inputs(self, num_samples: int) -> int:
        """Return the input values (samples of the model's rate, or mel frames) of `num_samples` at 16 kHz."""
        return _slide(math.ceil(num_samples * self.sampling_rate / SAMPLING_RATE), self.front_end)

    def frames_before_adapter(self, num_inputs: int) -> int:
        """Return the frames in which SpecAugment masks."""
        return _slide(num_inputs, self.encoder)

    def num_frames(self, num_samples: int) -> int:
        """Return the output frames of `num_samples` at 16 kHz; 0 for audio shorter than the first frame."""
        return _slide(self.frames_before_adapter(self.num_inputs(num_samples)), self.adapter)

    def num_frames_in(self, duration_s: float) -> int:
        """Return the number of output frames of that many seconds."""
        # Plus a thousandth of a sample: 1001 samples, stored as 1001 / 16000 seconds, would else come back as 1000.
        return self.num_frames(int(duration_s * SAMPLING_RATE + 1e-3))

    @property
    def frame_ms(self) -> float:
        """Time from one output frame to the next."""
        strides = (window.stride for window in (*self.front_end, *self.encoder, *self.adapter))
        return 1000 * math.prod(strides) / self.sampling_rate

    @property
    def min_samples(self) -> int:
        """Samples at 16 kHz that the first output frame needs."""
        return _first(self.num_frames)

    def min_inputs(self, num_frames: int) -> int:
        """Return the input values that `num_frames` frames before the adapter need."""
        return _first(lambda length: self.frames_before_adapter(length) >= num_frames)


def read(path: Path, *, add_adapter: bool = False) -> FrameGeometry:
    """Return the geometry of a checkpoint directory. add_adapter: with an adapter, as a run may add it.

    Raises ModelError for settings that no window can have.
    """
    config = dict(checkpoints.read_config(path) or {})
    if add_adapter:
        config["add_adapter"] = True
    return from_settings(config, checkpoints.read_preprocessor(path) or {}, str(path))


def from_settings(config: Settings, preprocessor: Settings, name: str) -> FrameGeometry:
    """Return the geometry of config.json and preprocessor_config.json; name: of the model, for messages."""
    try:
        return FrameGeometry(
            int(preprocessor.get("sampling_rate") or SAMPLING_RATE),
            _all_of(_front_end(config, preprocessor)),
            _all_of(_encoder(config)),
            _all_of(_adapter(config)),
        )
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelError(
            f"The configuration of the model {name} has impossible convolution or window sizes; the checkpoint is "
            "damaged."
        ) from error


def _all_of(windows: Iterator[Window]) -> tuple[Window, ...]:
    """Return the windows. Raises ValueError for more than any model has: a file may ask for billions."""
    found = tuple(islice(windows, MAX_WINDOWS + 1))
    if len(found) > MAX_WINDOWS:
        raise ValueError("too many windows")
    return found


def _slide(length: int, windows: tuple[Window, ...]) -> int:
    for window in windows:
        length = window.count(length)
    return length


def _first(is_enough: Any) -> int:
    """Return the smallest length for which the monotonic `is_enough` is true."""
    low, high = 0, 1
    while not is_enough(high) and high < MAX_SEARCH_SAMPLES:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _front_end(config: Settings, preprocessor: Settings) -> Iterator[Window]:
    """Yield the windows of the feature extractor; none for a waveform."""
    kind = config.get("model_type")
    if kind not in MEL_TYPES:
        return
    hop, window = int(preprocessor.get("hop_length", 160)), int(preprocessor.get("win_length", 400))
    if kind == "wav2vec2-bert":
        stacked = int(preprocessor.get("stride", 2))
        yield from (_window(400, 160), _window(stacked, stacked))
    elif kind == "lasr_ctc":
        yield _window(window, hop)
    else:
        yield _window(hop, hop)  # centred frames: one each hop
    if kind == "granite_speech5_ctc":
        yield _window(1, 2)  # pairs, the last of which may be half empty


def _encoder(config: Settings) -> Iterator[Window]:
    """Yield the windows of the encoder's subsampling."""
    kind, encoder = config.get("model_type"), config.get("encoder_config") or {}
    if kind == "parakeet_ctc":
        kernel = int(encoder.get("subsampling_conv_kernel_size", 3))
        for _ in range(int(math.log2(encoder.get("subsampling_factor", 8)))):
            yield _window(kernel, encoder.get("subsampling_conv_stride", 2), (kernel - 1) // 2)
    elif kind == "lasr_ctc":
        for _ in range(2):
            yield _window(encoder.get("subsampling_conv_kernel_size", 5), encoder.get("subsampling_conv_stride", 2))
    elif kind == "granite_speech5_ctc":
        layers = encoder.get("subsample_layers")
        yield from (_window(2, 2) for _ in (layers if layers is not None else (0, 1)))
    elif kind != "wav2vec2-bert":
        settings = {**DEFAULTS.get(str(kind), CONVOLUTIONS), **(config.get("audio_config") or config)}
        for kernel, stride in zip(settings["conv_kernel"], settings["conv_stride"], strict=True):
            yield _window(kernel, stride)


def _adapter(config: Settings) -> Iterator[Window]:
    """Yield the windows of the adapter behind the encoder."""
    if not config.get("add_adapter"):
        return
    has_padding = config.get("model_type") == "wav2vec2-bert"
    kernel = int(config.get("adapter_kernel_size", 3)) if has_padding else 1
    for _ in range(int(config.get("num_adapter_layers", 1 if has_padding else 3))):
        yield _window(kernel, config.get("adapter_stride", 2), kernel // 2)


def _window(kernel: int, stride: int, padding: int = 0) -> Window:
    if kernel < 1 or stride < 1:
        raise ValueError(f"a window of {kernel} values cannot move by {stride}")
    return Window(int(kernel), int(stride), int(padding))
