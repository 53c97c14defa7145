"""The rules of EAF 3.0 that an .eaf of ours can break, after its schema: order, required attributes, and references."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_ORDER = [
    "HEADER",
    "TIME_ORDER",
    "TIER",
    "LINGUISTIC_TYPE",
    "LOCALE",
    "LANGUAGE",
    "CONSTRAINT",
    "CONTROLLED_VOCABULARY",
]
_REQUIRED = {
    "ANNOTATION_DOCUMENT": {"DATE", "AUTHOR", "VERSION"},
    "MEDIA_DESCRIPTOR": {"MEDIA_URL", "MIME_TYPE"},
    "TIME_SLOT": {"TIME_SLOT_ID"},
    "TIER": {"TIER_ID", "LINGUISTIC_TYPE_REF"},
    "ALIGNABLE_ANNOTATION": {"ANNOTATION_ID", "TIME_SLOT_REF1", "TIME_SLOT_REF2"},
    "REF_ANNOTATION": {"ANNOTATION_ID", "ANNOTATION_REF"},
    "LINGUISTIC_TYPE": {"LINGUISTIC_TYPE_ID"},
    "CONSTRAINT": {"STEREOTYPE"},
    "PROPERTY": set(),
}
_IDS = {"TIME_SLOT": "TIME_SLOT_ID", "ALIGNABLE_ANNOTATION": "ANNOTATION_ID", "REF_ANNOTATION": "ANNOTATION_ID"}


def check_eaf(content: bytes) -> None:
    """Raise AssertionError for a file that the schema does not allow, or in which annotations of a tier overlap."""
    root = ElementTree.fromstring(content)
    order = [_ORDER.index(child.tag) for child in root]
    assert order == sorted(order) and root.tag == "ANNOTATION_DOCUMENT"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", root.get("DATE", ""))
    ids: list[str] = []
    for element in root.iter():
        assert _REQUIRED.get(element.tag, set()) <= set(element.keys()), element.tag
        if element.tag in _IDS:
            ids.append(element.get(_IDS[element.tag], ""))
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[A-Za-z_][\w.-]*", name) for name in ids)
    times = [int(slot.get("TIME_VALUE", "0")) for slot in root.iter("TIME_SLOT") if slot.get("TIME_VALUE")]
    assert times == sorted(times) and all(0 <= time < 2**32 for time in times)
    types = {element.get("LINGUISTIC_TYPE_ID"): element.get("CONSTRAINTS") for element in root.iter("LINGUISTIC_TYPE")}
    stereotypes = {element.get("STEREOTYPE") for element in root.iter("CONSTRAINT")}
    assert {kind for kind in types.values() if kind} <= stereotypes
    tiers = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}
    assert len(tiers) == len(root.findall("TIER"))
    for tier in tiers.values():
        _check_tier(tier, tiers, types, root)


def _check_tier(
    tier: ElementTree.Element,
    tiers: dict[str | None, ElementTree.Element],
    types: dict[str | None, str | None],
    root: ElementTree.Element,
) -> None:
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    parent, constraint = tier.get("PARENT_REF"), types[tier.get("LINGUISTIC_TYPE_REF")]
    assert (parent in tiers) if parent else True
    assert bool(parent) == bool(constraint)
    end = -1
    for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
        first, last = (int(slots[annotation.get(f"TIME_SLOT_REF{number}")] or -1) for number in (1, 2))
        if first >= 0 and last >= 0:
            assert end <= first < last
            end = last
    references = [element.get("ANNOTATION_REF") for element in tier.iter("REF_ANNOTATION")]
    if references:
        known = {element.get("ANNOTATION_ID") for element in tiers[parent].iter()} - {None}
        assert set(references) <= known and len(set(references)) == len(references)
