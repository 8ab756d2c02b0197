"""An archive open for searching: what is kept in memory, and the one entry to a search.

Any number of searches run at once, each in one consistent view of the archive from start to end, while others
index and compact. Knows no photo and no person.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.catalogue import Catalogue
from indexer.codebooks import load_codebook
from indexer.codes import CodePool, Slot
from indexer.rowmask import RowMask
from indexer.shard.files import ArchiveFiles
from indexer.shard.handles import Handles
from indexer.snapshot import Snapshot
from reid.calibration import Calibration, find_calibration
from reid.camera_means import centred
from reid.closing import Closing
from reid.errors import ArchiveError, DamagedError, FormatError, ModelMismatchError, StorageError
from reid.registry import ModelSpec
from search.described import find_described
from search.description import Description
from search.filters import Filters, Key
from search.found import Found
from search.matching import Matching
from search.planner import Costs, measure_costs
from search.turns import Turns
from search.view import F32, Loaded, View

_MANY_CODES = 500_000  # fewer are scanned before a second thread is under way
_FULL = 0.95  # share of the memory for codes that is filled beforehand
_AT_ONCE = 4  # searches that compare at once at most, one for every two cores
_TRIES = 4  # views of an archive that changes under a search


class Versions(Protocol):
    """What tells of an archive as it is: its catalogue, or whoever reads that elsewhere."""

    @property
    def version(self) -> int:
        """Grows with every change; cheap to ask."""
        ...

    def snapshot(self) -> Snapshot:
        """Everything at one moment."""
        ...


class Engine(Closing):
    """An archive, open for searching.

    Args:
        archive: must exist.
        embedder: the model in use; must be the archive's.
        code_bytes: memory for codes; what does not fit is read again for each search.
        catalogue: of the archive, if this process has it open: LMDB opens a file once.

    Raises:
        StorageError: no archive, or nothing indexed in it.
        ModelMismatchError: the archive holds vectors of another model.
    """

    def __init__(
        self, archive: ArchiveFiles, embedder: ModelSpec, code_bytes: int = 4 << 30,
        catalogue: Versions | None = None,
    ) -> None:  # fmt: skip
        self.archive = archive
        self.embedder = embedder
        self.code_bytes = code_bytes
        self._own = None if catalogue else Catalogue(archive)
        self._catalogue: Versions | None = catalogue or self._own
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._turn = threading.Lock()  # of searches whose codes do not fit into memory together
        self._costs: Costs | None = None
        self._view: View | None = None
        self._cores = len(os.sched_getaffinity(0))
        self._turns = Turns(max(1, min(_AT_ONCE, self._cores // 2)))
        self._searches = 0
        self._handles = Handles()
        try:
            self.view()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the archive's files go, and its catalogue if the engine opened it; no search may be running."""
        self._handles.close()
        if self._own:
            self._own.close()

    @cached_property
    def calibration(self) -> Calibration | None:
        """Of the embedder, if it has one; raises as `find_calibration`."""
        sha256 = self.embedder.sha256
        return find_calibration(self.archive.calibration(sha256), sha256)

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
        known = before.by_name if before else {}
        segments = []
        for entry in snapshot.segments:
            if entry.quarantined is None:
                old = known.get(entry.segment)
                clocks = snapshot.clocks.of(entry.district, entry.cameras, entry.clips)
                is_same = old is not None and (old.entry, old.clocks) == (entry, clocks)
                segments.append(
                    old if old and is_same else Loaded(self.archive, entry, self._handles, clocks)
                )
        pool = before.pool if before else None
        if pool is None or pool.codebook.name != snapshot.codebook:
            pool = self._new_pool(snapshot)
            self._costs = None
        return View(snapshot, segments, snapshot.camera_means(self.embedder.dimension), pool)

    def _new_pool(self, snapshot: Snapshot) -> CodePool | None:
        if snapshot.codebook is None:
            return None
        try:
            return CodePool(load_codebook(self.archive, snapshot.codebook), self.code_bytes)
        except ArchiveError:  # `reid verify` tells; until it is mended, searches are exact
            return None

    def warm(self) -> None:
        """Load the codes that fit into memory, so that the first search need not."""
        view = self.view()

        def load(place: int) -> None:
            if view.pool is not None and view.pool.bytes_used < self.code_bytes * _FULL:
                with suppress(DamagedError, FormatError):  # a search will say so
                    self._load(view.pool, view.segments[place], ())

        with ThreadPoolExecutor(self._cores) as threads:
            list(threads.map(load, np.flatnonzero(view.coded).tolist()))

    def search(
        self, vectors: F32, filters: Filters, top: int, exact: bool = False,
        seen: Sequence[tuple[Key, F32]] = (), only: Collection[str] | None = None,
    ) -> Found:  # fmt: skip
        """The `top` best tracklets in scope.

        Args:
            vectors: (Q, D) float32 unit rows of photos; a tracklet's score is its best over all of them and
                `seen`.
            filters: which tracklets.
            top: how many, at least 1.
            exact: compare every row.
            seen: further pictures of the person: the camera, and (D,) float32 unit vectors. Their camera's
                mean is taken out of them; nobody knows which camera took a photo, out of which it is that
                of all.
            only: names of the segments to look into; None: all.

        Raises:
            StorageError: the machine is out of memory or file handles.
        """
        with self._counted() as threads:
            for _ in range(_TRIES):
                view = self.view()
                query = centred(np.asarray(vectors, np.float32), view.means.overall)
                if seen:
                    rows = np.stack([row for _, row in seen])
                    query = np.concatenate([query, centred(rows, view.means.of([key for key, _ in seen]))])
                looked = view if only is None else view.part(only)
                matching = Matching(looked, query, filters, top, partial(self._scan_codes, view, threads))
                found = matching.run(None if exact else self.costs(view))
                if not found.damaged or self.view() is view:
                    break  # what is missing is not missing because it was replaced meanwhile
        return found

    def search_described(self, said: Description, filters: Filters, top: int) -> Found:
        """The `top` tracklets in scope that fit a description best, see `find_described`.

        Raises:
            StorageError: the machine is out of memory or file handles.
        """
        for _ in range(_TRIES):
            view = self.view()
            found = find_described(view, said, filters, top)
            if not found.damaged or self.view() is view:
                break
        return found

    @contextmanager
    def _counted(self) -> Iterator[int]:
        """How many threads a search may use: all cores together are not to be used twice.

        Few compare at once, others wait: threads that want the interpreter hold each other up, and sixteen
        clients got less done than one.
        """
        with self._turns.turn():
            with self._lock:
                self._searches += 1
                running = self._searches
            try:
                yield max(1, self._cores // running)
            finally:
                with self._lock:
                    self._searches -= 1

    def costs(self, view: View) -> Costs | None:
        """What comparing costs here, measured at the first search; None while no segment can be read."""
        if self._costs is None:
            for place in np.argsort(-view.vectors, kind="stable"):
                with suppress(DamagedError, FormatError):  # a search will say so
                    self._costs = measure_costs(view.segments[place].segment, view.pool)
                    break
        return self._costs

    def _load(self, pool: CodePool, loaded: Loaded, busy: Sequence[Loaded]) -> Slot:
        """The segment's codes in memory; those of segments not `busy` may have to go for it."""
        where, data = str(loaded.segment.files.codes), loaded.segment.codes()
        with self._loading:
            while True:
                held = loaded.slot
                if held is not None and held[0] is pool:
                    return held[1]
                try:
                    slot = pool.load(data, loaded.entry.vectors, where)
                except StorageError:
                    if not self._forget(busy):
                        raise
                    continue
                loaded.slot = (pool, slot)

    def _forget(self, busy: Sequence[Loaded]) -> bool:
        """Let the codes of one segment go; False when none is left."""
        kept = {id(loaded) for loaded in busy}
        for loaded in self._view.segments if self._view else ():
            if loaded.slot is not None and id(loaded) not in kept:
                loaded.slot = None
                return True
        return False

    def _scan_codes(
        self, view: View, threads: int, wanted: Sequence[tuple[Loaded, RowMask | None]], vectors: F32,
        count: int, damaged: dict[str, str],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
        """The `count` best rows by code of each vector: (place in `wanted`, row), each (n,), in no order.

        Segments whose codes do not fit into memory together are read one batch after the other.
        """
        pool = view.pool
        assert pool is not None
        places: list[NDArray[np.int64]] = []
        rows: list[NDArray[np.int64]] = []
        fits = view.code_bytes <= self.code_bytes
        batches = [range(len(wanted))] if fits else _batches(pool, [loaded for loaded, _ in wanted])
        with nullcontext() if fits else self._turn:
            for batch in batches:
                busy = [] if fits else [wanted[place][0] for place in batch]
                scope: list[tuple[Slot, RowMask | None]] = []
                held: list[int] = []
                for place in batch:
                    loaded, keep = wanted[place]
                    slot = loaded.slot
                    try:
                        if slot is None or slot[0] is not pool:
                            slot = (pool, self._load(pool, loaded, busy))
                    except (DamagedError, FormatError) as error:
                        damaged[loaded.entry.segment] = str(error)
                        continue
                    scope.append((slot[1], keep))
                    held.append(place)
                if scope:
                    codes = sum(slot.rows for slot, _ in scope)
                    found, row, _ = pool.search(scope, vectors, count, threads if codes > _MANY_CODES else 1)
                    good = found.ravel() >= 0
                    places.append(np.array(held)[found.ravel()[good]])
                    rows.append(row.ravel()[good])
        if not places:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(places), np.concatenate(rows)


def _batches(pool: CodePool, wanted: Sequence[Loaded]) -> list[range]:
    """Neighbours put together as long as their codes fit into the pool."""
    batches: list[range] = []
    begin = used = 0
    for place, loaded in enumerate(wanted):
        size = pool.bytes_for(loaded.entry.vectors)
        if used + size > pool.budget_bytes:
            batches.append(range(begin, place))
            begin, used = place, 0
        used += size
    return [*batches, range(begin, len(wanted))]
