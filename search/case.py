"""A case as it is read, and the form in which it is stored. Knows no file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.ledger import checked_ms
from search.judged import Judged, Verdict

if TYPE_CHECKING:
    from search.query import Box  # whose module loads networks, which listing cases must not wait for


@dataclass(frozen=True)
class CasePhoto:
    """A photo of the person.

    Attributes:
        name: the path it was given as. data: the file's bytes.
        person_box: the part that shows the person, pixels.
        added_ms: milliseconds since 1970 UTC.
    """

    name: str
    data: bytes
    person_box: Box
    added_ms: int

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Step:
    """One decision about a sighting: the verdict, None for its withdrawal, and when in ms since 1970 UTC."""

    verdict: Verdict | None
    at_ms: int


@dataclass(frozen=True)
class CaseSighting:
    """A sighting that was judged in a case.

    Attributes:
        judged: what is kept of it.
        history: what was decided, oldest first; at least one.
    """

    judged: Judged
    history: tuple[Step, ...]

    @property
    def verdict(self) -> Verdict | None:
        """What holds now; None after it was withdrawn."""
        return self.history[-1].verdict


@dataclass(frozen=True)
class Case:
    """All of a case.

    Attributes:
        id: given by the people who lead it.
        opened_ms, closed_ms: milliseconds since 1970 UTC; the latter None while it is open.
        photos: oldest first.
        sightings: by time of the sighting.
    """

    id: str
    opened_ms: int
    closed_ms: int | None
    photos: tuple[CasePhoto, ...]
    sightings: tuple[CaseSighting, ...]

    def judged(self, verdict: Verdict) -> tuple[Judged, ...]:
        """Sightings of which this holds now."""
        return tuple(each.judged for each in self.sightings if each.verdict == verdict)


def pack_sighting(sighting: CaseSighting, last: Step) -> dict[str, Any]:
    """The stored form after one more step. Only of a confirmed sighting, the person's, a picture is kept."""
    copy = sighting.judged
    if last.verdict != "confirmed":
        copy = replace(copy, thumbnail=b"")
    return {
        "district": copy.district, "embedder": copy.embedder, "record": copy.packed,
        "vectors": copy.vectors.tobytes(), "dimension": copy.vectors.shape[1], "thumbnail": copy.thumbnail,
        "sha256": copy.sha256,
        "history": [[step.verdict, step.at_ms] for step in (*sighting.history, last)],
    }  # fmt: skip


def read_sighting(key: str, value: Mapping[str, Any]) -> CaseSighting:
    """What `pack_sighting` packed under this key.

    Raises:
        ValueError, TypeError, KeyError: it is something else, or altered.
        DamagedError: its record is no msgpack.
    """
    vectors = np.frombuffer(value["vectors"], np.float16).reshape(-1, value["dimension"])
    judged = Judged(value["district"], value["embedder"], value["record"], vectors, value["thumbnail"])
    if judged.sha256 != value["sha256"] or not key.endswith(f"/{judged.record.id}"):
        raise ValueError(f"the copy of {key} is altered")
    history = tuple(Step(_verdict(verdict), checked_ms(at_ms)) for verdict, at_ms in value["history"])
    if not history:
        raise ValueError(f"{key} has no decision")
    return CaseSighting(judged, history)


def _verdict(value: Any) -> Verdict | None:
    if value not in ("confirmed", "rejected", None):
        raise ValueError(f"expected a verdict, got {value!r}")
    verdict: Verdict | None = value
    return verdict


def pack_photo(photo: CasePhoto) -> dict[str, Any]:
    """Plain values for the table."""
    return {
        "name": photo.name, "data": photo.data, "person_box": list(photo.person_box),
        "added_ms": photo.added_ms,
    }  # fmt: skip


def read_photo(key: str, value: Mapping[str, Any]) -> CasePhoto:
    """The photo packed under this key; raises ValueError, TypeError, KeyError for something else."""
    x1, y1, x2, y2 = value["person_box"]
    photo = CasePhoto(str(value["name"]), value["data"], (x1, y1, x2, y2), checked_ms(value["added_ms"]))
    if not key.endswith(f"/{photo.sha256}"):
        raise ValueError(f"the photo {key} is altered")
    return photo
