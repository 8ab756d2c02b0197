"""Other people's indexes, ours, and comparing everything: built, then asked with a filter.

Each is used as its documentation says. How a filter is applied differs, and is told: inside the search,
before it, or after it among more answers than wanted.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.archives import place_of
from benchmarks.gallery import Ask
from benchmarks.machine import folder_bytes
from benchmarks.vectors import F32, Ints
from indexer.shard.files import ArchiveFiles
from reid.errors import InputError
from reid.models import find_model
from reid.registry import DEFAULT_EMBEDDER
from search.engine import Engine

TOP = 10
LINKS, CONSTRUCTION = 16, 200
"""Of every graph: links of a vector (M) and candidates while building (ef, expansion)."""
_TRAINABLE = 10_000
"""Vectors of which LanceDB can make a vector index worth having; fewer it compares one by one."""
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """What filters read of N vectors: (N,) int64 each; `camera` counts all cameras of all districts."""

    camera: Ints
    start: Ints
    end: Ints
    upper: Ints


@dataclass(frozen=True)
class Question:
    """An `Ask` for indexes that know numbers only.

    Attributes:
        ask: as the product takes it.
        query: (D,) float32 unit row, comparable with the rows of the index.
        cameras: (C,) which cameras are in scope.
    """

    ask: Ask
    query: F32
    cameras: Bools

    def holds(self, columns: Columns, rows: Ints | slice = slice(None)) -> Bools:
        """(n,) which of the rows are in scope."""
        kept = self.cameras[columns.camera[rows]]
        kept &= (columns.start[rows] < self.ask.until_ms) & (columns.end[rows] >= self.ask.since_ms)
        if self.ask.upper:
            upper = columns.upper[rows]
            kept &= (upper == 0) | (upper & self.ask.upper != 0)
        return kept


class Peer(Protocol):
    """An index.

    Attributes:
        name: shown. package: to be installed, empty for ours. filtering: how filters are applied.
        efforts: from what people use to the most that is tried.
    """

    name: str
    package: str
    filtering: str
    efforts: tuple[int, ...]

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """Index (N, D) unit rows; bytes on disk once saved in `folder`."""

    def search(self, question: Question, effort: int) -> Ints:
        """Up to `TOP` rows in scope, best first."""


class NumpyExact:
    """Compares every row in scope: the floor."""

    name, package, filtering = "numpy, every row", "numpy", "before"
    efforts: tuple[int, ...] = (0,)

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """Nothing but the rows themselves."""
        self._vectors, self._columns = vectors, columns
        return int(vectors.nbytes)

    def search(self, question: Question, effort: int) -> Ints:
        """Exact."""
        return exact(self._vectors, self._columns, question)[0]


def exact(vectors: F32, columns: Columns, question: Question) -> tuple[Ints, int]:
    """The true `TOP` rows in scope, best first, and how many are in scope."""
    rows = np.flatnonzero(question.holds(columns))
    neighbours = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)  # then nothing needs to be copied
    scores = (vectors[rows[0] : rows[-1] + 1] if neighbours else vectors[rows]) @ question.query
    most = np.argpartition(-scores, TOP)[:TOP] if len(rows) > TOP else np.arange(len(rows))
    best = most[np.argsort(-scores[most], kind="stable")]
    return rows[best], len(rows)


class Hnswlib:
    """hnswlib asks a Python function about every vector it meets."""

    name, package, filtering = "hnswlib", "hnswlib", "inside (function)"
    efforts: tuple[int, ...] = (10, 50, 200, 800, 3200)

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """A graph, built with all cores."""
        self._columns = columns
        self._index = importlib.import_module("hnswlib").Index(space="ip", dim=vectors.shape[1])
        self._index.init_index(len(vectors), ef_construction=CONSTRUCTION, M=LINKS, random_seed=1)
        self._index.add_items(vectors)
        self._index.save_index(str(folder / "index.bin"))
        return folder_bytes(folder)

    def search(self, question: Question, effort: int) -> Ints:
        """When it meets fewer than wanted in scope it raises, so less is asked for then."""
        self._index.set_ef(effort)
        kept = question.holds(self._columns)
        for wanted in (TOP, TOP // 2, 2, 1):
            try:
                found = self._index.knn_query(
                    question.query[None], wanted, num_threads=1, filter=lambda row: bool(kept[row])
                )
            except RuntimeError:
                continue
            return np.asarray(found[0][0], np.int64)
        return np.empty(0, np.int64)


class _AfterSearch(ABC):
    """Asks for more than wanted, and filters the answers."""

    filtering = "after (more asked for)"
    efforts: tuple[int, ...] = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    _columns: Columns

    def search(self, question: Question, effort: int) -> Ints:
        """Of `effort` nearest, those in scope."""
        found = self._nearest(question.query, min(effort, len(self._columns.camera)))
        return found[question.holds(self._columns, found)][:TOP]

    @abstractmethod
    def _nearest(self, query: F32, count: int) -> Ints:
        """The rows of the `count` nearest, whatever is in scope."""


class Usearch(_AfterSearch):
    """usearch's Python interface has no filter."""

    name, package = "usearch", "usearch"

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """A graph, built with all cores."""
        self._columns = columns
        self._index = importlib.import_module("usearch.index").Index(
            ndim=vectors.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=CONSTRUCTION
        )
        self._index.add(np.arange(len(vectors)), vectors)
        self._index.save(str(folder / "index.usearch"))
        return folder_bytes(folder)

    def _nearest(self, query: F32, count: int) -> Ints:
        self._index.expansion_search = max(64, count)
        return np.asarray(self._index.search(query, count, threads=1).keys, np.int64)


