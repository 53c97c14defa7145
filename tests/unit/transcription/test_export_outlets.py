"""Exported folders, loaded and run by the programs that they are for."""

import numpy as np
import pytest
import sherpa_onnx
import torch

from asrkit.audio import Waveform
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hints import NO_HINTS
from asrkit.transcription.export import exporter, graph, int8
from asrkit.transcription.transcriber import Transcriber
from tests.support import onnx_asr_models, tiny

TEXTS = ("ab", "cab de", "bad ace ed")


@pytest.fixture(scope="module")
def reference(checkpoint):
    return Transcriber(str(checkpoint), "cpu", torch.float32)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(3)
    return [tiny.synthesize(text, rng) for text in TEXTS]


@pytest.fixture
def export(reference, tmp_path):
    """export("onnx-asr") -> the folder, with both graphs."""

    def write(name):
        wanted = exporter.FORMATS[name]
        graph.export_onnx(reference.engine.model, reference.processor, tmp_path / exporter.GRAPH, wanted.layout)
        int8.quantize(tmp_path / exporter.GRAPH, tmp_path / exporter.INT8_GRAPH)
        wanted.write_files(reference, tmp_path, NO_HINTS)
        return tmp_path

    return write


def texts_of(transcriber, clips):
    decoder = GreedyDecoder(transcriber.processor, transcriber.blank_id)
    return [transcriber.transcribe(Waveform(clip), decoder).text for clip in clips]


def test_onnx_asr_reads_the_folder_and_writes_the_same_text(export, reference, clips):
    folder = export("onnx-asr")
    model = onnx_asr_models.load(folder)
    wanted = texts_of(reference, clips)
    assert all(wanted), "the model writes nothing"
    assert model.recognize(clips, sample_rate=tiny.RATE) == wanted  # one padded batch
    quantized = reference.with_graph(folder / exporter.INT8_GRAPH, "raw")
    assert [onnx_asr_models.load(folder, "int8").recognize(clip, sample_rate=tiny.RATE) for clip in clips] == texts_of(
        quantized, clips
    )


def test_onnx_asr_times_the_frames(export, reference, clips):
    model = onnx_asr_models.load(export("onnx-asr")).with_timestamps()
    result = model.recognize(clips[0], sample_rate=tiny.RATE)
    scores = reference.log_probabilities(Waveform(clips[0]))
    ids = scores.argmax(-1).tolist()
    starts = [frame for frame, token in enumerate(ids) if token != reference.blank_id and token != ([-1, *ids])[frame]]
    assert result.timestamps == pytest.approx([0.02 * frame for frame in starts])


@pytest.mark.parametrize("file", [exporter.GRAPH, exporter.INT8_GRAPH])
def test_sherpa_onnx_reads_the_folder_and_writes_the_same_text(export, reference, clips, file):
    folder = export("sherpa-onnx")
    recognizer = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(folder / file), tokens=str(folder / "tokens.txt")
    )

    def recognize(clip):
        stream = recognizer.create_stream()
        stream.accept_waveform(tiny.RATE, clip)
        recognizer.decode_stream(stream)
        return " ".join(stream.result.text.split())

    exported = reference.with_graph(folder / file, "clip")
    wanted = texts_of(exported, clips)
    assert all(wanted), "the model writes nothing"
    assert [recognize(clip) for clip in clips] == wanted
