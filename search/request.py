"""What a search is asked: whom, where and when, and what else is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexer.times import from_milliseconds, to_local_iso
from reid.errors import InputError
from search.description import Description
from search.filters import Filters
from search.judged import Feedback, Judged
from search.last_seen import LastSeen
from search.query import Query

NOTHING_ASKED = "expected a photo of the person, or a description: --upper, --lower, --age, --with, --without"
DESCRIPTION_ALONE = (
    "no photo: a description fits many people; who is listed fits best of those who were searched, and may"
    " well be somebody else"
)
CLOTHES_CHANGED = (
    "other clothes than in the photo: likeness, which is mostly that of clothes, counts less, and the list is"
    " less reliable"
)
SAY_MORE = "say what the person wears now: --upper, --lower, --with"


@dataclass(frozen=True)
class Request:
    """All that one search is asked.

    Attributes:
        queries: photos of the person; none where there is a description alone.
        filters: where, when and, if others are to be left out, in which colours.
        top: how many sightings at most, at least 1.
        exact: compare every vector, however many there are.
        last_seen: where and when the person was last seen, if anybody knows.
        route: suggest a route, also when nobody knows that.
        feedback: sightings that were confirmed or rejected, by id.
        judged: copies of them.
        description: what is said of the person as they are dressed now.
        clothes_changed: the person wears other clothes than in the photos, which say less then.

    Raises:
        InputError: neither photo nor description, clothes changed without a photo, last seen after the
            window's end, or a judged sighting without its copy.
    """

    queries: tuple[Query, ...]
    filters: Filters
    top: int = 20
    exact: bool = False
    last_seen: LastSeen | None = None
    route: bool = False
    feedback: Feedback = field(default_factory=Feedback)
    judged: tuple[Judged, ...] = ()
    description: Description | None = None
    clothes_changed: bool = False

    def __post_init__(self) -> None:
        if not self.queries and self.description is None:
            raise InputError(NOTHING_ASKED)
        if self.clothes_changed and not self.queries:
            raise InputError("--clothes-changed says what a photo is worth; there is no photo, leave it out")
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
        """What the reader must know about the photos, or about there being none."""
        several = len(self.queries) > 1
        told = [
            f"{query.photo}: {warning}" if several else warning
            for query in self.queries
            for warning in query.warnings
        ]
        if not self.queries:
            told.append(DESCRIPTION_ALONE)
        if self.clothes_changed:
            told.append(CLOTHES_CHANGED if self.description else CLOTHES_CHANGED + "; " + SAY_MORE)
        return tuple(told)
