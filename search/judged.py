"""Sightings that a person judged: confirmed or rejected, with all that outlives the archive's copy of them.

Owns what is copied of a judged tracklet and how ids are found in an archive. Knows no case and no ranking.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Record, Stored, read_record
from indexer.snapshot import SegmentEntry, Snapshot
from indexer.times import from_milliseconds, to_local_iso
from reid.errors import DamagedError, FormatError, InputError

Verdict = Literal["confirmed", "rejected"]

ID_DIGITS, LEAST_DIGITS = 16, 6
"""Hex digits of a tracklet's id, and how many of them at least must be given."""


@dataclass(frozen=True)
class Judged:
    """A copy of a tracklet that a person judged.

    Attributes:
        district: slug.
        embedder: sha256 of the model of the vectors.
        packed: its record as the archive stores it, msgpack.
        vectors: (K, D) float16 unit rows, no mean taken out.
        thumbnail: JPEG of the best crop; empty when no picture was kept.
        in_archive: whether the archive still holds it; False after it expired or was erased.
    """

    district: str
    embedder: str
    packed: bytes
    vectors: NDArray[np.float16]
    thumbnail: bytes
    in_archive: bool = True

    @cached_property
    def record(self) -> Record:
        """When, where and in which clip; raises as `read_record`."""
        return read_record(self.packed)

    @property
    def key(self) -> tuple[str, str]:
        """District and camera id."""
        return self.district, self.record.camera

    @property
    def sha256(self) -> str:
        """Of all that was copied, so that an altered copy is noticed."""
        parts = (self.district.encode(), self.embedder.encode(), self.packed, self.vectors.tobytes())
        digest = hashlib.sha256()
        for part in (*parts, self.thumbnail):
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()


@dataclass(frozen=True)
class Feedback:
    """Which sightings a search is refined by, as it is kept with a result.

    Attributes:
        confirmed: ids of tracklets that show the person. rejected: of those that show somebody else.
        case: the case they belong to; None: they were given for this search only.

    Raises:
        InputError: one sighting is both.
    """

    confirmed: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    case: str | None = None

    def __post_init__(self) -> None:
        both = set(self.confirmed) & set(self.rejected)
        if both:
            raise contradiction(min(both))

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.confirmed, *self.rejected)


def contradiction(tracklet: str) -> InputError:
    """The error about a sighting that is confirmed and rejected at once."""
    return InputError(
        f"sighting {tracklet} is both confirmed and rejected; a sighting shows the person or it does not:"
        " leave one of the two out"
    )


def find_judged(
    archive: ArchiveFiles, snapshot: Snapshot, given: Sequence[str], kept: Iterable[Judged] = ()
) -> Mapping[str, Judged]:
    """The tracklets of these ids, by the id as given.

    Of each segment the heads of its tracklets are read, once for all ids, newest segment first, and no
    further than needed when whole ids are given.

    Args:
        archive: where to look.
        snapshot: of its catalogue.
        given: ids as a sighting shows them, or their first digits, at least six.
        kept: copies that a case holds, for what the archive no longer does.

    Raises:
        InputError: not an id, unknown, erased, expired, or the beginning of several.
    """
    ranges = {each: _range(each) for each in given}
    found: dict[str, dict[str, Judged]] = {each: {} for each in given}
    whole = all(len(each) == ID_DIGITS for each in given)
    unreadable = 0
    for entry in reversed(snapshot.segments):
        if whole and all(found.values()):
            break
        try:
            for each, matches in _in_segment(archive, entry, ranges, snapshot.embedder).items():
                found[each] |= matches
        except (DamagedError, FormatError):
            unreadable += 1
    for each in given:
        for copy in kept:
            if copy.record.id.startswith(each.lower()) and copy.record.id not in found[each]:
                found[each][copy.record.id] = replace(copy, in_archive=False)
    return {each: _only(each, found[each], snapshot, unreadable) for each in given}


def still_there(archive: ArchiveFiles, snapshot: Snapshot, copy: Judged) -> bool:
    """Whether the archive still holds a judged tracklet; one in a segment that cannot be read counts."""
    for entry in snapshot.segments_of.get(copy.record.clip, ()):
        try:
            if entry.quarantined or open_entry(archive, entry).find(copy.record.id) is not None:
                return True
        except (DamagedError, FormatError):
            return True
    return False


def _range(given: str) -> tuple[int, int]:
    """First and last number whose digits begin like this."""
    if not re.fullmatch(rf"[0-9a-fA-F]{{{LEAST_DIGITS},{ID_DIGITS}}}", given):
        raise InputError(
            f"id {given!r}: expected {LEAST_DIGITS} to {ID_DIGITS} digits 0-9 and a-f, the id that a sighting"
            " shows or its beginning"
        )
    return int(given.ljust(ID_DIGITS, "0"), 16), int(given.ljust(ID_DIGITS, "f"), 16)


def _in_segment(
    archive: ArchiveFiles, entry: SegmentEntry, ranges: Mapping[str, tuple[int, int]], embedder: str | None
) -> dict[str, dict[str, Judged]]:
    """What a segment holds of these ids, by what was given and by id."""
    if entry.quarantined is not None:
        raise DamagedError(entry.quarantined)
    segment = open_entry(archive, entry)
    numbers = segment.column("tracklets")["id"]
    found: dict[str, dict[str, Judged]] = {}
    for each, (low, high) in ranges.items():
        here = numbers[(numbers >= low) & (numbers <= high)]
        stored = (segment.find(f"{number:016x}") for number in here[:2].tolist())  # two: not the only one
        found[each] = {one.id: _copy(entry.district, str(embedder), one) for one in stored if one is not None}
    return found


def _copy(district: str, embedder: str, one: Stored) -> Judged:
    return Judged(district, embedder, one.record, one.vectors.copy(), one.thumbnail)


def _only(given: str, found: Mapping[str, Judged], snapshot: Snapshot, unreadable: int) -> Judged:
    """The one that was meant."""
    if len(found) > 1:
        shown = " and ".join(sorted(found)[:2])
        raise InputError(f"id {given}: {shown} begin like this; give more digits")
    if found:
        return next(iter(found.values()))
    for erasure in snapshot.erasures:
        if erasure.tracklet is not None and erasure.tracklet.startswith(given.lower()):
            when = to_local_iso(from_milliseconds(erasure.at_ms))
            raise InputError(f"sighting {given} was erased from the archive at {when}; leave it out")
    hint = "it never was there, has expired or was indexed anew: search again, and give an id of that result"
    if unreadable:
        hint = f"{unreadable} segments could not be read, and it may be in one of them; see: reid verify"
    raise InputError(f"no sighting {given} in the archive; {hint}")
