"""What indexing and searching cost on this machine: a short trial on one core.

Owns what is measured of storing and searching, and keeps the result for each machine and models. Knows no
wanted load.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from indexer.catalogue import TABLES
from indexer.codes import Codebook, CodePool, inner_products
from indexer.keyvalue import KeyValueFile
from indexer.ledger import ClipDone, unpack_done
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from reid.detector import load_detector
from reid.durable import make_folder, write_file
from reid.embedder import load_embedder
from reid.processor import processor
from reid.vectors import unit_rows
from search.provenance import code_version, libraries
from search.trial_clips import Costs, costs_of

_TRIAL_ROWS = 1 << 16
_TRIAL_CLIPS = 20_000  # rows of a ledger
_TURNS = 10


@dataclass(frozen=True)
class Rates(Costs):
    """What one core of this machine needs: what looking costs, and the rest.

    Attributes:
        processor: its model. cores: that may be used. memory_bytes: of the machine.
        detector, embedder: names of the models. dimension: of a vector. frames_per_second: looked at.
        whole_look_s: seconds between looks at the whole picture, 0 for each time.
        bytes_per_tracklet, vectors_per_tracklet: of sealed segments without codes.
        worker_bytes: resident memory of the process at its most.
        exact_ms: for a million vectors compared exactly. codes_ms: by their codes.
        code_bytes: memory for a vector's code.
        ledger_disk_bytes, ledger_memory_bytes: for a clip, in the catalogue and in a process that reads it.
        measured_at: ISO 8601, UTC.
    """

    processor: str
    cores: int
    memory_bytes: int
    detector: str
    embedder: str
    dimension: int
    frames_per_second: float
    whole_look_s: float
    bytes_per_tracklet: float
    vectors_per_tracklet: float
    worker_bytes: int
    exact_ms: float
    codes_ms: float
    code_bytes: float
    ledger_disk_bytes: float
    ledger_memory_bytes: float
    measured_at: str

    @property
    def crowd(self) -> float:
        """Mean number of people in a frame with somebody."""
        return self.crops / self.peopled


def rates_of(
    archive: ArchiveFiles, settings: Settings, clips: Sequence[Path], *, again: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Rates:  # fmt: skip
    """The rates of this machine with these models, measured in a process of one thread that sees no GPU.

    Args:
        archive: whose models are used; keeps the result, if there is an archive.
        clips: that show people, a few seconds to a minute each.
        again: measure even if there is a result. tell: that it is measured.

    Raises:
        InputError: nobody is in the clips, or one cannot be read.
        ModelError, StorageError: the models or the disk.
    """
    kept = archive.trial(_key(settings, clips))
    if not again:
        try:
            return Rates(**json.loads(kept.read_bytes()))
        except (OSError, ValueError, TypeError):  # none yet, or of another release
            pass
    tell(f"measuring this machine on {len(clips)} clips, which takes a minute or two")
    rates = _alone(measure, archive.home, settings, tuple(clips))
    if archive.catalogue.exists():
        make_folder(kept.parent)
        write_file(kept, json.dumps(asdict(rates), indent=1).encode())
    return rates


def _key(settings: Settings, clips: Sequence[Path]) -> str:
    known = [(str(clip), clip.stat().st_size) for clip in clips if clip.exists()]
    what = (
        processor(), len(os.sched_getaffinity(0)), settings.detector, settings.embedder,
        settings.frames_per_second, settings.whole_look_seconds, settings.runtime,
        sorted(libraries().items()), code_version(), known,
    )  # fmt: skip
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _alone(work: Callable[..., Rates], *given: Any) -> Rates:
    """Call it in a new process with one thread and no GPU."""
    wanted = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(work, *given).result()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def measure(home: Path, settings: Settings, clips: Sequence[Path]) -> Rates:
    """Measure in this process; see `rates_of`."""
    models = ArchiveFiles(home).models
    detector = load_detector(settings.detector, models, runtime=settings.runtime)
    embedder = load_embedder(settings.embedder, models, settings.runtime)
    dimension = embedder.spec.dimension
    assert dimension is not None
    with tempfile.TemporaryDirectory(prefix="reid-trial-") as folder:
        looking, done, entries = costs_of(Path(folder), detector, embedder, settings.frames_per_second, clips)
        disk, memory = _ledger(Path(folder), done)
        exact_ms, codes_ms, code_bytes = _scans(Path(folder), dimension)
    tracklets = sum(entry.tracklets for entry in entries)
    return Rates(
        **asdict(looking), processor=processor(), cores=len(os.sched_getaffinity(0)),
        memory_bytes=memory_bytes(), detector=settings.detector, embedder=settings.embedder,
        dimension=dimension, frames_per_second=settings.frames_per_second,
        whole_look_s=settings.whole_look_seconds,
        bytes_per_tracklet=sum(entry.bytes for entry in entries) / tracklets,
        vectors_per_tracklet=sum(entry.vectors for entry in entries) / tracklets, worker_bytes=peak_bytes(),
        exact_ms=exact_ms, codes_ms=codes_ms, code_bytes=code_bytes, ledger_disk_bytes=disk,
        ledger_memory_bytes=memory, measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def peak_bytes() -> int:
    """The most memory that this process held; what getrusage tells is also that of whoever started it."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def memory_bytes() -> int:
    """Of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _ledger(folder: Path, clip: ClipDone) -> tuple[float, float]:
    """Bytes that a clip takes in a catalogue on disk, and in memory as it is read."""
    path = folder / "ledger.lmdb"
    rows = [replace(clip, sha256=hashlib.sha256(b"%d" % k).hexdigest()) for k in range(_TRIAL_CLIPS)]
    with KeyValueFile(path, TABLES) as file:
        before = path.stat().st_blocks
        with file.write() as tables:
            for row in rows:
                tables["clips"].put(row.sha256, row.pack())
                key = hashlib.sha256(row.sha256.encode()).hexdigest()
                tables["files"].put(key, {"size": 1 << 28, "modified_ns": 1 << 60, "sha256": row.sha256})
        disk = (path.stat().st_blocks - before) * 512 / len(rows)
        with file.read() as tables:
            tracemalloc.start()
            held = [unpack_done(value) for value in tables["clips"].values()]
            memory = tracemalloc.get_traced_memory()[0] / len(held)
            tracemalloc.stop()
    return disk, memory


def _scans(folder: Path, dimension: int) -> tuple[float, float, float]:
    """Milliseconds a million vectors exactly and by codes, and bytes a code takes in memory."""
    random = np.random.default_rng(0)
    rows = unit_rows(random.standard_normal((_TRIAL_ROWS, dimension)).astype(np.float32))
    query = rows[:1]
    path = folder / "vectors.f16"
    path.write_bytes(rows.astype(np.float16).tobytes())
    exact = min(_timed(lambda: inner_products(_read(path, dimension), query)) for _ in range(_TURNS))
    codebook = Codebook.train(rows[: max(6000, 24 * dimension)], "trial")
    pool = CodePool(codebook, 1 << 26)
    slot = pool.load(codebook.encode(rows), len(rows), "trial")
    coded = min(_timed(lambda: pool.search([(slot, None)], query, 1000, 1)) for _ in range(_TURNS))
    per_million = 1e6 / len(rows) * 1000
    return exact * per_million, coded * per_million, pool.bytes_for(len(rows)) / len(rows)


def _read(path: Path, dimension: int) -> np.ndarray[Any, np.dtype[np.float16]]:
    return np.fromfile(path, np.float16).reshape(-1, dimension)


def _timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
