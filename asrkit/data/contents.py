"""What a dataset holds in the layout that it was read in, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrkit.data import archives
from asrkit.data.manifest import Mark, Utterance
from asrkit.data.readers import hub_datasets, tables
from asrkit.data.readers.annotations.outline import Outline
from asrkit.data.readers.annotations.tiers import TierSummary, merge_summaries
from asrkit.data.readers.columns import ColumnChoice, Columns
from asrkit.jobs import ProgressCallback


@dataclass(frozen=True)
class Contents:
    """The utterances of a dataset and how they were read.

    layout: the name of the recognised layout. column_names, columns, sheet, sheets: as in `tables.Table`; empty and
    None for a layout without columns. notes: about the dataset as a whole. tiers: of annotated recordings. outline: of
    the one that it was asked for.
    """

    utterances: list[Utterance]
    layout: str
    column_names: tuple[str, ...] = ()
    columns: Columns | None = None
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    notes: tuple[Mark, ...] = ()
    tiers: tuple[TierSummary, ...] = ()
    outline: Outline | None = None

    @classmethod
    def from_table(cls, table: tables.Table, layout: str) -> Contents:
        return cls(table.utterances, layout, table.column_names, table.columns, table.sheet, table.sheets, table.notes)


@dataclass(frozen=True)
class ReadOptions:
    """How to read a dataset.

    choice: the columns to use. tiers: those to read of annotated recordings, as in the setting. outline_of: the path of
    a recording, all of whose spans are returned. clips_dir: where clips that are only bytes in a table are written; the
    user's cache by default. on_progress: called while files are fetched from the Hub. depth: of nested folders, counted
    here. budget: of what is unpacked, in all. fetched: datasets of the Hub that are here already.
    """

    choice: ColumnChoice
    tiers: str = ""
    outline_of: str = ""
    clips_dir: Path | None = None
    on_progress: ProgressCallback | None = None
    depth: int = 0
    budget: archives.Budget = field(default_factory=archives.Budget)
    fetched: Mapping[str, hub_datasets.FetchedDataset] = field(default_factory=dict)

    def nested(self) -> ReadOptions:
        return replace(self, depth=self.depth + 1)


def merge(parts: Sequence[Contents], rows: list[Utterance]) -> Contents:
    """Return one dataset of these rows, with the columns of the first part and the notes and tiers of all."""
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    outline = next(filter(None, (part.outline for part in parts)), None)
    tiers = merge_summaries(part.tiers for part in parts)
    return replace(parts[0], utterances=rows, notes=notes, tiers=tiers, outline=outline)
