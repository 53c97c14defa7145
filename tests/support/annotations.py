"""Annotation files in the form in which their programs write them, made small."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr


def make_eaf(
    *tiers: str, slots: Sequence[int | None], media: str = "", types: str = "", unit: str = "milliseconds"
) -> str:
    """Return an .eaf of these tiers (`aligned_tier`, `reference_tier`); slots: times of ts0, ts1 ... in ms."""
    order = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="ts{index}"' + ("/>" if time is None else f' TIME_VALUE="{time}"/>')
        for index, time in enumerate(slots)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">\n'
        f'<HEADER MEDIA_FILE="" TIME_UNITS="{unit}">{media}'
        '<PROPERTY NAME="lastUsedAnnotationId">99</PROPERTY></HEADER>\n'
        f"<TIME_ORDER>{order}</TIME_ORDER>\n{''.join(tiers)}"
        '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/>\n'
        f"{types}</ANNOTATION_DOCUMENT>\n"
    )


def link(url: str, relative: str = "", origin: str = "") -> str:
    """Return a link to a recording, as ELAN writes it."""
    others = (f" RELATIVE_MEDIA_URL={quoteattr(relative)}" if relative else "") + (
        f' TIME_ORIGIN="{origin}"' if origin else ""
    )
    return f'<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(url)} MIME_TYPE="audio/x-wav"{others}/>'


def aligned_tier(
    name: str, *annotations: tuple[str, int, int, str], type: str = "default-lt", speaker: str = "", parent: str = ""
) -> str:
    """annotations: (id, first slot, last slot, text)."""
    return _tier(
        name,
        type,
        speaker,
        parent,
        (
            f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{key}" TIME_SLOT_REF1="ts{start}" TIME_SLOT_REF2="ts{end}">'
            f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>"
            for key, start, end, text in annotations
        ),
    )


def reference_tier(
    name: str, *annotations: tuple[str, str, str, str], parent: str, type: str = "default-lt", speaker: str = ""
) -> str:
    """annotations: (id, id of the one referred to, id of the one before or "", text)."""
    return _tier(
        name,
        type,
        speaker,
        parent,
        (
            f'<REF_ANNOTATION ANNOTATION_ID="{key}" ANNOTATION_REF="{of}"'
            + (f' PREVIOUS_ANNOTATION="{previous}"' if previous else "")
            + f"><ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE></REF_ANNOTATION>"
            for key, of, previous, text in annotations
        ),
    )


def _tier(name: str, type: str, speaker: str, parent: str, annotations: object) -> str:
    attributes = f"LINGUISTIC_TYPE_REF={quoteattr(type)} TIER_ID={quoteattr(name)}"
    if speaker:
        attributes += f" PARTICIPANT={quoteattr(speaker)}"
    if parent:
        attributes += f" PARENT_REF={quoteattr(parent)}"
    body = "".join(f"<ANNOTATION>{one}</ANNOTATION>" for one in annotations)  # type: ignore[attr-defined]
    return f"<TIER {attributes}>{body}</TIER>\n"


def make_textgrid(**tiers: Sequence[tuple[float, float, str]]) -> str:
    """Return a TextGrid in Praat's long form, of these tiers of intervals."""
    end_s = max((interval[1] for tier in tiers.values() for interval in tier), default=0.0)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end_s}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {end_s}", f"        intervals: size = {len(intervals)}"]
        for index, (start, end, text) in enumerate(intervals, 1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{index}]:", f"            xmin = {start}", f"            xmax = {end}"]
            lines.append(f'            text = "{quoted}"')
    return "\n".join(lines) + "\n"
