"""The manifest: what a segment holds, by which models, and the checksum of each file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from reid.errors import DamagedError, FormatError

FORMAT_VERSION = 3


@dataclass(frozen=True)
class FileSeal:
    """Size and checksum of one file of a segment."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a sealed segment says of itself.

    Attributes:
        segment: its name, unique in the archive.
        district, day: the shard it belongs to; `day` is the local (Asia/Seoul) date, YYYY-MM-DD.
        embedder: sha256 of the model that made the vectors. detectors: of those that found the people.
        dimension: length of a vector.
        tracklets, vectors: counts.
        start_ms, end_ms: first and last detection, milliseconds since 1970 UTC.
        cameras: camera ids; the column `camera` holds positions in this list.
        rows_by_camera: how many rows each of them has.
        clips: sha256 of the clips it came from.
        codebook: name of the codebook of its codes; None without codes.
        files: seals by file name.
        format_version: see README.md.
    """

    segment: str
    district: str
    day: str
    embedder: str
    detectors: tuple[str, ...]
    dimension: int
    tracklets: int
    vectors: int
    start_ms: int
    end_ms: int
    cameras: tuple[str, ...]
    rows_by_camera: tuple[int, ...]
    clips: tuple[str, ...]
    codebook: str | None
    files: dict[str, FileSeal]
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """UTF-8 JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()


_LISTS = ("detectors", "cameras", "rows_by_camera", "clips")


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in `data`; `where` is used in messages.

    Raises:
        FormatError: written by a release with another format.
        DamagedError: not a manifest.
    """
    try:
        fields: dict[str, Any] = json.loads(data)
        version = fields["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{where}: expected a segment manifest ({error!r})") from None
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{where}: format version {version}, this release reads {FORMAT_VERSION};"
            " bring an older archive up to date with: reid migrate"
        )
    try:
        fields["files"] = {name: FileSeal(**seal) for name, seal in fields["files"].items()}
        return Manifest(**{**fields, **{name: tuple(fields[name]) for name in _LISTS}})
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{where}: expected a segment manifest ({error!r})") from None
