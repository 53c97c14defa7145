"""Twenty clips of one voice improve the starter with the settings that the page proposes for them."""

import csv

from asrkit.data import sources
from asrkit.runs import lifecycle, supervisor, view
from asrkit.ui.common.form import DEFAULTS
from asrkit.ui.data.api import DataApi
from tests.support.runs import wait_for_end

VOICE = "hibari:heart"  # not in the starter's training data, and from another synthesizer


def test_twenty_clips_adapt_the_starter_to_a_voice(store, tmp_path):
    clips = [row for row in sources.load("callsigns").utterances if row.speaker == VOICE]
    for name, rows in (("mine", clips[:20]), ("others", clips[20:])):
        with open(tmp_path / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("file_name", "text"), *((row.audio, row.text) for row in rows)])
    proposed = DataApi(store).prepare_training({"data": str(tmp_path / "mine.csv")})["settings"]
    assert (proposed["preset"], proposed["decoding"]) == ("few-clips", "greedy")
    run = supervisor.start(store, DEFAULTS.replace(proposed | {"eval": str(tmp_path / "others.csv")}))
    assert wait_for_end(run) == lifecycle.FINISHED
    scores = [event.data for event in view.load_view(run).evaluations]
    assert min(score["wer"] for score in scores) < 0.9 * scores[0]["wer"]
    assert min(score["cer"] for score in scores) < 0.75 * scores[0]["cer"]
