"""Archives made of random people without any footage: for tests of storage and search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.cameras import Camera
from indexer.catalogue import Catalogue, writer_lock
from indexer.clothes import to_stored
from indexer.ledger import ClipDone, Fingerprint
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Attributes, Record, Stored, Tracklet
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.snapshot import Sealed, Snapshot
from indexer.times import milliseconds, parse_local
from reid.attributes import BY_NAME, COLUMNS
from reid.camera_means import tally
from reid.registry import ModelSpec
from tests.world import FakeEmbedder

DAY = date(2025, 2, 18)
HOUR = 3_600_000


def embedder(dimension: int = 32) -> ModelSpec:
    return replace(FakeEmbedder().spec, dimension=dimension)


def midnight(day: date) -> int:
    """Milliseconds since 1970 UTC at which the local day begins."""
    return milliseconds(parse_local(day.isoformat()))


def people(random: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    """Unit rows that fill a third of the dimensions, as embeddings do."""
    basis = np.random.default_rng(99).normal(size=(dimension // 3, dimension))
    rows = random.normal(size=(count, dimension // 3)) @ basis + 0.4 * random.normal(size=(count, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def make_tracklets(
    random: np.random.Generator, count: int, camera: str, start_ms: int, clip: str, dimension: int = 32
) -> list[Tracklet]:
    """Tracklets of one clip of an hour, one to three vectors each, in clothes of one known colour or none."""
    made = []
    for number in range(count):
        [seed] = people(random, 1, dimension)
        rows = seed + 0.05 * random.normal(size=(int(random.integers(1, 4)), dimension))
        vectors = np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
        begin = start_ms + int(random.integers(0, HOUR - 60_000))
        end = begin + int(random.integers(1000, 60_000))
        record = Record(
            id=f"{int(random.integers(1 << 62)):016x}", clip=clip, path=f"{clip[:8]}.mp4", camera=camera,
            start_ms=begin, end_ms=end, best_ms=begin, best_offset_s=1.5, box=(0, 0, 9, 9), frame=(32, 18),
            quality=float(random.random()), detections=4,
        )  # fmt: skip
        upper, lower = (0 if random.random() < 0.2 else 1 << int(random.integers(11)) for _ in range(2))
        thumbnail = b"\xff\xd8" + bytes(str(number), "ascii")
        made.append(
            Tracklet(record, vectors, thumbnail, upper, lower, attributes_of(record.id, upper, lower))
        )
    return made


def attributes_of(name: str, upper: int, lower: int) -> Attributes:
    """Evidence that fits these colours, 0 where they are unknown, and something of the rest."""
    told = np.random.default_rng(int(name, 16)).normal(0, 1.5, COLUMNS)
    for group, colours in (("upper_colours", upper), ("lower_colours", lower)):
        worn = np.array([colours >> k & 1 for k in range(11)])
        told[BY_NAME[group].columns] = np.where(worn, 3.0, -2.0) if colours else 0.0
    return to_stored(told)


def fill(
    archive: ArchiveFiles, districts: Iterable[str] = ("songpa", "nowon"), days: int = 2, cameras: int = 3,
    hours: Iterable[int] = (9, 13), tracklets: int = 12, dimension: int = 32, seed: int = 1,
) -> list[Tracklet]:  # fmt: skip
    """Index made-up clips, each a segment; everybody in them."""
    random = np.random.default_rng(seed)
    spec, everybody = embedder(dimension), []
    with Catalogue(archive, "create") as catalogue, writer_lock(archive):
        for district in districts:
            rows = [
                Camera(f"{district[:1].upper()}-{k}", "", district, 37.5 + k / 100, 127.1)
                for k in range(cameras)
            ]
            catalogue.put_cameras(rows)
            for day in (DAY + timedelta(days=k) for k in range(days)):
                for camera in rows:
                    for hour in hours:
                        everybody += index_clip(
                            archive, catalogue, camera, day, hour, tracklets, spec, random
                        )  # fmt: skip
    return everybody


def index_clip(
    archive: ArchiveFiles, catalogue: Catalogue, camera: Camera, day: date, hour: int, count: int,
    spec: ModelSpec, random: np.random.Generator,
) -> list[Tracklet]:  # fmt: skip
    """Index one made-up clip of an hour."""
    start = midnight(day) + hour * HOUR
    clip = f"{camera.district}{camera.id}{day}{hour}".encode().hex().ljust(64, "0")[:64]
    made = make_tracklets(random, count, camera.id, start, clip, spec.dimension)
    origin = SegmentOrigin(
        camera.district, day.isoformat(), spec.sha256, ("d" * 64,), spec.dimension, (clip,)
    )  # fmt: skip
    stored = sorted(map(Stored.of, made), key=lambda one: (one.start_ms, one.id))
    people_seen = {camera.id: tally([one.vectors.astype(np.float32) for one in stored])}
    sealed = Sealed(seal_segment(archive, origin, stored), people_seen)
    done = ClipDone(
        sha256=clip, path=f"/footage/{clip}.mp4", district=camera.district, camera=camera.id, start_ms=start,
        end_ms=start + HOUR, spans=((start, start + HOUR),), start_source="given", detector="d" * 64,
        embedder=spec.sha256, frames_per_second=5.0, frames_read=9, frames_sampled=9, frames_corrupt=0,
        tracklets=count, vectors=sealed.manifest.vectors, warnings=(), seconds_taken=1.0,
    )  # fmt: skip
    catalogue.record_done(done, Fingerprint(1, 1), camera, [sealed])
    return made


def snapshot(archive: ArchiveFiles) -> Snapshot:
    with Catalogue(archive) as catalogue:
        return catalogue.snapshot()


def files_of(archive: ArchiveFiles) -> set[Path]:
    return {path for path in (archive.home / "shards").rglob("*") if path.is_file()}
