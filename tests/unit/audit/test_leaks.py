"""Equal files are told by what is in them, and as few of them as possible are read."""

import os

from asrkit.audit import leaks
from asrkit.data.manifest import Utterance


def test_prints_are_equal_for_equal_audio_alone(tmp_path, monkeypatch):
    silent_middle = [os.urandom(64) + bytes(40_000) for _ in range(2)]
    content = {
        "a": b"one",
        "b": b"three",
        "c": silent_middle[0],
        "d": silent_middle[1],
        "e": silent_middle[0],
        "f": b"six",
    }
    for name, told in content.items():
        (tmp_path / name).write_bytes(told)
    os.link(tmp_path / "b", tmp_path / "linked")
    rows = [Utterance(str(tmp_path / name), "x", 1.0) for name in (*content, "linked", "gone")]
    opened = []
    monkeypatch.setattr(
        leaks, "_digest_middle", lambda path, size, was=leaks._digest_middle: opened.append(path) or was(path, size)
    )
    a, b, c, d, e, f, linked, gone = leaks.audio_fingerprints(rows)
    assert c == e and b == linked and gone is None and len({a, b, c, d, f}) == 5
    assert sorted(path[-1] for path in opened) == ["a", "c", "d", "e", "f"]
    part = leaks.audio_fingerprints([Utterance(rows[0].audio, "x", 1.0, start_s=at) for at in (0.0, 0.0, 1.0)])
    assert part[0] == part[1] != part[2]
