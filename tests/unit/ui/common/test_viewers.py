"""The poll interval of pages."""

import pytest

from asrkit.ui.common import viewers


def test_polls_of_many_pages_are_grouped(monkeypatch):
    open_pages, now = viewers.Viewers(), 100.0
    monkeypatch.setattr(viewers.time, "monotonic", lambda: now)
    due = []
    for index in range(50):
        now += 0.037 * index % 1
        due.append(now + open_pages.poll_interval_ms(f"page {index}", 1000) / 1000)
    moments = [one / viewers.GROUP_INTERVAL_S for one in due[viewers.MAX_FULL_RATE :]]
    assert moments == pytest.approx([round(one) for one in moments], abs=1e-3)
