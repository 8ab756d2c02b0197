"""Makes the archive of a scene on disk through the product's own writer, codebook and compaction."""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.gallery import DAY_MS, Day, District, Scene
from benchmarks.vectors import F32, VectorModel
from indexer.catalogue import Catalogue, writer_lock
from indexer.codebooks import train_codebook
from indexer.compaction import compact
from indexer.ledger import ClipDone, Fingerprint
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Record, Stored, Tracklet
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.snapshot import Sealed
from reid.camera_means import tally
from reid.errors import InputError
from reid.models import find_model
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER

Progress = Callable[[str, int, int], None]
_THUMBNAIL = bytes.fromhex("ffd8ffd9")  # pictures would fill the disk and are not searched


@dataclass(frozen=True)
class Made:
    """What making an archive took.

    Attributes:
        seal_s: all days sealed, by `workers` processes. record_s: made known to the catalogue.
        train_s: the codebook, 0 without one. compact_s: coded and merged.
        seal_day_s: one district and day alone, mean.
        vectors, tracklets: in it.
    """

    seal_s: float
    record_s: float
    train_s: float
    compact_s: float
    seal_day_s: float
    workers: int
    vectors: int
    tracklets: int

    def to_json(self) -> dict[str, float]:
        """The figures."""
        return asdict(self)


def tracklet_id(district: int, day: int, number: int) -> str:
    """The id of a tracklet in the archive of a scene."""
    return f"{district << 48 | day << 40 | number:016x}"


def place_of(name: str) -> tuple[int, int, int]:
    """District, day and number of a tracklet's id."""
    value = int(name, 16)
    return value >> 48, value >> 40 & 0xFF, value & 0xFF_FFFF_FFFF


def make_archive(
    home: Path, scene: Scene, workers: int = 2, progress: Progress = lambda what, done, of: None,
    *, whole_ledger: bool = True,
) -> Made:  # fmt: skip
    """Make the archive of a scene in a new folder: one coded segment a district and day.

    Args:
        home: a folder that does not exist yet. scene: what is in it.
        workers: processes that seal.
        progress: told what is done, how many of how many.
        whole_ledger: a clip for each camera and day (two milliseconds each), not one for each
            district and day.

    Raises:
        StorageError: the disk refused.
    """
    archive = ArchiveFiles(home)
    begun = time.perf_counter()
    jobs = [(home, scene, number) for number in range(scene.districts)]
    record_s, day_s = 0.0, []
    vectors = tracklets = 0
    with Catalogue(archive, "create") as catalogue, writer_lock(archive):
        for district, sealed, seconds in _sealed(jobs, workers):
            progress("sealed", district + 1, scene.districts)
            day_s.append(seconds / scene.days)
            at = time.perf_counter()
            place = District(scene, district, VectorModel.load())
            catalogue.put_cameras(place.cameras)
            for day, each in enumerate(sealed):
                _record(catalogue, place, day, each, whole_ledger)
                vectors += each.manifest.vectors
                tracklets += each.manifest.tracklets
            record_s += time.perf_counter() - at
    seal_s = time.perf_counter() - begun - record_s
    at = time.perf_counter()
    try:
        train_codebook(archive)
        train_s = time.perf_counter() - at
    except InputError:  # too few vectors for a codebook: every search is exact
        train_s = 0.0
    at = time.perf_counter()
    compact(archive, lambda done, of: progress("coded", done, of), workers)
    compact_s = time.perf_counter() - at
    mean_day = float(np.mean(day_s))
    return Made(seal_s, record_s, train_s, compact_s, mean_day, workers, vectors, tracklets)


def _sealed(jobs: list[tuple[Path, Scene, int]], workers: int) -> list[tuple[int, list[Sealed], float]]:
    if workers == 1:
        return [_seal_district(job) for job in jobs]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(_seal_district, jobs))


def _seal_district(job: tuple[Path, Scene, int]) -> tuple[int, list[Sealed], float]:
    """Seal all days of one district; how long the writer took, without making the vectors."""
    home, scene, number = job
    district = District(scene, number, VectorModel.load())
    sealed, seconds = [], 0.0
    for day in range(scene.days):
        stored, people = stored_of(district, district.see(day))
        at = time.perf_counter()
        manifest = seal_segment(ArchiveFiles(home), origin_of(district, day), stored)
        seconds += time.perf_counter() - at
        sealed.append(Sealed(manifest, {name: tally(vectors) for name, vectors in people.items()}))
    return number, sealed, seconds


def origin_of(district: District, day: int, made_of: str = "benchmark") -> SegmentOrigin:
    """Of the segment of a district and day."""
    embedder = find_model(DEFAULT_EMBEDDER, "embed")
    detector = find_model(DEFAULT_DETECTOR, "detect")
    return SegmentOrigin(
        district.slug, district.scene.day(day), embedder.sha256, (detector.sha256,), embedder.dimension,
        (made_of, repr(district.scene)),
    )  # fmt: skip


def stored_of(district: District, seen: Day) -> tuple[list[Stored], dict[str, list[F32]]]:
    """A day's tracklets as a segment takes them, and the vectors of each camera's tracklets."""
    stored: list[Stored] = []
    people: dict[str, list[F32]] = {}
    edges = np.searchsorted(seen.tracklets, np.arange(len(seen.people) + 1))
    for number in range(len(seen.people)):
        camera = district.cameras[seen.cameras[number]].id
        start, end = int(seen.start[number]), int(seen.end[number])
        record = Record(
            id=tracklet_id(seen.district, seen.day, number), clip=_clip(district, seen.day, camera),
            path=f"/footage/{district.slug}/{camera}/{district.scene.day(seen.day)}.mp4", camera=camera,
            start_ms=start, end_ms=end, best_ms=(start + end) // 2, best_offset_s=1.0,
            box=(100.0, 100.0, 160.0, 260.0), frame=(1280, 720), quality=0.5, detections=10,
        )  # fmt: skip
        vectors = seen.vectors[edges[number] : edges[number + 1]]
        people.setdefault(camera, []).append(vectors)
        stored.append(Stored.of(Tracklet(record, vectors, _THUMBNAIL, int(seen.upper[number]))))
    return stored, people


def _clip(district: District, day: int, camera: str) -> str:
    return hashlib.sha256(f"{district.slug}/{camera}/{day}".encode()).hexdigest()


def _record(catalogue: Catalogue, district: District, day: int, sealed: Sealed, whole: bool) -> None:
    """The clip of each camera on that day, and with the first one the segment they made."""
    start = district.scene.first_ms + day * DAY_MS
    segments = [sealed]
    for camera in district.cameras if whole else district.cameras[:1]:
        sha256 = _clip(district, day, camera.id)
        clip = ClipDone(
            sha256=sha256, path=f"/footage/{district.slug}/{camera.id}/{district.scene.day(day)}.mp4",
            district=district.slug, camera=camera.id, start_ms=start, end_ms=start + DAY_MS,
            spans=((start, start + DAY_MS),), start_source="given",
            detector=sealed.manifest.detectors[0], embedder=sealed.manifest.embedder, frames_per_second=5.0,
            frames_read=0, frames_sampled=0, frames_corrupt=0, tracklets=0, vectors=0, warnings=(),
            seconds_taken=0.0,
        )  # fmt: skip
        catalogue.record_done(clip, Fingerprint(1, 1), camera, segments)
        segments = []
