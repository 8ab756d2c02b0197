"""The one way from a query to ranked sightings, with what was searched and what was not.

Owns the result. Never writes to the archive; a damaged segment is told, it never fails the search.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from indexer.cameras import Camera
from indexer.coverage import UNPLACED, Coverage, Missing
from indexer.shard.records import Record
from indexer.times import milliseconds
from reid.calibration import Calibration
from reid.camera_means import centred
from search.described import joined
from search.description import Shown, description, shown_by
from search.engine import Engine
from search.evidence import Evidence, log_odds, probabilities, total
from search.feedback import feedback, further_pictures, without_rejected
from search.filters import Filters
from search.found import Described, Found
from search.judged import Verdict
from search.last_seen import (
    PLACE_AND_TIME,
    LastSeen,
    Place,
    metres_from,
    place_and_time,
    place_of,
)
from search.likeness import OTHER_CLOTHES, Compared, apart_from, company, compare, likeness, one_at_a_time
from search.photos import disagreements
from search.planner import Plan
from search.provenance import Provenance, provenance
from search.request import Request
from search.route import LEAST, Route, Stop, find_route, sure_span

SHORTLIST = 200
"""Tracklets that are weighed; of them the best are shown."""


@dataclass(frozen=True)
class Sighting:
    """A tracklet shown to an analyst: perhaps the person, to be judged by a human.

    Attributes:
        rank: from 1.
        score: cosine of the photo (of several: see `search.likeness.likenesses`) and the mean of the
            tracklet's vectors, the means of the cameras taken out, -1..1: likeness, neither an identity nor
            a probability; None without a photo.
        probability: that it shows the person, by all the evidence and under the calibration's assumptions;
            None where the model has no calibration.
        evidence: natural log of the likelihood ratio by kind of evidence; 0 says nothing.
        district: slug.
        camera_name: for people; the camera's id where it has no name.
        record: when, where in which clip.
        thumbnail: JPEG of the best crop.
        place: of the camera; None when nobody knows.
        distance_m, minutes_after: how far from where the person was last seen, and how long after; None
            without a report, the distance also when nobody knows where the camera is.
        decision: `confirmed` by a person; None: nobody judged it.
        clock_uncertainty_s: seconds by which its times may be off, either way; None when nobody knows.
        perhaps_outside: by that it may lie outside the asked window.
        shown: what it shows of each thing in the description.
    """

    rank: int
    score: float | None
    probability: float | None
    evidence: Mapping[str, float]
    district: str
    camera_name: str
    record: Record
    thumbnail: bytes
    place: Place | None = None
    distance_m: float | None = None
    minutes_after: float | None = None
    decision: Verdict | None = None
    clock_uncertainty_s: float | None = None
    perhaps_outside: bool = False
    shown: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """All of an answer.

    Attributes:
        request: what was asked.
        sightings: best first, by all the evidence.
        coverage: what was searched and what was not.
        cameras: in scope.
        route: the most plausible one, a suggestion; None when nobody asked for it, or without a calibration.
        damaged: (segment, why) that could not be read.
        model: sha256 of the embedder.
        plan: how vectors were compared.
        segments: names of the segments that were searched.
        rows: how many vectors were in scope.
        timing_ms: wall-clock milliseconds of each step.
        made: what it was made with, so that it can be made again.
        warnings: what the reader must know about the photos.
        tracklets: about how many were in scope.
        described: by a description alone; None with a photo.
    """

    request: Request
    sightings: tuple[Sighting, ...]
    coverage: Coverage
    damaged: tuple[tuple[str, str], ...]
    model: str
    plan: Plan
    segments: tuple[str, ...]
    rows: int
    timing_ms: dict[str, float]
    made: Provenance
    cameras: tuple[Camera, ...] = ()
    route: Route | None = None
    warnings: tuple[str, ...] = ()
    tracklets: int = 0
    described: Described | None = None

    @property
    def expected_right(self) -> float | None:
        """How many of the sightings are expected to show the person; None without a calibration."""
        known = [each.probability for each in self.sightings if each.probability is not None]
        return sum(known) if len(known) == len(self.sightings) else None


def find_sightings(engine: Engine, request: Request) -> SearchResult:
    """Rank the tracklets in scope by all that is known of the person.

    Args:
        engine: the archive, open.
        request: its photos embedded by the engine's embedder.

    Raises:
        StorageError: nothing indexed, or the machine is out of memory or file handles.
        ModelMismatchError: the archive holds vectors of another model.
        DamagedError, FormatError: the calibration cannot be read.
    """
    begun = time.perf_counter()
    found = _found(engine, request)
    compared = time.perf_counter()
    sightings = _ranked(engine, request, found)
    ranked = time.perf_counter()
    coverage = _coverage(found, request.filters)
    cameras = tuple(found.view.snapshot.cameras[key] for key in sorted(found.scope.keys))
    measured = time.perf_counter()
    route = _route(request, sightings, cameras, coverage)
    return SearchResult(
        request, sightings, coverage, tuple(found.damaged.items()), engine.embedder.sha256,
        found.plan, found.segments, found.rows,
        {
            "search": (compared - begun) * 1000, "ranking": (ranked - compared) * 1000,
            "coverage": (measured - ranked) * 1000, "route": (time.perf_counter() - measured) * 1000,
        },
        provenance(engine, request, found, coverage), cameras, route,
        request.warnings + _disagreements(engine, request, found), found.tracklets, found.described,
    )  # fmt: skip


def _disagreements(engine: Engine, request: Request, found: Found) -> tuple[str, ...]:
    if len(request.queries) < 2:
        return ()
    photos = centred(request.vectors, found.view.means.overall)
    return disagreements(request.queries, photos, engine.calibration)


def _found(engine: Engine, request: Request) -> Found:
    """The shortlist: by photos and confirmed sightings; where there is none of them, by the description."""
    count = max(request.top, SHORTLIST) + len(request.rejected)
    pictures = further_pictures(request, engine.embedder.sha256)
    if request.queries or pictures or request.description is None:
        vectors = request.vectors if request.queries else np.empty((0, engine.embedder.dimension), np.float32)
        found = engine.search(vectors, request.filters, count, request.exact, pictures)
        if request.clothes_changed and request.description:  # who looks alike is hardly the person
            fitting = engine.search_described(request.description, request.filters, count)
            found = joined(found, fitting) if fitting.view is found.view else found
    else:
        found = engine.search_described(request.description, request.filters, count)
    return without_rejected(found, request) if request.judged else found


def _looks(request: Request, compared: Compared, calibration: Calibration | None) -> list[Evidence]:
    """What the photos say of each hit; less where they show other clothes."""
    looks = [likeness(compared, calibration)]
    if calibration:
        looks.append(company(compared, calibration))
    if request.clothes_changed:
        looks = [replace(each, log_ratios=each.log_ratios * OTHER_CLOTHES) for each in looks]
    return looks


def _coverage(found: Found, filters: Filters) -> Coverage:
    coverage = found.view.footage(found.damaged).measure(
        filters.districts, filters.cameras, filters.since_ms, filters.until_ms,
        now_ms=milliseconds(datetime.now(UTC)), keys=found.scope.keys,
    )  # fmt: skip
    if not found.scope.unplaced:
        return coverage
    unplaced = Missing(UNPLACED, None, tuple("/".join(key) for key in found.scope.unplaced))
    return replace(coverage, missing=(*coverage.missing, unplaced))


def _perhaps_outside(record: Record, filters: Filters, slack_ms: int) -> bool:
    """May the tracklet lie outside the window when its times may be off by so much?"""
    early = filters.since_ms is not None and record.end_ms - slack_ms < filters.since_ms
    late = filters.until_ms is not None and record.start_ms + slack_ms >= filters.until_ms
    return early or late


def _ranked(engine: Engine, request: Request, found: Found) -> tuple[Sighting, ...]:
    """The best of what was found, by all the evidence."""
    if not found.hits:
        return ()
    calibration = engine.calibration
    compared = compare(request, found) if request.queries else None
    evidence = _looks(request, compared, calibration) if compared else []
    if request.judged and found.described is None:
        model = engine.embedder.sha256
        looks = total(evidence) if evidence else np.zeros(len(found.hits))
        evidence.append(feedback(request, found, model, looks, calibration))
    if request.description:
        attributes = np.stack([content.attributes for content in found.contents])
        evidence.append(description(request.description, attributes, found.shares))
    if request.last_seen:
        evidence.append(place_and_time(request.last_seen, found))
    rest = found.described.rest if found.described else None
    apart = compared.apart if compared else apart_from(found)
    if calibration and apart.any():
        evidence.append(one_at_a_time(apart, probabilities(total(evidence), found.tracklets, rest)))
    together = total(evidence)
    chances = probabilities(together, found.tracklets, rest) if calibration else None
    sightings, slack = [], found.view.snapshot.clocks.slack
    for rank, place in enumerate(np.argsort(-together, kind="stable")[: request.top].tolist(), 1):
        hit, content = found.hits[place], found.contents[place]
        key = found.view.by_name[hit.segment].entry.district, content.record.camera
        camera = found.view.snapshot.cameras.get(key)
        metres, minutes = _apart(request.last_seen, camera, content.record)
        sightings.append(
            Sighting(
                rank, _score(compared, found, place), None if chances is None else float(chances[place]),
                {each.name: float(each.log_ratios[place]) for each in evidence}, key[0],
                camera.name if camera and camera.name else key[1], content.record, content.thumbnail,
                place_of(camera), metres, minutes,
                clock_uncertainty_s=camera.clock_uncertainty_s if camera else None,
                decision="confirmed" if content.record.id in request.feedback.confirmed else None,
                perhaps_outside=_perhaps_outside(content.record, request.filters, slack.get(key, 0)),
                shown=shown_by(request.description, content.attributes) if request.description else (),
            )
        )  # fmt: skip
    return tuple(sightings)


def _route(
    request: Request, sightings: Sequence[Sighting], cameras: Sequence[Camera], coverage: Coverage
) -> Route | None:
    """Through the sightings that are shown, if it was asked for and probabilities are known."""
    seen = request.last_seen
    if not (request.route or seen) or any(each.probability is None for each in sightings):
        return None
    stops = [
        Stop(
            each.record.id, *sure_span(each.record.start_ms, each.record.end_ms, each.clock_uncertainty_s),
            f"{each.district}/{each.record.camera}", each.place,
            log_odds(each.probability) - each.evidence.get(PLACE_AND_TIME, 0.0), each.decision == "confirmed",
            each.evidence.get(PLACE_AND_TIME, 0.0),
        )
        for each in sightings
        if each.probability is not None and (each.decision == "confirmed" or each.probability >= LEAST)
    ]  # fmt: skip
    places = [place for place in map(place_of, cameras) if place]
    window_s = max(coverage.until_ms - coverage.since_ms, 1000) / 1000
    return find_route(stops, places, window_s, seen.age if seen else "adult", seen)


def _score(compared: Compared | None, found: Found, place: int) -> float | None:
    """Likeness of a hit to the photos, else to confirmed sightings; None by a description alone."""
    if compared is not None:
        return float(compared.scores[place])
    return found.hits[place].score if found.described is None else None


def _apart(seen: LastSeen | None, camera: Camera | None, record: Record) -> tuple[float | None, float | None]:
    """Metres and minutes from where and when the person was last seen."""
    if seen is None:
        return None, None
    place = place_of(camera)
    minutes = (record.best_ms - seen.at_ms) / 60_000
    return (None, minutes) if place is None else (float(metres_from(seen.at_place, [place])[0]), minutes)
