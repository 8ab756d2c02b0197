"""Checks the clocks of an archive's cameras by the people who walk from one to the next.

Reads what was indexed in the last days, compares neighbours and brings their clocks together. Owns what is
read and how much; `indexer.clock_links` compares two cameras, `indexer.clock_network` all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clock_links import Passages, clocks_apart
from indexer.clock_network import ClockEstimate, ClockLink, Key, solve
from indexer.distances import distances_m
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import SegmentEntry, Snapshot
from reid.camera_means import CameraMeans
from reid.errors import ArchiveError, InputError, StorageError
from reid.vectors import unit_rows

Progress = Callable[[int, int], None]

DAYS = 3
"""So many of the last days with footage are read."""
NEAR_M = 400.0
"""Neighbours are at most so far from each other, metres: a walk of some minutes."""

_NEIGHBOURS = 4  # nearest, of each camera
_MOST_PASSAGES = 2000  # of a camera, the last ones
_MOST_TOGETHER = 2_000_000  # of all cameras: a gigabyte of vectors

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class ClockCheck:
    """What a check found.

    Attributes:
        cameras: as they are registered, each with what was found out, by district and id.
        links: neighbours that could be compared.
        days: that were read.
        passages: how many people passing were read.
        unreadable: (segment, why) that could not be.
        reference: the camera taken for right; None: most are.
    """

    cameras: tuple[tuple[Camera, ClockEstimate], ...]
    links: tuple[ClockLink, ...]
    days: tuple[str, ...]
    passages: int
    unreadable: tuple[tuple[str, str], ...]
    reference: Key | None

    def corrected(self) -> tuple[Camera, ...]:
        """The cameras whose clock is known better now, with offset and uncertainty.

        An offset that agrees with what is seen stays, for it may come from a better source; how far it may
        then be off is noted, unless that is known better.
        """
        found = []
        for camera, estimate in self.cameras:
            ahead, uncertainty, known = estimate.ahead_s, estimate.uncertainty_s, camera.clock_uncertainty_s
            if ahead is None or uncertainty is None:
                continue
            if abs(ahead) > uncertainty:
                offset = round(camera.clock_offset_s + ahead, 1)
                found.append(replace(camera, clock_offset_s=offset, clock_uncertainty_s=uncertainty))
            elif known is None or known > abs(ahead) + uncertainty:
                found.append(replace(camera, clock_uncertainty_s=round(abs(ahead) + uncertainty, 1)))
        return tuple(found)

    @property
    def header(self) -> tuple[str, ...]:
        """Of `rows`."""
        return "camera", "district", "clock", "seconds ahead", "±", "registered", "people"

    def rows(self) -> list[list[str]]:
        """What was found for people, camera by camera."""
        return [
            [
                camera.id, camera.district, estimate.verdict,
                "" if estimate.ahead_s is None else f"{camera.clock_offset_s + estimate.ahead_s:.1f}",
                "" if estimate.uncertainty_s is None else f"{estimate.uncertainty_s:.1f}",
                _registered(camera), f"{estimate.people:.0f}",
            ]
            for camera, estimate in self.cameras
        ]  # fmt: skip

    def notes(self) -> list[str]:
        """What the reader must know of it."""
        read = ", ".join(self.days) or "no day"
        told = [f"read {self.passages} passages of {read}; {len(self.links)} pairs of neighbours tell"]
        if any(not link.used for link in self.links):
            odd = [link for link in self.links if not link.used]
            pairs = ", ".join(f"{'/'.join(each.first)} and {'/'.join(each.second)}" for each in odd)
            told.append(f"left out because others contradict: {pairs}")
        verdicts = {estimate.verdict for _, estimate in self.cameras}
        if "estimated" in verdicts and self.reference is None:
            told.append(
                "taken for right: the time that most of the cameras compared show; if they all take it from"
                " one recorder, name a camera that is surely right with --reference"
            )
        if "only relative" in verdicts:
            told.append(
                "only relative: these clocks were compared with others, but nobody knows which of them are"
                " right; name one with --reference"
            )
        if "too little to tell" in verdicts:
            told.append(
                f"too little to tell: no place registered, no camera within {NEAR_M:.0f} m, or too few people"
                " that were seen by both; nothing is said of these clocks"
            )
        told += [f"could not be read: segment {name}: {reason}" for name, reason in self.unreadable]
        return told

    def to_json(self) -> dict[str, Any]:
        """The contract of `reid cameras check --json`; see docs/contracts.md."""
        return {
            "reference": "/".join(self.reference) if self.reference else None,
            "cameras": [
                {
                    "district": camera.district, "camera": camera.id, "verdict": estimate.verdict,
                    "clock_offset_s": camera.clock_offset_s,
                    "clock_uncertainty_s": camera.clock_uncertainty_s,
                    "estimated_offset_s": None if estimate.ahead_s is None
                    else round(camera.clock_offset_s + estimate.ahead_s, 1),
                    "estimated_uncertainty_s": estimate.uncertainty_s, "people": round(estimate.people, 1),
                }
                for camera, estimate in self.cameras
            ],
            "links": [
                {
                    "first": "/".join(link.first), "second": "/".join(link.second),
                    "metres": round(link.metres, 1), "apart_s": round(link.apart.seconds, 1),
                    "error_s": round(link.apart.error_s, 1), "people": round(link.apart.people, 1),
                    "used": link.used,
                }
                for link in self.links
            ],
            "days": list(self.days),
            "passages": self.passages,
            "unreadable": [{"segment": name, "reason": reason} for name, reason in self.unreadable],
        }  # fmt: skip


def _registered(camera: Camera) -> str:
    known = camera.clock_uncertainty_s
    return f"{camera.clock_offset_s:g}" + ("" if known is None else f" ± {known:g}")


def check_clocks(
    archive: ArchiveFiles, districts: Collection[str] = (), reference: str | None = None,
    progress: Progress = lambda done, of: None,
) -> ClockCheck:  # fmt: skip
    """Estimate by how much each camera's clock is off from what its offset says.

    Args:
        districts: slugs; empty for all.
        reference: id or district/id of a camera whose clock is right; None: that of most cameras is.
        progress: told (steps done, steps to do).

    Raises:
        InputError: no camera in these districts, or no such reference, or more than one.
        StorageError: no archive, or the machine is out of memory or file handles.
    """
    with Catalogue(archive) as catalogue:
        snapshot = catalogue.snapshot()
    keys = sorted(key for key in snapshot.cameras if not districts or key[0] in districts)
    if not keys:
        where = ", ".join(sorted(districts)) or str(archive.home)
        raise InputError(f"no camera in {where}; register cameras with: reid cameras add CAMERAS.csv")
    right = _reference(reference, keys)
    pairs = _neighbours([snapshot.cameras[key] for key in keys])
    wanted = {key for first, second, _ in pairs for key in (keys[first], keys[second])}
    entries, days = _last_days(snapshot, wanted)
    steps = len(entries) + len(pairs)
    seen = _Seen(snapshot, wanted)
    unreadable = []
    for number, entry in enumerate(entries):
        progress(number, steps)
        try:
            seen.read(archive, entry)
        except StorageError:
            raise
        except ArchiveError as error:
            unreadable.append((entry.segment, str(error)))
    links = []
    for number, (first, second, metres) in enumerate(pairs, len(entries)):
        progress(number, steps)
        apart = clocks_apart(seen.passages(keys[first]), seen.passages(keys[second]), metres)
        if apart is not None:
            links.append(ClockLink(keys[first], keys[second], metres, apart))
    estimates, marked = solve(keys, links, right)
    cameras = tuple((snapshot.cameras[each.key], each) for each in estimates)
    return ClockCheck(cameras, marked, days, seen.count, tuple(unreadable), right)


def apply_check(archive: ArchiveFiles, check: ClockCheck) -> tuple[Camera, ...]:
    """Write what was found out into the catalogue; the cameras that changed.

    Raises:
        StorageError: the disk refused.
    """
    corrected = check.corrected()
    with Catalogue(archive, "write") as catalogue:
        now = catalogue.snapshot().cameras
        # What was registered while this ran, of place or clock, is not overwritten by what was there before.
        before = {(camera.district, camera.id): camera for camera, _ in check.cameras}
        corrected = tuple(
            camera for camera in corrected
            if now.get((camera.district, camera.id)) == before[camera.district, camera.id]
        )  # fmt: skip
        catalogue.put_cameras(corrected)
    return corrected


def _reference(text: str | None, keys: Sequence[Key]) -> Key | None:
    if text is None:
        return None
    found = [key for key in keys if text in (key[1], "/".join(key))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join("/".join(key) for key in found)
        raise InputError(f"--reference {text}: expected one camera, there are {names}; give one of these")
    raise InputError(f"--reference {text}: no such camera in what is checked; see: reid cameras list")


def _neighbours(cameras: Sequence[Camera]) -> list[tuple[int, int, float]]:
    """(first, second, metres) of cameras near each other, each pair once."""
    nan = float("nan")
    latitudes = np.array([nan if each.latitude is None else each.latitude for each in cameras])
    longitudes = np.array([nan if each.longitude is None else each.longitude for each in cameras])
    found: dict[tuple[int, int], float] = {}
    for place, (latitude, longitude) in enumerate(zip(latitudes.tolist(), longitudes.tolist(), strict=True)):
        metres = distances_m(latitude, longitude, latitudes, longitudes)
        metres[place] = np.inf
        for other in np.argsort(metres, kind="stable")[:_NEIGHBOURS].tolist():
            if metres[other] <= NEAR_M:
                found[min(place, other), max(place, other)] = float(metres[other])
    return [(first, second, metres) for (first, second), metres in sorted(found.items())]


def _last_days(snapshot: Snapshot, wanted: Collection[Key]) -> tuple[list[SegmentEntry], tuple[str, ...]]:
    entries = [
        entry for entry in snapshot.segments
        if entry.quarantined is None and any((entry.district, camera) in wanted for camera in entry.cameras)
    ]  # fmt: skip
    days = tuple(sorted({entry.day for entry in entries})[-DAYS:])
    return [entry for entry in entries if entry.day in days], days


class _Seen:
    """People who passed the cameras of an archive; the last ones of each."""

    def __init__(self, snapshot: Snapshot, wanted: Collection[Key]) -> None:
        self._wanted = wanted
        self._clocks = snapshot.clocks
        self._snapshot = snapshot
        self._means: CameraMeans | None = None
        self._most = min(_MOST_PASSAGES, max(_MOST_TOGETHER // max(len(wanted), 1), 1))
        self._zero_ms = min((clip.start_ms for clip in snapshot.clips), default=0)
        self._held: dict[Key, list[tuple[NDArray[np.float16], NDArray[np.float64]]]] = defaultdict(list)

    @property
    def count(self) -> int:
        """How many passages are held."""
        return sum(len(times) for held in self._held.values() for _, times in held)

    def read(self, archive: ArchiveFiles, entry: SegmentEntry) -> None:
        """Take in a segment; raises as `Segment.open` and `Segment.column`."""
        segment = open_entry(archive, entry)
        if self._means is None:
            self._means = self._snapshot.camera_means(segment.manifest.dimension)
        owner, camera = segment.column("rows")["tracklet"].astype(np.int64), segment.column("camera")
        means = self._means.of([(entry.district, name) for name in entry.cameras])
        first = np.flatnonzero(np.diff(owner, prepend=-1))  # rows of a tracklet are neighbours
        sums = np.add.reduceat(segment.halves().astype(np.float32) - means[camera], first, axis=0)
        middle = (segment.column("start")[first] + segment.column("end")[first]) / 2
        shifts = self._clocks.of(entry.district, entry.cameras, entry.clips).of_tracklets(segment)
        if shifts is not None:
            middle = middle + shifts[owner[first]]
        vectors, times = unit_rows(sums).astype(np.float16), (middle - self._zero_ms) / 1000
        for place, name in enumerate(entry.cameras):
            key, mine = (entry.district, name), camera[first] == place
            if key in self._wanted:
                self._keep(key, vectors[mine], times[mine])

    def _keep(self, key: Key, vectors: NDArray[np.float16], times: NDArray[np.float64]) -> None:
        held = [*self._held[key], (vectors, times)]
        if sum(len(each) for _, each in held) > self._most:
            together = np.concatenate([each for each, _ in held]), np.concatenate([each for _, each in held])
            last = np.argsort(together[1], kind="stable")[-self._most :]
            held = [(together[0][last], together[1][last])]
        self._held[key] = held

    def passages(self, key: Key) -> Passages:
        """Of one camera."""
        held = self._held.get(key)
        if not held:
            return Passages(np.empty((0, 1), np.float32), np.empty(0))
        return Passages(
            np.concatenate([vectors for vectors, _ in held]).astype(np.float32),
            np.concatenate([times for _, times in held]),
        )
