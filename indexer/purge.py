"""What is asked of retention and what it tells: days, orders, holds, purges. Knows no archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from indexer.districts import Districts
from indexer.settings import Settings
from reid.errors import InputError


@dataclass(frozen=True)
class Days:
    """How many local days are kept, today among them.

    Attributes:
        usual: in every district but those
        by_district: by slug.
    """

    usual: int = 30
    by_district: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, districts: Districts) -> Days:
        """As the operator set them; raises UnknownNameError for a district nobody knows."""
        named = {districts.find(name).slug: days for name, days in settings.retention.items()}
        return cls(settings.retention_days, named)

    def __getitem__(self, district: str) -> int:
        """Of a district."""
        return self.by_district.get(district, self.usual)


@dataclass(frozen=True)
class Hold:
    """A confirmed sighting that an open case keeps a copy of.

    Attributes:
        case: the case's id. tracklet: the sighting's. clip: sha256 of its clip.
        district: slug. camera: id.
        start_ms: as it was stored, milliseconds since 1970 UTC.
    """

    case: str
    tracklet: str
    clip: str
    district: str
    camera: str
    start_ms: int


@dataclass(frozen=True)
class Order:
    """What somebody asks to go.

    Attributes:
        by: who.
        districts: slugs; empty for every district of the archive.
        before: everything before this local day, instead of what the settings say.
        clock_is_right: somebody looked at the clock.

    Raises:
        InputError: nobody orders it.
    """

    by: str
    districts: tuple[str, ...] = ()
    before: date | None = None
    clock_is_right: bool = False

    def __post_init__(self) -> None:
        if not self.by.strip():
            raise InputError("expected by whose order, got nothing; give a name")


def parse_day(text: str) -> date:
    """A local day that a person typed, e.g. 2025-02-18; raises InputError for anything else."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(f"expected a day like 2025-02-18, got {text!r} ({error})") from None


@dataclass(frozen=True)
class DistrictPurge:
    """What goes of a district.

    Attributes:
        district: slug.
        before: ISO 8601; everything earlier goes.
        days: local days of the segments that go, or of which a part goes.
        tracklets, vectors: how many; without those of `unreadable`.
        bytes: by which its segments become smaller; before the run without those that are written anew.
        clips, unfinished: rows of the ledger, of indexed clips and of failed or waiting ones.
        removed, replaced: sha256 of the manifests that go, and of those in their place.
        unreadable: segments of which a part had to go, and that went as a whole.
    """

    district: str
    before: str
    days: tuple[str, ...]
    tracklets: int
    vectors: int
    bytes: int
    clips: int
    unfinished: int
    removed: tuple[str, ...]
    replaced: tuple[str, ...]
    unreadable: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Does nothing go?"""
        return not (self.removed or self.clips or self.unfinished)


@dataclass(frozen=True)
class Purge:
    """A run of retention.

    Attributes:
        at: when, ISO 8601. by: by whose order.
        dry_run: nothing was done.
        districts: those of which something goes.
        held: (case, sighting) of what goes from the archive while the case keeps its copy.
        proof: path of the file; None when nothing went. sha256: of its bytes.
    """

    at: str
    by: str
    dry_run: bool
    districts: tuple[DistrictPurge, ...]
    held: tuple[tuple[str, str], ...]
    proof: str | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        held = [{"case": case, "sighting": sighting} for case, sighting in self.held]
        return {**asdict(self), "held": held}

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Segments that went as a whole, although a part of them was to stay."""
        return tuple(name for each in self.districts for name in each.unreadable)

    def lines(self) -> list[str]:
        """For people."""
        goes = "would go" if self.dry_run else "gone"
        told = [
            f"{each.district}, before {each.before}: {goes} {each.tracklets} tracklets, {each.vectors}"
            f" vectors, {len(each.removed)} segments, {each.clips} clips of the ledger, {each.bytes} bytes"
            for each in self.districts
        ]
        told += [f"case {case} keeps its copy of sighting {one}" for case, one in self.held]
        told += [f"segment {name} could not be read and went as a whole" for name in self.unreadable]
        if not self.districts:
            told.append("nothing has expired")
        if self.proof:
            told.append(f"proof: {self.proof}, sha256 {self.sha256}, by order of {self.by} at {self.at}")
        return told
