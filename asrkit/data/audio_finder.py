"""The audio files that the names in a table or list mean."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit.data import access, files
from asrkit.data.manifest import BAD_ROW, Mark
from asrkit.sandbox import forbidden

AUDIO_FOLDERS = frozenset(
    "audio audios clip clips data flac mp3 media ogg recording recordings segments sound sounds speech wav wav16 wav48 "
    "wave waves wavs".split()
)
"""Folders of recordings, beside a table, that tables leave out of their names, as Common Voice does with clips/."""
_FILE_SCHEME = re.compile(r"^file:(//)?", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"^(\$\{?\w+\}?|\{\w+\})/")
"""What SpeechBrain writes for the folder of the data: $data_root or {data_root}."""
_ABSOLUTE = re.compile(r"/|~|[A-Za-z]:|file:", re.IGNORECASE)


def fold(name: str) -> str:
    """Return a name in the form in which names are compared: composed, and without the difference of capitals.

    A Mac writes names decomposed, Windows and cameras change capitals.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


SUFFIX_ORDER = tuple(".wav .flac .aiff .aif .w64 .au .ogg .opus .mp3 .m4a".split())
"""Of several files of one recording the best is taken; others, films among them, come last."""


def suffix_rank(path: Path) -> int:
    """Return the index of a file's suffix in SUFFIX_ORDER, the length of that for another suffix."""
    suffix = path.suffix.lower()
    return SUFFIX_ORDER.index(suffix) if suffix in SUFFIX_ORDER else len(SUFFIX_ORDER)


def choose_best(paths: Iterable[Path]) -> Path:
    """Return the file with the best suffix of those of one recording."""
    return min(paths, key=lambda path: (suffix_rank(path), path.name))


def are_copies(paths: Sequence[Path]) -> bool:
    """Return whether files differ in nothing but their format."""
    stems = {(path.parent, fold(path.stem)) for path in paths}
    return len(stems) == 1 and len({path.suffix.lower() for path in paths}) == len(paths)


def find_in_any_form(base: Path, relative: str) -> Path | None:
    """Return the file `relative` to `base`, whose name may be in another form (`fold`); None if there is none, or two.

    Only call it for a path that may be read (`access.ReadPolicy`).
    """
    exact = base / relative
    if files.is_file(exact):
        return exact
    if not base.is_dir():
        return None
    found = [base]
    for part in Path(relative).parts:
        found = [path for folder in found for path in _list(folder) if fold(path.name) == fold(part)]
    paths = [path for path in found if files.is_file(path)]
    return paths[0] if len(paths) == 1 else None


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:  # a file, or a folder that may not be read
        forbidden.note_cause(error)
        return []


@dataclass(frozen=True)
class FoundAudio:
    """The file that a name means; if there is none, the path that the name would have. marks: what was assumed."""

    path: Path
    marks: tuple[Mark, ...] = ()
    is_found: bool = True


