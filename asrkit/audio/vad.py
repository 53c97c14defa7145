"""Voice activity detection with silero-vad: the probability of speech in each frame of 32 ms.

The network and its weights come with the package silero-vad and run in onnxruntime on one thread. Of its files the one
for sequences carries the state of the LSTM through many frames in one call, and gives the same bits for any number of
frames. On one core of an EPYC (AVX-512) it reaches 530 times real time frame by frame and 670 in batches, where a port
to numpy reached 150 and 370, within 5e-6 of its probabilities.

Only the LSTM behind the network's convolutions has a memory, of more than ten seconds, and takes a tenth of the time.
So the convolutions of many frames can run in several threads, with the same bits. A recording cannot be cut into parts
for that: with ten seconds of it as a lead-in, probabilities still were up to 0.8 beside the true ones.
"""

from __future__ import annotations

import importlib.util
from concurrent.futures import Executor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asrkit.audio.waveform import Samples
from asrkit.errors import ConfigError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FRAME_SAMPLES = 512
"""Samples at 16 kHz for which the network gives one probability."""
CONTEXT_SAMPLES = 64
"""Samples before the frame that the network reads with it."""
BATCH_FRAMES = 256
"""Frames of one call at most, which bounds the memory."""
BATCH_SAMPLES = BATCH_FRAMES * FRAME_SAMPLES
ENCODED = "/Relu_3_output_0"
"""What the convolutions give to the LSTM, (frames, LSTM_UNITS, 1), in the file of the network."""
LSTM_UNITS = 128

TARGET_DBFS, MAX_LIFT_DB, DECAY_DB = -30.0, 30.0, 0.6
"""Automatic gain: a level below TARGET_DBFS is lifted to it, by MAX_LIFT_DB at most. The level follows the loudest
frame and decays by DECAY_DB a frame, since a soft speaker may follow a loud one. The network misses soft speech: one in
ten of the demo's clips at -50 dBFS. At a decay of 0.1 dB it missed two of three clips 40 dB softer than the clip one
second before them, at 0.6 dB none.
"""


class SileroVad:
    """Streaming detector: takes samples as they come and keeps the state of the network between calls."""

    def __init__(self, pool: Executor | None = None) -> None:
        """pool: threads for the convolutions of more than BATCH_FRAMES frames at once.

        Raises ConfigError where the package silero-vad is missing or damaged.
        """
        self._session, self._pool = _load_session(), pool
        self._rest = np.zeros(CONTEXT_SAMPLES, np.float32)  # the context, then samples of a frame that is not complete
        self._hidden = np.zeros((1, 1, LSTM_UNITS), np.float32)
        self._cell = np.zeros((1, 1, LSTM_UNITS), np.float32)
        self._num_frames, self._loudest_db = 0, -np.inf

    def push(self, samples: Samples) -> Samples:
        """Take the next (n,) samples; return the (frames,) speech probabilities of the frames that they complete."""
        samples = np.concatenate([self._rest, samples])
        num_frames = (len(samples) - CONTEXT_SAMPLES) // FRAME_SAMPLES
        self._rest = samples[num_frames * FRAME_SAMPLES :]
        if not num_frames:
            return np.zeros(0, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, CONTEXT_SAMPLES + FRAME_SAMPLES)
        frames = windows[::FRAME_SAMPLES][:num_frames]
        chunks = [frames[start : start + BATCH_FRAMES] for start in range(0, num_frames, BATCH_FRAMES)]
        if self._pool is None or len(chunks) == 1:
            return np.concatenate([self._predict(self._session, "input", self._amplify(chunk)) for chunk in chunks])
        encoder, recurrent = _load_parts()
        encoded = self._pool.map(
            lambda chunk: encoder.run([ENCODED], {"input": chunk})[0], [self._amplify(chunk) for chunk in chunks]
        )
        return np.concatenate([self._predict(recurrent, ENCODED, chunk) for chunk in encoded])

    def _predict(self, session: InferenceSession, name: str, values: Samples) -> Samples:
        """Return the (n,) probabilities that a session gives for the next n frames; name: of its input."""
        probabilities: Samples
        probabilities, self._hidden, self._cell = session.run(
            ["speech_probs", "hn", "cn"], {name: values, "h": self._hidden, "c": self._cell}
        )
        return probabilities

    def _amplify(self, frames: Samples) -> Samples:
        """(n, CONTEXT_SAMPLES + FRAME_SAMPLES), the next frames -> the same with automatic gain."""
        return frames * self._gains(frames)[:, None]

    def _gains(self, frames: Samples) -> Samples:
        """(n,) factors. The decay counts from the start of the recording, so the size of the blocks does not matter."""
        decay = DECAY_DB * np.arange(self._num_frames, self._num_frames + len(frames))
        levels = 10 * np.log10(frames[:, CONTEXT_SAMPLES:].var(axis=1).astype(np.float64) + 1e-12)
        track = np.maximum.accumulate(np.maximum(levels + decay, self._loudest_db))
        self._num_frames, self._loudest_db = self._num_frames + len(frames), float(track[-1])
        lift = np.clip(TARGET_DBFS - (track - decay), 0.0, MAX_LIFT_DB)
        return (10 ** (lift / 20)).astype(np.float32)


@cache
def _load_session() -> InferenceSession:
    """Load the network, once for the process."""
    path = _find_network()
    try:
        return _open_session(str(path))
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        raise ConfigError(
            f"The package silero-vad is damaged: {path} cannot be read; run: pip install --force-reinstall silero-vad"
        ) from error


@cache
def _load_parts() -> tuple[InferenceSession, InferenceSession]:
    """Load the network in two parts, the convolutions and what follows them, once for the process."""
    import onnx

    network = onnx.load(_find_network())
    shape: list[str | int | None] = ["sequence_length", LSTM_UNITS, 1]
    network.graph.value_info.append(onnx.helper.make_tensor_value_info(ENCODED, onnx.TensorProto.FLOAT, shape))
    parts = onnx.utils.Extractor(network)
    encoder = parts.extract_model(["input"], [ENCODED])
    recurrent = parts.extract_model([ENCODED, "h", "c"], ["speech_probs", "hn", "cn"])
    return _open_session(encoder.SerializeToString()), _open_session(recurrent.SerializeToString())


def _find_network() -> Path:
    spec = importlib.util.find_spec("silero_vad")  # not imported: it would load torch and change its threads
    if spec is None or spec.origin is None:
        raise ConfigError(
            "The package silero-vad, which finds speech in a recording, is not installed; "
            "run: pip install -r requirements.txt"
        )
    return Path(spec.origin).parent / "data" / "silero_vad_16k_sequence.onnx"


def _open_session(network: str | bytes) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; the exporter left weights in the file that nothing reads
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
