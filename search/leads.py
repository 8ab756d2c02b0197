"""Leads: sightings that a standing search found for a case in new footage. Knows no store and no search.

A lead is a hint that somebody should look, not a decision, and keeps no picture and no vector of anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from indexer.ledger import checked_ms, checked_row
from indexer.snapshot import Erasure
from indexer.times import from_milliseconds, to_local_iso


@dataclass(frozen=True)
class Lead:
    """A sighting that is new to a case.

    Attributes:
        tracklet: its id, which `--confirm` and `--reject` take.
        district: slug. camera: id.
        start_ms, end_ms: milliseconds since 1970 UTC.
        score, probability: as of `search.sightings.Sighting` when it was found.
        found_ms: when that was.
        shown_ms: when a search of the case first showed it to somebody; None: not yet.
    """

    tracklet: str
    district: str
    camera: str
    start_ms: int
    end_ms: int
    score: float | None
    probability: float | None
    found_ms: int
    shown_ms: int | None = None

    def pack(self) -> dict[str, Any]:
        """Plain values for the table; that it was shown is kept apart."""
        return asdict(replace(self, shown_ms=None))

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        return {
            "id": self.tracklet,
            "district": self.district,
            "camera": self.camera,
            "start": to_local_iso(from_milliseconds(self.start_ms)),
            "end": to_local_iso(from_milliseconds(self.end_ms)),
            "score": self.score,
            "probability": self.probability,
            "found": to_local_iso(from_milliseconds(self.found_ms)),
            "shown": None if self.shown_ms is None else to_local_iso(from_milliseconds(self.shown_ms)),
        }


def read_lead(value: Mapping[str, Any], shown_ms: int | None) -> Lead:
    """What `Lead.pack` packed; raises TypeError or ValueError for something else."""
    return checked_row(replace(Lead(**value), shown_ms=None if shown_ms is None else checked_ms(shown_ms)))


def gone(leads: Iterable[Lead], erasures: Iterable[Erasure]) -> tuple[str, ...]:
    """Tracklets of leads whose time expired or was erased: what is gone must not live on as a hint."""
    told = tuple(erasures)
    return tuple(
        lead.tracklet
        for lead in leads
        if any(
            (each.tracklet is not None or each.district == lead.district)
            and each.covers(lead.camera, lead.tracklet, lead.start_ms, lead.end_ms)
            for each in told
        )
    )