class PlainFaiss(_AfterSearch):
    """FAISS as most people use it: one graph, filter after top-k."""

    name, package = "FAISS HNSW, filter after", "faiss-cpu"

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """A graph, built with all cores."""
        self._columns = columns
        self._faiss = importlib.import_module("faiss")
        self._index = self._faiss.IndexHNSWFlat(vectors.shape[1], LINKS, self._faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = CONSTRUCTION
        self._index.add(vectors)
        self._faiss.write_index(self._index, str(folder / "index.faiss"))
        return folder_bytes(folder)

    def _nearest(self, query: F32, count: int) -> Ints:
        settings = self._faiss.SearchParametersHNSW(efSearch=max(16, count))
        found = self._index.search(query[None], count, params=settings)[1][0]
        return np.asarray(found[found >= 0], np.int64)


class LanceDB:
    """LanceDB: IVF-PQ refined, scalar indexes for its filter, which goes before the search.

    Its effort is how many lists are looked into; half as many times the answers wanted are refined.
    """

    name, package, filtering = "LanceDB IVF-PQ", "lancedb", "before (SQL)"
    efforts: tuple[int, ...] = (20, 50, 100, 300, 1000)

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """Table, vector index, and an index on every column but `end`."""
        arrow = importlib.import_module("pyarrow")
        rows = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.ravel()), vectors.shape[1])
        numbers = {name: arrow.array(getattr(columns, name)) for name in ("camera", "start", "end", "upper")}
        data = arrow.table({"row": arrow.array(np.arange(len(vectors))), "vector": rows, **numbers})
        database = importlib.import_module("lancedb").connect(folder)
        self._table = database.create_table("rows", data)
        kinds = importlib.import_module("lancedb.index")
        if len(vectors) >= _TRAINABLE:
            codes = kinds.IvfPq(distance_type="dot", num_sub_vectors=vectors.shape[1] // 8)
            self._table.create_index("vector", config=codes)
        for name, kind in (("camera", kinds.Bitmap()), ("upper", kinds.Bitmap()), ("start", kinds.BTree())):
            self._table.create_index(name, config=kind)
        return folder_bytes(folder)

    def search(self, question: Question, effort: int) -> Ints:
        """Up to `TOP` rows in scope."""
        found = (
            self._table.search(question.query).distance_type("dot")
            .where(self._condition(question), prefilter=True).select(["row", "_distance"])
            .limit(TOP).nprobes(effort).refine_factor(effort // 2).to_arrow()
        )  # fmt: skip
        return np.asarray(found["row"].to_numpy(), np.int64)

    @staticmethod
    def _condition(question: Question) -> str:
        since, until = question.ask.since_ms, question.ask.until_ms
        condition = f"start < {until} AND start >= {since - 60_000} AND end >= {since}"
        if not question.cameras.all():
            cameras = ", ".join(map(str, np.flatnonzero(question.cameras)))
            condition += f" AND camera IN ({cameras})"
        if question.ask.upper:
            condition += f" AND upper IN (0, {question.ask.upper})"
        return condition


class Ours:
    """The product: an archive on disk, searched by its engine with its filters."""

    name, package, filtering = "reid-search", "", "before and inside"
    efforts: tuple[int, ...] = (0, 1)  # as planned; every row

    def __init__(self, home: Path, offsets: Ints) -> None:
        """Args: home: of the archive. offsets: (districts, days), the first row of each."""
        self._home, self._offsets = home, offsets

    def build(self, vectors: F32, columns: Columns, folder: Path) -> int:
        """The archive is there already; opens it and loads its codes."""
        self._engine = Engine(ArchiveFiles(self._home), find_model(DEFAULT_EMBEDDER, "embed"))
        self._engine.warm()
        return folder_bytes(self._home)

    def search(self, question: Question, effort: int) -> Ints:
        """Through the engine, with the photo as it came and the product's filters."""
        ask = question.ask
        found = self._engine.search(ask.photo[None], ask.filters(), TOP, exact=effort == 1)
        places = [place_of(each.record.id) for each in found.contents]
        return np.array([self._offsets[d, day] + k for d, day, k in places], np.int64)


PEERS: dict[str, Callable[[], Any]] = {
    "numpy": NumpyExact, "hnswlib": Hnswlib, "usearch": Usearch, "faiss": PlainFaiss, "lancedb": LanceDB,
}  # fmt: skip


def check_installed(name: str) -> None:
    """Raises InputError when a peer's package is not installed; names the command."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{name} is not installed ({error.name}); in a clone: uv sync --extra bench"
        ) from None
