"""Texts that are no texts: missing values, and UTF-8 in another encoding."""

import pytest

from asrkit.audit.writing import ClipText, check_writing


def find(*texts):
    rows = [ClipText(index, text, text.lower(), 1.0) for index, text in enumerate(texts)]
    return {
        finding.code: (finding.clips, finding.changes)
        for finding in check_writing(rows, lambda index, detail: detail, "basic")
    }


def test_missing_values_are_found():
    assert find("nan", "none of them", " NULL ", "none", "N/A") == {"missing-values": ((0, 2, 4), "text")}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_texts_in_a_wrong_encoding_are_found(encoding):
    garbled = ["garçon", "où", "l’été", "привет"]
    garbled = [text.encode().decode(encoding, "ignore") for text in garbled[:2]] + ["garçon", "été Ãge"]
    assert find(*garbled) == {"garbled-texts": ((0, 1), "text")}
