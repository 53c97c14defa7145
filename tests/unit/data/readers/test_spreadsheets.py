"""Spreadsheets are read as tables; hostile ones are refused with a one-line error."""

import pytest

from asrkit.data import sources
from asrkit.data.readers import spreadsheets
from asrkit.errors import DataError
from asrkit.sandbox import ResourceLimits
from tests.support.sheets import cells, write_ods, write_xlsx

HEADER = ["file_name", "text", "speaker"]


def load(path, **options):
    return sources.load(str(path), **options)


def test_first_sheet_is_read_by_default(clip, tmp_path):
    clip("a.wav", 1.5)
    rows = [HEADER, ["a.wav", "Buenos días", "ana"], [None], ["a.wav", 42, None]]
    source = load(write_xlsx(tmp_path / "x.xlsx", {"clips": cells(rows), "notes": cells([["nothing"]])}))
    assert [(row.text, row.speaker, row.row) for row in source.train] == [
        ("Buenos días", "ana", "x.xlsx row 2"),
        ("42", None, "x.xlsx row 4"),
    ]
    assert (source.layout, source.sheet) == ("spreadsheet", f"{tmp_path}/x.xlsx#clips")
    assert source.sheets == (f"{tmp_path}/x.xlsx#clips", f"{tmp_path}/x.xlsx#notes")
    assert source.column_names == tuple(HEADER) and source.columns.speaker == "speaker"


def test_sheet_is_chosen_by_name(clip, tmp_path):
    clip("a.wav")
    write_xlsx(tmp_path / "x.xlsx", {"one": cells([["?"], ["!"]]), "Días 2": cells([HEADER, ["a.wav", "hi", "ann"]])})
    assert load(f"{tmp_path}/x.xlsx#Días 2").train[0].text == "hi"
    with pytest.raises(DataError, match="has no sheet 'three', only 'one', 'Días 2'"):
        load(f"{tmp_path}/x.xlsx#three")
    with pytest.raises(DataError, match=r"\(sheet 'one'; others, to be named behind #: Días 2\) has no audio column"):
        load(tmp_path / "x.xlsx")


def test_merged_cells_dates_formulas_and_leading_empty_rows_are_read(clip, tmp_path):
    clip("a.wav")
    date = '<c r="B6" s="1"><v>45413</v></c>'
    computed, not_computed = '<c r="B7"><f>1+1</f><v>2</v></c>', '<c r="B8"><f>1+1</f></c>'
    rows = [
        [None],
        [None],
        [*HEADER, "start_s"],
        ["a.wav", "one", "ann", 0.25],
        ["a.wav", "two"],
        ["a.wav", date],
        ["a.wav", computed],
        ["a.wav", not_computed],
    ]
    source = load(write_xlsx(tmp_path / "x.xlsx", {"s": cells(rows)}, merged="C4:C6"))
    assert [(row.text, row.speaker) for row in source.train] == [
        ("one", "ann"),
        ("two", "ann"),
        ("2024-05-01", "ann"),
        ("2", None),
        ("", None),
    ]
    assert source.train[0].start_s == 0.25
    codes = [{mark.code for mark in row.marks} for row in source.train]
    assert ["dates-in-texts" in found for found in codes] == [False, False, True, False, False]


@pytest.mark.parametrize("merged", ["E1:F2", "A9:B9"])
def test_merged_cells_outside_the_table_are_ignored(clip, tmp_path, merged):
    clip("a.wav")
    source = load(write_xlsx(tmp_path / "x.xlsx", {"s": cells([HEADER, ["a.wav", "one", "ann"]])}, merged=merged))
    assert [row.text for row in source.train] == ["one"]


def test_open_document_is_read_as_metadata_of_a_folder(clip, tmp_path):
    clip("a.wav")
    write_ods(tmp_path / "metadata.ods", [HEADER, ["a.wav", "hola", "ana"]])
    (tmp_path / "~$metadata.xlsx").write_bytes(b"lock file")
    source = load(tmp_path)
    assert source.train[0].text == "hola" and source.layout == "folder with a metadata table"


NESTED_ENTITIES = (
    "<!DOCTYPE l ["
    + '<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)
HOSTILE = {
    "a cell in the last row and column": (
        lambda path: write_xlsx(path, {"s": cells([HEADER]) + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'}),
        "is larger inside",
    ),
    "a row repeated a million times": (
        lambda path: write_ods(path.with_suffix(".ods"), [["x" * 500] * 50], 1_000_000),
        "is larger inside",
    ),
    "100 MB of one letter": (
        lambda path: write_xlsx(path, {"s": cells([["x" * 25_000_000] * 4])}),
        "is larger inside",
    ),
    "nested entities": (
        lambda path: write_xlsx(path, {"s": cells([["<c r='A1' t='str'><v>&i;</v></c>"]])}, prefix=NESTED_ENTITIES),
        "has no audio column|cannot be read as a spreadsheet",
    ),
    "a text file": (lambda path: path.write_text("file_name,text") and path, "cannot be read as a spreadsheet"),
    "truncated": (
        lambda path: path.write_bytes(write_xlsx(path, {"s": cells([HEADER])}).read_bytes()[:300]) and path,
        "cannot be read as a spreadsheet",
    ),
    "no cells": (lambda path: write_xlsx(path, {"s": ""}), "has no rows"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_spreadsheet_is_refused(tmp_path, name, monkeypatch):
    limits = ResourceLimits(memory_bytes=1 << 28, cpu_s=20)  # a gigabyte takes seconds to fill
    monkeypatch.setattr(spreadsheets, "LIMITS", limits)
    make, message = HOSTILE[name]
    with pytest.raises(DataError, match=message) as error:
        load(make(tmp_path / "x.xlsx"))
    assert "\n" not in str(error.value)
