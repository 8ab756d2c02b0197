"""What is measured of one archive, each thing in a process of its own so that nothing is warm by accident."""

from __future__ import annotations

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.archives import origin_of, stored_of
from benchmarks.gallery import Ask, District, Scene
from benchmarks.machine import forget_pages, memory
from benchmarks.vectors import VectorModel
from indexer.catalogue import Catalogue
from indexer.codebooks import coding, load_codebook
from indexer.shard.files import ArchiveFiles
from indexer.shard.writer import seal_segment
from reid.models import find_model
from reid.registry import DEFAULT_EMBEDDER
from search.engine import Engine
from search.found import Found

TOP = 10
DAY_VECTORS = 20_000
CLIENTS = (1, 4, 16)
Kind = tuple[str, str]
Asks = dict[Kind, list[Ask]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Effort:
    """How long is measured.

    Attributes:
        each: questions of each kind, asked once unwarmed, then `rounds` times. exact: of them, asked exactly
            too.
        client_s: for each number of clients and class.
    """

    each: int
    rounds: int
    exact: int
    client_s: float


QUICK = Effort(each=6, rounds=2, exact=6, client_s=0.3)
WHOLE = Effort(each=60, rounds=5, exact=30, client_s=3.0)


def apart(work: Callable[..., Result], *arguments: Any) -> Result:
    """The result of `work` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def open_engine(home: Path) -> Engine:
    """The product's engine over an archive."""
    return Engine(ArchiveFiles(home), find_model(DEFAULT_EMBEDDER, "embed"))


def ask_one(engine: Engine, one: Ask, exact: bool = False) -> Found:
    """One question, as the product takes it."""
    return engine.search(one.photo[None], one.filters(), TOP, exact)


def latencies(home: Path, asks: Asks, effort: Effort) -> dict[str, Any]:
    """Latency, recall and memory of every kind of question, asked one after the other."""
    before = memory()
    begun = time.perf_counter()
    engine = open_engine(home)
    open_s = time.perf_counter() - begun
    engine.warm()
    warm_s = time.perf_counter() - begun - open_s
    loaded = memory()
    kinds = {kind: _kind(engine, one_kind, effort) for kind, one_kind in asks.items()}
    asked = memory()
    recalls = {kind: _recall(engine, one_kind[: effort.exact]) for kind, one_kind in asks.items()}
    return {
        "open_s": open_s, "warm_s": warm_s,
        "memory": {"before": asdict(before), "loaded": asdict(loaded), "asked": asdict(asked)},
        "kinds": {kind: {**kinds[kind], "recall": recalls[kind]} for kind in kinds},
    }  # fmt: skip


def _kind(engine: Engine, asks: Sequence[Ask], effort: Effort) -> dict[str, Any]:
    touched, seconds = [], []
    scanned, rows, plans = [], [], []
    for number in range(effort.rounds + 1):
        for one in asks:
            begun = time.perf_counter()
            found = ask_one(engine, one)
            taken = time.perf_counter() - begun
            if number == 0:  # the first time, checksums are compared and lengths computed
                touched.append(taken)
                continue
            seconds.append(taken)
            scanned.append(needed_bytes(found, engine.embedder.dimension))
            rows.append(found.rows)
            plans.append(found.plan.kind)
    p50, p95, p99 = np.quantile(seconds, [0.5, 0.95, 0.99]) * 1000
    first_p50, first_p95 = np.quantile(touched, [0.5, 0.95]) * 1000
    return {
        "first_p50_ms": float(first_p50), "first_p95_ms": float(first_p95),
        "p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99), "rows": float(np.mean(rows)),
        "bytes": float(np.mean(scanned)), "plans": {plan: plans.count(plan) for plan in sorted(set(plans))},
    }  # fmt: skip


def needed_bytes(found: Found, dimension: int) -> int:
    """Bytes that cannot but be read to answer so: rows in scope, or their codes and the rows refined."""
    if found.plan.kind == "exact":
        return found.rows * dimension * 2
    return found.rows * dimension // 8 + min(found.plan.refine, found.rows) * dimension * 2


def recall(found: Sequence[Any], true: Sequence[Any]) -> float:
    """The share of the true answers that were found; 1 when there are none."""
    return len(set(found) & set(true)) / len(set(true)) if true else 1.0


def _recall(engine: Engine, asks: Sequence[Ask]) -> float:
    pairs = [(ask_one(engine, one), ask_one(engine, one, exact=True)) for one in asks]
    return float(np.mean([recall(names_of(found), names_of(true)) for found, true in pairs]))


def names_of(found: Found) -> list[str]:
    """The tracklets found, best first."""
    return [each.record.id for each in found.contents]


def clients(home: Path, asks: Asks, seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Questions a second, and their 95 % latency, when several clients ask at once, by class."""
    engine = open_engine(home)
    engine.warm()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (kind, extra), one_kind in asks.items():
        if not extra:
            for one in one_kind:  # the first time, checksums are compared
                ask_one(engine, one)
            found[kind] = {str(number): _together(engine, one_kind, number, seconds) for number in CLIENTS}
    return found


def _together(engine: Engine, asks: Sequence[Ask], number: int, seconds: float) -> dict[str, float]:
    taken: list[float] = []
    turn = count()
    begun = time.perf_counter()

    def client() -> None:
        while time.perf_counter() - begun < seconds:
            one = asks[next(turn) % len(asks)]
            at = time.perf_counter()
            ask_one(engine, one)
            taken.append(time.perf_counter() - at)

    threads = [threading.Thread(target=client) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(taken) / (time.perf_counter() - begun)
    return {"queries_per_s": rate, "p95_ms": float(np.quantile(taken, 0.95) * 1000)}


def cold_start(home: Path, one: Ask) -> dict[str, float]:
    """Open and ask, in a process that did nothing yet."""
    begun = time.perf_counter()
    engine = open_engine(home)
    opened = time.perf_counter()
    ask_one(engine, one)
    asked = time.perf_counter()
    ask_one(engine, one)
    return {
        "open_s": opened - begun, "first_s": asked - opened, "second_s": time.perf_counter() - asked,
    }  # fmt: skip


def cold(home: Path, asks: Asks) -> dict[str, Any]:
    """Cold starts by class: a fresh process and, as far as the system obeys, nothing in the page cache."""
    found = {}
    for (kind, extra), one_kind in asks.items():
        if not extra:
            forget_pages(home)
            found[kind] = apart(cold_start, home, one_kind[0])
    return found


def seal_day(home: Path, vectors: int = DAY_VECTORS) -> dict[str, float]:
    """Seconds to seal a district's day of so many vectors, with codes if the archive has a codebook."""
    scene = Scene(vectors, districts=1, days=1)
    district = District(scene, 0, VectorModel.load())
    stored, _ = stored_of(district, district.see(0))
    with Catalogue(ArchiveFiles(home)) as catalogue:
        snapshot = catalogue.snapshot()
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        archive = ArchiveFiles(Path(folder))
        begun = time.perf_counter()
        manifest = seal_segment(archive, origin_of(district, 0), stored)
        plain_s = time.perf_counter() - begun
        coded_s = 0.0
        if snapshot.codebook:
            codebook = load_codebook(ArchiveFiles(home), snapshot.codebook)
            how = coding(codebook, district.slug, snapshot.camera_means(codebook.dimension))
            begun = time.perf_counter()
            seal_segment(archive, origin_of(district, 0, "coded"), stored, how)
            coded_s = time.perf_counter() - begun
    return {"vectors": manifest.vectors, "seconds": plain_s, "with_codes_seconds": coded_s}
