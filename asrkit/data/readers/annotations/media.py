"""The recording that an annotation is of: the file that it names, maybe on another machine, or one beside it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from asrkit.data import files
from asrkit.data.audio_finder import AudioFinder, choose_best, find_in_any_form, fold, suffix_rank
from asrkit.data.manifest import Mark
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media


class FoundMedia(NamedTuple):
    """The file of a recording and where in it the annotation's zero is.

    marks: of each of its clips. others: names of further recordings that are not used.
    """

    path: Path
    offset_s: float = 0.0
    marks: tuple[Mark, ...] = ()
    others: tuple[str, ...] = ()


class MediaFinder:
    """Finds recordings beside annotations and below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._finder = AudioFinder(folder)
        self._siblings = cache(self._list_siblings)

    def find(self, annotation: Path, recording: AnnotatedRecording) -> FoundMedia | None:
        """Return the recording of an annotation; None if there is none.

        Of several that it names, that is the first of those with the best suffix.
        """
        named = [(path, media) for media in recording.media if (path := self._find_named(annotation, media))]
        if named:
            path, media = min(named, key=lambda pair: suffix_rank(pair[0]))
            others = dict.fromkeys(other.name for other, _ in named if fold(other.stem) != fold(path.stem))
            return FoundMedia(path, media.offset_s, _mark_offset(media), tuple(others))
        # story.en.srt and story.labels.txt are of story.wav.
        stems = (annotation.stem, Path(annotation.stem).stem)
        beside = next(filter(None, (self._find_stem(annotation.parent, stem) for stem in stems)), None)
        if beside is None or not recording.media:
            return FoundMedia(beside) if beside else None
        missing = base_name(recording.media[0].names[0])
        return FoundMedia(beside, 0.0, (Mark("file-by-name", f"{beside.name} is taken for {missing:.120}"),))

    def _find_named(self, annotation: Path, media: Media) -> Path | None:
        for name in media.names:
            path = _plain_path(name)
            for relative in (path, base_name(name)):
                folder = annotation.parent
                while relative.startswith("../"):
                    folder, relative = folder.parent, relative.removeprefix("../")
                if relative.startswith("/") or not self._may_read(folder / relative):
                    continue
                if found := find_in_any_form(folder, relative):
                    return found
        last = base_name(media.names[0])
        if not files.is_audio(Path(last)) and (found := self._find_stem(annotation.parent, last)):  # without a suffix
            return found
        for name in media.names:
            (file,) = self._finder.find_all([_plain_path(name)])
            if self._may_read(file.path) and files.is_file(file.path):
                return file.path
        return None

    def _may_read(self, path: Path) -> bool:
        return self._finder.policy.allows(path)

    def _find_stem(self, folder: Path, stem: str) -> Path | None:
        candidates = self._siblings(folder).get(fold(stem), [])
        return choose_best(candidates) if candidates else None

    def _list_siblings(self, folder: Path) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()) if self._may_read(folder / "x") else ():
            if files.is_audio(path) and not path.name.startswith(".") and path.is_file():
                found.setdefault(fold(path.stem), []).append(path)
        return found


def base_name(name: str) -> str:
    """Return the last part of a URL or of a path of any machine."""
    return _plain_path(name).rpartition("/")[2]


def _plain_path(name: str) -> str:
    """Return a URL or path with / between folders; absolute ones begin with / or a drive."""
    is_url = bool(re.match(r"[a-zA-Z]{2,}:", name))
    path = re.sub(r"^file:(//[^/]*(?=/))?", "", name.replace("\\", "/"), flags=re.IGNORECASE)
    path = unquote(path) if is_url or "%20" in path else path
    return path.removeprefix("./")


def _mark_offset(media: Media) -> tuple[Mark, ...]:
    if not media.offset_s:
        return ()
    return (Mark("assumed-times", f"the annotation begins at {media.offset_s:g} s of the recording"),)
