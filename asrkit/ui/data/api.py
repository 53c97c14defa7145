"""The Data tab's API: load a dataset, play its clips, check it, and choose the data to train on.

Every argument comes from the page and is checked by the rooms below; what is wrong comes back as one sentence. Nothing
is kept for a visitor: the datasets that were loaded last are cached for their visitor.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from asrkit import config as configs
from asrkit.audio import decode_audio, encode_wav
from asrkit.audit import selection
from asrkit.audit.inspection import Inspection
from asrkit.config import TrainConfig
from asrkit.data import access, sources, uploads
from asrkit.data.readers import hub_datasets, spreadsheets
from asrkit.data.split_names import split_role
from asrkit.errors import DataError
from asrkit.jobs import JobRegistry, ProgressCallback
from asrkit.models import resolution
from asrkit.runs import estimate, preparation
from asrkit.runs.store import RunStore
from asrkit.text.normalizers import normalize
from asrkit.ui import strings
from asrkit.ui.common.audio_files import AudioBytes, AudioFile
from asrkit.ui.common.component import Request, with_error_reply
from asrkit.ui.common.form import DEFAULTS
from asrkit.ui.data import audit_report, proposals

PATIENCE_S = 150
"""A job is abandoned after so long without a poll: browsers let a page in the background poll once a minute."""
Loaded = tuple[sources.Source, str]
"""A dataset and a digest of its rows."""

REMEMBERED = 4  # datasets, those that were asked for last
PREVIEWED = 8  # clips, and sentences before | after
LOOKED_AT = 4_000  # transcripts, for the preview and the vocabulary
LONGEST_CLIP_S = 40.0  # of what is sent to be heard
COLUMNS = ("text_column", "audio_column", "speaker_column")
TEXT_SETTINGS = ("normaliser", "spell_numbers", "character_map")
SPLIT_SETTINGS = ("split_by", "eval_count", "eval_share", "seed")
LIMITING = (*SPLIT_SETTINGS, "min_duration_s", "max_duration_s", "adapter_language")
"""Settings of the form that an audit depends on."""


class DataApi:
    """Over one store of runs and its data folder."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.audits: JobRegistry[Inspection] = JobRegistry("audit", patience_s=PATIENCE_S)
        self.downloads: JobRegistry[Loaded] = JobRegistry("download", patience_s=PATIENCE_S)
        self._known: OrderedDict[tuple[str, ...], tuple[sources.Source, str]] = OrderedDict()
        self._lock = threading.Lock()

    @with_error_reply
    def list_datasets(self, request: Request) -> dict[str, Any]:
        """The datasets that can be chosen without typing: those made here, then those that come with asrkit."""
        folders = dict.fromkeys([access.visitor_dir(self.store.data_dir), self.store.data_dir])  # one's own first
        made = [
            path
            for folder in folders
            for path in sorted(folder.glob("*"))
            if path.is_dir() and not path.name.startswith(".") and path.name != selection.FOLDER
        ]
        listed = [{"value": str(path), "label": path.name} for path in made]
        listed += [{"value": name, "label": f"{name} (comes with asrkit)"} for name in sources.BUILT_IN]
        return {"known": listed}

    @with_error_reply
    def load(self, request: Request) -> dict[str, Any]:
        """What is at `data`, read anew; or, of what comes from the Hub, how far it is."""
        if str(request.get("data")).startswith(hub_datasets.PREFIX):
            job = self.downloads.join(
                self._key(request),
                lambda job: self._loaded(request, again=True, on_progress=job.on_progress),
                restart=bool(request.get("again")),
            )
            if job.error:
                raise job.error
            if job.result is None:
                return {"state": "running", "what": job.message, "done": job.done, "of": job.total}
            source = job.result[0]
        else:
            source = self._source(request, again=True)
        rows = source.utterances
        known_s = [row.duration_s for row in rows if row.duration_s > 0]
        columns = source.columns
        return {
            "name": str(request["data"]),
            "layout": source.layout,
            "train": len(source.train),
            "eval": len(source.eval or []),
            "test": len(source.test or []),
            "hours": sum(known_s) / 3600,
            "speakers": len({row.speaker for row in rows if row.speaker}),
            "found": list(source.column_names),
            "columns": {"text_column": columns.text, "audio_column": columns.audio, "speaker_column": columns.speaker}
            if columns
            else {},
            "sheets": [[sheet, sheet.rpartition(spreadsheets.SHEET_SEPARATOR)[2]] for sheet in source.sheets],
            "sheet": source.sheet,
            "clips": [audit_report.clip(rows[place], place) for place in _spread(len(rows), PREVIEWED)],
        }

    @with_error_reply
    def list_hub_splits(self, request: Request) -> dict[str, Any]:
        """The configurations and splits of a dataset of the Hub: each a name to load, and its label. split
        is empty where a configuration is to be chosen first."""
        data = str(request.get("data") or "").strip()
        name, made = hub_datasets.DatasetName.parse(data), hub_datasets.list_choices(data)
        whole = f"{hub_datasets.PREFIX}{name.dataset}"
        config = whole if len(made.configs) == 1 else f"{whole}:{made.config}"
        usual = [split for split in made.splits if split_role(split)]
        size = _megabytes(sum(made.splits[each] for each in usual))
        splits = [[config, f"{' and '.join(usual)} ({size})"]] if usual else []
        splits += [
            [f"{whole}:{made.config}:{split}", f"{split} ({_megabytes(size)})"] for split, size in made.splits.items()
        ]
        chosen = f"{whole}:{made.config}:{made.split}" if made.split else splits[0][0] if splits else ""
        if made.split and chosen not in [value for value, _ in splits]:
            splits.append([chosen, made.split])
        return {
            "name": name.dataset,
            "configs": [[f"{whole}:{each}", each] for each in made.configs],
            "config": f"{whole}:{made.config}" if made.config else "",
            "splits": splits,
            "split": chosen,
        }

    def open_clip(self, query: Mapping[str, str]) -> AudioFile:
        """Open the clip `index` of a dataset, whose id must be `id`; the first part of a long one."""
        rows = self._source(dict(query)).utterances
        index = query.get("index", "")
        if not index.isdecimal() or int(index) >= len(rows):
            raise DataError("That clip is not there any more; load the dataset again.")
        row = rows[int(index)]
        if query.get("id") not in (None, row.id):  # somebody has loaded it since, with other rows
            raise DataError("The dataset has changed; load it again.")
        end_s = min(row.end_s or float("inf"), row.start_s + LONGEST_CLIP_S)
        rate, samples = decode_audio(row.audio, start_s=row.start_s, end_s=end_s)
        return AudioBytes(encode_wav(samples, rate))

    @with_error_reply
    def preview(self, request: Request) -> dict[str, Any]:
        """Sentences before and after the rules, those that change most first; and the vocabulary they leave."""
        rows, rules = self._source(request).utterances, self._config(request).text_rules
        raw = [row.text for row in rows[:LOOKED_AT]]
        done = [normalize(text, rules) for text in raw]
        known = self._limits(request).vocabulary
        return {
            "pairs": audit_report.telling_pairs(raw, done, PREVIEWED),
            "characters": audit_report.characters(done, known),
            "of": len(rows),
            "looked_at": len(raw),
            "changed": sum(before != after for before, after in zip(raw, done, strict=True)),
        }

    @with_error_reply
    def check(self, request: Request) -> dict[str, Any]:
        """Begin the audit, or join it where the same one is under way or done; -> how far it is, or what it found."""
        limits, source = self._limits(request), self._source(request)
        model = str(request.get("model") or "") if request.get("align") else ""
        config = self._config(request)
        job = self.audits.join(
            self._audit_key(request),
            lambda job: audit_report.inspect(source, limits, config, model, self.store, job.on_progress),
            restart=bool(request.get("again")),
        )
        if job.error:
            raise job.error
        if job.result is None:
            return {"state": "running", "what": job.message, "done": job.done, "of": job.total}
        return {
            "state": "done",
            "estimate": self._estimate(request, job.result),
            **audit_report.report(job.result, limits),
        }

    @with_error_reply
    def choose(self, request: Request) -> dict[str, Any]:
        """The settings of a run on this data, without the clips of the findings in `without`."""
        config = self._config(request)
        names = [
            *TEXT_SETTINGS,
            "vocabulary",
            *(name for name in SPLIT_SETTINGS if name in (request.get("fixes") or {})),
        ]
        if self._is_proposed(request, config):
            names += ["preset", *proposals.RECIPE]
        settings = {name: getattr(config, name) for name in names}
        if not proposals.is_word_list([row.text for row in self._source(request).utterances]):
            settings["decoding"] = "greedy"
        elif config.preset in (DEFAULTS.preset, proposals.FEW):
            settings["decoding"] = "words"
        audit = self.audits.find(self._audit_key(request))
        found = audit.result if audit else None
        if request.get("checked") and not found:
            raise DataError(strings.text("data.changed_since_check"))
        without = [str(code) for code in request.get("without") or []]
        dropped = found.audit.dropped if found else 0
        if found and (without or dropped):
            path = selection.write(access.visitor_dir(self.store.data_dir), str(request["data"]), found, without)
            self._source({"data": str(path)})  # for the forecast in Train
            return {"settings": settings | {"train": str(path), "eval": "", **dict.fromkeys(COLUMNS, "")}}
        columns = {name: str(request.get(name) or "") for name in COLUMNS}
        return {"settings": settings | {"train": str(request["data"]), "eval": "", **columns}}

    @with_error_reply
    def add_upload(self, request: Request) -> dict[str, Any]:
        """Uploaded files [{"path", "name"}] become a dataset in the data folder; -> where it is."""
        folder = Path(get_upload_folder()).resolve()
        files = []
        for each in request.get("files") or []:
            path = Path(str(each.get("path"))).resolve()
            if not path.is_relative_to(folder) or not path.is_file():
                raise DataError("That file was not uploaded here; choose it again.")
            files.append((path, str(each.get("name") or path.name)))
        try:
            return {"data": str(uploads.save_upload(files, access.visitor_dir(self.store.data_dir)))}
        finally:
            for path, _ in files:
                path.unlink(missing_ok=True)

    def forecast(self, config: TrainConfig) -> str:
        """How long a run with these settings takes and how much memory, in one sentence; empty for data that was
        not loaded here, and where it cannot be estimated."""
        key = self._key({"data": config.train} | {name: getattr(config, name) for name in COLUMNS})
        with self._lock:
            known = self._known.get(key)
        if known is None and config.train not in sources.BUILT_IN:
            return ""
        source = known[0] if known else self._source({"data": config.train})
        lengths = [
            row.duration_s for row in source.train if config.min_duration_s <= row.duration_s <= config.max_duration_s
        ]
        if source.eval is None and not config.eval:
            lengths = lengths[config.eval_count or round(config.eval_share * len(lengths)) :]
        made = estimate.estimate_run(config, lengths, self.store)
        return made.describe() if made else ""

    def _estimate(self, request: Request, found: Inspection) -> str:
        """For the settings that “Train on this” leads to, on what can be used."""
        config = self._config(request)
        lengths = [
            one.row.duration_s
            for place, one in enumerate(found.clips)
            if one.code is None and place not in found.held_out
        ]
        made = estimate.estimate_run(config, lengths, self.store)
        if not made:
            return ""
        title = configs.load_preset(config.preset).title if config.preset else "no preset"
        if self._is_proposed(request, config):
            return f"So little speech needs many epochs: “Train on this” takes the preset {title}. {made.describe()}"
        return f"With {config.model} and the settings of Train ({title}): {made.describe()}"

    def _is_proposed(self, request: Request, config: TrainConfig) -> bool:
        return config.preset == proposals.FEW != proposals.held(request.get("settings")).preset

    def _key(self, request: Request) -> tuple[str, ...]:
        """What was asked for, and by whom: what one visitor has loaded, another may not read."""
        return (
            str(request.get("data") or ""),
            *(str(request.get(name) or "") for name in COLUMNS),
            access.current_visitor(),
        )

    def _audit_key(self, request: Request) -> tuple[str, ...]:
        """What an audit depends on: the rows as well, for a dataset may have grown since."""
        config, model = self._config(request), str(request.get("model") or "")
        return (
            *self._key(request),
            self._loaded(request)[1],
            config.text_rules,
            model,
            config.vocabulary,
            model if request.get("align") else "",
            *(str(getattr(config, name)) for name in LIMITING),
        )

    def _source(self, request: Request, again: bool = False) -> sources.Source:
        return self._loaded(request, again)[0]

    def _loaded(
        self, request: Request, again: bool = False, on_progress: ProgressCallback | None = None
    ) -> tuple[sources.Source, str]:
        """-> (the source, a print of its rows)."""
        key = self._key(request)
        with self._lock:
            if not again and key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        text, audio, speaker = (value or None for value in key[1:-1])
        source = sources.load(
            key[0].strip(),
            text_column=text,
            audio_column=audio,
            speaker_column=speaker,
            on_progress=on_progress,
        )
        loaded = source, _print(source)
        with self._lock:
            self._known[key] = loaded
            self._known.move_to_end(key)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return loaded

    def _config(self, request: Request) -> TrainConfig:
        """What the form of Train holds, or what is proposed in its place, with what was chosen here."""
        given = {
            name: request[name] for name in (*TEXT_SETTINGS, "vocabulary", "model") if request.get(name) is not None
        }
        held, model = proposals.held(request.get("settings")), str(request.get("model") or resolution.STARTER)
        fixes = request.get("fixes") or {}
        given |= {name: fixes[name] for name in SPLIT_SETTINGS if name in fixes}
        return held.replace(proposals.recipe(held, model, self._source(request)) | given)

    def _limits(self, request: Request) -> Any:
        name = str(request.get("model") or resolution.STARTER)
        return preparation.make_limits(self._config(request), resolution.resolve(name, self.store))


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(0.1, size / 1e6):.2g} MB"


def _print(source: sources.Source) -> str:
    """Equal for equal rows."""
    made = hashlib.blake2b(str(len(source.train)).encode(), digest_size=12)
    for row in source.utterances:
        made.update(repr(row).encode("utf-8", "surrogatepass"))
    return made.hexdigest()


def _spread(count: int, wanted: int) -> list[int]:
    """Places from all over a list."""
    return sorted({round(step * (count - 1) / max(1, wanted - 1)) for step in range(min(count, wanted))})