class AudioFinder:
    """Audio files below a folder by the names that a table gives them: a path, a file name, or a name without suffix.

    A name is compared in one form (`fold`). A file is guessed only where nothing else can be meant, and then marked:
    the name has no folder, or the path is that of another machine and ends in the path of the file below the folder;
    there is one such file; and no other path means it.

    A file that may not be read is not looked up, which would reveal whether it exists; `sources` refuses it.
    """

    def __init__(self, folder: Path, more_folders: Sequence[str] = ()) -> None:
        """more_folders: names of further `AUDIO_FOLDERS`, such as that of the table."""
        self.folder = folder
        self.policy = access.ReadPolicy()
        self._clips = folder / "clips"
        self._skipped = AUDIO_FOLDERS | {fold(name) for name in more_folders}
        self._index: dict[str, list[Path]] | None = None
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_number: dict[int, list[Path]] = defaultdict(list)

    def find_all(self, names: Sequence[str]) -> list[FoundAudio]:
        """Return what each name means."""
        plain: dict[str, Path] = {}
        guesses: dict[str, list[Path]] = {}
        for name in dict.fromkeys(names):
            found = self._find_named(name)
            if len(found) == 1:
                plain[name] = found[0]
            else:
                guesses[name] = found or self._guess(name)
        taken = set(plain.values())
        claims: dict[Path, set[str]] = defaultdict(set)
        for name, paths in guesses.items():
            for path in paths if "/" in _with_slashes(name) else ():
                claims[path].add(fold(_with_slashes(name)))
        answers = {name: FoundAudio(path) for name, path in plain.items()}
        for name, paths in guesses.items():
            has_folder = "/" in _with_slashes(name)
            contested = [path for path in paths if path in taken or len(claims[path]) > 1] if has_folder else []
            answers[name] = self._describe_guess(name, paths, contested)
        return [answers[name] for name in names]

    def exists(self, path: Path) -> bool:
        """Return whether `path` exists, or must be treated so because it may not be looked up."""
        return not self.policy.allows(path) or files.is_file(path)

    def _describe_guess(self, name: str, paths: list[Path], contested: list[Path]) -> FoundAudio:
        missing = self.folder / _with_slashes(name)
        listed = " or ".join(self._relative(path) for path in paths[:3])
        if len(paths) == 1 and not contested:
            return FoundAudio(paths[0], (Mark("file-by-name", f"{listed} is taken for {name:.120}"),))
        if len(paths) > 1 and not contested and are_copies(paths):
            best = choose_best(paths)
            return FoundAudio(best, (Mark("one-of-several", f"{self._relative(best)} is taken of {listed}"),))
        if len(paths) > 1:
            return FoundAudio(missing, (Mark(BAD_ROW, f"{name:.120} does not exist; it may mean {listed}"),), False)
        if contested:
            detail = f"{name:.120} does not exist, and {listed} is what another row names"
            return FoundAudio(missing, (Mark(BAD_ROW, detail),), False)
        return FoundAudio(missing, (), False)

    def _find_named(self, name: str) -> list[Path]:
        """Return the files at the path that a name gives, in any form, with or without a suffix; several if unclear."""
        relative = _with_slashes(name)
        for folder in (self.folder, self._clips):
            path = folder / relative
            if self.policy.allows(path) and files.is_file(path):
                return [path]
        return self._paths().get(fold(relative.removeprefix("./")), [])

    def _guess(self, name: str) -> list[Path]:
        """Return the files elsewhere that a name can mean."""
        self._paths()
        *folders, last = [fold(part) for part in _with_slashes(name).split("/") if part not in ("", ".")] or [""]
        candidates = self._by_name.get(last, [])
        if not folders and not _ABSOLUTE.match(name):
            return candidates or self._find_number(last)
        is_absolute = bool(_ABSOLUTE.match(name))
        return [path for path in candidates if self._ends_alike(path, folders, is_absolute)]

    def _ends_alike(self, path: Path, folders: list[str], is_absolute: bool) -> bool:
        """Return whether a named path ends in the path of a file below the folder, from its first folder on."""
        own = [fold(part) for part in path.relative_to(self.folder).parts[:-1]]
        if own and own[0] in self._skipped and (not folders or own[0] not in folders):
            own = own[1:]
        if own:
            return folders[-len(own) :] == own
        return is_absolute or folders[-1:] == [fold(self.folder.name)]

    def _find_number(self, name: str) -> list[Path]:
        """Return the files of a number of which a spreadsheet has removed the leading zeros."""
        stem = name.partition(".")[0]
        paths = self._by_number[int(stem)] if _is_number(stem) else []
        return [path for path in paths if name == stem or fold(path.suffix) == name[len(stem) :]]

    def _paths(self) -> dict[str, list[Path]]:
        """Return the audio files by their folded paths, with and without suffix. Built on first use."""
        if self._index is None:
            index: dict[str, list[Path]] = defaultdict(list)
            for path in filter(files.is_audio, files.list_files(self.folder)):
                relative = fold(self._relative(path))
                top, _, inner = relative.partition("/")
                for key in (relative, inner) if inner and top in self._skipped else (relative,):
                    index[key].append(path)
                    index[_without_suffix(key)].append(path)
                self._by_name[fold(path.name)].append(path)
                self._by_name[fold(path.stem)].append(path)
                if _is_number(path.stem):
                    self._by_number[int(path.stem)].append(path)
            self._index = index
        return self._index

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _is_number(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and len(stem) < 19


def _with_slashes(name: str) -> str:
    path = _FILE_SCHEME.sub("", name.replace("\\", "/"))
    return _PLACEHOLDER.sub("", path)


def _without_suffix(key: str) -> str:
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.rpartition('.')[0]}"
