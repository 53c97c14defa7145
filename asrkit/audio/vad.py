"""How likely somebody speaks, 32 ms by 32 ms: the network of silero-vad, whose package brings the weights.

Its own code takes one frame a call and sets the threads of the whole process. Here the convolutions of many frames are
calculated together and the LSTM goes on from frame to frame, ten times as fast. Every matrix is kept under the size at
which OpenBLAS shares it out among threads: that is slow where a training keeps the cores busy, and lets the answer of a
frame depend on the frames beside it.
"""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from asrkit.errors import ConfigError

FRAME = 512
"""Samples at 16 kHz."""
CONTEXT, WINDOW, HOP = 64, 256, 128
UNITS = 128
TOGETHER = 256
"""Frames whose convolutions are calculated at once."""
LOUD_DBFS, MAX_LIFT_DB, FALL_DB = -30.0, 30.0, 0.6
"""What stays below this level is lifted to it, by that much at most; the level falls by so much a frame, for somebody
soft may follow somebody loud. The network hears soft speech badly: it missed one in ten of the demo's clips at -50
dBFS. At a fall of 0.1 dB it missed two of three clips 40 dB softer than the one a second before, at 0.6 dB none.
"""


class SileroVad:
    """Takes samples as they come. Memory: the state of the network."""

    def __init__(self) -> None:
        self._weights = weights()
        self._rest = np.zeros(CONTEXT, np.float32)  # the last samples of the frame before, then what is no frame yet
        self._hidden, self._cell = np.zeros((2, UNITS), np.float32), np.zeros(UNITS, np.float32)
        self._frames, self._loudest = 0, -np.inf

    def push(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 samples that follow -> (frames,) probabilities of the frames that they complete."""
        coming = np.concatenate([self._rest, samples])
        count = (len(coming) - CONTEXT) // FRAME
        self._rest = coming[count * FRAME :]
        if not count:
            return np.zeros(0, np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(coming, CONTEXT + FRAME)[::FRAME][:count]
        return np.concatenate([self._heard(frames[at : at + TOGETHER]) for at in range(0, count, TOGETHER)])

    def _heard(self, frames: np.ndarray) -> np.ndarray:
        """(n, CONTEXT + FRAME) -> (n,)"""
        net, found = self._weights, np.empty(len(frames), np.float32)
        for place, gates in enumerate(_gates(frames * self._gains(frames)[:, None], net)):
            inward, forget, new, outward = np.tanh((self._hidden @ net["recurrent"])[0] + gates).reshape(4, UNITS)
            self._cell = (0.5 + 0.5 * forget) * self._cell + (0.5 + 0.5 * inward) * new
            self._hidden[0] = (0.5 + 0.5 * outward) * np.tanh(self._cell)
            found[place] = np.einsum("i,i", np.maximum(self._hidden[0], 0), net["last"])
        return 0.5 + 0.5 * np.tanh(0.5 * (found + net["last.bias"]))

    def _gains(self, frames: np.ndarray) -> np.ndarray:
        """(n,) factors; by the number of the frame in the recording, so that blocks of any size give the same."""
        fallen = FALL_DB * np.arange(self._frames, self._frames + len(frames))
        levels = 10 * np.log10(frames[:, CONTEXT:].var(axis=1).astype(np.float64) + 1e-12)
        track = np.maximum.accumulate(np.maximum(levels + fallen, self._loudest))
        self._frames, self._loudest = self._frames + len(frames), float(track[-1])
        lift = np.clip(LOUD_DBFS - (track - fallen), 0.0, MAX_LIFT_DB)
        return (10 ** (lift / 20)).astype(np.float32)


@cache
def weights() -> dict[str, np.ndarray]:
    """Matrices to be multiplied from the right. ConfigError where the package is not installed."""
    found = importlib.util.find_spec("silero_vad")  # finds it without running it: its code would change torch's threads
    if found is None or found.origin is None:
        raise ConfigError(
            "The package silero-vad, which finds speech in a recording, is not installed; "
            "run: pip install -r requirements.txt"
        )
    net = _stored(Path(found.origin).parent / "data" / "silero_vad.jit")
    made = {f"{name}.bias": net[f"{name}.bias"] for name in ("conv1", "conv2", "conv3", "conv4")}
    for name in ("conv1", "conv2", "conv3"):
        kernel = net[f"{name}.weight"]  # (out, in, 3)
        made[name] = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))
    made["conv3"] = made["conv3"][64:]  # the third sees two places and a padded one before them
    made["conv4"] = net["conv4.weight"][:, :, 1].T  # the fourth a single place between padded ones
    half = np.repeat(np.float32([0.5, 0.5, 1.0, 0.5]), UNITS)  # sigmoid(x) = 0.5 + 0.5 tanh(x / 2)
    made["inward"] = net["lstm_cell.weight_ih"].T * half
    made["recurrent"] = net["lstm_cell.weight_hh"].T * half
    made["inward.bias"] = (net["lstm_cell.bias_ih"] + net["lstm_cell.bias_hh"]) * half
    made["last"], made["last.bias"] = net["final_conv.weight"][0, :, 0], net["final_conv.bias"][0]
    made["window"] = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    return {name: np.ascontiguousarray(value) for name, value in made.items()}


def _stored(path: Path) -> dict[str, np.ndarray]:
    """Of the two sets of weights that the package ships, those which its own code uses: voices among voices are told
    apart better by them (area under the ROC curve of frames, babble at 10 dB: 0.997 against 0.995)."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the format is old
        try:
            held = torch.jit.load(path, map_location="cpu").state_dict()
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                f"The package silero-vad is damaged: {path} cannot be read; "
                "run: pip install --force-reinstall silero-vad"
            ) from error
    names = {f"conv{layer + 1}": f"encoder.{layer}.reparam_conv" for layer in range(4)}
    names |= {"lstm_cell": "decoder.rnn", "final_conv": "decoder.decoder.2"}
    return {
        f"{ours}.{name.removeprefix(f'_model.{theirs}.')}": value.numpy()
        for ours, theirs in names.items()
        for name, value in held.items()
        if name.startswith(f"_model.{theirs}.")
    }


