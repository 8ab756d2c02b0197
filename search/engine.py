"""Finds the tracklets most like a query in the segments in scope, exactly or by codes and then exactly.

Owns what a search keeps in memory and what it compares. Knows no photo and no person. Any number of searches
run at once, each in one consistent view of the archive from start to end, while others index and compact.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import Catalogue, SegmentEntry, Snapshot
from indexer.codebooks import load_codebook
from indexer.codes import Codebook, CodePool, Slot, inner_products
from indexer.coverage import Footage
from indexer.rewriting import open_entry
from indexer.shard import columns
from indexer.shard.files import ArchiveFiles
from indexer.shard.reader import Segment
from indexer.shard.records import Record
from indexer.shard.writer import MOST_ROWS
from reid.camera_means import CameraMeans, centred
from reid.errors import ArchiveError, DamagedError, FormatError, ModelMismatchError, StorageError
from reid.registry import ModelSpec
from search.filters import Filters, Key, Scope
from search.planner import EXACT, Costs, Plan, choose, measure_costs

CODE_BYTES = 4 << 30
"""Memory for codes; what does not fit is read again for each search."""

_BLOCK = 1024  # rows read and compared at a time: half a megabyte, which the processor keeps near
_SPARSE = 16  # below one row in so many, rows are read one by one
_MANY_CODES = 500_000  # fewer are scanned before a second thread is under way
_FULL = 0.95  # share of the memory for codes that is filled beforehand
_TRIES = 4  # views of an archive that changes under a search

F32 = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Hit:
    """The best match of one tracklet.

    Attributes:
        score: cosine of the query with the nearest of the tracklet's centred vectors, -1..1.
        segment: name of its segment.
        tracklet: position in that segment.
        start_ms: when the tracklet starts; orders equal scores.
    """

    score: float
    segment: str
    tracklet: int
    start_ms: int


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        hits: best first.
        contents: record and thumbnail of each.
        plan: how it went.
        rows: how many vectors were in scope.
        segments: names of those that were searched. damaged: why others could not be, by name.
        view: what was searched.
    """

    hits: tuple[Hit, ...]
    contents: tuple[tuple[Record, bytes], ...]
    plan: Plan
    rows: int
    segments: tuple[str, ...]
    damaged: Mapping[str, str]
    view: View


class Loaded:
    """A segment as a search holds it; stays in memory while views of the archive come and go."""

    def __init__(self, archive: ArchiveFiles, entry: SegmentEntry) -> None:
        self._archive = archive
        self.entry = entry
        self.slot: tuple[CodePool, Slot] | None = None
        self._columns: dict[str, NDArray[Any]] = {}
        self._taken: tuple[CameraMeans, F32] | None = None
        self._scale: tuple[CameraMeans, F32] | None = None

    @cached_property
    def segment(self) -> Segment:
        """Open; raises as `Segment.open`."""
        return open_entry(self._archive, self.entry)

    def __getitem__(self, name: columns.Name) -> NDArray[Any]:
        """A column that filters read."""
        if name not in self._columns:
            self._columns[name] = self.segment.column(name)
        return self._columns[name]

    def means_of(self, means: CameraMeans) -> F32:
        """(C, D) of the segment's cameras."""
        if self._taken is None or self._taken[0] is not means:
            of_cameras = means.of([(self.entry.district, camera) for camera in self.entry.cameras])
            self._taken = (means, of_cameras)
        return self._taken[1]

    def scale(self, means: CameraMeans) -> F32:
        """(N,) one over the length of each row less its camera's mean."""
        if self._scale is None or self._scale[0] is not means:
            taken = self.means_of(means)
            lengths = np.empty(self.entry.vectors, np.float32)
            for first, block in self.segment.blocks(_BLOCK):
                rows = block.astype(np.float32) - taken[self["camera"][first : first + len(block)]]
                lengths[first : first + len(block)] = np.linalg.norm(rows, axis=1)
            self._scale = (means, np.asarray(1 / np.maximum(lengths, 1e-9), np.float32))
        return self._scale[1]


