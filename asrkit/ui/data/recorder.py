"""What the recorder's script may ask of the server: prompts to read, clips to keep, and how far one has come."""

from __future__ import annotations

from typing import Any

from asrkit.audio import load_audio
from asrkit.data import access, collection, prompts
from asrkit.runs.store import RunStore
from asrkit.ui.common import receiving
from asrkit.ui.common.component import Request, with_error_reply

MAX_TAKE_BYTES = 48 << 20  # of one recording
SENT_BACK = 400  # prompts and clips that a page gets at once


class Recorder:
    """Over the data folder of one store."""

    def __init__(self, store: RunStore) -> None:
        self.store = store

    @with_error_reply
    def list_prompts(self, request: Request) -> dict[str, Any]:
        """The shipped lists of prompts, and the datasets that can be gone on with."""
        made = collection.list_collections(access.visitor_dir(self.store.data_dir))
        return {"lists": list(prompts.list_bundled().items()), "collections": [mine.name for mine in made]}

    @with_error_reply
    def begin(self, request: Request) -> dict[str, Any]:
        """Open the dataset `name`, with the prompts of `list` or `text`. It keeps those that it has, which may be
        somebody's own, unless `replace` is given; "others" tells that they are not those that were asked for."""
        mine, wanted = self._collection(request), []
        if request.get("text"):
            wanted = prompts.parse(str(request["text"]))
        elif request.get("list"):
            wanted = prompts.load(str(request["list"]))
        before = mine.prompts
        if wanted and (request.get("replace") or not before):
            mine.prompts = wanted
        others = bool(wanted and before) and mine.prompts == before and set(wanted) != set(before)
        return self._state(mine) | {"others": others}

    @with_error_reply
    def progress(self, request: Request) -> dict[str, Any]:
        """As `begin`, changing nothing."""
        return self._state(self._collection(request))

    @with_error_reply
    def keep(self, request: Request) -> dict[str, Any]:
        """Keep the uploaded recording at `path` of the prompt `text`; it replaces one of the same prompt by the same
        speaker. Who gives no name may be anybody, so replaces nothing. take: a name of the recording, which is
        kept once however often it is sent."""
        mine, text = self._collection(request), " ".join(str(request.get("text") or "").split())
        speaker = " ".join(str(request.get("speaker") or "")[:80].split())
        path = receiving.check_uploaded(request.get("path"), max_bytes=MAX_TAKE_BYTES)
        try:
            wave = load_audio(path)
        finally:
            path.unlink(missing_ok=True)
        before = next(
            (clip.file_name for clip in mine.clips() if speaker and (clip.text, clip.speaker) == (text, speaker)), ""
        )
        mine.add(wave, text, speaker=speaker, replaces=before, take_id=str(request.get("take") or ""))
        return self._state(mine)

    def _collection(self, request: Request) -> collection.Collection:
        return collection.open_collection(access.visitor_dir(self.store.data_dir), str(request.get("name") or ""))

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
