"""How a model is used outside this app: lines that run as they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outlet:
    """A program that runs the model. commands: of a shell, to prepare it. code: in Python, where it is a library."""

    name: str
    commands: str = ""
    code: str = ""


def list_outlets(model: str, files: str, is_wav2vec2: bool = True, takes_audio: bool = True) -> list[Outlet]:
    """Return what runs a model, with its lines.

    model: what asrkit knows it by, a run, a directory or a Hub id; files: its directory or Hub id. is_wav2vec2: whether
    it is of wav2vec 2.0's own class, the only one that whisperX and `Wav2Vec2ProcessorWithLM` load. takes_audio:
    whether its input is audio at 16 kHz; the others take features that only their processor calculates.
    """
    outlets = [Outlet("transformers", code=_TRANSFORMERS.format(model=files))]
    if takes_audio:
        outlets += [
            Outlet("onnx-asr", f"python -m asrkit export {model} for-onnx-asr --format onnx-asr --int8", _ONNX_ASR),
            Outlet(
                "sherpa-onnx", f"python -m asrkit export {model} for-sherpa --format sherpa-onnx --int8", _SHERPA_ONNX
            ),
            Outlet(
                "A web page without a server",
                f"python -m asrkit export {model} page.zip --format web\n"
                "python -m zipfile -e page.zip page\n"
                "python -m http.server --directory page --bind 127.0.0.1 8000",
            ),
        ]
    if is_wav2vec2:
        command = f"python -m asrkit export {model} with-lm --format transformers-lm --expect sentences.txt"
        outlets += [
            Outlet("transformers with a language model", command, _LANGUAGE_MODEL),
            Outlet("whisperX", f"whisperx talk.wav --align_model {files}"),
        ]
    return outlets


def render_outlets(outlets: list[Outlet]) -> str:
    """Return the outlets as Markdown, each under its name."""
    return "\n\n".join("\n\n".join([f"### {outlet.name}", *_render_blocks(outlet)]) for outlet in outlets)


def _render_blocks(outlet: Outlet) -> list[str]:
    blocks = (("bash", outlet.commands), ("python", outlet.code))
    return [f"```{language}\n{text}\n```" for language, text in blocks if text]


_TRANSFORMERS = """import soundfile, torch
from transformers import AutoModelForCTC, AutoProcessor

processor = AutoProcessor.from_pretrained("{model}")
model = AutoModelForCTC.from_pretrained("{model}").eval()
speech, sampling_rate = soundfile.read("clip.wav")  # mono, 16 kHz
inputs = processor(speech, sampling_rate=16_000, return_tensors="pt")
with torch.inference_mode():
    ids = model(**inputs).logits.argmax(-1)
print(processor.batch_decode(ids)[0])"""
_LANGUAGE_MODEL = """import soundfile, torch
from transformers import AutoModelForCTC, AutoProcessor  # and kenlm, pyctcdecode

processor = AutoProcessor.from_pretrained("with-lm")
model = AutoModelForCTC.from_pretrained("with-lm").eval()
speech, sampling_rate = soundfile.read("clip.wav")  # mono, 16 kHz
inputs = processor(speech, sampling_rate=16_000, return_tensors="pt")
with torch.inference_mode():
    logits = model(**inputs).logits[0]
print(processor.decode(logits.numpy()).text)"""
_ONNX_ASR = """import onnx_asr  # later than 0.12.0

model = onnx_asr.load_model("wav2vec2-ctc", "for-onnx-asr", quantization="int8")
print(model.recognize("clip.wav"))"""
_SHERPA_ONNX = """import sherpa_onnx, soundfile

recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
    model="for-sherpa/model.int8.onnx", tokens="for-sherpa/tokens.txt"
)
speech, sampling_rate = soundfile.read("clip.wav", dtype="float32")
stream = recognizer.create_stream()
stream.accept_waveform(sampling_rate, speech)
recognizer.decode_stream(stream)
print(stream.result.text)"""
