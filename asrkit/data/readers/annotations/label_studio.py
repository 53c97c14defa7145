"""Label Studio's exports of audio projects (JSON and JSON-MIN), whose regions have start and end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from asrkit.data import files
from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, tidy
from asrkit.errors import DataError, first_line

_PROBED_BYTES = 4_096
_MARKER = re.compile(rb'"(?:annotations|completions|annotator|annotation_id)"\s*:')
_UPLOAD = re.compile(r"[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


def matches(path: Path) -> bool:
    """Return whether a JSON file looks like an export of Label Studio, by its beginning."""
    with open(path, "rb") as file:
        head = file.read(_PROBED_BYTES)
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[") and bool(_MARKER.search(head))


def read(path: Path) -> list[AnnotatedRecording]:
    """Read every task that has regions. Raises DataError where none has, and for a file that is no such JSON."""
    xml_files.check_bytes(path)
    try:
        tasks = json.loads(files.read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({first_line(error)}); export it again from Label Studio.") from error
    recordings = [_read_task(task, number) for number, task in enumerate(tasks, 1) if isinstance(task, dict)]
    if not any(recording.tiers for recording in recordings):
        raise DataError(
            f"{path} has no regions with a start, an end and a text; label the recordings with a TextArea for each "
            "region (perRegion) and export them as JSON."
        )
    return [recording for recording in recordings if recording.tiers]


def _read_task(task: dict[str, Any], number: int) -> AnnotatedRecording:
    tiers: dict[str, list[Span]] = {}
    for name, span in _list_regions(task):
        tiers.setdefault(name, []).append(span)
    data = task["data"] if isinstance(task.get("data"), dict) else task
    names = [value for value in data.values() if isinstance(value, str) and files.is_audio(Path(_plain_name(value)))]
    return AnnotatedRecording(
        tuple(Tier(name, tuple(spans), "transcription") for name, spans in tiers.items()),
        tuple(Media((_plain_name(name),)) for name in names[:1]),
        f"task {task.get('id', number)}",
    )


def _list_regions(task: dict[str, Any]) -> Iterator[tuple[str, Span]]:
    """Yield (name of the control, span) of every text; the first label of its region is the speaker."""
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list):
        yield from _list_minimal(task)
        return
    for annotation in annotations:
        cancelled = isinstance(annotation, dict) and annotation.get("was_cancelled")
        results = annotation.get("result") if isinstance(annotation, dict) and not cancelled else None
        regions = [
            region for region in results or [] if isinstance(region, dict) and isinstance(region.get("value"), dict)
        ]
        labels = {
            region.get("id"): _first_text(region["value"].get("labels"))
            for region in regions
            if "labels" in region["value"]
        }
        for region in regions:
            value = region["value"]
            if "text" in value and (times := _read_times(value)):
                name = str(region.get("from_name") or "transcription")
                yield name, Span(*times, _first_text(value["text"]), labels.get(region.get("id"), ""))


def _list_minimal(task: dict[str, Any]) -> Iterator[tuple[str, Span]]:
    """Yield the same of JSON-MIN, where regions and texts are two lists in one order."""
    regions = next(
        (
            value
            for value in task.values()
            if isinstance(value, list) and value and all(isinstance(one, dict) and "start" in one for one in value)
        ),
        None,
    )
    names = (name for name, value in task.items() if name.lower().startswith(("transcri", "text")) and value)
    name = next(names, "")
    texts = task.get(name)
    texts = [texts] if isinstance(texts, str) else texts
    if regions is None or not isinstance(texts, list) or len(texts) != len(regions):
        return
    for region, text in zip(regions, texts, strict=True):
        if times := _read_times(region):
            yield name, Span(*times, _first_text(text), _first_text(region.get("labels")))


def _read_times(value: Mapping[str, Any]) -> tuple[float, float] | None:
    times = value.get("start"), value.get("end")
    return (float(times[0]), float(times[1])) if all(_is_number(time) for time in times) else None  # type: ignore[arg-type]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first_text(value: Any) -> str:
    if isinstance(value, list):
        value = " ".join(one for one in value if isinstance(one, str))
    return tidy(value) if isinstance(value, str) else ""


def _plain_name(name: str) -> str:
    """Return the file of /data/upload/3/1a2b3c4d-story.wav, or of /data/local-files/?d=folder/story.wav."""
    parts = urlsplit(name)
    local = parse_qs(parts.query).get("d")
    path = local[0] if local else unquote(parts.path)
    folder, slash, last = path.rpartition("/")
    if "/upload/" in f"{folder}/":
        return _UPLOAD.sub("", last, count=1)
    return f"{folder}{slash}{last}"
