"""The manifest of an export: all that is known of each sighting, and the sha256 of every file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.times import from_milliseconds, to_local_iso
from search.export import notes
from search.export.media import AROUND_S, MEDIA_TYPES, Exhibit
from search.export.notes import Note
from search.export.seals import FORMAT, VERSION, Seal
from search.export.sheet import Sheet
from search.provenance import code_version


@dataclass(frozen=True)
class Export:
    """All of an export but its files' bytes.

    Attributes:
        sheet: what was asked for.
        exhibits: one for each confirmed sighting.
        made_ms: when, milliseconds since 1970 UTC.
        blur_detector: sha256 of the detector that found bystanders; None: nobody was hidden.
    """

    sheet: Sheet
    exhibits: tuple[Exhibit, ...]
    made_ms: int
    blur_detector: str | None

    @property
    def complete(self) -> bool:
        """Is nothing missing?"""
        return all(exhibit.complete for exhibit in self.exhibits)


def iso(milliseconds: int | None) -> str | None:
    """ISO 8601 in Seoul time with its offset."""
    return None if milliseconds is None else to_local_iso(from_milliseconds(milliseconds))


def software() -> dict[str, str]:
    """Name and version of what wrote it."""
    return {"name": "reid-search", "version": code_version()}


def note_json(note: Note) -> dict[str, Any]:
    """A remark."""
    return {"code": note.code, "en": note.en, "ko": note.ko}


def media_json(exhibit: Exhibit, seals: dict[str, Seal]) -> list[dict[str, Any]]:
    """The files of a sighting; `seals` by name."""
    return [
        {
            "kind": file.kind, "path": file.name, "type": MEDIA_TYPES[Path(file.name).suffix],
            "blurred": file.blurred, "bytes": seals[file.name].bytes, "sha256": seals[file.name].sha256,
        }
        for file in exhibit.files
    ]  # fmt: skip


def manifest_json(export: Export, seals: dict[str, Seal]) -> dict[str, Any]:
    """The contract of manifest.json; `seals` of every other file but SHA256SUMS, by name."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "case": {
            "id": export.sheet.case,
            "opened": iso(export.sheet.opened_ms),
            "closed": iso(export.sheet.closed_ms),
        },
        "generated": iso(export.made_ms),
        "software": software(),
        "caution": note_json(notes.CAUTION),
        "blurring": None
        if export.blur_detector is None
        else {**note_json(notes.BLURRING), "detector": export.blur_detector},
        "seconds_around": AROUND_S,
        "complete": export.complete,
        "sightings": [_sighting(exhibit, seals) for exhibit in export.exhibits],
        "files": [
            {"path": name, "bytes": seal.bytes, "sha256": seal.sha256} for name, seal in sorted(seals.items())
        ],
    }


def _sighting(exhibit: Exhibit, seals: dict[str, Seal]) -> dict[str, Any]:
    one, record = exhibit.sighting, exhibit.sighting.record
    return {
        "id": record.id,
        "start": iso(record.start_ms),
        "end": iso(record.end_ms),
        "best_time": iso(record.best_ms),
        "clock_offset_s": one.camera.clock_offset_s,
        "uncertainty_s": one.camera.clock_uncertainty_s,
        "district": {"slug": one.district.slug, "code": one.district.code, "en": one.district.name_en,
                     "ko": one.district.name_ko},
        "camera": {"id": one.camera.id, "name": one.camera.name, "latitude": one.camera.latitude,
                   "longitude": one.camera.longitude},
        "box": list(record.box),
        "frame": list(record.frame),
        "decided": iso(one.decided_ms),
        "models": {"embedder": one.embedder,
                   "detector": one.clip.detector if one.clip else None},
        "erased": iso(one.erased_ms),
        "original": {
            "state": exhibit.footage.state, "path": str(exhibit.footage.path), "indexed_path": record.path,
            "sha256": record.clip, "best_offset_s": record.best_offset_s,
            "start_offset_s": round(one.interval_s[0], 3), "end_offset_s": round(one.interval_s[1], 3),
            "start_source": one.clip.start_source if one.clip else None,
        },
        "cut": _cut(exhibit),
        "media": media_json(exhibit, seals),
        "notes": [note_json(note) for note in exhibit.notes],
        "missing": [note.code for note in exhibit.notes if note.lacks],
    }  # fmt: skip


def _cut(exhibit: Exhibit) -> dict[str, Any] | None:
    cut, record = exhibit.cut, exhibit.sighting.record
    if cut is None:
        return None
    zero_ms = record.best_ms - record.best_offset_s * 1000
    return {
        "start": iso(round(zero_ms + cut.start_s * 1000)), "end": iso(round(zero_ms + cut.end_s * 1000)),
        "start_offset_s": round(cut.start_s, 3), "end_offset_s": round(cut.end_s, 3),
        "copied": cut.copied, "codec": cut.codec, "frames": cut.frames, "reason": cut.reason, "sound": False,
    }  # fmt: skip


def missing_lines(exhibits: Sequence[Exhibit]) -> list[str]:
    """What could not be exported, a line each."""
    return [
        f"{exhibit.sighting.record.id} {exhibit.sighting.camera_name}: {note.en}"
        for exhibit in exhibits
        for note in exhibit.notes
        if note.lacks
    ]
