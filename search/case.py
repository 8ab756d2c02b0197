"""A case as it is read, and the form in which it is stored. Knows no file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from indexer.ledger import checked_ms
from search.judged import Judged, Verdict
from search.leads import Lead
from search.travel import AgeGroup

if TYPE_CHECKING:
    from search.query import Box  # whose module loads networks, which listing cases must not wait for
    from search.sealing import PhotoKey


@dataclass(frozen=True)
class CasePhoto:
    """A photo of the person.

    Attributes:
        name: the path it was given as. data: the file's bytes; empty when the case was read without pictures.
        person_box: the part that shows the person, pixels.
        added_ms: milliseconds since 1970 UTC.
        sha256: of the file.
    """

    name: str
    data: bytes
    person_box: Box
    added_ms: int
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.data).hexdigest())


@dataclass(frozen=True)
class Mandate:
    """What a case rests on, and whom it is about.

    Attributes:
        basis: the legal basis, as whoever opened it gave it; empty: none was given.
        expires_ms: when it expires, milliseconds since 1970 UTC; None: never.
        opened_by: account, or user of the operating system.
        districts: slugs of what it reaches; None: every district.
        age: group of the person. description: of the person, in words.
    """

    basis: str = ""
    expires_ms: int | None = None
    opened_by: str = ""
    districts: tuple[str, ...] | None = None
    age: AgeGroup | None = None
    description: str = ""


ApprovalKind = Literal["wide search", "daily limit"]


@dataclass(frozen=True)
class Approval:
    """What a second person is asked to allow.

    Attributes:
        id: its own. kind: why it needs a second person.
        asked_by, asked_ms, reason: who asked, when and why; times in milliseconds since 1970 UTC.
        districts, since_ms, until_ms: of the search; no bound: None.
        decided_by, decided_ms: empty and None while nobody did. granted: what was decided.
    """

    id: str
    kind: ApprovalKind
    asked_by: str
    asked_ms: int
    reason: str
    districts: tuple[str, ...]
    since_ms: int | None
    until_ms: int | None
    decided_by: str = ""
    decided_ms: int | None = None
    granted: bool = False


@dataclass(frozen=True)
class Step:
    """One decision about a sighting: the verdict (None: withdrawn), when in ms since 1970 UTC, by whom."""

    verdict: Verdict | None
    at_ms: int
    by: str = ""


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
        mandate: what it rests on. approvals: what a second person was asked, oldest first.
        leads: what standing searches found, by time of the sighting.
    """

    id: str
    opened_ms: int
    closed_ms: int | None
    photos: tuple[CasePhoto, ...]
    sightings: tuple[CaseSighting, ...]
    mandate: Mandate = field(default_factory=Mandate)
    approvals: tuple[Approval, ...] = ()
    leads: tuple[Lead, ...] = ()

    @property
    def new(self) -> tuple[Lead, ...]:
        """Leads that nobody was shown and nobody judged."""
        judged = {each.judged.record.id for each in self.sightings}
        return tuple(each for each in self.leads if each.shown_ms is None and each.tracklet not in judged)

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
        "history": [[step.verdict, step.at_ms, step.by] for step in (*sighting.history, last)],
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
    history = tuple(
        Step(_verdict(verdict), checked_ms(at_ms), *by) for verdict, at_ms, *by in value["history"]
    )
    if not history:
        raise ValueError(f"{key} has no decision")
    return CaseSighting(judged, history)


def _verdict(value: Any) -> Verdict | None:
    if value not in ("confirmed", "rejected", None):
        raise ValueError(f"expected a verdict, got {value!r}")
    verdict: Verdict | None = value
    return verdict


def pack_photo(photo: CasePhoto, place: str, key: PhotoKey) -> dict[str, Any]:
    """Plain values for the table, the picture sealed for this place."""
    return {
        "name": photo.name, "sealed": key.seal(photo.data, place), "person_box": list(photo.person_box),
        "added_ms": photo.added_ms,
    }  # fmt: skip


def read_photo(place: str, value: Mapping[str, Any], key: PhotoKey | None) -> CasePhoto:
    """The photo packed for this place; without a key without its picture.

    Raises:
        ValueError, TypeError, KeyError: something else was stored.
        DamagedError: it cannot be opened with this key.
    """
    x1, y1, x2, y2 = value["person_box"]
    data = key.open(value["sealed"], place) if key else b""
    sha256 = place.rpartition("/")[2]
    if key and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"the photo {place} is altered")
    return CasePhoto(str(value["name"]), data, (x1, y1, x2, y2), checked_ms(value["added_ms"]), sha256)


def pack_mandate(mandate: Mandate) -> dict[str, Any]:
    """Plain values for the table."""
    return asdict(mandate)


def read_mandate(value: Mapping[str, Any] | None) -> Mandate:
    """What `pack_mandate` packed; of a case of an earlier release, which had none, an empty one."""
    if value is None:
        return Mandate()
    districts = value["districts"]
    return Mandate(**{**value, "districts": None if districts is None else tuple(districts)})


def read_approval(value: Mapping[str, Any]) -> Approval:
    """What was packed of an approval."""
    return Approval(**{**value, "districts": tuple(value["districts"])})
