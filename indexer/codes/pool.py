"""Codes of many segments in memory, scanned in one go."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from indexer.codes.codebook import BLOCK, Codebook
from indexer.rowmask import RowMask
from reid.errors import StorageError

faiss: Any = _faiss  # its own types leave out half of what is used here
F32 = NDArray[np.float32]
Ints = NDArray[np.int64]

_PAGE = 16_384
"""Rows of one list of the pool. A power of two, since faiss rounds what a list takes up to one."""
_LISTS = 65_536
"""Lists of a pool, used or not: 18 ms and 4 MB."""
_ID_BYTES = 8
_THREADED = 14
"""The way of scanning that shares the lists of one query out among threads; faiss calls it implem."""


class Slot:
    """The codes of one segment in a pool, for as long as anybody holds this.

    Attributes:
        rows: N, of the segment.
        pages: (P,) int64, the lists of the pool that hold them, 16,384 rows each but the last.
    """

    def __init__(self, rows: int, pages: Ints) -> None:
        self.rows = rows
        self.pages = pages


class CodePool:
    """Codes of many segments in memory, scanned in one go, whichever segments are asked for.

    Any number of threads may load, drop and search at once. The memory of a slot comes free when its last
    holder, a running search included, lets it go.

    It is an inverted file of faiss whose lists are not clusters but pages of segments: those asked for are
    handed to the search as the lists to probe.

    Args:
        codebook: of all codes.
        budget_bytes: most that the slots may take.
    """

    def __init__(self, codebook: Codebook, budget_bytes: int) -> None:
        self.codebook = codebook
        self.budget_bytes = budget_bytes
        size, count = codebook.dimension, len(codebook.centroids)
        self._quantizer = faiss.IndexFlatIP(size)
        self._index = faiss.IndexIVFPQFastScan(
            self._quantizer, size, _LISTS, count, 4, faiss.METRIC_INNER_PRODUCT, BLOCK
        )
        self._index.by_residual = False
        self._index.implem = _THREADED
        faiss.copy_array_to_vector(codebook.centroids.ravel(), self._index.pq.centroids)
        self._index.is_trained = True
        self._lists = faiss.downcast_InvertedLists(self._index.invlists)
        self._lock = threading.Lock()
        self._used = 0
        self._fresh = 0
        self._free: list[int] = []
        self._dropped: deque[tuple[int, list[int]]] = deque()

    @property
    def bytes_used(self) -> int:
        """Memory of the slots somebody holds."""
        with self._lock:
            self._collect()
            return self._used

    def bytes_for(self, rows: int) -> int:
        """Memory that `load` of so many rows takes."""
        return -(-rows // BLOCK) * BLOCK * (self.codebook.code_size + _ID_BYTES)

    def load(self, data: bytes, rows: int, where: str) -> Slot:
        """Copy what `Codebook.encode` gave into the pool.

        Args:
            data: content of an `index.faiss`.
            rows: of the segment, at least 1.
            where: what errors call it.

        Raises:
            DamagedError: the data are not of this codebook or not of so many rows.
            StorageError: the pool is full; let other slots go and try again.
        """
        codes = self.codebook.codes_in(data, rows, where)
        count = -(-rows // _PAGE)
        with self._lock:
            self._collect()
            needed = self.bytes_for(rows)
            if self._used + needed > self.budget_bytes or count > len(self._free) + _LISTS - self._fresh:
                raise StorageError(
                    f"{where}: its codes take {needed} bytes; {self._used} of {self.budget_bytes} are taken."
                    " Allow more memory for codes, or search fewer days"
                )
            pages = [self._free.pop() if self._free else self._next() for _ in range(count)]
            self._used += needed
            for number, page in enumerate(pages):
                self._fill(page, codes[number * _PAGE * self.codebook.code_size :], rows - number * _PAGE)
        slot = Slot(rows, np.array(pages, np.int64))
        weakref.finalize(slot, self._drop, rows, pages).atexit = False
        return slot

    def search(
        self,
        scope: Sequence[tuple[Slot, RowMask | None]],
        vectors: F32,
        count: int,
        threads: int = 1,
    ) -> tuple[Ints, Ints, F32]:
        """The best rows by code among those in scope, best first, for each vector.

        Args:
            scope: slots of this pool, each at most once, and which of their rows count; None: all.
            vectors: (Q, D) float32 unit rows.
            count: how many rows to find for each.
            threads: most threads to use.

        Returns:
            (Q, count) int64 positions in `scope`, (Q, count) int64 rows of that slot, both -1 where there are
            fewer rows, and (Q, count) float32 approximate inner products, -inf there.
        """
        scores = np.full((len(vectors), count), -np.inf, np.float32)
        ids = np.full((len(vectors), count), -1, np.int64)
        pages, owners, firsts, wanted = _pages(scope)
        if not len(pages) or not len(vectors) or count < 1:
            return ids, ids.copy(), scores
        queries = self.codebook.rotated(vectors)
        lists = np.tile(pages, (len(vectors), 1))
        nothing = np.zeros(lists.shape, np.float32)
        selector = None if wanted is None else faiss.IDSelectorBitmap(wanted.size, faiss.swig_ptr(wanted))
        faiss.omp_set_num_threads(max(1, threads))  # of this thread's calls only
        self._index.search_preassigned_c(
            len(queries), faiss.swig_ptr(queries), count, faiss.swig_ptr(lists), faiss.swig_ptr(nothing),
            faiss.swig_ptr(scores), faiss.swig_ptr(ids), False,
            faiss.IVFSearchParameters(sel=selector, nprobe=len(pages)),
        )  # fmt: skip
        missing = ids < 0
        scores[missing] = -np.inf
        order = np.argsort(pages)
        at = order[np.searchsorted(pages[order], np.where(missing, pages[order[0]], ids // _PAGE))]
        return (
            np.where(missing, -1, owners[at]),
            np.where(missing, -1, firsts[at] + ids % _PAGE),
            scores,
        )

    def _next(self) -> int:
        self._fresh += 1
        return self._fresh - 1

    def _fill(self, page: int, codes: NDArray[np.uint8], rows: int) -> None:
        """Put the first rows of `codes`, at most a page, into a list no search knows of yet."""
        rows = min(rows, _PAGE)
        self._lists.resize(page, rows)
        size = -(-rows // BLOCK) * BLOCK * self.codebook.code_size
        faiss.memcpy(self._lists.get_codes(page), faiss.swig_ptr(codes), size)
        ids = np.arange(page * _PAGE, page * _PAGE + rows)
        faiss.memcpy(self._lists.get_ids(page), faiss.swig_ptr(ids), ids.nbytes)

    def _drop(self, rows: int, pages: list[int]) -> None:
        """Take back a slot's lists. Runs wherever its last holder happens to let go, so it must not wait."""
        self._dropped.append((rows, pages))
        if self._lock.acquire(blocking=False):
            try:
                self._collect()
            finally:
                self._lock.release()

    def _collect(self) -> None:
        while self._dropped:
            rows, pages = self._dropped.popleft()
            for page in pages:
                self._lists.resize(page, 0)
            self._free.extend(pages)
            self._used -= self.bytes_for(rows)


