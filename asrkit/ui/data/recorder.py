"""The API of the recorder: prompts to read, the recordings of them, and how many are recorded."""

from __future__ import annotations

from asrkit.audio.confined import load_confined
from asrkit.data import access, collection, prompts, terms
from asrkit.data.collection import Collection
from asrkit.runs.store import RunStore
from asrkit.ui.common import upload_folder
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.security.storage import storage

MAX_TAKE_BYTES = 48 << 20  # of one recording
MAX_SPEAKER_CHARS = 80
MAX_PROMPTS_SENT = 400


class Recorder:
    """Records prompts into datasets of the data folder of a store."""

    def __init__(self, store: RunStore) -> None:
        self.store = store

    @with_error_reply
    def list_prompts(self, request: Request) -> Reply:
        """List the bundled lists of prompts, and the recorded datasets that can be continued."""
        datasets = collection.list_collections(access.visitor_dir(self.store.data_dir))
        return {"lists": list(prompts.list_bundled().items()), "collections": [dataset.name for dataset in datasets]}

    @with_error_reply
    def open_dataset(self, request: Request) -> Reply:
        """Open the dataset `name`, with the prompts of the bundled `list` or of `text`.

        A dataset keeps the prompts that it has unless `replace` is set. others: its prompts are not the requested ones.
        `consent` of `speaker` and `licence` are kept with it.
        """
        dataset = self._open_dataset(request)
        if request.get("consent") or request.get("licence"):
            speaker = _speaker(request)
            dataset.set_terms(speaker, str(request.get("consent") or ""), str(request.get("licence") or ""))
        requested: list[str] = []
        if request.get("text"):
            requested = prompts.parse(str(request["text"]))
        elif request.get("list"):
            requested = prompts.load(str(request["list"]))
        before = dataset.prompts
        if requested and (request.get("replace") or not before):
            dataset.prompts = requested
        has_others = bool(requested and before) and dataset.prompts == before and set(requested) != set(before)
        return _describe(dataset) | {"others": has_others}

    @with_error_reply
    def describe_dataset(self, request: Request) -> Reply:
        """Return the same as `open_dataset` without changing the dataset."""
        return _describe(self._open_dataset(request))

    @with_error_reply
    def save_take(self, request: Request) -> Reply:
        """Add the uploaded recording at `path` of the prompt `text`.

        It replaces the clip `replaces`, else a recording of the same prompt by the same speaker; without a speaker's
        name it replaces none. take: identifies the recording, which is kept once even if it is sent again.
        """
        dataset, text = self._open_dataset(request), " ".join(str(request.get("text") or "").split())
        speaker = _speaker(request)
        path = upload_folder.check_uploaded(request.get("path"), max_bytes=MAX_TAKE_BYTES)
        try:
            wave = load_confined(path)
            storage.check_room(2 * len(wave.samples))
        finally:
            path.unlink(missing_ok=True)
        if request.get("replaces"):
            replaced = dataset.find(_file_name(request["replaces"]))
            speaker, before = speaker or replaced.speaker, replaced.file_name
        else:
            alike = (clip for clip in dataset.clips() if speaker and (clip.text, clip.speaker) == (text, speaker))
            before = next((clip.file_name for clip in alike), "")
        dataset.add(wave, text, speaker=speaker, replaces=before, take_id=str(request.get("take") or ""))
        return _describe(dataset)

    @with_error_reply
    def correct_clip(self, request: Request) -> Reply:
        """Give the clip `clip` of the dataset `name` another `text`."""
        self._open_dataset(request).correct(_file_name(request["clip"]), request["text"])
        return {}

    @with_error_reply
    def delete_clip(self, request: Request) -> Reply:
        """Delete the clip `clip` of the dataset `name`."""
        self._open_dataset(request).remove(_file_name(request["clip"]))
        return {}

    def _open_dataset(self, request: Request) -> Collection:
        return collection.open_collection(access.visitor_dir(self.store.data_dir), str(request.get("name") or ""))


def _file_name(clip: str) -> str:
    return f"{collection.CLIPS}/{clip}"


def _speaker(request: Request) -> str:
    return " ".join(str(request.get("speaker") or "")[:MAX_SPEAKER_CHARS].split())


def _describe(dataset: Collection) -> Reply:
    clips, all_prompts = dataset.clips(), dataset.prompts
    recorded = {clip.text for clip in clips}
    waiting = [prompt for prompt in all_prompts if prompt not in recorded]
    return {
        "name": dataset.name,
        "terms": terms.read(dataset.folder).to_dict(),
        "data": str(dataset.folder),
        "prompts": len(all_prompts),
        "waiting": waiting[:MAX_PROMPTS_SENT],
        "to_go": len(waiting),
        "kept": len(clips),
        "minutes": sum(clip.duration_s for clip in clips) / 60,
    }
