"""ELAN's annotation files (.eaf, EAF 2.0 to 3.0).

Annotations of a symbolic tier have the times of the annotation that they refer to, and those of a tier that subdivides
another may have none of their own. Times that nobody set are never made up: what shares the times of one annotation is
joined into one text of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, nearest_time, tidy
from asrkit.errors import DataError

_UNIT_S = {"milliseconds": 0.001, "PAL-frames": 1 / 25, "NTSC-frames": 1001 / 30_000}

_Extent = tuple[float, float]


@dataclass(frozen=True)
class _Annotation:
    """slots: of an aligned annotation. parent, previous: ids, of one without times of its own."""

    id: str
    text: str
    slots: tuple[str, str] = ("", "")
    parent: str = ""
    previous: str = ""


@dataclass
class _Resolver:
    """Finds the times of annotations. extents: id -> (start_s, end_s); ranks: id -> its index in its tier."""

    path: Path
    times: dict[str, float | None]
    extents: dict[str, _Extent] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._timeline = list(self.times.values())
        self._index = {slot: index for index, slot in enumerate(self.times)}

    def resolve(self, annotations: list[_Annotation]) -> tuple[Span, ...]:
        """Return the spans of a tier, those of its parent tier being resolved."""
        if any(annotation.parent for annotation in annotations):
            annotations = self._sort_references(annotations)
            for annotation in annotations:
                self.extents[annotation.id] = self.extents[annotation.parent]
        else:
            annotations = self._resolve_chains(annotations)
        self.ranks.update({annotation.id: rank for rank, annotation in enumerate(annotations)})
        parts: dict[_Extent, list[_Annotation]] = {}
        for annotation in annotations:
            parts.setdefault(self.extents[annotation.id], []).append(annotation)
        return tuple(
            Span(start_s, end_s, tidy(" ".join(part.text for part in same)), key=same[0].id)
            for (start_s, end_s), same in parts.items()
        )

    def _resolve_chains(self, annotations: list[_Annotation]) -> list[_Annotation]:
        """Find the times of aligned annotations; one behind another without a time between them share their extent."""
        following: dict[str, _Annotation] = {}
        for annotation in annotations:
            for slot in annotation.slots:
                if slot not in self._index:
                    raise DataError(
                        f"{self.path}: annotation {annotation.id} names the time slot {slot!r:.60}, which does not "
                        "exist; open the file in ELAN and save it again."
                    )
            if self.times[annotation.slots[0]] is None:
                following[annotation.slots[0]] = annotation
        ended = {annotation.slots[1] for annotation in annotations}
        heads = [one for one in annotations if not (one.slots[0] in following and one.slots[0] in ended)]
        ordered: list[_Annotation] = []
        for head in heads:
            chain = [head]
            while (next_one := following.pop(chain[-1].slots[1], None)) is not None:
                chain.append(next_one)
            extent = (self._nearest_time(head.slots[0], -1), self._nearest_time(chain[-1].slots[1], 1))
            self.extents.update({annotation.id: extent for annotation in chain})
            ordered += chain
        if len(ordered) < len(annotations):
            raise DataError(f"{self.path}: annotations follow each other in a circle; save it again in ELAN.")
        return ordered

    def _nearest_time(self, slot: str, step: int) -> float:
        """Return the time of a slot, or of the nearest one before or after it that has a time."""
        time_s = nearest_time(self._timeline, self._index[slot], step)
        if time_s is None:
            raise DataError(
                f"{self.path}: the time slot {slot!r:.60} has no time; open the file in ELAN and save it again."
            )
        return time_s

    def _sort_references(self, annotations: list[_Annotation]) -> list[_Annotation]:
        """Sort by the annotations referred to, and parts of one by what each of them follows."""
        known = {annotation.id: annotation for annotation in annotations}
        following: dict[str, list[_Annotation]] = {}
        for annotation in annotations:
            if annotation.parent not in self.ranks:
                raise DataError(
                    f"{self.path}: annotation {annotation.id} refers to {annotation.parent!r:.60}, which is not in "
                    "the tier above; open the file in ELAN and save it again."
                )
            following.setdefault(annotation.previous if annotation.previous in known else "", []).append(annotation)
        ordered: list[_Annotation] = []
        waiting = sorted(following.get("", []), key=lambda first: self.ranks[first.parent], reverse=True)
        while waiting:
            annotation = waiting.pop()
            ordered.append(annotation)
            waiting += following.get(annotation.id, [])
        if len(ordered) < len(annotations):
            raise DataError(f"{self.path}: annotations follow each other in a circle; save it again in ELAN.")
        return ordered


def read(path: Path) -> list[AnnotatedRecording]:
    """Read an .eaf. Raises DataError for a file that is damaged or is none."""
    root = xml_files.read_tree(path, "ANNOTATION_DOCUMENT", "ELAN")
    header = root.find("HEADER")
    unit = header.get("TIME_UNITS", "milliseconds") if header is not None else "milliseconds"
    if unit not in _UNIT_S:
        raise DataError(f"{path} counts time in {unit!r:.60}, which ELAN does not; open it in ELAN and save it again.")
    times = {slot.get("TIME_SLOT_ID", ""): _read_time(slot, _UNIT_S[unit], path) for slot in root.iter("TIME_SLOT")}
    resolver = _Resolver(path, times)
    elements = {element.get("TIER_ID", ""): element for element in root.findall("TIER")}
    tiers = {name: _read_tier(elements[name], resolver) for name in _sort_tiers(elements, path)}
    return [AnnotatedRecording(tuple(tiers[name] for name in elements), tuple(_list_media(header)))]


def _sort_tiers(elements: dict[str, Element], path: Path) -> list[str]:
    """Return the names of the tiers, each behind the one that it belongs to."""
    children: dict[str, list[str]] = {}
    for name, element in elements.items():
        parent = element.get("PARENT_REF", "")
        if parent and parent not in elements:
            raise DataError(
                f"{path}: the tier {name!r:.60} belongs to {parent!r:.60}, which does not exist; save it again in ELAN."
            )
        children.setdefault(parent, []).append(name)
    ordered, waiting = [], children.get("", [])[::-1]
    while waiting:
        name = waiting.pop()
        ordered.append(name)
        waiting += children.get(name, [])[::-1]
    if len(ordered) < len(elements):
        raise DataError(f"{path}: tiers belong to each other in a circle; open the file in ELAN and correct them.")
    return ordered


def _read_tier(element: Element, resolver: _Resolver) -> Tier:
    annotations = []
    for child in element.iter():
        if child.tag not in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            continue
        annotations.append(
            _Annotation(
                child.get("ANNOTATION_ID", ""),
                xml_files.all_text(child.find("ANNOTATION_VALUE")),
                (child.get("TIME_SLOT_REF1", ""), child.get("TIME_SLOT_REF2", "")),
                child.get("ANNOTATION_REF", ""),
                child.get("PREVIOUS_ANNOTATION", ""),
            )
        )
    return Tier(
        element.get("TIER_ID", ""),
        resolver.resolve(annotations),
        element.get("LINGUISTIC_TYPE_REF", ""),
        tidy(element.get("PARTICIPANT", "")),
        element.get("PARENT_REF", ""),
    )


def _read_time(slot: Element, unit_s: float, path: Path) -> float | None:
    value = slot.get("TIME_VALUE")
    if value is None:
        return None
    try:
        return int(value) * unit_s
    except ValueError as error:
        name = slot.get("TIME_SLOT_ID", "")
        raise DataError(
            f"{path}: the time slot {name!r:.60} has the time {value!r:.60}; it must be a whole number."
        ) from error


def _list_media(header: Element | None) -> list[Media]:
    if header is None:
        return []
    media = []
    for element in header.iter("MEDIA_DESCRIPTOR"):
        names = tuple(filter(None, (element.get("RELATIVE_MEDIA_URL"), element.get("MEDIA_URL"))))
        try:
            offset_s = int(element.get("TIME_ORIGIN", "0")) / 1000
        except ValueError:
            offset_s = 0.0
        if names:
            media.append(Media(names, offset_s))
    if not media and header.get("MEDIA_FILE"):
        media.append(Media((header.get("MEDIA_FILE", ""),)))
    return media
