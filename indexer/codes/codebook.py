"""The product quantizer of a model generation, and the index files it makes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import faiss as _faiss
import numpy as np
from numpy.typing import NDArray

from reid.errors import DamagedError, FormatError, InputError, ReidError

faiss: Any = _faiss  # its own types leave out half of what is used here
F32 = NDArray[np.float32]

FORMAT = 1
BLOCK = 32
"""Rows packed side by side in a fast-scan file; faiss calls it bbs."""
_SPAN = 4
"""Numbers coded by one 4-bit code: 256 dimensions become 32 bytes."""
_LEVELS = 16
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
        size = -(-rows // BLOCK) * BLOCK * self.code_size
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
        blocks = -(-rows // BLOCK) * BLOCK
        return b"".join(
            (
                struct.pack("<4siqqqBi", b"IPfs", self.dimension, rows, 1 << 20, 1 << 20, 1, 0),
                struct.pack("<QQQQ", self.dimension, count, 4, self.centroids.size),
                self.centroids.astype("<f4").tobytes(),
                struct.pack("<iiiQQQ", 0, BLOCK, 0, blocks, count, blocks * self.code_size),
            )
        )

    def _index(self) -> Any:
        index = faiss.IndexPQFastScan(
            self.dimension, len(self.centroids), 4, faiss.METRIC_INNER_PRODUCT, BLOCK
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
