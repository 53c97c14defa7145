"""Make the demo: radio callsigns by many synthetic voices, split by voice, into `assets/demo/callsigns`.

    python -m assets.recipe.callsigns [OUT]

The clip's number fixes everything about it. The evaluation voices are in no training clip, here or in the starter's.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile

from asrkit.training.augment import Augmentation
from assets.recipe import texts, voices
from assets.recipe.corpus import RATE, at_16k, trim

OUT = Path(__file__).parents[1] / "demo" / "callsigns"
TRAIN_CLIPS, EVAL_CLIPS = 500, 100
ENGINES = {"kokoro": 0.45, "piper": 0.15, "flite": 0.18, "festival": 0.04, "espeak": 0.18}
HELD_OUT = (
    [("hibari", "heart")] * 4
    + [("flite", "awb")] * 2
    + [("festival", "ked")] * 2
    + [("espeak", f"{accent}+{variant}") for accent, variant in voices.HELD_OUT_ESPEAK]
)

TRAIN_SOUND = Augmentation(
    warp=(0.86, 1.2),
    warp_probability=0.6,
    room_probability=0.35,
    band_probability=0.3,
    tilt_probability=0.3,
    noise_probability=0.6,
    snr_db=(12, 35),
    edge_s=0.15,
)
EVAL_SOUND = Augmentation(
    room_probability=0.3,
    band_probability=0.3,
    tilt_probability=0.3,
    noise_probability=0.6,
    snr_db=(12, 35),
    edge_s=0.15,
)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    (out / "audio").mkdir(parents=True, exist_ok=True)
    clips = [("train", number) for number in range(TRAIN_CLIPS)] + [("eval", number) for number in range(EVAL_CLIPS)]
    with open(out / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file_name", "text", "speaker", "split", "duration_s"])
        for split, number in clips:
            table.writerow(make(out, split, number))


def make(out: Path, split: str, number: int) -> list:
    """Speak and write one clip; its row of the table."""
    rng = np.random.default_rng([7, split == "eval", number])
    text = texts.callsign(rng)
    if split == "eval":
        voice, sound = voices.Voice(*HELD_OUT[number % len(HELD_OUT)]), EVAL_SOUND
    else:
        voice, sound = voices.draw(str(rng.choice(list(ENGINES), p=list(ENGINES.values()))), rng), TRAIN_SOUND
    samples, rate = voices.speak(texts.spoken(text), voice, rng)
    samples = sound(at_16k(trim(samples), rate), rng)
    samples *= rng.uniform(0.3, 0.9) / np.abs(samples).max()
    name = f"audio/{split}-{number:03d}.ogg"
    soundfile.write(out / name, samples.astype(np.float32), RATE, format="OGG", subtype="VORBIS", compression_level=0.6)
    return [name, text, str(voice), split, f"{soundfile.info(out / name).duration:.3f}"]


if __name__ == "__main__":
    main()