@dataclass(frozen=True)
class Candidates:
    """Rows of one segment that were compared exactly.

    Attributes:
        rows: (n,) their numbers. scores: (n,) float32.
        heads: (n,) `columns.ROW`, where they are at hand.
    """

    loaded: Loaded
    rows: NDArray[np.int64]
    scores: F32
    heads: NDArray[np.void] | None = None


@dataclass(frozen=True)
class View:
    """The archive at one moment.

    Attributes:
        snapshot: of the catalogue.
        segments: by name, those not in quarantine.
        means: of the cameras.
        pool: codes in memory, of the codebook in use; None without one.
    """

    snapshot: Snapshot
    segments: Mapping[str, Loaded]
    means: CameraMeans
    pool: CodePool | None
    _footage: dict[frozenset[str], Footage] = field(default_factory=dict)

    @property
    def codebook(self) -> Codebook | None:
        """In use, if any."""
        return self.pool.codebook if self.pool else None

    def coded(self, wanted: Iterable[Loaded]) -> list[Loaded]:
        """Those that have codes of the codebook in use."""
        name = self.codebook.name if self.codebook else None
        return [loaded for loaded in wanted if name and loaded.entry.codebook == name]

    def footage(self, damaged: Iterable[str] = ()) -> Footage:
        """The camera-time there is, without segments that turned out to be damaged."""
        key = frozenset(damaged)
        if key not in self._footage:
            if len(self._footage) > 1:
                self._footage.clear()
            self._footage[key] = Footage(self.snapshot, key)
        return self._footage[key]


