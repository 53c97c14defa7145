"""Scripts without word spaces: a character is a word, from the frames to the page and the score."""

import json
import types

import numpy as np
import pysubs2
import pytest

from asrkit.audio import Waveform
from asrkit.decoding.alignment import align
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.hotwords import HotWordDecoder
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Transcript, Word, extend_word_ends, join_words
from asrkit.transcription.writers import WRITERS
from asrkit.transcription.writers.captions import split_captions
from tests.support import tiny


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    """Blank 0, unknown 1, delimiter 2, then 我们去ab."""
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(
        tiny.write_checkpoint(tmp_path_factory.mktemp("han") / "tiny", letters="我们去ab")
    )


def times(words):
    return [(one.word, round(one.start_s, 2), round(one.end_s, 2), one.joined) for one in words]


PATH = [0, 3, 0, 4, 4, 0, 6, 0, 7, 2, 2, 5, 0, 3, 0]  # 我们ab 去我


def test_each_character_has_times_and_confidence(processor):
    words = GreedyDecoder(processor, 0).decode(tiny.make_log_probs(PATH, 0.9, {3: (4, 0.6), 4: (4, 0.5)}), 0.02)
    assert times(words) == [
        ("我", 0.02, 0.04, False),
        ("们", 0.06, 0.1, True),
        ("ab", 0.12, 0.18, True),
        ("去", 0.22, 0.24, False),
        ("我", 0.26, 0.28, True),
    ]
    assert join_words(words) == "我们ab 去我"
    assert words[1].confidence < words[0].confidence == pytest.approx(words[4].confidence)
    result = Transcript(words, 0.3).to_dict()
    assert result["text"] == "我们ab 去我"
    assert [word.get("joined", False) for word in result["words"]] == [False, True, True, False, True]


def test_marks_stay_with_their_base(tmp_path):
    from transformers import AutoProcessor

    letters = "กำ្ខក"  # Thai ko kai and sara am; Khmer coeng, kho, ka
    processor = AutoProcessor.from_pretrained(tiny.write_checkpoint(tmp_path / "marks", letters=letters[:4]))
    scores = np.full((9, 7), -9.0, np.float32)
    scores[np.arange(9), [3, 0, 4, 0, 3, 0, 6, 5, 6]] = -0.01
    assert [one.word for one in GreedyDecoder(processor, 0).decode(scores, 0.02)] == ["กำ", "ก", "ខ្ខ"]


def test_alignment_times_each_character(processor):
    transcriber = types.SimpleNamespace(
        processor=processor, blank_id=0, log_probabilities=lambda wave: tiny.make_log_probs(PATH, 0.9)
    )
    result = align(transcriber, Waveform(np.zeros(len(PATH) * 320, np.float32)), "我们ab 去我")
    decoded = GreedyDecoder(processor, 0).decode(tiny.make_log_probs(PATH, 0.9), 0.02)
    assert times(result.words) == times(extend_word_ends(decoded, len(PATH) * 0.02))


def test_hot_word_of_several_characters_replaces_similar_ones(processor):
    ambiguous = tiny.make_log_probs([0, 3, 0, 6, 0, 7, 2, 0], 0.9, {3: (4, 0.3)})  # 我ab, where the a might be 们
    assert join_words(HotWordDecoder(processor, 0, ["去去"]).decode(ambiguous, 0.02)) == "我ab"
    assert times(
        HotWordDecoder(processor, 0, ["我们"]).decode(tiny.make_log_probs([0, 3, 0, 5, 0, 2], 0.9, {3: (4, 0.3)}), 0.02)
    ) == [
        ("我", 0.02, 0.04, False),
        ("们", 0.06, 0.08, True),
    ]
    assert (
        join_words(
            HotWordDecoder(processor, 0, ["们去我"]).decode(
                tiny.make_log_probs([3, 0, 4, 0, 3, 0, 3, 0, 6], 0.9, {4: (5, 0.3)}), 0.02
            )
        )
        == "我们去我a"
    )


@pytest.mark.parametrize("word", ["我们去我", "我们去", "们去我"])
def test_correct_hot_word_repeats_no_character(processor, word):
    scores = tiny.make_log_probs([0, 0, 3, 0, 4, 0, 5, 0, 0, 3, 0], 0.75, {1: (3, 0.1), 8: (3, 0.1)})
    assert join_words(GreedyDecoder(processor, 0).decode(scores, 0.02)) == "我们去我"
    assert join_words(HotWordDecoder(processor, 0, [word]).decode(scores, 0.02)) == "我们去我"


@pytest.mark.parametrize("delimiter", ["|", None])
def test_model_without_delimiter_decodes_and_aligns(tmp_path, delimiter):
    """Its tokenizer has none, or adds one that the model has no output for."""
    from transformers import Wav2Vec2CTCTokenizer

    (tmp_path / "vocab.json").write_text(
        json.dumps({token: number for number, token in enumerate(["<pad>", "<unk>", "x", *"我们去ab"])})
    )
    tokenizer = Wav2Vec2CTCTokenizer(
        str(tmp_path / "vocab.json"),
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token=None,
        eos_token=None,
        word_delimiter_token=delimiter,
    )
    scores = tiny.make_log_probs([0, 3, 0, 4, 0, 6, 7, 0], 0.9)
    transcriber = types.SimpleNamespace(
        processor=types.SimpleNamespace(tokenizer=tokenizer), blank_id=0, log_probabilities=lambda wave: scores
    )
    assert join_words(HotWordDecoder(transcriber.processor, 0, ["我去"]).decode(scores, 0.02)) == "我们ab"
    result = align(transcriber, Waveform(np.zeros(len(scores) * 320, np.float32)), "我 们 ab").words
    assert [(one.word, round(one.start_s, 2)) for one in result] == [("我", 0.02), ("们", 0.06), ("ab", 0.1)]


def test_merged_segments_get_no_space_between_characters(processor):
    merger = SegmentMerger()
    first = merger.push([Word("我", 0, 1, 1)], None)
    second = merger.push([Word("们", 1, 2, 1), Word("ab", 2, 3, 1)], None)
    third = merger.push([Word("去", 3, 4, 1)], None)
    assert join_words(first + second + third) == "我们 ab 去"


def test_captions_have_at_most_sixteen_full_width_characters_a_line():
    words = [Word(one, 0.1 * index, 0.1 * index + 0.1, 1.0, index > 0) for index, one in enumerate("我们去" * 20)]
    result = Transcript(words, 8.0)
    shown = list(split_captions(result))
    assert all(len(one.lines) <= 2 and max(map(len, one.lines)) <= 16 for one in shown)
    read = pysubs2.SSAFile.from_string(WRITERS["srt"](result), format_="srt")
    assert "".join(line.plaintext.replace("\n", "") for line in read) == "我们去" * 20


def test_caption_lines_break_at_spaces():
    words = [Word(one, 0.1 * index, 0.1 * index + 0.1, 1.0, one != "我") for index, one in enumerate("我们去们去" * 5)]
    (shown,) = split_captions(Transcript(words, 4.0))
    assert [len(line.replace(" ", "")) for line in shown.lines] in ([10, 15], [15, 10])
