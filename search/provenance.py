"""What an answer was made with: code, models, settings and the state of the archive.

Two answers made with the same are the same; what differs explains why two are not. Owns what is kept for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from itertools import groupby
from pathlib import Path

from indexer.coverage import Coverage
from indexer.times import milliseconds
from reid.calibration import Calibration
from reid.processor import processor
from search.engine import Engine
from search.found import Found
from search.request import Request
from search.view import Loaded

_PACKAGES = ("reid", "indexer", "search")
_LIBRARIES = ("numpy", "opencv-python", "pillow", "torch", "faiss-cpu", "onnxruntime", "openvino")
_CLIPS_MODULUS = 1 << 128


@dataclass(frozen=True)
class Shard:
    """What was searched of one district and local day.

    Attributes:
        district: slug. day: ISO.
        segments: name -> sha256 of its manifest.
        tracklets, vectors: in them, whatever the filters.
        clips: how many clips they are of. clips_sum: the sum of the first 128 bits of their sha256, modulo
            2^128, as hexadecimal: equal for the same clips, whatever segments they are kept in.
    """

    district: str
    day: str
    segments: Mapping[str, str]
    tracklets: int
    vectors: int
    clips: int
    clips_sum: str


@dataclass(frozen=True)
class Provenance:
    """What an answer was made with.

    Attributes:
        at_ms: when, milliseconds since 1970 UTC.
        code_version: release and, after "+", the first digits of the sha256 of the source.
        libraries: versions of those that compute. processor: the machine's; both move the last digits.
        embedder: name of the model (its sha256 is in the result).
        calibration: sha256 of its content; None without one.
        codebook: name of the one in use. code_memory_mb: memory for codes.
        catalogue: version of the catalogue, which grows with every change.
        cameras, people: of the archive, whose means were taken out.
        erasures: how many the archive has had.
        shards: what was searched.
        since_ms, until_ms: the window as it was then, in milliseconds: every tracklet that counted lies
            in it, also where the caller gave no bound.
    """

    at_ms: int
    code_version: str
    libraries: Mapping[str, str]
    processor: str
    embedder: str
    calibration: str | None
    codebook: str | None
    code_memory_mb: int
    catalogue: int
    cameras: int
    people: int
    erasures: int
    shards: tuple[Shard, ...]
    since_ms: int
    until_ms: int


def provenance(engine: Engine, request: Request, found: Found, coverage: Coverage) -> Provenance:
    """Of an answer.

    Args:
        engine: that gave it. request: what was asked. found: by the search. coverage: of it.
    """
    filters, seen = request.filters, request.last_seen
    view = found.view
    searched = [view.by_name[name] for name in found.segments]
    since, until = filters.since_ms, filters.until_ms
    if since is None:
        since = min([coverage.since_ms, *(loaded.start_ms for loaded in searched)])
        since = since if until is None else min(since, until - 1)
    if until is None:  # half-open, and the last frame belongs to it
        ends = [loaded.end_ms for loaded in searched]
        until = 1 + max([coverage.until_ms, since, *ends, *([seen.at_ms] if seen else [])])
    return Provenance(
        milliseconds(datetime.now(UTC)), code_version(), libraries(), processor(), engine.embedder.name,
        _digest(engine.calibration), view.codebook.name if view.codebook else None,
        engine.code_bytes >> 20, view.snapshot.version, len(view.snapshot.cameras), view.people,
        len(view.snapshot.erasures), _shards(searched), since, until,
    )  # fmt: skip


def _shards(searched: list[Loaded]) -> tuple[Shard, ...]:
    def place(loaded: Loaded) -> tuple[str, str]:
        return loaded.entry.district, loaded.entry.day

    rows = []
    for (district, day), group in groupby(sorted(searched, key=place), place):
        members = sorted(group, key=lambda loaded: loaded.entry.segment)
        entries = [loaded.entry for loaded in members]
        clips = sum(loaded.clips_sum for loaded in members) % _CLIPS_MODULUS
        rows.append(
            Shard(
                district, day, {entry.segment: entry.seal for entry in entries},
                sum(entry.tracklets for entry in entries), sum(entry.vectors for entry in entries),
                sum(len(entry.clips) for entry in entries), f"{clips:032x}",
            )
        )  # fmt: skip
    return tuple(rows)


def _digest(calibration: Calibration | None) -> str | None:
    if calibration is None:
        return None
    return hashlib.sha256(json.dumps(calibration.to_json(), sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """`0.1.0+5f0c…`: the release, and which source it really is: clones and patched stations differ."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{metadata.version('reid-search')}+{digest.hexdigest()[:16]}"


@lru_cache(maxsize=1)
def libraries() -> Mapping[str, str]:
    """Versions of the libraries that compute, as far as they are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
