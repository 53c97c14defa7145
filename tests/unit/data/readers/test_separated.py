"""Records of CSV and its kin: quotation marks, delimiters and line breaks."""

import pytest

from asrkit.data.readers import separated


def read(content, delimiter=","):
    return [(record.fields, record.has_open_quote) for record in separated.read_records(content, delimiter)]


@pytest.mark.parametrize("delimiter", separated.DELIMITERS)
def test_quoted_fields_are_read(delimiter):
    line = delimiter.join(["a.wav", f'"one{delimiter}two ""three"""', '""', "", ' "four" ', 'f"ive'])
    fields = ["a.wav", f'one{delimiter}two "three"', "", "", "four", 'f"ive']
    assert read(f"{line}\r\n{line}", delimiter) == [(fields, False)] * 2


@pytest.mark.parametrize("field", ['"one" two "three"', '"one" two', 'one "two"', '"one" "two"'])
def test_quotation_marks_of_a_text_are_characters(field):
    assert read(f"file,text\na.wav,{field}")[1] == (["a.wav", field], False)


@pytest.mark.parametrize("closing", ["three", 'th"ree', 'three"', '"three', 'three" four'])
@pytest.mark.parametrize("header", ["file,text", "text,file", "file,text,speaker"])
def test_unbalanced_quote_swallows_no_row(header, closing):
    def line(name, text):
        values = {"file": name, "text": text, "speaker": "ann"}
        return ",".join(values[column] for column in header.split(","))

    lines = [header, line("1.wav", '"one'), line("2.wav", "two"), line("3.wav", closing), line("4.wav", "four")]
    records = read("\n".join(lines))
    assert len(records) == 5 and records[1] == (lines[1].split(","), True)
    assert [record[0] for record in records[2:]] == [
        [field.strip('"') if field.startswith('"') and field.endswith('"') else field for field in row.split(",")]
        for row in lines[2:]
    ]


def test_unbalanced_quote_in_a_table_of_ids_swallows_no_row():
    records = read('id|text\n1|"one\n2|two\n3|three"\n', "|")
    assert [fields for fields, _ in records] == [["id", "text"], ["1", '"one'], ["2", "two"], ["3", 'three"']]


def test_line_break_in_a_quoted_text_is_kept():
    records = list(separated.read_records('file,text\r\na.wav,"one, two\r\n\r\nthree"\r\n\r\nb.wav,four', ","))
    assert [record.fields for record in records] == [
        ["file", "text"],
        ["a.wav", "one, two\n\nthree"],
        [],
        ["b.wav", "four"],
    ]
    assert [(record.first_line, record.last_line) for record in records] == [(1, 1), (2, 4), (5, 5), (6, 6)]


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("path;text, as read;text\na;b;c", ";"),
        ("path|text|a,b,c,d,e\n", "|"),
        ('"path","text;"\n', ","),
        ("sep=;\npath;text", ";"),
        ("\n\npath\ttext", "\t"),
        ("unknown;names,here;there", ";"),
    ],
)
def test_delimiter_is_that_of_the_header(content, delimiter):
    found, rest = separated.choose_delimiter(content, lambda names: {"path", "text"} <= set(names))
    assert found == delimiter and not rest.startswith("sep=")