def _gates(frames: np.ndarray, net: dict[str, np.ndarray]) -> np.ndarray:
    """(n, CONTEXT + FRAME) -> (n, 4 * UNITS): what the frames say to the gates of the LSTM."""
    padded = np.concatenate([frames, frames[:, -2 : -2 - CONTEXT : -1]], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP]
    spectrum = np.abs(np.fft.rfft(windows * net["window"])).astype(np.float32)  # (n, 4, 129)
    heard = np.maximum(_neighbours(spectrum, 1) @ net["conv1"] + net["conv1.bias"], 0)
    heard = np.maximum(_neighbours(heard, 2) @ net["conv2"] + net["conv2.bias"], 0)
    heard = np.maximum(_apart(heard.reshape(len(heard), -1), net["conv3"]) + net["conv3.bias"], 0)
    heard = np.maximum(_apart(heard, net["conv4"]) + net["conv4.bias"], 0)
    return _apart(heard, net["inward"]) + net["inward.bias"]


def _neighbours(heard: np.ndarray, step: int) -> np.ndarray:
    """(n, places, channels) -> (n, places / step, 3 * channels): each place with the one before and the one after."""
    padded = np.pad(heard, ((0, 0), (1, 1), (0, 0)))
    return np.concatenate([padded[:, at : at + heard.shape[1] : step] for at in range(3)], axis=2)


def _apart(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """rows @ matrix, row by row: as matrices of two rows, for a single one would be shared out among threads."""
    return (np.broadcast_to(rows[:, None], (len(rows), 2, rows.shape[1])) @ matrix)[:, 0]
