"""The archive as a search sees it: one moment of the catalogue, and its segments with what is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.clocks import RIGHT, Clocks
from indexer.clothes import UNKNOWN
from indexer.codes import Codebook, CodePool, Slot
from indexer.coverage import Footage
from indexer.rewriting import open_entry
from indexer.rowmask import RowMask
from indexer.shard import columns
from indexer.shard.files import ArchiveFiles
from indexer.shard.handles import Handles
from indexer.shard.reader import Segment
from indexer.snapshot import SegmentEntry, Snapshot
from reid.attributes import COLOURS
from reid.camera_means import CameraMeans
from search.scan import BLOCK

_ANY = np.uint16((1 << len(COLOURS)) - 1)  # every colour

F32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Loaded:
    """A segment as a search holds it; stays in memory while views of the archive come and go.

    Args:
        archive: that holds it. entry: of the catalogue.
        handles: of files that stay open.
        clocks: what is to be done to its times.

    Attributes:
        start_ms, end_ms: the earliest and the latest moment that something in it may be of.
    """

    def __init__(
        self, archive: ArchiveFiles, entry: SegmentEntry, handles: Handles, clocks: Clocks = RIGHT
    ) -> None:
        self._archive = archive
        self._handles = handles
        self.entry = entry
        self.clocks = clocks
        self.start_ms, self.end_ms = clocks.bounds(entry.start_ms, entry.end_ms, entry.clips)
        self.slot: tuple[CodePool, Slot] | None = None
        self._columns: dict[str, NDArray[Any]] = {}
        self._coloured: dict[str, NDArray[np.uint8]] = {}
        self._cameras: tuple[CameraMeans, Ints] | None = None
        self._scale: tuple[CameraMeans, F32] | None = None

    @cached_property
    def segment(self) -> Segment:
        """Open; raises as `Segment.open`."""
        return open_entry(self._archive, self.entry, self._handles)

    @cached_property
    def clips_sum(self) -> int:
        """The first 128 bits of the sha256 of each of its clips, added up: comparable sums."""
        return sum(int(clip[:32], 16) for clip in self.entry.clips)

    def __getitem__(self, name: columns.Name) -> NDArray[Any]:
        """A column that filters read; `start` and `end` are as early and as late as they may truly be."""
        if name not in self._columns:
            column = self.segment.column(name)
            if name in ("start", "end"):
                column = self._true_times(column, -1 if name == "start" else 1)
            self._columns[name] = column
        return self._columns[name]

    def coloured(self, name: columns.Clothes, colours: int) -> RowMask:
        """The rows whose clothes have one of these colours, or may: of unknown clothes nothing is known."""
        bits = self._coloured.get(name)
        if bits is None:
            column = self.segment.column(name)
            column = np.where(column == UNKNOWN, _ANY, column)
            by_colour = column[None, :] >> np.arange(len(COLOURS), dtype=np.uint16)[:, None] & 1
            bits = self._coloured[name] = np.packbits(by_colour, axis=1, bitorder="little")
        chosen = [k for k in range(len(COLOURS)) if colours >> k & 1]
        mask = bits[chosen[0]] if len(chosen) == 1 else np.bitwise_or.reduce(bits[chosen])
        return RowMask(self.entry.vectors, mask)

    def _true_times(self, stored: Ints, way: int) -> Ints:
        if self._shifts is not None:
            stored = stored + self._shifts[self["rows"]["tracklet"]]
        if self.clocks.slack:
            keys = [(self.entry.district, camera) for camera in self.entry.cameras]
            slack = np.array([self.clocks.slack.get(key, 0) for key in keys], np.int64)
            stored = stored + way * slack[self["camera"]]
        return stored

    @cached_property
    def _shifts(self) -> Ints | None:
        return self.clocks.of_tracklets(self.segment) if self.clocks.shifts else None

    def starts_of(self, heads: NDArray[np.void]) -> Ints:
        """(n,) true starts of the tracklets of rows with these heads, milliseconds since 1970 UTC."""
        if self._shifts is None:
            return heads["start"]
        return np.asarray(heads["start"] + self._shifts[heads["tracklet"]], np.int64)

    def cameras_in(self, means: CameraMeans) -> Ints:
        """(C,) where the means of the segment's cameras stand in `means.rows`."""
        if self._cameras is None or self._cameras[0] is not means:
            keys = [(self.entry.district, camera) for camera in self.entry.cameras]
            self._cameras = (means, means.places(keys))
        return self._cameras[1]

    def means_of(self, means: CameraMeans) -> F32:
        """(C, D) of the segment's cameras."""
        return means.rows[self.cameras_in(means)]

    def scale(self, means: CameraMeans) -> F32:
        """(N,) one over the length of each row less its camera's mean."""
        if self._scale is None or self._scale[0] is not means:
            taken = self.means_of(means)
            lengths = np.empty(self.entry.vectors, np.float32)
            for first, block in self.segment.blocks(BLOCK):
                rows = block.astype(np.float32) - taken[self["camera"][first : first + len(block)]]
                lengths[first : first + len(block)] = np.linalg.norm(rows, axis=1)
            self._scale = (means, np.asarray(1 / np.maximum(lengths, 1e-9), np.float32))
        return self._scale[1]