class Engine:
    """An archive, open for searching.

    Args:
        archive: must exist.
        embedder: the model in use; must be the archive's.
        code_bytes: memory for codes.
        catalogue: of the archive, if this process has it open: LMDB opens a file once.

    Raises:
        StorageError: no archive, or nothing indexed in it.
        ModelMismatchError: the archive holds vectors of another model.
    """

    def __init__(
        self, archive: ArchiveFiles, embedder: ModelSpec, code_bytes: int = CODE_BYTES,
        catalogue: Catalogue | None = None,
    ) -> None:  # fmt: skip
        self.archive = archive
        self.embedder = embedder
        self._code_bytes = code_bytes
        self._own = None if catalogue else Catalogue(archive)
        self._catalogue = catalogue or self._own
        self._lock = threading.Lock()
        self._codes_lock = threading.Lock()
        self._costs: Costs | None = None
        self._view: View | None = None
        self._searches = 0
        try:
            self.view()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the catalogue go, if it is the engine's own."""
        if self._own:
            self._own.close()

    def view(self) -> View:
        """The archive as it is now.

        Raises:
            StorageError, ModelMismatchError: as the class.
            DamagedError: the catalogue cannot be read.
        """
        assert self._catalogue is not None
        with self._lock:
            if self._view is None or self._view.snapshot.version != self._catalogue.version:
                self._view = self._look(self._catalogue.snapshot())
            return self._view

    def _look(self, snapshot: Snapshot) -> View:
        if not snapshot.clips:
            raise StorageError(
                f"{self.archive.home}: the archive is empty, so nothing can be found or ruled out; index"
                " footage with: reid index PATH --district NAME --camera ID"
            )
        if snapshot.embedder != self.embedder.sha256:
            raise ModelMismatchError(
                f"{self.archive.home}: indexed with embedder {str(snapshot.embedder)[:12]}…, but"
                f" {self.embedder.name} ({self.embedder.sha256[:12]}…) is set; set the archive's embedder in"
                f" {self.archive.settings}"
            )
        before = self._view
        known = before.segments if before else {}
        segments = {}
        for entry in snapshot.segments:
            if entry.quarantined is None:
                old = known.get(entry.segment)
                segments[entry.segment] = old if old and old.entry == entry else Loaded(self.archive, entry)
        pool = before.pool if before else None
        if pool is None or pool.codebook.name != snapshot.codebook:
            pool = self._new_pool(snapshot)
            self._costs = None
        return View(snapshot, segments, snapshot.camera_means(self.embedder.dimension), pool)

    def _new_pool(self, snapshot: Snapshot) -> CodePool | None:
        if snapshot.codebook is None:
            return None
        try:
            return CodePool(load_codebook(self.archive, snapshot.codebook), self._code_bytes)
        except ArchiveError:  # `reid verify` tells; until it is mended, searches are exact
            return None

    def warm(self) -> None:
        """Load the codes that fit into memory, so that the first search need not."""
        view = self.view()
        for loaded in view.coded(view.segments.values()):
            if view.pool is None or view.pool.bytes_used > self._code_bytes * _FULL:
                return
            with suppress(DamagedError, FormatError):  # a search will say so
                self._load(view.pool, loaded, ())

    def search(
        self, vectors: F32, filters: Filters, top: int, exact: bool = False, origin: Key | None = None
    ) -> Found:
        """The `top` best tracklets in scope.

        Args:
            vectors: (Q, D) float32 unit rows; a tracklet's score is its best over all of them.
            filters: which tracklets.
            top: how many, at least 1.
            exact: compare every row.
            origin: the camera the query was seen by, whose mean is then taken out of it; nobody knows which
                camera took a photo, so else it is the mean of all.

        Raises:
            StorageError: the machine is out of memory or file handles.
        """
        with self._counted() as threads:
            for _ in range(_TRIES):
                view = self.view()
                mean = view.means.of([origin])[0] if origin else view.means.overall
                query = centred(np.asarray(vectors, np.float32), mean)
                found = _Search(self, view, query, filters, top, threads).run(exact)
                if not found.damaged or self.view() is view:
                    break  # what is missing is not missing because it was replaced meanwhile
        return found

    @contextmanager
    def _counted(self) -> Iterator[int]:
        """How many threads a search may use: all cores together are not to be used twice."""
        with self._lock:
            self._searches += 1
            running = self._searches
        try:
            yield max(1, len(os.sched_getaffinity(0)) // running)
        finally:
            with self._lock:
                self._searches -= 1

    def costs(self, view: View) -> Costs:
        """What comparing costs here, measured at the first search."""
        if self._costs is None:
            self._costs = measure_costs(self.embedder.dimension, view.codebook)
        return self._costs

    def _load(self, pool: CodePool, loaded: Loaded, busy: Sequence[Loaded]) -> Slot:
        """The segment's codes in memory; those of segments not `busy` may have to go for it."""
        while True:
            held = loaded.slot
            if held is not None and held[0] is pool:
                return held[1]
            where = str(loaded.segment.files.codes)
            try:
                slot = pool.load(loaded.segment.codes(), loaded.entry.vectors, where)
                loaded.slot = (pool, slot)
                return slot
            except StorageError:
                if not self._forget(busy):
                    raise

    def _forget(self, busy: Sequence[Loaded]) -> bool:
        """Let the codes of one segment go; False when none is left."""
        kept = {id(loaded) for loaded in busy}
        with self._lock:
            for loaded in self._view.segments.values() if self._view else ():
                if loaded.slot is not None and id(loaded) not in kept:
                    loaded.slot = None
                    return True
        return False

    def scan_codes(
        self, pool: CodePool, wanted: Sequence[tuple[Loaded, Bools | None]], vectors: F32, count: int,
        threads: int, damaged: dict[str, str],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], F32]:  # fmt: skip
        """The `count` best rows by code: (place in `wanted`, row, score), each (n,), in no order.

        Segments whose codes do not fit into memory together are read one batch after the other.
        """
        places: list[NDArray[np.int64]] = []
        rows: list[NDArray[np.int64]] = []
        scores: list[F32] = []
        batches = _batches([pool.bytes_for(each.entry.vectors) for each, _ in wanted], self._code_bytes)
        with self._codes_lock if len(batches) > 1 else nullcontext():
            for batch in batches:
                busy = [wanted[place][0] for place in batch]
                scope: list[tuple[Slot, Bools | None]] = []
                held: list[int] = []
                for place in batch:
                    loaded, keep = wanted[place]
                    try:
                        scope.append((self._load(pool, loaded, busy), keep))
                        held.append(place)
                    except (DamagedError, FormatError) as error:
                        damaged[loaded.entry.segment] = str(error)
                if scope:
                    found, row, score = pool.search(scope, vectors, count, threads)
                    good = found.ravel() >= 0
                    places.append(np.array(held)[found.ravel()[good]])
                    rows.append(row.ravel()[good])
                    scores.append(score.ravel()[good])
        if not places:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        return np.concatenate(places), np.concatenate(rows), np.concatenate(scores)


