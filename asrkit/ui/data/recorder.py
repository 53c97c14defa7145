"""What the recorder's script may ask of the server: prompts to read, clips to keep, and how far one has come."""

from __future__ import annotations

from typing import Any

from asrkit.audio import load_audio
from asrkit.data import access, collection, prompts
from asrkit.runs.store import RunStore
from asrkit.ui.common import receiving
from asrkit.ui.common.component import Asked, answering

MAX_TAKE_BYTES = 48 << 20  # of one recording
SENT_BACK = 400  # prompts and clips that a page gets at once


class Recorder:
    """Over the data folder of one store."""

    def __init__(self, store: RunStore) -> None:
        self.store = store

    @answering
    def lists(self, asked: Asked) -> dict[str, Any]:
        """The shipped lists of prompts, and the datasets that can be gone on with."""
        made = collection.list_collections(access.visitor_dir(self.store.data_dir))
        return {"lists": list(prompts.list_bundled().items()), "collections": [mine.name for mine in made]}

    @answering
    def begin(self, asked: Asked) -> dict[str, Any]:
        """Open the dataset `name`, with the prompts of `list` or `text`. It keeps those that it has, which may be
        somebody's own, unless `replace` is given; "others" tells that they are not those that were asked for."""
        mine, wanted = self._collection(asked), []
        if asked.get("text"):
            wanted = prompts.parse(str(asked["text"]))
        elif asked.get("list"):
            wanted = prompts.load(str(asked["list"]))
        before = mine.prompts
        if wanted and (asked.get("replace") or not before):
            mine.prompts = wanted
        others = bool(wanted and before) and mine.prompts == before and set(wanted) != set(before)
        return self._state(mine) | {"others": others}

    @answering
    def progress(self, asked: Asked) -> dict[str, Any]:
        """As `begin`, changing nothing."""
        return self._state(self._collection(asked))

    @answering
    def keep(self, asked: Asked) -> dict[str, Any]:
        """Keep the uploaded recording at `path` of the prompt `text`; it replaces one of the same prompt by the same
        speaker. Who gives no name may be anybody, so replaces nothing. take: a name of the recording, which is
        kept once however often it is sent."""
        mine, text = self._collection(asked), " ".join(str(asked.get("text") or "").split())
        speaker = " ".join(str(asked.get("speaker") or "")[:80].split())
        path = receiving.check_uploaded(asked.get("path"), max_bytes=MAX_TAKE_BYTES)
        try:
            wave = load_audio(path)
        finally:
            path.unlink(missing_ok=True)
        before = next(
            (clip.file_name for clip in mine.clips() if speaker and (clip.text, clip.speaker) == (text, speaker)), ""
        )
        mine.add(wave, text, speaker=speaker, replaces=before, take_id=str(asked.get("take") or ""))
        return self._state(mine)

    def _collection(self, asked: Asked) -> collection.Collection:
        return collection.open_collection(access.visitor_dir(self.store.data_dir), str(asked.get("name") or ""))

    def _state(self, mine: collection.Collection) -> dict[str, Any]:
        clips = mine.clips()
        kept = {clip.text for clip in clips}
        waiting = [prompt for prompt in mine.prompts if prompt not in kept]
        return {
            "name": mine.name,
            "data": str(mine.folder),
            "prompts": len(mine.prompts),
            "waiting": waiting[:SENT_BACK],
            "to_go": len(waiting),
            "kept": len(clips),
            "minutes": sum(clip.duration_s for clip in clips) / 60,
        }
