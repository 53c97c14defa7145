"""The channels of a recording, each as a file of its own, for microphones of which each has one speaker."""

from __future__ import annotations

from pathlib import Path

import soundfile

from asrkit.audio.files import check_file
from asrkit.errors import AudioError

MIN_CHANNELS, MAX_CHANNELS = 2, 8
_BLOCK_FRAMES = 1 << 18


def split_channels(path: str | Path, folder: Path) -> list[Path]:
    """Write each channel as a 16-bit WAV of the same rate into `folder`, and return the files, with little in memory.

    Raises AudioError for a file that is missing, that libsndfile does not read, or that has one channel or too many.
    """
    check_file(path)
    try:
        with soundfile.SoundFile(path) as source:
            if not MIN_CHANNELS <= source.channels <= MAX_CHANNELS:
                raise AudioError(
                    f"{path} has {source.channels} channel{'s' if source.channels > 1 else ''}; between {MIN_CHANNELS} "
                    f"and {MAX_CHANNELS} can be transcribed one by one. Leave out --channels."
                )
            paths = [folder / f"channel-{number}.wav" for number in range(1, source.channels + 1)]
            targets = [soundfile.SoundFile(target, "w", source.samplerate, 1, "PCM_16") for target in paths]
            try:
                for block in source.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                    for number, target in enumerate(targets):
                        target.write(block[:, number])
            finally:
                for target in targets:
                    target.close()
    except soundfile.SoundFileError as error:
        raise AudioError(
            f"The channels of {path} cannot be separated ({str(error).rstrip('.')}); convert it to WAV or FLAC."
        ) from error
    except OSError as error:
        raise AudioError(f"The channels of {path} cannot be written to {folder} ({error.strerror}).") from error
    return paths