def _batches(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Neighbours put together as long as their sizes add up to no more than `most`."""
    batches: list[list[int]] = []
    used = most
    for place, size in enumerate(sizes):
        if not batches or used + size > most:
            batches.append([])
            used = 0
        batches[-1].append(place)
        used += size
    return batches


class _Search:
    """One search in one view."""

    def __init__(
        self, engine: Engine, view: View, vectors: F32, filters: Filters, top: int, threads: int
    ) -> None:
        self._engine = engine
        self._view = view
        self._vectors = np.ascontiguousarray(vectors)
        self._top = top
        self._threads = threads
        self._scope: Scope = filters.within(view.snapshot)
        self._wanted = [each for each in view.segments.values() if self._scope.wants(each.entry)]
        self.damaged: dict[str, str] = {}

    def run(self, exact: bool) -> Found:
        """Plan, compare, read what is shown."""
        coded = {id(each) for each in self._view.coded(self._wanted)}
        plan = EXACT if exact else self._plan(coded)
        rows: dict[str, int] = {}
        compared: list[Candidates] = []
        scanned: list[tuple[Loaded, Bools | None]] = []
        sparse: list[tuple[Loaded, NDArray[np.int64]]] = []
        for loaded in self._wanted:
            with self._noting_damage(loaded):
                keep = self._scope.rows(loaded.entry, loaded)
                count = loaded.entry.vectors if keep is None else int(keep.sum())
                rows[loaded.entry.segment] = count
                if count and plan.kind == "codes" and id(loaded) in coded:
                    scanned.append((loaded, keep))
                elif count and keep is not None and count * _SPARSE < loaded.entry.vectors:
                    sparse.append((loaded, np.flatnonzero(keep)))
                elif count:
                    compared.append(self._scan(loaded, keep, count))
        compared += self._compare(sparse)
        if scanned and self._view.pool:
            compared += self._refine(self._view.pool, scanned, plan.refine)
        hits, contents = self._read_first(compared)
        sound = [each.entry.segment for each in self._wanted if each.entry.segment not in self.damaged]
        return Found(
            tuple(hits), tuple(contents), plan, sum(rows[name] for name in sound), tuple(sound), self.damaged,
            self._view,
        )  # fmt: skip

    def _plan(self, coded: set[int]) -> Plan:
        by_code = others = 0
        for loaded in self._wanted:
            most = self._scope.rows_at_most(loaded.entry)
            by_code, others = (by_code + most, others) if id(loaded) in coded else (by_code, others + most)
        costs = self._engine.costs(self._view)
        return choose(costs, self._view.codebook, by_code, others, self._top)

    def _scan(self, loaded: Loaded, keep: Bools | None, count: int) -> Candidates:
        """The best rows of one segment, all `count` in scope compared."""
        if loaded.segment.manifest.embedder != self._engine.embedder.sha256:
            name = loaded.entry.segment
            raise ModelMismatchError(f"{name}: holds vectors of another model; index it again")
        scores = np.empty(loaded.entry.vectors, np.float32)
        off = loaded.means_of(self._view.means) @ self._vectors.T
        for first, block in loaded.segment.blocks(_BLOCK):
            here = slice(first, first + len(block))
            scores[here] = (inner_products(block, self._vectors) - off[loaded["camera"][here]]).max(axis=1)
        scores *= loaded.scale(self._view.means)
        if keep is not None:
            scores[~keep] = -np.inf
        need = min(count, self._top * MOST_ROWS)
        best = np.argpartition(-scores, need - 1)[:need] if need < len(scores) else np.arange(len(scores))
        return Candidates(loaded, best, scores[best])

    def _compare(self, asked: Sequence[tuple[Loaded, NDArray[np.int64]]]) -> list[Candidates]:
        """A few rows of each of some segments compared, with as few steps a segment as can be."""
        read: list[tuple[Loaded, NDArray[np.int64], NDArray[np.void]]] = []
        halves: list[NDArray[np.float16]] = []
        means: list[F32] = []
        for loaded, rows in asked:
            with self._noting_damage(loaded):
                vectors, heads = loaded.segment.rows(rows.tolist())
                means.append(loaded.means_of(self._view.means)[heads["camera"]])
                halves.append(vectors)
                read.append((loaded, rows, heads))
        if not read:
            return []
        kept = np.concatenate(halves).astype(np.float32) - np.concatenate(means)
        lengths = np.maximum(np.sqrt(np.einsum("nd,nd->n", kept, kept)), 1e-9)
        scores = (kept @ self._vectors.T).max(axis=1) / lengths
        edges = np.cumsum([0, *(len(rows) for _, rows, _ in read)]).tolist()
        return [
            Candidates(loaded, rows, scores[begin:end], heads)
            for (loaded, rows, heads), (begin, end) in zip(read, pairwise(edges), strict=True)
        ]

    def _refine(
        self, pool: CodePool, scanned: Sequence[tuple[Loaded, Bools | None]], count: int
    ) -> list[Candidates]:
        """The best rows by code, compared exactly."""
        codes = sum(loaded.entry.vectors for loaded, _ in scanned)
        threads = self._threads if codes > _MANY_CODES else 1
        places, rows, _ = self._engine.scan_codes(pool, scanned, self._vectors, count, threads, self.damaged)
        pairs = np.unique(np.stack([places, rows], axis=1), axis=0)
        edges = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1, append=-1))
        return self._compare(
            [(scanned[pairs[begin, 0]][0], pairs[begin:end, 1]) for begin, end in pairwise(edges.tolist())]
        )

    def _best(self, compared: Sequence[Candidates]) -> list[Hit]:
        """The best tracklets, best first, without those of damaged segments."""
        sound = [each for each in compared if each.loaded.entry.segment not in self.damaged]
        if not sound:
            return []
        scores = np.concatenate([each.scores for each in sound])
        owners = np.repeat(np.arange(len(sound)), [len(each.scores) for each in sound])
        inside = np.concatenate([np.arange(len(each.scores)) for each in sound])
        # So many best rows are sure to hold the best tracklets: one tracklet owns only a few.
        need = self._top * MOST_ROWS
        chosen = np.argpartition(-scores, need)[:need] if need < len(scores) else np.arange(len(scores))
        hits: dict[tuple[str, int], Hit] = {}
        for owner in np.unique(owners[chosen]):
            each, mine = sound[owner], chosen[owners[chosen] == owner]
            places = inside[mine]
            with self._noting_damage(each.loaded):
                heads = each.heads[places] if each.heads is not None else None
                if heads is None:
                    heads = each.loaded.segment.heads(each.rows[places].tolist())
                for score, tracklet, start in zip(
                    scores[mine].tolist(), heads["tracklet"].tolist(), heads["start"].tolist(), strict=True
                ):
                    key = (each.loaded.entry.segment, tracklet)
                    if np.isfinite(score) and (key not in hits or score > hits[key].score):
                        hits[key] = Hit(score, *key, start)
        return first(hits.values(), self._top)

    def _read_first(self, compared: Sequence[Candidates]) -> tuple[list[Hit], list[tuple[Record, bytes]]]:
        """The best hits, best first, and what is shown of them, without those of damaged segments."""
        while True:
            before = len(self.damaged)
            best = self._best(compared)
            contents: dict[Hit, tuple[Record, bytes]] = {}
            for name in dict.fromkeys(hit.segment for hit in best):
                group = [hit for hit in best if hit.segment == name]
                loaded = self._view.segments[name]
                with self._noting_damage(loaded):
                    read = loaded.segment.read([hit.tracklet for hit in group])
                    contents |= dict(zip(group, read, strict=True))
            if len(self.damaged) == before:
                return best, [contents[hit] for hit in best]

    @contextmanager
    def _noting_damage(self, loaded: Loaded) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except ArchiveError as error:
            self.damaged[loaded.entry.segment] = str(error)


def first(hits: Iterable[Hit], top: int) -> list[Hit]:
    """The `top` best hits, best first; equal scores by time."""
    return heapq.nsmallest(top, hits, key=lambda hit: (-hit.score, hit.start_ms, hit.segment, hit.tracklet))
