"""Codes of vectors: 4 bits for each four numbers, scanned by the million. The only module that imports faiss.

Owns the product-quantizer codebook of a model generation, what an `index.faiss` holds, the pool of codes in
memory that searches scan, and inner products of stored rows. Bytes in, bytes out: knows no path, no catalogue
and no camera; vectors come with their camera's mean already taken out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, pairwise
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from reid.errors import DamagedError, FormatError, InputError, ReidError, StorageError

faiss: Any = _faiss  # its own types leave out half of what is used here
F32 = NDArray[np.float32]
Ints = NDArray[np.int64]

FORMAT = 1
_SPAN = 4
"""Numbers coded by one 4-bit code: 256 dimensions become 32 bytes."""
_LEVELS = 16
_BLOCK = 32
"""Rows packed side by side in a fast-scan file; faiss calls it bbs."""
_PAGE = 16_384
"""Rows of one list of the pool. A power of two, since faiss rounds what a list takes up to one."""
_LISTS = 65_536
"""Lists of a pool, used or not: 18 ms and 4 MB."""
_ID_BYTES = 8
_THREADED = 14
"""The way of scanning that shares the lists of one query out among threads; faiss calls it implem."""
_TRAIN_ROWS = 32_768
"""Distortion of unseen rows: .1175 after training on 9,500, .1160 on 24,500, .1157 on 65,536."""
_MEASURE_ROWS = 100_000
_QUERIES = 1000
_NEAREST = 10
_GROWTH = 0.4
"""Least growth of ranks that is believed: among few rows less is measured (.16 of 10,000 rows, .34 of
100,000). With this, recall at 0.1 to 2 million rows was estimated at most .003 too high where 100 rows or
more are refined.
"""
_GROWTH_AT = 0.98
"""The quantile of ranks whose growth is measured: that of the recall searches ask for."""
_DEEPEST = 4096
"""Ranks are told apart up to this one."""
_TOLERANCE = 1.15
"""Distortion against the trained one. Up to 1.14 (other samples, single lights, real crops, noise) a codebook
of their own found no more neighbours; at 1.19, by one strange vector in twenty, three more of a hundred.
"""
_SCAN_ROWS = 32_768
"""Inner products for which another thread pays."""
_CACHED = 2048
"""Rows compared with one vector after the other while they are in the cache: 1 MB at 256 dimensions."""


@dataclass(frozen=True)
class Fit:
    """How well a codebook codes some vectors.

    Attributes:
        distortion: mean squared distance of a unit vector from its code.
        trained: the same of vectors like those it was trained on, but not trained on.
        fits: whether the codebook can stay.
    """

    distortion: float
    trained: float

    @property
    def fits(self) -> bool:
        """Whether the distortion is near enough to the trained one."""
        return self.distortion <= _TOLERANCE * self.trained


@dataclass(frozen=True, eq=False)
class Codebook:
    """The product quantizer shared by all segments of one model generation.

    Attributes:
        model: sha256 of the embedder whose vectors it codes.
        rotation: (D, D) float32, orthogonal; rotated = vectors @ rotation.T.
        centroids: (D / 4, 16, 4) float32, of rotated vectors.
        trained_on: rows it was trained on.
        distortion: mean squared distance of unseen unit vectors from their codes.
        measured_on: rows among which `ranks` were measured.
        growth: ranks grow with this power of the number of rows, 0..1.
        ranks: (10, Q) int32: at which rank, from 1, codes put the nearest, second nearest... row of each of Q
            queries; `_DEEPEST` for later ones.
        name: first 16 hex digits of the sha256 of all that.
    """

    model: str
    rotation: F32
    centroids: F32
    trained_on: int
    distortion: float
    measured_on: int
    growth: float
    ranks: NDArray[np.int32]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        size = self.dimension
        if size % (2 * _SPAN) or not size:
            raise ValueError(f"expected a dimension divisible by {2 * _SPAN}, got {size}")
        _require(self.rotation, np.float32, (size, size))
        _require(self.centroids, np.float32, (size // _SPAN, _LEVELS, _SPAN))
        _require(self.ranks, np.int32, (_NEAREST, self.ranks.shape[-1]))
        if (
            self.trained_on < 1
            or self.measured_on < 1
            or not self.distortion >= 0
            or not 0 <= self.growth <= 1
        ):
            raise ValueError("expected counts of at least 1, a distortion of at least 0 and a growth of 0..1")
        object.__setattr__(self, "name", self._digest()[:16])

    @property
    def dimension(self) -> int:
        """D, of a vector."""
        return len(self.rotation)

    @property
    def code_size(self) -> int:
        """Bytes of one row's code."""
        return self.dimension // _SPAN // 2

    @classmethod
    def train(
        cls, vectors: F32, model: str, seed: int = 0, progress: Callable[[str], None] | None = None
    ) -> Codebook:
        """Train a codebook and measure what it will find.

        Half of the rows is trained on. Among the others, of which some are the queries, ranks are measured.

        Args:
            vectors: (N, D) float32 unit rows, sampled over the archive.
            model: sha256 of the embedder they come from.
            seed: which rows are trained on.
            progress: told what is being done.

        Raises:
            InputError: too few rows, or numbers that are not finite.
        """
        tell = progress or (lambda step: None)
        size = vectors.shape[1]
        needed = max(1500, 20 * size)
        if len(vectors) < needed:
            raise InputError(
                f"a codebook of {size} dimensions needs at least {needed} vectors, there are {len(vectors)};"
                " index more footage first: searches are exact, and as fast, while there is little"
            )
        if not np.isfinite(vectors).all():
            raise InputError("a codebook cannot be trained on vectors that are not finite numbers")
        order = np.random.default_rng(seed).permutation(len(vectors))
        asked, left = np.split(order, [min(_QUERIES, len(vectors) // 10)])
        taught, held = np.split(left, [min(_TRAIN_ROWS, len(left) // 2)])
        held = held[:_MEASURE_ROWS]
        tell(f"training on {len(taught)} vectors")
        rotation, centroids = _trained(vectors[taught])
        tell(f"measuring on {len(held)} vectors")
        unknown = np.ones((_NEAREST, 1), np.int32)
        draft = cls(model, rotation, centroids, len(taught), 0.0, len(held), 0.0, unknown)
        few, ranks = (_ranks(draft, vectors[rows], vectors[asked]) for rows in (held[::10], held))
        low, high = (float(np.quantile(each, _GROWTH_AT)) for each in (few, ranks))
        return dataclasses.replace(
            draft,
            distortion=draft._distortion(vectors[held]),
            growth=float(np.clip(np.log10(high / low), _GROWTH, 1.0)),
            ranks=ranks,
        )

    def expected_recall(self, rows: int, refine: int) -> float:
        """Recall@10, 0..1, to expect when `rows` codes are scanned and the best `refine` compared exactly.

        The more rows there are, the more of them codes put before a true neighbour by mistake, but the nearer
        the ten nearest are, too. What is left of both is measured at training, by ten times fewer rows.
        """
        if refine >= rows:
            return 1.0
        growth = (rows / self.measured_on) ** self.growth
        return float((self.ranks * growth <= refine).mean())

    def fit(self, vectors: F32) -> Fit:
        """How well these vectors, (N, D) float32 unit rows, fit the codebook; N of a thousand is enough."""
        return Fit(self._distortion(vectors), self.distortion)

    def to_bytes(self) -> bytes:
        """An npz file; `from_bytes` reads it."""
        out = io.BytesIO()
        np.savez(out, format_version=FORMAT, digest=self._digest(), **self._fields())
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Codebook:
        """Read what `to_bytes` wrote.

        Args:
            data: the whole file.
            where: what errors call it.

        Raises:
            FormatError: an unknown format version.
            DamagedError: anything else is not as it was written.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                version = int(arrays["format_version"])
                if version != FORMAT:
                    raise FormatError(
                        f"{where}: codebook format {version}, this release reads {FORMAT};"
                        " use the release that wrote it, or train a new one: reid codebook train"
                    )
                digest = str(arrays["digest"])
                book = cls(
                    model=str(arrays["model"]),
                    rotation=arrays["rotation"],
                    centroids=arrays["centroids"],
                    trained_on=int(arrays["trained_on"]),
                    distortion=float(arrays["distortion"]),
                    measured_on=int(arrays["measured_on"]),
                    growth=float(arrays["growth"]),
                    ranks=arrays["ranks"],
                )
        except ReidError:
            raise
        except Exception as error:  # noqa: BLE001  damaged bytes reach parsers with errors of every kind
            raise DamagedError(f"{where}: the codebook cannot be read ({error!r})") from None
        if digest != book._digest():
            raise DamagedError(f"{where}: the codebook is not what was written; its sha256 differs")
        return book

    def _fields(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "rotation": self.rotation,
            "centroids": self.centroids,
            "trained_on": self.trained_on,
            "distortion": self.distortion,
            "measured_on": self.measured_on,
            "growth": self.growth,
            "ranks": self.ranks,
        }

    def _digest(self) -> str:
        """sha256 of the fields, not of the file, whose bytes are numpy's choice."""
        total = hashlib.sha256()
        for name, value in self._fields().items():
            held = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
            total.update(f"{name}:{len(held)}:".encode() + held)
        return total.hexdigest()

    def rotated(self, vectors: F32) -> F32:
        """(N, D) float32: `vectors` (N, D) as the codes see them.

        Raises:
            ValueError: another shape.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimension:
            raise ValueError(f"expected (N, {self.dimension}) vectors, got {vectors.shape}")
        return np.ascontiguousarray(np.asarray(vectors, np.float32) @ self.rotation.T)

    def encode(self, vectors: F32) -> bytes:
        """The content of `index.faiss`: a file of FAISS, an IndexPQFastScan over the rotated vectors.

        Args:
            vectors: (N, D) float32, N at least 1; row = id.
        """
        index = self._index()
        faiss.omp_set_num_threads(1)
        index.add(self.rotated(vectors))
        codes: NDArray[np.uint8] = faiss.rev_swig_ptr(index.codes.get(), index.codes.size())
        return self._header(len(vectors)) + codes.tobytes()

    def codes_in(self, data: bytes, rows: int, where: str) -> NDArray[np.uint8]:
        """The packed codes of what `encode` gave for `rows` rows, a view of `data`.

        Raises:
            DamagedError: it is of another codebook or another number of rows, or altered before the codes.
        """
        header = self._header(rows)
        size = -(-rows // _BLOCK) * _BLOCK * self.code_size
        if len(data) != len(header) + size:
            raise DamagedError(
                f"{where}: expected {len(header) + size} bytes for {rows} rows of codebook {self.name},"
                f" found {len(data)}"
            )
        if data[: len(header)] != header:
            raise DamagedError(
                f"{where}: expected an index of {rows} rows by codebook {self.name}, found another"
            )
        return np.frombuffer(data, np.uint8, offset=len(header))

    def _distortion(self, vectors: F32) -> float:
        rotated = self.rotated(vectors)
        quantizer = faiss.ProductQuantizer(self.dimension, len(self.centroids), 4)
        faiss.copy_array_to_vector(self.centroids.ravel(), quantizer.centroids)
        apart = quantizer.decode(quantizer.compute_codes(rotated)) - rotated
        return float(np.einsum("nd,nd->", apart, apart, dtype=np.float64) / len(vectors))

    def _header(self, rows: int) -> bytes:
        """All bytes of an index file before its codes.

        Written here and not by faiss, so that archives do not depend on the faiss that is installed, and a
        damaged file never reaches its parser. A test compares it with what faiss writes and reads.
        """
        count = len(self.centroids)
        blocks = -(-rows // _BLOCK) * _BLOCK
        return b"".join(
            (
                struct.pack("<4siqqqBi", b"IPfs", self.dimension, rows, 1 << 20, 1 << 20, 1, 0),
                struct.pack("<QQQQ", self.dimension, count, 4, self.centroids.size),
                self.centroids.astype("<f4").tobytes(),
                struct.pack("<iiiQQQ", 0, _BLOCK, 0, blocks, count, blocks * self.code_size),
            )
        )

    def _index(self) -> Any:
        index = faiss.IndexPQFastScan(
            self.dimension, len(self.centroids), 4, faiss.METRIC_INNER_PRODUCT, _BLOCK
        )
        faiss.copy_array_to_vector(self.centroids.ravel(), index.pq.centroids)
        index.is_trained = True
        return index


def _require(array: NDArray[Any], kind: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != kind or not np.isfinite(array).all():
        raise ValueError(f"expected finite {kind.__name__} {shape}, got {array.dtype} {array.shape}")
    array.setflags(write=False)


def _trained(vectors: F32) -> tuple[F32, F32]:
    """(D, D) rotation and (D / 4, 16, 4) centroids for these (N, D) vectors.

    The rotation turns to the principal directions and deals them out so that the variances of each four have
    about the same product (parametric OPQ; Ge et al. 2013). Among 2 million of our vectors recall@10 was
    .9945 after refining 300 and .9997 after 1,000; with faiss's OPQ of 50 turns, trained ten times as long,
    .9963 and .9995; without a rotation .73 and .87.
    """
    faiss.omp_set_num_threads(1)  # clusters this small are three times slower on two
    size = vectors.shape[1]
    count = size // _SPAN
    variances, directions = np.linalg.eigh((vectors.T @ vectors).astype(np.float64) / len(vectors))
    variances = np.maximum(variances, 1e-6 * variances[-1])
    dealt: list[list[int]] = [[] for _ in range(count)]
    weights = np.zeros(count)
    for axis in range(size - 1, -1, -1):
        open_ = [group for group in range(count) if len(dealt[group]) < _SPAN]
        group = min(open_, key=weights.__getitem__)
        dealt[group].append(axis)
        weights[group] += np.log(variances[axis] / variances[0])
    rotation = np.ascontiguousarray(directions[:, list(chain(*dealt))].T, np.float32)
    quantizer = faiss.ProductQuantizer(size, count, 4)
    quantizer.cp.max_points_per_centroid = len(vectors)
    quantizer.train(np.ascontiguousarray(vectors @ rotation.T))
    return rotation, faiss.vector_to_array(quantizer.centroids).reshape(count, _LEVELS, _SPAN)


def _ranks(book: Codebook, rows: F32, queries: F32) -> NDArray[np.int32]:
    """(10, Q) int32, see `Codebook.ranks`."""
    index = book._index()
    index.add(book.rotated(rows))
    _, coded = index.search(book.rotated(queries), min(_DEEPEST, len(rows)))
    _, exact = faiss.knn(queries, rows, _NEAREST, metric=faiss.METRIC_INNER_PRODUCT)
    ranks = np.full((_NEAREST, len(queries)), _DEEPEST, np.int32)
    for query, (near, order) in enumerate(zip(exact, coded, strict=True)):
        place = {row: rank for rank, row in enumerate(order.tolist(), 1)}
        ranks[:, query] = [place.get(row, _DEEPEST) for row in near.tolist()]
    return ranks


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
            self._quantizer, size, _LISTS, count, 4, faiss.METRIC_INNER_PRODUCT, _BLOCK
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
        return -(-rows // _BLOCK) * _BLOCK * (self.codebook.code_size + _ID_BYTES)

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
        scope: Sequence[tuple[Slot, NDArray[np.bool_] | None]],
        vectors: F32,
        count: int,
        threads: int = 1,
    ) -> tuple[Ints, Ints, F32]:
        """The best rows by code among those in scope, best first, for each vector.

        Args:
            scope: slots of this pool, each at most once, and which of their rows count, (N,) bool; None: all.
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
        size = -(-rows // _BLOCK) * _BLOCK * self.codebook.code_size
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
    scope: Sequence[tuple[Slot, NDArray[np.bool_] | None]],
) -> tuple[Ints, Ints, Ints, NDArray[np.uint8] | None]:
    """The pages to scan, which part of the scope each belongs to, the row it begins with, and the bitmap of
    wanted ids, None if all are.
    """
    pages: list[int] = []
    owners: list[int] = []
    firsts: list[int] = []
    masks: dict[int, NDArray[np.bool_]] = {}
    for position, (slot, mask) in enumerate(scope):
        if mask is not None and mask.shape != (slot.rows,):
            raise ValueError(f"expected a mask of {slot.rows} rows, got {mask.shape}")
        for number, page in enumerate(slot.pages.tolist()):
            part = None if mask is None else mask[number * _PAGE : (number + 1) * _PAGE]
            if part is not None and not part.any():
                continue
            if part is not None and not part.all():
                masks[page] = part
            pages.append(page)
            owners.append(position)
            firsts.append(number * _PAGE)
    if len(set(pages)) < len(pages):
        raise ValueError("expected each slot at most once in a scope")
    found = (np.array(pages, np.int64), np.array(owners, np.int64), np.array(firsts, np.int64))
    if not masks:
        return *found, None
    wanted = np.full((max(pages) + 1, _PAGE // 8), 255, np.uint8)
    for page, part in masks.items():
        bits = np.packbits(part, bitorder="little")
        wanted[page, : len(bits)] = bits
    return *found, wanted


def inner_products(rows: NDArray[np.float16], vectors: F32, threads: int = 1) -> F32:
    """Inner products of rows as they are stored, in float32, without a float32 copy of them.

    Args:
        rows: (N, D) float16, contiguous; may be mapped from disk.
        vectors: (Q, D) float32.
        threads: most threads to use.

    Returns:
        (N, Q) float32, a column contiguous in memory; NaN where a product is not above minus infinity.
    """
    if rows.dtype != np.float16 or not rows.flags.c_contiguous or rows.shape[1:] != vectors.shape[1:]:
        raise ValueError(
            f"expected contiguous (N, D) float16 rows and (Q, D) vectors, got {rows.dtype} {rows.shape}"
            f" and {vectors.shape}"
        )
    vectors = np.ascontiguousarray(vectors, np.float32)
    products = np.full((len(vectors), len(rows)), np.nan, np.float32)
    parts = max(1, min(threads, len(rows) * len(vectors) // _SCAN_ROWS))
    cuts = np.linspace(0, len(rows), parts + 1).astype(int).tolist()
    spans = [slice(start, stop) for start, stop in pairwise(cuts) if stop > start]
    if len(spans) < 2:
        for span in spans:
            _scan(rows[span], vectors, products[:, span])
    else:
        with ThreadPoolExecutor(len(spans)) as pool:
            list(pool.map(lambda span: _scan(rows[span], vectors, products[:, span]), spans))
    return products.T


def _scan(rows: NDArray[np.float16], vectors: F32, products: F32) -> None:
    """Write the inner products of rows (N, D) and vectors (Q, D) into (Q, N)."""
    scanner = _half_index(rows.shape[1]).get_InvertedListScanner(True, None, None)
    for start in range(0, len(rows), _CACHED):
        part = rows[start : start + _CACHED]
        for vector, out in zip(vectors, products[:, start : start + _CACHED], strict=True):
            found = faiss.RangeSearchResult(1)
            partial = faiss.RangeSearchPartialResult(found)
            scanner.set_query(faiss.swig_ptr(vector))
            scanner.set_list(0, 0.0)
            scanner.scan_codes_range(
                len(part), faiss.swig_ptr(part.view(np.uint8)), None, -np.inf, partial.new_result(0)
            )
            partial.set_lims()
            partial.finalize()
            count = int(faiss.rev_swig_ptr(found.lims, 2)[1])
            out[faiss.rev_swig_ptr(found.labels, count)] = faiss.rev_swig_ptr(found.distances, count)


@cache
def _half_index(size: int) -> Any:
    """Whatever makes scanners of float16 rows of D numbers; holds no rows and is never changed."""
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(size), size, 1, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.is_trained = True
    return index
