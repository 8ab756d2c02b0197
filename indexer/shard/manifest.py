"""The manifest: what a segment holds, by which models, and the checksum of each file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from reid.errors import DamagedError, FormatError

FORMAT_VERSION = 1


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
        embedder, detector: sha256 of the models that made it.
        dimension: length of a vector.
        tracklets, vectors: counts.
        start_ms, end_ms: first and last detection, milliseconds since 1970 UTC.
        cameras: camera ids; the column `camera` holds positions in this list.
        clips: sha256 of the clips it came from.
        files: seals by file name.
        format_version: see README.md.
    """

    segment: str
    district: str
    day: str
    embedder: str
    detector: str
    dimension: int
    tracklets: int
    vectors: int
    start_ms: int
    end_ms: int
    cameras: tuple[str, ...]
    clips: tuple[str, ...]
    files: dict[str, FileSeal]
    format_version: int = FORMAT_VERSION

    def to_bytes(self) -> bytes:
        """UTF-8 JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()


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
            " use the release that wrote it, or index the footage again"
        )
    try:
        fields["files"] = {name: FileSeal(**seal) for name, seal in fields["files"].items()}
        return Manifest(**{**fields, "cameras": tuple(fields["cameras"]), "clips": tuple(fields["clips"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{where}: expected a segment manifest ({error!r})") from None
