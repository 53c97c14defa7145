"""Audio files by the names of a table: found in any form of the name, guessed only where nothing else can be meant."""

import unicodedata

import pytest

from asrkit.data import access
from asrkit.data.audio_finder import AudioFinder


@pytest.fixture
def find(tmp_path):
    """find(files, names) -> [(path below the folder or None, codes)]; the files are created in a folder rec/."""

    def run(files, *names, **options):
        folder = tmp_path / "rec"
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        found = AudioFinder(folder, **options).find_all(names)
        return [
            (one.path.relative_to(folder).as_posix() if one.path.is_file() else None, [mark.code for mark in one.marks])
            for one in found
        ]

    return run


def plain(path):
    return (path, [])


def guessed(path):
    return (path, ["file-by-name"])


MISSING, UNCLEAR = (None, []), (None, ["bad-row"])


def test_names_are_compared_in_one_unicode_form_and_without_case(find):
    names = ["été.wav", "한국어.wav", "Grüße.wav"]
    files = [unicodedata.normalize("NFD", name) for name in names]
    assert find(files, *names) == [plain(name) for name in files]
    assert find(["B/Ä.WAV"], "b\\ä.wav", "./B/A\u0308.Wav") == [plain("B/Ä.WAV")] * 2


def test_names_may_lack_the_suffix_and_the_folder_of_recordings(find):
    files = ["clips/a.mp3", "wavs/b.wav", "wavs/s1/c.wav", "d.flac"]
    assert find(files, "a.mp3", "b", "s1/c.wav", "d") == [plain(name) for name in files]
    assert find(["train_a/e.wav"], "e", more_folders=["train_a"]) == [plain("train_a/e.wav")]


def test_file_of_that_name_in_another_folder_is_no_replacement(find):
    files = ["session_a/0001.wav"]
    for name in ("session_b/0001.wav", "/home/anna/session_b/0001.wav", "C:\\rec\\session_b\\0001.wav", "x/y/0001.wav"):
        assert find(files, name) == [MISSING]
    assert find([*files, "0002.wav"], "session_b/0002.wav") == [MISSING]


@pytest.mark.parametrize(
    "prefix", ["/home/anna/project/", "D:\\project\\", "file:///mnt/", "~/project/", "old/project/"]
)
def test_path_of_another_machine_is_matched_from_the_first_folder_on(find, prefix):
    assert find(["s1/1.wav", "s2/1.wav"], f"{prefix}s1/1.wav", f"{prefix}s2/1.wav") == [
        guessed("s1/1.wav"),
        guessed("s2/1.wav"),
    ]


def test_path_relative_to_the_folder_above_is_matched(find):
    assert find(["1.wav"], "rec/1.wav", "other/1.wav") == [guessed("1.wav"), MISSING]


def test_absolute_paths_of_files_that_now_lie_in_one_folder_are_guessed(find):
    assert find(["1.wav", "wav/2.wav"], "/data/1.wav", "/data/2.wav") == [guessed("1.wav"), guessed("wav/2.wav")]


def test_file_that_two_names_could_mean_is_not_guessed(find):
    assert find(["1.wav"], "/data/a/1.wav", "/data/b/1.wav") == [UNCLEAR] * 2
    assert find(["1.wav"], "1.wav", "/data/b/1.wav") == [plain("1.wav"), UNCLEAR]


def test_name_that_two_files_have_is_unclear(find):
    assert find(["a/1.wav", "b/1.wav"], "1.wav") == [UNCLEAR]


def test_best_of_copies_in_several_formats_is_taken(find):
    assert find(["2.mp3", "2.wav", "2.flac"], "2", "2.mp3") == [("2.wav", ["one-of-several"]), plain("2.mp3")]


def test_only_file_of_a_name_without_folder_is_guessed(find):
    assert find(["deep/down/1.wav"], "1.wav", "gone.wav") == [guessed("deep/down/1.wav"), MISSING]


def test_leading_zeros_that_a_spreadsheet_removed_are_guessed(find):
    files = ["0007.wav", "0010.wav", "00010.wav"]
    assert find(files, "7", "10", "8", "7.wav", "7.mp3") == [
        guessed("0007.wav"),
        UNCLEAR,
        MISSING,
        guessed("0007.wav"),
        MISSING,
    ]


def test_detail_names_both_files(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/1.wav").touch()
    (found,) = AudioFinder(tmp_path).find_all(["1.wav"])
    assert found.marks[0].detail == "x/1.wav is taken for 1.wav"


def test_forbidden_path_is_not_looked_up(tmp_path, monkeypatch):
    (tmp_path / "secret.wav").touch()
    (tmp_path / "rec").mkdir()
    monkeypatch.setenv(access.READABLE_VARIABLE, str(tmp_path / "rec"))
    finder = AudioFinder(tmp_path / "rec")
    found = finder.find_all([str(tmp_path / "secret.wav"), "../secret.wav"])
    assert [finder.exists(one.path) for one in found] == [True, True] and not any(one.marks for one in found)