class View:
    """The archive at one moment, the segments side by side.

    Args:
        snapshot: of the catalogue.
        segments: those not in quarantine, in its order.
        means: of the cameras.
        pool: codes in memory, of the codebook in use; None without one.

    Attributes:
        names: of the segments. start_ms, end_ms: (S,) int64, see `Loaded`.
        vectors: (S,) int64, of each segment. tracklets_a_row: (S,), how many go with one vector.
        coded: (S,) bool, whether it has codes of the codebook in use.
    """

    def __init__(
        self, snapshot: Snapshot, segments: Iterable[Loaded], means: CameraMeans, pool: CodePool | None
    ) -> None:
        self.snapshot = snapshot
        self.segments = tuple(segments)
        self.means = means
        self.pool = pool
        entries = [loaded.entry for loaded in self.segments]
        self.start_ms = np.array([loaded.start_ms for loaded in self.segments], np.int64)
        self.end_ms = np.array([loaded.end_ms for loaded in self.segments], np.int64)
        self.names = tuple(entry.segment for entry in entries)
        self.vectors = np.array([entry.vectors for entry in entries], np.int64)
        tracklets = np.array([entry.tracklets for entry in entries], np.int64)
        self.tracklets_a_row = tracklets / np.maximum(self.vectors, 1)
        name = pool.codebook.name if pool else None
        self.coded = np.array([name is not None and entry.codebook == name for entry in entries], bool)
        if pool:  # one that alone is larger than the memory for codes is compared exactly
            fits = [pool.bytes_for(entry.vectors) <= pool.budget_bytes for entry in entries]
            self.coded &= np.array(fits, bool)
        self._districts, self._district_of = np.unique(
            np.array([entry.district for entry in entries], str), return_inverse=True
        )
        self._footage: dict[frozenset[str], Footage] = {}

    def part(self, only: Collection[str]) -> View:
        """The same moment, with these segments alone, as far as they are there."""
        names = frozenset(only)
        chosen = [loaded for loaded in self.segments if loaded.entry.segment in names]
        return View(self.snapshot, chosen, self.means, self.pool)

    @property
    def codebook(self) -> Codebook | None:
        """In use, if any."""
        return self.pool.codebook if self.pool else None

    @cached_property
    def by_name(self) -> Mapping[str, Loaded]:
        """The segments by name."""
        return {loaded.entry.segment: loaded for loaded in self.segments}

    @cached_property
    def people(self) -> int:
        """How many different people the cameras' means are of."""
        return sum(tally.count for tally in self.snapshot.tallies.values())

    @cached_property
    def code_bytes(self) -> int:
        """Memory that all codes take."""
        pool = self.pool
        return 0 if pool is None else sum(pool.bytes_for(int(count)) for count in self.vectors[self.coded])

    def within(self, districts: Collection[str], since_ms: int | None, until_ms: int | None) -> Bools:
        """(S,) which segments are of these districts and touch this time."""
        wanted = np.isin(self._districts, list(districts))[self._district_of]
        if since_ms is not None:
            wanted &= self.end_ms >= since_ms
        if until_ms is not None:
            wanted &= self.start_ms < until_ms
        return wanted

    def footage(self, damaged: Iterable[str] = ()) -> Footage:
        """The camera-time there is, without segments that turned out to be damaged."""
        key = frozenset(damaged)
        if key not in self._footage:
            if len(self._footage) > 1:
                self._footage.clear()
            self._footage[key] = Footage(self.snapshot, key)
        return self._footage[key]
