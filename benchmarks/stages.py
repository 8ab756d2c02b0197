"""What each kind of knowledge adds to the search for the city's missing people, one after the other.

Everybody is searched for again and again, each time with one thing more: by raw similarity, by all that the
product makes of the photo alone (several vectors, re-ranking), with what a caller says of the clothes worn
(and that they are others than in the photo, where they are), with a report of where and when they were last
seen, and with the judgement of an analyst who confirms at most two right and rejects at most three wrong
sightings of the first twenty. The report is made from the truth: the first camera they pass, some minutes
before, a few hundred metres off. What is counted is what `found` counts, and right sightings among the first
twenty.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.found import KS, MOST
from indexer.times import milliseconds, parse_local
from reid.errors import InputError
from search.demo.truth import MissingTruth, PersonTruth, Truth
from search.description import Description, read_description
from search.engine import Engine
from search.filters import Filters
from search.judged import Feedback, find_judged
from search.last_seen import LastSeen
from search.query import Query
from search.request import Request
from search.sightings import SearchResult, find_sightings

_PAGE = 20
_CONFIRMED, _REJECTED = 2, 3
_BEFORE_S = (60.0, 900.0)  # how long before the first camera somebody saw them
_OFF_M = 300.0  # and about how far from it
_M_PER_DEGREE = 111_195.0

STAGES = ("raw similarity", "+ ranking", "+ description", "+ place and time", "+ feedback")


@dataclass(frozen=True)
class Ranking:
    """Of one search.

    Attributes:
        person: who is missing. clothes_change: the photo shows other clothes.
        right: of the first sightings, which show the person.
        probabilities: of the same, or empty where there is no calibration.
        covered: share of the asked camera-time that was searched.
        milliseconds: from the embedded photo to the answer.
    """

    person: int
    clothes_change: bool
    right: tuple[bool, ...]
    probabilities: tuple[float, ...]
    covered: float
    milliseconds: float


def measure(
    truth: Truth, engine: Engine, filters: Filters, queries: dict[int, Query],
    shows: dict[str, int | None],
) -> dict[str, list[Ranking]]:  # fmt: skip
    """The rankings of every stage.

    Args:
        truth: of the city. engine: its archive, open. filters: where and when is searched.
        queries: the photos, by person. shows: whom each tracklet shows, by its id.
    """
    stages: dict[str, list[Ranking]] = {name: [] for name in STAGES}
    for missing in truth.missing:
        request = Request((queries[missing.person],), filters, MOST)
        result, taken = _timed(engine, replace(request, top=200))
        by_score = sorted(result.sightings, key=lambda each: -(each.score or 0.0))
        raw = replace(result, sightings=tuple(replace(each, probability=None) for each in by_score))
        stages[STAGES[0]].append(_ranking(missing, raw, shows, taken))
        stages[STAGES[1]].append(_ranking(missing, result, shows, taken))
        said = says(truth.person(missing.person))
        request = replace(request, description=said, clothes_changed=missing.clothes_change)
        result, taken = _timed(engine, request)
        stages[STAGES[2]].append(_ranking(missing, result, shows, taken))
        request = replace(request, last_seen=_report(truth, missing, engine))
        result, taken = _timed(engine, request)
        stages[STAGES[3]].append(_ranking(missing, result, shows, taken))
        request = _judged(request, result, missing.person, engine, shows)
        result, taken = _timed(engine, request)
        stages[STAGES[4]].append(_ranking(missing, result, shows, taken))
    return stages


def _timed(engine: Engine, request: Request) -> tuple[SearchResult, float]:
    begun = time.perf_counter()
    result = find_sightings(engine, request)
    return result, (time.perf_counter() - begun) * 1000


def _ranking(
    missing: MissingTruth, result: SearchResult, shows: dict[str, int | None], taken: float
) -> Ranking:
    shown = result.sightings[:MOST]
    known = [each.probability for each in shown if each.probability is not None]
    coverage = result.coverage
    return Ranking(
        missing.person, missing.clothes_change,
        tuple(shows.get(each.record.id) == missing.person for each in shown), tuple(known),
        coverage.searched_camera_hours / coverage.asked_camera_hours if coverage.asked_camera_hours else 0.0,
        taken,
    )  # fmt: skip


def says(person: PersonTruth) -> Description | None:
    """What a caller says of the clothes and the age, in the words of the command line."""
    labels = person.attributes
    with_aid = [labels["aid"]] if labels.get("aid") in ("cane", "wheelchair", "stroller") else []
    try:
        return read_description(
            labels.get("upper_colours", ()), labels.get("lower_colours", ()), [person.age_group], with_aid
        )
    except InputError:  # a word that the renderer has and callers have not
        return read_description(age=[person.age_group])


def _report(truth: Truth, missing: MissingTruth, engine: Engine) -> LastSeen | None:
    """Some minutes before the first camera they pass, not far from it; None for whom no camera sees."""
    passages = truth.passages_of(missing.person)
    if not passages:
        return None
    first = min(passages, key=lambda each: _moment(truth, each.clip, each.first_frame))
    district, camera_id, _ = first.clip.split("/")
    camera = engine.view().snapshot.cameras[district, camera_id]
    if camera.latitude is None or camera.longitude is None:
        return None
    random = np.random.default_rng([missing.person, 1])
    north, east = random.normal(0, _OFF_M / 1.25, 2) / _M_PER_DEGREE  # a mean distance of _OFF_M
    before = random.uniform(*_BEFORE_S)
    group = truth.person(missing.person).age_group
    return LastSeen(
        "reported", camera.latitude + float(north),
        camera.longitude + float(east / np.cos(np.radians(camera.latitude))),
        round(_moment(truth, first.clip, first.first_frame) - before * 1000),
        "child" if group == "child" else "elder" if group == "elder" else "adult",
    )  # fmt: skip


def _moment(truth: Truth, clip: str, frame: int) -> float:
    """Milliseconds since 1970 UTC."""
    row = truth.clips[clip]
    return milliseconds(parse_local(row.start)) + frame / row.frame_rate * 1000


def _judged(
    request: Request, result: SearchResult, person: int, engine: Engine, shows: dict[str, int | None]
) -> Request:
    """The request with what an analyst says of the first page."""
    page = [(each.record.id, shows.get(each.record.id) == person) for each in result.sightings[:_PAGE]]
    confirmed = tuple(name for name, right in page if right)[:_CONFIRMED]
    rejected = tuple(name for name, right in page if not right)[:_REJECTED]
    if not confirmed and not rejected:
        return request
    copies = find_judged(engine.archive, engine.view().snapshot, (*confirmed, *rejected))
    return replace(request, feedback=Feedback(confirmed, rejected), judged=tuple(copies.values()))


def figures(stages: dict[str, list[Ranking]]) -> list[dict[str, Any]]:
    """Of each stage: found at each k, of all and of those in other clothes, and what was expected."""
    rows = []
    for name, rankings in stages.items():
        changed = [each for each in rankings if each.clothes_change]
        told = [each for each in rankings if each.probabilities]
        rows.append(
            {
                "stage": name, "people": len(rankings), "found_at": _found(rankings),
                "other_clothes": len(changed), "found_at_other_clothes": _found(changed),
                "right_in_first_20": _mean([sum(each.right[:_PAGE]) for each in rankings]),
                "expected_in_first_20": _mean([sum(each.probabilities[:_PAGE]) for each in told]),
                "calibration_error": _calibration_error(told),
                "covered": _mean([each.covered for each in rankings]),
                "median_ms": float(np.median([each.milliseconds for each in rankings])),
                "p95_ms": float(np.percentile([each.milliseconds for each in rankings], 95)),
            }
        )  # fmt: skip
    return rows


def _found(rankings: Sequence[Ranking]) -> dict[str, int]:
    return {str(k): sum(any(each.right[:k]) for each in rankings) for k in KS}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _calibration_error(rankings: Sequence[Ranking]) -> float | None:
    """Expected calibration error of all sightings shown, ten bins of equal width (Guo et al. 2017)."""
    if not rankings:
        return None
    told = np.concatenate([each.probabilities for each in rankings])
    right = np.concatenate([each.right[: len(each.probabilities)] for each in rankings])
    bins = np.minimum((told * 10).astype(int), 9)
    gaps = [abs(told[bins == k].sum() - right[bins == k].sum()) for k in range(10)]
    return float(sum(gaps) / len(told))


def print_table(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """What there is to say, for people."""
    table = Table(
        "", *(f"at {k}" for k in KS), *(f"other clothes at {k}" for k in KS[:3]), "right in 20", "expected",
        "ECE", "median ms", title=f"Each thing known, {rows[0]['people']} people"
        f" ({rows[0]['other_clothes']} in other clothes)",
    )  # fmt: skip
    for row in rows:
        cells = [row["found_at"][str(k)] for k in KS]
        cells += [row["found_at_other_clothes"][str(k)] for k in KS[:3]]
        shown = [_text(row[name]) for name in ("right_in_first_20", "expected_in_first_20")]
        error = row["calibration_error"]
        table.add_row(
            row["stage"], *map(str, cells), *shown, "-" if error is None else f"{error:.4f}",
            f"{row['median_ms']:.0f}",
        )  # fmt: skip
    console.print(table)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