def _pages(
    scope: Sequence[tuple[Slot, RowMask | None]],
) -> tuple[Ints, Ints, Ints, NDArray[np.uint8] | None]:
    """The pages to scan, which part of the scope each belongs to, the row it begins with, and the bitmap of
    wanted ids, None if all are.
    """
    pages = np.concatenate([slot.pages for slot, _ in scope]) if scope else np.empty(0, np.int64)
    counts = np.array([len(slot.pages) for slot, _ in scope], np.int64)
    begins = np.cumsum(counts) - counts
    owners = np.repeat(np.arange(len(scope)), counts)
    firsts = (np.arange(len(pages)) - begins[owners]) * _PAGE
    if len(np.unique(pages)) < len(pages):
        raise ValueError("expected each slot at most once in a scope")
    wanted: NDArray[np.uint8] | None = None
    for slot, mask in scope:
        if mask is None:
            continue
        if mask.rows != slot.rows:
            raise ValueError(f"expected a mask of {slot.rows} rows, got one of {mask.rows}")
        if wanted is None:
            wanted = np.full((int(pages.max()) + 1, _PAGE // 8), 255, np.uint8)
        for number, page in enumerate(slot.pages.tolist()):
            part = mask.bits[number * _PAGE // 8 : (number + 1) * _PAGE // 8]
            wanted[page, : len(part)] = part
            wanted[page, len(part) :] = 0
    if wanted is None:
        return pages, owners, firsts, None
    scanned = wanted.view(np.uint64)[pages].any(axis=1)
    return pages[scanned], owners[scanned], firsts[scanned], wanted
