"""A route in words and as JSON, in English and Korean. Computes nothing that is not in the result."""

from __future__ import annotations

from typing import Any

from search.last_seen import long, metres_text
from search.route import Hop, Sureness
from search.sightings import SearchResult, Sighting

CAUTION = "A route is a suggestion: a person must confirm each hop."
CAUTION_KO = "경로는 추정일 뿐입니다. 각 지점을 반드시 사람이 확인해야 합니다."
SURENESS_KO: dict[Sureness, str] = {
    "confirmed": "확인됨",
    "clear": "뚜렷함",
    "likely": "유력",
    "open": "불확실",
}


def passed(result: SearchResult) -> list[tuple[Hop, Sighting]]:
    """The hops of a route with their sightings, in the order of time."""
    by_id = {sighting.record.id: sighting for sighting in result.sightings}
    return [(hop, by_id[hop.id]) for hop in result.route.hops] if result.route else []


def rank_text(result: SearchResult, ids: tuple[str, ...]) -> str:
    """`rank 4, 7`: sightings by their rank."""
    ranks = {sighting.record.id: sighting.rank for sighting in result.sightings}
    return "rank " + ", ".join(str(ranks[each]) for each in ids)


def way_text(hop: Hop) -> str:
    """`1.2 km in 25 min`: how one gets to a hop; empty for the first."""
    if hop.metres is None or hop.seconds is None:
        return ""
    return f"{metres_text(hop.metres)} in {long(hop.seconds / 60)}"


def route_notes(result: SearchResult) -> list[str]:
    """What must be said of a route, or of there being none; empty when nobody asked for one."""
    if not (result.request.route or result.request.last_seen):
        return []
    if result.route is None:
        return [
            "no route: this model has no calibration, so nobody knows which sightings are likely (reid eval)"
        ]
    if not result.route.hops:
        return ["no route: no sighting is likely enough"]
    notes = [CAUTION]
    shown = {sighting.record.id for sighting in result.sightings}
    elsewhere = sum(each.record.id not in shown for each in result.request.confirmed)
    if elsewhere:
        notes.append(f"confirmed, but not in this list and so not on the route: {elsewhere}")
    if result.route.left_out:
        names = rank_text(result, result.route.left_out)
        notes.append(f"confirmed but not on the route, for nobody is in two places at once: {names}")
    return notes


def route_json(result: SearchResult) -> dict[str, Any] | None:
    """See docs/contracts.md."""
    if result.route is None:
        return None
    return {
        "hops": [
            {
                "rank": sighting.rank, "id": hop.id,
                "distance_m": None if hop.metres is None else round(hop.metres),
                "seconds": None if hop.seconds is None else round(hop.seconds, 1),
                "log_ratio": round(hop.log_ratio, 3),
                "margin": None if hop.margin is None else round(hop.margin, 3),
                "sureness": hop.sureness, "instead": list(hop.instead),
            }
            for hop, sighting in passed(result)
        ],
        "left_out": list(result.route.left_out),
        "before_last_seen": result.route.seen_before,
    }  # fmt: skip
