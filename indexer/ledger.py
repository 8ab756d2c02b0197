"""What became of each clip: the rows of the ledger and how a file is recognised.

Knows clips and reasons; the catalogue stores the rows.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

from indexer.times import from_milliseconds, to_local_iso
from reid.errors import FootageError
from reid.weights import sha256_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

_LATEST_MS = 1 << 42
_LASTING = frozenset({
    "empty", "not_video", "no_frames", "broken_timestamps", "unreadable",
    "time_limit", "crashed", "out_of_memory", "killed",
})  # fmt: skip
"""Reasons that trying again seldom changes; others go when somebody says what was missing."""
_KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "int | None": (int, NoneType),
    "str | None": (str, NoneType),
    "float | None": (int, float, NoneType),
}


@dataclass(frozen=True)
class ClipDone:
    """A clip that was indexed.

    Attributes:
        sha256: of the file; the key of the ledger.
        path: where it lay when it was last met.
        district, camera: where it was recorded.
        start_ms, end_ms: true time of its first and last frame read, milliseconds since 1970 UTC
            (the camera's clock offset, as it was known then, is taken off).
        spans: (start, end) of the stretches that were looked at, in the same unit; damage leaves gaps.
        start_source: "given" (option or list), "name" or "container".
        detector, embedder: sha256 of the models.
        frames_per_second: how much was looked at.
        frames_read, frames_sampled, frames_corrupt: counts; the clip was decoded in spite of the last.
        tracklets, vectors: counts.
        warnings: what was odd, for people.
        seconds_taken: wall-clock seconds of the indexing.
        tries: how often it was tried until it was done.
        at_ms: when it was indexed, milliseconds since 1970 UTC; None where that was not kept yet.
        clock_offset_s: what was taken off; `indexer.clocks` corrects by it.
    """

    sha256: str
    path: str
    district: str
    camera: str
    start_ms: int
    end_ms: int
    spans: tuple[tuple[int, int], ...]
    start_source: str
    detector: str
    embedder: str
    frames_per_second: float
    frames_read: int
    frames_sampled: int
    frames_corrupt: int
    tracklets: int
    vectors: int
    warnings: tuple[str, ...]
    seconds_taken: float
    clock_offset_s: float = 0.0
    tries: int = 1
    at_ms: int | None = None

    @property
    def footage_s(self) -> float:
        """Seconds of footage that were looked at."""
        return sum(end - start for start, end in self.spans) / 1000

    @property
    def shown_ms(self) -> int:
        """Its start on the camera's own clock, milliseconds since 1970 UTC."""
        return self.start_ms + round(self.clock_offset_s * 1000)

    def shows_start_of(self, other: ClipDone) -> bool:
        """Did the camera's clock show the same at the start of both? Offsets may differ, and are rounded."""
        return abs(self.shown_ms - other.shown_ms) <= 1

    def pack(self) -> dict[str, Any]:
        """Plain values for the table."""
        return asdict(self)

    def to_json(self) -> dict[str, Any]:
        """What a run reports of the clip; see docs/contracts.md."""
        return {
            "clip": self.path,
            "district": self.district,
            "camera": self.camera,
            "start": to_local_iso(from_milliseconds(self.start_ms)),
            "start_source": self.start_source,
            "tracklets": self.tracklets,
            "footage_s": round(self.footage_s, 3),
            "frames_read": self.frames_read,
            "frames_corrupt": self.frames_corrupt,
            "warnings": list(self.warnings),
        }


def unpack_done(value: Mapping[str, Any]) -> ClipDone:
    """The row packed by `ClipDone.pack`.

    Raises:
        TypeError, KeyError, ValueError: no such row.
    """
    spans = tuple((checked_ms(start), checked_ms(end)) for start, end in value["spans"])
    return checked_row(ClipDone(**{**value, "warnings": tuple(value["warnings"]), "spans": spans}))


@dataclass(frozen=True)
class ClipFailed:
    """A clip that could not be indexed; the ledger keys it by path, since its bytes may be nothing.

    Attributes:
        path: where it lies.
        district, camera: where it was recorded, None if that is what was unclear.
        start_ms: its start, milliseconds since 1970 UTC, None if unknown.
        reason: a short stable word.
        message: for people.
        tries: how often it was tried in this state of the file.
        end_ms: where it ends by the length that the file states, None if it states none.
        at_ms: when it was tried last, milliseconds since 1970 UTC.
        seconds_taken: wall-clock seconds of that.
        size, modified_ns: of the file then; see `Fingerprint`.
        detector, embedder: sha256 of the models then.
        (of these five, None for what was tried before they were kept, or could not be known)
    """

    path: str
    district: str | None
    camera: str | None
    start_ms: int | None
    reason: str
    message: str
    tries: int = 1
    end_ms: int | None = None
    at_ms: int | None = None
    seconds_taken: float | None = None
    size: int | None = None
    modified_ns: int | None = None
    detector: str | None = None
    embedder: str | None = None

    def is_given_up(self, limit: int | None) -> bool:
        """Was it tried so often, for what lies in the file itself, that it is only listed from now on? None:
        never.
        """
        return limit is not None and self.tries >= limit and self.reason in _LASTING

    def is_of(self, fingerprint: Fingerprint) -> bool:
        """Was the file then what it is now?"""
        return (self.size, self.modified_ns) == (fingerprint.size, fingerprint.modified_ns)

    def pack(self) -> dict[str, Any]:
        """Plain values for the table."""
        return asdict(self)

    @property
    def is_measured(self) -> bool:
        """Is it known which time of which camera it covers?"""
        return None not in (self.district, self.camera, self.start_ms, self.end_ms)


@dataclass(frozen=True)
class ClipWaiting:
    """A clip that a run was told to index and has not come to; keyed by path as a failed one.

    Attributes: as of `ClipFailed`.
    """

    path: str
    district: str | None
    camera: str | None
    start_ms: int | None
    end_ms: int | None

    def pack(self) -> dict[str, Any]:
        """Plain values for the table; it was tried 0 times."""
        return {**asdict(self), "tries": 0}

    @property
    def is_measured(self) -> bool:
        """Is it known which time of which camera it covers?"""
        return None not in (self.district, self.camera, self.start_ms, self.end_ms)


def unpack_unfinished(value: Mapping[str, Any]) -> ClipFailed | ClipWaiting:
    """The row packed by `ClipFailed.pack` or `ClipWaiting.pack`.

    Raises:
        TypeError, KeyError, ValueError: no such row.
    """
    if value["tries"] == 0:
        return checked_row(ClipWaiting(**{name: each for name, each in value.items() if name != "tries"}))
    return checked_row(ClipFailed(**value))


def checked_row(row: Row) -> Row:
    """The row, when its numbers and texts are what their fields say: damage can turn one into the other.

    Raises:
        ValueError: a field of another type, or a moment outside all time.
    """
    for field in fields(row):
        value, kinds = getattr(row, field.name), _KINDS.get(str(field.type))
        if kinds is not None and not isinstance(value, kinds):
            raise ValueError(f"expected {field.type} as {field.name}, got {value!r}")
        if field.name.endswith("_ms") and value is not None:
            checked_ms(value)
    return row


def checked_ms(value: Any) -> int:
    """A stored moment.

    Raises:
        ValueError: not a whole number of milliseconds between 1970 and 2109.
    """
    if not isinstance(value, int) or not 0 <= value < _LATEST_MS:
        raise ValueError(f"expected a moment in milliseconds, got {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Size and modification time of a file: unchanged means its sha256 need not be computed again."""

    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """The fingerprint of the file now.

        Raises:
            FootageError: missing, not a file, or no permission.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise _refused(path, error) from None
        if stat.S_ISDIR(status.st_mode):
            raise FootageError("no_permission", f"{path}: the folder cannot be listed; check its permissions")
        if not stat.S_ISREG(status.st_mode):
            raise FootageError("not_video", f"{path}: expected a video file, got a device or pipe")
        return cls(status.st_size, status.st_mtime_ns)


def clip_sha256(path: Path) -> str:
    """Hex sha256 of the clip's bytes.

    Raises:
        FootageError: it cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> FootageError:
    reasons = {FileNotFoundError: "missing", PermissionError: "no_permission"}
    reason = reasons.get(type(error), "unreadable")
    return FootageError(reason, f"{path}: cannot be read ({error.strerror}); check the path and the disk")
