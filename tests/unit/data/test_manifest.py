"""Manifests: atomic writes, round trips and malformed files."""

import os
import pickle
from dataclasses import replace

import pytest

from asrkit.data import manifest, utterance_table
from asrkit.data.manifest import Column, JoinedRows, Mark, Utterance, UtteranceTable
from asrkit.data.utterance_table import digest_rows
from asrkit.errors import DataError


def utterances(count, speakers=()):
    return [
        Utterance(f"{number}.wav", "hi", 1.0, speaker=speakers[number % len(speakers)] if speakers else None)
        for number in range(count)
    ]


def test_write_and_read_round_trip(tmp_path):
    rows = [
        Utterance("a/é.wav", "I said “नमस्ते”\u2028twice", 1.5, "ann", "train", 0.5, 2.0, "metadata.csv row 7"),
        Utterance("b.wav", "", -1.0),
    ]
    manifest.write(tmp_path / "train.jsonl", rows)
    assert manifest.read(tmp_path / "train.jsonl") == rows
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_failed_write_keeps_the_old_manifest(tmp_path):
    path = tmp_path / "train.jsonl"
    manifest.write(path, utterances(2))

    def interrupted():
        yield Utterance("a.wav", "a", 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manifest.write(path, interrupted())
    assert manifest.read(path) == utterances(2)
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_malformed_manifest_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        manifest.read(tmp_path / "gone.jsonl")
    good = '{"audio": "a.wav", "text": "a", "duration_s": 1.0}\n'
    for bad in ("{", "[]", '{"audio": "a.wav"}', good.replace("1.0", '"x"'), good.replace('"a"', "3")):
        (tmp_path / "bad.jsonl").write_text(good + bad)
        with pytest.raises(DataError, match=r"bad\.jsonl line 2 is not an utterance"):
            manifest.read(tmp_path / "bad.jsonl")


def test_id_is_short_stable_and_unique_for_each_part():
    first = Utterance("x/clip.wav", "a", 1.0)
    assert first.id == Utterance("x/clip.wav", "b", 2.0).id
    assert first.id.startswith("clip-") and len(first.id) == len("clip-") + 8
    assert len({first.id, Utterance("y/clip.wav", "a", 1.0).id, Utterance("x/clip.wav", "a", 1.0, start_s=1.0).id}) == 3


TABLE = [
    Utterance("a/é.wav", "I said “नमस्ते”\u2028twice", 1.5, "ann", "train", 0.5, 2.0, "metadata.csv row 7"),
    Utterance(
        "b.wav", "", -1.0, marks=(Mark("bad-row", "is empty"), Mark("merged-lines", "lines 2 to 3")), dataset="hub:a/b"
    ),
    *utterances(3, ["ann", "bob"]),
]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The utterances of TABLE in columns, read two at once."""
    monkeypatch.setattr(utterance_table, "_BATCH_ROWS", 2)
    manifest.write(tmp_path / "train.arrow", TABLE)
    return manifest.read(tmp_path / "train.arrow")


def test_columns_give_the_same_utterances(table):
    assert (
        list(table) == TABLE
        and table == TABLE
        and [table[0], table[-1], *table[1:3]]
        == [
            TABLE[0],
            TABLE[-1],
            *TABLE[1:3],
        ]
    )
    assert table != TABLE[:-1] and table != [*TABLE[:-1], TABLE[0]]
    assert pickle.loads(pickle.dumps(table)) == table  # for processes that are not forked
    with pytest.raises(IndexError):
        table[len(TABLE)]


def test_columns_from_before_there_were_datasets_can_be_read(tmp_path):
    rows = utterances(3, ["ann", "bob"])
    columns = UtteranceTable.build(rows)
    del columns._columns["dataset"]
    with open(tmp_path / "old.arrow", "wb") as file:
        columns.write(file)
    assert manifest.read(tmp_path / "old.arrow") == rows


def test_a_column_can_be_iterated_over_again(table):
    column = Column("audio", table, TABLE[:1])
    expected = [row.audio for row in [*TABLE, TABLE[0]]]
    assert list(column) == expected and list(column) == expected


def test_columns_of_no_clip_are_empty(tmp_path):
    manifest.write(tmp_path / "empty.arrow", [])
    assert list(manifest.read(tmp_path / "empty.arrow")) == []


def test_damaged_columns_are_refused(tmp_path, table):
    content = table.path.read_bytes()
    offset = content.index(b"a.wav" if b"a.wav" in content else b"0.wav") - 64
    broken = content[:offset] + b"\xff" * 32 + content[offset + 32 :]
    for name, bad in {"cut": content[: len(content) // 2], "text": b"{}", "broken": broken}.items():
        path = tmp_path / f"{name}.arrow"
        path.write_bytes(bad)
        with pytest.raises(DataError, match=rf"{name}\.arrow is no manifest or only a part of one \("):
            manifest.read(path)


def test_columns_cannot_hold_a_lone_surrogate(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        manifest.write(tmp_path / "x.arrow", [Utterance("a.wav", "\ud800", 1.0)])
    assert os.listdir(tmp_path) == []


def test_columns_in_memory_are_those_of_the_file(table, monkeypatch):
    monkeypatch.setattr(utterance_table, "_BUILT_ROWS", 2)
    built = UtteranceTable.build(iter(TABLE))
    assert built == table and list(built) == TABLE and pickle.loads(pickle.dumps(built)) == TABLE
    assert built.digest() == UtteranceTable.build(TABLE).digest()
    changed = [*TABLE[:-1], replace(TABLE[-1], speaker="cat")]
    assert UtteranceTable.build(changed).digest() != built.digest()


def test_numbers_of_several_manifests_are_one_array(table):
    rows = JoinedRows(table, TABLE[:1], [])
    assert Column("duration_s", rows).to_numpy().tolist() == [row.duration_s for row in [*TABLE, TABLE[0]]]
    assert list(Column("text", rows)) == [row.text for row in rows] and len(Column("text", rows)) == len(TABLE) + 1
    assert Column("duration_s").to_numpy().tolist() == []


def test_joined_rows_are_a_sequence(table):
    rows = JoinedRows(table, [], TABLE[:2])
    expected = [*TABLE, *TABLE[:2]]
    assert rows == expected and [rows[index] for index in range(-7, 7)] == expected * 2
    assert rows[4:6] == expected[4:6] and len(rows) == 7
    with pytest.raises(IndexError):
        rows[7]


def test_a_million_clips_take_at_most_150_bytes_each():
    """Of a corpus like Common Voice, by the size of its columns."""
    rows = [
        Utterance(
            f"/data/common-voice/en/clips/common_voice_en_{17_000_000 + number}.mp3",
            "The text of a clip of average length has ten words.",
            5.0,
            speaker=f"speaker-{number % 100}",
            row=f"train.tsv row {number}",
        )
        for number in range(utterance_table._BUILT_ROWS)
    ]
    assert len(pickle.dumps(UtteranceTable.build(rows))) / len(rows) <= 150


@pytest.mark.parametrize(
    "part", [slice(2, 7), slice(0, 100), slice(5, 2), slice(-3, None), slice(1, 9, 3), slice(9, 0, -2)]
)
def test_slices_of_columns_and_of_joined_rows_are_those_of_a_list(part):
    rows = [Utterance(f"/a/{number}.wav", f"text {number}", 1.0, row=f"row {number}") for number in range(10)]
    table = UtteranceTable.build(rows)
    assert table[part] == rows[part]
    assert JoinedRows(table, rows, table)[part] == [*rows, *rows, *rows][part]


def test_digest_of_rows_differs_with_their_order_and_kind():
    rows = [Utterance(f"/a/{number}.wav", "text", 1.0) for number in range(3)]
    digests = {digest_rows(each) for each in (rows, rows[::-1], rows[:2], UtteranceTable.build(rows[::-1]))}
    assert len(digests) == 4
    assert digest_rows(JoinedRows(UtteranceTable.build(rows))) == digest_rows(UtteranceTable.build(rows))
