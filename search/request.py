"""What a search is asked: whom, where and when, and what else is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexer.times import from_milliseconds, to_local_iso
from reid.errors import InputError
from search.filters import Filters
from search.judged import Feedback, Judged
from search.last_seen import LastSeen
from search.query import Query


@dataclass(frozen=True)
class Request:
    """All that one search is asked.

    Attributes:
        queries: photos of the person, at least one.
        filters: where, when and in which colours.
        top: how many sightings at most, at least 1.
        exact: compare every vector, however many there are.
        last_seen: where and when the person was last seen, if anybody knows.
        route: suggest a route, also when nobody knows that.
        feedback: sightings that were confirmed or rejected, by id.
        judged: copies of them.

    Raises:
        InputError: no photo, last seen after the window's end, or a judged sighting without its copy.
    """

    queries: tuple[Query, ...]
    filters: Filters
    top: int = 20
    exact: bool = False
    last_seen: LastSeen | None = None
    route: bool = False
    feedback: Feedback = field(default_factory=Feedback)
    judged: tuple[Judged, ...] = ()

    def __post_init__(self) -> None:
        if not self.queries:
            raise InputError("expected a photo of the person, got none")
        until, seen = self.filters.until_ms, self.last_seen
        if seen and until is not None and seen.at_ms >= until:
            end, at = (to_local_iso(from_milliseconds(ms)) for ms in (until, seen.at_ms))
            raise InputError(
                f"the person was last seen at {at}, after the window's end at {end}; give a later --until, or"
                " leave it out"
            )
        missing = set(self.feedback.ids) - {each.record.id for each in self.judged}
        if missing:
            raise InputError(f"expected the judged sighting {min(missing)} itself, got its id alone")

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(Q, D) float32 unit rows, one of each photo."""
        return np.concatenate([query.vectors for query in self.queries])

    @property
    def confirmed(self) -> tuple[Judged, ...]:
        """Sightings that show the person."""
        return tuple(each for each in self.judged if each.record.id in self.feedback.confirmed)

    @property
    def rejected(self) -> tuple[Judged, ...]:
        """Sightings that show somebody else."""
        return tuple(each for each in self.judged if each.record.id in self.feedback.rejected)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader must know about the photos."""
        several = len(self.queries) > 1
        return tuple(
            f"{query.photo}: {warning}" if several else warning
            for query in self.queries
            for warning in query.warnings
        )
