"""What this process and this machine do: resident memory, folders on disk, page cache, memory bandwidth."""

from __future__ import annotations

import gc
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of this process: its own, and of mapped files, which the system may take back."""

    anonymous_mb: float
    file_mb: float


def memory() -> Memory:
    """Resident memory now, from /proc/self/smaps_rollup."""
    gc.collect()
    text = Path("/proc/self/smaps_rollup").read_text("utf-8")
    values = {}
    for line in text.splitlines()[1:]:
        name, rest = line.split(":")
        values[name] = int(rest.split()[0])
    anonymous = values["Anonymous"]
    return Memory(anonymous / 1024, (values["Rss"] - anonymous) / 1024)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, as they take the disk (holes of sparse files do not count)."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def forget_pages(folder: Path) -> None:
    """Ask the system to forget what it keeps of the files below a folder; needs no rights."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def bandwidth(threads: int, megabytes: int = 512, seconds: float = 1.0) -> float:
    """Gigabytes a second that so many threads read from a large buffer, the best of several runs."""
    numbers = np.ones(megabytes << 18, np.float32)
    parts = [part for each in np.array_split(numbers, threads) for part in np.array_split(each, 8)]
    shares = [parts[k * 8 : (k + 1) * 8] for k in range(threads)]
    best, ends = 0.0, time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while best == 0.0 or time.perf_counter() < ends:
            begun = time.perf_counter()
            list(pool.map(lambda share: [part.max() for part in share], shares))
            best = max(best, numbers.nbytes / (time.perf_counter() - begun) / 1e9)
    return best
