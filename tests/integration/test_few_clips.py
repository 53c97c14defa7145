"""Twenty clips of one voice are enough to try personalising the starter: with what the page proposes for them."""

import csv

from asrkit.data import sources
from asrkit.runs import lifecycle, supervisor, view
from asrkit.ui.common.form import DEFAULTS
from asrkit.ui.data.api import DataApi
from tests.support.runs import wait_for_end

VOICE = "hibari:heart"  # never heard by the starter, and of another synthesiser than all that it was taught by


def test_twenty_clips_make_the_starter_hear_a_new_voice(store, tmp_path):
    clips = [row for row in sources.load("callsigns").utterances if row.speaker == VOICE]
    for name, rows in (("mine", clips[:20]), ("others", clips[20:])):
        with open(tmp_path / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("file_name", "text"), *((row.audio, row.text) for row in rows)])
    proposed = DataApi(store).choose({"data": str(tmp_path / "mine.csv")})["settings"]
    assert (proposed["preset"], proposed["decoding"]) == ("few-clips", "greedy")
    run = supervisor.start(store, DEFAULTS.replace(proposed | {"eval": str(tmp_path / "others.csv")}))
    assert wait_for_end(run) == lifecycle.FINISHED
    scores = [told.data for told in view.load_view(run).evaluations]
    assert min(told["wer"] for told in scores) < 0.9 * scores[0]["wer"]
    assert min(told["cer"] for told in scores) < 0.75 * scores[0]["cer"]
