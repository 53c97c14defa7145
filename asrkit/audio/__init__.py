"""Audio: a file, encoded bytes or a microphone -> mono float32 samples at 16 kHz."""

from asrkit.audio.blocks import stream_blocks
from asrkit.audio.files import Source, decode_audio, load_audio, read_duration_s
from asrkit.audio.notes import AudioNote, OnNote, ignore_note
from asrkit.audio.resampling import StreamResampler, resample
from asrkit.audio.waveform import (
    MIN_SAMPLING_RATE,
    SAMPLING_RATE,
    SILENCE_DBFS,
    WAV_HEADER_BYTES,
    Waveform,
    check_speech,
    encode_wav,
    loudest_rms,
    make_wav_header,
)

__all__ = [
    "MIN_SAMPLING_RATE",
    "SAMPLING_RATE",
    "SILENCE_DBFS",
    "WAV_HEADER_BYTES",
    "AudioNote",
    "OnNote",
    "Source",
    "StreamResampler",
    "Waveform",
    "check_speech",
    "decode_audio",
    "encode_wav",
    "ignore_note",
    "load_audio",
    "loudest_rms",
    "make_wav_header",
    "read_duration_s",
    "resample",
    "stream_blocks",
]
