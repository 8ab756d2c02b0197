"""What was asked, as a result keeps it, and back: the one place where a `Request` is written and read.

A new field of `Request` made of dataclasses, tuples, sets, mappings, numbers, texts and None is kept and read
without a change here; vectors and pictures are not kept but what they were made from. Knows no archive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from reid.errors import InputError
from search.judged import Feedback, Judged
from search.plain import from_plain, to_plain
from search.query import Query
from search.request import Request

FORMAT = 1
_REMADE = frozenset({"queries", "judged"})  # from the photos, and from ids


@dataclass(frozen=True)
class AskedPhoto:
    """A photo that was searched with.

    Attributes:
        photo: its absolute path.
        sha256: of its file; None for a picture that lay in none.
        person_box: the part that was used, `[x1, y1, x2, y2]` pixels.
        detector: sha256 of the model that found people in it; None where the box was given.
    """

    photo: str
    sha256: str | None
    person_box: tuple[float, float, float, float]
    detector: str | None


@dataclass(frozen=True)
class Asked:
    """A request before its photos are read.

    Attributes:
        photos: of the person.
        rest: all other fields of `Request`, by name.
    """

    photos: tuple[AskedPhoto, ...]
    rest: Mapping[str, Any]

    @property
    def feedback(self) -> Feedback:
        """Ids of judged sightings."""
        found: Feedback = self.rest.get("feedback", Feedback())
        return found

    def request(self, queries: Sequence[Query], judged: Sequence[Judged] = ()) -> Request:
        """The request, with these queries made of the photos and these copies of judged sightings."""
        return Request(tuple(queries), judged=tuple(judged), **self.rest)


def request_to_json(request: Request, since_ms: int, until_ms: int) -> dict[str, Any]:
    """All that was asked.

    Args:
        request: what was asked. since_ms, until_ms: the window as it was understood, see `Provenance`.
    """
    photos = tuple(
        AskedPhoto(str(Path(query.photo).absolute()), query.sha256, query.person_box, query.detector)
        for query in request.queries
    )
    rest = {
        field.name: to_plain(getattr(request, field.name))
        for field in fields(request)
        if field.name not in _REMADE
    }
    rest["filters"] |= {"since_ms": since_ms, "until_ms": until_ms}
    return {"format": FORMAT, "photos": to_plain(photos), **rest}


def request_from_json(kept: object, where: str) -> Asked:
    """What `request_to_json` wrote.

    Args:
        kept: as read from JSON. where: the file, for messages.

    Raises:
        InputError: it is something else, or of a later release.
    """
    if not isinstance(kept, dict):
        raise InputError(
            f"{where}: expected a result with `request`, which says what was asked; results of earlier"
            " releases cannot be asked again: search anew"
        )
    if kept.get("format") != FORMAT:
        raise InputError(
            f"{where}: request of format {kept.get('format')}, this release reads {FORMAT}; use the release"
            " that wrote it"
        )
    kinds = get_type_hints(Request)
    rest = {name: value for name, value in kept.items() if name not in ("format", "photos")}
    strange = sorted(name for name in rest if name not in kinds or name in _REMADE)
    if strange:
        raise InputError(
            f"{where}: request with {', '.join(strange)}, which this release does not know; use the one that"
            " wrote it"
        )
    if "filters" not in rest:
        raise InputError(f"{where}: request without filters; the file is not whole")
    photos = from_plain(tuple[AskedPhoto, ...], kept.get("photos"), f"{where}: request.photos")
    return Asked(
        photos,
        {name: from_plain(kinds[name], value, f"{where}: request.{name}") for name, value in rest.items()},
    )
