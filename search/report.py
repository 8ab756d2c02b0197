"""Shows a result: as JSON for machines, as one self-contained HTML page for people and paper.

Owns wording and layout. Computes nothing that is not in the result.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from indexer.clothes import colour_names
from indexer.districts import Districts
from indexer.times import from_milliseconds, to_local_iso
from reid.images import crop, encode_jpeg, fit_within
from search.asked import request_to_json
from search.coverage_text import SEARCHED, WORDS_KO, amount, amount_ko, bar, coverage_json, verdict
from search.feedback_text import decision_words, feedback_json, feedback_notes
from search.filters import Filters
from search.last_seen import LastSeen, apart, apart_ko, notes_of
from search.map import draw_map
from search.pages import render
from search.photo import ASPECTS_KO, VERDICTS_KO, PhotoQuality
from search.plain import to_plain
from search.provenance import Provenance
from search.query import Query
from search.request import Request
from search.route_text import CAUTION_KO as ROUTE_CAUTION_KO
from search.route_text import SURENESS_KO, passed, rank_text, route_json, route_notes, way_text
from search.sightings import SearchResult, Sighting
from search.timeline import draw_timeline
from search.wording import (
    camera_time,
    camera_time_ko,
    chance,
    clock_doubt,
    clock_note,
    duration,
    local_time,
    percent,
    score,
)  # fmt: skip

CAUTION = "A score is likeness, not identity: a person must compare the pictures."
CAUTION_KO = "점수는 닮은 정도일 뿐 동일인이라는 뜻이 아닙니다. 반드시 사람이 사진을 비교해야 합니다."

SHOWN_DAMAGE = 3
"""Damaged segments that are named; JSON names all."""

_FEW_CAMERAS = 12  # a longer table of cameras is folded


def to_json(result: SearchResult) -> dict[str, Any]:
    """The contract of `reid search --json`; see docs/contracts.md."""
    return {
        "query": {**_query_json(result.request), "warnings": list(result.warnings)},
        "photos": [_photo_json(query) for query in result.request.queries],
        "expected_right": None if result.expected_right is None else round(result.expected_right, 3),
        "sightings": [_sighting_json(sighting) for sighting in result.sightings],
        "route": route_json(result),
        "coverage": coverage_json(result.coverage),
        "damaged": [{"segment": name, "reason": reason} for name, reason in result.damaged],
        "filters": _filters_json(result.request),
        "description": _description_json(result),
        "clothes_changed": result.request.clothes_changed,
        "last_seen": _last_seen_json(result.request.last_seen),
        "feedback": feedback_json(result.request, result.model),
        "plan": result.plan.kind,
        "expected_recall": round(result.plan.expected_recall, 4),
        "model": result.model,
        "time": _iso(result.made.at_ms),
        "code_version": result.made.code_version,
        "settings": _settings_json(result),
        "archive": _archive_json(result.made),
        "request": request_to_json(result.request, result.made.since_ms, result.made.until_ms),
        "segments": list(result.segments),
        "vectors_compared": result.rows,
        "timing_ms": {step: round(value, 2) for step, value in result.timing_ms.items()},
    }


def _settings_json(result: SearchResult) -> dict[str, Any]:
    made = result.made
    return {
        "embedder": {"name": made.embedder, "sha256": result.model},
        "detectors": sorted({query.detector for query in result.request.queries if query.detector}),
        "calibration": made.calibration,
        "codebook": made.codebook,
        "code_memory_mb": made.code_memory_mb,
        "libraries": dict(made.libraries),
        "processor": made.processor,
    }


def _archive_json(made: Provenance) -> dict[str, Any]:
    return {
        "catalogue_version": made.catalogue,
        "cameras": made.cameras,
        "people": made.people,
        "erasures": made.erasures,
        "shards": to_plain(made.shards),
    }


def _photo_json(query: Query) -> dict[str, Any]:
    return {
        "photo": query.photo,
        "person_box": list(query.person_box),
        "people": [list(box) for box in query.people],
        "quality": None if query.allows is None else _quality_json(query.allows, query.quality),
    }


def _quality_json(allows: PhotoQuality, quality: float) -> dict[str, Any]:
    return {
        "verdict": allows.verdict,
        "value": round(quality, 4),
        "findings": [
            {**vars(finding), "value": None if finding.value is None else round(finding.value, 4)}
            for finding in allows.findings
        ],
    }


def _query_json(request: Request) -> dict[str, Any]:
    """The first photo."""
    if not request.queries:
        return {"photo": None, "person_box": None, "people": []}
    return _photo_json(request.queries[0])


def _description_json(result: SearchResult) -> dict[str, Any] | None:
    said, alone = result.request.description, result.described
    if said is None:
        return None
    return {
        "asked": [
            {"what": asked.word, "answers": ["/".join(each) for each in asked.answers], "holds": asked.holds}
            for asked in said.asked
        ],
        "tracklets": result.tracklets,
        "fit_as_well": alone.as_well if alone else None,
        "unknown": alone.unknown if alone else None,
    }


def description_notes(result: SearchResult) -> list[str]:
    """What a reader must know of a description."""
    said, alone = result.request.description, result.described
    if said is None:
        return []
    asked = " · ".join(f"{each.word} {each.word_ko}" for each in said.asked)
    notes = [f"described as {asked}: who fits better stands higher, unknown speaks against nobody"]
    if alone and result.sightings:
        notes.append(
            f"{alone.as_well:,} of {result.tracklets:,} tracklets fit the description about as well as the"
            " first; narrow the place and the time, say more, or give a photo"
        )
    if alone and alone.unknown:
        notes.append(
            f"of {alone.unknown:,} tracklets nothing of this is known (small, dark or colourless pictures, or"
            " indexed before attributes were kept); they are not listed and may show the person"
        )
    return notes


def _sighting_json(sighting: Sighting) -> dict[str, Any]:
    record = sighting.record
    return {
        "rank": sighting.rank,
        "id": record.id,
        "score": None if sighting.score is None else round(sighting.score, 4),
        "probability": None if sighting.probability is None else round(sighting.probability, 4),
        "decision": sighting.decision,
        "evidence": {name: round(value, 3) for name, value in sighting.evidence.items()},
        "described": [
            {
                "what": each.asked.word,
                "verdict": each.verdict,
                "chance": None if each.chance is None else round(each.chance, 3),
            }
            for each in sighting.shown
        ],
        "distance_m": None if sighting.distance_m is None else round(sighting.distance_m),
        "minutes_after": None if sighting.minutes_after is None else round(sighting.minutes_after, 1),
        "district": sighting.district,
        "camera": record.camera,
        "camera_name": sighting.camera_name,
        "start": _iso(record.start_ms),
        "end": _iso(record.end_ms),
        "best_time": _iso(record.best_ms),
        "clock_uncertainty_s": sighting.clock_uncertainty_s,
        "perhaps_outside": sighting.perhaps_outside,
        "box": list(record.box),
        "clip": record.path,
        "clip_offset_s": record.best_offset_s,
    }


def _iso(milliseconds: int) -> str:
    return to_local_iso(from_milliseconds(milliseconds))


def filter_notes(filters: Filters) -> list[str]:
    """What a search left out by its filters that a reader must not forget."""
    notes = []
    if filters.near:
        at = f"{filters.near.latitude:g}, {filters.near.longitude:g}"
        notes.append(f"only cameras within {filters.near.metres / 1000:g} km of {at}")
    for name, colours in (("upper", filters.upper), ("lower", filters.lower)):
        if colours:
            wanted = " or ".join(colour_names(colours))
            notes.append(
                f"only {name} clothes that look {wanted} or whose colour is unknown;"
                " whoever was taken for another colour is left out"
            )
    return notes


def _filters_json(request: Request) -> dict[str, Any]:
    filters, near = request.filters, request.filters.near
    upper, lower = colour_names(filters.upper), colour_names(filters.lower)
    if request.description:
        upper = upper or list(request.description.colours("upper_colours"))
        lower = lower or list(request.description.colours("lower_colours"))
    return {
        "districts": list(filters.districts),
        "cameras": list(filters.cameras),
        "since": None if filters.since_ms is None else _iso(filters.since_ms),
        "until": None if filters.until_ms is None else _iso(filters.until_ms),
        "near": None if near is None else [near.latitude, near.longitude],
        "within_km": None if near is None else near.metres / 1000,
        "upper": upper,
        "lower": lower,
        "only_colours": bool(filters.upper or filters.lower),
    }


def _last_seen_json(seen: LastSeen | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "place": seen.place, "latitude": seen.latitude, "longitude": seen.longitude, "at": _iso(seen.at_ms),
        "age": seen.age,
    }  # fmt: skip


def to_html(result: SearchResult, districts: Districts) -> str:
    """The report as one HTML page: pictures inside, no script, nothing loaded from anywhere."""
    filters: dict[str, Callable[..., str]] = {
        "local_time": local_time,
        "camera_time": camera_time,
        "camera_time_ko": camera_time_ko,
        "percent": percent,
        "amount": amount,
        "amount_ko": amount_ko,
        "chance": chance,
        "score": score,
        "clock_doubt": clock_doubt,
        "duration": duration,
        "decided": decision_words,
        "file_name": lambda path: Path(path).name,
    }
    placed = result.request.route or result.request.last_seen is not None
    people = [crop(query.picture, np.array(query.person_box, np.float32)) for query in result.request.queries]
    return render(
        "report.html.j2",
        filters,
        result=result,
        coverage=result.coverage,
        verdict=verdict(result.coverage, len(result.sightings), result.expected_right),
        bar=bar(result.coverage),
        searched=SEARCHED,
        few_cameras=_FEW_CAMERAS,
        shown_damage=SHOWN_DAMAGE,
        notes=filter_notes(result.request.filters),
        feedback_notes=feedback_notes(result.request, result.model),
        description_notes=description_notes(result),
        seen_notes=notes_of(result.request.last_seen, result.coverage.until_ms),
        map=draw_map(result, districts) if placed else "",
        timeline=draw_timeline(result) if placed else "",
        hops=passed(result),
        way=way_text,
        ranks=lambda ids: rank_text(result, ids),
        route_notes=route_notes(result),
        route_caution_ko=ROUTE_CAUTION_KO,
        sureness_ko=SURENESS_KO,
        apart=apart,
        apart_ko=apart_ko,
        clock_note=clock_note(result),
        percent_recall=f"{result.plan.expected_recall:.1%}",
        districts={district.slug: district for district in districts.all},
        asked=[districts.find(slug) for slug in result.request.filters.districts],
        people=[encode_jpeg(fit_within(person, 320, 480)) for person in people],
        made=_iso(round(datetime.now(UTC).timestamp()) * 1000),
        version=metadata.version("reid-search"),
        caution=CAUTION,
        caution_ko=CAUTION_KO,
        words_ko=WORDS_KO,
        aspects_ko=ASPECTS_KO,
        verdicts_ko=VERDICTS_KO,
    )
