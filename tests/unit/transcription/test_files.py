from asrkit.transcription.files import unique_stems


def test_unique_stems_numbers_duplicates():
    assert unique_stems(["x/a.wav", "y/a.mp3", "a-2.wav", "b.wav"]) == ["a", "a-2", "a-2-2", "b"]
