"""The feed: confirmed sightings for the software of a 112 situation room; its schema is feed.schema.json.

Owns the format, which has a version of its own: a field that changes or comes raises it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.export import notes
from search.export.manifest import Export, iso, media_json, software
from search.export.media import Exhibit
from search.export.seals import Seal

FORMAT, VERSION = "reid-sightings-feed", 1
SCHEMA = "feed.schema.json"


def schema_bytes() -> bytes:
    """The JSON Schema (2020-12) of the feed, as published in docs/."""
    return Path(__file__).with_name(SCHEMA).read_bytes()


def feed_json(export: Export, seals: dict[str, Seal]) -> dict[str, Any]:
    """The feed; `seals` of the media, by name."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "generated": iso(export.made_ms),
        "software": software(),
        "case": {"id": export.sheet.case},
        "caution": {"en": notes.CAUTION.en, "ko": notes.CAUTION.ko},
        "sightings": [_sighting(exhibit, seals) for exhibit in export.exhibits],
    }


def _sighting(exhibit: Exhibit, seals: dict[str, Seal]) -> dict[str, Any]:
    one, record, camera = exhibit.sighting, exhibit.sighting.record, exhibit.sighting.camera
    placed = camera.latitude is not None and camera.longitude is not None
    return {
        "id": record.id,
        "time": {
            "start": iso(record.start_ms), "end": iso(record.end_ms), "best": iso(record.best_ms),
            "uncertainty_s": one.camera.clock_uncertainty_s,
        },
        "place": {
            "district": {"code": one.district.code, "en": one.district.name_en, "ko": one.district.name_ko},
            "camera": {"id": camera.id, "name": one.camera_name},
            "point": {"latitude": camera.latitude, "longitude": camera.longitude} if placed else None,
        },
        "direction": None,
        "confidence": {
            "confirmed": iso(one.decided_ms), "en": "Confirmed by a person comparing pictures.",
            "ko": "사람이 사진을 비교하여 확인함.",
        },
        "media": media_json(exhibit, seals),
        "notes": [{"code": note.code, "en": note.en, "ko": note.ko} for note in exhibit.notes],
    }  # fmt: skip
