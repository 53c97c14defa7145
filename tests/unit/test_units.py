"""Durations, sizes and rates as text."""

import pytest

from asrkit import units


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (70, "1 min 10 s"), (7_500, "2 h 5 min"), (3_600, "1 h"), (100_000, "1 d 3 h")],
)
def test_format_duration(seconds, text):
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "5 s"), (48, "50 s"), (134, "2 min 10 s"), (1_000, "17 min")])
def test_format_rough_duration(seconds, text):
    assert units.format_rough_duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 kB"), (812_000, "812 kB"), (5.44e6, "5.4 MB"), (54e6, "54 MB"), (3.1e9, "3.1 GB"), (24e9, "24 GB")],
)
def test_format_size(size_bytes, text):
    assert units.format_size(size_bytes) == text


@pytest.mark.parametrize(("items", "text"), [("", ""), ("ab", "a, b"), ("abc", "a, b and 1 more")])
def test_format_list(items, text):
    assert units.format_list(list(items), 2) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(32 << 20, "32 MB"), (2 << 30, "2 GB"), (3 << 29, "1.5 GB"), (1_000_000, "1 MB")]
)
def test_format_binary_size(size_bytes, text):
    assert units.format_binary_size(size_bytes) == text


@pytest.mark.parametrize(("rate", "text"), [(0.0312, "3.1 %"), (1.2, "120.0 %"), (None, "unknown")])
def test_format_rate(rate, text):
    assert units.format_rate(rate) == text
